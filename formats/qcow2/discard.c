/*
 * discard.c - telling the file below which of its space is free.
 *
 * What is freed comes in the guest's order, and each discard of a file whose pages are dirty may
 * wait for the disk. So runs are collected and merged, and go down together: before any space is
 * given out again, and when what freed them is done.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { MAX_RUNS = 1 << 16 };

static int by_place(const void *a, const void *b)
{
    const Pending *p = a, *q = b;

    return p->cluster < q->cluster ? -1 : p->cluster > q->cluster;
}

void discard_flush(Qcow2 *q)
{
    uint64_t end = div_round_up(node_size(q->node->file), q->cluster);

    if (q->discard_count == 0)
        return;
    qsort(q->discards, q->discard_count, sizeof(*q->discards), by_place);
    for (size_t i = 0; i < q->discard_count;) {
        Pending run = q->discards[i++];

        while (i < q->discard_count && q->discards[i].cluster == run.cluster + run.count)
            run.count += q->discards[i++].count;
        if (run.cluster < end)
            node_discard(q->node->file, run.cluster << q->cluster_bits,
                         MIN(run.count, end - run.cluster) << q->cluster_bits);
    }
    q->discard_count = 0;
}

void discard_later(Qcow2 *q, uint64_t first, uint64_t n)
{
    Pending *last = q->discard_count ? &q->discards[q->discard_count - 1] : NULL;

    if (last && last->cluster + last->count == first) {
        last->count += n;
        return;
    }
    if (q->discard_count == MAX_RUNS)
        discard_flush(q);
    if (q->discard_count == q->discard_room) {
        size_t room = q->discard_room ? 2 * q->discard_room : 64;
        Pending *more = realloc(q->discards, room * sizeof(*more));

        if (!more)
            return; /* only a hint */
        q->discards = more;
        q->discard_room = room;
    }
    q->discards[q->discard_count++] = (Pending) { .cluster = first, .count = n };
}
