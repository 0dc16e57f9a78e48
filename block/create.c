/*
 * create.c - new images: what all formats share (backing file, size, tidying up after a failure).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/size.h"
#include "block/driver.h"

/* Without a stated format an image could be taken for what its guest wrote into it. */
static int missing_format(const char *path, Error **err)
{
    AUTO_NODE Node *base = NULL;

    if (node_open(path, NULL, NULL, OPEN_NO_BACKING | OPEN_FORCE_SHARE | OPEN_NO_IO, &base, err) <
        0)
        return err && *err ? (*err)->code : -EIO;
    return error_set(err, -EINVAL,
                     "Backing file specified without backing format (-F); detected format of %s",
                     node_format(base));
}

/* The backing file must be there; it gives the size if nobody else does. */
static int check_backing(const char *filename, Options *o, unsigned flags, Error **err)
{
    const char *name = options_peek(o, "backing_file"), *fmt = options_peek(o, "backing_fmt");
    AUTO_NODE Node *base = NULL;

    if (!name || !*name)
        return 0;
    if (fmt && !driver_find(fmt))
        return error_set(err, -EINVAL, "there is no format '%s' for the backing file", fmt);
    if (flags & CREATE_UNSAFE)
        return 0;
    AUTO_FREE char *path = path_resolve(filename, name);
    if (!fmt)
        return missing_format(path, err);
    int ret = node_open(path, fmt, NULL, OPEN_NO_IO, &base, err);
    if (ret == 0 && !options_has(o, "size"))
        options_set_u64(o, "size", node_size(base));
    return ret;
}

static int would_overwrite_backing(const char *filename, const Options *o, Error **err)
{
    const char *name = options_peek(o, "backing_file");
    struct stat a, b;

    if (!name)
        return 0;
    AUTO_FREE char *path = path_resolve(filename, name);
    if (stat(filename, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
        a.st_dev == b.st_dev)
        return error_set(err, -EINVAL, "the new image and its backing file are the same file");
    return 0;
}

static void set_effective(Options *all, const OptionDesc *d, const char *value)
{
    uint64_t size;

    if (strcmp(d->type, "size") == 0 && size_parse(value, 0, &size, NULL) == 0)
        options_set_u64(all, d->name, size); /* "64k" as a number */
    else
        options_set(all, d->name, value);
}

/* Of the file below: any image may be made with them. */
static const OptionDesc file_options[] = {
    { "nocow", "bool", NULL, NULL },
    { "extent_size_hint", "size", NULL, NULL },
};

/* All options in the table's order, with what holds if nothing was said. */
static Options *effective(const BlockDriver *drv, const Options *o)
{
    Options *all = options_new();

    for (const OptionDesc *d = drv->create_options; d && d->name; d++) {
        const char *value = options_peek(o, d->name);

        if (value || d->fallback)
            set_effective(all, d, value ? value : d->fallback);
    }
    for (size_t i = 0; i < ARRAY_LEN(file_options); i++) {
        const char *value = options_peek(o, file_options[i].name);

        if (value)
            set_effective(all, &file_options[i], value);
    }
    return all;
}

/*
 * Options of the file below the image that must be set before it has any content: on some file
 * systems they do something, on the others nothing is what was asked for.
 */
static int take_file_options(const char *filename, Options *o, Error **err)
{
    const char *path = strncmp(filename, "file:", 5) == 0 ? filename + 5 : filename;
    uint64_t hint = 0;
    bool nocow = false;
    int ret = options_take_bool(o, "nocow", &nocow, err), flags = 0;
    struct stat st;

    if (ret == 0)
        ret = options_take_size(o, "extent_size_hint", &hint, err);
    if (ret == 0 && hint > UINT32_MAX)
        ret = error_set(err, -EINVAL, "extent_size_hint is %" PRIu64 ", at most %u are possible",
                        hint, UINT32_MAX);
    if (ret < 0 || (!nocow && !hint) || (stat(path, &st) == 0 && st.st_size > 0))
        return ret;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, -errno, "Could not create '%s': %s", path, strerror(errno));
    if (nocow && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    struct fsxattr attr;
    if (hint && ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0) {
        attr.fsx_xflags |= FS_XFLAG_EXTSIZE;
        attr.fsx_extsize = (uint32_t)hint;
        ioctl(fd, FS_IOC_FSSETXATTR, &attr);
    }
    close(fd);
    return 0;
}

int node_create(const char *filename, const char *format, Options *options, unsigned flags,
                Options **created, Error **err)
{
    AUTO_OPTIONS Options *o = options;
    const BlockDriver *drv = driver_find(format);

    if (!drv)
        return error_set(err, -EINVAL, "Unknown file format '%s'", format);
    if (!drv->create)
        return error_set(err, -ENOTSUP, "Format driver '%s' does not support image creation",
                         format);
    if (!drv->has_backing && options_has(o, "backing_file"))
        return error_set(err, -ENOTSUP, "%s: Backing file not supported for file format '%s'",
                         filename, format);
    bool existed = access(filename, F_OK) == 0;
    int ret = would_overwrite_backing(filename, o, err);
    if (ret == 0)
        ret = check_backing(filename, o, flags, err);
    if (ret == 0 && !options_has(o, "size"))
        ret = error_set(err, -EINVAL, "Image creation needs a size parameter");
    if (ret < 0)
        return ret;
    AUTO_OPTIONS Options *all = effective(drv, o);
    ret = take_file_options(filename, o, err);
    if (ret == 0)
        ret = drv->create(filename, o, err);
    if (ret < 0 && !existed)
        unlink(filename);
    if (ret < 0)
        return error_prefix(err, ret, "%s", filename);
    if (created)
        *created = take(&all);
    return 0;
}
