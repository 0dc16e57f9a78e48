/*
 * handshake.h - the client's side of the negotiation: from a fresh connection to an export.
 */
#ifndef BLOCK_NBD_HANDSHAKE_H
#define BLOCK_NBD_HANDSHAKE_H

#include "block/nbd/channel.h"
#include "block/nbd/proto.h"
#include "block/nbd/tls.h"

/* What the client wants. */
typedef struct NbdWant {
    const char *export;
    const char *context; /* of block status; NULL: none */
    const NbdTls *tls;   /* NULL: plain */
    const char *hostname;
    bool simple; /* structured replies are not understood */
} NbdWant;

/* What the server offers; every field was checked. */
typedef struct NbdExport {
    char *name, *description; /* from a list, or NULL */
    uint64_t size;
    uint16_t flags;
    bool has_blocks; /* the next three came from the server */
    uint32_t min_block, preferred_block, max_block;
    bool structured; /* of the connection */
    bool has_context;
    uint32_t context_id;
    char **contexts; /* from a list */
    size_t n_contexts;
} NbdExport;

/*
 * Negotiate until requests can be sent. The caller has set a deadline on the channel. -ENOENT:
 * there is no such export; other errors may pass if it is tried again but -EINVAL, -EACCES, -EPERM
 * and -ENOTSUP.
 */
int nbd_handshake(NbdChannel *ch, const NbdWant *want, NbdExport *out, Error **err);

/* What the server offers, with all details that it tells; ends the session. */
int nbd_list(NbdChannel *ch, const NbdWant *want, NbdExport **list, size_t *count, Error **err);
void nbd_exports_free(NbdExport *list, size_t count);

#endif
