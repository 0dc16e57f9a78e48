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

/* RFC 3986, section 5.2: relative to the last "/" of the path; a query or fragment is no path. */
static char *url_resolve(const char *base, const char *name)
{
    const char *host = strstr(base, "://") + 3;
    const char *path = host + strcspn(host, "/?#"), *end = path + strcspn(path, "?#");
    char *full;

    while (end > path && end[-1] != '/')
        end--;
    if (asprintf(&full, "%.*s%s%s", (int)(end - base), base, end == path ? "/" : "", name) < 0)
        return NULL;
    return full;
}

char *path_resolve(const char *base, const char *name)
{
    AUTO_FREE char *proto = path_protocol(name), *own = path_protocol(base);
    const char *folder = strncmp(base, "file:", 5) == 0 ? base + 5 : base;
    const char *slash = strrchr(folder, '/');
    char *full;

    if (proto || name[0] == '/')
        return strdup(name);
    if (own && strncmp(base + strlen(own), "://", 3) == 0)
        return url_resolve(base, name);
    if (!slash)
        return strdup(name);
    if (asprintf(&full, "%.*s%s", (int)(slash + 1 - folder), folder, name) < 0)
        return NULL;
    return full;
}
