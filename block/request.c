/*
 * request.c - reads, writes, zeroes, discards and flushes, and which way each goes.
 *
 * A driver that has the operation gets the whole request; a filter passes it on; a mapped format is
 * read here over its extents and written by cow.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/math.h"
#include "base/zero.h"
#include "block/seal.h"

enum { SLICE_ON_STACK = 32, ZERO_BUFFER = 1 << 20 };

static int check_range(const Node *node, uint64_t off, uint64_t len)
{
    uint64_t end, limit = node_grows(node) ? NODE_MAX_SIZE : node_size(node);

    return add_overflows(off, len, &end) || end > limit ? -EINVAL : 0;
}

static int check_write(const Node *node, uint64_t off, uint64_t len)
{
    return !node->writable ? -EACCES : check_range(node, off, len);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Read from `from` what lies inside it; the rest of the buffers becomes zeros. */
static int read_backing(Node *from, const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len)
{
    uint64_t size = from ? node_size(from) : 0;
    uint64_t inside = off < size ? MIN(len, size - off) : 0;
    struct iovec few[SLICE_ON_STACK], *part = few;
    AUTO_FREE struct iovec *many = NULL;

    if (inside < len)
        iov_zero(iov, iovcnt, inside, len - inside);
    if (inside == 0)
        return 0;
    if (iovcnt > SLICE_ON_STACK) {
        part = many = malloc((size_t)iovcnt * sizeof(*many));
        if (!many)
            return -ENOMEM;
    }
    int n = iov_slice(part, iov, iovcnt, 0, inside);
    return node_preadv(from, part, n, off);
}

/* A part of an expanded cluster, on its way to the request's buffers. */
typedef struct {
    const struct iovec *iov;
    int iovcnt;
    uint64_t skip, len;
} Part;

static void copy_part(const uint8_t *cluster, void *opaque)
{
    const Part *p = opaque;

    iov_write(p->iov, p->iovcnt, 0, cluster + p->skip, p->len);
}

static int expand(Node *node, const Extent *ext, void *out)
{
    AUTO_FREE uint8_t *packed = malloc(ext->packed_len);

    if (!packed)
        return -ENOMEM;
    node_event(node->file, EVENT_READ_COMPRESSED);
    int ret = node_pread(node->file, packed, ext->packed_len, ext->pos);
    return ret < 0 ? ret : node->driver->unpack(node, packed, ext->packed_len, out, node->cluster);
}

/* The compressed cluster at `ext`: straight into the buffer if it is wanted whole. */
static int read_packed(Node *node, const Extent *ext, const struct iovec *iov, int iovcnt,
                       uint64_t off, uint64_t len)
{
    Part part = { iov, iovcnt, off & (node->cluster - 1), len };
    uint64_t generation = atomic_load(&node->unpacked.generation);

    if (len == node->cluster && iovcnt == 1)
        return expand(node, ext, iov->iov_base);
    if (unpacked_use(&node->unpacked, ext->pos, copy_part, &part))
        return 0;
    AUTO_FREE uint8_t *cluster = malloc(node->cluster);
    int ret = cluster ? expand(node, ext, cluster) : -ENOMEM;
    if (ret == 0) {
        copy_part(cluster, &part);
        unpacked_keep(&node->unpacked, ext->pos, generation, take(&cluster));
    }
    return ret;
}

static int read_extent(Node *node, const Extent *ext, const struct iovec *iov, int iovcnt,
                       uint64_t off, uint64_t len)
{
    if (node->file && ext->kind == EXTENT_DATA)
        node_event(node->file, EVENT_READ_AIO);
    else if (node->file && ext->kind == EXTENT_HOLE && node->backing)
        node_event(node->file, EVENT_READ_BACKING_AIO);
    switch (ext->kind) {
    case EXTENT_DATA: return seal_read(node, ext->file, iov, iovcnt, off, ext->pos);
    case EXTENT_PACKED: return read_packed(node, ext, iov, iovcnt, off, len);
    case EXTENT_HOLE: return read_backing(node->backing, iov, iovcnt, off, len);
    default: iov_zero(iov, iovcnt, 0, len); return 0;
    }
}

int node_read_mapped(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len)
{
    struct iovec few[SLICE_ON_STACK], *part = few;
    AUTO_FREE struct iovec *many = NULL;
    Extent ext;
    int ret = 0;

    if (iovcnt > SLICE_ON_STACK) {
        part = many = malloc((size_t)iovcnt * sizeof(*many));
        if (!many)
            return -ENOMEM;
    }
    for (uint64_t done = 0; done < len && ret == 0; done += ext.len) {
        ret = node_map(node, off + done, len - done, &ext);
        if (ret < 0)
            break;
        int n = iov_slice(part, iov, iovcnt, done, ext.len);
        ret = read_extent(node, &ext, part, n, off + done, ext.len);
    }
    return ret;
}

int node_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off)
{
    const BlockDriver *drv = node->driver;
    size_t len = iov_total(iov, iovcnt);
    RangeLock lock;
    int ret = check_range(node, off, len);

    if (ret < 0 || len == 0)
        return ret;
    if (drv->preadv)
        return drv->preadv(node, iov, iovcnt, off, len);
    if (drv->is_filter)
        return node_preadv(node->file, iov, iovcnt, off);
    if (!node->writable)
        return node_read_mapped(node, iov, iovcnt, off, len);
    range_acquire(&node->ranges, &lock, off, off + len, false);
    ret = node_read_mapped(node, iov, iovcnt, off, len);
    range_release(&node->ranges, &lock);
    return ret;
}

int node_pread(Node *node, void *buf, size_t len, uint64_t off)
{
    struct iovec iov = { buf, len };

    return node_preadv(node, &iov, 1, off);
}

/* ---- writing ------------------------------------------------------------------------------- */

static int finish_write(Node *node, int ret, unsigned flags)
{
    if (ret == 0 && (flags & REQ_FUA || node->flags & OPEN_WRITETHROUGH))
        ret = node_flush(node);
    return ret;
}

static bool iov_is_zero(const struct iovec *iov, int iovcnt)
{
    for (int i = 0; i < iovcnt; i++)
        if (!mem_is_zero(iov[i].iov_base, iov[i].iov_len))
            return false;
    return true;
}

/* By the driver's way of writing; the range is judged already. */
static int write_bytes(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    const BlockDriver *drv = node->driver;

    if (drv->pwritev)
        return drv->pwritev(node, iov, iovcnt, off, len);
    if (drv->is_filter)
        return node_pwritev(node->file, iov, iovcnt, off, 0);
    return drv->publish || drv->seal ? node_write_mapped(node, iov, iovcnt, off, len) : -ENOTSUP;
}

int node_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, unsigned flags)
{
    size_t len = iov_total(iov, iovcnt);
    int ret = check_write(node, off, len);

    if (ret == 0 && len)
        ret = node_record(node, off, len);
    if (ret < 0 || len == 0)
        return ret;
    if (node->flags & OPEN_DETECT_ZEROES && iov_is_zero(iov, iovcnt))
        return node_pwrite_zeroes(node, off, len,
                                  flags | (node->flags & OPEN_DETECT_UNMAP ? REQ_MAY_UNMAP : 0));
    node_event(node, EVENT_PWRITEV);
    ret = write_bytes(node, iov, iovcnt, off, len);
    node_event(node, EVENT_PWRITEV_DONE);
    return finish_write(node, ret, flags);
}

int node_pwrite(Node *node, const void *buf, size_t len, uint64_t off)
{
    struct iovec iov = { (void *)buf, len };

    return node_pwritev(node, &iov, 1, off, 0);
}

/* Zeros the slow way: one buffer, written again and again. */
static int write_zero_buffers(Node *node, uint64_t off, uint64_t len)
{
    AUTO_FREE void *zeros = calloc(1, MIN(len, (uint64_t)ZERO_BUFFER));
    int ret = 0;

    if (!zeros)
        return -ENOMEM;
    while (len && ret == 0) {
        uint64_t part = MIN(len, (uint64_t)ZERO_BUFFER);
        struct iovec iov = { zeros, part };

        ret = write_bytes(node, &iov, 1, off, part);
        off += part;
        len -= part;
    }
    return ret;
}

int node_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    const BlockDriver *drv = node->driver;
    int ret = check_write(node, off, len);

    if (ret == 0 && len)
        ret = node_record(node, off, len);
    if (ret < 0 || len == 0)
        return ret;
    if (!(node->flags & OPEN_UNMAP) && !node_grows(node))
        flags &= ~REQ_MAY_UNMAP;
    node_event(node, EVENT_PWRITEV_ZERO);
    if (drv->pwrite_zeroes)
        ret = drv->pwrite_zeroes(node, off, len, flags);
    else if (drv->is_filter)
        ret = node_pwrite_zeroes(node->file, off, len, flags & ~REQ_FUA);
    else if (drv->publish)
        ret = node_zero_mapped(node, off, len, flags);
    else
        ret = -ENOTSUP;
    if (ret == -ENOTSUP && !(flags & REQ_NO_FALLBACK))
        ret = write_zero_buffers(node, off, len);
    node_event(node, EVENT_PWRITEV_DONE);
    return finish_write(node, ret, flags);
}

int node_discard(Node *node, uint64_t off, uint64_t len)
{
    const BlockDriver *drv = node->driver;
    int ret = check_write(node, off, len);

    if (ret == 0 && len)
        ret = node_record(node, off, len);
    if (ret < 0 || len == 0)
        return ret;
    if (drv->discard)
        ret = drv->discard(node, off, len);
    else if (drv->is_filter)
        ret = node_discard(node->file, off, len);
    else if (drv->publish)
        ret = node_discard_mapped(node, off, len);
    return ret == -ENOTSUP ? 0 : ret; /* only a hint */
}

/*
 * A mapped format brings its metadata down under the lock; the wait for the disk is the child's and
 * needs none, so writers that allocate go on meanwhile.
 */
int node_flush(Node *node)
{
    const BlockDriver *drv = node->driver;
    int ret = 0;

    if (!node->writable)
        return 0;
    if (!drv->publish && drv->flush)
        return drv->flush(node);
    if (node->file)
        node_event(node->file, EVENT_FLUSH_TO_OS);
    if (drv->flush) {
        pthread_mutex_lock(&node->change_lock);
        ret = drv->flush(node);
        pthread_mutex_unlock(&node->change_lock);
    }
    if (ret == 0 && node->data)
        ret = node_flush(node->data);
    if (ret < 0 || !node->file)
        return ret;
    node_event(node->file, EVENT_FLUSH_TO_DISK);
    return node_flush(node->file);
}
