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
#include "block/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/math.h"
#include "base/zero.h"

enum { CHUNK = 1 << 20, SALVAGE_STEP = 512 };
enum { DEFAULT_WORKERS = 4, MAX_WORKERS = 16, MAX_PIECES = 2 * MAX_WORKERS };

enum { STORED_PLAIN = 0, ALL_ZERO = UINT32_MAX };

/* A piece of the source on its way, with its buffers. */
typedef struct Piece {
    uint64_t off, len, ticket;
    bool zero;
    uint8_t *data, *packed; /* what a cluster packs to is at the same place in `packed` */
    uint32_t *packed_len;   /* of each cluster: bytes, or one of the two above */
    struct Piece *next_free;
} Piece;

typedef struct Copy {
    const CopyJob *job;
    uint64_t chunk, cluster;
    Piece pieces[MAX_PIECES];
    uint8_t *buffers;         /* the data of all pieces */
    pthread_mutex_t lock;     /* guards all below */
    pthread_cond_t freed;     /* a piece was given back, or `ret` was set */
    Piece *free;              /* the last one used first: its buffers are in the cache */
    Piece *ready[MAX_PIECES]; /* delivered, by ticket modulo their number */
    uint64_t issued, written; /* tickets */
    bool writing;             /* somebody writes the piece that is due */
    uint64_t cursor;          /* next byte to hand out */
    Extent extent;            /* of [extent_off, +len) */
    uint64_t extent_off;
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
    pthread_cond_broadcast(&c->freed);
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

static void hand_out(Copy *c, Piece *piece, uint64_t len, bool zero)
{
    piece->off = c->cursor;
    piece->len = len;
    piece->ticket = c->issued++;
    piece->zero = zero;
    c->cursor += len;
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

        hand_out(c, piece, n, zero);
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
        hand_out(c, piece, end - c->cursor, false);
        return true;
    }
    return false;
}

/* ---- one piece ---- */

/* Sector by sector; what cannot be read becomes zeros. */
static void read_salvage(Copy *c, const Piece *p)
{
    for (uint64_t at = 0; at < p->len; at += SALVAGE_STEP) {
        uint64_t n = MIN(p->len - at, (uint64_t)SALVAGE_STEP);
        char line[160];

        if (node_pread(c->job->src, p->data + at, n, p->off + at) == 0)
            continue;
        memset(p->data + at, 0, n);
        snprintf(line, sizeof(line),
                 "cannot read %" PRIu64 " bytes at offset %" PRIu64 ": zeros instead", n,
                 p->off + at);
        if (c->job->report)
            c->job->report(c->job->opaque, line);
    }
}

static int read_piece(Copy *c, const Piece *p)
{
    if (p->zero)
        return 0;
    int ret = node_pread(c->job->src, p->data, p->len, p->off);

    if (ret < 0 && c->job->salvage) {
        read_salvage(c, p);
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
    return node_pwrite(c->job->dst, buf, len, c->job->dst_off + off);
}

static int write_zeros(Copy *c, uint64_t off, uint64_t len)
{
    const CopyJob *job = c->job;

    if (job->target_is_zero)
        return 0;
    return node_pwrite_zeroes(job->dst, job->dst_off + off, len, REQ_MAY_UNMAP);
}

static int write_plain_piece(Copy *c, const Piece *p)
{
    const uint8_t *buf = p->data;
    uint64_t sparse = c->job->sparse;

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

static int pack_piece(Copy *c, const Piece *p)
{
    for (uint64_t at = 0, i = 0; at < p->len; at += c->cluster, i++) {
        uint64_t n = MIN(p->len - at, c->cluster);
        size_t packed_len;

        if (mem_is_zero(p->data + at, n)) {
            p->packed_len[i] = ALL_ZERO;
            continue;
        }
        int ret = node_pack(c->job->dst, p->data + at, n, p->packed + at, &packed_len);
        if (ret < 0) {
            copy_fail_at(c, ret, "compress", c->job->dst, c->job->dst_off + p->off + at);
            return ret;
        }
        p->packed_len[i] = (uint32_t)packed_len;
    }
    return 0;
}

/* The cluster after those from `i` on that can be written with one request. */
static uint64_t packed_run_end(const Piece *p, uint64_t i, uint64_t n)
{
    uint32_t kind = p->packed_len[i++];

    if (kind == STORED_PLAIN || kind == ALL_ZERO)
        while (i < n && p->packed_len[i] == kind)
            i++;
    return i;
}

static int write_packed_piece(Copy *c, const Piece *p)
{
    uint64_t n = div_round_up(p->len, c->cluster);
    int ret = 0;

    for (uint64_t i = 0, end; i < n && ret == 0; i = end) {
        uint64_t at = i * c->cluster, off = p->off + at;

        end = packed_run_end(p, i, n);
        uint64_t len = MIN(end * c->cluster, p->len) - at;
        if (p->packed_len[i] == ALL_ZERO)
            ret = write_zeros(c, off, len);
        else if (p->packed_len[i] == STORED_PLAIN)
            ret = write_data(c, p->data + at, off, len);
        else
            ret = node_pwrite_packed(c->job->dst, p->packed + at, p->packed_len[i],
                                     c->job->dst_off + off);
    }
    return ret;
}

static int write_piece(Copy *c, const Piece *p)
{
    int ret = c->job->compressed ? write_packed_piece(c, p) : write_plain_piece(c, p);

    if (ret < 0)
        copy_fail_at(c, ret, "write", c->job->dst, c->job->dst_off + p->off);
    else
        progress_step(c->job->progress, p->len);
    return ret;
}

/* ---- from hand to hand ----------------------------------------------------------------------- */

/* NULL: there are no more, or the copy has failed. */
static Piece *take_piece(Copy *c)
{
    Piece *p = NULL;

    pthread_mutex_lock(&c->lock);
    while (c->ret == 0 && !c->free)
        pthread_cond_wait(&c->freed, &c->lock);
    if (c->ret == 0 &&
        (c->job->compressed ? next_packed_piece(c, c->free) : next_piece(c, c->free))) {
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

/* Write the piece, or leave it to who writes the one before it. */
static void deliver(Copy *c, Piece *p)
{
    pthread_mutex_lock(&c->lock);
    c->ready[p->ticket % MAX_PIECES] = p;
    while (c->ret == 0 && !c->writing && (p = c->ready[c->written % MAX_PIECES])) {
        c->ready[c->written % MAX_PIECES] = NULL;
        c->writing = true;
        pthread_mutex_unlock(&c->lock);
        int ret = write_piece(c, p);
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
    if (write_piece(c, p) < 0)
        return;
    pthread_mutex_lock(&c->lock);
    give_back(c, p);
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *opaque)
{
    Copy *c = opaque;
    Piece *p;

    while ((p = take_piece(c))) {
        if (read_piece(c, p) < 0 || (c->job->compressed && pack_piece(c, p) < 0))
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
        return MIN(job->workers, (unsigned)MAX_WORKERS);
    if (!job->compressed || cpus < DEFAULT_WORKERS)
        return DEFAULT_WORKERS;
    return (unsigned)MIN(cpus + 2, (long)MAX_WORKERS);
}

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

static int pieces_alloc(Copy *c, unsigned n)
{
    c->buffers = buffer_alloc(n * c->chunk);
    if (!c->buffers)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        Piece *p = &c->pieces[i];

        p->data = c->buffers + i * c->chunk;
        if (c->job->compressed) {
            p->packed = malloc(c->chunk);
            p->packed_len = calloc(div_round_up(c->chunk, c->cluster), sizeof(*p->packed_len));
            if (!p->packed || !p->packed_len)
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
    for (unsigned i = 0; i < MAX_PIECES; i++) {
        free(c->pieces[i].packed);
        free(c->pieces[i].packed_len);
    }
}

static int prepare_compression(Copy *c, Error **err)
{
    const CopyJob *job = c->job;
    ImageInfo info;
    int ret = node_info(job->dst, &info, err);

    if (ret < 0)
        return ret;
    c->cluster = info.cluster_size;
    if (c->cluster == 0 || job->dst_off % c->cluster)
        return error_set(err, -ENOTSUP,
                         "%s: compressed writes at offset %" PRIu64 " are not possible",
                         node_filename(job->dst), job->dst_off);
    c->chunk = align_down(c->chunk, c->cluster);
    return 0;
}

/* Workers think in the offsets of the source, up to `len`; unsigned, so a difference may wrap. */
static CopyJob in_source_offsets(const CopyJob *asked)
{
    CopyJob job = *asked;

    job.len += job.src_off;
    job.dst_off -= job.src_off;
    return job;
}

int copy_run(const CopyJob *asked, Error **err)
{
    CopyJob shifted = in_source_offsets(asked), *job = &shifted;
    Copy c = { .job = job, .chunk = copy_chunk_size(job->dst), .cursor = job->src_off };
    unsigned workers = worker_count(job);
    int ret = job->compressed ? prepare_compression(&c, err) : 0;

    if (ret < 0)
        return ret;
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
