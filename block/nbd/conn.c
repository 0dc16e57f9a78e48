/*
 * conn.c - see conn.h.
 *
 * Invariants, under `lock`:
 * - A call is in `slots` from before it is sent until its maker leaves; its cookie says which slot.
 * - `reading`: one thread is between the first and the last byte of an answer, without the lock. It
 *   may write to any call in a slot, so nobody leaves an unfinished call behind while it reads.
 * - If requests were sent and nobody reads, somebody who waits is about to.
 */
#include "block/nbd/conn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/endian.h"
#include "base/iov.h"
#include "base/math.h"

enum { SLOTS = 64, SLOT_BITS = 8, IOV_ON_STACK = 33 };

struct NbdConn {
    atomic_int refs;
    NbdChannel *ch;
    NbdExport info;
    pthread_mutex_t send_lock;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t slot_free;
    NbdCall *slots[SLOTS];
    uint64_t serial;
    unsigned in_flight;
    bool reading, broken;
    Error *why;
};

NbdConn *nbd_conn_new(NbdChannel *ch, const NbdExport *info)
{
    NbdConn *c = calloc(1, sizeof(*c));

    if (!c) {
        nbd_channel_free(ch);
        return NULL;
    }
    atomic_store(&c->refs, 1);
    c->ch = ch;
    c->info = *info;
    pthread_mutex_init(&c->send_lock, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->slot_free, NULL);
    return c;
}

NbdConn *nbd_conn_ref(NbdConn *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void nbd_conn_unref(NbdConn *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    nbd_channel_free(c->ch);
    pthread_cond_destroy(&c->slot_free);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->send_lock);
    error_free(c->why);
    free(c);
}

/* ---- the end of a connection ---- */

/* With the lock held. Who reads gets an error soon and wakes the others. */
static void break_down(NbdConn *c, Error *why)
{
    if (c->broken) {
        error_free(why);
        return;
    }
    c->broken = true;
    c->why = why;
    nbd_channel_shutdown(c->ch);
    pthread_cond_broadcast(&c->slot_free);
    for (unsigned i = 0; i < SLOTS; i++)
        if (c->slots[i])
            pthread_cond_signal(&c->slots[i]->wake);
}

void nbd_conn_shutdown(NbdConn *c)
{
    pthread_mutex_lock(&c->lock);
    break_down(c, NULL);
    pthread_mutex_unlock(&c->lock);
}

void nbd_conn_bye(NbdConn *c)
{
    NbdRequest r = { .type = NBD_CMD_DISC };
    uint8_t head[NBD_REQUEST_BYTES];

    nbd_put_request(head, &r);
    nbd_channel_set_deadline(c->ch, 1000); /* nobody waits for a server that does not listen */
    nbd_channel_write(c->ch, head, sizeof(head));
    nbd_channel_bye(c->ch);
}

bool nbd_conn_alive(NbdConn *c)
{
    pthread_mutex_lock(&c->lock);
    bool alive = !c->broken;
    pthread_mutex_unlock(&c->lock);
    return alive;
}

unsigned nbd_conn_in_flight(NbdConn *c)
{
    pthread_mutex_lock(&c->lock);
    unsigned n = c->in_flight;
    pthread_mutex_unlock(&c->lock);
    return n;
}

const NbdExport *nbd_conn_info(const NbdConn *c)
{
    return &c->info;
}

char *nbd_conn_reason(NbdConn *c)
{
    pthread_mutex_lock(&c->lock);
    char *text = c->why ? strdup(c->why->message) : NULL;
    pthread_mutex_unlock(&c->lock);
    return text;
}

/* ---- sending ---- */

static int send_call(NbdConn *c, const NbdCall *call)
{
    bool payload = call->request.type == NBD_CMD_WRITE;
    int n = payload ? call->iovcnt + 1 : 1;
    struct iovec few[IOV_ON_STACK], *iov = few;
    AUTO_FREE struct iovec *many = NULL;
    uint8_t head[NBD_REQUEST_BYTES];

    if (n > IOV_ON_STACK && !(iov = many = malloc((size_t)n * sizeof(*iov))))
        return -ENOMEM;
    nbd_put_request(head, &call->request);
    iov[0] = (struct iovec) { head, sizeof(head) };
    if (payload)
        memcpy(iov + 1, call->iov, (size_t)call->iovcnt * sizeof(*iov));
    pthread_mutex_lock(&c->send_lock);
    int ret = nbd_channel_writev(c->ch, iov, n);
    pthread_mutex_unlock(&c->send_lock);
    return ret;
}

/* ---- answers to READ ---- */

/* Each byte is answered once. Servers send in order; a few pieces may be out of it. */
static int add_run(NbdCall *call, uint32_t start, uint32_t end)
{
    unsigned at = 0;

    while (at < call->n_runs && call->runs[at].end < start)
        at++;
    bool joins = at < call->n_runs && call->runs[at].end == start;
    unsigned next = joins ? at + 1 : at;
    if (next < call->n_runs && call->runs[next].start < end)
        return -EPROTO;
    if (joins) {
        call->runs[at].end = end;
        return 0;
    }
    if (call->n_runs == NBD_MAX_RUNS)
        return -EPROTO;
    memmove(&call->runs[at + 1], &call->runs[at], (call->n_runs - at) * sizeof(call->runs[0]));
    call->runs[at].start = start;
    call->runs[at].end = end;
    call->n_runs++;
    return 0;
}

static bool answered_whole(const NbdCall *call)
{
    uint32_t at = 0;

    for (unsigned i = 0; i < call->n_runs && call->runs[i].start == at; i++)
        at = call->runs[i].end;
    return at == call->request.len;
}

static int read_payload(NbdConn *c, const NbdCall *call, uint32_t skip, uint32_t len)
{
    struct iovec few[IOV_ON_STACK], *iov = few;
    AUTO_FREE struct iovec *many = NULL;

    if (call->iovcnt > IOV_ON_STACK && !(iov = many = malloc((size_t)call->iovcnt * sizeof(*iov))))
        return -ENOMEM;
    int n = iov_slice(iov, call->iov, call->iovcnt, skip, len);
    return nbd_channel_readv(c->ch, iov, n);
}

/* The part of the request that a chunk is about. */
static int chunk_range(NbdCall *call, uint64_t off, uint64_t len, Error **err)
{
    const NbdRequest *r = &call->request;

    if (len == 0 || off < r->off || off - r->off > r->len || len > r->len - (off - r->off) ||
        add_run(call, (uint32_t)(off - r->off), (uint32_t)(off - r->off + len)) < 0)
        return error_set(err, -EPROTO,
                         "the server answers %" PRIu64 " bytes at %" PRIu64
                         " that were not asked for, or twice",
                         len, off);
    return 0;
}

static int data_chunk(NbdConn *c, NbdCall *call, uint32_t len, Error **err)
{
    uint8_t head[8];
    int ret = nbd_channel_read(c->ch, head, sizeof(head));
    uint64_t off = get_be64(head);

    if (ret == 0)
        ret = chunk_range(call, off, len - sizeof(head), err);
    return ret < 0 ? ret
                   : read_payload(c, call, (uint32_t)(off - call->request.off),
                                  len - (uint32_t)sizeof(head));
}

static int hole_chunk(NbdConn *c, NbdCall *call, Error **err)
{
    uint8_t data[12];
    int ret = nbd_channel_read(c->ch, data, sizeof(data));
    uint64_t off = get_be64(data);
    uint32_t len = get_be32(data + 8);

    if (ret == 0)
        ret = chunk_range(call, off, len, err);
    if (ret == 0)
        iov_zero(call->iov, call->iovcnt, off - call->request.off, len);
    return ret;
}

/* ---- other chunks ---- */

static int status_chunk(NbdConn *c, NbdCall *call, uint32_t len, Error **err)
{
    uint8_t id[4];
    int ret = nbd_channel_read(c->ch, id, sizeof(id));

    if (ret < 0)
        return ret;
    if (get_be32(id) != c->info.context_id || call->status)
        return error_set(err, -EPROTO, "the server tells of context %" PRIu32 ", twice or unasked",
                         get_be32(id));
    call->status_len = len - 4;
    call->status = malloc(call->status_len);
    return call->status ? nbd_channel_read(c->ch, call->status, call->status_len) : -ENOMEM;
}

/* A number, a text that we do not show, maybe an offset. */
static int error_chunk(NbdConn *c, NbdCall *call, uint32_t len)
{
    uint8_t code[4];
    int ret = nbd_channel_read(c->ch, code, sizeof(code));

    if (ret == 0 && call->ret == 0)
        call->ret = nbd_error_to_errno(get_be32(code));
    return ret < 0 ? ret : nbd_channel_skip(c->ch, len - 4);
}

/* Does a chunk of this type and length answer this request? */
static bool chunk_fits(const NbdCall *call, const NbdReply *r)
{
    uint16_t type = call->request.type;

    if (r->type & NBD_CHUNK_ERROR_BIT)
        return r->len >= 6 && r->len <= NBD_MAX_STRING + 14;
    switch (r->type) {
    case NBD_CHUNK_NONE: return r->len == 0 && r->flags & NBD_CHUNK_DONE;
    case NBD_CHUNK_DATA:
        return type == NBD_CMD_READ && r->len > 8 && r->len - 8 <= call->request.len;
    case NBD_CHUNK_HOLE: return type == NBD_CMD_READ && r->len == 12;
    case NBD_CHUNK_STATUS:
        return type == NBD_CMD_BLOCK_STATUS && r->len >= 12 && r->len % 8 == 4 &&
               r->len / 8 <= NBD_MAX_STATUS;
    default: return false;
    }
}

static int read_chunk(NbdConn *c, NbdCall *call, const NbdReply *r, Error **err)
{
    if (!c->info.structured || !chunk_fits(call, r))
        return error_set(err, -EPROTO,
                         "the server answers %s with a chunk of type %u and %" PRIu32 " bytes",
                         nbd_command_name(call->request.type), r->type, r->len);
    if (r->type & NBD_CHUNK_ERROR_BIT)
        return error_chunk(c, call, r->len);
    switch (r->type) {
    case NBD_CHUNK_DATA: return data_chunk(c, call, r->len, err);
    case NBD_CHUNK_HOLE: return hole_chunk(c, call, err);
    case NBD_CHUNK_STATUS: return status_chunk(c, call, r->len, err);
    default: return 0;
    }
}

static int read_simple(NbdConn *c, NbdCall *call, const NbdReply *r, Error **err)
{
    uint16_t type = call->request.type;

    if (r->error) {
        call->ret = nbd_error_to_errno(r->error);
        return 0;
    }
    if (c->info.structured && (type == NBD_CMD_READ || type == NBD_CMD_BLOCK_STATUS))
        return error_set(err, -EPROTO, "the server's answer to %s is not structured",
                         nbd_command_name(type));
    if (type != NBD_CMD_READ)
        return 0;
    add_run(call, 0, call->request.len);
    return read_payload(c, call, 0, call->request.len);
}

/* ---- reading ---- */

static int read_head(NbdConn *c, NbdReply *r, Error **err)
{
    uint8_t head[NBD_CHUNK_BYTES];
    int ret = nbd_channel_read(c->ch, head, NBD_SIMPLE_BYTES);

    if (ret < 0)
        return ret;
    unsigned len = nbd_reply_bytes(head);
    if (len == 0)
        return error_set(err, -EPROTO, "the server's answer starts with %#" PRIx32, get_be32(head));
    ret = nbd_channel_read(c->ch, head + NBD_SIMPLE_BYTES, len - NBD_SIMPLE_BYTES);
    if (ret == 0)
        nbd_get_reply(head, r);
    return ret;
}

static NbdCall *find_call(NbdConn *c, uint64_t cookie)
{
    unsigned slot = cookie & ((1 << SLOT_BITS) - 1);

    pthread_mutex_lock(&c->lock);
    NbdCall *call = slot < SLOTS ? c->slots[slot] : NULL;
    if (call && (call->request.cookie != cookie || call->done))
        call = NULL;
    pthread_mutex_unlock(&c->lock);
    return call;
}

/* All is there for this call. With an answer that leaves parts of it open nothing can be done. */
static int finish_call(NbdConn *c, NbdCall *call, Error **err)
{
    if (call->ret == 0 && call->request.type == NBD_CMD_READ && !answered_whole(call))
        return error_set(err, -EPROTO, "the server answers only a part of a READ");
    if (call->ret == 0 && call->request.type == NBD_CMD_BLOCK_STATUS && !call->status)
        return error_set(err, -EPROTO, "the server answers BLOCK_STATUS without a status");
    pthread_mutex_lock(&c->lock);
    call->done = true;
    pthread_cond_signal(&call->wake);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

/* One answer, or one chunk of one. */
static int read_answer(NbdConn *c, Error **err)
{
    NbdReply r;
    int ret = read_head(c, &r, err);
    NbdCall *call = ret == 0 ? find_call(c, r.cookie) : NULL;

    if (ret == 0 && !call)
        return error_set(err, -EPROTO, "the server answers a request that nobody made");
    if (ret == 0)
        ret = r.structured ? read_chunk(c, call, &r, err) : read_simple(c, call, &r, err);
    if (ret == 0 && (!r.structured || r.flags & NBD_CHUNK_DONE))
        ret = finish_call(c, call, err);
    if (ret < 0 && !*err)
        error_set(err, ret, "%s",
                  ret == -ENODATA ? "the server ended the connection" : strerror(-ret));
    return ret;
}

/* With the lock held: somebody who only waits takes over reading. */
static void hand_over(NbdConn *c)
{
    for (unsigned i = 0; i < SLOTS && !c->reading; i++) {
        NbdCall *call = c->slots[i];

        if (call && call->waiting && !call->done) {
            pthread_cond_signal(&call->wake);
            if (!c->broken) /* if it is, they all may leave now */
                return;
        }
    }
}

/* With the lock held. */
static void read_as_leader(NbdConn *c)
{
    Error *err = NULL;

    c->reading = true;
    pthread_mutex_unlock(&c->lock);
    int ret = read_answer(c, &err);
    pthread_mutex_lock(&c->lock);
    c->reading = false;
    if (ret < 0)
        break_down(c, err);
}

/* With the lock held: until the answer is there or will not come. */
static int wait_for_answer(NbdConn *c, NbdCall *call)
{
    while (!call->done && !(c->broken && !c->reading)) {
        if (!c->reading) {
            read_as_leader(c);
            continue;
        }
        call->waiting = true;
        pthread_cond_wait(&call->wake, &c->lock);
        call->waiting = false;
    }
    return call->done ? call->ret : -ENOTCONN;
}

/* With the lock held. -1: broken. */
static int take_slot(NbdConn *c, NbdCall *call)
{
    int slot = 0;

    while (!c->broken && c->in_flight == SLOTS)
        pthread_cond_wait(&c->slot_free, &c->lock);
    if (c->broken)
        return -1;
    while (c->slots[slot])
        slot++;
    c->slots[slot] = call;
    c->in_flight++;
    call->request.cookie = ++c->serial << SLOT_BITS | (unsigned)slot;
    return slot;
}

int nbd_conn_call(NbdConn *c, NbdCall *call)
{
    call->ret = 0;
    call->done = call->waiting = false;
    call->n_runs = 0;
    call->status = NULL;
    pthread_cond_init(&call->wake, NULL);
    pthread_mutex_lock(&c->lock);
    int ret = -ENOTCONN, slot = take_slot(c, call);
    if (slot >= 0) {
        pthread_mutex_unlock(&c->lock);
        ret = send_call(c, call);
        pthread_mutex_lock(&c->lock);
        if (ret < 0) {
            Error *err = NULL;

            error_set(&err, ret, "cannot send a request: %s", strerror(-ret));
            break_down(c, err);
        }
        ret = wait_for_answer(c, call);
        c->slots[slot] = NULL;
        c->in_flight--;
        pthread_cond_signal(&c->slot_free);
        hand_over(c);
    }
    pthread_mutex_unlock(&c->lock);
    pthread_cond_destroy(&call->wake);
    if (ret < 0) {
        free(call->status);
        call->status = NULL;
    }
    return ret;
}
