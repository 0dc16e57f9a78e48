/*
 * bitmap.c - dirty bitmaps: the driver's operations under the change lock, and merging over them.
 */
#include "block/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "block/driver.h"

enum { DEFAULT_GRANULARITY = 65536, LEAST_DEFAULT_GRANULARITY = 4096 };

/* The node that has the bitmaps of what is seen through filters. */
static Node *keeper(Node *node)
{
    while (node->driver->is_filter && !node->driver->bitmaps && node->file)
        node = node->file;
    return node;
}

static int can_change(Node *node, Error **err)
{
    if (!node->driver->bitmaps)
        return error_set(err, -ENOTSUP, "format '%s' keeps no dirty bitmaps", node->driver->name);
    return node->writable ? 0 : error_set(err, -EACCES, "the image is open read-only");
}

/* One operation of the driver on a bitmap that may be changed, under the lock. */
#define CHANGE(node, call)                                                                         \
    ({                                                                                             \
        int ret_ = can_change(node, err);                                                          \
        if (ret_ == 0) {                                                                           \
            pthread_mutex_lock(&(node)->change_lock);                                              \
            ret_ = (node)->driver->bitmaps->call;                                                  \
            pthread_mutex_unlock(&(node)->change_lock);                                            \
        }                                                                                          \
        ret_;                                                                                      \
    })

int node_bitmap_list(Node *node, BitmapInfo **list, size_t *count, Error **err)
{
    node = keeper(node);
    *list = NULL;
    *count = 0;
    return node->driver->bitmaps ? node->driver->bitmaps->list(node, list, count, err) : 0;
}

void bitmap_list_free(BitmapInfo *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

int node_bitmap_find(Node *node, const char *name, BitmapInfo *info, Error **err)
{
    BitmapInfo *list;
    size_t count;
    int ret = node_bitmap_list(node, &list, &count, err);

    *info = (BitmapInfo) { 0 };
    if (ret < 0)
        return ret;
    ret = -ENOENT;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            *info = list[i];
            info->name = NULL;
            ret = 0;
        }
    }
    bitmap_list_free(list, count);
    return ret == 0 ? 0 : error_set(err, ret, "Dirty bitmap '%s' not found", name);
}

static uint64_t default_granularity(const Node *node)
{
    if (node->cluster == 0)
        return DEFAULT_GRANULARITY;
    return MAX((uint64_t)LEAST_DEFAULT_GRANULARITY,
               MIN((uint64_t)DEFAULT_GRANULARITY, (uint64_t)node->cluster));
}

int node_bitmap_add(Node *node, const char *name, uint64_t granularity, bool enabled, Error **err)
{
    node = keeper(node);
    if (granularity == 0)
        granularity = default_granularity(node);
    if (!is_pow2(granularity) || granularity < BITMAP_MIN_GRANULARITY ||
        granularity > BITMAP_MAX_GRANULARITY)
        return error_set(err, -EINVAL,
                         "Granularity must be power of 2 and at least 512, at most 2 GiB");
    return CHANGE(node, add(node, name, granularity, enabled, err));
}

int node_bitmap_remove(Node *node, const char *name, Error **err)
{
    node = keeper(node);
    return CHANGE(node, remove(node, name, err));
}

int node_bitmap_clear(Node *node, const char *name, Error **err)
{
    node = keeper(node);
    return CHANGE(node, clear(node, name, err));
}

int node_bitmap_enable(Node *node, const char *name, bool enabled, Error **err)
{
    node = keeper(node);
    return CHANGE(node, enable(node, name, enabled, err));
}

/* Can the bitmap be read? */
static int check_usable(Node *node, const char *name, Error **err)
{
    BitmapInfo info;
    int ret = node_bitmap_find(node, name, &info, err);

    if (ret == 0 && info.inconsistent)
        return error_set(err, -EINVAL,
                         "Bitmap '%s' is inconsistent and cannot be used: it can only be removed",
                         name);
    return ret;
}

static int copy_bits(Node *node, const char *name, Node *src, const char *src_name, Error **err)
{
    uint64_t size = node_size(src), run;
    int ret = 0;

    for (uint64_t off = 0; off < size && ret == 0; off += run) {
        bool dirty;

        ret = node_bitmap_extent(src, src_name, off, size - off, &dirty, &run);
        if (ret < 0)
            return error_set(err, ret, "cannot read the bitmap '%s': %s", src_name, strerror(-ret));
        if (dirty)
            ret = node->driver->bitmaps->set(node, name, off, run, err);
    }
    return ret;
}

int node_bitmap_merge(Node *node, const char *name, Node *src, const char *src_name, Error **err)
{
    node = keeper(node);
    int ret = can_change(node, err);

    if (ret == 0)
        ret = check_usable(node, name, err);
    if (ret == 0)
        ret = check_usable(src, src_name, err);
    if (ret < 0)
        return ret;
    if (node_size(node) != node_size(src))
        return error_set(err, -EINVAL,
                         "Bitmaps are of different sizes (destination size is %" PRIu64
                         " and source size is %" PRIu64 ") and can't be merged",
                         node_size(node), node_size(src));
    pthread_mutex_lock(&node->change_lock);
    ret = copy_bits(node, name, src, src_name, err);
    int stored = node->driver->bitmaps->store(node, ret == 0 ? err : NULL);
    pthread_mutex_unlock(&node->change_lock);
    return ret == 0 ? stored : ret;
}

int node_bitmap_extent(Node *node, const char *name, uint64_t off, uint64_t len, bool *dirty,
                       uint64_t *run)
{
    node = keeper(node);
    if (!node->driver->bitmaps)
        return -ENOENT;
    if (len == 0 || off >= node_size(node) || len > node_size(node) - off)
        return -EINVAL;
    return node->driver->bitmaps->extent(node, name, off, len, dirty, run);
}

int node_bitmap_count(Node *node, const char *name, uint64_t *dirty_bytes)
{
    uint64_t size = node_size(node), run;
    int ret = 0;

    *dirty_bytes = 0;
    for (uint64_t off = 0; off < size && ret == 0; off += run) {
        bool dirty;

        ret = node_bitmap_extent(node, name, off, size - off, &dirty, &run);
        if (ret == 0 && dirty)
            *dirty_bytes += run;
    }
    return ret;
}

/* ---- copying between images ---------------------------------------------------------------- */

static int copy_one(Node *to, Node *from, const BitmapInfo *b, Error **err)
{
    int ret = node_bitmap_add(to, b->name, b->granularity, false, err);

    if (ret == 0)
        ret = node_bitmap_merge(to, b->name, from, b->name, err);
    return ret == 0 && b->enabled ? node_bitmap_enable(to, b->name, true, err) : ret;
}

static int refuse_inconsistent(const BitmapInfo *b, Error **err)
{
    return error_set(err, -EINVAL,
                     "Cannot copy inconsistent bitmap '%s': use --skip-broken-bitmaps, or "
                     "remove it",
                     b->name);
}

int node_bitmaps_copy(Node *to, Node *from, bool skip_broken, BitmapSkipped *skipped, Error **err)
{
    BitmapInfo *list;
    size_t count;
    int ret = node_bitmap_list(from, &list, &count, err);

    for (size_t i = 0; i < count && ret == 0; i++) {
        if (!list[i].inconsistent)
            ret = copy_one(to, from, &list[i], err);
        else if (skip_broken)
            skipped(list[i].name);
        else
            ret = refuse_inconsistent(&list[i], err);
    }
    bitmap_list_free(list, count);
    return ret;
}

int node_bitmaps_copyable(Node *to, Node *from, bool skip_broken, Error **err)
{
    BitmapInfo *list;
    size_t count;
    int ret = node_bitmap_list(from, &list, &count, err);

    if (ret == 0 && count && !keeper(to)->driver->bitmaps)
        ret = error_set(err, -ENOTSUP, "Format driver '%s' does not support bitmaps",
                        node_format(to));
    for (size_t i = 0; i < count && ret == 0 && !skip_broken; i++)
        if (list[i].inconsistent)
            ret = refuse_inconsistent(&list[i], err);
    bitmap_list_free(list, count);
    return ret;
}
