/*
 * requests.c - the server's side of the specification's "Transmission phase".
 *
 * Each worker reads a request, with its payload, while it holds the receive lock; then the next
 * one may read, while this one does the work and answers. Memory is one piece a worker: longer
 * requests go through it step by step, with the receive lock held as long as payload comes in.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/math.h"
#include "block/nbd/session.h"

enum { MAX_WORKERS = 16, PIECE = 2 << 20, SMALL_READ = 32 << 10 };

typedef struct Worker {
    NbdSession *s;
    uint8_t *piece; /* PIECE bytes, when first needed */
} Worker;

/* ---- answers ------------------------------------------------------------------------------- */

int nbd_send_simple(NbdSession *s, const NbdRequest *r, int ret)
{
    NbdReply reply = { .cookie = r->cookie, .error = nbd_error_from_errno(ret) };
    uint8_t head[NBD_CHUNK_BYTES];
    unsigned len = nbd_put_reply(head, &reply);

    pthread_mutex_lock(&s->send_lock);
    ret = nbd_channel_write(s->ch, head, len);
    pthread_mutex_unlock(&s->send_lock);
    return ret;
}

int nbd_send_chunk(NbdSession *s, const NbdRequest *r, uint16_t type, bool done,
                   const struct iovec *payload, int n)
{
    NbdReply reply = {
        .structured = true, .cookie = r->cookie, .type = type, .flags = done ? NBD_CHUNK_DONE : 0
    };
    uint8_t head[NBD_CHUNK_BYTES];
    struct iovec iov[4] = { { head, sizeof(head) } };

    for (int i = 0; i < n; i++) {
        iov[i + 1] = payload[i];
        reply.len += (uint32_t)payload[i].iov_len;
    }
    nbd_put_reply(head, &reply);
    pthread_mutex_lock(&s->send_lock);
    int ret = nbd_channel_writev(s->ch, iov, n + 1);
    pthread_mutex_unlock(&s->send_lock);
    return ret;
}

int nbd_send_error(NbdSession *s, const NbdRequest *r, int ret, uint64_t off)
{
    const char *text = strerror(-ret);
    uint8_t head[6], at[8];
    struct iovec iov[] = { { head, sizeof(head) },
                           { (void *)text, strlen(text) },
                           { at, sizeof(at) } };
    bool has_off = off != UINT64_MAX;

    log_info("%s of %" PRIu32 " bytes at %" PRIu64 " fails: %s", nbd_command_name(r->type), r->len,
             r->off, text);
    if (!s->structured)
        return nbd_send_simple(s, r, ret);
    put_be32(head, nbd_error_from_errno(ret));
    put_be16(head + 4, (uint16_t)strlen(text));
    put_be64(at, off);
    return nbd_send_chunk(s, r, has_off ? NBD_CHUNK_ERROR_OFFSET : NBD_CHUNK_ERROR, true, iov,
                          has_off ? 3 : 2);
}

/* ---- READ ---------------------------------------------------------------------------------- */

static int send_data(NbdSession *s, const NbdRequest *r, uint64_t off, void *data, size_t len,
                     bool done)
{
    uint8_t at[8];
    struct iovec iov[] = { { at, sizeof(at) }, { data, len } };

    put_be64(at, off);
    return nbd_send_chunk(s, r, NBD_CHUNK_DATA, done, iov, 2);
}

static int send_hole(NbdSession *s, const NbdRequest *r, uint64_t off, uint32_t len, bool done)
{
    uint8_t hole[12];
    struct iovec iov = { hole, sizeof(hole) };

    put_be64(hole, off);
    put_be32(hole + 8, len);
    return nbd_send_chunk(s, r, NBD_CHUNK_HOLE, done, &iov, 1);
}

/* What is next: a run of zeros that need not be sent, or data. */
static bool next_is_hole(const NbdServedExport *e, uint64_t off, uint64_t len, uint64_t *run)
{
    Extent ext;

    *run = MIN(len, (uint64_t)PIECE);
    if (len < SMALL_READ || node_extent_above(e->node, NULL, e->off + off, len, &ext) < 0)
        return false;
    bool zero = ext.zero || ext.kind == EXTENT_ZERO || ext.kind == EXTENT_HOLE;
    *run = zero ? ext.len : MIN(ext.len, (uint64_t)PIECE);
    return zero;
}

static int read_structured(Worker *w, const NbdRequest *r)
{
    const NbdServedExport *e = w->s->export;
    uint64_t end = r->off + r->len, run;
    bool whole = r->flags & NBD_CMD_FLAG_DF;
    int ret = 0;

    if (whole && r->len > PIECE)
        return nbd_send_error(w->s, r, -EOVERFLOW, UINT64_MAX);
    if (r->len == 0)
        return nbd_send_chunk(w->s, r, NBD_CHUNK_NONE, true, NULL, 0);
    for (uint64_t off = r->off; off < end && ret == 0; off += run) {
        run = end - off;
        if (!whole && next_is_hole(e, off, end - off, &run)) {
            ret = send_hole(w->s, r, off, (uint32_t)run, off + run == end);
            continue;
        }
        ret = node_pread(e->node, w->piece, run, e->off + off);
        if (ret < 0)
            return nbd_send_error(w->s, r, ret, off);
        ret = send_data(w->s, r, off, w->piece, run, off + run == end);
    }
    return ret;
}

static int send_simple_data(Worker *w, const NbdRequest *r, void *data)
{
    NbdReply reply = { .cookie = r->cookie };
    uint8_t head[NBD_CHUNK_BYTES];
    struct iovec iov[] = { { head, nbd_put_reply(head, &reply) }, { data, r->len } };

    return nbd_channel_writev(w->s->ch, iov, 2);
}

/*
 * A simple answer says first whether it will succeed: all must be read before. Of long ones there
 * is one at a time, however many a client asks for.
 */
static int read_simple(Worker *w, const NbdRequest *r)
{
    const NbdServedExport *e = w->s->export;
    AUTO_FREE uint8_t *large = NULL;
    uint8_t *buf = w->piece;
    int ret = 0;

    if (r->len <= PIECE)
        ret = node_pread(e->node, buf, r->len, e->off + r->off);
    pthread_mutex_lock(&w->s->send_lock);
    if (r->len > PIECE) {
        buf = large = buffer_alloc(r->len);
        ret = buf ? node_pread(e->node, buf, r->len, e->off + r->off) : -ENOMEM;
    }
    int sent = ret == 0 ? send_simple_data(w, r, buf) : 0;
    pthread_mutex_unlock(&w->s->send_lock);
    return ret < 0 ? nbd_send_error(w->s, r, ret, UINT64_MAX) : sent;
}

/* ---- the other commands -------------------------------------------------------------------- */

static int do_zeroes(const NbdServedExport *e, const NbdRequest *r)
{
    unsigned flags = r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : REQ_MAY_UNMAP;

    if (r->flags & NBD_CMD_FLAG_FAST_ZERO)
        flags |= REQ_NO_FALLBACK;
    if (r->flags & NBD_CMD_FLAG_FUA)
        flags |= REQ_FUA;
    return node_pwrite_zeroes(e->node, e->off + r->off, r->len, flags);
}

static int do_trim(const NbdServedExport *e, const NbdRequest *r)
{
    int ret = node_discard(e->node, e->off + r->off, r->len);

    return ret == 0 && r->flags & NBD_CMD_FLAG_FUA ? node_flush(e->node) : ret;
}

/* Reading brings it into the host's cache, and that of a remote image to here. */
static int do_cache(Worker *w, const NbdRequest *r)
{
    const NbdServedExport *e = w->s->export;
    uint64_t end = r->off + r->len, run;
    int ret = 0;

    for (uint64_t off = r->off; off < end && ret == 0; off += run) {
        if (next_is_hole(e, off, end - off, &run))
            continue;
        ret = node_pread(e->node, w->piece, run, e->off + off);
    }
    return ret;
}

static int execute(Worker *w, const NbdRequest *r)
{
    const NbdServedExport *e = w->s->export;
    int ret;

    switch (r->type) {
    case NBD_CMD_READ: return w->s->structured ? read_structured(w, r) : read_simple(w, r);
    case NBD_CMD_BLOCK_STATUS: return nbd_session_status(w->s, r);
    case NBD_CMD_FLUSH: ret = node_flush(e->node); break;
    case NBD_CMD_TRIM: ret = do_trim(e, r); break;
    case NBD_CMD_CACHE: ret = do_cache(w, r); break;
    default: ret = do_zeroes(e, r); break;
    }
    return ret < 0 ? nbd_send_error(w->s, r, ret, UINT64_MAX) : nbd_send_simple(w->s, r, 0);
}

/* ---- what may be asked --------------------------------------------------------------------- */

static const struct {
    uint16_t flags; /* that the command knows */
    bool change, range;
} commands[] = {
    [NBD_CMD_READ] = { NBD_CMD_FLAG_DF | NBD_CMD_FLAG_FUA, false, true },
    [NBD_CMD_WRITE] = { NBD_CMD_FLAG_FUA, true, true },
    [NBD_CMD_DISC] = { NBD_CMD_FLAG_FUA, false, false },
    [NBD_CMD_FLUSH] = { NBD_CMD_FLAG_FUA, false, false },
    [NBD_CMD_TRIM] = { NBD_CMD_FLAG_FUA, true, true },
    [NBD_CMD_CACHE] = { NBD_CMD_FLAG_FUA, false, true },
    [NBD_CMD_WRITE_ZEROES] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
                               true, true },
    [NBD_CMD_BLOCK_STATUS] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE, false, true },
};

static int judge(const NbdSession *s, const NbdRequest *r)
{
    const NbdServedExport *e = s->export;
    uint64_t end;

    if (r->type >= ARRAY_LEN(commands) || r->flags & ~commands[r->type].flags)
        return -EINVAL;
    if (r->flags & NBD_CMD_FLAG_DF && !s->structured)
        return -EINVAL;
    if (commands[r->type].change && !e->writable)
        return -EPERM;
    if (commands[r->type].range && (add_overflows(r->off, r->len, &end) || end > e->size))
        return commands[r->type].change ? -ENOSPC : -EINVAL;
    if (r->type == NBD_CMD_READ && r->len > NBD_TAKE_PAYLOAD)
        return -EINVAL;
    if (r->type == NBD_CMD_BLOCK_STATUS && (!s->contexts || r->len == 0))
        return -EINVAL;
    return 0;
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* With the receive lock held: all of a long payload. *result: what became of it. */
static int write_long(Worker *w, const NbdRequest *r, int *result)
{
    const NbdServedExport *e = w->s->export;

    for (uint32_t done = 0, n; done < r->len; done += n) {
        n = MIN(r->len - done, (uint32_t)PIECE);
        int ret = nbd_channel_read(w->s->ch, w->piece, n);

        if (ret < 0)
            return ret;
        if (*result == 0)
            *result = node_pwrite(e->node, w->piece, n, e->off + r->off + done);
    }
    return 0;
}

/* The same lock: what belongs to the request on the wire. */
static int receive_payload(Worker *w, const NbdRequest *r, int *result)
{
    if (r->type != NBD_CMD_WRITE)
        return 0;
    if (r->len > NBD_TAKE_PAYLOAD)
        return -EPROTO;
    if (*result < 0)
        return nbd_channel_skip(w->s->ch, r->len);
    if (r->len > PIECE)
        return write_long(w, r, result);
    return nbd_channel_read(w->s->ch, w->piece, r->len);
}

static int finish_write(Worker *w, const NbdRequest *r)
{
    const NbdServedExport *e = w->s->export;
    struct iovec iov = { w->piece, r->len };
    unsigned flags = r->flags & NBD_CMD_FLAG_FUA ? REQ_FUA : 0;
    int ret = 0;

    if (r->len <= PIECE)
        ret = node_pwritev(e->node, &iov, 1, e->off + r->off, flags);
    else if (flags)
        ret = node_flush(e->node);
    return ret < 0 ? nbd_send_error(w->s, r, ret, UINT64_MAX) : nbd_send_simple(w->s, r, 0);
}

/* ---- workers ------------------------------------------------------------------------------- */

static void *work(void *opaque);

/* One more worker if all the others are busy. */
static void call_help(NbdSession *s)
{
    pthread_t id;

    pthread_mutex_lock(&s->lock);
    if (s->idle == 0 && s->workers < MAX_WORKERS && !s->ending &&
        pthread_create(&id, NULL, work, s) == 0) {
        pthread_detach(id);
        s->workers++;
    }
    pthread_mutex_unlock(&s->lock);
}

static void count_idle(NbdSession *s, int change)
{
    pthread_mutex_lock(&s->lock);
    s->idle += (unsigned)change;
    pthread_mutex_unlock(&s->lock);
}

/* Read one request. *result: the verdict on it; the return value: that on the connection. */
static int receive(Worker *w, NbdRequest *r, int *result)
{
    uint8_t head[NBD_REQUEST_BYTES];
    NbdSession *s = w->s;

    count_idle(s, 1);
    pthread_mutex_lock(&s->receive_lock);
    int ret = s->ending ? -ECANCELED : nbd_channel_read(s->ch, head, sizeof(head));
    count_idle(s, -1);
    if (ret == 0 && !nbd_get_request(head, r))
        ret = -EPROTO;
    if (ret == 0 && r->type == NBD_CMD_DISC)
        ret = -ECANCELED;
    if (ret == 0) {
        *result = judge(s, r);
        ret = receive_payload(w, r, result);
    }
    if (ret < 0)
        s->ending = true;
    pthread_mutex_unlock(&s->receive_lock);
    if (ret == 0)
        call_help(s);
    return ret;
}

static int serve_one(Worker *w)
{
    NbdRequest r;
    int result = 0, ret = receive(w, &r, &result);

    if (ret < 0)
        return ret;
    if (result < 0)
        return nbd_send_error(w->s, &r, result, UINT64_MAX);
    return r.type == NBD_CMD_WRITE ? finish_write(w, &r) : execute(w, &r);
}

static void *work(void *opaque)
{
    Worker w = { .s = opaque, .piece = buffer_alloc(PIECE) };
    NbdSession *s = w.s;

    while (w.piece && serve_one(&w) == 0)
        ;
    nbd_channel_shutdown_read(s->ch); /* an answer that cannot be sent ends it, too */
    free(w.piece);
    pthread_mutex_lock(&s->lock);
    s->workers--;
    pthread_cond_signal(&s->ended); /* the last touch */
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void nbd_session_requests(NbdSession *s)
{
    s->workers = 1;
    work(s);
    pthread_mutex_lock(&s->lock);
    while (s->workers)
        pthread_cond_wait(&s->ended, &s->lock);
    pthread_mutex_unlock(&s->lock);
}
