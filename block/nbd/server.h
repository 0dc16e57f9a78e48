/*
 * server.h - images for other programs: an NBD server over nodes.
 *
 * A few threads serve each connection, started as requests come while the others are busy. All
 * connections to an export share its node, so a flush on one covers what was answered on all.
 */
#ifndef BLOCK_NBD_SERVER_H
#define BLOCK_NBD_SERVER_H

#include "block/nbd/tls.h"
#include "block/node.h"

typedef struct NbdServedExport {
    const char *name, *description; /* no description: NULL */
    Node *node;
    uint64_t off, size; /* the part of the node that is shown */
    bool writable;      /* the node is, too */
    bool allocation_depth;
    const char *const *bitmaps; /* names of dirty bitmaps that are shown */
    size_t n_bitmaps;
} NbdServedExport;

typedef struct NbdServerOptions {
    const NbdServedExport *exports;
    size_t n_exports;
    const NbdTls *tls;    /* then nothing goes on without */
    const char *authz;    /* an object's id; NULL: everybody */
    unsigned max_clients; /* 0: as many as there is room for; the next waits to be accepted */
    bool until_idle;      /* end after the last client that used an export has gone */
} NbdServerOptions;

typedef struct NbdServer NbdServer;

/* `options` and what it points to must outlive the server. NULL: no memory. */
NbdServer *nbd_server_new(const NbdServerOptions *options);
void nbd_server_free(NbdServer *s);

/* Serve one connected socket (owned from now on) until its session ends. */
void nbd_server_serve(NbdServer *s, int fd);

/*
 * Accept connections from the listening sockets until `stop_fd` can be read or, with until_idle,
 * nobody is left. Requests that were received are answered first. 0 or -errno.
 */
int nbd_server_run(NbdServer *s, const int *listen_fds, size_t n, int stop_fd);

#endif
