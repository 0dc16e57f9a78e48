/*
 * fetch.h - the parts of img-tool fetch: what the file must be, who says so, getting it.
 */
#ifndef IMG_TOOL_FETCH_H
#define IMG_TOOL_FETCH_H

#include <openssl/evp.h>

#include "block/node.h"
#include "img-tool/part.h"

/* ---- fetch-digest.c: what the bytes must be ----------------------------------------------------
 */

enum { DIGEST_TEXT = 2 * EVP_MAX_MD_SIZE + 1, DIGEST_NAME = 16 };

typedef struct Digest {
    char name[DIGEST_NAME]; /* "sha256" */
    char hex[DIGEST_TEXT];  /* lower case; empty: any */
} Digest;

/* "sha256:HEX", or HEX alone. */
int digest_parse(const char *text, Digest *out, Error **err);

/* The line for the file `name` in a list as sha256sum (GNU or BSD) writes it. */
int digest_find(const char *list, const char *name, Digest *out, Error **err);

/* NULL if OpenSSL does not have it. */
const EVP_MD *digest_algorithm(const Digest *d);
void digest_hex(EVP_MD_CTX *ctx, char hex[DIGEST_TEXT]);

/* ---- fetch-signature.c: who says so ------------------------------------------------------------
 */

typedef struct Signature {
    const char *file;    /* file or URL of the signature; NULL: inside the signed text */
    const char *keyring; /* gpgv: file of keys; NULL: its own */
    const char *key;     /* minisign, signify: the key or a file with it; NULL: gpgv */
} Signature;

/*
 * Is the signature good? Then *signed_text (the caller frees it) is what it was made for: `text`,
 * or the part of it inside.
 */
int signature_check(const Signature *s, const char *text, size_t len, char **signed_text,
                    Error **err);

/* A whole small file, by name or URL; a 0 byte follows. */
int fetch_text(const char *name, char **text, size_t *len, Error **err);

/* ---- fetch-pass.c: the bytes on their way ------------------------------------------------------
 */

typedef struct FetchPass {
    Node *src;
    PartFile *part;
    int fd;              /* of the part */
    const char *shown;   /* what messages call the source */
    uint64_t limit_rate; /* bytes a second; 0: none */
    Progress *progress;
    EVP_MD_CTX *hash;
} FetchPass;

/* Bytes [off, end) into the checksum: from the source, also into the part; else from the part. */
int fetch_pass(const FetchPass *f, bool writing, uint64_t off, uint64_t end, Error **err);

#endif
