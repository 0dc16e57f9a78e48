/*
 * check-tree.c - the check's walk through L1 and L2 tables.
 *
 * First all L1 tables are walked, so that it is known which clusters are L2 tables; then all L2
 * entries are judged and counted. An entry that cannot be right is dropped by the repair: its
 * cluster then reads as zeros, since what it held is not known. Where two claim one cluster, fixed
 * tables win over L2 tables, and L2 tables over data.
 */
#include "formats/qcow2/check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- judging ------------------------------------------------------------------------------- */

/* Would one more reference be too many for the width of the counts? */
static bool counts_full(const Check *c, uint64_t off, uint64_t bytes)
{
    for (uint64_t i = off >> c->q->cluster_bits; i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        if (c->refs[i] >= refcount_max(c->q))
            return true;
    return false;
}

static bool overlaps(const Check *c, uint64_t off, uint64_t bytes)
{
    for (uint64_t i = off >> c->q->cluster_bits; i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        if (c->kinds[i] != CLUSTER_OTHER)
            return true;
    return false;
}

static const char *place_fault(const Check *c, uint64_t off, uint64_t bytes)
{
    if (!check_in_file(c, off, bytes))
        return "is beyond the end of the file";
    if (overlaps(c, off, bytes))
        return "overlaps with metadata";
    return counts_full(c, off, bytes) ? "has more owners than can be counted" : NULL;
}

/* What is wrong with an L2 entry, or NULL; *good becomes what it should be. */
static const char *entry_fault(const Check *c, uint64_t entry, uint64_t *good)
{
    const Qcow2 *q = c->q;
    uint64_t pos = entry & L2_OFFSET, nothing = 0;
    uint32_t len = q->cluster;
    const char *fault = NULL;

    if (q->node->backing_file && q->version >= 3)
        nothing = L2_ZERO;
    *good = entry;
    if (entry & L2_COMPRESSED) {
        packed_place(q, entry, &pos, &len);
        *good = entry & ~ENTRY_COPIED;
        fault = entry & ENTRY_COPIED ? "has the copied flag, but is compressed" : NULL;
    } else if (entry & L2_RESERVED) {
        *good = entry & ~L2_RESERVED;
        fault = "has reserved bits set";
    }
    if (pos == 0 && !(entry & L2_COMPRESSED))
        return fault;
    const char *wrong = entry & L2_COMPRESSED || is_metadata_aligned(q, pos)
                            ? place_fault(c, pos, len)
                            : "is not the start of a cluster";
    if (wrong)
        *good = nothing;
    return wrong ? wrong : fault;
}

/* A data cluster that a damaged L1 entry points to looks like a table of bad entries. */
static bool plausible_table(const Check *c)
{
    uint32_t good = 0, bad = 0;
    uint64_t value;

    for (uint32_t i = 0; i < l2_entries(c->q); i++) {
        uint64_t entry = get_be64(c->table + 8 * i);

        if (entry)
            *(entry_fault(c, entry, &value) ? &bad : &good) += 1;
    }
    return bad <= good;
}

static int read_table(Check *c, uint64_t off)
{
    int ret = node_pread(c->q->node->file, c->table, c->q->cluster, off);

    if (ret < 0) {
        check_say(c, "ERROR cannot read the L2 table at offset 0x%" PRIx64 ": %s", off,
                  strerror(-ret));
        c->r->check_errors++;
    }
    return ret;
}

/* ---- L1 tables ----------------------------------------------------------------------------- */

/* One L1 table: the active one, or (written to disk at once) a snapshot's. */
typedef struct {
    uint64_t *l1;
    uint32_t size;
    uint64_t off;
    bool active;
} Tree;

typedef int TreeStep(Check *c, Tree *t);

static int each_tree(Check *c, TreeStep *step)
{
    Qcow2 *q = c->q;
    Tree active = { q->l1, q->l1_size, q->l1_offset, true };
    int ret = step(c, &active);

    for (uint32_t i = 0; i < q->snapshot_count && ret == 0; i++) {
        const Snapshot *s = &q->snapshots[i];
        AUTO_FREE uint64_t *l1 = NULL;
        Tree t = { NULL, s->l1_size, s->l1_offset, false };

        if (l1_read(q, s->l1_offset, s->l1_size, &l1) < 0) {
            c->r->check_errors++;
            continue;
        }
        t.l1 = l1;
        ret = step(c, &t);
    }
    return ret;
}

static int l1_change(Check *c, Tree *t, uint32_t i, uint64_t entry)
{
    uint8_t bytes[8];

    if (t->active) {
        l1_set(c->q, i, entry);
        return 0;
    }
    t->l1[i] = entry;
    put_be64(bytes, entry);
    return node_pwrite(c->q->node->file, bytes, 8, t->off + 8 * (uint64_t)i);
}

static const char *l1_fault(Check *c, uint64_t entry, uint64_t *good)
{
    uint64_t off = entry & L1_OFFSET, cluster = off >> c->q->cluster_bits;
    const char *fault = NULL;

    *good = entry & ~L1_RESERVED;
    if (!off || !is_metadata_aligned(c->q, off))
        fault = "is not the start of a cluster";
    else if (!check_in_file(c, off, c->q->cluster))
        fault = "is beyond the end of the file";
    else if (c->kinds[cluster] == CLUSTER_FIXED)
        fault = "overlaps with metadata";
    else if (c->kinds[cluster] == CLUSTER_OTHER && read_table(c, off) == 0 && !plausible_table(c))
        fault = "is not an L2 table";
    if (fault)
        *good = 0;
    return fault ? fault : entry & L1_RESERVED ? "has reserved bits set" : NULL;
}

static int claim_tables(Check *c, Tree *t)
{
    int ret = 0;

    for (uint32_t i = 0; i < t->size && ret == 0; i++) {
        uint64_t good, entry = t->l1[i];
        const char *fault = entry ? l1_fault(c, entry, &good) : NULL;

        if (fault && check_found(c, "L1 entry %" PRIu32 " (0x%" PRIx64 ") %s", i, entry, fault))
            ret = l1_change(c, t, i, good);
        if (entry && good)
            c->kinds[(good & L1_OFFSET) >> c->q->cluster_bits] = CLUSTER_L2;
    }
    return ret;
}

/* ---- L2 tables ----------------------------------------------------------------------------- */

static void count_fragments(Check *c, uint64_t entry)
{
    uint64_t pos = entry & L2_OFFSET;

    c->r->allocated_clusters++;
    if (entry & L2_COMPRESSED) {
        c->r->compressed_clusters++;
        c->r->fragmented_clusters++;
        return;
    }
    c->r->fragmented_clusters += c->next_data && c->next_data != pos;
    c->next_data = pos + c->q->cluster;
}

/* True if the entry was changed. */
static bool count_entry(Check *c, uint8_t *at, bool active)
{
    uint64_t good, entry = get_be64(at), pos;
    const char *fault = entry_fault(c, entry, &good);
    uint32_t len = c->q->cluster;
    bool change = fault && check_found(c, "L2 entry 0x%" PRIx64 " %s", entry, fault);

    if (change)
        put_be64(at, good);
    pos = good & L2_OFFSET;
    if (good & L2_COMPRESSED)
        packed_place(c->q, good, &pos, &len);
    if (pos) {
        check_refer(c, pos, len);
        if (active)
            count_fragments(c, good);
    }
    return change;
}

static int count_table(Check *c, uint64_t off, bool active)
{
    bool changed = false;

    check_refer(c, off, c->q->cluster);
    if (read_table(c, off) < 0)
        return 0;
    for (uint32_t k = 0; k < l2_entries(c->q); k++)
        if (get_be64(c->table + 8 * k))
            changed |= count_entry(c, c->table + 8 * k, active);
    if (!changed)
        return 0;
    cache_forget(&c->q->l2_cache, off);
    return node_pwrite(c->q->node->file, c->table, c->q->cluster, off);
}

/* Where the L2 table of an entry is, if claim_tables() found it good; else 0. */
static uint64_t good_table(const Check *c, uint64_t entry)
{
    uint64_t off = entry & L1_OFFSET;

    return off && is_metadata_aligned(c->q, off) && check_in_file(c, off, c->q->cluster) &&
                   c->kinds[off >> c->q->cluster_bits] == CLUSTER_L2
               ? off
               : 0;
}

static int count_tree(Check *c, Tree *t)
{
    int ret = 0;

    for (uint32_t i = 0; i < t->size && ret == 0; i++) {
        uint64_t off = good_table(c, t->l1[i]);

        if (off && counts_full(c, off, c->q->cluster)) {
            if (check_found(
                    c, "L2 table of L1 entry %" PRIu32 " has more owners than can be counted", i))
                ret = l1_change(c, t, i, 0);
        } else if (off) {
            ret = count_table(c, off, t->active);
        }
    }
    return ret;
}

int check_trees(Check *c)
{
    int ret = each_tree(c, claim_tables);

    return ret == 0 ? each_tree(c, count_tree) : ret;
}

/* ---- the "copied" flags -------------------------------------------------------------------- */

/*
 * The flag says that there is exactly one reference. With more it is dangerous, without it a write
 * only copies needlessly. A count that is too high (a leak, as a crash may leave it) says nothing:
 * its repair brings count and flag together.
 */
static int check_flag(Check *c, uint64_t entry, uint64_t off, const char *what)
{
    uint64_t i = off >> c->q->cluster_bits, stored;
    int ret = check_stored(c, i, &stored);
    bool wrong = entry & ENTRY_COPIED ? c->refs[i] > 1 : c->refs[i] == 1 && stored == 1;

    if (ret == 0 && wrong)
        check_found(c, "OFLAG_COPIED %s: entry=0x%" PRIx64 " refcount=%" PRIu32, what, entry,
                    c->refs[i]);
    return ret;
}

static int check_table_flags(Check *c, uint64_t off)
{
    int ret = read_table(c, off) < 0 ? -EIO : 0;

    for (uint32_t k = 0; k < l2_entries(c->q) && ret == 0; k++) {
        uint64_t entry = get_be64(c->table + 8 * k), pos = entry & L2_OFFSET;

        if (!(entry & L2_COMPRESSED) && pos && check_in_file(c, pos, c->q->cluster))
            ret = check_flag(c, entry, pos, "data cluster");
    }
    return ret;
}

int check_copied(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t before = c->r->corruptions;
    int ret = 0;

    for (uint32_t i = 0; i < q->l1_size && ret == 0; i++) {
        uint64_t off = good_table(c, q->l1[i]);

        if (off)
            ret = check_flag(c, q->l1[i], off, "L2 cluster");
        if (off && ret == 0)
            ret = check_table_flags(c, off);
    }
    bool fix = (c->fix & CHECK_FIX_ERRORS && c->r->corruptions > before) ||
               (c->fix && c->r->leaks_fixed && c->r->corruptions == c->r->corruptions_fixed);
    return ret == 0 && fix ? tree_fix_copied(q) : ret;
}
