/*
 * aio.h - requests that do not block their submitter: a worker pool that completes on one thread.
 *
 *     aio_submit(ctx, req)            any thread; a worker performs the request
 *     poll(aio_fd(ctx), POLLIN)       becomes readable when something has completed
 *     aio_dispatch(ctx)               calls done() of everything completed, on this thread
 *
 * A request's memory (the AioRequest, the iovec array, the buffers) is the submitter's and must
 * stay until done() is called; done() may free it or submit it again.
 */
#ifndef BLOCK_AIO_H
#define BLOCK_AIO_H

#include "base/pool.h"
#include "block/node.h"

typedef struct AioContext AioContext;
typedef struct AioRequest AioRequest;

typedef enum { AIO_READ, AIO_WRITE, AIO_ZEROES, AIO_DISCARD, AIO_FLUSH } AioOp;

struct AioRequest {
    AioOp op;
    Node *node;
    uint64_t off;
    uint64_t len; /* ZEROES and DISCARD; transfers take theirs from the iovec */
    const struct iovec *iov;
    int iovcnt;
    unsigned flags; /* REQ_* */
    void (*done)(AioRequest *req);
    void *opaque; /* the submitter's */
    int ret;      /* 0 or -errno, valid in done() */

    PoolJob job; /* private from here */
    AioContext *ctx;
    AioRequest *next;
};

AioContext *aio_new(unsigned threads, Error **err); /* threads 0: a sensible number */
void aio_free(AioContext *ctx);                     /* drains first */

int aio_fd(const AioContext *ctx);
void aio_submit(AioContext *ctx, AioRequest *req);

/* Returns how many completions ran. Call on one thread only. */
unsigned aio_dispatch(AioContext *ctx);

/* Wait for one completion at least (or return at once if nothing is in flight) and dispatch. */
unsigned aio_poll(AioContext *ctx);

/* Dispatch until nothing is in flight. New requests of a done() are waited for, too. */
void aio_drain(AioContext *ctx);

unsigned aio_in_flight(const AioContext *ctx);

#endif
