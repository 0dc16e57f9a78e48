/*
 * resize.c - a disk's size, and space for all of it beforehand.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { PREALLOC_DIRTY_MAX = 1 << 20 };

/* Space that was chosen lies at the file's end: make it part of the file, as the mode says. */
static int extend_file(Qcow2 *q, Prealloc mode, Error **err)
{
    uint64_t bytes = q->high_water << q->cluster_bits;

    if (bytes <= node_size(q->node->file))
        return 0;
    return node_resize(q->node->file, bytes, mode == PREALLOC_METADATA ? PREALLOC_OFF : mode, true,
                       err);
}

/* Tables that are filled one after another are not needed again. */
static int write_tables(Qcow2 *q)
{
    uint64_t dirty = (uint64_t)q->l2_cache.dirty * q->l2_cache.bytes +
                     (uint64_t)q->ref_cache.dirty * q->ref_cache.bytes;

    if (dirty < PREALLOC_DIRTY_MAX)
        return 0;
    int ret = commit_metadata(q);
    cache_release(&q->l2_cache);
    cache_release(&q->ref_cache);
    return ret;
}

/* Step by step, so that tables which are written meanwhile lie within what is preallocated. */
int qcow2_preallocate(Node *node, uint64_t from, uint64_t to, Prealloc mode, Error **err)
{
    Qcow2 *q = node->state;
    uint64_t off = align_up(from, q->cluster), end = align_up(to, q->cluster);
    int ret = 0;

    while (off < end && ret == 0) {
        uint64_t done = 0;

        ret = map_preallocate(q, off, MIN(end - off, l2_span(q)), &done);
        if (ret < 0)
            return error_set(err, ret, "cannot preallocate: %s", strerror(-ret));
        off += done;
        ret = extend_file(q, mode, err);
        if (ret == 0 && (ret = write_tables(q)) < 0)
            error_set(err, ret, "cannot write the tables: %s", strerror(-ret));
    }
    return ret;
}

static int grow(Qcow2 *q, uint64_t size, Prealloc prealloc, Error **err)
{
    uint64_t need = max_l1_entries(q, size), old = q->node->size;
    int ret = 0;

    if (q->node->sealed && q->version < 3 && prealloc != PREALLOC_OFF)
        return error_set(err, -ENOTSUP,
                         "space for encrypted data can only be preallocated with compatibility "
                         "level 1.1 and above");
    if (need > QCOW2_MAX_L1_BYTES / 8)
        return error_set(err, -EFBIG, "%" PRIu64 " bytes are too many for this cluster size", size);
    if (need > q->l1_size)
        ret = l1_move(q, (uint32_t)need);
    if (ret < 0)
        return error_set(err, ret, "cannot make the L1 table longer: %s", strerror(-ret));
    if (q->broken)
        return -EIO;
    if (q->external && (ret = data_resize(q, old, size, prealloc, err)) < 0)
        return ret;
    if ((ret = bitmaps_plan(q, size, err)) < 0)
        return ret;
    q->node->size = size;
    ret = bitmaps_switch(q);
    if (q->raw && prealloc == PREALLOC_OFF)
        prealloc = PREALLOC_METADATA;
    if (ret == 0 && prealloc != PREALLOC_OFF)
        return qcow2_preallocate(q->node, old, size, prealloc, err);
    return ret;
}

int qcow2_truncate(Qcow2 *q)
{
    uint64_t end = div_round_up(node_size(q->node->file), q->cluster), count = 0;
    int ret = cache_write(q, &q->ref_cache, false);

    if (ret == 0)
        ret = barrier(q);
    for (uint64_t last = end; last > 0 && ret == 0 && count == 0;) {
        ret = refcount_get(q, --last, &count);
        end = count ? last + 1 : last;
    }
    if (ret < 0 || end << q->cluster_bits >= node_size(q->node->file))
        return ret;
    ret = node_resize(q->node->file, end << q->cluster_bits, PREALLOC_OFF, true, NULL);
    q->high_water = ret == 0 ? end : q->high_water;
    q->packed_pos = 0;
    return ret;
}

/* The header first: a crash then leaves clusters beyond the end, which nobody sees. */
static int shrink(Qcow2 *q, uint64_t size, Error **err)
{
    uint64_t old_end = (uint64_t)q->l1_size * l2_span(q), off = align_up(size, q->cluster);
    int ret = commit_metadata(q);

    if (ret < 0)
        return ret;
    if ((ret = bitmaps_plan(q, size, err)) < 0)
        return ret;
    q->node->size = size;
    ret = bitmaps_switch(q);
    if (ret == 0)
        ret = bitmaps_cut(q);
    if (ret == 0 && off < old_end)
        ret = map_cut(q, off, old_end - off);
    if (ret == 0)
        ret = commit_metadata(q);
    if (ret == 0)
        ret = qcow2_truncate(q);
    return ret == 0 && q->external ? data_resize(q, size, size, PREALLOC_OFF, err) : ret;
}

int qcow2_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Qcow2 *q = node->state;

    if (q->snapshot_count && q->version < 3)
        return error_set(err, -ENOTSUP, "v2 images with snapshots cannot be resized");
    if (prealloc != PREALLOC_OFF && node->backing_file && q->units == 1)
        return error_set(err, -ENOTSUP,
                         "an image with a backing file can only be preallocated if it has extended "
                         "L2 entries");
    int ret = size < node->size ? shrink(q, size, err) : grow(q, size, prealloc, err);
    if (ret == 0)
        ret = commit_metadata(q);
    return ret == 0 ? barrier(q) : ret;
}
