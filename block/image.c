/*
 * image.c - operations on whole images: information, check, resize, snapshots.
 *
 * Each is the driver's under the change lock; a missing one is refused with one sentence.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "block/graph.h"

static int unsupported(const Node *node, const char *what, Error **err)
{
    return error_set(err, -ENOTSUP, "format '%s' has no %s", node->driver->name, what);
}

static int need_write(const Node *node, Error **err)
{
    return node->writable ? 0 : error_set(err, -EACCES, "the image is open read-only");
}

/* Give an error without a sentence one. */
static int explain(int ret, const char *what, Error **err)
{
    if (ret < 0 && err && !*err)
        error_set(err, ret, "%s: %s", what, strerror(-ret));
    return ret;
}

/* OPERATION(feature, call): the driver's `feature` under the lock, for images that we may write */
#define CHANGE(node, feature, what, call)                                                          \
    ({                                                                                             \
        int ret_ = (node)->driver->feature ? need_write(node, err) : unsupported(node, what, err); \
        if (ret_ == 0) {                                                                           \
            pthread_mutex_lock(&(node)->change_lock);                                              \
            ret_ = explain((node)->driver->call, what, err);                                       \
            unpacked_invalidate(&(node)->unpacked);                                                \
            pthread_mutex_unlock(&(node)->change_lock);                                            \
        }                                                                                          \
        ret_;                                                                                      \
    })

static uint64_t disk_size(Node *node)
{
    if (node->driver->disk_size)
        return node->driver->disk_size(node);
    return (node->file ? disk_size(node->file) : 0) + (node->data ? disk_size(node->data) : 0);
}

int node_info(Node *node, ImageInfo *info, Error **err)
{
    *info = (ImageInfo) {
        .virtual_size = node_size(node),
        .disk_size = disk_size(node),
        .cluster_size = node_skip_filters(node)->cluster,
        .backing_file = node->backing_file,
        .backing_format = node->backing_format,
        .full_backing_file = node->full_backing_file,
        .vmstate_offset = node->driver->vmstate_offset ? node->driver->vmstate_offset(node) : 0,
    };
    return node->driver->info ? node->driver->info(node, info, err) : 0;
}

void node_limits(const Node *node, NodeLimits *limits)
{
    const Node *bottom = node;

    while (bottom->file)
        bottom = bottom->file;
    *limits = (NodeLimits) {
        .request_alignment = MAX(bottom->align, 1U),
        .discard_alignment = MAX(node->cluster, bottom->align),
        .write_zeroes_alignment = MAX(node->cluster, bottom->align),
        .max_iov = IOV_MAX,
        .memory_alignment = MAX(bottom->align, 1U),
    };
}

json_t *node_format_info(Node *node)
{
    return node->driver->format_info ? node->driver->format_info(node) : NULL;
}

/* What a longer image shows behind its old end must be zeros, not the rest of the backing file. */
static int hide_backing(Node *node, uint64_t old, uint64_t size)
{
    uint64_t end = node->backing ? MIN(node_size(node->backing), size) : size;

    if (!node->backing_file && !node->backing)
        return 0;
    return end > old ? node_pwrite_zeroes(node, old, end - old, REQ_MAY_UNMAP) : 0;
}

/*
 * The part of the last cluster that the disk did not have before: a data file ends where the disk
 * does, and what it gets there is zeros in the file, not in the disk.
 */
static int clear_grown(Node *node, uint64_t old, uint64_t size)
{
    uint64_t end = MIN(align_up(old, node->cluster), size);

    return node->sealed && node->data && end > old ? node_pwrite_zeroes(node, old, end - old, 0)
                                                   : 0;
}

/* The last cluster keeps its bytes behind a new, smaller end: clear them. */
static int clear_tail(Node *node, uint64_t size)
{
    uint64_t end = node->cluster ? MIN(align_up(size, node->cluster), node_size(node)) : size;

    return end > size && node->driver->publish ? node_pwrite_zeroes(node, size, end - size, 0) : 0;
}

int node_resize(Node *node, uint64_t size, Prealloc prealloc, bool shrink, Error **err)
{
    uint64_t old = node_size(node);
    int ret = 0;

    if (size > NODE_MAX_SIZE)
        return error_set(err, -EFBIG, "%" PRIu64 " bytes are more than 2^63-1", size);
    if (size < old && !shrink)
        return error_set(err, -EINVAL, "shrinking would lose data; say --shrink to do it anyway");
    if (!node->driver->resize && node->driver->is_filter)
        return node_resize(node->file, size, prealloc, shrink, err);
    if (node->writable && size < old)
        ret = clear_tail(node, size);
    if (ret == 0)
        ret = CHANGE(node, resize, "way to change its size", resize(node, size, prealloc, err));
    if (ret == 0 && size > old)
        ret = hide_backing(node, old, size);
    if (ret == 0 && size > old && node->cluster)
        ret = clear_grown(node, old, size);
    return explain(ret, "resize", err);
}

int node_check(Node *node, unsigned fix, CheckReport *report, void *opaque, CheckResult *result,
               Error **err)
{
    *result = (CheckResult) { 0 };
    if (!node->driver->check)
        return error_set(err, -ENOTSUP, "This image format does not support checks");
    if (fix && !node->writable)
        return need_write(node, err);
    pthread_mutex_lock(&node->change_lock);
    int ret = node->driver->check(node, fix, report, opaque, result, err);
    pthread_mutex_unlock(&node->change_lock);
    return explain(ret, "check", err);
}

int node_change_backing_file(Node *node, const char *file, const char *format, Error **err)
{
    int ret =
        CHANGE(node, change_backing, "backing files", change_backing(node, file, format, err));

    if (ret < 0)
        return ret;
    free(node->backing_file);
    free(node->backing_format);
    node->backing_file = file ? strdup(file) : NULL;
    node->backing_format = file && format ? strdup(format) : NULL;
    return node_resolve_backing(node, err);
}

int node_make_empty(Node *node, Error **err)
{
    return CHANGE(node, make_empty, "way to drop its data", make_empty(node, err));
}

static bool can_amend(const Node *node, const char *option)
{
    for (const OptionDesc *o = node->driver->amend_options; o && o->name; o++)
        if (strcmp(o->name, option) == 0)
            return true;
    return false;
}

int node_amend(Node *node, Options *options, bool force, Progress *progress, Error **err)
{
    AUTO_OPTIONS Options *o = options;
    uint64_t size = node_size(node);
    int ret = can_amend(node, "size") ? options_take_size(o, "size", &size, err) : 0;

    if (ret == 0)
        ret = CHANGE(node, amend, "options that can be amended",
                     amend(node, o, force, progress, err));
    return ret == 0 && size != node_size(node) ? node_resize(node, size, PREALLOC_OFF, true, err)
                                               : ret;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

int node_snapshot_list(Node *node, SnapshotInfo **list, size_t *count, Error **err)
{
    *list = NULL;
    *count = 0;
    if (!node->driver->snapshot_list)
        return 0;
    return node->driver->snapshot_list(node, list, count, err);
}

void snapshot_list_free(SnapshotInfo *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].id);
        free(list[i].name);
    }
    free(list);
}

int node_snapshot_create(Node *node, const SnapshotInfo *info, Error **err)
{
    return CHANGE(node, snapshot_create, "internal snapshots", snapshot_create(node, info, err));
}

int node_snapshot_apply(Node *node, const char *id_or_name, Error **err)
{
    return CHANGE(node, snapshot_apply, "internal snapshots",
                  snapshot_apply(node, id_or_name, err));
}

int node_snapshot_delete(Node *node, const char *id_or_name, Error **err)
{
    return CHANGE(node, snapshot_delete, "internal snapshots",
                  snapshot_delete(node, id_or_name, err));
}

int node_snapshot_load(Node *node, const char *id_or_name, Error **err)
{
    if (!node->driver->snapshot_load)
        return unsupported(node, "internal snapshots", err);
    if (node->writable)
        return error_set(err, -EINVAL, "a snapshot can only be looked at read-only");
    unpacked_invalidate(&node->unpacked);
    return explain(node->driver->snapshot_load(node, id_or_name, err), "load snapshot", err);
}

static bool vmstate_range(Node *node, size_t len, uint64_t off, uint64_t *start)
{
    return node->driver->vmstate_offset && off < NODE_MAX_SIZE / 2 && len < NODE_MAX_SIZE / 4 &&
           (*start = node->driver->vmstate_offset(node)) < NODE_MAX_SIZE / 4;
}

int node_vmstate_pwrite(Node *node, const void *buf, size_t len, uint64_t off)
{
    struct iovec iov = { (void *)buf, len };
    uint64_t start;

    if (!vmstate_range(node, len, off, &start))
        return -ENOTSUP;
    node_event(node->file, EVENT_VMSTATE_SAVE);
    return node->writable ? node_write_mapped(node, &iov, 1, start + off, len) : -EACCES;
}

int node_vmstate_pread(Node *node, void *buf, size_t len, uint64_t off)
{
    struct iovec iov = { buf, len };
    uint64_t start;

    if (!vmstate_range(node, len, off, &start))
        return -ENOTSUP;
    node_event(node->file, EVENT_VMSTATE_LOAD);
    return node_read_mapped(node, &iov, 1, start + off, len);
}
