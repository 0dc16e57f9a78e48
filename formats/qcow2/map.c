/*
 * map.c - where guest offsets lie: looking up.
 *
 * "Cluster mapping". publish.c changes it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "formats/qcow2/entry.h"

void packed_place(const Qcow2 *q, uint64_t entry, uint64_t *pos, uint32_t *len)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry >> shift & ((UINT64_C(1) << (q->cluster_bits - 8)) - 1)) + 1;

    *pos = entry & ((UINT64_C(1) << shift) - 1);
    *len = (uint32_t)(sectors * 512 - (*pos & 511));
}

/* Does the entry go on where a run of `kind` from `first`, `n` clusters before, ends? */
static bool continues(const Qcow2 *q, L2Entry first, L2Entry next, uint64_t n, ExtentKind kind)
{
    uint64_t pos = first.word & L2_OFFSET;

    return (next.word & ~L2_OFFSET) == (first.word & ~L2_OFFSET) &&
           (next.word & L2_OFFSET) ==
               (entry_has_pos(q, first) ? pos + (n << q->cluster_bits) : 0) &&
           entry_kind(q, next, 0) == kind && !entry_contradicts(q, next);
}

/* How many units from unit `unit` of entry `i` on say the same. */
static uint64_t run_length(const Qcow2 *q, const uint8_t *slice, uint64_t i, unsigned unit,
                           uint64_t max)
{
    L2Entry first = entry_get(q, slice, i), next;
    ExtentKind kind = entry_kind(q, first, unit);
    uint64_t n = entry_run(q, first, unit), room = slice_entries(q) - i;

    if (kind == EXTENT_PACKED)
        return MIN(n, max);
    for (uint64_t k = 1; k < room && n < max && unit + n == k * q->units; k++) {
        next = entry_get(q, slice, i + k);
        if (!continues(q, first, next, k, kind))
            break;
        n += entry_run(q, next, 0);
    }
    return MIN(n, max);
}

/* The cluster of an entry must be one, and in a data file it must be the guest's. */
static int check_place(Qcow2 *q, L2Entry e, uint64_t off)
{
    uint64_t pos = e.word & L2_OFFSET;

    if (pos & (q->cluster - 1))
        return damage(q, "L2 entry for guest offset %" PRIu64 " is 0x%" PRIx64 ", not a cluster",
                      off, e.word);
    if (entry_contradicts(q, e))
        return damage(q,
                      "L2 entry for guest offset %" PRIu64 " is 0x%" PRIx64
                      " with the bitmap 0x%" PRIx64 ", which contradicts itself",
                      off, e.word, e.bits);
    if (q->external && pos != align_down(off, q->cluster) && entry_has_pos(q, e))
        return damage(q, "guest offset %" PRIu64 " is mapped to %" PRIu64 " in the data file", off,
                      pos);
    return 0;
}

static int describe(Qcow2 *q, L2Entry e, uint64_t off, Extent *ext)
{
    unsigned unit = (unsigned)((off & (q->cluster - 1)) / q->node->unit);

    ext->kind = entry_kind(q, e, unit);
    ext->zero = ext->kind == EXTENT_ZERO;
    if (ext->kind == EXTENT_PACKED) {
        if (q->external)
            return damage(q, "guest offset %" PRIu64 " is compressed in spite of a data file", off);
        packed_place(q, e.word, &ext->pos, &ext->packed_len);
        ext->has_pos = ext->shared = true;
        return 0;
    }
    ext->shared = entry_has_pos(q, e) && !(e.word & ENTRY_COPIED);
    ext->has_pos = entry_has_pos(q, e);
    ext->pos = ext->has_pos ? (e.word & L2_OFFSET) + (off & (q->cluster - 1)) : 0;
    return check_place(q, e, off);
}

/* No L2 table: a hole up to the next one. */
static int no_table(Qcow2 *q, uint64_t off, uint64_t len, Extent *ext)
{
    uint64_t span = l2_span(q), index = off / span, end = (index + 1) * span;

    while (end - off < len && end / span < q->l1_size && !(q->l1[end / span] & L1_OFFSET))
        end += span;
    ext->kind = EXTENT_HOLE;
    ext->len = MIN(len, end - off);
    return 0;
}

int l2_place(Qcow2 *q, uint64_t index, uint64_t *off)
{
    *off = index < q->l1_size ? q->l1[index] & L1_OFFSET : 0;
    if (*off & (q->cluster - 1))
        return damage(q, "L1 entry %" PRIu64 " is 0x%" PRIx64 ", not a cluster", index,
                      q->l1[index]);
    return 0;
}

static uint64_t slice_place(const Qcow2 *q, uint64_t table, uint64_t i)
{
    return table + (align_down(i, slice_entries(q)) << q->entry_log2);
}

int l2_slice(Qcow2 *q, uint64_t table, uint64_t i, uint8_t **slice)
{
    return cache_get(q, &q->l2_cache, slice_place(q, table, i), slice);
}

/* What the table says about `off`: the entry, how many units from there on say the same. */
static int look_up(Qcow2 *q, uint64_t table, uint64_t off, uint64_t len, L2Entry *e, uint64_t *n)
{
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1), k = i & (slice_entries(q) - 1);
    uint64_t unit = (off & (q->cluster - 1)) / q->node->unit;
    uint64_t most = (slice_entries(q) - k) * q->units - unit;
    uint64_t wanted = (off % q->node->unit + MIN(len, l2_span(q)) - 1) / q->node->unit + 1;
    uint8_t *slice;
    bool hit = false;

    pthread_mutex_lock(&q->l2_cache.lock);
    int ret = cache_get_locked(q, &q->l2_cache, slice_place(q, table, i), &slice);
    if (ret == 0) {
        *e = entry_get(q, slice, k);
        *n = run_length(q, slice, k, (unsigned)unit, MIN(wanted, most));
        hit = q->node->writable && entry_kind(q, *e, (unsigned)unit) == EXTENT_DATA &&
              !q->external && meta_hit(q, e->word & L2_OFFSET, (unit + *n) * q->node->unit);
    }
    pthread_mutex_unlock(&q->l2_cache.lock);
    if (hit)
        return damage(q, "guest offset %" PRIu64 " is mapped to metadata at %" PRIu64, off,
                      e->word & L2_OFFSET);
    return ret;
}

int map_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    Qcow2 *q = node->state;
    uint64_t table, n = 0;
    L2Entry e = { 0 };
    int ret = l2_place(q, off / l2_span(q), &table);

    if (ret < 0)
        return ret;
    if (q->external && !node->data) /* opened only to be looked at */
        return -ENOMEDIUM;
    if (table == 0)
        return no_table(q, off, len, ext);
    ret = look_up(q, table, off, len, &e, &n);
    if (ret == 0)
        ret = describe(q, e, off, ext);
    if (ret < 0)
        return ret;
    ext->len = MIN(len, n * node->unit - off % node->unit);
    return 0;
}
