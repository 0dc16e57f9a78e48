/*
 * check.c - counting all references of an image anew, comparing with the refcounts, repairing.
 *
 * A count that is too high is a leak (space lost, nothing else); one that is too low is a
 * corruption: the cluster could be given out twice. Entries that cannot be right are
 * check-tree.c's.
 */
#include "formats/qcow2/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_MAX_CLUSTERS = 1 << 28 };

/* ---- findings ------------------------------------------------------------------------------ */

static void say(Check *c, const char *prefix, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static void say(Check *c, const char *prefix, const char *fmt, va_list ap)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "%s", prefix);

    if (!c->report)
        return;
    vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
    c->report(c->opaque, line);
}

void check_say(Check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(c, "", fmt, ap);
    va_end(ap);
}

bool check_found(Check *c, const char *fmt, ...)
{
    bool fix = c->fix & CHECK_FIX_ERRORS;
    va_list ap;

    va_start(ap, fmt);
    say(c, fix ? "Repairing " : "ERROR ", fmt, ap);
    va_end(ap);
    c->r->corruptions++;
    c->r->corruptions_fixed += fix;
    return fix;
}

/* ---- counting ------------------------------------------------------------------------------ */

bool check_in_file(const Check *c, uint64_t off, uint64_t bytes)
{
    return off <= NODE_MAX_SIZE && bytes <= NODE_MAX_SIZE - off &&
           (off + bytes - 1) >> c->q->cluster_bits < c->clusters;
}

void check_refer(Check *c, uint64_t off, uint64_t bytes)
{
    for (uint64_t i = off >> c->q->cluster_bits; i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        c->refs[i] += c->refs[i] < UINT32_MAX;
}

static const char *refblock_fault(const Check *c, uint64_t entry)
{
    if ((entry & REFTABLE_OFFSET) != entry || !is_metadata_aligned(c->q, entry))
        return "is not the start of a cluster";
    if (!check_in_file(c, entry, c->q->cluster))
        return "is beyond the end of the file";
    return c->refs[entry >> c->q->cluster_bits] ? "overlaps with something else" : NULL;
}

/* Last of all: a block that shares its place loses it, since all counts can be made anew. */
static void count_refblocks(Check *c)
{
    Qcow2 *q = c->q;

    for (uint32_t i = 0; i < q->reftable_size; i++) {
        uint64_t entry = q->reftable[i];
        const char *fault = entry ? refblock_fault(c, entry) : NULL;

        if (entry && !fault)
            check_refer(c, entry, q->cluster);
        if (!fault)
            continue;
        if (check_found(c, "refcount block %" PRIu32 " (0x%" PRIx64 ") %s", i, entry, fault)) {
            q->reftable[i] = 0;
            q->reftable_dirty = true;
        } else {
            c->bad_blocks[i] = 1;
        }
    }
}

static int count_all(Check *c, Error **err)
{
    c->l1_doubtful = check_l1_doubtful(c);
    check_fixed_tables(c);
    int ret = check_trees(c, err);
    if (ret == 0)
        ret = check_dirty_bitmaps(c);
    if (ret == 0)
        count_refblocks(c);
    return ret;
}

/* ---- comparing and repairing --------------------------------------------------------------- */

void check_keep_clear(Check *c)
{
    c->q->free_hint = MAX(c->q->free_hint, c->clusters);
}

/* The block that has the count of `cluster`; made beyond the end of everything if it is missing. */
static int need_block(Check *c, uint64_t cluster)
{
    Qcow2 *q = c->q;
    uint64_t per = refblock_entries(q);

    if (cluster / per < q->reftable_size && q->reftable[cluster / per])
        return 0;
    check_keep_clear(c);
    return refcount_cover(q, cluster);
}

static int set_count(Check *c, uint64_t cluster, uint64_t value)
{
    Qcow2 *q = c->q;
    uint64_t per = refblock_entries(q);
    uint32_t from, to;
    uint8_t *block;
    int ret = need_block(c, cluster);

    if (ret == 0)
        ret = cache_get(q, &q->ref_cache, q->reftable[cluster / per] & REFTABLE_OFFSET, &block);
    if (ret < 0)
        return ret;
    refcount_write(q, block, cluster % per, value);
    refcount_bytes(q, cluster % per, &from, &to);
    cache_dirty(&q->ref_cache, q->reftable[cluster / per] & REFTABLE_OFFSET, from, to);
    return cache_crowded(&q->ref_cache) ? cache_write(q, &q->ref_cache, false) : 0;
}

static int compare_cluster(Check *c, uint64_t i, uint64_t stored)
{
    uint64_t real = c->refs[i];
    bool leak = stored > real;
    bool fix = c->fix & (leak ? CHECK_FIX_LEAKS : CHECK_FIX_ERRORS);

    check_say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
              fix    ? "Repairing"
              : leak ? "Leaked"
                     : "ERROR",
              i, stored, real);
    *(leak ? &c->r->leaks : &c->r->corruptions) += 1;
    if (!fix)
        return 0;
    if (real > refcount_max(c->q)) /* fixed tables over each other */
        return 0;
    int ret = set_count(c, i, real);
    if (ret == 0)
        *(leak ? &c->r->leaks_fixed : &c->r->corruptions_fixed) += 1;
    return ret;
}

/* The block with the counts of range `index`, copied into c->table; zeros if there is none. */
static int load_block(Check *c, uint64_t index)
{
    Qcow2 *q = c->q;
    uint8_t *block;

    memset(c->table, 0, q->cluster);
    if (index >= q->reftable_size || q->reftable[index] == 0 ||
        (index < c->block_count && c->bad_blocks[index]))
        return 0;
    int ret = cache_get(q, &q->ref_cache, q->reftable[index], &block);
    if (ret == 0)
        memcpy(c->table, block, q->cluster);
    else
        c->r->check_errors++;
    return ret;
}

int check_stored(Check *c, uint64_t cluster, uint64_t *value)
{
    uint64_t index = cluster / refblock_entries(c->q);

    *value = 0;
    return index < c->block_count && c->bad_blocks[index] ? 0 : refcount_get(c->q, cluster, value);
}

/* Compare clusters [from, to), which all have their counts in block `index`. */
static int compare_block(Check *c, uint64_t index, uint64_t from, uint64_t to)
{
    int ret = load_block(c, index);

    for (uint64_t i = from; i < to && ret == 0; i++) {
        uint64_t stored = refcount_read(c->q, c->table, i % refblock_entries(c->q));

        if (stored || c->refs[i])
            c->r->image_end = (i + 1) << c->q->cluster_bits;
        if (stored != c->refs[i])
            ret = compare_cluster(c, i, stored);
    }
    return ret;
}

/* Counts of what lies beyond the end of the file: space that could never be used. */
static int clear_beyond(Check *c)
{
    uint64_t per = refblock_entries(c->q), n = c->block_count * per;
    int ret = 0;

    for (uint64_t i = c->clusters; i < n && ret == 0; i = align_down(i, per) + per) {
        if (i / per < c->q->reftable_size && c->q->reftable[i / per] == 0)
            continue;
        ret = load_block(c, i / per);
        for (uint64_t k = i; k < align_down(i, per) + per && ret == 0; k++)
            if (refcount_read(c->q, c->table, k % per))
                ret = set_count(c, k, 0);
    }
    return ret;
}

static int compare(Check *c)
{
    uint64_t per = refblock_entries(c->q);
    int ret = c->fix & CHECK_FIX_ERRORS ? clear_beyond(c) : 0;

    for (uint64_t i = 0; i < c->clusters && ret == 0; i += per)
        ret = compare_block(c, i / per, i, MIN(c->clusters, i + per));
    return ret;
}

static int finish_repair(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t left = c->r->corruptions - c->r->corruptions_fixed;
    int ret = commit_settle(q);

    check_keep_clear(c);
    if (ret == 0 && c->snapshots_changed)
        ret = snapshots_rewrite(q);
    check_keep_clear(c);
    if (ret == 0)
        ret = check_write_directory(c);
    if (ret == 0 && c->header_changed && (ret = header_rewrite(q)) == 0)
        header_mended(q);
    if (ret == 0 && left == 0 && c->r->check_errors == 0 && c->fix & CHECK_FIX_ERRORS &&
        q->incompatible & (INCOMPAT_DIRTY | INCOMPAT_CORRUPT)) {
        q->incompatible &= ~(INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
        q->broken = false;
        ret = header_update(q);
        if (ret == 0)
            ret = barrier(q);
    }
    q->free_hint = 0;
    return ret;
}

/* How many clusters can be referred to: the file's, and those that have a count. */
static int prepare(Check *c, Error **err)
{
    Qcow2 *q = c->q;

    c->clusters = div_round_up(node_size(q->node->file), q->cluster);
    if (c->clusters > CHECK_MAX_CLUSTERS)
        return error_set(err, -EFBIG, "the file has %" PRIu64 " clusters, more than check counts",
                         c->clusters);
    c->refs = calloc(c->clusters + 1, sizeof(*c->refs));
    c->table = malloc(q->cluster);
    c->kinds = calloc(c->clusters + 1, 1);
    c->block_count = q->reftable_size;
    c->bad_blocks = calloc(c->block_count + 1, 1);
    if (!c->refs || !c->table || !c->kinds || !c->bad_blocks)
        return error_set(err, -ENOMEM, "no memory to count %" PRIu64 " clusters", c->clusters);
    return 0;
}

int qcow2_check(Node *node, unsigned fix, CheckReport *report, void *opaque, CheckResult *result,
                Error **err)
{
    Qcow2 *q = node->state;
    Check c = { .q = q, .fix = fix, .report = report, .opaque = opaque, .r = result };
    int ret = node->writable && !q->broken ? commit_metadata(q) : 0;

    if (ret == 0 && node->writable && !q->broken)
        ret = cache_write(q, &q->ref_cache, false);
    if (ret == 0 && !q->reftable)
        ret = refcount_open(q, err);
    if (ret == 0)
        ret = prepare(&c, err);
    if (ret == 0) {
        *result = (CheckResult) { .total_clusters = div_round_up(node->size, q->cluster) };
        ret = count_all(&c, err);
        /* what could not be read, or is named by something damaged, may be in use */
        if (result->check_errors || result->corruptions > result->corruptions_fixed)
            c.fix &= ~CHECK_FIX_LEAKS;
    }
    if (ret == 0 && fix && node->writable) /* references go before their counts do */
        ret = barrier(q);
    if (ret == 0 && fix && node->writable)
        ret = meta_rebuild(q);
    if (ret == 0)
        ret = compare(&c);
    if (ret == 0)
        ret = check_copied(&c);
    if (ret == 0 && fix)
        ret = finish_repair(&c);
    free(c.refs);
    free(c.table);
    free(c.kinds);
    free(c.bad_blocks);
    free(c.directory);
    return ret < 0 && err && !*err ? error_set(err, ret, "check failed: %s", strerror(-ret)) : ret;
}
