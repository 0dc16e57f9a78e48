/*
 * address.h - where an NBD server is: a host and port, or a socket in the file system.
 */
#ifndef BLOCK_NBD_ADDRESS_H
#define BLOCK_NBD_ADDRESS_H

#include "base/error.h"
#include "base/options.h"

typedef struct NbdAddress {
    char *path;        /* unix; NULL: TCP */
    char *host, *port; /* TCP */
} NbdAddress;

void nbd_address_free(NbdAddress *a);

/*
 * Turn a name into options (`server.*`, `export`, and for URIs `tls-*`):
 * nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[:exportname=NAME], nbd://[HOST][:PORT]/[NAME],
 * nbd+unix:///[NAME]?socket=PATH, and with TLS nbds:// and nbds+unix://.
 */
int nbd_name_parse(const char *name, Options *o, Error **err);

/* Takes `server.*`, or the older spelling `host`, `port` and `path`. */
int nbd_address_take(NbdAddress *a, Options *o, Error **err);

/* The URI of an export at this address (the caller frees it). */
char *nbd_uri(const NbdAddress *a, const char *export, bool tls);

/* A connected socket in *fd within so many milliseconds. */
int nbd_connect(const NbdAddress *a, unsigned timeout_ms, int *fd, Error **err);

/* One listening socket. An existing socket in the file system that nobody serves is replaced. */
int nbd_listen(const NbdAddress *a, int *fd, Error **err);

/* What a connection's socket should have: keep-alive, no delay, room for large transfers. */
void nbd_socket_tune(int fd);

#endif
