/*
 * io-open.c - img-tool io: opening, closing and opening again with other options.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/event.h"
#include "img-tool/io.h"

enum { CACHE_FLAGS = OPEN_DIRECT | OPEN_WRITETHROUGH | OPEN_NO_FLUSH };

void io_open_free(IoOpen *how)
{
    free(how->filename);
    free(how->format);
    options_free(how->options);
    *how = (IoOpen) { 0 };
}

static IoOpen copy_of(const IoOpen *how)
{
    IoOpen copy = *how;

    copy.filename = how->filename ? strdup(how->filename) : NULL;
    copy.format = how->format ? strdup(how->format) : NULL;
    copy.options = options_copy(how->options);
    return copy;
}

int io_discard_option(IoOpen *how, const char *value)
{
    if (strcmp(value, "unmap") == 0 || strcmp(value, "on") == 0)
        how->flags |= OPEN_UNMAP;
    else if (strcmp(value, "ignore") == 0 || strcmp(value, "off") == 0)
        how->flags &= ~OPEN_UNMAP;
    else {
        complain("invalid discard option '%s': ignore (off) or unmap (on)", value);
        return -1;
    }
    return 0;
}

int io_cache_option(IoOpen *how, const char *value)
{
    unsigned flags = how->flags & ~CACHE_FLAGS;

    if (cache_mode_flags(value, &flags) < 0) {
        complain("invalid cache option '%s': none, writeback, writethrough, directsync or unsafe",
                 value);
        return -1;
    }
    how->flags = flags;
    return 0;
}

/* The options of the image become those of the child of a copy-on-read filter. */
static Options *below_filter(const IoOpen *how)
{
    Options *o = options_new();
    char key[256];

    options_set(o, "driver", "copy-on-read");
    if (how->filename)
        options_set(o, "file", how->filename);
    if (how->format)
        options_set(o, "file.driver", how->format);
    for (size_t i = 0; i < options_count(how->options); i++) {
        snprintf(key, sizeof(key), "file.%s", options_key_at(how->options, i));
        options_set(o, key, options_value_at(how->options, i));
    }
    return o;
}

static int open_node(const IoOpen *how, Node **node, Error **err)
{
    unsigned flags = how->snapshot ? how->flags & ~OPEN_RDWR : how->flags;

    if (!how->copy_on_read || how->snapshot) /* an overlay for one session needs no copies */
        return node_open(how->filename, how->format, options_copy(how->options), flags, node, err);
    if (!(flags & OPEN_RDWR))
        return error_set(err, -EINVAL, "copy-on-read needs an image that may be written");
    return node_open(NULL, NULL, below_filter(how), flags, node, err);
}

/* -s: what is written goes to a throw-away overlay. */
static int add_overlay(Node **node, Error **err)
{
    Node *top;
    int ret = node_open_temporary_overlay(*node, &top, err);

    node_unref(*node);
    *node = ret < 0 ? NULL : top;
    return ret;
}

int io_open(IoSession *s, IoOpen *how)
{
    Error *err = NULL;
    Node *node = NULL;
    int ret;

    if (how->format && !driver_exists(how->format))
        ret = error_set(&err, -EINVAL, "unknown image format '%s'", how->format);
    else
        ret = open_node(how, &node, &err);
    if (ret == 0 && how->snapshot)
        ret = add_overlay(&node, &err);
    if (ret < 0) {
        fail(err, ret);
        io_open_free(how);
        return -1;
    }
    s->node = node;
    io_open_free(&s->how);
    s->how = *how;
    *how = (IoOpen) { 0 };
    return 0;
}

void io_close(IoSession *s)
{
    if (s->node)
        node_debug_remove_break(s->node, NULL, NULL); /* or a stopped request would never end */
    io_aio_reap(s, true);
    node_unref(s->node);
    s->node = NULL;
}

/* ---- commands ---- */

static int open_option(IoOpen *how, int opt)
{
    Error *err = NULL;

    switch (opt) {
    case 'r': how->flags &= ~OPEN_RDWR; return 0;
    case 's': how->snapshot = true; return 0;
    case 'C': how->copy_on_read = true; return 0;
    case 'n': return io_cache_option(how, "none");
    case 'k': return 0;
    case 'U': how->flags |= OPEN_FORCE_SHARE; return 0;
    case 't': return io_cache_option(how, optarg);
    case 'd': return io_discard_option(how, optarg);
    case 'o':
        if (options_parse(how->options, optarg, NULL, &err) < 0) {
            fail(err, -EINVAL);
            return -1;
        }
        return 0;
    default: return io_usage("open");
    }
}

static int open_arguments(IoSession *s, IoOpen *how, int argc, char **argv)
{
    Error *err = NULL;
    int opt;

    optind = 0;
    while ((opt = getopt(argc, argv, "rsCnkUt:d:o:")) != -1)
        if (open_option(how, opt) < 0)
            return -1;
    if (argc - optind > 1 || (argc == optind && options_empty(how->options)))
        return io_usage("open");
    if (optind == argc)
        return 0;
    if (!s->image_opts)
        how->filename = strdup(argv[optind]);
    else if (options_parse(how->options, argv[optind], "file", &err) < 0) {
        fail(err, -EINVAL);
        return -1;
    }
    return 0;
}

int run_open(IoSession *s, int argc, char **argv)
{
    IoOpen how = { .flags = OPEN_RDWR | OPEN_UNMAP | s->trust, .options = options_new() };

    if (s->node) {
        complain("file open already, try 'help close'");
        io_open_free(&how);
        return -1;
    }
    if (open_arguments(s, &how, argc, argv) < 0) {
        io_open_free(&how);
        return -1;
    }
    return io_open(s, &how);
}

int run_close(IoSession *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    io_close(s);
    return 0;
}

static int reopen_arguments(IoOpen *how, int argc, char **argv)
{
    bool read_only = false, writable = false;
    Error *err = NULL;
    int opt;

    optind = 0;
    while ((opt = getopt(argc, argv, "c:o:rw")) != -1) {
        if (opt == 'c' && io_cache_option(how, optarg) < 0)
            return -1;
        if (opt == 'o' && options_parse(how->options, optarg, NULL, &err) < 0) {
            fail(err, -EINVAL);
            return -1;
        }
        if (opt == '?')
            return io_usage("reopen");
        read_only |= opt == 'r';
        writable |= opt == 'w';
    }
    if (optind != argc)
        return io_usage("reopen");
    if (read_only && writable) {
        complain("only one of -r and -w may be given");
        return -1;
    }
    how->flags = read_only  ? how->flags & ~OPEN_RDWR
                 : writable ? how->flags | OPEN_RDWR
                            : how->flags;
    return 0;
}

/* The image is closed meanwhile: two openings would be in each other's way. */
int run_reopen(IoSession *s, int argc, char **argv)
{
    IoOpen before = copy_of(&s->how), how = copy_of(&s->how);
    int ret = reopen_arguments(&how, argc, argv);

    if (ret == 0 && s->how.snapshot) {
        complain("an image that was opened with -s cannot be reopened: its overlay would be lost");
        ret = -1;
    }
    if (ret == 0 && (ret = node_flush(s->node)) < 0) {
        complain("cannot flush: %s", strerror(-ret));
        ret = -1;
    }
    if (ret < 0) {
        io_open_free(&before);
        io_open_free(&how);
        return -1;
    }
    io_close(s);
    ret = io_open(s, &how);
    if (ret < 0)
        io_open(s, &before); /* as it was */
    io_open_free(&before);
    return ret;
}
