/*
 * copy.c - see copy.h.
 *
 * One cursor walks the source's extents and hands out pieces: data (at most a chunk) or zeros. Each
 * worker takes a piece with a ticket, reads it, waits for its turn, and writes it. The first error
 * stops all: later pieces are not handed out, waiting workers leave.
 */
#include "block/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/math.h"
#include "base/zero.h"

enum { CHUNK = 2 << 20, MAX_WORKERS = 16, DEFAULT_WORKERS = 4, SALVAGE_STEP = 512 };

typedef struct Piece {
    uint64_t off, len, ticket;
    bool zero;
} Piece;

typedef struct Copy {
    const CopyJob *job;
    uint64_t chunk, cluster;
    pthread_mutex_t lock;
    pthread_cond_t turn; /* `written` moved on, or `ret` was set */
    uint64_t cursor;     /* next byte to hand out */
    Extent extent;       /* of [extent_off, +len) */
    uint64_t extent_off;
    uint64_t issued, written; /* tickets */
    int ret;
    Error *err;
} Copy;

uint64_t copy_chunk_size(Node *dst)
{
    ImageInfo info;

    if (node_info(dst, &info, NULL) < 0 || info.cluster_size == 0)
        return CHUNK;
    return MAX((uint64_t)info.cluster_size, (uint64_t)CHUNK);
}

/* Called with the lock held, or by the only thread left. */
static void copy_fail(Copy *c, int ret, Error *err)
{
    if (c->ret == 0) {
        c->ret = ret;
        c->err = err;
    } else {
        error_free(err);
    }
    pthread_cond_broadcast(&c->turn);
}

static void copy_fail_at(Copy *c, int ret, const char *what, Node *node, uint64_t off)
{
    Error *err = NULL;

    error_set(&err, ret, "%s: cannot %s at offset %" PRIu64 ": %s", node_filename(node), what, off,
              strerror(-ret));
    pthread_mutex_lock(&c->lock);
    copy_fail(c, ret, err);
    pthread_mutex_unlock(&c->lock);
}

/* ---- handing out pieces -------------------------------------------------------------------------
 */

static int look_up(Copy *c)
{
    const CopyJob *job = c->job;
    int ret;

    if (c->extent_off + c->extent.len > c->cursor && c->extent.len)
        return 0;
    ret = node_extent_above(job->src, job->base, c->cursor, job->len - c->cursor, &c->extent);
    c->extent_off = c->cursor;
    return ret;
}

static bool reads_zero(const Extent *ext)
{
    return ext->zero || ext->kind == EXTENT_HOLE || ext->kind == EXTENT_ZERO;
}

static bool is_skipped(const CopyJob *job, const Extent *ext)
{
    if (job->full)
        return false;
    if (ext->kind == EXTENT_HOLE && (job->base || job->only_above))
        return true;
    return reads_zero(ext) && job->target_is_zero;
}

/* Compressed clusters are written whole: a piece ends at a cluster boundary or at the end. */
static uint64_t piece_len(const Copy *c, uint64_t left)
{
    uint64_t end = c->cursor + MIN(left, c->chunk);

    if (c->job->compressed && c->cluster && left > c->chunk)
        end = align_down(end, c->cluster);
    return end - c->cursor;
}

/* With the lock held: the next piece that needs work. False: nothing left, or an error. */
static bool next_piece(Copy *c, Piece *piece)
{
    const CopyJob *job = c->job;

    while (c->ret == 0 && c->cursor < job->len) {
        if (progress_cancelled(job->progress)) {
            copy_fail(c, -ECANCELED, NULL);
            return false;
        }
        int ret = look_up(c);
        if (ret < 0) {
            Error *err = NULL;

            error_set(&err, ret, "%s: cannot tell what is at offset %" PRIu64 ": %s",
                      node_filename(job->src), c->cursor, strerror(-ret));
            copy_fail(c, ret, err);
            return false;
        }
        uint64_t left = MIN(c->extent_off + c->extent.len, job->len) - c->cursor;

        if (is_skipped(job, &c->extent)) {
            c->cursor += left;
            progress_step(job->progress, left);
            continue;
        }
        bool zero = reads_zero(&c->extent) && !job->full;
        uint64_t n = zero && !job->compressed ? left : piece_len(c, left);

        *piece = (Piece) { c->cursor, n, c->issued++, zero };
        c->cursor += n;
        return true;
    }
    return false;
}

/*
 * For compressed targets every piece but the last must be whole clusters although extents may end
 * anywhere: look at the source cluster by cluster, and read what is not entirely zero.
 */
static bool next_packed_piece(Copy *c, Piece *piece)
{
    const CopyJob *job = c->job;

    while (c->ret == 0 && c->cursor < job->len) {
        uint64_t end = MIN(c->cursor + c->chunk, job->len);
        Extent ext;

        if (progress_cancelled(job->progress)) {
            copy_fail(c, -ECANCELED, NULL);
            return false;
        }
        int ret = node_extent_above(job->src, job->base, c->cursor, job->len - c->cursor, &ext);
        if (ret < 0) {
            copy_fail(c, ret, NULL);
            return false;
        }
        uint64_t skip = align_down(ext.len, c->cluster);
        if (ext.len == job->len - c->cursor)
            skip = ext.len;
        if (skip && is_skipped(job, &ext)) {
            c->cursor += skip;
            progress_step(job->progress, skip);
            continue;
        }
        if (ext.len >= c->cluster)
            end = MIN(end, c->cursor + align_down(ext.len, c->cluster));
        else
            end = MIN(c->cursor + c->cluster, job->len);
        *piece = (Piece) { c->cursor, end - c->cursor, c->issued++, false };
        c->cursor = end;
        return true;
    }
    return false;
}

/* ---- one piece
 * ------------------------------------------------------------------------------------ */

/* Sector by sector; what cannot be read becomes zeros. */
static void read_salvage(Copy *c, uint8_t *buf, const Piece *p)
{
    for (uint64_t at = 0; at < p->len; at += SALVAGE_STEP) {
        uint64_t n = MIN(p->len - at, (uint64_t)SALVAGE_STEP);
        char line[160];

        if (node_pread(c->job->src, buf + at, n, p->off + at) == 0)
            continue;
        memset(buf + at, 0, n);
        snprintf(line, sizeof(line),
                 "cannot read %" PRIu64 " bytes at offset %" PRIu64 ": zeros instead", n,
                 p->off + at);
        if (c->job->report)
            c->job->report(c->job->opaque, line);
    }
}

static int read_piece(Copy *c, uint8_t *buf, const Piece *p)
{
    if (p->zero)
        return 0;
    int ret = node_pread(c->job->src, buf, p->len, p->off);

    if (ret < 0 && c->job->salvage) {
        read_salvage(c, buf, p);
        return 0;
    }
    if (ret < 0)
        copy_fail_at(c, ret, "read", c->job->src, p->off);
    return ret;
}

/* How many bytes from `at` on are alike: all zero runs (of `sparse` each), or all data. */
static uint64_t run_length(const uint8_t *buf, uint64_t at, uint64_t len, uint64_t sparse,
                           bool *zero)
{
    uint64_t end = at;

    *zero = mem_is_zero(buf + at, MIN(sparse - at % sparse, len - at));
    do {
        end += MIN(sparse - end % sparse, len - end);
    } while (end < len && mem_is_zero(buf + end, MIN(sparse, len - end)) == *zero);
    return end - at;
}

static int write_data(Copy *c, const uint8_t *buf, uint64_t off, uint64_t len)
{
    const CopyJob *job = c->job;

    if (job->compressed)
        return node_pwrite_compressed(job->dst, buf, len, job->dst_off + off);
    return node_pwrite(job->dst, buf, len, job->dst_off + off);
}

static int write_zeros(Copy *c, uint64_t off, uint64_t len)
{
    const CopyJob *job = c->job;

    if (job->target_is_zero)
        return 0;
    return node_pwrite_zeroes(job->dst, job->dst_off + off, len, REQ_MAY_UNMAP);
}

static int write_piece(Copy *c, const uint8_t *buf, const Piece *p)
{
    uint64_t sparse = c->job->compressed ? c->cluster : c->job->sparse;

    if (p->zero)
        return write_zeros(c, p->off, p->len);
    if (sparse == 0)
        return write_data(c, buf, p->off, p->len);
    for (uint64_t at = 0; at < p->len;) {
        bool zero;
        uint64_t n = run_length(buf, at, p->len, sparse, &zero);
        int ret = zero ? write_zeros(c, p->off + at, n) : write_data(c, buf + at, p->off + at, n);

        if (ret < 0)
            return ret;
        at += n;
    }
    return 0;
}

/* Wait until all earlier pieces are written. False: the copy has failed meanwhile. */
static bool await_turn(Copy *c, const Piece *p)
{
    bool ok;

    pthread_mutex_lock(&c->lock);
    while (c->ret == 0 && c->written != p->ticket)
        pthread_cond_wait(&c->turn, &c->lock);
    ok = c->ret == 0;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static bool take_piece(Copy *c, Piece *p)
{
    pthread_mutex_lock(&c->lock);
    bool more = c->job->compressed ? next_packed_piece(c, p) : next_piece(c, p);
    pthread_mutex_unlock(&c->lock);
    return more;
}

static void piece_done(Copy *c, const Piece *p)
{
    progress_step(c->job->progress, p->len);
    if (c->job->out_of_order)
        return;
    pthread_mutex_lock(&c->lock);
    c->written++;
    pthread_cond_broadcast(&c->turn);
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *opaque)
{
    Copy *c = opaque;
    AUTO_FREE uint8_t *buf = NULL;
    Piece p;

    if (posix_memalign((void **)&buf, 4096, c->chunk) != 0) {
        pthread_mutex_lock(&c->lock);
        copy_fail(c, -ENOMEM, NULL);
        pthread_mutex_unlock(&c->lock);
        return NULL;
    }
    while (take_piece(c, &p)) {
        if (read_piece(c, buf, &p) < 0)
            break;
        if (!c->job->out_of_order && !await_turn(c, &p))
            break;
        int ret = write_piece(c, buf, &p);
        if (ret < 0) {
            copy_fail_at(c, ret, "write", c->job->dst, c->job->dst_off + p.off);
            break;
        }
        piece_done(c, &p);
    }
    return NULL;
}

/* ---- all of them
 * ----------------------------------------------------------------------------------- */

static void run_workers(Copy *c, unsigned n)
{
    pthread_t threads[MAX_WORKERS];
    unsigned started = 0;

    while (started + 1 < n && pthread_create(&threads[started], NULL, work, c) == 0)
        started++;
    work(c); /* this thread is a worker too, so the copy succeeds even if no thread can start */
    while (started)
        pthread_join(threads[--started], NULL);
}

int copy_run(const CopyJob *job, Error **err)
{
    Copy c = { .job = job, .chunk = copy_chunk_size(job->dst) };
    ImageInfo info;
    unsigned workers = job->workers ? MIN(job->workers, (unsigned)MAX_WORKERS) : DEFAULT_WORKERS;

    if (job->compressed) {
        int ret = node_info(job->dst, &info, err);

        if (ret < 0)
            return ret;
        c.cluster = info.cluster_size;
        if (c.cluster == 0 || job->dst_off % c.cluster)
            return error_set(err, -ENOTSUP,
                             "%s: compressed writes at offset %" PRIu64 " are not possible",
                             node_filename(job->dst), job->dst_off);
        c.chunk = align_down(c.chunk, c.cluster);
    }
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.turn, NULL);
    run_workers(&c, workers);
    pthread_cond_destroy(&c.turn);
    pthread_mutex_destroy(&c.lock);
    if (c.ret < 0 && err && c.err)
        *err = c.err;
    else
        error_free(c.err);
    return c.ret;
}
