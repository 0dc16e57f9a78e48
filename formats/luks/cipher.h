/*
 * cipher.h - encrypting 512-byte sectors, each by itself with a vector made from its number.
 *
 * Any number of threads may use one SectorCipher at once.
 */
#ifndef FORMATS_LUKS_CIPHER_H
#define FORMATS_LUKS_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/luks/spec.h"

typedef struct SectorCipher SectorCipher;

/* `key` has spec_key_bytes(); it is copied. */
int sector_cipher_new(const CipherSpec *spec, const uint8_t *key, SectorCipher **out, Error **err);

/* Keys are wiped; NULL is fine. */
void sector_cipher_free(SectorCipher *c);

/* In place; `len` is whole sectors, the first has the number `sector`. */
int sector_cipher_run(SectorCipher *c, bool encrypt, uint8_t *buf, size_t len, uint64_t sector);

#endif
