/*
 * measure.c - how large a qcow2 image would get: its tables and counts, and the source's data.
 *
 * The sums are those of a finished image in which every L2 table exists, so that they bound what
 * `create` and `convert` make; the specification's "General" says which parts a file has.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/bitmap.h"
#include "formats/qcow2/qcow2.h"

enum { L1_ENTRY = 8, REFTABLE_ENTRY = 8, BITMAP_TABLE_ENTRY = 8, BITMAP_DIR_ENTRY = 24 };

/* Refcount blocks and table for `clusters` others; they count themselves, too. */
static uint64_t count_clusters(const Qcow2Shape *s, uint64_t clusters)
{
    uint64_t counts = s->cluster * 8 / s->refcount_bits, blocks = 0, table = 0, before;

    do {
        before = blocks + table;
        blocks = div_round_up(clusters + before, counts);
        table = div_round_up(blocks, s->cluster / REFTABLE_ENTRY);
    } while (blocks + table != before);
    return before;
}

/* Header, L1 and L2 tables, and all counts of an image in which each cluster is allocated. */
static uint64_t metadata_bytes(const Qcow2Shape *s)
{
    uint64_t clusters = div_round_up(s->size, s->cluster);
    uint64_t l2 = div_round_up(clusters, s->cluster / s->entry);
    uint64_t l1 = div_round_up(l2, s->cluster / L1_ENTRY);
    uint64_t tables = 1 + l2 + l1;

    return (tables + count_clusters(s, tables + clusters)) * s->cluster;
}

/* Bytes of the new image's clusters that hold data of the source, through its whole chain. */
static int data_bytes(const Qcow2Shape *s, Node *src, uint64_t *bytes, Error **err)
{
    uint64_t size = node_size(src), counted = 0; /* up to here the cluster is in *bytes already */
    Extent ext;

    *bytes = 0;
    for (uint64_t off = 0; off < size; off += ext.len) {
        int ret = node_extent_above(src, NULL, off, size - off, &ext);

        if (ret < 0)
            return error_set(err, ret, "%s: cannot tell what is at offset %" PRIu64 ": %s",
                             node_filename(src), off, strerror(-ret));
        if (ext.zero || (ext.kind != EXTENT_DATA && ext.kind != EXTENT_PACKED))
            continue;
        uint64_t start = MAX(align_down(off, s->cluster), counted);
        counted = align_up(off + ext.len, s->cluster);
        *bytes += counted > start ? counted - start : 0;
    }
    return 0;
}

/* Copies of all bitmaps of `src`, with every bit's cluster allocated ("Bitmaps extension"). */
static int bitmap_bytes(const Qcow2Shape *s, Node *src, uint64_t *bytes, Error **err)
{
    uint64_t directory = 0;
    BitmapInfo *list;
    size_t count;
    int ret = node_bitmap_list(src, &list, &count, err);

    *bytes = 0;
    for (size_t i = 0; ret == 0 && i < count; i++) {
        uint64_t bits = div_round_up(node_size(src), list[i].granularity);
        uint64_t clusters = div_round_up(div_round_up(bits, 8), s->cluster);

        *bytes += clusters * s->cluster + align_up(clusters * BITMAP_TABLE_ENTRY, s->cluster);
        directory += align_up(BITMAP_DIR_ENTRY + strlen(list[i].name), 8);
    }
    *bytes += align_up(directory, s->cluster);
    if (ret == 0)
        bitmap_list_free(list, count);
    return ret;
}

int qcow2_measure(Options *options, Node *src, MeasureInfo *info, Error **err)
{
    Qcow2Shape s;
    uint64_t data = 0;

    if (src) /* the content says how large the disk is */
        options_set_u64(options, "size", node_size(src));
    int ret = qcow2_shape(options, &s, err);
    if (ret < 0)
        return ret;
    s.size = align_up(s.size, s.cluster);
    if (s.all_data || (src && s.overlay)) /* how much the source shares with it is not known */
        data = s.size;
    else if (src)
        ret = data_bytes(&s, src, &data, err);
    info->fully_allocated = s.crypto + metadata_bytes(&s) + s.size;
    info->required = info->fully_allocated - s.size + data;
    info->has_bitmaps = s.v3 && src && src->driver->bitmaps;
    if (ret == 0 && info->has_bitmaps)
        ret = bitmap_bytes(&s, src, &info->bitmaps, err);
    return ret;
}
