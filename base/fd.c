/*
 * fd.c - see fd.h.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/compiler.h"

/* What a call that moved `n` bytes means: how far to go on, or -errno. */
static ssize_t moved(ssize_t n)
{
    if (n < 0 && errno == EINTR)
        return 0;
    return n < 0 ? -errno : n == 0 ? -EIO : n;
}

int fd_write_all(int fd, const void *buf, size_t len)
{
    const char *p = buf;

    while (len) {
        ssize_t n = moved(write(fd, p, len));

        if (n < 0)
            return (int)n;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_pwrite_all(int fd, const void *buf, size_t len, uint64_t off)
{
    const char *p = buf;

    while (len) {
        ssize_t n = moved(pwrite(fd, p, len, (off_t)off));

        if (n < 0)
            return (int)n;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_pread_all(int fd, void *buf, size_t len, uint64_t off)
{
    char *p = buf;

    while (len) {
        ssize_t n = moved(pread(fd, p, len, (off_t)off));

        if (n < 0)
            return (int)n;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_open_nameless(Error **err)
{
    const char *dir = getenv("TMPDIR");
    AUTO_FREE char *path = NULL;

    if (!dir || !*dir)
        dir = "/var/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (asprintf(&path, "%s/onionskin-XXXXXX", dir) < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "cannot make a temporary file in '%s': %s", dir,
                         strerror(errno));
    unlink(path);
    return fd;
}

int file_read_whole(const char *path, size_t max, char **data, size_t *len)
{
    AUTO_FREE char *buf = malloc(max + 1);
    int fd = buf ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = 0;

    *len = 0;
    if (fd < 0)
        return buf ? -errno : -ENOMEM;
    while (*len <= max && (n = read(fd, buf + *len, max + 1 - *len)) > 0)
        *len += (size_t)n;
    int ret = n < 0 ? -errno : *len > max ? -EFBIG : 0;
    close(fd);
    if (ret < 0) {
        explicit_bzero(buf, *len);
        return ret;
    }
    buf[*len] = '\0';
    *data = take(&buf);
    return 0;
}
