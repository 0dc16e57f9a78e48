/*
 * map.c - guest offsets to clusters: looking up, and publishing new answers.
 *
 * "Cluster mapping". A reservation never crosses the end of an L2 table, so publishing data changes
 * one table and happens whole or not at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

/* ---- looking up ---------------------------------------------------------------------------- */

void packed_place(const Qcow2 *q, uint64_t entry, uint64_t *pos, uint32_t *len)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry >> shift & ((UINT64_C(1) << (q->cluster_bits - 8)) - 1)) + 1;

    *pos = entry & ((UINT64_C(1) << shift) - 1);
    *len = (uint32_t)(sectors * 512 - (*pos & 511));
}

static uint64_t packed_entry(const Qcow2 *q, uint64_t pos, uint32_t len)
{
    uint64_t sectors = ((pos + len - 1) >> 9) - (pos >> 9);

    return L2_COMPRESSED | sectors << (62 - (q->cluster_bits - 8)) | pos;
}

static ExtentKind kind_of(const Qcow2 *q, uint64_t entry)
{
    if (entry & L2_COMPRESSED)
        return EXTENT_PACKED;
    if (entry & L2_ZERO && q->version >= 3)
        return EXTENT_ZERO;
    return entry & L2_OFFSET ? EXTENT_DATA : EXTENT_HOLE;
}

/* Everything of the entry that a neighbour must match; positions count up by clusters. */
static bool continues(const Qcow2 *q, uint64_t first, uint64_t next, uint64_t i)
{
    uint64_t pos = first & L2_OFFSET;

    return (next & ~L2_OFFSET) == (first & ~L2_OFFSET) &&
           (next & L2_OFFSET) == (pos ? pos + (i << q->cluster_bits) : 0);
}

static int describe(Qcow2 *q, uint64_t entry, uint64_t off, Extent *ext)
{
    uint64_t pos = entry & L2_OFFSET;

    ext->kind = kind_of(q, entry);
    ext->zero = ext->kind == EXTENT_ZERO;
    ext->shared = !(entry & ENTRY_COPIED);
    if (ext->kind == EXTENT_PACKED) {
        packed_place(q, entry, &ext->pos, &ext->packed_len);
        ext->has_pos = true;
        return 0;
    }
    if (pos & (q->cluster - 1))
        return damage(q, "L2 entry for guest offset %" PRIu64 " is 0x%" PRIx64 ", not a cluster",
                      off, entry);
    ext->has_pos = pos != 0;
    ext->pos = pos;
    return 0;
}

/* Count how many entries from `i` on say the same. */
static uint64_t run_length(const Qcow2 *q, const uint8_t *table, uint64_t i, uint64_t max)
{
    uint64_t first = get_be64(table + 8 * i), n = 1;

    if (first & L2_COMPRESSED)
        return 1;
    while (n < max && continues(q, first, get_be64(table + 8 * (i + n)), n))
        n++;
    return n;
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

static int l2_place(Qcow2 *q, uint64_t index, uint64_t *off)
{
    *off = index < q->l1_size ? q->l1[index] & L1_OFFSET : 0;
    if (*off & (q->cluster - 1))
        return damage(q, "L1 entry %" PRIu64 " is 0x%" PRIx64 ", not a cluster", index,
                      q->l1[index]);
    return 0;
}

int map_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    Qcow2 *q = node->state;
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1), skip = off & (q->cluster - 1);
    uint64_t table_off;
    uint8_t *table;
    int ret = l2_place(q, off / l2_span(q), &table_off);

    if (ret < 0)
        return ret;
    if (table_off == 0)
        return no_table(q, off, len, ext);
    pthread_mutex_lock(&q->l2_cache.lock);
    ret = cache_get_locked(q, &q->l2_cache, table_off, &table);
    uint64_t entry = 0, n = 0;
    bool hit = false;
    if (ret == 0) {
        uint64_t wanted = div_round_up(MIN(len, l2_span(q)) + skip, q->cluster);

        entry = get_be64(table + 8 * i);
        n = run_length(q, table, i, MIN(wanted, l2_entries(q) - i));
        hit = node->writable && kind_of(q, entry) == EXTENT_DATA &&
              meta_hit(q, entry & L2_OFFSET, n << q->cluster_bits);
    }
    pthread_mutex_unlock(&q->l2_cache.lock);
    if (ret == 0)
        ret = describe(q, entry, off, ext);
    if (ret < 0)
        return ret;
    ext->len = MIN(len, (n << q->cluster_bits) - skip);
    if (ext->kind == EXTENT_PACKED)
        return 0;
    if (hit)
        return damage(q, "guest offset %" PRIu64 " is mapped to metadata at %" PRIu64, off,
                      ext->pos);
    ext->pos += ext->has_pos ? skip : 0;
    return 0;
}

/* ---- tables to change ---------------------------------------------------------------------- */

static int new_table(Qcow2 *q, uint64_t index, uint64_t old, uint64_t *off, uint8_t **table)
{
    AUTO_FREE uint8_t *copy = NULL;
    int ret = 0;

    if (old) { /* the table belongs to a snapshot, too: the active one gets its own */
        node_event(q->node->file, EVENT_L2_ALLOC_COW_READ);
        ret = cache_get(q, &q->l2_cache, old, table);
        if (ret < 0)
            return ret;
        copy = malloc(q->cluster);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, *table, q->cluster);
    }
    ret = alloc_metadata(q, 1, off);
    if (ret < 0)
        return ret;
    ret = cache_new(q, &q->l2_cache, *off, table);
    if (ret < 0) {
        free_later(q, *off, q->cluster);
        return ret;
    }
    if (copy) {
        memcpy(*table, copy, q->cluster);
        free_later(q, old, q->cluster);
    }
    l1_set(q, (uint32_t)index, *off | ENTRY_COPIED);
    return 0;
}

/* The L2 table for `off`, ours alone, with the `n` entries from there on marked dirty. */
static int table_for_change(Qcow2 *q, uint64_t off, uint64_t n, uint8_t **table)
{
    uint64_t index = off / l2_span(q), i = off >> q->cluster_bits & (l2_entries(q) - 1), place;
    int ret = 0;

    if (index >= QCOW2_MAX_L1_BYTES / 8)
        return -EFBIG;
    if (index >= q->l1_size) /* machine state lies behind the guest's disk */
        ret = l1_move(q, (uint32_t)index + 1);
    if (ret == 0)
        ret = l2_place(q, index, &place);
    if (ret < 0)
        return ret;
    if (!place || !(q->l1[index] & ENTRY_COPIED))
        return new_table(q, index, place, &place, table);
    ret = cache_get(q, &q->l2_cache, place, table);
    if (ret == 0)
        cache_dirty(&q->l2_cache, place, (uint32_t)(8 * i), (uint32_t)(8 * (i + n)));
    return ret;
}

/* What an entry referred to is not referred to any more (by this entry). */
static int drop_entry(Qcow2 *q, uint64_t entry)
{
    uint64_t pos = entry & L2_OFFSET;
    uint32_t len = q->cluster;

    if (entry & L2_COMPRESSED)
        packed_place(q, entry, &pos, &len);
    if (pos && meta_hit(q, pos, len))
        return damage(q, "L2 entry 0x%" PRIx64 " refers to metadata", entry);
    return pos ? free_later(q, pos, len) : 0;
}

/* ---- reserving ----------------------------------------------------------------------------- */

/* Space that preallocated zero clusters have kept, if they are ours alone. */
static int kept_space(Qcow2 *q, uint64_t off, uint64_t len, Extent *place)
{
    Extent ext = { 0 };
    int ret = map_extent(q->node, off, len, &ext);

    if (ret < 0 || ext.kind != EXTENT_ZERO || !ext.has_pos || ext.shared ||
        meta_hit(q, ext.pos, ext.len))
        return ret < 0 ? ret : -ENOENT;
    place->pos = ext.pos;
    place->len = ext.len;
    place->kept = true;
    return 0;
}

int map_reserve(Node *node, uint64_t off, uint64_t len, Extent *place)
{
    Qcow2 *q = node->state;
    uint64_t span = l2_span(q);
    int ret = q->broken ? -EIO : commit_if_crowded(q);

    if (ret < 0)
        return ret;
    place->has_pos = true;
    if (place->kind == EXTENT_PACKED) {
        place->len = len;
        return alloc_packed(q, (uint32_t)len, &place->pos);
    }
    len = MIN(len, span - off % span);
    ret = kept_space(q, off, len, place);
    if (ret != -ENOENT)
        return ret;
    uint64_t unused = q->high_water << q->cluster_bits;
    place->len = len;
    ret = alloc_clusters(q, len >> q->cluster_bits, &place->pos);
    place->fresh = node->file->zero_init && place->pos >= unused;
    return ret;
}

int map_release(Node *node, const Extent *place)
{
    Qcow2 *q = node->state;
    uint64_t len = place->kind == EXTENT_PACKED ? place->packed_len : place->len;

    return place->kept ? 0 : free_later(q, place->pos, len);
}

/* ---- publishing ---------------------------------------------------------------------------- */

static int publish_data(Qcow2 *q, uint64_t off, uint64_t len, const Extent *place)
{
    uint64_t count = len >> q->cluster_bits, i = off >> q->cluster_bits & (l2_entries(q) - 1);
    uint8_t *table;
    int ret = table_for_change(q, off, count, &table);

    for (uint64_t n = 0; n < count && ret == 0; n++) {
        uint8_t *at = table + 8 * (i + n);
        uint64_t old = get_be64(at), pos = place->pos + (n << q->cluster_bits);

        put_be64(at, pos | ENTRY_COPIED);
        if (!place->kept)
            drop_entry(q, old); /* at worst it leaks */
    }
    return ret;
}

static int publish_packed(Qcow2 *q, uint64_t off, const Extent *place)
{
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1);
    uint8_t *table;
    int ret = table_for_change(q, off, 1, &table);

    if (ret < 0)
        return ret;
    node_event(q->node->file, EVENT_L2_UPDATE_COMPRESSED);
    uint64_t old = get_be64(table + 8 * i);
    put_be64(table + 8 * i, packed_entry(q, place->pos, place->packed_len));
    drop_entry(q, old);
    return 0;
}

#define EMPTY_CUT (1u << 31) /* beside REQ_*: the entry goes, and what is below does not show */

/* What an entry becomes when its cluster is to read as zeros, or is not needed any more. */
static uint64_t emptied(const Qcow2 *q, uint64_t entry, ExtentKind kind, unsigned flags)
{
    bool below = q->node->backing_file || q->node->backing;
    ExtentKind old = kind_of(q, entry);

    if (flags & EMPTY_CUT)
        return 0;
    if (old == EXTENT_HOLE && !below)
        return entry;
    if (old == EXTENT_HOLE && kind == EXTENT_HOLE)
        return entry;
    if (kind == EXTENT_ZERO && !(flags & REQ_MAY_UNMAP) && q->version >= 3 &&
        entry & ENTRY_COPIED && (old == EXTENT_DATA || old == EXTENT_ZERO))
        return entry | L2_ZERO; /* the space stays */
    if (kind == EXTENT_ZERO && old == EXTENT_ZERO && !(flags & REQ_MAY_UNMAP))
        return entry;
    return below && q->version >= 3 ? L2_ZERO : 0;
}

/* One table's part of a ZERO or HOLE request. The table is only taken for change if it changes. */
static int empty_in_table(Qcow2 *q, uint64_t off, uint64_t n, ExtentKind kind, unsigned flags)
{
    uint64_t i = off >> q->cluster_bits & (l2_entries(q) - 1), place, k = 0;
    uint8_t *table;
    int ret = l2_place(q, off / l2_span(q), &place);

    if (ret < 0)
        return ret;
    if (!place && emptied(q, 0, kind, flags) == 0)
        return 0;
    if (place) {
        ret = cache_get(q, &q->l2_cache, place, &table);
        while (ret == 0 && k < n) {
            uint64_t entry = get_be64(table + 8 * (i + k));

            if (emptied(q, entry, kind, flags) != entry)
                break;
            k++;
        }
    }
    if (ret < 0 || k == n)
        return ret;
    ret = table_for_change(q, off, n, &table);
    for (; k < n && ret == 0; k++) {
        uint8_t *at = table + 8 * (i + k);
        uint64_t old = get_be64(at), new = emptied(q, old, kind, flags);

        put_be64(at, new);
        if (!(new &L2_OFFSET))
            drop_entry(q, old);
    }
    return ret;
}

static int publish_empty(Qcow2 *q, uint64_t off, uint64_t len, ExtentKind kind, unsigned flags)
{
    int ret = 0;

    if (q->version < 3 && !(flags & EMPTY_CUT) && (q->node->backing_file || q->node->backing))
        return -ENOTSUP; /* v2 cannot say "zero": the backing file would show through */
    while (len && ret == 0) {
        uint64_t part = MIN(len, l2_span(q) - off % l2_span(q));

        ret = empty_in_table(q, off, part >> q->cluster_bits, kind, flags);
        if (ret == 0)
            ret = commit_if_crowded(q);
        off += part;
        len -= part;
    }
    return ret;
}

int map_cut(Qcow2 *q, uint64_t off, uint64_t len)
{
    return publish_empty(q, off, len, EXTENT_HOLE, EMPTY_CUT);
}

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
