/*
 * fetch-pass.c - see fetch.h: bytes on their way through the checksum into the part.
 *
 * They go through a ring of buffers: the caller's thread reads them from the source (which reads
 * ahead on several connections), another one adds them to the checksum and writes them.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd.h"
#include "base/math.h"
#include "img-tool/fetch.h"

enum { PIECE = 256 << 10, RING = 16 };

/* How often is noted what is there, and what will survive a crash of the host. */
#define NOTE_STEP (UINT64_C(1) << 20)
#define SYNC_STEP (UINT64_C(256) << 20)

typedef struct Ring {
    uint8_t *data[RING];
    size_t len[RING];
    uint64_t in, out; /* pieces read, pieces written */
    uint64_t at;      /* where the next piece is written */
    uint64_t noted, synced;
    bool writing; /* off: the pieces come from the part itself */
    bool ended;
    int ret;
    Error *err;
    PartFile *part;
    int fd;
    EVP_MD_CTX *hash;
    pthread_mutex_t lock;
    pthread_cond_t moved;
} Ring;

/* Tell the journal how far it is, from time to time. */
static int note_progress(Ring *r, bool now)
{
    if (now || r->at - r->synced >= SYNC_STEP) {
        if (fdatasync(r->fd) < 0)
            return error_set(&r->err, -errno, "cannot write '%s': %s", r->part->path,
                             strerror(errno));
        r->synced = r->noted = r->at;
        return part_note(r->part, r->at, true, &r->err);
    }
    if (r->at - r->noted < NOTE_STEP)
        return 0;
    r->noted = r->at;
    return part_note(r->part, r->at, false, &r->err);
}

static int write_piece(Ring *r, const uint8_t *data, size_t len)
{
    int ret = fd_pwrite_all(r->fd, data, len, r->at);

    if (ret < 0)
        return error_set(&r->err, ret, "cannot write '%s': %s", r->part->path, strerror(-ret));
    r->at += len;
    return note_progress(r, false);
}

static void *write_pieces(void *opaque)
{
    Ring *r = opaque;
    int ret = 0;

    pthread_mutex_lock(&r->lock);
    while (ret == 0) {
        while (r->out == r->in && !r->ended)
            pthread_cond_wait(&r->moved, &r->lock);
        if (r->out == r->in)
            break;
        size_t i = r->out % RING;
        pthread_mutex_unlock(&r->lock);
        EVP_DigestUpdate(r->hash, r->data[i], r->len[i]);
        ret = r->writing ? write_piece(r, r->data[i], r->len[i]) : 0;
        pthread_mutex_lock(&r->lock);
        r->out++;
        r->ret = ret;
        pthread_cond_signal(&r->moved);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* A free buffer, or NULL: the writer has failed. */
static uint8_t *ring_next(Ring *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->in - r->out == RING && r->ret == 0)
        pthread_cond_wait(&r->moved, &r->lock);
    uint8_t *data = r->ret == 0 ? r->data[r->in % RING] : NULL;
    pthread_mutex_unlock(&r->lock);
    return data;
}

static void ring_put(Ring *r, size_t len)
{
    pthread_mutex_lock(&r->lock);
    r->len[r->in++ % RING] = len;
    pthread_cond_signal(&r->moved);
    pthread_mutex_unlock(&r->lock);
}

/* Not faster than the limit, measured from `start`. */
static void slow_down(const FetchPass *f, uint64_t bytes, const struct timespec *start)
{
    struct timespec now;

    if (!f->limit_rate)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double spent =
        (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
    double wait = (double)bytes / (double)f->limit_rate - spent;
    if (wait > 0)
        nanosleep(&(struct timespec) { (time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9) },
                  NULL);
}

/* Fill the ring with [off, end) of the source, or (not writing) of the part. */
static int fill(const FetchPass *f, Ring *r, uint64_t off, uint64_t end, Error **err)
{
    struct timespec start;
    uint64_t begin = off;

    clock_gettime(CLOCK_MONOTONIC, &start);
    while (off < end) {
        size_t n = MIN(end - off, (uint64_t)PIECE);
        uint8_t *data = ring_next(r);

        if (!data)
            return r->ret;
        if (progress_cancelled(f->progress))
            return error_set(err, -ECANCELED, "interrupted; the same command goes on");
        int ret = r->writing ? node_pread(f->src, data, n, off) : fd_pread_all(r->fd, data, n, off);
        if (ret < 0)
            return error_set(err, ret, "%s: cannot read at offset %" PRIu64 ": %s",
                             r->writing ? f->shown : f->part->path, off, strerror(-ret));
        ring_put(r, n);
        off += n;
        progress_step(f->progress, n);
        if (r->writing)
            slow_down(f, off - begin, &start);
    }
    return 0;
}

static int ring_run(const FetchPass *f, Ring *r, uint64_t off, uint64_t end, Error **err)
{
    pthread_t writer;

    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->moved, NULL);
    r->at = r->noted = r->synced = off;
    if (pthread_create(&writer, NULL, write_pieces, r) != 0)
        return error_set(err, -EAGAIN, "cannot start a thread");
    int ret = fill(f, r, off, end, err);
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    pthread_cond_signal(&r->moved);
    pthread_mutex_unlock(&r->lock);
    pthread_join(writer, NULL);
    if (r->ret == 0 && r->writing && ret != -ECANCELED)
        r->ret = note_progress(r, true);
    pthread_cond_destroy(&r->moved);
    pthread_mutex_destroy(&r->lock);
    if (r->ret < 0) {
        ret = error_set(err, r->ret, "%s", error_message(r->err, r->ret));
        error_free(r->err);
    }
    return ret;
}

int fetch_pass(const FetchPass *f, bool writing, uint64_t off, uint64_t end, Error **err)
{
    Ring r = { .part = f->part, .fd = f->fd, .hash = f->hash, .writing = writing };
    AUTO_FREE uint8_t *buffers = buffer_alloc((size_t)RING * PIECE);

    if (off == end)
        return 0;
    if (!buffers)
        return error_set(err, -ENOMEM, "no memory for buffers");
    for (size_t i = 0; i < RING; i++)
        r.data[i] = buffers + i * PIECE;
    return ring_run(f, &r, off, end, err);
}
