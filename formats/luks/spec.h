/*
 * spec.h - the names of ciphers, modes, initialisation vectors and hashes, as options and LUKS
 * headers write them.
 */
#ifndef FORMATS_LUKS_SPEC_H
#define FORMATS_LUKS_SPEC_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { LUKS_NAME_BYTES = 32, MAX_KEY_BYTES = 64, MAX_CIPHER_BLOCK = 16, MAX_DIGEST_BYTES = 64 };

typedef struct CipherAlg {
    const char *name; /* "aes-256": the option's value */
    const char *luks; /* "aes": in a header, where the length of the key says the rest */
    unsigned key_bytes, block_bytes;
    const char *evp; /* the cipher in ECB mode, as OpenSSL calls it */
} CipherAlg;

typedef enum { MODE_ECB, MODE_CBC, MODE_XTS, MODE_CTR } CipherMode;
typedef enum { IVGEN_PLAIN, IVGEN_PLAIN64, IVGEN_ESSIV } IvGen;
typedef enum {
    HASH_MD5,
    HASH_SHA1,
    HASH_SHA224,
    HASH_SHA256,
    HASH_SHA384,
    HASH_SHA512,
    HASH_RIPEMD160,
} Hash;

typedef struct CipherSpec {
    const CipherAlg *alg;
    CipherMode mode;
    IvGen ivgen;
    Hash ivgen_hash; /* if ivgen is ESSIV */
} CipherSpec;

extern const CipherAlg cipher_algs[]; /* ends with a NULL name */

/* The values of the options, in the order of the enums; NULL at the end. */
extern const char *const cipher_mode_names[], *const ivgen_names[], *const hash_names[];

/* Bytes of key that the cipher needs in its mode: XTS has two keys. */
unsigned spec_key_bytes(const CipherSpec *spec);

/* Can these work together? */
int spec_check(const CipherSpec *spec, Error **err);

/* By option names: "aes-256". */
int cipher_alg_find(const char *name, const CipherAlg **alg, Error **err);

/* By what a header says: "aes", "xts-plain64" and the length of the key. */
int spec_parse(const char *cipher, const char *mode, uint32_t key_bytes, CipherSpec *spec,
               Error **err);

/* The text for the header's field: "cbc-essiv:sha256". */
void spec_mode_text(const CipherSpec *spec, char text[LUKS_NAME_BYTES]);

int hash_find(const char *name, Hash *hash, Error **err);

const EVP_MD *hash_md(Hash hash);

/* The cipher that encrypts sector numbers for ESSIV, keyed with a digest; NULL: none fits. */
const CipherAlg *essiv_alg(const CipherSpec *spec);

#endif
