/*
 * open.c - from a name or options to a graph of nodes: children, probing, backing chains.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/math.h"
#include "block/graph.h"

enum { MAX_WRAPPERS = 2 };

/* The overlays above what is being opened, to find loops and to bound the depth. */
typedef struct Above {
    const struct Above *up;
    const char *path; /* real path of the overlay's file; NULL if it has none */
    unsigned depth;
} Above;

/* What is said of one node and not of those below it. */
enum { OWN_FLAGS = OPEN_WRITETHROUGH | OPEN_DETECT_ZEROES | OPEN_DETECT_UNMAP };

static int open_any(const char *filename, const char *format, Options *options, unsigned flags,
                    const Above *above, Node **out, Error **err);

int node_probe(Node *file, const char **format, Error **err)
{
    uint8_t buf[PROBE_BYTES] = { 0 };
    int best = 0, ret = node_pread(file, buf, sizeof(buf), 0);

    if (ret < 0)
        return error_set(err, ret, "cannot read the first bytes to find the format: %s",
                         strerror(-ret));
    *format = "raw";
    for (const BlockDriver *const *drv = format_drivers; *drv; drv++) {
        int score = (*drv)->probe ? (*drv)->probe(buf, MIN(node_size(file), sizeof(buf))) : 0;

        if (score > best) {
            best = score;
            *format = (*drv)->name;
        }
    }
    return 0;
}

static int detect_zeroes_option(Options *o, unsigned *flags, Error **err)
{
    static const char *const names[] = { "off", "on", "unmap", NULL };
    int mode = *flags & OPEN_DETECT_UNMAP ? 2 : *flags & OPEN_DETECT_ZEROES ? 1 : 0;
    int ret = options_take_enum(o, "detect-zeroes", names, &mode, err);

    *flags &= ~(OPEN_DETECT_ZEROES | OPEN_DETECT_UNMAP);
    if (mode)
        *flags |= OPEN_DETECT_ZEROES | (mode == 2 ? OPEN_DETECT_UNMAP : 0);
    if (ret == 0 && mode == 2 && !(*flags & OPEN_UNMAP))
        ret = error_set(err, -EINVAL, "detect-zeroes=unmap needs discard=unmap");
    return ret;
}

/* Options that every node has, turned into flags. */
static int common_options(Options *o, unsigned *flags, Error **err)
{
    static const struct {
        const char *name;
        unsigned flag;
        bool inverse;
    } table[] = {
        { "read-only", OPEN_RDWR, true },
        { "cache.direct", OPEN_DIRECT, false },
        { "cache.no-flush", OPEN_NO_FLUSH, false },
        { "cache.writeback", OPEN_WRITETHROUGH, true },
        { "force-share", OPEN_FORCE_SHARE, false },
        { "auto-read-only", OPEN_AUTO_READ_ONLY, false },
    };
    static const char *const discard[] = { "ignore", "off", "unmap", "on", NULL };
    int unmap = *flags & OPEN_UNMAP ? 2 : 0;

    free(options_take(o, "node-name")); /* nothing here refers to nodes by name */

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool set = !(*flags & table[i].flag) == table[i].inverse;
        int ret = options_take_bool(o, table[i].name, &set, err);

        if (ret < 0)
            return ret;
        *flags = set != table[i].inverse ? *flags | table[i].flag : *flags & ~table[i].flag;
    }
    int ret = options_take_enum(o, "discard", discard, &unmap, err);
    *flags = unmap >= 2 ? *flags | OPEN_UNMAP : *flags & ~OPEN_UNMAP;
    return ret < 0 ? ret : detect_zeroes_option(o, flags, err);
}

/* At the node whose driver the name's scheme means, the name becomes options, too. */
static int name_parse(const BlockDriver *drv, const char **filename, Options **options, Error **err)
{
    const char *stated = options_peek(*options, "driver");

    if (!drv->parse_name || !stated || strcmp(stated, drv->name) != 0)
        return 0;
    Options *named = options_new();
    int ret = drv->parse_name(*filename, named, err);

    options_merge(named, *options);
    *options = named;
    if (!drv->is_protocol)
        *filename = NULL; /* it named the child */
    return ret;
}

/* Merge what a "json:" name says below what the caller said explicitly; strip "file:". */
static int name_to_options(const char **filename, Options **options, Error **err)
{
    AUTO_FREE char *proto = *filename ? path_protocol(*filename) : NULL;

    if (!proto)
        return 0;
    if (strcmp(proto, "json") == 0) {
        Options *json = options_new();
        int ret = options_parse_json(json, *filename + 5, err);

        options_merge(json, *options);
        *options = json;
        *filename = NULL;
        return ret;
    }
    const BlockDriver *drv = driver_for_scheme(proto);
    if (!drv)
        return error_set(err, -EINVAL,
                         "there is no protocol '%s' (a file of this name is written ./%s)", proto,
                         *filename);
    if (strcmp(proto, "file") == 0)
        *filename += 5;
    return name_parse(drv, filename, options, err);
}

int node_open_child(Node *parent, Options *options, const char *key, const char *filename,
                    bool probe, unsigned flags, Node **child, Error **err)
{
    AUTO_OPTIONS Options *sub = options_take_sub(options, key);
    AUTO_FREE char *given = options_take(options, key);

    if ((filename || given) && options_has(sub, "filename"))
        return error_set(err, -EINVAL, "both a file name and the option '%s.filename'", key);
    if (given)
        filename = given;
    if (!filename && options_empty(sub))
        return error_set(err, -EINVAL, "driver '%s' needs a file name", parent->driver->name);
    AUTO_FREE char *proto = filename ? path_protocol(filename) : NULL;
    const BlockDriver *drv = proto ? driver_for_scheme(proto) : NULL;
    if (!probe && !options_peek(sub, "driver"))
        options_set(sub, "driver", drv ? drv->name : proto ? proto : "file");
    flags &= ~(OWN_FLAGS | OPEN_PROTOCOL_LEVEL);
    flags |= probe ? 0 : OPEN_PROTOCOL_LEVEL;
    return open_any(filename, NULL, take(&sub), flags, NULL, child, err);
}

/* The child that a format or filter sits on, from `file.*` or from the plain name. */
static int open_child(Node *node, const char *filename, Options *options, Error **err)
{
    const BlockDriver *drv = node->driver;
    const char *key = drv->child_key ? drv->child_key : "file";
    bool probe = drv->is_filter && !drv->plain_child && !(node->flags & OPEN_PROTOCOL_LEVEL);

    return node_open_child(node, options, key, filename, probe, node->flags, &node->file, err);
}

static int unpack_child(Node *node, Error **err);

static int open_driver(Node *node, const char *filename, Options *options, Error **err)
{
    const BlockDriver *drv = node->driver;
    int ret;

    if (drv->is_protocol) {
        char *own = options_take(options, "filename");

        node->filename = own ? own : filename ? strdup(filename) : NULL;
    } else if (!node->file && !drv->no_child) { /* not probed already */
        ret = open_child(node, filename, options, err);
        if (ret == 0)
            ret = unpack_child(node, err);
        if (ret < 0)
            return ret;
    }
    if (node->file)
        node->filename = strdup(node_filename(node->file));
    node->size = node->file ? node_size(node->file) : 0;
    if (node->file) {
        node->zero_init = node->file->zero_init;
        node->align = node->file->align;
    }
    if (drv->event)
        node->listener = node;
    else if (node->file && (drv->is_filter || drv->is_passthrough))
        node->listener = node->file->listener;
    ret = drv->open ? drv->open(node, options, err) : 0;
    node->opened = ret == 0;
    node->unit = node->unit ? node->unit : node->cluster;
    if (ret < 0 && !(err && *err))
        error_set(err, ret, "cannot open it as %s: %s", drv->name, strerror(-ret));
    return ret;
}

/* Put the wrapper `drv` (a compressed file) over *file; on failure *file is still there. */
static int wrap(const BlockDriver *drv, unsigned flags, Node **file, Error **err)
{
    AUTO_OPTIONS Options *none = options_new();
    Node *node = node_alloc(drv, flags);

    if (!node)
        return error_set(err, -ENOMEM, "no memory for a node");
    node->file = *file;
    int ret = open_driver(node, NULL, none, err);
    if (ret < 0) {
        node->file = NULL;
        node->writable = false;
        node_unref(node);
        return ret;
    }
    *file = node;
    return 0;
}

/* The format of *file; if it is compressed, *file becomes the unpacked content first. */
static int probe_unpacked(Node **file, unsigned flags, const char **format, Error **err)
{
    int ret = 0;

    for (int depth = 0; ret == 0; depth++) {
        ret = node_probe(*file, format, err);
        const BlockDriver *drv = ret == 0 ? driver_find(*format) : NULL;
        if (!drv || !drv->is_wrapper)
            return ret;
        if (depth == MAX_WRAPPERS)
            return error_set(err, -ELOOP, "it is compressed more than %d times", MAX_WRAPPERS);
        ret = wrap(drv, flags, file, err);
    }
    return ret;
}

/* A stated format that one can recognise may be compressed, too. */
static int unpack_child(Node *node, Error **err)
{
    const char *format;

    if (!node->driver->probe || node->driver->is_wrapper)
        return 0;
    return probe_unpacked(&node->file, node->flags, &format, err);
}

static bool in_chain(const Above *above, const char *path)
{
    for (; above; above = above->up)
        if (above->path && path && strcmp(above->path, path) == 0)
            return true;
    return false;
}

int node_resolve_backing(Node *node, Error **err)
{
    free(node->full_backing_file);
    node->full_backing_file = NULL;
    if (!node->backing_file)
        return 0;
    node->full_backing_file = path_resolve(node->filename, node->backing_file);
    return node->full_backing_file ? 0 : error_set(err, -ENOMEM, "no memory for a name");
}

/* What tells one file from another; the caller frees it. NULL: there is no such file. */
static char *unique_name(const char *name)
{
    return strstr(name, "://") ? strdup(name) : realpath(name, NULL);
}

static int open_backing(Node *node, Options *sub, const Above *above, Error **err)
{
    AUTO_OPTIONS Options *o = sub;
    AUTO_FREE char *path = node->filename ? unique_name(node->filename) : NULL;
    Above here = { above, path, above ? above->depth + 1 : 1 };
    unsigned flags = node->flags & ~(OPEN_RDWR | OPEN_CHECK | OWN_FLAGS | OPEN_PROTOCOL_LEVEL);
    bool named = options_has(o, "filename") || options_has(o, "file") || options_has(o, "driver");

    if (!named && node_may_open(node, node->backing_file, err) < 0)
        return -EPERM;
    if (here.depth > MAX_CHAIN_DEPTH)
        return error_set(err, -ELOOP, "the backing chain is longer than %d", MAX_CHAIN_DEPTH);
    const char *name = named ? NULL : node->full_backing_file;
    const char *format = named ? NULL : node->backing_format;
    AUTO_FREE char *given = named ? options_take(o, "filename") : NULL;
    AUTO_FREE char *real = unique_name(name ? name : given ? given : "");
    if (in_chain(&here, real))
        return error_set(err, -ELOOP, "the backing chain is a loop: '%s' backs itself", real);
    if (options_peek(o, "driver"))
        format = NULL;
    int ret = open_any(given ? given : name, format, take(&o), flags, &here, &node->backing, err);
    return ret < 0 ? error_prefix(err, ret, "backing file of '%s'", node->filename) : 0;
}

/* The options of the backing file, judged; *open says whether there is one to open. */
static int backing_wanted(Node *node, Options *options, Options **sub, bool *open, Error **err)
{
    bool null = options_has(options, "backing") && !options_peek(options, "backing");
    AUTO_FREE char *text = options_take(options, "backing");

    *sub = options_take_sub(options, "backing");
    if (text && *text)
        return error_set(err, -EINVAL, "option 'backing' is null or a tree, not '%s'", text);
    null = (null && options_empty(*sub)) || (text && !*text);
    bool has = node->backing_file || !options_empty(*sub);
    *open = has && !null && !(node->flags & OPEN_NO_BACKING);
    return 0;
}

static int finish_open(Node *node, Options *options, const Above *above, Error **err)
{
    AUTO_OPTIONS Options *sub = NULL;
    char who[64];
    bool open = false;

    int ret = node_resolve_backing(node, err);
    if (ret == 0)
        ret = backing_wanted(node, options, &sub, &open, err);
    snprintf(who, sizeof(who), "driver '%s'", node->driver->name);
    if (ret == 0)
        ret = options_end(options, who, err);
    if (ret == 0 && open)
        ret = open_backing(node, take(&sub), above, err);
    return ret;
}

/* Find the driver: stated, or probed over the opened child (returned in *file). */
static int choose_driver(const char *filename, const char *format, Options *options, unsigned flags,
                         const BlockDriver **drv, Node **file, Error **err)
{
    AUTO_FREE char *stated = options_take(options, "driver");
    const char *name = stated ? stated : format;

    *file = NULL;
    if (!name) {
        Node probe = { .driver = driver_find("raw"), .flags = flags };
        AUTO_FREE char *own = filename ? NULL : options_take(options, "filename");
        int ret = open_child(&probe, own ? own : filename, options, err);

        if (ret == 0)
            ret = probe_unpacked(&probe.file, flags, &name, err);
        *file = probe.file;
        if (ret < 0)
            return ret;
    }
    *drv = driver_find(name);
    return *drv ? 0 : error_set(err, -EINVAL, "there is no driver '%s'", name);
}

static int open_node(const char *filename, const char *format, Options *options, unsigned flags,
                     const Above *above, Node **out, Error **err)
{
    const BlockDriver *drv = NULL;
    Node *file;
    int ret = common_options(options, &flags, err);

    if (ret < 0)
        return ret;
    if (flags & OPEN_FORCE_SHARE && flags & OPEN_RDWR)
        return error_set(err, -EINVAL, "force-share (-U) needs a read-only node");
    ret = choose_driver(filename, format, options, flags, &drv, &file, err);
    Node *node = ret < 0 ? NULL : node_alloc(drv, flags);
    if (!node) {
        node_unref(file);
        return ret < 0 ? ret : error_set(err, -ENOMEM, "no memory for a node");
    }
    node->file = file;
    node->probed = file;
    ret = open_driver(node, filename, options, err);
    if (ret == 0)
        ret = finish_open(node, options, above, err);
    if (ret < 0) {
        node->writable = false; /* nothing to flush */
        node_unref(node);
        return ret;
    }
    *out = node;
    return 0;
}

/* For messages: the file that the options name, on whatever level. */
static const char *filename_in(const Options *o)
{
    for (size_t i = 0; i < options_count(o); i++) {
        const char *key = options_key_at(o, i), *dot = strrchr(key, '.');

        const char *last = dot ? dot + 1 : key;

        if ((strcmp(last, "filename") == 0 || strcmp(last, "url") == 0) && options_value_at(o, i))
            return options_value_at(o, i);
    }
    return "image";
}

static int open_any(const char *filename, const char *format, Options *options, unsigned flags,
                    const Above *above, Node **out, Error **err)
{
    const char *name = filename;
    Error *why = NULL;

    *out = NULL;
    int ret = name_to_options(&name, &options, &why);
    AUTO_FREE char *label = strdup(filename ? filename : filename_in(options));
    if (ret == 0)
        ret = open_node(name, format, options, flags, above, out, &why);
    options_free(options);
    if (ret < 0) { /* the innermost file's name is enough */
        if (why && strncmp(why->message, "Could not open", 14) != 0)
            error_set(err, ret, "Could not open '%s': %s", label, error_message(why, ret));
        else
            error_set(err, ret, "%s", error_message(why, ret));
        error_free(why);
    }
    return ret;
}

int node_open(const char *filename, const char *format, Options *options, unsigned flags,
              Node **out, Error **err)
{
    return open_any(filename, format, options ? options : options_new(), flags, NULL, out, err);
}

int node_open_temporary_overlay(Node *backing, Node **out, Error **err)
{
    const char *dir = getenv("TMPDIR");
    AUTO_FREE char *path = NULL;
    Options *o = options_new();

    if (asprintf(&path, "%s/overlay-XXXXXX", dir ? dir : "/var/tmp") < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    int fd = mkstemp(path);
    if (fd < 0) {
        int ret = error_set(err, -errno, "cannot make a temporary file in '%s': %s",
                            dir ? dir : "/var/tmp", strerror(errno));
        options_free(o);
        return ret;
    }
    close(fd);
    options_set_u64(o, "size", node_size(backing));
    int ret = node_create(path, "qcow2", o, 0, NULL, err);
    if (ret == 0)
        ret = node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH | OPEN_UNMAP, out, err);
    unlink(path);
    return ret < 0 ? ret : node_set_backing(*out, backing, err);
}

int node_set_backing(Node *node, Node *backing, Error **err)
{
    for (Node *n = backing; n; n = n->backing)
        if (n == node)
            return error_set(err, -ELOOP, "an image cannot back itself");
    Node *old = node->backing;
    node->backing = backing ? node_ref(backing) : NULL;
    node_unref(old);
    return 0;
}
