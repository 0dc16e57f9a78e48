/*
 * data.c - the external data file: guest data beside the metadata, each cluster at its guest
 * offset.
 *
 * "External data file name" (a header extension). The name is looked for in the image's folder and
 * then, since other programs mean that, in the current one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/qcow2/qcow2.h"

enum { MAX_DATA_NAME = 4096 };

char *data_file_name(const Qcow2 *q)
{
    for (const Extension *e = q->extensions; e; e = e->next)
        if (e->type == EXT_DATA_FILE && e->len <= MAX_DATA_NAME)
            return strndup((const char *)e->data, e->len);
    return NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

static char *find_data_file(const Node *node, const char *name)
{
    AUTO_FREE char *path = path_resolve(node_filename(node), name);

    if (path && access(path, F_OK) < 0 && access(name, F_OK) == 0)
        return strdup(name);
    return take(&path);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The name that the image has, unless the user says which file it is. */
static int open_named(Qcow2 *q, Options *options, const char *name, Error **err)
{
    Node *node = q->node;

    if (options_has(options, "data-file"))
        return node_open_child(node, options, "data-file", NULL, false, node->flags, &node->data,
                               err);
    if (!name || !*name)
        return error_set(err, -EINVAL,
                         "the image keeps its data in another file, but does not name it: give the "
                         "option 'data-file'");
    int ret = node_may_open(node, name, err);
    if (ret < 0)
        return ret;
    AUTO_FREE char *path = find_data_file(node, name);
    ret = path ? node_open_child(node, options, "data-file", path, false, node->flags, &node->data,
                                 err)
               : -ENOMEM;
    return ret < 0 ? error_prefix(err, ret, "data file '%s'", name) : 0;
}

int data_open(Qcow2 *q, Options *options, Error **err)
{
    Node *node = q->node;
    AUTO_FREE char *name = data_file_name(q);

    if (!q->external && options_has(options, "data-file"))
        return error_set(err, -EINVAL,
                         "option 'data-file' is only for images that have an external data file");
    if (!q->external)
        return 0;
    if (q->snapshot_count)
        return error_set(err, -EINVAL,
                         "qcow2 header: nb_snapshots at offset 60 is %" PRIu32
                         ", but an image with a data file has none",
                         q->snapshot_count);
    if (node->flags & OPEN_NO_DATA && !options_has(options, "data-file"))
        return 0;
    int ret = open_named(q, options, name, err);
    if (ret == 0 && same_file(node_filename(node->data), node_filename(node)))
        ret = error_set(err, -EINVAL, "the image names itself as its data file");
    return ret;
}

/* ---- creating ------------------------------------------------------------------------------ */

static int refuse_overwrite(const char *filename, const char *name, const char *backing,
                            Error **err)
{
    AUTO_FREE char *base = backing ? path_resolve(filename, backing) : NULL;

    if (strcmp(filename, name) == 0 || same_file(filename, name))
        return error_set(err, -EINVAL, "the image and its data file are the same file");
    if (base && same_file(base, name))
        return error_set(err, -EINVAL, "the data file and the backing file are the same file");
    return 0;
}

/* The name to record: as given, if it means the same file from the image's folder. */
static char *name_to_record(const char *filename, const char *name)
{
    AUTO_FREE char *path = path_resolve(filename, name);

    return path && same_file(path, name) ? strdup(name) : realpath(name, NULL);
}

int data_create(const char *filename, const char *name, const char *backing, uint64_t size,
                Prealloc prealloc, char **record, Error **err)
{
    AUTO_NODE Node *data = NULL;
    bool existed = access(name, F_OK) == 0;
    int ret = refuse_overwrite(filename, name, backing, err);

    if (ret == 0 && strlen(name) > MAX_DATA_NAME)
        ret = error_set(err, -ENAMETOOLONG, "the data file's name is too long");
    if (ret < 0)
        return ret;
    ret = node_create_file(name, &data, err);
    if (ret == 0)
        ret = node_resize(data, size, prealloc == PREALLOC_METADATA ? PREALLOC_OFF : prealloc, true,
                          err);
    if (ret == 0 && !(*record = name_to_record(filename, name)))
        ret = error_set(err, -errno, "cannot find the data file again");
    if (ret < 0 && !existed)
        unlink(name);
    return ret < 0 ? error_prefix(err, ret, "data file '%s'", name) : 0;
}

/* ---- resizing ------------------------------------------------------------------------------ */

/* What the file has behind the disk's old end does not become part of the disk. */
int data_resize(Qcow2 *q, uint64_t old, uint64_t size, Prealloc prealloc, Error **err)
{
    Node *data = q->node->data;
    uint64_t behind = MIN(node_size(data), size);

    if (behind > old) {
        int ret = node_pwrite_zeroes(data, old, behind - old, REQ_MAY_UNMAP);

        if (ret < 0)
            return error_set(err, ret, "cannot clear the end of the data file: %s", strerror(-ret));
    }
    if (node_size(data) == size)
        return 0;
    int ret =
        node_resize(data, size, prealloc == PREALLOC_METADATA ? PREALLOC_OFF : prealloc, true, err);
    return ret < 0 ? error_prefix(err, ret, "data file") : 0;
}
