/*
 * link.c - see link.h.
 */
#include "block/nbd/link.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/math.h"
#include "block/nbd/kept.h"

enum { CONNECT_MS = 30000, RECONNECT_MS = 3000, EXTEND_MS = 5000, OPEN_PAUSE_MS = 500 };
/* A lost server is looked for after these pauses, doubled each time. */
enum { FIRST_PAUSE_MS = 50, LAST_PAUSE_MS = 2000 };
/* So many requests that found all connections busy before one more is made. */
enum { BUSY_BEFORE_MORE = 8 };

struct NbdLink {
    const NbdLinkOptions *o;
    NbdExport export; /* as it was when it was opened */
    NbdKept kept;     /* with reconnect_ms */
    _Atomic uint64_t written, flushed;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    NbdConn *conns[NBD_MAX_CONNS];
    unsigned n_conns, max_conns, busy;
    bool connecting, lost_writes, closing;
    uint64_t lost_at, next_try, pause; /* lost_at 0: all is well */
    bool extending;                    /* the thread below runs, or is to be joined */
    pthread_t extender;
    NbdChannel *extension; /* in its handshake; guarded by the lock */
};

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const NbdExport *nbd_link_export(const NbdLink *l)
{
    return &l->export;
}

/* ---- one connection ------------------------------------------------------------------------ */

/* A server that came back must offer the same disk. */
static int check_same(const NbdLink *l, const NbdExport *now, Error **err)
{
    const NbdExport *was = &l->export;

    if (now->size != was->size)
        return error_set(err, -ESTALE, "the export had %" PRIu64 " bytes and now has %" PRIu64,
                         was->size, now->size);
    if (now->flags != was->flags || now->structured != was->structured ||
        now->has_context != was->has_context || now->min_block > was->min_block ||
        now->max_block < was->max_block)
        return error_set(err, -ESTALE, "the server offers other features than before");
    return 0;
}

static int connect_within(NbdLink *l, unsigned ms, bool extension, NbdExport *info,
                          NbdChannel **out, Error **err)
{
    const NbdLinkOptions *o = l->o;
    NbdWant want = {
        .export = o->export, .context = o->context, .tls = o->tls, .hostname = o->hostname
    };
    int fd, ret = nbd_connect(&o->address, ms, &fd, err);
    NbdChannel *ch = ret == 0 ? nbd_channel_new(fd) : NULL;

    if (!ch)
        return ret < 0 ? ret : error_set(err, -ENOMEM, "no memory for a connection");
    nbd_channel_set_deadline(ch, ms);
    if (extension) {
        pthread_mutex_lock(&l->lock);
        l->extension = ch;
        if (l->closing)
            nbd_channel_shutdown(ch);
        pthread_mutex_unlock(&l->lock);
    }
    ret = nbd_handshake(ch, &want, info, err);
    if (extension) {
        pthread_mutex_lock(&l->lock);
        l->extension = NULL;
        pthread_mutex_unlock(&l->lock);
    }
    nbd_channel_set_deadline(ch, 0);
    nbd_channel_set_timeout(ch, o->timeout_ms);
    if (ret < 0)
        nbd_channel_free(ch);
    else
        *out = ch;
    return ret;
}

static int connect_again(NbdLink *l, unsigned ms, bool extension, NbdConn **out, Error **err)
{
    NbdExport info;
    NbdChannel *ch;
    int ret = connect_within(l, ms, extension, &info, &ch, err);

    if (ret < 0)
        return ret;
    ret = check_same(l, &info, err);
    if (ret < 0) {
        nbd_channel_free(ch);
        return ret;
    }
    *out = nbd_conn_new(ch, &info);
    return *out ? 0 : error_set(err, -ENOMEM, "no memory for a connection");
}

/* ---- loss and return ----------------------------------------------------------------------- */

/* With the lock held: the server is lost; all connections end. */
static void give_up_conns(NbdLink *l)
{
    if (l->lost_at)
        return;
    AUTO_FREE char *why = l->n_conns ? nbd_conn_reason(l->conns[0]) : NULL;
    log_warning("NBD export '%s': the connection is lost%s%s", l->o->export, why ? ": " : "",
                why ? why : "");
    l->lost_at = now_ms();
    l->next_try = l->lost_at;
    l->pause = FIRST_PAUSE_MS;
    if (!l->o->reconnect_ms && l->written != l->flushed && l->export.flags & NBD_FLAG_SEND_FLUSH)
        l->lost_writes = true;
    for (unsigned i = 0; i < l->n_conns; i++) {
        nbd_conn_shutdown(l->conns[i]);
        nbd_conn_unref(l->conns[i]);
    }
    l->n_conns = 0;
}

/* On a new connection that nobody uses yet: what the server may have forgotten, in order. */
static int replay(NbdLink *l, NbdConn *conn)
{
    int ret = 0;

    for (NbdKeptWrite *w = l->kept.first; w && ret == 0; w = w->next) {
        struct iovec iov = { w->data, w->len };
        NbdCall call = {
            .request = { .type = w->type, .flags = w->flags, .off = w->off, .len = w->len },
            .iov = &iov,
            .iovcnt = w->type == NBD_CMD_WRITE
        };

        if (w->done)
            ret = nbd_conn_call(conn, &call);
    }
    return ret;
}

/* With the lock held, which is let go meanwhile: try once. */
static int reconnect(NbdLink *l, uint64_t left_ms)
{
    AUTO_ERROR Error *err = NULL;
    NbdConn *conn = NULL;

    l->connecting = true;
    pthread_mutex_unlock(&l->lock);
    int ret =
        connect_again(l, (unsigned)MIN(MAX(left_ms, (uint64_t)RECONNECT_MS), (uint64_t)CONNECT_MS),
                      false, &conn, &err);
    if (ret == 0) {
        pthread_mutex_lock(&l->kept.lock);
        ret = replay(l, conn);
        pthread_mutex_unlock(&l->kept.lock);
    }
    pthread_mutex_lock(&l->lock);
    l->connecting = false;
    if (ret == 0) {
        log_warning("NBD export '%s': connected again", l->o->export);
        l->conns[l->n_conns++] = conn;
        l->lost_at = 0;
    } else {
        nbd_conn_unref(conn);
        l->next_try = now_ms() + l->pause;
        l->pause = MIN(2 * l->pause, (uint64_t)LAST_PAUSE_MS);
    }
    pthread_cond_broadcast(&l->changed);
    return ret;
}

static void wait_until(NbdLink *l, uint64_t ms)
{
    struct timespec ts = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) };

    pthread_cond_timedwait(&l->changed, &l->lock, &ts);
}

/* With the lock held: until there is a connection, or it is too late. */
static int await_conn(NbdLink *l)
{
    while (l->n_conns == 0) {
        uint64_t now = now_ms(), end = l->lost_at + l->o->reconnect_ms;
        bool too_late = now >= end;

        if (!l->connecting && now >= l->next_try) {
            if (reconnect(l, too_late ? 0 : end - now) == -ESTALE)
                return -EIO;
            continue;
        }
        if (too_late)
            return -EIO;
        wait_until(l, l->connecting ? end : MIN(end, l->next_try));
    }
    return 0;
}

/* ---- more connections ---------------------------------------------------------------------- */

static void *extend(void *opaque)
{
    NbdLink *l = opaque;
    NbdConn *conn = NULL;
    int ret = connect_again(l, EXTEND_MS, true, &conn, NULL);

    pthread_mutex_lock(&l->lock);
    if (ret == 0 && !l->lost_at && !l->closing) {
        l->conns[l->n_conns++] = conn;
        conn = NULL;
    } else {
        l->max_conns = MAX(l->n_conns, 1U); /* the server does not want more */
    }
    pthread_mutex_unlock(&l->lock);
    if (conn)
        nbd_conn_bye(conn);
    nbd_conn_unref(conn);
    return NULL;
}

/* With the lock held. The thread before has ended if it added a connection. */
static void consider_more(NbdLink *l)
{
    if (l->n_conns >= l->max_conns || ++l->busy < BUSY_BEFORE_MORE)
        return;
    l->busy = 0;
    if (l->extending) {
        if (pthread_tryjoin_np(l->extender, NULL) != 0)
            return;
        l->extending = false;
    }
    l->extending = pthread_create(&l->extender, NULL, extend, l) == 0;
}

/* The connection with the least to do (the caller drops it). */
static int choose_conn(NbdLink *l, NbdConn **out)
{
    unsigned best = 0, least = UINT32_MAX;

    pthread_mutex_lock(&l->lock);
    int ret = await_conn(l);
    for (unsigned i = 0; ret == 0 && i < l->n_conns && least; i++) {
        unsigned n = nbd_conn_in_flight(l->conns[i]);

        if (n < least) {
            least = n;
            best = i;
        }
    }
    if (ret == 0 && least)
        consider_more(l);
    if (ret == 0)
        *out = nbd_conn_ref(l->conns[best]);
    pthread_mutex_unlock(&l->lock);
    return ret;
}

static void note_loss(NbdLink *l, NbdConn *conn)
{
    pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->n_conns; i++) {
        if (l->conns[i] == conn) {
            l->conns[i] = l->conns[0]; /* its reason is the one to tell */
            l->conns[0] = conn;
            give_up_conns(l);
            break;
        }
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- requests ------------------------------------------------------------------------------ */

static int call_with_retries(NbdLink *l, NbdCall *call)
{
    for (;;) {
        NbdConn *conn = NULL;
        int ret = choose_conn(l, &conn);

        if (ret < 0)
            return ret;
        ret = nbd_conn_call(conn, call);
        if (ret == -ENOTCONN)
            note_loss(l, conn);
        nbd_conn_unref(conn);
        if (ret != -ENOTCONN)
            return ret;
        if (!l->o->reconnect_ms)
            return -EIO;
    }
}

static bool is_write(const NbdCall *call)
{
    return call->request.type == NBD_CMD_WRITE || call->request.type == NBD_CMD_WRITE_ZEROES;
}

static bool keeps_writes(const NbdLink *l)
{
    return l->o->reconnect_ms && l->export.flags & NBD_FLAG_SEND_FLUSH;
}

int nbd_link_call(NbdLink *l, NbdCall *call)
{
    const NbdRequest *r = &call->request;
    NbdKeptWrite *kept = NULL;

    if (is_write(call) && keeps_writes(l)) {
        int ret = nbd_kept_full(&l->kept) ? nbd_link_flush(l) : 0;

        if (ret < 0)
            return ret;
        kept = nbd_kept_add(&l->kept, r->type, r->flags, r->off, r->len, call->iov, call->iovcnt);
        if (!kept)
            return -ENOMEM;
    }
    int ret = call_with_retries(l, call);
    if (kept)
        nbd_kept_end(&l->kept, kept, ret == 0);
    if (ret == 0 && is_write(call))
        l->written++;
    return ret;
}

int nbd_link_flush(NbdLink *l)
{
    NbdCall call = { .request = { .type = NBD_CMD_FLUSH } };
    uint64_t written = l->written;

    pthread_mutex_lock(&l->lock);
    bool lost = l->lost_writes;
    pthread_mutex_unlock(&l->lock);
    if (lost)
        return -EIO;
    if (!(l->export.flags & NBD_FLAG_SEND_FLUSH))
        return 0;
    nbd_kept_mark(&l->kept);
    int ret = call_with_retries(l, &call);
    if (ret == 0) {
        nbd_kept_forget_marked(&l->kept);
        l->flushed = written;
    }
    pthread_mutex_lock(&l->lock);
    if (l->lost_writes) /* this flush may have gone to a server that never saw the writes */
        ret = -EIO;
    pthread_mutex_unlock(&l->lock);
    return ret;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static bool may_pass(int ret)
{
    switch (ret) {
    case -EINVAL:
    case -EACCES:
    case -EPERM:
    case -ENOTSUP:
    case -ENOMEM: return false;
    default: return true;
    }
}

static int connect_first(NbdLink *l, NbdChannel **ch, Error **err)
{
    struct timespec pause = { 0, OPEN_PAUSE_MS * 1000000 };
    uint64_t end = now_ms() + l->o->open_ms;

    for (;;) {
        uint64_t now = now_ms(), left = l->o->open_ms ? MAX(end, now + 1) - now : CONNECT_MS;
        int ret = connect_within(l, (unsigned)MIN(left, (uint64_t)CONNECT_MS), false, &l->export,
                                 ch, err);

        if (ret == 0 || !may_pass(ret) || now_ms() + OPEN_PAUSE_MS >= end)
            return ret;
        nanosleep(&pause, NULL);
    }
}

int nbd_link_open(const NbdLinkOptions *options, NbdLink **out, Error **err)
{
    NbdLink *l = calloc(1, sizeof(*l));
    pthread_condattr_t clock;
    NbdChannel *ch = NULL;

    if (!l)
        return error_set(err, -ENOMEM, "no memory for a connection");
    l->o = options;
    nbd_kept_init(&l->kept);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &clock);
    pthread_condattr_destroy(&clock);
    int ret = connect_first(l, &ch, err);
    if (ret == 0) {
        l->conns[0] = nbd_conn_new(ch, &l->export);
        l->n_conns = l->conns[0] != NULL;
        ret = l->conns[0] ? 0 : error_set(err, -ENOMEM, "no memory for a connection");
    }
    l->max_conns = l->export.flags & NBD_FLAG_CAN_MULTI_CONN ? options->max_conns : 1;
    if (ret < 0)
        nbd_link_close(l);
    else
        *out = l;
    return ret;
}

void nbd_link_close(NbdLink *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    if (l->extension)
        nbd_channel_shutdown(l->extension);
    pthread_mutex_unlock(&l->lock);
    if (l->extending)
        pthread_join(l->extender, NULL);
    for (unsigned i = 0; i < l->n_conns; i++) {
        if (nbd_conn_alive(l->conns[i]))
            nbd_conn_bye(l->conns[i]);
        nbd_conn_unref(l->conns[i]);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    nbd_kept_destroy(&l->kept);
    free(l);
}
