/*
 * node.c - the life of a node, what it says about itself, and the tables of drivers.
 */
#include <errno.h>
#include <string.h>

#include "block/driver.h"
#include "block/graph.h"

const char *const prealloc_names[] = { "off", "metadata", "falloc", "full", NULL };

static const BlockDriver *find_in(const BlockDriver *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp((*list)->name, name) == 0)
            return *list;
    return NULL;
}

const BlockDriver *driver_find(const char *name)
{
    const BlockDriver *drv = find_in(format_drivers, name);

    return drv ? drv : find_in(protocol_drivers, name);
}

const BlockDriver *driver_for_scheme(const char *scheme)
{
    for (const BlockDriver *const *list = protocol_drivers; *list; list++) {
        const char *const *s = (*list)->schemes;

        if (((*list)->is_protocol || s) && strcmp((*list)->name, scheme) == 0)
            return *list;
        for (; s && *s; s++)
            if (strcmp(*s, scheme) == 0)
                return *list;
    }
    return NULL;
}

const char *driver_name_at(size_t i)
{
    const BlockDriver *const *list = format_drivers;

    for (; *list; list++)
        if (i-- == 0)
            return (*list)->name;
    for (list = protocol_drivers; *list; list++)
        if (i-- == 0)
            return (*list)->name;
    return NULL;
}

bool driver_exists(const char *format)
{
    return driver_find(format);
}

bool driver_supports_compression(const char *format)
{
    const BlockDriver *drv = driver_find(format);

    return drv && drv->pack;
}

const OptionDesc *driver_create_options(const char *format)
{
    const BlockDriver *drv = driver_find(format);

    return drv && drv->create ? drv->create_options : NULL;
}

const OptionDesc *driver_amend_options(const char *format)
{
    const BlockDriver *drv = driver_find(format);

    return drv && drv->amend ? drv->amend_options : NULL;
}

int cache_mode_flags(const char *mode, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } modes[] = {
        { "none", OPEN_DIRECT },
        { "off", OPEN_DIRECT },
        { "writeback", 0 },
        { "writethrough", OPEN_WRITETHROUGH },
        { "directsync", OPEN_DIRECT | OPEN_WRITETHROUGH },
        { "unsafe", OPEN_NO_FLUSH },
    };

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(modes[i].name, mode) == 0) {
            *flags |= modes[i].flags;
            return 0;
        }
    }
    return -EINVAL;
}

Node *node_alloc(const BlockDriver *driver, unsigned flags)
{
    Node *node = calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    node->driver = driver;
    node->state = calloc(1, driver->state_size ? driver->state_size : 1);
    node->flags = flags;
    node->writable = flags & OPEN_RDWR;
    atomic_store(&node->refs, 1);
    pthread_mutex_init(&node->change_lock, NULL);
    pthread_rwlock_init(&node->map_lock, NULL);
    range_init(&node->ranges);
    unpacked_init(&node->unpacked);
    return node;
}

Node *node_ref(Node *node)
{
    atomic_fetch_add(&node->refs, 1);
    return node;
}

void node_unref(Node *node)
{
    if (!node || atomic_fetch_sub(&node->refs, 1) != 1)
        return;
    if (node->opened && node->writable)
        node_flush(node);
    if (node->driver->close)
        node->driver->close(node);
    node_unref(node->backing);
    node_unref(node->data);
    node_unref(node->file);
    unpacked_destroy(&node->unpacked);
    range_destroy(&node->ranges);
    pthread_rwlock_destroy(&node->map_lock);
    pthread_mutex_destroy(&node->change_lock);
    free(node->state);
    free(node->filename);
    free(node->backing_file);
    free(node->backing_format);
    free(node->full_backing_file);
    free(node);
}

const char *node_filename(const Node *node)
{
    return node->filename ? node->filename : "";
}

const char *node_format(const Node *node)
{
    return node->driver->name;
}

uint64_t node_size(const Node *node)
{
    return node->driver->is_filter && !node->driver->has_size ? node_size(node->file) : node->size;
}

bool node_writable(const Node *node)
{
    return node->writable;
}

Node *node_file(const Node *node)
{
    return node->file;
}

Node *node_backing(const Node *node)
{
    return node->backing;
}

unsigned node_flags(const Node *node)
{
    return node->flags;
}

bool node_probed(const Node *node)
{
    return node->probed;
}

Node *node_skip_filters(Node *node)
{
    while (node && node->driver->is_filter && node->file)
        node = node->file;
    return node;
}

bool node_made_zero(const Node *node)
{
    return !node->sealed || node->driver->publish;
}

bool node_grows(const Node *node)
{
    return node->driver->is_protocol || node->driver->is_wrapper ||
           (node->driver->is_filter && node_grows(node->file));
}
