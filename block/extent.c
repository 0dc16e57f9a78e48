/*
 * extent.c - where bytes live: one node's answer, and the answer of a backing chain.
 */
#include <errno.h>
#include <string.h>

#include "base/math.h"
#include "block/driver.h"

static int check_extent(const Extent *ext, uint64_t len)
{
    if (ext->len == 0 || ext->len > len)
        return -EIO;
    if (ext->has_pos && (ext->pos > NODE_MAX_SIZE || ext->len > NODE_MAX_SIZE - ext->pos))
        return -EIO;
    return 0;
}

int node_map(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    *ext = (Extent) { .node = node };
    pthread_rwlock_rdlock(&node->map_lock);
    int ret = node->driver->extent(node, off, len, ext);
    pthread_rwlock_unlock(&node->map_lock);
    if (ret < 0)
        return ret;
    Node *below = ext->kind == EXTENT_PACKED ? node->file : node_data(node);
    ext->file = !ext->has_pos ? NULL : below ? below : node;
    return check_extent(ext, len);
}

/* A raw image or a filter says what its child says. */
static int child_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    uint64_t pos = off;

    if (node->driver->is_passthrough) {
        int ret = node_map(node, off, len, ext);

        if (ret < 0)
            return ret;
        pos = ext->pos;
        len = ext->len;
    }
    if (node->driver->is_filter && node->driver->extent)
        return node->driver->extent(node, off, len, ext);
    int ret = node->driver->is_passthrough ? node_extent_above(node->file, NULL, pos, len, ext)
                                           : node_extent(node->file, pos, len, ext);
    ext->node = node;
    ext->depth = 0;
    return ret;
}

static bool mergeable(const Extent *a, const Extent *b)
{
    return a->kind == b->kind && a->kind != EXTENT_PACKED && a->has_pos == b->has_pos &&
           a->shared == b->shared && (!a->has_pos || a->pos + a->len == b->pos);
}

/* DATA may lie in a hole of the file below: then it is known to be zero. */
static int look_below(Extent *ext)
{
    Extent below;

    if (ext->kind != EXTENT_DATA || !ext->file ||
        (!ext->file->driver->extent && !ext->file->driver->is_filter))
        return 0;
    int ret = node_extent(ext->file, ext->pos, ext->len, &below);
    if (ret == 0) {
        ext->zero = below.zero;
        ext->len = below.len;
    }
    return ret;
}

int node_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    uint64_t size = node_size(node);
    Extent next;

    if (!node_grows(node) && (off >= size || len > size - off))
        return -EINVAL;
    if (node->driver->is_passthrough || node->driver->is_filter)
        return child_extent(node, off, len, ext);
    if (!node->driver->extent) {
        *ext = (Extent) { .kind = EXTENT_DATA, .node = node, .len = len };
        return 0;
    }
    int ret = node_map(node, off, len, ext);
    while (ret == 0 && !node->driver->is_protocol && ext->len < len) {
        ret = node_map(node, off + ext->len, len - ext->len, &next);
        if (ret < 0 || !mergeable(ext, &next))
            break;
        ext->len += next.len;
    }
    if (ret < 0)
        return ret;
    if (!node->driver->is_protocol || ext->kind == EXTENT_ZERO)
        ext->zero = ext->kind == EXTENT_ZERO;
    if (node->sealed) { /* nobody else can use the bytes at `pos`, and zeros there are not zeros */
        ext->has_pos = false;
        ext->file = NULL;
        return 0;
    }
    return node->driver->is_protocol ? 0 : look_below(ext);
}

int node_extent_above(Node *node, Node *base, uint64_t off, uint64_t len, Extent *ext)
{
    Node *n = node_skip_filters(node);
    uint64_t limit = len;

    base = node_skip_filters(base);

    for (unsigned depth = 0;; depth++) {
        uint64_t size = node_size(n);

        if (depth && off >= size) { /* the overlay is longer than its backing file */
            *ext = (Extent) { .kind = EXTENT_HOLE, .zero = true, .len = limit, .node = n };
            ext->depth = depth;
            return 0;
        }
        int ret = node_extent(n, off, depth ? MIN(limit, size - off) : limit, ext);
        if (ret < 0)
            return ret;
        ext->depth = depth;
        limit = ext->len;
        if (ext->kind != EXTENT_HOLE)
            return 0;
        ext->zero = !n->backing;
        if (!n->backing || node_skip_filters(n->backing) == base)
            return 0;
        n = node_skip_filters(n->backing);
    }
}
