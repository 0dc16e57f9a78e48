/*
 * refcount-free.c - space whose last reference is gone: counts go down once that is on disk.
 */
#include <errno.h>
#include <stdlib.h>

#include "formats/qcow2/qcow2.h"

int free_because(Qcow2 *q, uint64_t off, uint64_t bytes, FreeReason why)
{
    uint64_t first = off >> q->cluster_bits;
    uint64_t n = ((off + bytes - 1) >> q->cluster_bits) - first + 1;
    Pending *last = q->pending_count ? &q->pending[q->pending_count - 1] : NULL;

    q->pending_clusters += n;
    if (last && last->cluster + last->count == first && last->why == why) {
        last->count += n;
        return 0;
    }
    if (q->pending_count == q->pending_room) {
        size_t room = q->pending_room ? 2 * q->pending_room : 64;
        Pending *more = realloc(q->pending, room * sizeof(*more));

        if (!more)
            return -ENOMEM; /* the space leaks; check finds it */
        q->pending = more;
        q->pending_room = room;
    }
    q->pending[q->pending_count++] = (Pending) { first, n, why };
    return 0;
}

int free_later(Qcow2 *q, uint64_t off, uint64_t bytes)
{
    return free_because(q, off, bytes, FREE_OTHER);
}

void refcount_freed(Qcow2 *q, uint64_t first, uint64_t n, FreeReason why)
{
    if (n == 0)
        return;
    q->free_hint = MIN(q->free_hint, first);
    meta_remove(q, first << q->cluster_bits, n << q->cluster_bits);
    if (q->packed_pos && q->packed_pos >> q->cluster_bits >= first &&
        q->packed_pos >> q->cluster_bits < first + n)
        q->packed_pos = 0;
    if (q->pass_discard & 1u << why)
        discard_later(q, first, n);
}

static int drop_run(Qcow2 *q, const Pending *p)
{
    uint64_t start = p->cluster, count, i;
    int ret = 0;

    node_event(q->node->file, EVENT_CLUSTER_FREE);

    for (i = p->cluster; i < p->cluster + p->count && ret == 0; i++) {
        ret = refcount_add(q, i, -1);
        if (ret == 0)
            ret = refcount_get(q, i, &count);
        if (ret < 0 || count) { /* [start, i) is free now, i is not */
            refcount_freed(q, start, i - start, p->why);
            start = i + 1;
        }
    }
    if (start < i)
        refcount_freed(q, start, i - start, p->why);
    return ret;
}

int free_apply_pending(Qcow2 *q)
{
    int ret = 0;

    for (size_t i = 0; i < q->pending_count && ret == 0; i++)
        ret = drop_run(q, &q->pending[i]);
    q->pending_count = 0;
    q->pending_clusters = 0;
    if (!q->keep_discards)
        discard_flush(q);
    return ret;
}
