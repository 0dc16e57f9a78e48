/*
 * conn.h - a client's connection: many requests on their way at once, made by as many threads.
 *
 * There is no thread of the connection's own: of those that wait for an answer, one reads, for
 * itself and the others, straight into their buffers.
 */
#ifndef BLOCK_NBD_CONN_H
#define BLOCK_NBD_CONN_H

#include <pthread.h>

#include "block/nbd/handshake.h"

typedef struct NbdConn NbdConn;

enum { NBD_MAX_RUNS = 16 };

/* One request; lives on its maker's stack. */
typedef struct NbdCall {
    NbdRequest request;
    const struct iovec *iov; /* WRITE: what; READ: where to */
    int iovcnt;
    uint8_t *status; /* BLOCK_STATUS: pairs as on the wire (the caller frees it) */
    uint32_t status_len;

    /* the connection's: */
    int ret;
    bool done, waiting;
    unsigned n_runs; /* the parts of a READ that were answered */
    struct {
        uint32_t start, end;
    } runs[NBD_MAX_RUNS];
    pthread_cond_t wake;
} NbdCall;

/* Owns the channel (after the handshake) from now on. NULL: no memory. */
NbdConn *nbd_conn_new(NbdChannel *ch, const NbdExport *info);
NbdConn *nbd_conn_ref(NbdConn *c);
void nbd_conn_unref(NbdConn *c);

/*
 * Send the request and wait. -ENOTCONN: the connection is lost, and nobody knows what became of
 * the request. Other errors are the server's.
 */
int nbd_conn_call(NbdConn *c, NbdCall *call);

/* Everybody who waits gets -ENOTCONN. */
void nbd_conn_shutdown(NbdConn *c);
/* Tell the server that no more requests come; there are none on their way. */
void nbd_conn_bye(NbdConn *c);

bool nbd_conn_alive(NbdConn *c);
unsigned nbd_conn_in_flight(NbdConn *c);
const NbdExport *nbd_conn_info(const NbdConn *c);
/* Why it was lost, for a message (the caller frees it); NULL: unknown. */
char *nbd_conn_reason(NbdConn *c);

#endif
