/*
 * sweep.c - see sweep.h. A ring of batches: while one is looked at, the next ones are read and the
 * last ones written by a pool of threads. A small tree is swept without any thread.
 */
#include "formats/qcow2/sweep.h"

#include <errno.h>
#include <stdlib.h>

#include "base/pool.h"

enum { BATCH_BYTES = 2 << 20, BATCHES = 6, SWEEP_THREADS = 4 };

typedef struct Sweep Sweep;

typedef struct Batch {
    PoolJob job;
    Sweep *sweep;
    uint64_t *places; /* of its tables */
    uint32_t count;
    uint8_t *buf;
    bool *changed; /* by table */
    bool writing;
    bool busy; /* a thread has it; guarded by the sweep's lock */
    int ret;
} Batch;

struct Sweep {
    Qcow2 *q;
    uint64_t *places; /* of all tables, sorted */
    uint32_t count, per_batch;
    Pool *pool; /* NULL: everything is done by the caller's thread */
    pthread_mutex_t lock;
    pthread_cond_t done;
    Batch ring[BATCHES];
};

/* ---- reading and writing a batch ----------------------------------------------------------- */

/* How many tables from `i` on lie side by side (and, to be written, are all changed). */
static uint32_t neighbours(const Batch *b, uint32_t i)
{
    uint64_t cluster = b->sweep->q->cluster;
    uint32_t n = 1;

    while (i + n < b->count && b->places[i + n] == b->places[i] + n * cluster &&
           (!b->writing || b->changed[i + n]))
        n++;
    return n;
}

static int transfer(Batch *b)
{
    Qcow2 *q = b->sweep->q;
    int ret = 0;

    for (uint32_t i = 0, n; i < b->count && ret == 0; i += n) {
        uint8_t *at = b->buf + (size_t)i * q->cluster;

        n = 1;
        if (b->writing && !b->changed[i])
            continue;
        n = neighbours(b, i);
        if (b->writing)
            ret = node_pwrite(q->node->file, at, (size_t)n * q->cluster, b->places[i]);
        else
            ret = node_pread(q->node->file, at, (size_t)n * q->cluster, b->places[i]);
    }
    return ret;
}

static void run_batch(PoolJob *job)
{
    Batch *b = (Batch *)job; /* its first member */
    Sweep *s = b->sweep;
    int ret = transfer(b);

    pthread_mutex_lock(&s->lock);
    b->ret = ret;
    b->busy = false;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}

static void start(Batch *b, bool writing)
{
    Sweep *s = b->sweep;

    b->writing = writing;
    b->busy = true;
    b->job.run = run_batch;
    if (s->pool)
        pool_submit(s->pool, &b->job);
    else
        run_batch(&b->job);
}

static int finish(Batch *b)
{
    Sweep *s = b->sweep;

    pthread_mutex_lock(&s->lock);
    while (b->busy)
        pthread_cond_wait(&s->done, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return b->ret;
}

/* ---- the sweep ----------------------------------------------------------------------------- */

/* Batch number `i` of the whole sweep takes its place in the ring and is read. */
static int begin_batch(Sweep *s, uint32_t i)
{
    Batch *b = &s->ring[i % BATCHES];
    uint32_t first = i * s->per_batch;
    int ret = finish(b); /* what it held before may still be on its way to disk */

    if (ret < 0)
        return ret;
    if (!b->buf) {
        b->buf = malloc((size_t)s->per_batch * s->q->cluster);
        b->changed = malloc(s->per_batch * sizeof(*b->changed));
    }
    if (!b->buf || !b->changed)
        return -ENOMEM;
    b->places = s->places + first;
    b->count = MIN(s->per_batch, s->count - first);
    start(b, false);
    return 0;
}

static int look_at(Batch *b, SweepStep *step, void *opaque)
{
    Qcow2 *q = b->sweep->q;
    bool any = false;
    int ret = finish(b);

    for (uint32_t i = 0; i < b->count && ret >= 0; i++) {
        ret = step(opaque, b->places[i], b->buf + (size_t)i * q->cluster);
        b->changed[i] = ret > 0;
        any |= b->changed[i];
        if (ret > 0)
            cache_forget_cluster(q, &q->l2_cache, b->places[i]);
    }
    if (ret >= 0 && any)
        start(b, true);
    return MIN(ret, 0);
}

static int sweep(Sweep *s, SweepStep *step, void *opaque)
{
    uint32_t batches = (uint32_t)div_round_up(s->count, s->per_batch), ahead = 0;
    int ret = 0;

    for (uint32_t i = 0; i < batches && ret == 0; i++) {
        for (; ahead < batches && ahead < i + BATCHES / 2 && ret == 0; ahead++)
            ret = begin_batch(s, ahead);
        if (ret == 0)
            ret = look_at(&s->ring[i % BATCHES], step, opaque);
    }
    for (uint32_t i = 0; i < BATCHES; i++) {
        int last = s->ring[i].sweep ? finish(&s->ring[i]) : 0;

        ret = ret == 0 ? last : ret;
        free(s->ring[i].buf);
        free(s->ring[i].changed);
    }
    return ret;
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The places of all tables in the order of the disk; returns how many. */
static int collect_places(Qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t *places)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < size; i++) {
        uint64_t off = l1[i] & L1_OFFSET;

        if (!is_metadata_aligned(q, off))
            return damage(q, "L1 entry %u is not a cluster", (unsigned)i);
        if (off)
            places[n++] = off;
    }
    qsort(places, n, sizeof(*places), by_place);
    return (int)n;
}

int sweep_tables(Qcow2 *q, const uint64_t *l1, uint32_t size, SweepStep *step, void *opaque)
{
    AUTO_FREE uint64_t *places = malloc(8 * (size_t)size + 1);
    Sweep s = { .q = q, .places = places, .per_batch = MAX(BATCH_BYTES / q->cluster, UINT32_C(1)) };
    int ret = places ? collect_places(q, l1, size, places) : -ENOMEM;

    if (ret <= 0)
        return ret;
    s.count = (uint32_t)ret;
    if (s.count > s.per_batch && !(s.pool = pool_new(SWEEP_THREADS)))
        return -ENOMEM;
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.done, NULL);
    for (uint32_t i = 0; i < BATCHES; i++)
        s.ring[i].sweep = &s;
    ret = sweep(&s, step, opaque);
    if (s.pool)
        pool_free(s.pool);
    pthread_mutex_destroy(&s.lock);
    pthread_cond_destroy(&s.done);
    return ret;
}
