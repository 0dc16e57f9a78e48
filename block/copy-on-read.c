/*
 * copy-on-read.c - a filter that stores in the image below what was read from its backing files.
 *
 * A read that copies holds its clusters exclusively, writes hold theirs shared: an old copy can
 * never land over a newer write. `bottom`: backing files below this one (a file name) are not
 * copied from.
 */
#include <errno.h>
#include <string.h>

#include "base/iov.h"
#include "base/math.h"
#include "base/zero.h"
#include "block/driver.h"

enum { COPY_MAX = 1 << 20 };

typedef struct CopyOnRead {
    uint32_t cluster;
    Node *base; /* the first node of the chain that is not copied from; NULL: all are */
} CopyOnRead;

/* Store [off, off+len), already read into `buf`, where the image has nothing of its own. */
static int store(Node *node, const uint8_t *buf, uint64_t off, uint64_t len)
{
    if (mem_is_zero(buf, len))
        return node_pwrite_zeroes(node->file, off, len, 0);
    node_event(node->file, EVENT_COR_WRITE);
    return node_pwrite(node->file, buf, len, off);
}

/* How far from `off` one answer holds: must it be copied? */
static int must_copy(Node *node, uint64_t off, uint64_t len, bool *copy, uint64_t *run)
{
    CopyOnRead *c = node->state;
    Node *top = node_skip_filters(node->file);
    Extent ext;
    int ret = node_extent(top, off, len, &ext);

    *copy = ret == 0 && ext.kind == EXTENT_HOLE;
    if (ret == 0 && *copy && c->base) {
        ret = node_extent_above(top, c->base, off, ext.len, &ext);
        *copy = ret == 0 && ext.kind != EXTENT_HOLE;
    }
    *run = ext.len;
    return ret;
}

/* Whole clusters [start, end): read them, store what is missing. */
static int read_and_store(Node *node, uint8_t *buf, uint64_t start, uint64_t end)
{
    int ret = node_pread(node->file, buf, end - start, start);
    uint64_t run;
    bool copy;

    for (uint64_t at = start; at < end && ret == 0; at += run) {
        ret = must_copy(node, at, end - at, &copy, &run);
        if (ret == 0 && copy)
            ret = store(node, buf + (at - start), at, run);
    }
    return ret;
}

/* One piece of a read, through a buffer of whole clusters. */
static int read_piece(Node *node, const struct iovec *iov, int iovcnt, size_t skip, uint64_t off,
                      uint64_t len)
{
    CopyOnRead *c = node->state;
    uint64_t start = align_down(off, c->cluster);
    uint64_t end = MIN(align_up(off + len, c->cluster), node_size(node));
    AUTO_FREE uint8_t *buf = malloc(end - start);
    RangeLock lock;

    if (!buf)
        return -ENOMEM;
    range_acquire(&node->ranges, &lock, start, end, true);
    int ret = read_and_store(node, buf, start, end);
    range_release(&node->ranges, &lock);
    if (ret == 0)
        iov_write(iov, iovcnt, skip, buf + (off - start), len);
    return ret;
}

static int nothing_to_copy(Node *node, uint64_t off, uint64_t len)
{
    uint64_t run;
    bool copy = false;
    int ret = 0;

    for (uint64_t at = 0; at < len && ret == 0 && !copy; at += run)
        ret = must_copy(node, off + at, len - at, &copy, &run);
    return ret < 0 ? ret : !copy;
}

static int cor_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    int ret = node->file->writable ? nothing_to_copy(node, off, len) : 1;

    if (ret < 0)
        return ret;
    if (ret)
        return node_preadv(node->file, iov, iovcnt, off);
    for (size_t done = 0; done < len && ret == 0;) {
        size_t part = MIN(len - done, (size_t)COPY_MAX);

        ret = read_piece(node, iov, iovcnt, done, off + done, part);
        done += part;
    }
    return ret;
}

static int cor_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    RangeLock lock;

    range_acquire(&node->ranges, &lock, off, off + len, false);
    int ret = node_pwritev(node->file, iov, iovcnt, off, 0);
    range_release(&node->ranges, &lock);
    return ret;
}

static int cor_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    RangeLock lock;

    range_acquire(&node->ranges, &lock, off, off + len, false);
    int ret = node_pwrite_zeroes(node->file, off, len, flags);
    range_release(&node->ranges, &lock);
    return ret;
}

static int cor_discard(Node *node, uint64_t off, uint64_t len)
{
    RangeLock lock;

    range_acquire(&node->ranges, &lock, off, off + len, false);
    int ret = node_discard(node->file, off, len);
    range_release(&node->ranges, &lock);
    return ret;
}

/* The node below the one called `bottom`: that one is the last that is copied from. */
static int find_base(Node *node, const char *bottom, Error **err)
{
    CopyOnRead *c = node->state;
    Node *n = node_skip_filters(node->file);

    for (n = n->backing; n; n = n->backing) {
        n = node_skip_filters(n);
        if (strcmp(node_filename(n), bottom) == 0) {
            c->base = n->backing;
            return 0;
        }
    }
    return error_set(err, -ENOENT, "bottom '%s' is no backing file of this image", bottom);
}

static int cor_open(Node *node, Options *options, Error **err)
{
    CopyOnRead *c = node->state;
    AUTO_FREE char *bottom = options_take(options, "bottom");

    c->cluster = MAX(node_skip_filters(node->file)->cluster, 1U);
    return bottom ? find_base(node, bottom, err) : 0;
}

const BlockDriver copy_on_read_driver = {
    .name = "copy-on-read",
    .state_size = sizeof(CopyOnRead),
    .is_filter = true,
    .open = cor_open,
    .preadv = cor_preadv,
    .pwritev = cor_pwritev,
    .pwrite_zeroes = cor_pwrite_zeroes,
    .discard = cor_discard,
};
