/*
 * check.c - counting all references of an image anew, comparing with the refcounts, repairing.
 *
 * A count that is too high is a leak (space lost, nothing else); one that is too low is a
 * corruption: the cluster could be given out twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { CHECK_MAX_CLUSTERS = 1 << 28, BITMAP_ENTRY = 24, BITMAP_MAX_BYTES = 64 << 20 };

typedef struct {
    Qcow2 *q;
    unsigned fix;
    CheckReport *report;
    void *opaque;
    CheckResult *r;
    uint32_t *refs; /* what is really referred to, by cluster */
    uint64_t clusters;
    uint8_t *table;     /* one cluster, read from disk */
    uint64_t next_data; /* where the next guest cluster would not be a fragment */
} Check;

static void say(Check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(Check *c, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!c->report)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    c->report(c->opaque, line);
}

/* ---- counting ------------------------------------------------------------------------------ */

static void count(Check *c, uint64_t off, uint64_t bytes, const char *what)
{
    uint64_t first = off >> c->q->cluster_bits;

    if (bytes == 0)
        return;
    if (off > NODE_MAX_SIZE || bytes > NODE_MAX_SIZE - off ||
        (off + bytes - 1) >> c->q->cluster_bits >= c->clusters) {
        say(c, "ERROR %s at offset 0x%" PRIx64 " lies beyond the end of the file", what, off);
        c->r->corruptions++;
        return;
    }
    for (uint64_t i = first; i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        c->refs[i] += c->refs[i] < UINT32_MAX;
}

static void count_packed(Check *c, uint64_t entry, bool active)
{
    uint64_t pos;
    uint32_t len;

    packed_place(c->q, entry, &pos, &len);
    if (entry & ENTRY_COPIED) {
        say(c, "ERROR compressed cluster at 0x%" PRIx64 " has the copied flag", pos);
        c->r->corruptions++;
    }
    count(c, pos, len, "compressed cluster");
    if (active) {
        c->r->allocated_clusters++;
        c->r->compressed_clusters++;
        c->r->fragmented_clusters++;
    }
}

static void count_entry(Check *c, uint64_t entry, bool active)
{
    uint64_t pos = entry & L2_OFFSET;

    if (entry & L2_COMPRESSED) {
        count_packed(c, entry, active);
        return;
    }
    if (pos == 0)
        return;
    if (!is_metadata_aligned(c->q, pos)) {
        say(c, "ERROR data cluster offset 0x%" PRIx64 " is not a multiple of the cluster size",
            pos);
        c->r->corruptions++;
        return;
    }
    count(c, pos, c->q->cluster, "data cluster");
    if (!active)
        return;
    c->r->allocated_clusters++;
    c->r->fragmented_clusters += c->next_data && c->next_data != pos;
    c->next_data = pos + c->q->cluster;
}

static int read_table(Check *c, uint64_t off, const char *what)
{
    int ret = node_pread(c->q->node->file, c->table, c->q->cluster, off);

    if (ret < 0) {
        say(c, "ERROR cannot read the %s at offset 0x%" PRIx64 ": %s", what, off, strerror(-ret));
        c->r->check_errors++;
    }
    return ret;
}

static void count_tree(Check *c, const uint64_t *l1, uint32_t size, bool active)
{
    for (uint32_t i = 0; i < size; i++) {
        uint64_t off = l1[i] & L1_OFFSET;

        if (off == 0)
            continue;
        if (!is_metadata_aligned(c->q, off) || off >> c->q->cluster_bits >= c->clusters) {
            say(c,
                "ERROR L2 table offset 0x%" PRIx64 " of L1 entry %" PRIu32 " is no cluster of "
                "the file",
                off, i);
            c->r->corruptions++;
            continue;
        }
        count(c, off, c->q->cluster, "L2 table");
        if (read_table(c, off, "L2 table") < 0)
            continue;
        for (uint32_t k = 0; k < l2_entries(c->q); k++) {
            uint64_t entry = get_be64(c->table + 8 * k);

            if (entry)
                count_entry(c, entry, active);
        }
    }
}

static void count_snapshots(Check *c)
{
    Qcow2 *q = c->q;

    count(c, q->snapshots_offset, q->snapshots_bytes, "snapshot table");
    for (uint32_t i = 0; i < q->snapshot_count; i++) {
        Snapshot *s = &q->snapshots[i];
        AUTO_FREE uint64_t *l1 = NULL;

        count(c, s->l1_offset, 8 * (uint64_t)s->l1_size, "snapshot's L1 table");
        if (l1_read(q, s->l1_offset, s->l1_size, &l1) < 0)
            c->r->check_errors++;
        else
            count_tree(c, l1, s->l1_size, false);
    }
}

/* Bitmaps are not ours to read, but their space is in use ("Bitmaps extension"). */
static void count_bitmaps(Check *c, const Extension *e)
{
    uint64_t size = e->len >= 24 ? get_be64(e->data + 8) : 0,
             off = size ? get_be64(e->data + 16) : 0;
    AUTO_FREE uint8_t *dir = size <= BITMAP_MAX_BYTES ? malloc(size + 1) : NULL;

    if (!dir || off > NODE_MAX_SIZE / 2 || node_pread(c->q->node->file, dir, size, off) < 0) {
        c->r->check_errors++;
        return;
    }
    count(c, off, size, "bitmap directory");
    for (uint64_t at = 0; at + BITMAP_ENTRY <= size;) {
        uint64_t table_off = get_be64(dir + at), n = get_be32(dir + at + 8);
        uint64_t used = BITMAP_ENTRY + get_be16(dir + at + 18) + get_be32(dir + at + 20);
        AUTO_FREE uint8_t *table = 8 * n <= BITMAP_MAX_BYTES ? malloc(8 * n + 1) : NULL;

        count(c, table_off, 8 * n, "bitmap table");
        if (!table || table_off > NODE_MAX_SIZE / 2 ||
            node_pread(c->q->node->file, table, 8 * n, table_off) < 0) {
            c->r->check_errors++;
            return;
        }
        for (uint64_t i = 0; i < n; i++)
            if (get_be64(table + 8 * i) & L2_OFFSET)
                count(c, get_be64(table + 8 * i) & L2_OFFSET, c->q->cluster, "bitmap cluster");
        at += align_up(used, 8);
    }
}

static void count_refblocks(Check *c)
{
    Qcow2 *q = c->q;

    count(c, q->reftable_offset, (uint64_t)q->reftable_clusters << q->cluster_bits,
          "refcount table");
    for (uint32_t i = 0; i < q->reftable_size; i++) {
        uint64_t off = q->reftable[i];

        if (off == 0)
            continue;
        if ((off & REFTABLE_OFFSET) != off || !is_metadata_aligned(q, off) ||
            off >> q->cluster_bits >= c->clusters) {
            say(c, "ERROR refcount block %" PRIu32 " is at 0x%" PRIx64 ", no cluster of the file",
                i, off);
            c->r->corruptions++;
            if (c->fix & CHECK_FIX_ERRORS) { /* forget it; repair() makes a new one */
                q->reftable[i] = 0;
                q->reftable_dirty = true;
                c->r->corruptions_fixed++;
            }
            continue;
        }
        count(c, off, q->cluster, "refcount block");
    }
}

static void count_all(Check *c)
{
    Qcow2 *q = c->q;

    count(c, 0, q->cluster, "header");
    count(c, q->l1_offset, 8 * (uint64_t)q->l1_size, "L1 table");
    count_tree(c, q->l1, q->l1_size, true);
    count_snapshots(c);
    for (const Extension *e = q->extensions; e; e = e->next)
        if (e->type == EXT_BITMAPS && q->autoclear & AUTOCLEAR_BITMAPS)
            count_bitmaps(c, e);
    count_refblocks(c);
}

/* ---- comparing and repairing --------------------------------------------------------------- */

/* The block that has the count of `cluster`; made beyond the end of everything if it is missing. */
static int need_block(Check *c, uint64_t cluster)
{
    Qcow2 *q = c->q;
    uint64_t per = refblock_entries(q);

    if (cluster / per < q->reftable_size && q->reftable[cluster / per])
        return 0;
    q->free_hint = MAX(q->free_hint, c->clusters);
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

    say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
        fix    ? "Repairing"
        : leak ? "Leaked"
               : "ERROR",
        i, stored, real);
    *(leak ? &c->r->leaks : &c->r->corruptions) += 1;
    if (!fix)
        return 0;
    int ret = real > refcount_max(c->q) ? -ERANGE : set_count(c, i, real);
    if (ret == 0)
        *(leak ? &c->r->leaks_fixed : &c->r->corruptions_fixed) += 1;
    return ret;
}

static int compare(Check *c)
{
    uint64_t per = refblock_entries(c->q), highest = 0;
    int ret = 0;

    for (uint64_t i = 0; i < c->clusters && ret == 0; i++) {
        uint64_t index = i / per, stored = 0, limit = MIN(c->clusters, (index + 1) * per);
        bool have = index < c->q->reftable_size && c->q->reftable[index];
        uint8_t *block = NULL;

        if (have && (ret = cache_get(c->q, &c->q->ref_cache,
                                     c->q->reftable[index] & REFTABLE_OFFSET, &block)) < 0) {
            c->r->check_errors++;
            break;
        }
        for (; i < limit; i++) {
            stored = block ? refcount_read(c->q, block, i % per) : 0;
            if (stored || c->refs[i])
                highest = i + 1;
            if (stored != c->refs[i])
                break;
        }
        if (i < limit)
            ret = compare_cluster(c, i, stored);
        else
            i--;
    }
    c->r->image_end = highest << c->q->cluster_bits;
    return ret;
}

/* Dangerous is a flag that says "ours alone" about a cluster that has other owners. */
static int check_copied_entry(Check *c, uint64_t entry, uint64_t off, const char *what)
{
    uint64_t i = off >> c->q->cluster_bits;

    if (!(entry & ENTRY_COPIED) || off == 0 || i >= c->clusters || c->refs[i] <= 1)
        return 0;
    say(c, "ERROR OFLAG_COPIED %s: entry=0x%" PRIx64 " references=%" PRIu32, what, entry,
        c->refs[i]);
    c->r->corruptions++;
    return 1;
}

static int check_copied(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t found = 0;

    if (q->snapshot_count == 0 && c->r->corruptions == 0) /* no cluster can have two owners */
        return 0;
    for (uint32_t i = 0; i < q->l1_size; i++) {
        uint64_t off = q->l1[i] & L1_OFFSET;

        found += (uint64_t)check_copied_entry(c, q->l1[i], off, "L2 cluster");
        if (off == 0 || off >> q->cluster_bits >= c->clusters || read_table(c, off, "L2 table") < 0)
            continue;
        for (uint32_t k = 0; k < l2_entries(q); k++) {
            uint64_t entry = get_be64(c->table + 8 * k);

            if (!(entry & L2_COMPRESSED))
                found += (uint64_t)check_copied_entry(c, entry, entry & L2_OFFSET, "data cluster");
        }
    }
    if (!(c->fix & CHECK_FIX_ERRORS))
        return 0;
    c->r->corruptions_fixed += found;
    return tree_fix_copied(q);
}

static int finish_repair(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t left = c->r->corruptions - c->r->corruptions_fixed;
    int ret = commit_metadata(q);

    if (ret == 0)
        ret = cache_write(q, &q->ref_cache, false);
    if (ret == 0)
        ret = barrier(q);
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
    if (!c->refs || !c->table)
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
        count_all(&c);
        ret = compare(&c);
    }
    if (ret == 0)
        ret = check_copied(&c);
    if (ret == 0 && fix)
        ret = finish_repair(&c);
    free(c.refs);
    free(c.table);
    return ret < 0 && err && !*err ? error_set(err, ret, "check failed: %s", strerror(-ret)) : ret;
}
