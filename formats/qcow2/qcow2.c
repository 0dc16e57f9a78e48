/*
 * qcow2.c - the qcow2 driver: opening, flushing, closing, and the table that lists its operations.
 *
 *     header.c    header, extensions          snapshot.c  internal snapshots
 *     map.c       guest offset -> cluster     tree.c      whole L1 trees
 *     publish.c   changing that               data.c      the data file
 *     refcount.c  allocation                  check.c     check and repair
 *     cache.c     tables in memory            commit.c    their way to disk
 *     meta.c      where metadata lies         pack.c      compression
 *     create.c    create, amend               bitmap*.c   dirty bitmaps
 *     resize.c    size, preallocation         options.c   options of an open image
 *     entry.h     one L2 entry                empty.c     zeroes and discards
 *     measure.c   how large an image would get
 *     crypto.c    encryption
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "formats/qcow2/crypto.h"

static int qcow2_probe(const uint8_t *buf, size_t len)
{
    return len >= 8 && get_be32(buf) == QCOW2_MAGIC && get_be32(buf + 4) >= 2 ? 100 : 0;
}

/* After a crash with lazy refcounts the counts on disk are old: count again. */
static int repair_dirty(Qcow2 *q, Error **err)
{
    CheckResult result;

    if (!(q->incompatible & INCOMPAT_DIRTY) || !q->node->writable || q->node->flags & OPEN_CHECK)
        return 0;
    int ret = qcow2_check(q->node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, err);
    if (ret == 0 && result.corruptions > result.corruptions_fixed)
        ret = error_set(err, -EIO, "the image was not closed cleanly and repairing it failed");
    return ret;
}

/* A writer that does not know an autoclear feature must say that it was here. */
static int announce_writer(Qcow2 *q)
{
    bool changed = q->autoclear & ~AUTOCLEAR_KNOWN;

    q->autoclear &= AUTOCLEAR_KNOWN;
    if (q->lazy && !(q->incompatible & INCOMPAT_DIRTY)) {
        q->incompatible |= INCOMPAT_DIRTY;
        changed = true;
    }
    if (!changed)
        return 0;
    int ret = header_update(q);
    return ret == 0 ? barrier(q) : ret;
}

static int open_tables(Qcow2 *q, Error **err)
{
    uint64_t *l1;
    int ret = l1_read(q, q->l1_offset, q->l1_size, &l1);
    if (ret == 0)
        ret = l1_adopt(q, l1, q->l1_size, q->l1_offset);
    return ret < 0 ? error_set(err, ret, "cannot read the L1 table: %s", strerror(-ret)) : 0;
}

static int qcow2_open(Node *node, Options *options, Error **err)
{
    Qcow2 *q = node->state;

    q->node = node;
    int ret = header_read(node, err);
    if (ret == 0)
        ret = options_apply(q, options, err);
    if (ret == 0)
        ret = data_open(q, options, err);
    if (ret == 0)
        ret = pack_take_level(q, options, err);
    if (ret == 0)
        ret = crypto_open(q, options, err);
    if (ret == 0)
        ret = open_tables(q, err);
    if (ret == 0)
        ret = snapshots_open(q, err);
    if (ret == 0)
        ret = bitmaps_open(q, err);
    if (ret == 0 && (node->writable || node->flags & OPEN_CHECK))
        ret = refcount_open(q, err);
    if (ret < 0 || !node->writable)
        return ret;
    ret = meta_build(q);
    if (ret < 0)
        return error_set(err, ret, "no memory for the map of metadata");
    ret = repair_dirty(q, err);
    if (ret == 0 && !(node->flags & OPEN_CHECK) && (ret = announce_writer(q)) < 0)
        error_set(err, ret, "cannot write the header: %s", strerror(-ret));
    return ret;
}

static int qcow2_flush(Node *node)
{
    return commit_metadata(node->state);
}

/* Counts that were lowered by the last flush are written; nothing refers to them any more. */
static int last_writes(Qcow2 *q)
{
    int ret = cache_write(q, &q->ref_cache, false);

    if (ret < 0 || !(q->lazy && q->incompatible & INCOMPAT_DIRTY))
        return ret;
    ret = barrier(q);
    q->incompatible &= ~INCOMPAT_DIRTY;
    return ret == 0 ? header_update(q) : ret;
}

static void qcow2_close(Node *node)
{
    Qcow2 *q = node->state;

    bitmaps_close(q);
    if (node->writable)
        discard_flush(q);
    if (node->opened && node->writable && !q->broken && last_writes(q) < 0)
        log_warning("%s: cannot write reference counts back; 'check -r leaks' gives space back",
                    node_filename(node));
    header_free(q);
    crypto_close(q);
    snapshots_free(q);
    cache_free(&q->l2_cache);
    cache_free(&q->ref_cache);
    meta_free(q);
    free(q->l1);
    free(q->l1_dirty);
    free(q->reftable);
    free(q->pending);
    free(q->discards);
}

static int qcow2_info(Node *node, ImageInfo *info, Error **err)
{
    Qcow2 *q = node->state;

    (void)err;
    info->dirty = q->incompatible & INCOMPAT_DIRTY;
    info->corrupt = q->incompatible & INCOMPAT_CORRUPT;
    info->encrypted = node->sealed;
    return 0;
}

static json_t *qcow2_format_info(Node *node)
{
    Qcow2 *q = node->state;
    json_t *data = json_object(), *info = json_object();

    json_object_set_new(data, "compat", json_string(q->version == 2 ? "0.10" : "1.1"));
    json_object_set_new(data, "compression-type",
                        json_string(q->compression == COMPRESSION_ZSTD ? "zstd" : "zlib"));
    if (q->version >= 3)
        json_object_set_new(data, "lazy-refcounts", json_boolean(q->compatible & COMPAT_LAZY));
    if (bitmaps_any(q))
        json_object_set_new(data, "bitmaps", bitmaps_info(q));
    json_object_set_new(data, "refcount-bits", json_integer(1 << q->refcount_order));
    AUTO_FREE char *name = q->external ? data_file_name(q) : NULL;
    if (name)
        json_object_set_new(data, "data-file", json_string(name));
    if (node->sealed)
        json_object_set_new(data, "encrypt", crypto_info(q));
    if (q->external)
        json_object_set_new(data, "data-file-raw", json_boolean(q->raw));
    if (q->version >= 3) {
        json_object_set_new(data, "corrupt", json_boolean(q->incompatible & INCOMPAT_CORRUPT));
        json_object_set_new(data, "extended-l2", json_boolean(q->units > 1));
    }
    json_object_set_new(info, "type", json_string("qcow2"));
    json_object_set_new(info, "data", data);
    return info;
}

static uint64_t qcow2_vmstate_offset(Node *node)
{
    Qcow2 *q = node->state;

    return max_l1_entries(q, node->size) * l2_span(q);
}

const BlockDriver qcow2_driver = {
    .name = "qcow2",
    .state_size = sizeof(Qcow2),
    .has_backing = true,
    .create_options = qcow2_create_options,
    .amend_options = qcow2_amend_options,
    .bitmaps = &qcow2_bitmap_ops,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .create = qcow2_create,
    .measure = qcow2_measure,
    .extent = map_extent,
    .reserve = map_reserve,
    .publish = map_publish,
    .release = map_release,
    .seal = crypto_seal,
    .unseal = crypto_unseal,
    .unpack = unpack_cluster,
    .pack = pack_cluster,
    .flush = qcow2_flush,
    .resize = qcow2_resize,
    .info = qcow2_info,
    .format_info = qcow2_format_info,
    .check = qcow2_check,
    .change_backing = qcow2_change_backing,
    .make_empty = qcow2_make_empty,
    .amend = qcow2_amend,
    .snapshot_list = snapshot_list,
    .snapshot_create = snapshot_create,
    .snapshot_apply = snapshot_apply,
    .snapshot_delete = snapshot_delete,
    .snapshot_load = snapshot_load,
    .vmstate_offset = qcow2_vmstate_offset,
};
