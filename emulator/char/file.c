/*
 * file.c - back ends that only swallow: a file that keeps everything, and nothing at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "emulator/char/char.h"

typedef struct {
    CharBackend be;
    int fd;
} CharFile;

static size_t file_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    CharFile *f = (CharFile *)chr;

    if (f->fd >= 0)
        fd_write_all(f->fd, buf, len); /* a full disk must not stop the guest */
    return len;
}

static const ChardevBack file_back = { .write = file_write };

static void file_close(CharBackend *be)
{
    CharFile *f = (CharFile *)be;

    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

static int file_new(int fd, CharBackend **out, Error **err)
{
    CharFile *f = calloc(1, sizeof(*f));

    if (!f)
        return error_set(err, -ENOMEM, "no memory for a character device");
    f->be.chr.back = &file_back;
    f->be.close = file_close;
    f->fd = fd;
    *out = &f->be;
    return 0;
}

int char_file_open(const char *path, CharBackend **out, Error **err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return error_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
    int ret = file_new(fd, out, err);
    if (ret < 0)
        close(fd);
    return ret;
}

int char_null_open(CharBackend **out, Error **err)
{
    return file_new(-1, out, err);
}
