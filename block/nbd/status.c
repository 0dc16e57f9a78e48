/*
 * status.c - the server's answers to BLOCK_STATUS: one list of extents for each context.
 *
 * Neighbours with the same flags are one extent. A list covers what was asked, unless it would be
 * longer than NBD_MAX_STATUS: then it ends earlier, as it may.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/bitmap.h"
#include "block/nbd/session.h"

/* A list on its way: pairs as on the wire, after four bytes for the context. */
typedef struct List {
    uint8_t *bytes;
    size_t count, room;
    uint32_t len, flags; /* the last pair, not yet in `bytes`; len 0: there is none */
} List;

static int list_push(List *l)
{
    if (l->count == l->room) {
        size_t room = MAX(2 * l->room, (size_t)64);
        uint8_t *more = realloc(l->bytes, 4 + 8 * room);

        if (!more)
            return -ENOMEM;
        l->bytes = more;
        l->room = room;
    }
    put_be32(l->bytes + 4 + 8 * l->count, l->len);
    put_be32(l->bytes + 8 + 8 * l->count, l->flags);
    l->count++;
    return 0;
}

static int list_add(List *l, uint32_t len, uint32_t flags)
{
    int ret = 0;

    if (l->len && l->flags == flags) {
        l->len += len;
        return 0;
    }
    if (l->len)
        ret = list_push(l);
    l->len = len;
    l->flags = flags;
    return ret;
}

static uint32_t allocation_flags(const Extent *ext)
{
    bool zero = ext->zero || ext->kind == EXTENT_ZERO || ext->kind == EXTENT_HOLE;
    bool data = (ext->kind == EXTENT_DATA || ext->kind == EXTENT_PACKED) && !ext->unused;

    return (data ? 0 : NBD_STATE_HOLE) | (zero ? NBD_STATE_ZERO : 0);
}

/* One step from `off` (of the node): how far it goes, and the context's flags. */
static int ask(const NbdServedExport *e, size_t context, uint64_t off, uint64_t len, uint64_t *run,
               uint32_t *flags)
{
    Extent ext;
    bool dirty;

    if (context >= CONTEXT_BITMAPS) {
        int ret = node_bitmap_extent(e->node, e->bitmaps[context - CONTEXT_BITMAPS], off, len,
                                     &dirty, run);
        *flags = dirty ? NBD_STATE_DIRTY : 0;
        return ret;
    }
    int ret = node_extent_above(e->node, NULL, off, len, &ext);
    *run = ext.len;
    if (context == CONTEXT_DEPTH)
        *flags = ext.kind == EXTENT_HOLE ? 0 : ext.depth + 1;
    else
        *flags = allocation_flags(&ext);
    return ret;
}

static int collect(const NbdSession *s, const NbdRequest *r, size_t context, List *l)
{
    const NbdServedExport *e = s->export;
    uint64_t run;
    uint32_t flags;
    int ret = 0;

    for (uint64_t done = 0; done < r->len && l->count < NBD_MAX_STATUS - 1; done += run) {
        ret = ask(e, context, e->off + r->off + done, r->len - done, &run, &flags);
        if (ret < 0)
            return ret;
        if (r->flags & NBD_CMD_FLAG_REQ_ONE && l->len && l->flags != flags)
            break;
        ret = list_add(l, (uint32_t)run, flags);
        if (ret < 0)
            return ret;
    }
    return list_push(l);
}

static int send_status(NbdSession *s, const NbdRequest *r, size_t context, bool last)
{
    List l = { 0 };
    int ret = collect(s, r, context, &l);

    if (ret < 0) {
        free(l.bytes);
        return nbd_send_error(s, r, ret, UINT64_MAX);
    }
    put_be32(l.bytes, (uint32_t)context);
    struct iovec iov = { l.bytes, 4 + 8 * l.count };
    ret = nbd_send_chunk(s, r, NBD_CHUNK_STATUS, last, &iov, 1);
    free(l.bytes);
    return ret < 0 ? ret : 1;
}

int nbd_session_status(NbdSession *s, const NbdRequest *r)
{
    size_t last = 0, n = nbd_export_contexts(s->export);
    int ret = 1;

    for (size_t i = 0; i < n; i++)
        if (s->contexts[i])
            last = i + 1;
    if (last == 0)
        return nbd_send_error(s, r, -EINVAL, UINT64_MAX);
    for (size_t i = 0; i < last && ret == 1; i++) /* an error ends the answer */
        if (s->contexts[i])
            ret = send_status(s, r, i, i + 1 == last);
    return ret < 0 ? ret : 0;
}
