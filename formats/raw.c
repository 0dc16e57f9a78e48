/*
 * raw.c - images without structure: byte N of the disk is byte `offset` + N of the file.
 *
 * Options `offset` and `size` show a part of the file as the whole disk (it then cannot be
 * resized).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/math.h"
#include "block/driver.h"

typedef struct {
    uint64_t offset;
    bool part; /* not the whole file */
} Raw;

static int raw_open(Node *node, Options *options, Error **err)
{
    Raw *raw = node->state;
    uint64_t file = node_size(node->file), size = UINT64_MAX;
    int ret = options_take_size(options, "offset", &raw->offset, err);

    if (ret == 0)
        ret = options_take_size(options, "size", &size, err);
    if (ret < 0)
        return ret;
    if (raw->offset > file)
        return error_set(err, -EINVAL, "option 'offset' is %" PRIu64 ", the file has %" PRIu64,
                         raw->offset, file);
    if (size != UINT64_MAX && size > file - raw->offset)
        return error_set(err, -EINVAL, "option 'size' is %" PRIu64 ", only %" PRIu64 " are there",
                         size, file - raw->offset);
    raw->part = raw->offset || size != UINT64_MAX;
    node->size = size != UINT64_MAX ? size : file - raw->offset;
    return 0;
}

static int raw_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    Raw *raw = node->state;

    ext->kind = EXTENT_DATA;
    ext->has_pos = true;
    ext->pos = raw->offset + off;
    ext->len = len;
    return 0;
}

static int raw_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Raw *raw = node->state;

    (void)len;
    return node_preadv(node->file, iov, iovcnt, raw->offset + off);
}

static int raw_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Raw *raw = node->state;

    (void)len;
    return node_pwritev(node->file, iov, iovcnt, raw->offset + off, 0);
}

static int raw_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Raw *raw = node->state;

    return node_pwrite_zeroes(node->file, raw->offset + off, len, flags & ~REQ_FUA);
}

static int raw_discard(Node *node, uint64_t off, uint64_t len)
{
    Raw *raw = node->state;

    if (!(node->flags & OPEN_UNMAP))
        return 0;
    return node_discard(node->file, raw->offset + off, len);
}

static int raw_copy_range(Node *node, uint64_t off, Node *from, uint64_t pos, uint64_t len,
                          unsigned flags)
{
    Raw *raw = node->state;

    return node_copy_range(node->file, raw->offset + off, from, pos, len, flags);
}

static int raw_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Raw *raw = node->state;

    if (raw->part)
        return error_set(err, -ENOTSUP, "a part of a file cannot be resized");
    int ret = node_resize(node->file, size, prealloc, true, err);
    if (ret == 0)
        node->size = size;
    return ret;
}

static const OptionDesc raw_create_options[] = {
    { "size", "size", "Virtual disk size", NULL },
    { "nocow", "bool (on/off)", "Turn off copy-on-write (valid only on btrfs)", NULL },
    { "preallocation", "str", "Preallocation mode (allowed values: off, falloc, full)", NULL },
    { "extent_size_hint", "size", "Extent size hint for the image file, 0 to disable", NULL },
    { NULL, NULL, NULL, NULL },
};

static int raw_create(const char *filename, Options *options, Error **err)
{
    AUTO_NODE Node *file = NULL;
    uint64_t size = 0;
    int prealloc = PREALLOC_OFF;
    int ret = options_take_size(options, "size", &size, err);

    if (ret == 0)
        ret = options_take_enum(options, "preallocation", prealloc_names, &prealloc, err);
    if (ret == 0 && prealloc == PREALLOC_METADATA)
        ret = error_set(err, -EINVAL, "raw images have no metadata to preallocate");
    if (ret == 0)
        ret = options_end(options, "raw", err);
    if (ret == 0)
        ret = node_create_file(filename, &file, err);
    return ret < 0 ? ret : node_resize(file, size, (Prealloc)prealloc, true, err);
}

static int raw_measure(Options *options, Node *src, MeasureInfo *info, Error **err)
{
    enum { SECTOR = 512 };
    uint64_t size = 0;
    int ret = options_take_size(options, "size", &size, err);

    free(options_take(options, "preallocation")); /* holes count towards a file's length, too */
    if (ret < 0)
        return ret;
    info->required = align_up(src ? node_size(src) : size, SECTOR);
    info->fully_allocated = info->required;
    return options_end(options, "raw", err);
}

const BlockDriver raw_driver = {
    .name = "raw",
    .state_size = sizeof(Raw),
    .is_passthrough = true,
    .create_options = raw_create_options,
    .open = raw_open,
    .create = raw_create,
    .measure = raw_measure,
    .extent = raw_extent,
    .preadv = raw_preadv,
    .pwritev = raw_pwritev,
    .pwrite_zeroes = raw_pwrite_zeroes,
    .discard = raw_discard,
    .copy_range = raw_copy_range,
    .resize = raw_resize,
};
