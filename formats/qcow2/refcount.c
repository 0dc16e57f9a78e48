/*
 * refcount.c - who uses which cluster: reference counts and allocation.
 *
 * "Refcount table, refcount blocks". Counts go up at once (in the cache; on disk before any
 * reference is), and down only after the lost reference is gone from the disk (free_later()).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

/* ---- counts of one block ------------------------------------------------------------------- */

uint64_t refcount_read(const Qcow2 *q, const uint8_t *block, uint64_t i)
{
    unsigned bits = 1u << q->refcount_order;

    switch (q->refcount_order) {
    case 3: return block[i];
    case 4: return get_be16(block + 2 * i);
    case 5: return get_be32(block + 4 * i);
    case 6: return get_be64(block + 8 * i);
    default: return block[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
    }
}

void refcount_write(const Qcow2 *q, uint8_t *block, uint64_t i, uint64_t value)
{
    unsigned bits = 1u << q->refcount_order, shift = (unsigned)(i * bits % 8);
    uint8_t *byte = block + i * bits / 8, mask = (uint8_t)(((1u << (bits & 7)) - 1) << shift);

    switch (q->refcount_order) {
    case 3: block[i] = (uint8_t)value; break;
    case 4: put_be16(block + 2 * i, (uint16_t)value); break;
    case 5: put_be32(block + 4 * i, (uint32_t)value); break;
    case 6: put_be64(block + 8 * i, value); break;
    default: *byte = (uint8_t)((*byte & ~mask) | (value << shift));
    }
}

void refcount_bytes(const Qcow2 *q, uint64_t i, uint32_t *from, uint32_t *to)
{
    *from = (uint32_t)((i << q->refcount_order) / 8);
    *to = (uint32_t)(((i + 1) << q->refcount_order) + 7) / 8;
}

static void mark_dirty(Qcow2 *q, uint64_t cluster)
{
    uint64_t n = refblock_entries(q);
    uint32_t from, to;

    refcount_bytes(q, cluster % n, &from, &to);
    cache_dirty(&q->ref_cache, q->reftable[cluster / n] & REFTABLE_OFFSET, from, to);
}

int refcount_block(Qcow2 *q, uint64_t index, uint8_t **block)
{
    *block = NULL;
    if (index >= q->reftable_size || q->reftable[index] == 0)
        return 0;
    uint64_t off = q->reftable[index] & REFTABLE_OFFSET;
    if (!is_metadata_aligned(q, off) || off > NODE_MAX_SIZE - q->cluster)
        return damage(q, "refcount table entry %" PRIu64 " is 0x%" PRIx64 ", not a cluster", index,
                      q->reftable[index]);
    return cache_get(q, &q->ref_cache, off, block);
}

int refcount_get(Qcow2 *q, uint64_t cluster, uint64_t *count)
{
    uint64_t n = refblock_entries(q);
    uint8_t *block;
    int ret = refcount_block(q, cluster / n, &block);

    *count = ret == 0 && block ? refcount_read(q, block, cluster % n) : 0;
    return ret;
}

/* Counts may be written at any time: they go up before, and down after the references on disk. */
static int make_room(Qcow2 *q)
{
    return cache_crowded(&q->ref_cache) ? cache_write(q, &q->ref_cache, false) : 0;
}

int refcount_add(Qcow2 *q, uint64_t cluster, int delta)
{
    uint64_t n = refblock_entries(q);
    uint8_t *block;
    int ret = make_room(q);

    if (ret == 0)
        ret = refcount_block(q, cluster / n, &block);
    if (ret < 0)
        return ret;
    uint64_t count = block ? refcount_read(q, block, cluster % n) : 0;
    if (!block || (delta < 0 && count == 0))
        return damage(q, "cluster %" PRIu64 " is used, but its reference count is 0", cluster);
    if (delta > 0 && count == refcount_max(q))
        return -ERANGE;
    refcount_write(q, block, cluster % n, count + (uint64_t)(int64_t)delta);
    mark_dirty(q, cluster);
    return 0;
}

int refcount_open(Qcow2 *q, Error **err)
{
    size_t bytes = (size_t)q->reftable_clusters << q->cluster_bits;

    q->reftable_size = (uint32_t)(bytes / 8);
    q->reftable = malloc(bytes ? bytes : 1);
    if (!q->reftable)
        return error_set(err, -ENOMEM, "no memory for the refcount table");
    node_event(q->node->file, EVENT_REFTABLE_LOAD);
    int ret = node_pread(q->node->file, q->reftable, bytes, q->reftable_offset);
    if (ret < 0)
        return error_set(err, ret, "cannot read the refcount table: %s", strerror(-ret));
    for (uint32_t i = 0; i < q->reftable_size; i++)
        q->reftable[i] = be64toh(q->reftable[i]);
    q->high_water = div_round_up(node_size(q->node->file), q->cluster);
    return 0;
}

/* ---- finding space ------------------------------------------------------------------------- */

/* The first `n` clusters in a row with count 0, from the hint on. Uncovered ones are free. */
static int find_run(Qcow2 *q, uint64_t n, uint64_t *first)
{
    uint64_t per = refblock_entries(q), c = q->free_hint, run = 0, index = UINT64_MAX;
    uint64_t limit = (L2_OFFSET >> q->cluster_bits) - n;
    uint8_t *block = NULL;

    discard_flush(q);
    while (run < n) {
        if (c / per != index) {
            index = c / per;
            int ret = refcount_block(q, index, &block);
            if (ret < 0)
                return ret;
        }
        if (c > limit)
            return -EFBIG;
        if (!block) {
            uint64_t step = MIN(per - c % per, n - run);

            run += step;
            c += step;
        } else {
            run = refcount_read(q, block, c % per) ? 0 : run + 1;
            c++;
        }
    }
    *first = c - run;
    return 0;
}

static int reftable_move(Qcow2 *q);

/* Make room for `index` in memory; the table on disk follows. */
static int reftable_grow(Qcow2 *q, uint64_t index)
{
    uint64_t per = q->cluster / 8, want = align_up(index + index / 2 + 4, per);

    if (index >= QCOW2_MAX_REFTABLE_BYTES / 8)
        return -EFBIG;
    want = MIN(want, (uint64_t)QCOW2_MAX_REFTABLE_BYTES / 8);
    uint64_t *table = realloc(q->reftable, want * 8);
    if (!table)
        return -ENOMEM;
    memset(table + q->reftable_size, 0, (want - q->reftable_size) * 8);
    q->reftable = table;
    q->reftable_size = (uint32_t)want;
    int ret = reftable_move(q);
    if (ret < 0)
        q->broken = true; /* in memory the table is longer than on disk: its end would be lost */
    return ret;
}

/* A block for range `index`, placed at the free cluster `at`, which is covered or in that range. */
static int add_block(Qcow2 *q, uint64_t index, uint64_t at)
{
    uint64_t per = refblock_entries(q), off = at << q->cluster_bits;
    uint8_t *block;

    node_event(q->node->file, EVENT_REFBLOCK_ALLOC);
    int ret = meta_hit(q, off, q->cluster)
                  ? damage(q, "cluster %" PRIu64 " holds metadata, but has no reference count", at)
                  : 0;

    if (ret == 0 && at / per != index)
        ret = refcount_add(q, at, 1);
    if (ret == 0)
        ret = make_room(q);
    if (ret == 0)
        ret = cache_new(&q->ref_cache, off, &block);
    if (ret == 0)
        ret = meta_add(q, off, q->cluster);
    if (ret < 0)
        return ret;
    if (at / per == index)
        refcount_write(q, block, at % per, 1);
    q->reftable[index] = off;
    q->reftable_dirty = true;
    return 0;
}

/* The first range that the run touches and no block covers, or UINT64_MAX. */
static uint64_t uncovered(const Qcow2 *q, uint64_t first, uint64_t n)
{
    uint64_t per = refblock_entries(q);

    for (uint64_t i = first / per; i <= (first + n - 1) / per; i++)
        if (i >= q->reftable_size || q->reftable[i] == 0)
            return i;
    return UINT64_MAX;
}

/*
 * Find a run that is covered by refcount blocks, adding blocks where they are missing. A new block
 * takes the run's first cluster, so each round covers one range more.
 */
static int find_covered_run(Qcow2 *q, uint64_t n, uint64_t *first)
{
    for (;;) {
        int ret = find_run(q, n, first);

        if (ret < 0)
            return ret;
        uint64_t index = uncovered(q, *first, n);
        if (index == UINT64_MAX)
            return 0;
        if (index >= q->reftable_size)
            ret = reftable_grow(q, index); /* takes space itself: search again */
        else
            ret = add_block(q, index, *first);
        if (ret < 0)
            return ret;
        q->high_water = MAX(q->high_water, *first + 1);
    }
}

int alloc_clusters(Qcow2 *q, uint64_t n, uint64_t *off)
{
    uint64_t first, done = 0;

    node_event(q->node->file, EVENT_CLUSTER_ALLOC);
    int ret = q->broken ? -EIO : find_covered_run(q, n, &first);

    if (ret < 0)
        return ret;
    if (meta_hit(q, first << q->cluster_bits, n << q->cluster_bits))
        return damage(q, "cluster %" PRIu64 " holds metadata, but its reference count is 0", first);
    while (done < n && (ret = refcount_add(q, first + done, 1)) == 0)
        done++;
    if (ret < 0) {
        if (done)
            free_later(q, first << q->cluster_bits, done << q->cluster_bits);
        return ret;
    }
    q->free_hint = first + n;
    q->high_water = MAX(q->high_water, first + n);
    *off = first << q->cluster_bits;
    return 0;
}

int alloc_metadata(Qcow2 *q, uint64_t n, uint64_t *off)
{
    int ret = alloc_clusters(q, n, off);

    return ret < 0 ? ret : meta_add(q, *off, n << q->cluster_bits);
}

/* Space from the hint on is trusted to be free, whatever the damaged counts say. */
int refcount_cover(Qcow2 *q, uint64_t cluster)
{
    uint64_t index = cluster / refblock_entries(q), at;
    int ret = 0;

    if (index >= q->reftable_size)
        ret = reftable_grow(q, index);
    if (ret == 0 && q->reftable[index] == 0) {
        ret = find_covered_run(q, 1, &at);
        if (ret == 0 && q->reftable[index] == 0)
            ret = add_block(q, index, at);
    }
    return ret;
}

/* The table outgrew its place: write it to a new one and switch over, in the order of commit.c. */
static int reftable_move(Qcow2 *q)
{
    uint64_t old = q->reftable_offset, bytes = (uint64_t)q->reftable_clusters << q->cluster_bits;
    uint32_t clusters = (uint32_t)div_round_up(8 * (uint64_t)q->reftable_size, q->cluster);
    AUTO_FREE uint8_t *buf = NULL;
    uint64_t off;

    node_event(q->node->file, EVENT_REFTABLE_GROW);
    int ret = alloc_metadata(q, clusters, &off);

    if (ret < 0)
        return ret;
    if (q->reftable_clusters >= clusters) /* finding space moved it already */
        return free_later(q, off, (uint64_t)clusters << q->cluster_bits);
    buf = calloc(clusters, q->cluster);
    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < q->reftable_size; i++)
        put_be64(buf + 8 * (size_t)i, q->reftable[i]);
    node_event(q->node->file, EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS);
    ret = cache_write(q, &q->ref_cache, false);
    node_event(q->node->file, EVENT_REFBLOCK_ALLOC_WRITE_TABLE);
    if (ret == 0)
        ret = node_pwrite(q->node->file, buf, (size_t)clusters << q->cluster_bits, off);
    if (ret == 0)
        ret = barrier(q);
    if (ret < 0)
        return ret;
    node_event(q->node->file, EVENT_REFBLOCK_ALLOC_SWITCH_TABLE);
    q->reftable_offset = off;
    q->reftable_clusters = clusters;
    q->reftable_dirty = false;
    ret = header_switch(q);
    meta_remove(q, old, bytes);
    return ret < 0 || bytes == 0 ? ret : free_later(q, old, bytes);
}

int alloc_packed(Qcow2 *q, uint32_t len, uint64_t *pos)
{
    uint64_t here = q->packed_pos, room = here ? q->cluster - (here & (q->cluster - 1)) : 0;
    uint64_t count = refcount_max(q), next;
    int ret = here ? refcount_get(q, here >> q->cluster_bits, &count) : 0;
    bool join = here && count < refcount_max(q); /* one more may share the cluster */

    node_event(q->node->file, EVENT_CLUSTER_ALLOC_BYTES);

    if (ret == 0 && join && len <= room) {
        ret = refcount_add(q, here >> q->cluster_bits, 1);
    } else if (ret == 0) {
        ret = alloc_clusters(q, 1, &next);
        if (ret == 0 && join && next == here + room)
            ret = refcount_add(q, here >> q->cluster_bits, 1);
        else
            here = next;
    }
    if (ret < 0)
        return ret;
    *pos = here;
    q->packed_pos = (here + len) & (q->cluster - 1) ? here + len : 0;
    return 0;
}
