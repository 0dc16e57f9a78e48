/*
 * serve-open.c - what is served: images, parts of them, snapshots, overlays; and the last flush.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <string.h>

#include "base/math.h"
#include "block/bitmap.h"
#include "block/nbd/proto.h"
#include "img-tool/serve.h"

static bool is_writable(const Serve *s)
{
    return (s->writable && !s->read_only && !s->load) || s->temporary;
}

static unsigned open_flags(const Serve *s)
{
    bool unmap = s->discard && (strcmp(s->discard, "unmap") == 0 || strcmp(s->discard, "on") == 0);
    unsigned flags = unmap ? OPEN_UNMAP : 0;

    if (s->detect_zeroes && strcmp(s->detect_zeroes, "off") != 0)
        flags |= OPEN_DETECT_ZEROES;
    if (s->detect_zeroes && strcmp(s->detect_zeroes, "unmap") == 0)
        flags |= OPEN_DETECT_UNMAP;
    return flags | (is_writable(s) && !s->temporary ? OPEN_RDWR : 0);
}

/* Writes go to an overlay that nobody sees: the image stays as it is. */
static int put_overlay(Node **node, Error **err)
{
    Node *overlay;
    int ret = node_open_temporary_overlay(*node, &overlay, err);

    if (ret < 0)
        return ret;
    node_unref(*node);
    *node = overlay;
    return 0;
}

static int check_bitmap(Node *node, const char *name, Error **err)
{
    BitmapInfo info;
    int ret = node_bitmap_find(node, name, &info, err);

    if (ret == 0 && info.inconsistent)
        return error_set(err, -EINVAL, "bitmap '%s' is inconsistent: it can only be removed", name);
    return ret;
}

static int prepare_export(Serve *s, NbdServedExport *e, Error **err)
{
    uint64_t size = node_size(e->node);

    if (s->offset > size)
        return error_set(err, -EINVAL,
                         "the offset %" PRIu64 " is beyond the end of the image (%" PRIu64 ")",
                         s->offset, size);
    e->off = s->offset;
    e->size = size - s->offset;
    e->writable = node_writable(e->node);
    e->description = s->description;
    e->allocation_depth = s->depth;
    e->bitmaps = s->bitmaps;
    e->n_bitmaps = s->n_bitmaps;
    for (size_t i = 0; i < s->n_bitmaps; i++) {
        int ret = check_bitmap(e->node, s->bitmaps[i], err);

        if (ret < 0)
            return ret;
    }
    return 0;
}

static int open_export(Serve *s, const char *filename, NbdServedExport *e)
{
    Error *err = NULL;
    int ret = 0;

    e->node = open_image(&s->common, filename, s->common.format, s->common.cache, open_flags(s));
    if (!e->node)
        return 1;
    if (node_probed(e->node) && strcmp(node_format(e->node), "raw") == 0 && is_writable(s))
        complain(
            "warning: the format of '%s' was guessed to be raw; who writes to it could make it "
            "look like another one: say -f raw",
            filename);
    if (s->load)
        ret = load_snapshot(e->node, s->load, &err);
    if (ret == 0 && s->temporary)
        ret = put_overlay(&e->node, &err);
    if (ret == 0)
        ret = prepare_export(s, e, &err);
    return ret < 0 ? fail(err, ret) : 0;
}

/* One image has the name "" unless -x gives another; several have those of their files. */
static const char *default_name(char *filename, int argc)
{
    return argc == 1 ? "" : basename(filename);
}

static int check_name(const Serve *s, const char *name)
{
    if (strlen(name) > NBD_MAX_STRING)
        return usage_error(s->cmd, "an export's name has more than %d bytes", NBD_MAX_STRING);
    for (size_t i = 0; i < s->n_exports; i++)
        if (strcmp(s->exports[i].name, name) == 0)
            return usage_error(s->cmd, "two exports would have the name '%s': -x names them", name);
    return 0;
}

int serve_open(Serve *s, int argc, char **argv)
{
    if (s->n_names > (size_t)argc)
        return usage_error(s->cmd, "there are more names (-x) than images");
    for (int i = 0; i < argc; i++) {
        NbdServedExport *e = &s->exports[i];

        if (open_export(s, argv[i], e) != 0) {
            s->n_exports++; /* what is open of it is to be closed */
            return 1;
        }
        e->name = (size_t)i < s->n_names ? s->names[i] : default_name(argv[i], argc);
        if (check_name(s, e->name) != 0) {
            s->n_exports++;
            return 1;
        }
        s->n_exports++;
    }
    return 0;
}

int serve_flush(Serve *s)
{
    int code = 0;

    for (size_t i = 0; i < s->n_exports; i++) {
        int ret = node_flush(s->exports[i].node);

        if (ret < 0) {
            complain("%s: cannot flush: %s", node_filename(s->exports[i].node), strerror(-ret));
            code = 1;
        }
    }
    return code;
}

void serve_close(Serve *s)
{
    for (size_t i = 0; i < s->n_exports; i++)
        node_unref(s->exports[i].node);
}
