/*
 * expand.c - version 2 has no zero clusters: with a backing file they become clusters full of
 * zeros, without one nothing at all.
 *
 * Each L2 table is done once, whoever has it; what it refers to has as many owners as it has. New
 * clusters are written and their counts are stable before the table is; what an entry does not
 * refer to any more is given back when the table is stable.
 */
#include "formats/qcow2/amend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "formats/qcow2/entry.h"

typedef struct Expand {
    Qcow2 *q;
    uint64_t owners; /* of the table */
    uint8_t *table;
    uint64_t *drops; /* room for each entry */
    size_t drop_count;
    bool placed; /* clusters were written for this table */
} Expand;

/* ---- one entry ----------------------------------------------------------------------------- */

/* Space for a cluster of zeros, with a reference for each owner of the table. */
static int new_zeros(Expand *x, uint64_t *pos)
{
    Qcow2 *q = x->q;
    int ret = alloc_clusters(q, 1, pos);

    for (uint64_t i = 1; i < x->owners && ret == 0; i++)
        ret = refcount_add(q, *pos >> q->cluster_bits, 1);
    return ret;
}

/* What the table, as it is written now, does not refer to any more */
static int drop_all(Expand *x)
{
    int ret = 0;

    for (size_t k = 0; k < x->drop_count; k++)
        for (uint64_t i = 0; i < x->owners && ret == 0; i++)
            ret = free_later(x->q, x->drops[k], x->q->cluster);
    return ret;
}

/* The zero entry `word` over a backing file. Kept space is used if nobody else has it. */
static int fill_in(Expand *x, uint64_t *word)
{
    Qcow2 *q = x->q;
    uint64_t pos = *word & L2_OFFSET, old = pos, count = 0;

    if (q->node->sealed)
        return -ENOTSUP; /* zeros on the disk are not zeros in an encrypted image */
    int ret = pos ? refcount_get(q, pos >> q->cluster_bits, &count) : 0;

    if (ret == 0 && count != x->owners) {
        ret = new_zeros(x, &pos);
        if (ret == 0 && old)
            x->drops[x->drop_count++] = old;
    }
    if (ret == 0)
        ret = node_pwrite_zeroes(q->node->file, pos, q->cluster, 0);
    if (ret < 0)
        return ret;
    x->placed = true;
    *word = pos | (x->owners == 1 ? ENTRY_COPIED : 0);
    return 0;
}

static int expand_entry(Expand *x, uint64_t *word)
{
    uint64_t pos = *word & L2_OFFSET;

    if (x->q->node->backing_file)
        return fill_in(x, word);
    *word = 0;
    if (pos)
        x->drops[x->drop_count++] = pos;
    return 0;
}

/* ---- tables -------------------------------------------------------------------------------- */

static int expand_entries(Expand *x, bool *changed)
{
    int ret = 0;

    *changed = false;
    for (uint32_t i = 0; i < l2_entries(x->q) && ret == 0; i++) {
        uint64_t word = get_be64(x->table + 8 * (size_t)i);

        if (word & L2_COMPRESSED || !(word & L2_ZERO))
            continue;
        ret = expand_entry(x, &word);
        put_be64(x->table + 8 * (size_t)i, word);
        *changed = true;
    }
    return ret;
}

static int expand_table(Expand *x, uint64_t off)
{
    Qcow2 *q = x->q;
    bool changed = false;
    int ret = node_pread(q->node->file, x->table, q->cluster, off);

    x->placed = false;
    x->drop_count = 0;
    if (ret == 0)
        ret = refcount_get(q, off >> q->cluster_bits, &x->owners);
    if (ret == 0 && x->owners == 0)
        ret = damage(q, "the L2 table at %" PRIu64 " has no reference count", off);
    if (ret == 0)
        ret = expand_entries(x, &changed);
    if (ret < 0 || !changed)
        return ret;
    if (x->placed)
        ret = commit_counts(q);
    if (ret == 0)
        ret = node_pwrite(q->node->file, x->table, q->cluster, off);
    cache_forget_cluster(q, &q->l2_cache, off);
    if (ret == 0)
        ret = drop_all(x);
    return ret == 0 ? commit_if_crowded(q) : ret;
}

/* ---- all trees ----------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

uint64_t expand_steps(const Qcow2 *q)
{
    uint64_t n = q->l1_size;

    for (uint32_t i = 0; i < q->snapshot_count; i++)
        n += q->snapshots[i].l1_size;
    return n;
}

static void add_tables(const uint64_t *l1, uint32_t size, uint64_t *places, uint64_t *n)
{
    for (uint32_t i = 0; i < size; i++)
        if (l1[i] & L1_OFFSET)
            places[(*n)++] = l1[i] & L1_OFFSET;
}

static int collect(Qcow2 *q, uint64_t *places, uint64_t *n)
{
    int ret = 0;

    *n = 0;
    add_tables(q->l1, q->l1_size, places, n);
    for (uint32_t i = 0; i < q->snapshot_count && ret == 0; i++) {
        AUTO_FREE uint64_t *l1 = NULL;

        ret = l1_read(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size, &l1);
        if (ret == 0)
            add_tables(l1, q->snapshots[i].l1_size, places, n);
    }
    qsort(places, *n, sizeof(*places), by_place);
    return ret;
}

int expand_zeros(Qcow2 *q, Progress *progress, Error **err)
{
    AUTO_FREE uint64_t *places = malloc(8 * expand_steps(q) + 8);
    AUTO_FREE uint8_t *table = malloc(q->cluster);
    AUTO_FREE uint64_t *drops = malloc(q->cluster);
    Expand x = { .q = q, .table = table, .drops = drops };
    uint64_t n = 0;
    int ret = places && table && drops ? collect(q, places, &n) : -ENOMEM;

    for (uint64_t i = 0; i < n && ret == 0; i++) {
        if (i == 0 || places[i] != places[i - 1])
            ret = !is_metadata_aligned(q, places[i]) ? damage(q, "an L1 entry is not a cluster")
                  : progress_cancelled(progress)     ? -ECANCELED
                                                     : expand_table(&x, places[i]);
        progress_step(progress, 1);
    }
    if (ret == 0)
        ret = barrier(q);
    if (ret == 0)
        ret = commit_settle(q);
    if (ret == -ENOTSUP)
        return error_set(err, ret,
                         "zero clusters of an encrypted image over a backing file cannot "
                         "become data: version 2 has none");
    return ret < 0 ? error_set(err, ret, "cannot expand zero clusters: %s", strerror(-ret)) : 0;
}
