/*
 * file-lock.c - see file-lock.h. The byte layout is shared with the other tools of this field:
 * byte 100+n is read-locked by who uses permission n, byte 200+n by who does not share it.
 */
#include "block/file-lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { USE_BASE = 100, UNSHARE_BASE = 200 };
enum { PERM_READ, PERM_WRITE, PERM_WRITE_UNCHANGED, PERM_RESIZE, PERM_COUNT };

static const char *const perm_names[PERM_COUNT] = { "consistent read", "write", "write unchanged",
                                                    "resize" };

static int lock_byte(int fd, int cmd, short type, off_t at, bool *held)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

    if (fcntl(fd, cmd, &fl) < 0)
        return -errno;
    *held = fl.l_type != F_UNLCK;
    return 0;
}

static bool has_file_open(const char *pid, const struct stat *want)
{
    char folder[300], path[600];
    struct dirent *e;
    struct stat st;
    bool found = false;

    snprintf(folder, sizeof(folder), "/proc/%s/fd", pid);
    DIR *d = opendir(folder);
    while (d && !found && (e = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        found = stat(path, &st) == 0 && st.st_ino == want->st_ino && st.st_dev == want->st_dev;
    }
    if (d)
        closedir(d);
    return found;
}

/* "process 123 (name)": who else has the file open, as far as we may look; else "" */
static void find_holder(int fd, char *text, size_t room)
{
    char self[24], path[300], name[64] = "?\n";
    struct dirent *e;
    struct stat st;
    DIR *d = opendir("/proc");

    *text = '\0';
    snprintf(self, sizeof(self), "%d", (int)getpid());
    while (d && fstat(fd, &st) == 0 && (e = readdir(d))) {
        if (!isdigit((unsigned char)e->d_name[0]) || strcmp(e->d_name, self) == 0 ||
            !has_file_open(e->d_name, &st))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
        FILE *f = fopen(path, "r");
        if (f && !fgets(name, sizeof(name), f))
            name[0] = '\0';
        if (f)
            fclose(f);
        snprintf(text, room, ": process %.16s (%.*s)", e->d_name, (int)strcspn(name, "\n"), name);
        break;
    }
    if (d)
        closedir(d);
}

static int refuse(int fd, const char *path, int perm, Error **err)
{
    char holder[160];

    find_holder(fd, holder, sizeof(holder));
    return error_set(
        err, -EAGAIN,
        "Failed to get \"%s\" lock: '%s' is in use%s; force-share (img-tool: -U) reads it anyway",
        perm_names[perm], path, holder);
}

static int take_bytes(int fd, const bool *use, const bool *share)
{
    bool held;
    int ret = 0;

    for (int i = 0; i < PERM_COUNT && ret == 0; i++) {
        if (use[i])
            ret = lock_byte(fd, F_OFD_SETLK, F_RDLCK, USE_BASE + i, &held);
        if (ret == 0 && !share[i])
            ret = lock_byte(fd, F_OFD_SETLK, F_RDLCK, UNSHARE_BASE + i, &held);
    }
    return ret;
}

int file_lock(int fd, const char *path, bool writer, Error **err)
{
    const bool use[PERM_COUNT] = { true, writer, false, writer };
    const bool share[PERM_COUNT] = { true, false, true, false };
    bool held = false;
    int ret = take_bytes(fd, use, share);

    if (ret == -EAGAIN || ret == -EACCES)
        return refuse(fd, path, PERM_WRITE, err);
    if (ret < 0) /* no such locks here */
        return 0;
    for (int i = 0; i < PERM_COUNT; i++) {
        if (use[i] && lock_byte(fd, F_OFD_GETLK, F_WRLCK, UNSHARE_BASE + i, &held) == 0 && held)
            return refuse(fd, path, i, err);
        if (!share[i] && lock_byte(fd, F_OFD_GETLK, F_WRLCK, USE_BASE + i, &held) == 0 && held)
            return refuse(fd, path, i, err);
    }
    return 0;
}
