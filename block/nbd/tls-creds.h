/*
 * tls-creds.h - what TLS credentials are inside; for tls.c and tls-creds.c.
 */
#ifndef BLOCK_NBD_TLS_CREDS_H
#define BLOCK_NBD_TLS_CREDS_H

#include "block/nbd/tls.h"

typedef enum { TLS_X509, TLS_PSK, TLS_ANON } NbdTlsKind;

struct NbdTls {
    NbdTlsKind kind;
    bool server, verify_peer;
    SSL_CTX *ctx;
    char *username; /* psk, client */
    char *keys;     /* psk: the text of keys.psk; wiped at the end */
    size_t keys_len;
};

#endif
