/*
 * copy.c - see copy.h.
 *
 * One cursor walks the source's extents and hands out pieces: data (at most a chunk) or zeros. Each
 * worker takes a piece with a ticket, reads it (and compresses it) and delivers it. Pieces are
 * written in the order of their tickets, by whichever worker delivers the one that is due: it
 * writes what others have delivered behind it, too, so nobody waits unless all buffers are full.
 * The target's layout does not depend on the number of workers or their speed.
 *
 * The first error stops all: nothing more is handed out or written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/math.h"
#include "block/copy-engine.h"
#include "block/driver.h"

enum { CHUNK = 1 << 20, DEFAULT_WORKERS = 4 };
enum { SLICE_NS = 50 * 1000 * 1000, NS = 1000 * 1000 * 1000 };

uint64_t copy_chunk_size(Node *dst)
{
    ImageInfo info;

    if (node_info(dst, &info, NULL) < 0 || info.cluster_size == 0)
        return CHUNK;
    return MAX((uint64_t)info.cluster_size, (uint64_t)CHUNK);
}

void copy_fail(Copy *c, int ret, Error *err)
{
    if (c->ret == 0) {
        c->ret = ret;
        c->err = err;
    } else {
        error_free(err);
    }
    pthread_cond_broadcast(&c->freed);
}

void copy_fail_at(Copy *c, int ret, const char *what, Node *node, uint64_t off)
{
    Error *err = NULL;

    error_set(&err, ret, "%s: cannot %s at offset %" PRIu64 ": %s", node_filename(node), what, off,
              strerror(-ret));
    pthread_mutex_lock(&c->lock);
    copy_fail(c, ret, err);
    pthread_mutex_unlock(&c->lock);
}

/* ---- from hand to hand ----------------------------------------------------------------------- */

/* NULL: there are no more, or the copy has failed. */
static Piece *take_piece(Copy *c)
{
    Piece *p = NULL;

    pthread_mutex_lock(&c->lock);
    while (c->ret == 0 && !c->free)
        pthread_cond_wait(&c->freed, &c->lock);
    if (c->ret == 0 && copy_next_piece(c, c->free)) {
        p = c->free;
        c->free = p->next_free;
    }
    pthread_mutex_unlock(&c->lock);
    return p;
}

/* With the lock held. */
static void give_back(Copy *c, Piece *p)
{
    p->next_free = c->free;
    c->free = p;
    pthread_cond_signal(&c->freed);
}

/* The piece that was due is written; nobody else writes before `writing` is taken back. */
static void make_checkpoint(Copy *c, uint64_t off)
{
    Error *err = NULL;
    int ret = c->job->checkpoint ? c->job->checkpoint(c->job->opaque, off, &err) : 0;

    if (ret < 0) {
        pthread_mutex_lock(&c->lock);
        copy_fail(c, ret, err);
        pthread_mutex_unlock(&c->lock);
    }
}

/* Write the piece, or leave it to who writes the one before it. */
static void deliver(Copy *c, Piece *p)
{
    pthread_mutex_lock(&c->lock);
    c->ready[p->ticket % COPY_MAX_PIECES] = p;
    while (c->ret == 0 && !c->writing && (p = c->ready[c->written % COPY_MAX_PIECES])) {
        c->ready[c->written % COPY_MAX_PIECES] = NULL;
        c->writing = true;
        pthread_mutex_unlock(&c->lock);
        int ret = copy_write_piece(c, p);
        if (ret == 0)
            make_checkpoint(c, p->off + p->len);
        pthread_mutex_lock(&c->lock);
        c->writing = false;
        if (ret == 0) {
            c->written++;
            give_back(c, p);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

static void deliver_any_order(Copy *c, Piece *p)
{
    if (copy_write_piece(c, p) < 0)
        return;
    pthread_mutex_lock(&c->lock);
    give_back(c, p);
    pthread_mutex_unlock(&c->lock);
}

/* When the bytes that were let through before may all have been copied, at the rate wanted. */
static struct timespec pay(Copy *c, uint64_t bytes)
{
    uint64_t rate = c->job->rate;
    struct timespec due = c->begun;

    pthread_mutex_lock(&c->lock);
    uint64_t paid = c->paid;
    c->paid += bytes;
    pthread_mutex_unlock(&c->lock);
    due.tv_sec += (time_t)(paid / rate);
    due.tv_nsec += (long)((double)(paid % rate) / (double)rate * NS);
    if (due.tv_nsec >= NS) {
        due.tv_sec++;
        due.tv_nsec -= NS;
    }
    return due;
}

/* Sleep as long as the rate limit asks for, in slices, so that a cancellation is noticed. */
static void wait_for_rate(Copy *c, const Piece *p)
{
    if (c->job->rate == 0 || p->zero)
        return;
    struct timespec due = pay(c, p->len), now;

    while (!progress_cancelled(c->job->progress)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t left = (int64_t)(due.tv_sec - now.tv_sec) * NS + (due.tv_nsec - now.tv_nsec);
        if (left <= 0)
            return;
        nanosleep(&(struct timespec) { .tv_nsec = (long)MIN(left, (int64_t)SLICE_NS) }, NULL);
    }
}

static void *work(void *opaque)
{
    Copy *c = opaque;
    Piece *p;

    while ((p = take_piece(c))) {
        wait_for_rate(c, p);
        if (copy_prepare_piece(c, p) < 0)
            break;
        if (c->job->out_of_order)
            deliver_any_order(c, p);
        else
            deliver(c, p);
    }
    return NULL;
}

/* ---- all of them ---- */

/* Compressing keeps a processor busy, copying does not. */
static unsigned worker_count(const CopyJob *job)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (job->workers)
        return MIN(job->workers, (unsigned)COPY_MAX_WORKERS);
    if (!job->compressed || cpus < DEFAULT_WORKERS)
        return DEFAULT_WORKERS;
    return (unsigned)MIN(cpus + 2, (long)COPY_MAX_WORKERS);
}

static void run_workers(Copy *c, unsigned n)
{
    pthread_t threads[COPY_MAX_WORKERS];
    unsigned started = 0;

    while (started + 1 < n && pthread_create(&threads[started], NULL, work, c) == 0)
        started++;
    work(c); /* this thread is a worker too, so the copy succeeds even if no thread can start */
    while (started)
        pthread_join(threads[--started], NULL);
}

static int pieces_alloc(Copy *c, unsigned n)
{
    c->buffers = buffer_alloc(n * c->chunk);
    if (!c->buffers)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        Piece *p = &c->pieces[i];

        p->data = c->buffers + i * c->chunk;
        if (c->cluster) {
            p->second = buffer_alloc(c->chunk);
            p->cluster = calloc(div_round_up(c->chunk, c->cluster), sizeof(*p->cluster));
            if (!p->second || !p->cluster)
                return -ENOMEM;
        }
        p->next_free = c->free;
        c->free = p;
    }
    return 0;
}

static void pieces_free(Copy *c)
{
    free(c->buffers);
    for (unsigned i = 0; i < COPY_MAX_PIECES; i++) {
        free(c->pieces[i].second);
        free(c->pieces[i].cluster);
    }
}

/* Sizes: a limited rate should not come in bursts of seconds. */
static int choose_sizes(Copy *c, Error **err)
{
    const CopyJob *job = c->job;
    ImageInfo info;
    int ret = node_info(job->dst, &info, err);

    if (ret < 0)
        return ret;
    uint64_t unit = info.cluster_size ? info.cluster_size : 4096;
    c->chunk = job->request_size ? align_up(job->request_size, unit) : copy_chunk_size(job->dst);
    if (job->rate)
        c->chunk = MIN(c->chunk, align_up(job->rate / 4 + 1, unit));
    c->sparse = job->sparse;
    if (!job->compressed && !job->differences)
        return 0;
    c->cluster = info.cluster_size;
    if (!job->compressed) /* a cluster may be the target's own in parts: those stay */
        c->cluster = info.cluster_size ? node_skip_filters(job->dst)->unit : (uint32_t)unit;
    if (c->cluster == 0 || (job->dst_off | job->src_off) % c->cluster)
        return error_set(err, -ENOTSUP,
                         "%s: compressed writes at offset %" PRIu64 " are not possible",
                         node_filename(job->dst), job->dst_off + job->src_off);
    return 0;
}

/* Workers think in the offsets of the source, up to `len`; unsigned, so a difference may wrap. */
static CopyJob in_source_offsets(const CopyJob *asked)
{
    CopyJob job = *asked;

    job.len += job.src_off;
    job.dst_off -= job.src_off;
    if (job.differences && node_skip_filters(job.dst)->unit < node_skip_filters(job.dst)->cluster)
        job.compressed = false; /* that takes whole clusters */
    return job;
}

int copy_run(const CopyJob *asked, Error **err)
{
    CopyJob shifted = in_source_offsets(asked), *job = &shifted;
    Copy c = { .job = job, .cursor = job->src_off };
    unsigned workers = worker_count(job);
    int ret = choose_sizes(&c, err);

    if (ret < 0)
        return ret;
    clock_gettime(CLOCK_MONOTONIC, &c.begun);
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.freed, NULL);
    c.ret = pieces_alloc(&c, 2 * workers);
    run_workers(&c, workers);
    pthread_cond_destroy(&c.freed);
    pthread_mutex_destroy(&c.lock);
    pieces_free(&c);
    if (c.ret < 0 && err && c.err)
        *err = c.err;
    else
        error_free(c.err);
    return c.ret;
}
