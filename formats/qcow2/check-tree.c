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

#include "formats/qcow2/entry.h"

/* So many bad entries, and more than good ones, are no damage of a table, but no table. */
enum { STRANGE_ENTRIES = 5 };

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

/* What an entry becomes whose cluster cannot be what it says: it reads as zeros. */
static L2Entry nothing(const Qcow2 *q)
{
    if (!q->node->backing_file || q->version < 3)
        return (L2Entry) { 0, 0 };
    return q->units > 1 ? (L2Entry) { 0, entry_bits(0, UINT32_MAX) } : (L2Entry) { L2_ZERO, 0 };
}

/* In a data file each cluster is at its guest offset; the entry says only if it is there. */
static const char *external_fault(const Check *c, L2Entry e, uint64_t guest, L2Entry *good)
{
    uint64_t flags = c->q->units > 1 ? 0 : e.word & L2_ZERO;

    if (entry_packed(e)) {
        *good = nothing(c->q);
        return "is compressed, in spite of a data file";
    }
    if (!entry_has_pos(c->q, e) || (e.word & ~L2_ZERO) == (guest | ENTRY_COPIED))
        return NULL;
    *good = (L2Entry) { guest | ENTRY_COPIED | flags, e.bits };
    return (e.word & L2_OFFSET) != guest ? "is not at its guest offset in the data file"
                                         : "lacks the copied flag";
}

/* An entry's own fields; where it points to is judged by place_fault(). */
static const char *word_fault(const Check *c, L2Entry e, L2Entry *good)
{
    uint64_t reserved = L2_RESERVED | (c->q->units > 1 || c->q->version < 3 ? L2_ZERO : 0);

    if (entry_packed(e)) {
        *good = (L2Entry) { e.word & ~ENTRY_COPIED, 0 };
        return e.word & ENTRY_COPIED ? "has the copied flag, but is compressed"
               : e.bits              ? "has a bitmap, but is compressed"
                                     : NULL;
    }
    if (e.word & reserved) {
        good->word = e.word & ~reserved;
        return "has reserved bits set";
    }
    if (!entry_contradicts(c->q, e))
        return NULL;
    good->bits = entry_has_pos(c->q, e) ? e.bits & ~entry_bits(entry_zero(e), 0)
                                        : entry_bits(0, entry_zero(e) | entry_alloc(e));
    return "has a bitmap that contradicts itself";
}

/* What is wrong with the L2 entry of a guest cluster, or NULL; *good becomes what it should be. */
static const char *entry_fault(const Check *c, L2Entry e, uint64_t guest, L2Entry *good)
{
    const Qcow2 *q = c->q;
    uint64_t pos = e.word & L2_OFFSET;
    uint32_t len = q->cluster;

    *good = e;
    const char *wrong = NULL, *fault = word_fault(c, e, good);
    if (q->external) {
        wrong = external_fault(c, *good, guest, good);
        return wrong ? wrong : fault;
    }
    if (entry_packed(e))
        packed_place(q, e.word, &pos, &len);
    if (pos == 0 && !entry_packed(e))
        return fault;
    wrong = entry_packed(e) || is_metadata_aligned(q, pos) ? place_fault(c, pos, len)
                                                           : "is not the start of a cluster";
    if (wrong)
        *good = nothing(q);
    return wrong ? wrong : fault;
}

/* A data cluster that a damaged L1 entry points to looks like a table of bad entries. */
static bool plausible_table(const Check *c, uint64_t guest)
{
    uint32_t good = 0, bad = 0;
    L2Entry value;

    for (uint32_t i = 0; i < l2_entries(c->q); i++, guest += c->q->cluster) {
        L2Entry e = entry_get(c->q, c->table, i);

        if (e.word || e.bits)
            *(entry_fault(c, e, guest, &value) ? &bad : &good) += 1;
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

/* One L1 table: the active one or a snapshot's. Changes are written at once. */
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

    t->l1[i] = entry;
    put_be64(bytes, entry);
    return node_pwrite(c->q->node->file, bytes, 8, t->off + 8 * (uint64_t)i);
}

static const char *l1_fault(Check *c, uint32_t i, uint64_t entry, uint64_t *good)
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
    else if (c->kinds[cluster] == CLUSTER_OTHER && read_table(c, off) == 0 &&
             !plausible_table(c, i * l2_span(c->q)))
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
        const char *fault = entry ? l1_fault(c, i, entry, &good) : NULL;

        if (fault && check_found(c, "L1 entry %" PRIu32 " (0x%" PRIx64 ") %s", i, entry, fault))
            ret = l1_change(c, t, i, good);
        if (entry && good)
            c->kinds[(good & L1_OFFSET) >> c->q->cluster_bits] = CLUSTER_L2;
    }
    return ret;
}

/* ---- L2 tables ----------------------------------------------------------------------------- */

static void count_fragments(Check *c, L2Entry e)
{
    uint64_t pos = e.word & L2_OFFSET;

    c->r->allocated_clusters++;
    if (entry_packed(e)) {
        c->r->compressed_clusters++;
        c->r->fragmented_clusters++;
        return;
    }
    c->r->fragmented_clusters += c->next_data && c->next_data != pos;
    c->next_data = pos + c->q->cluster;
}

/* Entry `i` of c->table, which maps `guest`; true if it was changed. */
static bool count_entry(Check *c, uint32_t i, uint64_t guest, bool active)
{
    L2Entry good, e = entry_get(c->q, c->table, i);
    const char *fault = entry_fault(c, e, guest, &good);
    uint32_t len = c->q->cluster;
    bool change = fault && check_found(c, "L2 entry 0x%" PRIx64 " %s", e.word, fault);

    if (change)
        entry_put(c->q, c->table, i, good);
    uint64_t pos = good.word & L2_OFFSET;
    if (entry_packed(good))
        packed_place(c->q, good.word, &pos, &len);
    if (pos && !c->q->external)
        check_refer(c, pos, len);
    if (active && (pos || entry_has_pos(c->q, good)))
        count_fragments(c, good);
    return change;
}

static int count_table(Check *c, uint64_t off, uint64_t guest, bool active)
{
    bool changed = false;

    check_refer(c, off, c->q->cluster);
    if (read_table(c, off) < 0)
        return 0;
    for (uint32_t i = 0; i < l2_entries(c->q); i++, guest += c->q->cluster) {
        L2Entry e = entry_get(c->q, c->table, i);

        if (e.word || e.bits)
            changed |= count_entry(c, i, guest, active);
    }
    if (!changed)
        return 0;
    cache_forget_cluster(c->q, &c->q->l2_cache, off);
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
            ret = count_table(c, off, i * l2_span(c->q), t->active);
        }
    }
    return ret;
}

/* A header that names a wrong place: to drop all that is no entry there would lose the disk. */
static int refuse_strange_l1(Check *c, Error **err)
{
    const Qcow2 *q = c->q;
    uint32_t good = 0, bad = 0;
    uint64_t value;

    for (uint32_t i = 0; i < q->l1_size; i++)
        if (q->l1[i])
            *(l1_fault(c, i, q->l1[i], &value) ? &bad : &good) += 1;
    if (bad <= good || (bad < STRANGE_ENTRIES && !c->l1_doubtful))
        return 0;
    c->r->check_errors++;
    return error_set(err, -EINVAL,
                     "qcow2 header: l1_table_offset at offset 40 is %" PRIu64
                     ", but there is no L1 table (%" PRIu32 " of %" PRIu32
                     " entries cannot be right): this cannot be repaired",
                     q->l1_offset, bad, bad + good);
}

int check_trees(Check *c, Error **err)
{
    int ret = refuse_strange_l1(c, err);

    if (ret == 0)
        ret = each_tree(c, claim_tables);
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
    int ret = c->q->external ? 0 : read_table(c, off) < 0 ? -EIO : 0;

    for (uint32_t i = 0; i < l2_entries(c->q) && ret == 0 && !c->q->external; i++) {
        L2Entry e = entry_get(c->q, c->table, i);
        uint64_t pos = e.word & L2_OFFSET;

        if (!entry_packed(e) && pos && check_in_file(c, pos, c->q->cluster))
            ret = check_flag(c, e.word, pos, "data cluster");
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
