/*
 * crypto.h - encrypted qcow2 images.
 */
#ifndef FORMATS_QCOW2_CRYPTO_H
#define FORMATS_QCOW2_CRYPTO_H

#include "formats/luks/luks.h"
#include "formats/qcow2/qcow2.h"

/* What the options of a new image say. */
typedef struct CryptoPlan {
    int method; /* as in the header; 0: not encrypted */
    LuksParams luks;
} CryptoPlan;

/* Takes encryption and encrypt.* */
int crypto_take_plan(Options *o, CryptoPlan *p, Error **err);
void crypto_plan_free(CryptoPlan *p);
/* Space that the encryption header needs */
uint64_t crypto_plan_bytes(const CryptoPlan *p);

/* Without a secret it fails, with a sentence. */
int crypto_plan_check(const CryptoPlan *p, Error **err);

/* (change) Make the open, still empty image encrypted; on stable storage on return. */
int crypto_make(Qcow2 *q, const CryptoPlan *p, Error **err);

/* Takes encrypt.*; what the header says was read already. */
int crypto_open(Qcow2 *q, Options *options, Error **err);
void crypto_close(Qcow2 *q);

/* The bytes of the file that hold the LUKS header; *len 0: none */
void crypto_header(const Qcow2 *q, uint64_t *off, uint64_t *len);

/* Change key slots; `options` are those below encrypt.*: nothing to do if there are none. */
int crypto_amend(Qcow2 *q, Options *options, bool force, Error **err);

/* What `info` shows under "encrypt" of an encrypted image. */
json_t *crypto_info(const Qcow2 *q);

int crypto_seal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos);
int crypto_unseal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos);

#endif
