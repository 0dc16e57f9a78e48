/*
 * bitmap.h - dirty bitmaps: which parts of an image were written since the bitmap was made.
 *
 * One bit stands for `granularity` bytes (a power of two, 512 bytes to 2 GiB). A bitmap that is
 * enabled gets the bits of everything that is written, zeroed or discarded through the node. A
 * format stores them in the image (qcow2); one that was not stored properly is `inconsistent`: it
 * can only be removed. The calls need that no request is in flight, as node.h says of image
 * operations; node_bitmap_extent() may run beside reads.
 */
#ifndef BLOCK_BITMAP_H
#define BLOCK_BITMAP_H

#include "block/node.h"

#define BITMAP_MIN_GRANULARITY UINT64_C(512)
#define BITMAP_MAX_GRANULARITY (UINT64_C(1) << 31)

typedef struct BitmapInfo {
    char *name;
    uint64_t granularity;
    bool enabled;      /* "auto": writes are recorded */
    bool inconsistent; /* "in-use" on disk: some writes were not recorded */
} BitmapInfo;

/* -ENOTSUP from all that change: the format keeps no bitmaps. */
int node_bitmap_list(Node *node, BitmapInfo **list, size_t *count, Error **err);
void bitmap_list_free(BitmapInfo *list, size_t count);

/* One bitmap by its name; info->name stays NULL. -ENOENT: there is none. */
int node_bitmap_find(Node *node, const char *name, BitmapInfo *info, Error **err);

/* granularity 0: 64 KiB, or the cluster size if that is smaller but at least 4 KiB */
int node_bitmap_add(Node *node, const char *name, uint64_t granularity, bool enabled, Error **err);
int node_bitmap_remove(Node *node, const char *name, Error **err);
int node_bitmap_clear(Node *node, const char *name, Error **err);
int node_bitmap_enable(Node *node, const char *name, bool enabled, Error **err);
/* Set in `name` all that is set in `src_name` of `src` (maybe the same node). */
int node_bitmap_merge(Node *node, const char *name, Node *src, const char *src_name, Error **err);

/* Is `off` dirty, and how far (1..len in *run) is that the answer? -ENOENT: no such bitmap. */
int node_bitmap_extent(Node *node, const char *name, uint64_t off, uint64_t len, bool *dirty,
                       uint64_t *run);

/* How many bytes are dirty. */
int node_bitmap_count(Node *node, const char *name, uint64_t *dirty_bytes);

/*
 * Copy all bitmaps of `from` to `to` (of the same size). Inconsistent ones are an error, or are
 * left out with a call of `skipped` for each. node_bitmaps_copyable() says beforehand, while `to`
 * is still empty, whether that can work.
 */
typedef void BitmapSkipped(const char *name);
int node_bitmaps_copy(Node *to, Node *from, bool skip_broken, BitmapSkipped *skipped, Error **err);
int node_bitmaps_copyable(Node *to, Node *from, bool skip_broken, Error **err);

#endif
