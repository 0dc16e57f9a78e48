/*
 * trust.c - which files an image may make us open by naming them (docs/TRUST.md).
 *
 * What the user names is opened. What an image names is opened by where that image came from: an
 * image that other hosts gave us reaches nothing but its own server.
 */
#include <errno.h>
#include <string.h>

#include "block/graph.h"

static bool from_remote(const Node *node)
{
    for (; node; node = node->file)
        if (node->driver->is_remote)
            return true;
    return false;
}

/* The length of "scheme://host:port", 0 if `name` is no URL. */
static size_t server_part(const char *name)
{
    const char *host = strstr(name, "://");

    return host ? (size_t)(host - name) + 3 + strcspn(host + 3, "/?#") : 0;
}

/* A name relative to the image's own, or a URL of the same server; in no way a local path. */
static bool on_same_server(const Node *node, const char *name)
{
    AUTO_FREE char *full = path_resolve(node_filename(node), name);
    size_t own = server_part(node_filename(node));

    return full && own && server_part(full) == own && strncmp(full, node_filename(node), own) == 0;
}

/* Also as what: a driver that speaks to a network takes a plain name for a host's. */
static bool is_local_name(const Node *node, const char *name)
{
    AUTO_FREE char *proto = path_protocol(name);
    const BlockDriver *drv = node->backing_format ? driver_find(node->backing_format) : NULL;

    return (!proto || strcmp(proto, "file") == 0) &&
           !(name == node->backing_file && drv && drv->is_remote);
}

int node_may_open(const Node *node, const char *name, Error **err)
{
    if (node->flags & OPEN_TRUSTED)
        return 0;
    if (node->flags & OPEN_NO_EXTERNAL)
        return error_set(err, -EPERM, "the image names another file ('%s') and that is not allowed",
                         name);
    if (from_remote(node) && !on_same_server(node, name))
        return error_set(err, -EPERM,
                         "the image came over the network and names '%s', which is not on its "
                         "server (--trusted opens it)",
                         name);
    if (node->flags & OPEN_LOCAL_NAMES && !from_remote(node) && !is_local_name(node, name))
        return error_set(err, -EPERM,
                         "the image names '%s', which is no local file (--trusted opens it)", name);
    return 0;
}
