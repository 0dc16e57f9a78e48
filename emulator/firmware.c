/*
 * firmware.c - finding firmware files, and reading files whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "emulator/machine.h"

static const char *const folders[] = {
    "/usr/local/share/onionskin", "/usr/share/onionskin", "/usr/share/seabios",
    "/usr/local/share/seabios",   "/usr/share/qemu",      "/usr/local/share/qemu",
    "/usr/share/vgabios",         "/usr/share/qemu-kvm",
};

static const off_t max_file = (off_t)4 << 30;

int file_load(const char *path, PcBytes *out, Error **err)
{
    struct stat st;
    int ret = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        ret = error_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > max_file)
        ret = error_set(err, -EINVAL, "'%s' is not a file of 1 byte to 4 GiB", path);
    AUTO_FREE uint8_t *data = ret == 0 ? malloc(st.st_size) : NULL;
    if (ret == 0 && !data)
        ret = error_set(err, -ENOMEM, "no memory for '%s'", path);
    if (ret == 0) {
        ret = fd_pread_all(fd, data, st.st_size, 0);
        if (ret < 0)
            error_set(err, ret, "cannot read '%s': %s", path, strerror(-ret));
    }
    if (fd >= 0)
        close(fd);
    if (ret == 0)
        *out = (PcBytes) { take(&data), st.st_size };
    return ret;
}

static bool try_folder(const char *folder, const char *name, char **path)
{
    free(*path);
    if (asprintf(path, "%s/%s", folder, name) < 0)
        *path = NULL;
    return *path && access(*path, R_OK) == 0;
}

/* A name with a slash, or of a file that is here, is that file. */
static char *find(const Config *config, const char *name)
{
    char *path = NULL;

    if (access(name, R_OK) == 0 || strchr(name, '/'))
        return strdup(name);
    for (unsigned i = 0; i < config->n_ldirs; i++)
        if (try_folder(config->ldirs[i], name, &path))
            return path;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (try_folder(folders[i], name, &path))
            return path;
    free(path);
    return NULL;
}

int firmware_load(const Config *config, const char *name, PcBytes *out, Error **err)
{
    AUTO_FREE char *path = find(config, name);

    if (!path)
        return error_set(err, -ENOENT,
                         "cannot find firmware '%s' in /usr/share/seabios, /usr/share/qemu and "
                         "their like (-L FOLDER adds one; Debian: package seabios)",
                         name);
    return file_load(path, out, err);
}
