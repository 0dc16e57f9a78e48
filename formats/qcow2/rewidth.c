/*
 * rewidth.c - another width of the reference counts: a new refcount table with its blocks beside
 * the old ones, then one update of the header.
 *
 * The new structure's own space is counted in the old one first, which may use more of that; so
 * space is taken until nothing more is missing. The new structure counts the old one, too, which is
 * given back at the end. A crash leaves one of the two valid and the other leaked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "formats/qcow2/amend.h"

typedef struct Rewidth {
    Qcow2 *q;
    Qcow2 wide;          /* for the width alone: refcount_order and cluster_bits */
    uint64_t *table;     /* of the new blocks */
    uint64_t size, room; /* entries */
    uint64_t table_off, table_clusters;
    Progress *progress;
} Rewidth;

/* ---- taking space -------------------------------------------------------------------------- */

static int need_entry(Rewidth *r, uint64_t index)
{
    if (index >= r->room) {
        uint64_t room = MAX(2 * r->room, index + 64);
        uint64_t *more = index < QCOW2_MAX_REFTABLE_BYTES / 8 ? realloc(r->table, 8 * room) : NULL;

        if (!more)
            return index < QCOW2_MAX_REFTABLE_BYTES / 8 ? -ENOMEM : -EFBIG;
        memset(more + r->room, 0, 8 * (room - r->room));
        r->table = more;
        r->room = room;
    }
    r->size = MAX(r->size, index + 1);
    return 0;
}

/* A block for the new range `index`, if it has none. */
static int need_block(Rewidth *r, uint64_t index, bool *added)
{
    int ret = need_entry(r, index);

    if (ret < 0 || r->table[index])
        return ret;
    *added = true;
    return alloc_metadata(r->q, 1, &r->table[index]);
}

/* Blocks for all that the old block number `index` counts. */
static int cover_old_block(Rewidth *r, uint64_t index, bool *added)
{
    Qcow2 *q = r->q;
    uint64_t per = refblock_entries(q), new_per = refblock_entries(&r->wide), first = index * per;
    AUTO_FREE uint8_t *copy = malloc(q->cluster);
    uint8_t *block;
    int ret = copy ? refcount_block(q, index, &block) : -ENOMEM;

    if (ret < 0 || !block)
        return ret;
    memcpy(copy, block, q->cluster); /* taking space moves the cache on */
    for (uint64_t i = 0; i < per && ret == 0; i++) {
        uint64_t at = (first + i) / new_per;

        if (at < r->size && r->table[at]) { /* to the end of that range */
            i = MIN((at + 1) * new_per - first, per) - 1;
            continue;
        }
        if (refcount_read(q, copy, i))
            ret = need_block(r, at, added);
    }
    return ret;
}

/* *any: something was missing */
static int cover(Rewidth *r, bool *any)
{
    bool added = true;
    int ret = 0;

    *any = false;
    while (added && ret == 0) {
        added = false;
        for (uint64_t i = 0; i < r->q->reftable_size && ret == 0; i++)
            ret = cover_old_block(r, i, &added);
        uint64_t clusters = div_round_up(8 * r->size, r->q->cluster);
        if (ret == 0 && !added && clusters > r->table_clusters) {
            if (r->table_off)
                free_later(r->q, r->table_off, r->table_clusters << r->q->cluster_bits);
            r->table_clusters = clusters;
            ret = alloc_metadata(r->q, clusters, &r->table_off);
            added = true;
        }
        *any |= added;
    }
    return ret;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int write_block(Rewidth *r, uint64_t index, uint8_t *buf, Error **err)
{
    Qcow2 *q = r->q;
    uint64_t per = refblock_entries(q), new_per = refblock_entries(&r->wide), count;
    uint8_t *block = NULL;
    int ret = 0;

    memset(buf, 0, q->cluster);
    for (uint64_t i = 0; i < new_per; i++) {
        uint64_t cluster = index * new_per + i;

        if (i == 0 || cluster % per == 0)
            ret = refcount_block(q, cluster / per, &block);
        if (ret < 0)
            return ret;
        count = block ? refcount_read(q, block, cluster % per) : 0;
        if (count > refcount_max(&r->wide))
            return error_set(err, -ERANGE,
                             "cannot change the width of the counts to %u bits: cluster %" PRIu64
                             " has %" PRIu64 " references",
                             1u << r->wide.refcount_order, cluster, count);
        if (count)
            refcount_write(&r->wide, buf, i, count);
    }
    progress_step(r->progress, 1);
    return node_pwrite(q->node->file, buf, q->cluster, r->table[index]);
}

static int write_all(Rewidth *r, Error **err)
{
    size_t bytes = (size_t)r->table_clusters << r->q->cluster_bits;
    AUTO_FREE uint8_t *buf = malloc(r->q->cluster);
    AUTO_FREE uint8_t *table = calloc(1, bytes);
    int ret = buf && table ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < r->size && ret == 0; i++) {
        if (!r->table[i])
            continue;
        put_be64(table + 8 * i, r->table[i]);
        ret = progress_cancelled(r->progress) ? -ECANCELED : write_block(r, i, buf, err);
    }
    return ret == 0 ? node_pwrite(r->q->node->file, table, bytes, r->table_off) : ret;
}

/* ---- switching over ------------------------------------------------------------------------ */

static int adopt(Rewidth *r)
{
    Qcow2 *q = r->q;
    uint64_t size = (r->table_clusters << q->cluster_bits) / 8;
    uint64_t *table = calloc(size, 8);

    if (!table)
        return -ENOMEM;
    memcpy(table, r->table, 8 * MIN(r->size, size));
    cache_drop(&q->ref_cache);
    free(r->table);
    r->table = q->reftable; /* the old one, to be freed */
    r->size = q->reftable_size;
    uint64_t off = q->reftable_offset, clusters = q->reftable_clusters;
    q->reftable = table;
    q->reftable_size = (uint32_t)size;
    q->reftable_offset = r->table_off;
    q->reftable_clusters = (uint32_t)r->table_clusters;
    q->refcount_order = r->wide.refcount_order;
    r->table_off = off;
    r->table_clusters = clusters;
    return header_rewrite(q);
}

static void give_back(Rewidth *r)
{
    for (uint64_t i = 0; i < r->size; i++)
        if (r->table[i] & REFTABLE_OFFSET)
            free_later(r->q, r->table[i] & REFTABLE_OFFSET, r->q->cluster);
    if (r->table_off)
        free_later(r->q, r->table_off, r->table_clusters << r->q->cluster_bits);
}

uint64_t rewidth_steps(const Qcow2 *q, unsigned order)
{
    Qcow2 wide = { .cluster_bits = q->cluster_bits, .refcount_order = order };

    return div_round_up(div_round_up(node_size(q->node->file), q->cluster),
                        refblock_entries(&wide));
}

int refcounts_rewidth(Qcow2 *q, unsigned order, Progress *progress, Error **err)
{
    Rewidth r = { .q = q, .progress = progress };
    bool switched = false;

    r.wide.cluster_bits = q->cluster_bits;
    r.wide.refcount_order = order;
    int ret = 0;
    for (bool more = true; more && ret == 0;) { /* until nothing changes the counts any more */
        ret = cover(&r, &more);
        if (ret == 0)
            ret = commit_settle(q);
    }
    if (ret == 0)
        ret = write_all(&r, err);
    if (ret == 0)
        ret = barrier(q);
    if (ret == 0) {
        ret = adopt(&r);
        switched = ret == 0;
    }
    if (!q->broken)
        give_back(&r); /* the old structure, or the new one that is not used */
    if (switched)
        ret = commit_settle(q);
    free(r.table);
    if (ret < 0 && err && !*err)
        return error_set(err, ret, "cannot change the width of the counts: %s", strerror(-ret));
    return ret;
}
