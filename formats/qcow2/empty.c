/*
 * empty.c - publishing that nothing is there: zeroes and discards.
 *
 * "Cluster mapping", "Extended L2 Entries". A request changes one slice of an L2 table at a time.
 */
#include <errno.h>

#include "formats/qcow2/publish.h"

#define EMPTY_CUT (1u << 31) /* beside REQ_*: the entry goes, and what is below does not show */

typedef struct {
    ExtentKind kind;
    unsigned flags;
    bool below;     /* is there a backing file that would show through a hole? */
    bool give_back; /* space that holds nothing any more is freed */
} Emptying;

static L2Entry emptied_cluster(const Qcow2 *q, L2Entry e, const Emptying *how)
{
    ExtentKind old = entry_kind(q, e, 0);

    if (old == EXTENT_HOLE && (!how->below || how->kind == EXTENT_HOLE))
        return e;
    if (how->kind == EXTENT_ZERO && !how->give_back && q->version >= 3 && e.word & ENTRY_COPIED &&
        (old == EXTENT_DATA || old == EXTENT_ZERO))
        return (L2Entry) { e.word | L2_ZERO, 0 }; /* the space stays */
    if (how->kind == EXTENT_ZERO && old == EXTENT_ZERO && !how->give_back)
        return e;
    return (L2Entry) { how->below && q->version >= 3 ? L2_ZERO : 0, 0 };
}

static L2Entry emptied_units(const Qcow2 *q, L2Entry e, uint32_t units, const Emptying *how)
{
    uint32_t alloc = entry_alloc(e), zero = entry_zero(e);

    if (entry_packed(e) && units != UINT32_MAX)
        return e;
    if (entry_packed(e))
        return (L2Entry) { 0, entry_bits(0, how->below ? UINT32_MAX : 0) };
    if (how->kind == EXTENT_ZERO && how->below)
        zero |= units;
    else if (how->kind == EXTENT_ZERO || how->below)
        zero |= units & alloc;
    alloc &= ~units;
    if (alloc == 0 && (how->give_back || !owns_space(q, e)))
        return (L2Entry) { 0, entry_bits(0, how->below ? zero : 0) };
    return (L2Entry) { e.word, entry_bits(alloc, zero) };
}

/* What an entry becomes when these units are to read as zeros, or are not needed any more. */
static L2Entry emptied(const Qcow2 *q, L2Entry e, uint32_t units, const Emptying *how)
{
    if (how->flags & EMPTY_CUT)
        return (L2Entry) { 0, 0 };
    return q->units > 1 ? emptied_units(q, e, units, how) : emptied_cluster(q, e, how);
}

/* A compressed cluster is zeroed whole or, by the caller, by writing it anew. */
static bool splits_packed(const Qcow2 *q, L2Entry e, uint32_t units)
{
    return entry_packed(e) && q->units > 1 && units != UINT32_MAX;
}

/* Is there an entry that would change? -ENOTSUP if one cannot. */
static int would_change(Qcow2 *q, const uint8_t *slice, uint64_t off, uint64_t len,
                        const Emptying *how)
{
    uint64_t k = off >> q->cluster_bits & (slice_entries(q) - 1), end = off + len, next;
    bool change = false;

    for (; off < end; off = next, k++) {
        uint32_t units = units_of(q, off, end - off, &next);
        L2Entry e = slice ? entry_get(q, slice, k) : (L2Entry) { 0, 0 };

        if (how->kind == EXTENT_ZERO && splits_packed(q, e, units))
            return -ENOTSUP;
        change = change || !entry_same(emptied(q, e, units, how), e);
    }
    return change;
}

/* One slice's part of a ZERO or HOLE request. It is only taken for change if it changes. */
static int empty_in_slice(Qcow2 *q, uint64_t off, uint64_t len, const Emptying *how)
{
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1), k = i & (slice_entries(q) - 1);
    uint64_t end = off + len, table, next;
    uint8_t *slice = NULL;
    int ret = l2_place(q, off / l2_span(q), &table);

    if (ret == 0 && table)
        ret = l2_slice(q, table, i, &slice);
    if (ret == 0)
        ret = would_change(q, slice, off, len, how);
    if (ret <= 0)
        return ret;
    ret = slice_for_change(q, off, clusters_of(q, off, len), &slice);
    for (; off < end && ret == 0; off = next, k++) {
        uint32_t units = units_of(q, off, end - off, &next);
        L2Entry old = entry_get(q, slice, k), new = emptied(q, old, units, how);

        entry_put(q, slice, k, new);
        if (!(new.word &L2_OFFSET))
            drop_entry(q, old, FREE_REQUEST);
    }
    return ret;
}

/* The data file: one that must be the whole disk gets the zeros, another one gives the space back.
 */
static int empty_data_file(Qcow2 *q, uint64_t off, uint64_t len, const Emptying *how)
{
    uint64_t end = MIN(off + len, node_size(q->node->data));

    if (off >= end || how->flags & EMPTY_CUT)
        return 0;
    if (q->raw)
        return node_pwrite_zeroes(q->node->data, off, end - off, how->flags & REQ_MAY_UNMAP);
    return how->give_back && q->pass_discard & 1u << FREE_REQUEST
               ? node_discard(q->node->data, off, end - off)
               : 0;
}

int publish_empty(Qcow2 *q, uint64_t off, uint64_t len, ExtentKind kind, unsigned flags)
{
    Emptying how = { .kind = kind, .flags = flags };
    int ret = 0;

    how.below = q->node->backing_file || q->node->backing;
    how.give_back = (kind == EXTENT_HOLE || flags & REQ_MAY_UNMAP) && !q->raw;
    if (q->raw && !(flags & EMPTY_CUT))
        how.kind = EXTENT_ZERO; /* its table stays complete */
    if (q->version < 3 && !(flags & EMPTY_CUT) && how.below)
        return -ENOTSUP; /* v2 cannot say "zero": the backing file would show through */
    if (q->external && q->raw)
        ret = empty_data_file(q, off, len, &how);
    for (uint64_t at = off; at < off + len && ret == 0;) {
        uint64_t part = MIN(off + len - at, slice_span(q) - at % slice_span(q));

        ret = empty_in_slice(q, at, part, &how);
        if (ret == 0)
            ret = commit_if_crowded(q);
        at += part;
    }
    if (ret == 0 && q->external && !q->raw)
        ret = empty_data_file(q, off, len, &how);
    return ret;
}

int map_cut(Qcow2 *q, uint64_t off, uint64_t len)
{
    return publish_empty(q, off, len, EXTENT_HOLE, EMPTY_CUT);
}
