/*
 * path.c - names of images: protocol prefixes, and names relative to the image that has them.
 */
#include <stdio.h>
#include <string.h>

#include "block/graph.h"

char *path_protocol(const char *name)
{
    size_t n = strcspn(name, ":/");

    return name[n] == ':' && n > 0 ? strndup(name, n) : NULL;
}

char *path_resolve(const char *base, const char *name)
{
    AUTO_FREE char *proto = path_protocol(name);
    const char *folder = strncmp(base, "file:", 5) == 0 ? base + 5 : base;
    const char *slash = strrchr(folder, '/');
    char *full;

    if (proto || name[0] == '/' || !slash)
        return strdup(name);
    if (asprintf(&full, "%.*s%s", (int)(slash + 1 - folder), folder, name) < 0)
        return NULL;
    return full;
}
