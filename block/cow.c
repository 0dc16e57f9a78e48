/*
 * cow.c - changing a mapped image: writes in place, copy-on-write, zeroes, discard, compression.
 *
 * docs/BLOCK.md, "A write", is the plan. Invariants:
 * - A range is changed only by its exclusive holder, so what was looked up stays true meanwhile.
 * - Reserved space is either published or released before the range is let go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/seal.h"

enum { SLICE_ON_STACK = 32 };

/* A piece of one write that needs new space: whole units around [off, off+len). */
typedef struct {
    Node *node;
    const struct iovec *iov; /* the request's buffers */
    int iovcnt;
    uint64_t skip;       /* where in them the piece starts */
    uint64_t off, len;   /* the bytes to write */
    uint64_t start, end; /* whole units; end may lie beyond the image's end */
} Piece;

/* ---- the driver's operations under their locks --------------------------------------------- */

static void change_begin(Node *node)
{
    pthread_mutex_lock(&node->change_lock);
    pthread_rwlock_wrlock(&node->map_lock);
}

static void change_end(Node *node)
{
    pthread_rwlock_unlock(&node->map_lock);
    pthread_mutex_unlock(&node->change_lock);
}

static int reserve(Node *node, uint64_t off, uint64_t len, Extent *place)
{
    change_begin(node);
    int ret = node->driver->reserve(node, off, len, place);
    change_end(node);
    place->file = place->kind == EXTENT_PACKED ? node->file : node_data(node);
    place->fresh &= !node->sealed; /* zeros there would be decrypted */
    return ret;
}

static int publish(Node *node, uint64_t off, uint64_t len, const Extent *place, unsigned flags)
{
    change_begin(node);
    int ret = node->driver->publish(node, off, len, place, flags);
    unpacked_invalidate(&node->unpacked);
    change_end(node);
    return ret;
}

static void release(Node *node, const Extent *place)
{
    change_begin(node);
    node->driver->release(node, place);
    change_end(node);
}

/* ---- writing ------------------------------------------------------------------------------- */

static bool in_place(const Extent *ext)
{
    return ext->kind == EXTENT_DATA && !ext->shared;
}

/* True if the whole range reads as zeros because of this node or of nothing below it. */
static bool known_zero(Node *node, uint64_t off, uint64_t len)
{
    Extent ext;

    for (; len; off += ext.len, len -= ext.len)
        if (node_extent_above(node, NULL, off, len, &ext) < 0 || !ext.zero)
            return false;
    return true;
}

/*
 * What surrounds the new bytes in the first or last unit. Beyond the image's end there is
 * nothing to keep. *buf stays NULL if it reads as zeros and the new space does, too.
 */
static int read_surrounding(Node *node, uint64_t off, uint64_t len, bool fresh, uint8_t **buf)
{
    uint64_t inside = off < node->size ? MIN(len, node->size - off) : 0;

    *buf = NULL;
    if (len == 0 || (fresh && known_zero(node, off, inside)))
        return 0;
    *buf = calloc(1, len);
    if (!*buf)
        return -ENOMEM;
    struct iovec iov = { *buf, inside };
    return inside ? node_read_mapped(node, &iov, 1, off, inside) : 0;
}

/* A data file has nothing behind the disk's end; elsewhere clusters are whole. */
static uint64_t write_end(const Piece *p)
{
    uint64_t size = node_size(p->node), end = p->off + p->len;

    return p->node->data && p->end > size ? MAX(size, end) : p->end;
}

/* Head, new bytes and tail go out in one request, at `pos` of the file below. */
static int write_surrounded(const Piece *p, uint64_t pos, bool fresh)
{
    uint64_t head_len = p->off - p->start, tail_len = write_end(p) - (p->off + p->len);
    AUTO_FREE uint8_t *head = NULL;
    AUTO_FREE uint8_t *tail = NULL;
    AUTO_FREE struct iovec *all = malloc(((size_t)p->iovcnt + 2) * sizeof(*all));
    int n = 0, ret = all ? 0 : -ENOMEM;

    if (head_len || tail_len)
        node_event(p->node->file, EVENT_COW_READ);
    if (ret == 0)
        ret = read_surrounding(p->node, p->start, head_len, fresh, &head);
    if (ret == 0)
        ret = read_surrounding(p->node, p->off + p->len, tail_len, fresh, &tail);
    if (ret < 0)
        return ret;
    if (head)
        all[n++] = (struct iovec) { head, head_len };
    else
        pos += head_len;
    n += iov_slice(all + n, p->iov, p->iovcnt, p->skip, p->len);
    if (tail)
        all[n++] = (struct iovec) { tail, tail_len };
    if (head || tail)
        node_event(p->node->file, EVENT_COW_WRITE);
    node_event(p->node->file, EVENT_WRITE_AIO);
    return seal_write(p->node, node_data(p->node), all, n, head ? p->start : p->off, pos);
}

/* Write the piece's first part into one newly reserved place; *done bytes of it were written. */
static int write_new_place(const Piece *whole, uint64_t *done)
{
    Piece p = *whole;
    Extent place = { .kind = EXTENT_DATA };
    int ret = reserve(p.node, p.start, p.end - p.start, &place);

    if (ret < 0)
        return ret;
    p.end = p.start + place.len;
    p.len = MIN(p.len, p.end - p.off);
    *done = p.len;
    ret = write_surrounded(&p, place.pos, place.fresh);
    if (ret == 0)
        ret = publish(p.node, p.start, place.len, &place, 0);
    if (ret < 0)
        release(p.node, &place);
    return ret;
}

/* How far from `off` the mapping needs new space (in_place false) or none (true). */
static int map_run(Node *node, uint64_t off, uint64_t len, Extent *ext, uint64_t *run)
{
    Extent next;
    int ret = node_map(node, off, len, ext);

    if (ret < 0)
        return ret;
    *run = ext->len;
    while (!in_place(ext) && *run < len) {
        ret = node_map(node, off + *run, len - *run, &next);
        if (ret < 0)
            return ret;
        if (in_place(&next))
            break;
        *run += next.len;
    }
    return 0;
}

static int write_in_place(Node *node, const struct iovec *iov, int iovcnt, uint64_t skip,
                          uint64_t off, const Extent *ext)
{
    struct iovec few[SLICE_ON_STACK], *part = few;
    AUTO_FREE struct iovec *many = NULL;

    if (iovcnt > SLICE_ON_STACK && !(part = many = malloc((size_t)iovcnt * sizeof(*many))))
        return -ENOMEM;
    int n = iov_slice(part, iov, iovcnt, skip, ext->len);
    node_event(node->file, EVENT_WRITE_AIO);
    return seal_write(node, ext->file, part, n, off, ext->pos);
}

/*
 * A cluster that is shared or compressed cannot take new units: it gets a new place, and the data
 * in its other units moves along. Then a piece is more than the units that the request touches.
 */
static bool moves(Node *node, uint64_t off)
{
    Extent ext;

    return node->unit < node->cluster && node_map(node, off, 1, &ext) == 0 &&
           (ext.shared || ext.kind == EXTENT_PACKED);
}

static bool holds_data(const Extent *ext)
{
    return ext->kind == EXTENT_DATA || ext->kind == EXTENT_PACKED;
}

/* Where the piece that writes `off` starts */
static int piece_start(Node *node, uint64_t off, uint64_t *start)
{
    uint64_t edge = align_down(off, node->unit), at = align_down(off, node->cluster);
    Extent ext = { 0 };
    int ret = 0;

    *start = edge;
    if (!moves(node, off))
        return 0;
    for (; at < edge; at += ext.len) {
        ret = node_map(node, at, edge - at, &ext);
        if (ret < 0 || holds_data(&ext))
            break;
    }
    *start = at;
    return ret;
}

/* Where the piece that writes up to `off` ends */
static int piece_end(Node *node, uint64_t off, uint64_t *end)
{
    uint64_t at = align_up(off, node->unit), limit = align_up(off, node->cluster);
    Extent ext;

    *end = at;
    if (!moves(node, off - 1))
        return 0;
    for (; at < limit; at += ext.len) {
        int ret = node_map(node, at, limit - at, &ext);

        if (ret < 0)
            return ret;
        if (holds_data(&ext))
            *end = at + ext.len;
    }
    return 0;
}

/* With the range held exclusively: every byte, wherever it has to go. */
static int write_anywhere(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                          uint64_t len)
{
    uint64_t done = 0, step;
    Extent ext;
    int ret = 0;

    for (; done < len && ret == 0; done += step) {
        uint64_t at = off + done;

        ret = map_run(node, at, len - done, &ext, &step);
        if (ret < 0)
            break;
        if (in_place(&ext)) {
            ret = write_in_place(node, iov, iovcnt, done, at, &ext);
            continue;
        }
        Piece p = { .node = node, .iov = iov, .iovcnt = iovcnt, .skip = done };
        p.off = at;
        p.len = step;
        ret = piece_start(node, at, &p.start);
        if (ret == 0)
            ret = piece_end(node, at + step, &p.end);
        if (ret == 0)
            ret = write_new_place(&p, &step);
    }
    return ret;
}

/* Without changing the mapping, if that is possible; -EAGAIN if it is not. */
static int write_only_in_place(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                               uint64_t len)
{
    Extent ext;
    int ret = 0;

    for (uint64_t done = 0; done < len && ret == 0; done += ext.len) {
        ret = node_map(node, off + done, len - done, &ext);
        if (ret == 0 && !in_place(&ext))
            return -EAGAIN;
        if (ret == 0)
            ret = write_in_place(node, iov, iovcnt, done, off + done, &ext);
    }
    return ret;
}

int node_write_mapped(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len)
{
    uint64_t unit = node->cluster ? node->cluster : SEAL_SECTOR;
    RangeLock lock;
    int ret = -EAGAIN;

    if (!seal_splits(node, off, len)) {
        range_acquire(&node->ranges, &lock, off, off + len, false);
        ret = write_only_in_place(node, iov, iovcnt, off, len);
        range_release(&node->ranges, &lock);
    }
    if (ret != -EAGAIN)
        return ret;
    range_acquire(&node->ranges, &lock, align_down(off, unit), align_up(off + len, unit), true);
    ret = write_anywhere(node, iov, iovcnt, off, len);
    range_release(&node->ranges, &lock);
    return ret;
}

/* ---- zeroes and discard -------------------------------------------------------------------- */

/* The whole units inside [off, off+len); those at the image's end go up to the end of a cluster. */
static bool whole_units(const Node *node, uint64_t off, uint64_t len, uint64_t *start,
                        uint64_t *end)
{
    *start = align_up(off, node->unit);
    *end = off + len == node->size ? align_up(node->size, node->cluster)
                                   : align_down(off + len, node->unit);
    return *start < *end && *start < node->size;
}

/* Publish `kind` over whole units, in steps that do not keep others waiting for long. */
static int publish_kind(Node *node, uint64_t start, uint64_t end, ExtentKind kind, unsigned flags)
{
    const uint64_t step = (uint64_t)node->cluster << 16;
    Extent place = { .kind = kind, .zero = kind == EXTENT_ZERO };
    RangeLock lock;
    int ret = 0;

    range_acquire(&node->ranges, &lock, align_down(start, node->cluster),
                  align_up(end, node->cluster), true);
    while (start < end && ret == 0) {
        uint64_t len = MIN(step, end - start);

        ret = publish(node, start, len, &place, flags);
        start += len;
    }
    range_release(&node->ranges, &lock);
    return ret;
}

/* Part of a cluster: nothing to do if it is zero already, else a buffer of zeros. */
static int zero_part(Node *node, uint64_t off, uint64_t len)
{
    if (len == 0 || known_zero(node, off, len))
        return 0;
    AUTO_FREE void *zeros = calloc(1, len);
    struct iovec iov = { zeros, len };
    /* Not node_pwrite(): a node that looks for zeros would come back here. */
    return zeros ? node_write_mapped(node, &iov, 1, off, len) : -ENOMEM;
}

/* The units [start, end) of one cluster, or whole clusters */
static int zero_units(Node *node, uint64_t start, uint64_t end, unsigned flags)
{
    int ret = start < end ? publish_kind(node, start, end, EXTENT_ZERO, flags) : 0;

    if (ret == -ENOTSUP && end - start < node->cluster) /* of a compressed one */
        ret = zero_part(node, start, MIN(end, node->size) - start);
    return ret;
}

int node_zero_mapped(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    uint64_t start, end;

    if (!whole_units(node, off, len, &start, &end)) {
        uint64_t first = MIN(len, start > off ? start - off : len);
        int ret = zero_part(node, off, first);
        return ret == 0 ? zero_part(node, off + first, len - first) : ret;
    }
    uint64_t middle = MIN(align_up(start, node->cluster), end);
    uint64_t last = MAX(align_down(end, node->cluster), middle);
    int ret = zero_units(node, middle, last, flags);
    if (ret == 0)
        ret = zero_units(node, start, middle, flags);
    if (ret == 0)
        ret = zero_units(node, last, end, flags);
    if (ret == 0)
        ret = zero_part(node, off, start - off);
    if (ret == 0 && off + len > end)
        ret = zero_part(node, end, off + len - end);
    return ret;
}

int node_discard_mapped(Node *node, uint64_t off, uint64_t len)
{
    uint64_t start, end;

    if (!whole_units(node, off, len, &start, &end))
        return 0;
    return publish_kind(node, start, end, EXTENT_HOLE, REQ_MAY_UNMAP);
}

/* ---- compressed clusters ------------------------------------------------------------------- */

/* Compressed clusters would lie in the file unencrypted, or outside a data file. */
static bool node_packs(const Node *node)
{
    return node->driver->pack && !node->sealed && !node->data;
}

int node_pack(Node *node, const void *buf, size_t len, void *packed, size_t *packed_len)
{
    AUTO_FREE uint8_t *padded = NULL;
    int ret;

    if (!node_packs(node))
        return -ENOTSUP;
    if (len < node->cluster) { /* the image's short last one is compressed with zeros behind it */
        padded = calloc(1, node->cluster);
        if (!padded)
            return -ENOMEM;
        memcpy(padded, buf, len);
        buf = padded;
    }
    ret = node->driver->pack(node, buf, node->cluster, packed, packed_len);
    if (ret == -ENOSPC)
        *packed_len = 0;
    return ret == -ENOSPC ? 0 : ret;
}

int node_pwrite_packed(Node *node, const void *packed, size_t packed_len, uint64_t off)
{
    Extent place = { .kind = EXTENT_PACKED, .packed_len = (uint32_t)packed_len };
    RangeLock lock;

    if (!node->writable)
        return -EACCES;
    if (!node_packs(node))
        return -ENOTSUP;
    if (off % node->cluster || off >= node->size || packed_len >= node->cluster)
        return -EINVAL;
    int ret = node_record(node, off, MIN((uint64_t)node->cluster, node->size - off));
    if (ret < 0)
        return ret;
    range_acquire(&node->ranges, &lock, off, off + node->cluster, true);
    ret = reserve(node, off, packed_len, &place);
    if (ret == 0) {
        node_event(node->file, EVENT_WRITE_COMPRESSED);
        ret = node_pwrite(node->file, packed, packed_len, place.pos);
        if (ret == 0)
            ret = publish(node, off, node->cluster, &place, 0);
        if (ret < 0)
            release(node, &place);
    }
    range_release(&node->ranges, &lock);
    return ret;
}

static int write_compressed(Node *node, const uint8_t *buf, size_t len, uint64_t off, void *packed)
{
    size_t packed_len;
    int ret = node_pack(node, buf, len, packed, &packed_len);

    if (ret < 0)
        return ret;
    return packed_len ? node_pwrite_packed(node, packed, packed_len, off)
                      : node_pwrite(node, buf, len, off);
}

int node_pwrite_compressed(Node *node, const void *buf, size_t len, uint64_t off)
{
    const uint8_t *p = buf;
    int ret = 0;

    if (node->driver->is_filter && node->file)
        return node_pwrite_compressed(node->file, buf, len, off);
    if (!node_packs(node))
        return -ENOTSUP;
    if (!node->writable)
        return -EACCES;
    if (off % node->cluster || off > node->size || len > node->size - off ||
        (len % node->cluster && off + len != node->size))
        return -EINVAL;
    AUTO_FREE uint8_t *packed = malloc(node->cluster);
    if (!packed)
        return -ENOMEM;
    while (len && ret == 0) {
        size_t part = MIN(len, (size_t)node->cluster);

        ret = write_compressed(node, p, part, off, packed);
        p += part;
        off += part;
        len -= part;
    }
    if (ret == 0 && node->flags & OPEN_WRITETHROUGH)
        ret = node_flush(node);
    return ret;
}
