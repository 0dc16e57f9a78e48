/*
 * session.h - one client of the server, inside block/nbd/: negotiation, then requests.
 */
#ifndef BLOCK_NBD_SESSION_H
#define BLOCK_NBD_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "block/nbd/channel.h"
#include "block/nbd/proto.h"
#include "block/nbd/server.h"

/* Ids of contexts on the wire; bitmaps follow. */
enum { CONTEXT_ALLOCATION, CONTEXT_DEPTH, CONTEXT_BITMAPS };

typedef struct NbdSession {
    const NbdServerOptions *o;
    NbdChannel *ch;
    bool structured, secure;
    const NbdServedExport *export;

    const NbdServedExport *context_export; /* what the contexts were chosen for */
    bool *contexts;                        /* by id; NULL: none */

    pthread_mutex_t receive_lock, send_lock;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended;
    unsigned workers, idle;
    atomic_bool ending; /* no more requests are read */
} NbdSession;

/* 0: the client chose an export and sends requests now. */
int nbd_session_negotiate(NbdSession *s);
/* Until the client goes, or the channel is shut down. */
void nbd_session_requests(NbdSession *s);

/* One context's answer to BLOCK_STATUS. Bit DONE goes into `flags` of the last. */
int nbd_session_status(NbdSession *s, const NbdRequest *r);

/* Parts of answers; from any worker. */
int nbd_send_simple(NbdSession *s, const NbdRequest *r, int ret);
int nbd_send_chunk(NbdSession *s, const NbdRequest *r, uint16_t type, bool done,
                   const struct iovec *payload, int n);
/* An error as the session's kind of answer; `off` is where, UINT64_MAX: nowhere. */
int nbd_send_error(NbdSession *s, const NbdRequest *r, int ret, uint64_t off);

size_t nbd_export_contexts(const NbdServedExport *e);

#endif
