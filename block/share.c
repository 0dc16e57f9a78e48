/*
 * share.c - which file a node's bytes are in, and copying between files inside the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/driver.h"

int node_copy_range(Node *dst, uint64_t dst_off, Node *file, uint64_t pos, uint64_t len,
                    unsigned flags)
{
    const BlockDriver *drv = dst->driver;

    if (!drv->copy_range || dst->sealed || !dst->writable)
        return -ENOTSUP;
    int ret = drv->copy_range(dst, dst_off, file, pos, len, flags);
    if (ret == 0 && dst->flags & OPEN_WRITETHROUGH)
        ret = node_flush(dst);
    return ret;
}

/* Words of one node; -ENOTSUP from a protocol that cannot say what it has. */
static int print_one(Node *node, FILE *out)
{
    const BlockDriver *drv = node->driver;

    fprintf(out, "(%s %llu", drv->name, (unsigned long long)node_size(node));
    if (drv->identity)
        return drv->identity(node, out);
    return drv->is_protocol ? -ENOTSUP : 0;
}

static int print_identity(Node *node, FILE *out)
{
    int ret = print_one(node, out);

    if (ret == 0 && node->file)
        ret = print_identity(node->file, out);
    if (ret == 0 && node->backing)
        ret = print_identity(node->backing, out);
    fputc(')', out);
    return ret;
}

int node_identity(Node *node, char **text)
{
    size_t len;

    *text = NULL;
    FILE *out = open_memstream(text, &len);
    if (!out)
        return -ENOMEM;
    int ret = print_identity(node, out);
    if (fclose(out) != 0 && ret == 0)
        ret = -ENOMEM;
    if (ret < 0) {
        free(*text);
        *text = NULL;
    }
    return ret;
}

bool node_same_file(Node *a, Node *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->driver != b->driver || !a->driver->same_file)
        return false;
    return a->driver->same_file(a, b);
}
