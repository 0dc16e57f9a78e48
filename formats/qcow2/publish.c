/*
 * publish.c - reserving space for guest data, and publishing new answers (zeroes: empty.c).
 *
 * "Cluster mapping". A reservation never crosses the end of a slice of an L2 table, so publishing
 * data changes one slice and happens whole or not at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "formats/qcow2/publish.h"

static uint64_t packed_entry(const Qcow2 *q, uint64_t pos, uint32_t len)
{
    uint64_t sectors = ((pos + len - 1) >> 9) - (pos >> 9);

    return L2_COMPRESSED | sectors << (62 - (q->cluster_bits - 8)) | pos;
}

/* ---- tables to change ---------------------------------------------------------------------- */

/* Large tables are cached in slices; a new one is written at once, as nothing refers to it yet. */
static int write_new_table(Qcow2 *q, uint64_t old, uint64_t off)
{
    int ret = 0;

    if (!old)
        return node_pwrite_zeroes(q->node->file, off, q->cluster, 0);
    for (uint64_t i = 0; i < l2_entries(q) && ret == 0; i += slice_entries(q)) {
        uint8_t *slice;

        ret = l2_slice(q, old, i, &slice);
        if (ret == 0)
            ret = node_pwrite(q->node->file, slice, q->l2_cache.bytes, off + (i << q->entry_log2));
    }
    return ret;
}

/* A table that is one slice stays in memory until the next commit. */
static int make_new_table(Qcow2 *q, uint64_t old, uint64_t off)
{
    AUTO_FREE uint8_t *copy = malloc(q->cluster);
    uint8_t *table;
    int ret = copy ? 0 : -ENOMEM;

    if (ret == 0 && old) {
        ret = l2_slice(q, old, 0, &table);
        if (ret == 0)
            memcpy(copy, table, q->cluster);
    }
    if (ret == 0)
        ret = cache_new(&q->l2_cache, off, &table);
    if (ret == 0 && old)
        memcpy(table, copy, q->cluster);
    return ret;
}

/* A table for L1 entry `index`: empty, or a copy of `old`, which belongs to a snapshot, too. */
static int new_table(Qcow2 *q, uint64_t index, uint64_t old, uint64_t *off)
{
    if (old)
        node_event(q->node->file, EVENT_L2_ALLOC_COW_READ);
    int ret = alloc_metadata(q, 1, off);
    if (ret < 0)
        return ret;
    cache_forget_cluster(q, &q->l2_cache, *off);
    ret = q->l2_cache.bytes < q->cluster ? write_new_table(q, old, *off)
                                         : make_new_table(q, old, *off);
    if (ret < 0) {
        free_later(q, *off, q->cluster);
        return ret;
    }
    if (old)
        free_later(q, old, q->cluster);
    l1_set(q, (uint32_t)index, *off | ENTRY_COPIED);
    return 0;
}

int slice_for_change(Qcow2 *q, uint64_t off, uint64_t n, uint8_t **slice)
{
    uint64_t index = off / l2_span(q), i = off >> q->cluster_bits & (l2_entries(q) - 1), place;
    uint64_t k = i & (slice_entries(q) - 1);
    int ret = 0;

    if (index >= QCOW2_MAX_L1_BYTES / 8)
        return -EFBIG;
    if (index >= q->l1_size) /* machine state lies behind the guest's disk */
        ret = l1_move(q, (uint32_t)index + 1);
    if (ret == 0)
        ret = l2_place(q, index, &place);
    if (ret == 0 && (!place || !(q->l1[index] & ENTRY_COPIED)))
        ret = new_table(q, index, place, &place);
    if (ret == 0)
        ret = l2_slice(q, place, i, slice);
    if (ret == 0)
        cache_dirty(&q->l2_cache, place + ((i - k) << q->entry_log2),
                    (uint32_t)(k << q->entry_log2), (uint32_t)((k + n) << q->entry_log2));
    return ret;
}

int drop_entry(Qcow2 *q, L2Entry e, FreeReason why)
{
    uint64_t pos = e.word & L2_OFFSET;
    uint32_t len = q->cluster;

    if (q->external)
        return 0;
    if (entry_packed(e))
        packed_place(q, e.word, &pos, &len);
    if (pos && meta_hit(q, pos, len))
        return damage(q, "L2 entry 0x%" PRIx64 " refers to metadata", e.word);
    return pos ? free_because(q, pos, len, why) : 0;
}

uint32_t units_of(const Qcow2 *q, uint64_t off, uint64_t len, uint64_t *next)
{
    uint64_t start = off & (q->cluster - 1), unit = q->node->unit;
    uint64_t end = MIN(start + len, (uint64_t)q->cluster);
    uint64_t below_end = (UINT64_C(1) << end / unit) - 1, below = (UINT64_C(1) << start / unit) - 1;

    *next = off - start + q->cluster;
    return (uint32_t)(below_end & ~below);
}

/* ---- reserving ----------------------------------------------------------------------------- */

bool owns_space(const Qcow2 *q, L2Entry e)
{
    return entry_has_pos(q, e) && e.word & ENTRY_COPIED;
}

/*
 * How far from `off`, at most `len`, the entries have space of their own (*pos: where, in a row) or
 * have none.
 */
static int own_run(Qcow2 *q, uint64_t off, uint64_t *len, uint64_t *pos, bool *own)
{
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1), k = i & (slice_entries(q) - 1);
    uint64_t end = align_up(off + 1, q->cluster), table;
    uint8_t *slice;
    int ret = l2_place(q, off / l2_span(q), &table);

    *own = false;
    if (ret < 0 || !table || (ret = l2_slice(q, table, i, &slice)) < 0)
        return ret;
    L2Entry first = entry_get(q, slice, k);
    *own = owns_space(q, first);
    *pos = first.word & L2_OFFSET;
    for (uint64_t n = 1; end < off + *len; n++, end += q->cluster) {
        L2Entry e = entry_get(q, slice, k + n);

        if (owns_space(q, e) != *own ||
            (*own && (e.word & L2_OFFSET) != *pos + (n << q->cluster_bits)))
            break;
    }
    *len = MIN(*len, end - off);
    if (*own && (!is_metadata_aligned(q, *pos) ||
                 meta_hit(q, *pos, align_up((off & (q->cluster - 1)) + *len, q->cluster))))
        return damage(q, "guest offset %" PRIu64 " has its space at %" PRIu64 ", in metadata", off,
                      *pos);
    return 0;
}

static int reserve_data(Qcow2 *q, uint64_t off, uint64_t len, Extent *place)
{
    uint64_t skip = off & (q->cluster - 1), unused, pos;
    bool own;

    len = MIN(len, slice_span(q) - off % slice_span(q));
    int ret = own_run(q, off, &len, &pos, &own);
    if (ret < 0)
        return ret;
    place->len = len;
    place->kept = own;
    unused = q->high_water << q->cluster_bits;
    if (!own)
        ret = alloc_clusters(q, div_round_up(skip + len, q->cluster), &pos);
    place->pos = pos + skip;
    place->fresh = !own && q->node->file->zero_init && pos >= unused && !q->node->sealed;
    return ret;
}

int map_reserve(Node *node, uint64_t off, uint64_t len, Extent *place)
{
    Qcow2 *q = node->state;
    int ret = q->broken ? -EIO : commit_if_crowded(q);

    if (ret < 0)
        return ret;
    place->has_pos = true;
    if (place->kind == EXTENT_PACKED) {
        place->len = len;
        return q->external ? -ENOTSUP : alloc_packed(q, (uint32_t)len, &place->pos);
    }
    if (!q->external)
        return reserve_data(q, off, len, place);
    place->pos = off;
    place->len = MIN(len, slice_span(q) - off % slice_span(q));
    place->kept = true;
    return 0;
}

int map_release(Node *node, const Extent *place)
{
    Qcow2 *q = node->state;
    uint64_t len = place->kind == EXTENT_PACKED ? place->packed_len : place->len;

    return place->kept ? 0 : free_later(q, place->pos, len);
}

/* ---- publishing data ----------------------------------------------------------------------- */

uint64_t clusters_of(const Qcow2 *q, uint64_t off, uint64_t len)
{
    return ((off + len - 1) >> q->cluster_bits) - (off >> q->cluster_bits) + 1;
}

/* `units` of the cluster that is now at `pos` hold data; the others are as they were. */
static L2Entry with_data(const Qcow2 *q, L2Entry e, uint64_t pos, uint32_t units)
{
    uint64_t bits = entry_packed(e) ? 0 : e.bits;

    if (q->units > 1)
        bits = (bits | units) & ~entry_bits(0, units);
    return (L2Entry) { pos | ENTRY_COPIED, bits };
}

static int publish_data(Qcow2 *q, uint64_t off, uint64_t len, const Extent *place)
{
    uint64_t k = off >> q->cluster_bits & (slice_entries(q) - 1), end = off + len, next;
    uint64_t pos = align_down(place->pos, q->cluster);
    uint8_t *slice;
    int ret = slice_for_change(q, off, clusters_of(q, off, len), &slice);

    for (; off < end && ret == 0; off = next, k++, pos += q->cluster) {
        uint32_t units = units_of(q, off, end - off, &next);
        L2Entry old = entry_get(q, slice, k);

        entry_put(q, slice, k, with_data(q, old, pos, units));
        if (!place->kept)
            drop_entry(q, old, FREE_OTHER); /* at worst it leaks */
    }
    return ret;
}

static int publish_packed(Qcow2 *q, uint64_t off, const Extent *place)
{
    uint64_t k = off >> q->cluster_bits & (slice_entries(q) - 1);
    uint8_t *slice;
    int ret = slice_for_change(q, off, 1, &slice);

    if (ret < 0)
        return ret;
    node_event(q->node->file, EVENT_L2_UPDATE_COMPRESSED);
    L2Entry old = entry_get(q, slice, k);
    entry_put(q, slice, k, (L2Entry) { packed_entry(q, place->pos, place->packed_len), 0 });
    drop_entry(q, old, FREE_OTHER);
    return 0;
}

/* ---- publishing any kind -------------------------------------------------------------------- */

int map_publish(Node *node, uint64_t off, uint64_t len, const Extent *place, unsigned flags)
{
    Qcow2 *q = node->state;

    if (q->broken)
        return -EIO;
    switch (place->kind) {
    case EXTENT_DATA: return publish_data(q, off, len, place);
    case EXTENT_PACKED: return publish_packed(q, off, place);
    default: return publish_empty(q, off, len, place->kind, flags);
    }
}

/* ---- preallocation ------------------------------------------------------------------------- */

/* In an extended entry the units stay as they are; elsewhere new space counts as data. */
static L2Entry with_space(const Qcow2 *q, L2Entry e, uint64_t pos, bool fresh)
{
    uint64_t zero = q->units == 1 && !fresh && q->version >= 3 ? L2_ZERO : 0;

    return (L2Entry) { pos | ENTRY_COPIED | zero, e.bits };
}

int map_preallocate(Qcow2 *q, uint64_t off, uint64_t len, uint64_t *done)
{
    Extent place = { .kind = EXTENT_DATA };
    uint64_t k = off >> q->cluster_bits & (slice_entries(q) - 1);
    uint8_t *slice;
    int ret;

    q->free_hint = MAX(q->free_hint, q->high_water); /* where nothing ever was */
    ret = map_reserve(q->node, off, len, &place);
    *done = place.len;
    if (ret < 0 || (place.kept && !q->external))
        return ret;
    if (!place.fresh && q->version < 3 && !q->external)
        ret = node_pwrite_zeroes(q->node->file, place.pos, place.len, 0);
    if (ret == 0)
        ret = slice_for_change(q, off, place.len >> q->cluster_bits, &slice);
    for (uint64_t n = 0; n < place.len >> q->cluster_bits && ret == 0; n++) {
        L2Entry old = entry_get(q, slice, k + n);

        if (entry_has_pos(q, old))
            continue;
        entry_put(q, slice, k + n,
                  with_space(q, old, place.pos + (n << q->cluster_bits),
                             (place.fresh || q->external) && !q->node->sealed));
    }
    if (ret < 0)
        map_release(q->node, &place);
    return ret;
}
