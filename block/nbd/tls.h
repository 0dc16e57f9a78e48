/*
 * tls.h - TLS credentials, made by --object tls-creds-x509, tls-creds-psk and tls-creds-anon, and
 * what a channel needs of them.
 *
 * dir=FOLDER, endpoint=client|server (default: client), verify-peer=on|off (default: on),
 * priority=TEXT (accepted; the choice of algorithms is OpenSSL's), for psk username=NAME, for x509
 * passwordid=SECRET and sanity-check (accepted).
 *   x509: ca-cert.pem, ca-crl.pem, {server,client}-cert.pem, {server,client}-key.pem, dh-params.pem
 *   psk:  keys.psk with lines NAME:HEX
 */
#ifndef BLOCK_NBD_TLS_H
#define BLOCK_NBD_TLS_H

#include <openssl/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"
#include "block/object.h"

typedef struct NbdTls NbdTls;

extern const ObjectType tls_x509_type, tls_psk_type, tls_anon_type;

/* The credentials called `id` (borrowed), which must be for that end of a connection. */
const NbdTls *nbd_tls_find(const char *id, bool server, Error **err);

/*
 * Credentials that no object describes (nbds:// names): the options of the type, NULL type for the
 * system's certificate authorities. `options` is consumed. nbd_tls_free() ends them.
 */
NbdTls *nbd_tls_new(const ObjectType *type, Options *options, Error **err);
void nbd_tls_free(NbdTls *tls);

bool nbd_tls_is_server(const NbdTls *tls);
/* Will the certificate of the other side be compared with a host name? */
bool nbd_tls_wants_hostname(const NbdTls *tls);

/* For channel.c */
SSL *nbd_tls_session(const NbdTls *tls, int fd, const char *hostname, Error **err);
int nbd_tls_explain(SSL *ssl, int ret, Error **err);
char *nbd_tls_peer_name(SSL *ssl);

#endif
