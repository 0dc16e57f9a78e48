/*
 * fetch.h - the parts of img-tool fetch: what is expected, and the file on its way.
 */
#ifndef IMG_TOOL_FETCH_H
#define IMG_TOOL_FETCH_H

#include <openssl/evp.h>

#include "block/node.h"

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

/* ---- fetch-part.c: the file on its way ---------------------------------------------------------
 */

/*
 * OUT.part holds the first bytes, OUT.part.state says of what. Both survive whatever happens to
 * the program; after a crash of the host, what is not known to be on disk is fetched again.
 */
typedef struct Part {
    char *path, *state_path;
    char *url;
    char version[512]; /* empty: the server says none */
    char boot[64];     /* which run of the host wrote it */
    uint64_t size, stable;
    int fd; /* -1: not open */
} Part;

/* Open or make it, alone. *have: so many bytes can be kept. `trust_size`: without a version, too.
 */
int part_open(Part *p, const char *out, const char *url, Node *src, bool trust_size, uint64_t *have,
              Error **err);
/* All bytes up to `have` are on disk now. */
int part_sync(Part *p, uint64_t have, Error **err);
/* Begin anew. */
int part_reset(Part *p, Error **err);
/* It is whole: give it its name, replacing what is there. */
int part_finish(Part *p, const char *out, Error **err);
/* Drop both files. */
void part_remove(Part *p);
void part_close(Part *p);

/* Make `from` (whole, written down) become `to`, for good. */
int rename_for_good(const char *from, const char *to, Error **err);

/* What a state file says: false if it is none. */
bool part_parse(const char *text, Part *out);

#endif
