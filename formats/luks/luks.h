/*
 * luks.h - a LUKS1 header and its key slots, wherever they lie: at the start of a file (format
 * `luks`), or inside a qcow2 image.
 *
 * The on-disk format is described in "LUKS On-Disk Format Specification, version 1.2.3". Offsets
 * here are bytes from where the header starts.
 */
#ifndef FORMATS_LUKS_LUKS_H
#define FORMATS_LUKS_LUKS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/options.h"
#include "block/node.h"
#include "formats/luks/cipher.h"

enum { /* section 2: sizes and constants */
       LUKS_HEADER_BYTES = 592,
       LUKS_SLOTS = 8,
       LUKS_SALT_BYTES = 32,
       LUKS_DIGEST_BYTES = 20,
       LUKS_UUID_BYTES = 40,
       LUKS_STRIPES = 4000,
       LUKS_ALIGN = 4096, /* of key material and data */
       LUKS_SECTOR = 512,
};

/* What a password may cost; a header that asks for more is refused. */
enum { LUKS_MIN_ITERATIONS = 1000, LUKS_MAX_ITERATIONS = 1 << 27 };

typedef struct LuksSlot {
    bool active;
    uint32_t iterations;
    uint64_t offset; /* of its key material */
    uint8_t salt[LUKS_SALT_BYTES];
} LuksSlot;

typedef struct Luks {
    Node *file;    /* borrowed */
    uint64_t base; /* where in it the header starts */
    CipherSpec spec;
    Hash hash;
    uint64_t payload; /* where the data start; 0: elsewhere (detached header) */
    uint8_t digest[LUKS_DIGEST_BYTES], digest_salt[LUKS_SALT_BYTES];
    uint32_t digest_iterations;
    char uuid[LUKS_UUID_BYTES + 1];
    LuksSlot slots[LUKS_SLOTS];
    uint8_t key[MAX_KEY_BYTES]; /* once unlocked: what the key slots protect, */
    SectorCipher *cipher;       /* and what encrypts the data */
} Luks;

/* ---- header.c ---- */

/* 0..100, as BlockDriver.probe() */
int luks_probe(const uint8_t *buf, size_t len);

/* Read and judge the header; it and the key slots lie within `room` bytes from `base`. */
int luks_read(Luks *l, Node *file, uint64_t base, uint64_t room, Error **err);

/* Bytes before the data in images that we make. */
uint64_t luks_header_bytes(const CipherSpec *spec);

/* Places for the key slots and the data of a new image; l->spec is set. */
void luks_lay_out(Luks *l);

int luks_write_header(const Luks *l);
int luks_write_slot(const Luks *l, unsigned slot);

/* Bytes of key material in one slot: whole sectors. */
uint64_t luks_material_bytes(const Luks *l);

void luks_free(Luks *l);

/* ---- key-slot.c ---- */

/* With the password in the secret: *slot is the first that it opens. -EKEYREJECTED: none. */
int luks_open_slot(const Luks *l, const char *secret, uint8_t key[MAX_KEY_BYTES], unsigned *slot,
                   Error **err);

/* Does the secret open this slot? -EKEYREJECTED: no. */
int luks_try_slot(const Luks *l, unsigned slot, const char *secret, Error **err);

/* Get the key and make the cipher. */
int luks_unlock(Luks *l, const char *secret, Error **err);

/* Protect the key (l->key) by the secret in this slot; on stable storage on return. */
int luks_fill_slot(Luks *l, unsigned slot, const char *secret, uint64_t iter_time_ms, Error **err);

/* Make the slot's content unrecoverable; on stable storage on return. */
int luks_erase_slot(Luks *l, unsigned slot, Error **err);

/* A new master key with its digest, in memory only. */
int luks_new_key(Luks *l, uint64_t iter_time_ms, Error **err);

/* ---- params.c: what create and amend are told ---- */

typedef struct LuksParams {
    CipherSpec spec;
    Hash hash;
    uint64_t iter_time_ms;
    char *secret;
} LuksParams;

/* Takes cipher-alg, cipher-mode, ivgen-alg, ivgen-hash-alg, hash-alg, iter-time and key-secret. */
int luks_take_params(Options *o, LuksParams *p, Error **err);
void luks_params_free(LuksParams *p);

/* Does the secret that it needs exist? */
int luks_params_check(const LuksParams *p, Error **err);

/* Make a new volume: a key, and slot 0 for the secret. l->file and l->base are set. */
int luks_make(Luks *l, const LuksParams *p, bool detached, Error **err);

/* Change key slots by state, new-secret, old-secret, keyslot and iter-time; refuses other options.
 */
int luks_amend(Luks *l, Options *o, bool force, Error **err);

/* What `info` shows, in its order; `format` (may be NULL) is a field of its own in qcow2. */
json_t *luks_info(const Luks *l, const char *format);

/* Encrypt or decrypt whole sectors in place; -ENOKEY before luks_unlock(). */
int luks_run(Luks *l, bool encrypt, void *buf, size_t len, uint64_t off);

#endif
