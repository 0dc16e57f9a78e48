/*
 * aio.c - see aio.h.
 *
 * Workers push finished requests on a list; the eventfd is rung by whoever makes it non-empty.
 */
#include "block/aio.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { AIO_DEFAULT_THREADS = 16 };

struct AioContext {
    Pool *pool;
    int fd;
    atomic_uint in_flight;
    pthread_mutex_t lock;
    AioRequest *first, **last; /* finished, oldest first */
};

static void finish(AioContext *ctx, AioRequest *req)
{
    uint64_t one = 1;

    pthread_mutex_lock(&ctx->lock);
    bool ring = !ctx->first;
    req->next = NULL;
    *ctx->last = req;
    ctx->last = &req->next;
    /* under the lock: the context may be freed once the last request is taken off the list */
    if (ring && write(ctx->fd, &one, sizeof(one)) < 0) {
        /* only a full counter fails, and that is readable already */
    }
    pthread_mutex_unlock(&ctx->lock);
}

static int perform(AioRequest *r)
{
    switch (r->op) {
    case AIO_READ: return node_preadv(r->node, r->iov, r->iovcnt, r->off);
    case AIO_WRITE: return node_pwritev(r->node, r->iov, r->iovcnt, r->off, r->flags);
    case AIO_ZEROES: return node_pwrite_zeroes(r->node, r->off, r->len, r->flags);
    case AIO_DISCARD: return node_discard(r->node, r->off, r->len);
    case AIO_FLUSH: return node_flush(r->node);
    }
    return -EINVAL;
}

static void work(PoolJob *job)
{
    AioRequest *req = container_of(job, AioRequest, job);

    req->ret = perform(req);
    finish(req->ctx, req);
}

AioContext *aio_new(unsigned threads, Error **err)
{
    AioContext *ctx = calloc(1, sizeof(*ctx));

    if (ctx) {
        ctx->pool = pool_new(threads ? threads : AIO_DEFAULT_THREADS);
        ctx->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ctx->last = &ctx->first;
        pthread_mutex_init(&ctx->lock, NULL);
    }
    if (!ctx || !ctx->pool || ctx->fd < 0) {
        error_set(err, -ENOMEM, "cannot set up disk workers: %s", strerror(errno));
        if (ctx)
            pool_free(ctx->pool);
        free(ctx);
        return NULL;
    }
    return ctx;
}

void aio_free(AioContext *ctx)
{
    if (!ctx)
        return;
    aio_drain(ctx);
    pool_free(ctx->pool);
    close(ctx->fd);
    pthread_mutex_destroy(&ctx->lock);
    free(ctx);
}

int aio_fd(const AioContext *ctx)
{
    return ctx->fd;
}

unsigned aio_in_flight(const AioContext *ctx)
{
    return atomic_load(&ctx->in_flight);
}

void aio_submit(AioContext *ctx, AioRequest *req)
{
    atomic_fetch_add(&ctx->in_flight, 1);
    req->ctx = ctx;
    req->ret = 0;
    req->job.run = work;
    pool_submit(ctx->pool, &req->job);
}

unsigned aio_dispatch(AioContext *ctx)
{
    uint64_t count;
    unsigned n = 0;

    if (read(ctx->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return 0;
    pthread_mutex_lock(&ctx->lock);
    AioRequest *req = ctx->first, *next;
    ctx->first = NULL;
    ctx->last = &ctx->first;
    pthread_mutex_unlock(&ctx->lock);
    for (; req; req = next, n++) {
        next = req->next; /* done() may free the request */
        atomic_fetch_sub(&ctx->in_flight, 1);
        req->done(req);
    }
    return n;
}

unsigned aio_poll(AioContext *ctx)
{
    struct pollfd p = { .fd = ctx->fd, .events = POLLIN };

    if (aio_in_flight(ctx) == 0)
        return 0;
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    return aio_dispatch(ctx);
}

void aio_drain(AioContext *ctx)
{
    while (aio_in_flight(ctx))
        aio_poll(ctx);
}
