/*
 * tree.c - whole trees of L1 table, L2 tables and clusters: for snapshots and for a longer L1
 * table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/entry.h"

int l1_read(Qcow2 *q, uint64_t off, uint32_t size, uint64_t **l1)
{
    size_t bytes = 8 * (size_t)size;
    AUTO_FREE uint64_t *t = malloc(bytes ? bytes : 1);

    if (!t)
        return -ENOMEM;
    int ret = node_pread(q->node->file, t, bytes, off);
    if (ret < 0)
        return ret;
    for (uint32_t i = 0; i < size; i++)
        t[i] = be64toh(t[i]);
    *l1 = take(&t);
    return 0;
}

int l1_write_table(Qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t off)
{
    size_t bytes = align_up(8 * (uint64_t)size, q->cluster);
    AUTO_FREE uint8_t *buf = calloc(1, bytes ? bytes : 1);

    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++)
        put_be64(buf + 8 * (size_t)i, l1[i] & ~(l1 == q->l1 ? 0 : ENTRY_COPIED));
    return node_pwrite(q->node->file, buf, bytes, off);
}

/* What one L2 entry refers to: up to two clusters. */
static uint64_t entry_clusters(const Qcow2 *q, L2Entry e, uint64_t *first)
{
    uint64_t pos = e.word & L2_OFFSET;
    uint32_t len = q->cluster;

    if (q->external)
        return 0;
    if (entry_packed(e))
        packed_place(q, e.word, &pos, &len);
    *first = pos >> q->cluster_bits;
    return pos ? ((pos + len - 1) >> q->cluster_bits) - *first + 1 : 0;
}

/* Raise (or, when undoing, lower) one cluster's count, for at most *left clusters. */
static int hold_cluster(Qcow2 *q, uint64_t cluster, int delta, uint64_t *left)
{
    if (*left == 0)
        return -ECANCELED;
    int ret = refcount_add(q, cluster, delta);
    if (ret == 0)
        --*left;
    return ret;
}

static int hold_table(Qcow2 *q, uint64_t off, int delta, uint64_t *left)
{
    uint8_t *slice = NULL;
    int ret = 0;

    for (uint32_t i = 0; i < l2_entries(q) && ret == 0; i++) {
        uint64_t first, n, k = i & (slice_entries(q) - 1);

        if (k == 0 && (ret = l2_slice(q, off, i, &slice)) < 0)
            break;
        n = entry_clusters(q, entry_get(q, slice, k), &first);
        for (uint64_t k = 0; k < n && ret == 0; k++)
            ret = hold_cluster(q, first + k, delta, left);
    }
    return ret == 0 ? hold_cluster(q, off >> q->cluster_bits, delta, left) : ret;
}

static int hold(Qcow2 *q, const uint64_t *l1, uint32_t size, int delta, uint64_t *left)
{
    int ret = 0;

    for (uint32_t i = 0; i < size && ret == 0; i++) {
        uint64_t off = l1[i] & L1_OFFSET;

        if (off & (q->cluster - 1))
            return damage(q, "L1 entry %u is not a cluster", (unsigned)i);
        if (off)
            ret = hold_table(q, off, delta, left);
    }
    return ret;
}

int tree_hold(Qcow2 *q, const uint64_t *l1, uint32_t size)
{
    uint64_t left = UINT64_MAX;
    int ret = hold(q, l1, size, 1, &left);

    if (ret < 0 && left != UINT64_MAX) {
        uint64_t done = UINT64_MAX - left;

        hold(q, l1, size, -1, &done);
    }
    return ret;
}

static int drop_table(Qcow2 *q, uint64_t off)
{
    uint8_t *slice = NULL;
    uint64_t first;
    int ret = 0;

    for (uint32_t i = 0; i < l2_entries(q) && ret == 0; i++) {
        uint64_t n, k = i & (slice_entries(q) - 1);

        if (k == 0 && (ret = l2_slice(q, off, i, &slice)) < 0)
            break;
        n = entry_clusters(q, entry_get(q, slice, k), &first);
        if (n && !meta_hit(q, first << q->cluster_bits, n << q->cluster_bits))
            ret = free_because(q, first << q->cluster_bits, n << q->cluster_bits, FREE_SNAPSHOT);
    }
    return ret == 0 ? free_because(q, off, q->cluster, FREE_SNAPSHOT) : ret;
}

int tree_drop(Qcow2 *q, const uint64_t *l1, uint32_t size)
{
    int ret = 0;

    for (uint32_t i = 0; i < size && ret == 0; i++) {
        uint64_t off = l1[i] & L1_OFFSET;

        if (off && is_metadata_aligned(q, off))
            ret = drop_table(q, off);
    }
    return ret;
}

/* The flag of one entry, or of an L1 entry, according to the count of what it refers to. */
static int fix_entry(Qcow2 *q, uint64_t *entry, uint64_t pos)
{
    uint64_t count;
    int ret = refcount_get(q, pos >> q->cluster_bits, &count);

    if (ret == 0)
        *entry = count == 1 ? *entry | ENTRY_COPIED : *entry & ~ENTRY_COPIED;
    return ret;
}

static int fix_slice(Qcow2 *q, uint64_t off, uint8_t *slice)
{
    bool changed = false;
    int ret = 0;

    for (uint32_t k = 0; k < slice_entries(q) && ret == 0; k++) {
        L2Entry old = entry_get(q, slice, k), new = old;

        if (entry_packed(old) || !(old.word & L2_OFFSET))
            continue;
        ret = fix_entry(q, &new.word, old.word & L2_OFFSET);
        entry_put(q, slice, k, new);
        changed |= new.word != old.word;
    }
    if (changed)
        cache_dirty(&q->l2_cache, off, 0, q->l2_cache.bytes);
    return ret;
}

static int fix_table(Qcow2 *q, uint64_t off)
{
    uint8_t *slice;
    int ret = 0;

    for (uint32_t i = 0; i < l2_entries(q) && ret == 0 && !q->external; i += slice_entries(q)) {
        ret = l2_slice(q, off, i, &slice);
        if (ret == 0)
            ret = fix_slice(q, off + ((uint64_t)i << q->entry_log2), slice);
        if (cache_crowded(&q->l2_cache) && ret == 0)
            ret = commit_metadata(q);
    }
    return ret;
}

int tree_fix_copied(Qcow2 *q)
{
    int ret = 0;

    for (uint32_t i = 0; i < q->l1_size && ret == 0; i++) {
        uint64_t off = q->l1[i] & L1_OFFSET, entry = q->l1[i];

        if (off == 0 || off & (q->cluster - 1))
            continue;
        ret = fix_entry(q, &entry, off);
        if (ret == 0 && entry != q->l1[i])
            l1_set(q, i, entry);
        if (ret == 0)
            ret = fix_table(q, off);
    }
    return ret;
}

int l1_adopt(Qcow2 *q, uint64_t *l1, uint32_t size, uint64_t off)
{
    uint8_t *dirty = calloc(1, size / 64 + 1);

    if (!dirty) {
        free(l1);
        return -ENOMEM;
    }
    free(q->l1);
    free(q->l1_dirty);
    q->l1 = l1;
    q->l1_dirty = dirty;
    q->l1_any_dirty = false;
    q->l1_size = size;
    q->l1_offset = off;
    return 0;
}

int l1_alloc(Qcow2 *q, uint32_t size, uint64_t *off)
{
    *off = 0;
    return size ? alloc_metadata(q, div_round_up(8 * (uint64_t)size, q->cluster), off) : 0;
}

int l1_move(Qcow2 *q, uint32_t size)
{
    uint64_t old = q->l1_offset, old_bytes = 8 * (uint64_t)q->l1_size, off;
    int ret = commit_metadata(q);

    node_event(q->node->file, EVENT_L1_GROW_ALLOC_TABLE);
    if (ret == 0)
        ret = l1_alloc(q, size, &off);
    if (ret < 0)
        return ret;
    uint64_t *l1 = calloc(size ? size : 1, 8);
    if (!l1) {
        free_later(q, off, 8 * (uint64_t)size);
        return -ENOMEM;
    }
    memcpy(l1, q->l1, old_bytes);
    uint64_t *before = q->l1;
    q->l1 = l1; /* keeps the "copied" flags in what is written */
    node_event(q->node->file,
               size < q->l1_size ? EVENT_L1_SHRINK_WRITE_TABLE : EVENT_L1_GROW_WRITE_TABLE);
    ret = l1_write_table(q, l1, size, off);
    q->l1 = before;
    if (ret == 0)
        ret = cache_write(q, &q->ref_cache, false);
    if (ret == 0)
        ret = commit_metadata(q); /* a new refcount block's table entry */
    if (ret == 0)
        ret = barrier(q);
    if (ret == 0)
        ret = l1_adopt(q, l1, size, off);
    else
        free(l1);
    if (ret < 0) {
        free_later(q, off, 8 * (uint64_t)size);
        return ret;
    }
    node_event(q->node->file, EVENT_L1_GROW_ACTIVATE_TABLE);
    ret = header_switch(q);
    if (ret == 0 && old_bytes)
        ret = free_later(q, old, old_bytes);
    return ret;
}
