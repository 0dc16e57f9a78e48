/*
 * names.c - fuzz target: any text as the name of an image, as the user gives it and as an image
 * names another; nothing is opened.
 *
 * The input's first line is the image's own name, the rest what it names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "block/graph.h"

static void parse(const char *name)
{
    AUTO_FREE char *proto = path_protocol(name);
    AUTO_OPTIONS Options *o = options_new();
    AUTO_ERROR Error *err = NULL;
    const BlockDriver *drv = proto ? driver_for_scheme(proto) : NULL;
    int ret = 0;

    if (proto && strcmp(proto, "json") == 0)
        ret = options_parse_json(o, name + 5, &err);
    else if (drv && drv->parse_name)
        ret = drv->parse_name(name, o, &err);
    if (ret < 0 && !err)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *own = strndup((const char *)data, size);
    char *name = strchr(own, '\n');

    if (name)
        *name++ = '\0';
    else
        name = own;
    AUTO_FREE char *full = path_resolve(own, name);
    Node node = { .driver = driver_find("raw"), .filename = own, .backing_file = name };
    node_may_open(&node, name, NULL);
    node.flags = OPEN_LOCAL_NAMES;
    node_may_open(&node, name, NULL);
    if (!full)
        abort();
    parse(own);
    parse(full);
    return 0;
}
