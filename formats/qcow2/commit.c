/*
 * commit.c - bringing changed metadata to disk in an order that survives a crash.
 *
 *   1. refcount blocks, and L2 tables that nothing on disk refers to yet
 *   -- barrier: data written so far, the counts and the new tables are stable
 *   2. the refcount table's new entries                        (rare; then another barrier)
 *   3. changed entries of known L2 tables and of the L1 table
 *   -- barrier, if space waits to be freed or the user asked for a flush
 *   4. counts of freed space go down in memory: from now on it may be given out again
 *
 * With lazy refcounts the dirty bit is set and step 1 leaves the counts for later.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { SECTOR_ENTRIES = 64, PENDING_MAX_CLUSTERS = 16384, PENDING_MAX_RUNS = 4096 };

int barrier(Qcow2 *q)
{
    int ret = q->node->data ? node_flush(q->node->data) : 0;

    return ret == 0 ? node_flush(q->node->file) : ret;
}

void l1_set(Qcow2 *q, uint32_t index, uint64_t entry)
{
    q->l1[index] = entry;
    q->l1_dirty[index / SECTOR_ENTRIES] = 1;
    q->l1_any_dirty = true;
}

static int write_l1_sectors(Qcow2 *q, uint32_t first, uint32_t count)
{
    uint32_t start = first * SECTOR_ENTRIES;
    uint32_t n = MIN(count * SECTOR_ENTRIES, q->l1_size - start);
    AUTO_FREE uint8_t *buf = malloc(8 * (size_t)n);

    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        put_be64(buf + 8 * i, q->l1[start + i]);
    node_event(q->node->file, EVENT_L1_UPDATE);
    int ret = node_pwrite(q->node->file, buf, 8 * (size_t)n, q->l1_offset + 8 * (uint64_t)start);
    if (ret == 0)
        memset(q->l1_dirty + first, 0, count);
    return ret;
}

static int write_l1(Qcow2 *q)
{
    uint32_t sectors = (uint32_t)div_round_up(q->l1_size, SECTOR_ENTRIES);
    int ret = 0;

    for (uint32_t i = 0; q->l1_any_dirty && i < sectors && ret == 0; i++) {
        uint32_t n = 0;

        while (i + n < sectors && q->l1_dirty[i + n])
            n++;
        if (n)
            ret = write_l1_sectors(q, i, n);
        i += n;
    }
    if (ret == 0)
        q->l1_any_dirty = false;
    return ret;
}

static int write_reftable(Qcow2 *q)
{
    uint32_t n = (uint32_t)(((uint64_t)q->reftable_clusters << q->cluster_bits) / 8);
    AUTO_FREE uint8_t *buf = calloc(n, 8);

    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < MIN(n, q->reftable_size); i++)
        put_be64(buf + 8 * (size_t)i, q->reftable[i]);
    node_event(q->node->file, EVENT_REFBLOCK_ALLOC_HOOKUP);
    node_event(q->node->file, EVENT_REFTABLE_UPDATE);
    int ret = node_pwrite(q->node->file, buf, 8 * (size_t)n, q->reftable_offset);
    if (ret == 0)
        q->reftable_dirty = false;
    return ret;
}

static bool leave_counts(const Qcow2 *q)
{
    return q->lazy && q->incompatible & INCOMPAT_DIRTY && !cache_crowded(&q->ref_cache);
}

static int write_counts(Qcow2 *q)
{
    int ret = leave_counts(q) && !q->reftable_dirty ? 0 : cache_write(q, &q->ref_cache, false);

    if (ret == 0 && q->reftable_dirty) {
        ret = barrier(q);
        if (ret == 0)
            ret = write_reftable(q);
    }
    return ret;
}

int commit_metadata(Qcow2 *q)
{
    bool maps = q->l2_cache.dirty || q->l1_any_dirty;
    int ret = q->broken ? -EIO : write_counts(q);

    if (ret == 0 && maps) {
        ret = cache_write(q, &q->l2_cache, true);
        if (ret == 0)
            ret = barrier(q);
        if (ret == 0)
            ret = cache_write(q, &q->l2_cache, false);
        if (ret == 0)
            ret = write_l1(q);
    }
    if (ret == 0 && q->pending_count) {
        ret = barrier(q);
        if (ret == 0)
            ret = free_apply_pending(q);
    }
    return ret;
}

int commit_if_crowded(Qcow2 *q)
{
    if (!cache_crowded(&q->l2_cache) && !cache_crowded(&q->ref_cache) &&
        q->pending_clusters < PENDING_MAX_CLUSTERS && q->pending_count < PENDING_MAX_RUNS)
        return 0;
    int ret = commit_metadata(q);
    if (ret == 0 && cache_crowded(&q->ref_cache)) /* applying what was freed touched more */
        ret = cache_write(q, &q->ref_cache, false);
    return ret;
}

int commit_settle(Qcow2 *q)
{
    int ret = commit_metadata(q);

    if (ret == 0)
        ret = cache_write(q, &q->ref_cache, false);
    return ret == 0 ? barrier(q) : ret;
}

int commit_counts(Qcow2 *q)
{
    int ret = cache_write(q, &q->ref_cache, false);

    if (ret == 0 && q->reftable_dirty) {
        ret = barrier(q);
        if (ret == 0)
            ret = write_reftable(q);
    }
    return ret == 0 ? barrier(q) : ret;
}
