/*
 * cipher.c - see cipher.h.
 *
 * Every mode is made from the bare block cipher (ECB), run over many sectors with one call: a call
 * a sector spends more time on setting up than on encrypting. XTS is that of IEEE 1619-2007, CBC
 * and CTR those of NIST SP 800-38A; vectors are described in the LUKS1 specification, section 4.
 */
#include "formats/luks/cipher.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum { SECTOR = 512, BATCH = 16, BATCH_BYTES = BATCH * SECTOR };

/* The keys, ready for use by one thread at a time. */
typedef struct Lane {
    EVP_CIPHER_CTX *encrypt, *decrypt;
    EVP_CIPHER_CTX *tweak; /* XTS: the second key */
    EVP_CIPHER_CTX *essiv;
    struct Lane *next;
} Lane;

struct SectorCipher {
    CipherSpec spec;
    uint8_t key[MAX_KEY_BYTES], essiv_key[MAX_DIGEST_BYTES];
    OSSL_PROVIDER *legacy; /* where OpenSSL keeps old ciphers; NULL: not needed, or not there */
    pthread_mutex_t lock;  /* guards `idle` */
    Lane *idle;
};

/* A batch on its way. */
typedef struct {
    SectorCipher *c;
    Lane *lane;
    bool encrypt;
    unsigned sectors, block; /* bytes of a block */
    uint8_t iv[BATCH * MAX_CIPHER_BLOCK] __attribute__((aligned(64)));
} Batch;

/* ---- keys ---------------------------------------------------------------------------------- */

static EVP_CIPHER_CTX *schedule(const CipherAlg *alg, const uint8_t *key, int encrypt)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, alg->evp, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (!ctx || !cipher || !EVP_CipherInit_ex2(ctx, cipher, key, NULL, encrypt, NULL) ||
        !EVP_CIPHER_CTX_set_padding(ctx, 0)) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    return ctx;
}

static void lane_free(Lane *l)
{
    if (!l)
        return;
    EVP_CIPHER_CTX_free(l->encrypt);
    EVP_CIPHER_CTX_free(l->decrypt);
    EVP_CIPHER_CTX_free(l->tweak);
    EVP_CIPHER_CTX_free(l->essiv);
    free(l);
}

static Lane *lane_new(const SectorCipher *c)
{
    const CipherSpec *s = &c->spec;
    Lane *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->encrypt = schedule(s->alg, c->key, 1);
    l->decrypt = schedule(s->alg, c->key, 0);
    if (s->mode == MODE_XTS)
        l->tweak = schedule(s->alg, c->key + s->alg->key_bytes, 1);
    if (s->ivgen == IVGEN_ESSIV)
        l->essiv = schedule(essiv_alg(s), c->essiv_key, 1);
    if (l->encrypt && l->decrypt && (l->tweak || s->mode != MODE_XTS) &&
        (l->essiv || s->ivgen != IVGEN_ESSIV))
        return l;
    lane_free(l);
    return NULL;
}

static Lane *lane_take(SectorCipher *c)
{
    pthread_mutex_lock(&c->lock);
    Lane *l = c->idle;
    if (l)
        c->idle = l->next;
    pthread_mutex_unlock(&c->lock);
    return l ? l : lane_new(c);
}

static void lane_give(SectorCipher *c, Lane *l)
{
    pthread_mutex_lock(&c->lock);
    l->next = c->idle;
    c->idle = l;
    pthread_mutex_unlock(&c->lock);
}

static int run_blocks(EVP_CIPHER_CTX *ctx, void *buf, size_t len)
{
    int n = 0;

    return EVP_CipherUpdate(ctx, buf, &n, buf, (int)len) && (size_t)n == len ? 0 : -EIO;
}

typedef uint64_t Pair __attribute__((vector_size(16)));

static inline void xor_pair(uint8_t *to, const uint8_t *with)
{
    Pair a, b;

    memcpy(&a, to, sizeof(a));
    memcpy(&b, with, sizeof(b));
    a ^= b;
    memcpy(to, &a, sizeof(a));
}

/* `len` is whole blocks, of 8 or 16 bytes. */
static inline void xor_bytes(uint8_t *to, const uint8_t *with, size_t len)
{
    for (; len >= 16; len -= 16, to += 16, with += 16)
        xor_pair(to, with);
    for (size_t i = 0; i < len; i++)
        to[i] ^= with[i];
}

/* ---- vectors ------------------------------------------------------------------------------- */

static int make_vectors(Batch *b, uint64_t sector)
{
    const CipherSpec *s = &b->c->spec;

    memset(b->iv, 0, sizeof(b->iv));
    for (unsigned i = 0; i < b->sectors; i++, sector++)
        put_le64(b->iv + i * b->block, s->ivgen == IVGEN_PLAIN ? (uint32_t)sector : sector);
    return s->ivgen == IVGEN_ESSIV ? run_blocks(b->lane->essiv, b->iv, b->sectors * b->block) : 0;
}

/* ---- modes --------------------------------------------------------------------------------- */

static int run_ecb(Batch *b, uint8_t *buf)
{
    return run_blocks(b->encrypt ? b->lane->encrypt : b->lane->decrypt, buf, b->sectors * SECTOR);
}

/* The chains of all sectors side by side: each is serial, together they fill the processor. */
static int encrypt_cbc(Batch *b, uint8_t *buf)
{
    unsigned block = b->block;
    int ret = 0;

    for (unsigned at = 0; at < SECTOR && ret == 0; at += block) {
        for (unsigned i = 0; i < b->sectors; i++)
            xor_bytes(b->iv + i * block, buf + i * SECTOR + at, block);
        ret = run_blocks(b->lane->encrypt, b->iv, b->sectors * block);
        for (unsigned i = 0; i < b->sectors; i++)
            memcpy(buf + i * SECTOR + at, b->iv + i * block, block);
    }
    return ret;
}

static int decrypt_cbc(Batch *b, uint8_t *buf)
{
    uint8_t before[BATCH_BYTES]; /* what each block is to be combined with */

    for (unsigned i = 0; i < b->sectors; i++) {
        memcpy(before + i * SECTOR, b->iv + i * b->block, b->block);
        memcpy(before + i * SECTOR + b->block, buf + i * SECTOR, SECTOR - b->block);
    }
    int ret = run_blocks(b->lane->decrypt, buf, b->sectors * SECTOR);
    xor_bytes(buf, before, b->sectors * SECTOR);
    return ret;
}

/* A big-endian counter that starts at the vector. */
static int run_ctr(Batch *b, uint8_t *buf)
{
    uint8_t stream[BATCH_BYTES];

    for (unsigned i = 0; i < b->sectors; i++) {
        uint8_t *counter = b->iv + i * b->block;

        for (unsigned at = 0; at < SECTOR; at += b->block) {
            memcpy(stream + i * SECTOR + at, counter, b->block);
            for (unsigned n = b->block; n-- > 0 && ++counter[n] == 0;)
                continue;
        }
    }
    int ret = run_blocks(b->lane->encrypt, stream, b->sectors * SECTOR);
    xor_bytes(buf, stream, b->sectors * SECTOR);
    return ret;
}

typedef int64_t SignedPair __attribute__((vector_size(16)));

/* Times x, modulo x^128 + x^7 + x^2 + x + 1; the low half first. */
static inline Pair times_x(Pair t)
{
    Pair top = (Pair)((SignedPair)t < 0); /* all ones where it holds */

    return (t + t) ^ (__builtin_shufflevector(top, top, 1, 0) & (Pair) { 0x87, 1 });
}

/*
 * Keep the tweaks of `abreast` sectors in `out` and apply them. A tweak depends on the one before
 * it, so several sectors go side by side.
 */
static inline __attribute__((always_inline)) void apply_tweaks(const uint8_t *iv, uint8_t *out,
                                                               uint8_t *buf, unsigned abreast)
{
    Pair t[4];

    for (unsigned k = 0; k < abreast; k++)
        t[k] = (Pair) { get_le64(iv + 16 * k), get_le64(iv + 16 * k + 8) };
    for (unsigned at = 0; at < SECTOR; at += 16) {
#pragma GCC unroll 4
        for (unsigned k = 0; k < abreast; k++) {
            uint8_t *tweak = out + k * SECTOR + at;
            Pair le = { htole64(t[k][0]), htole64(t[k][1]) };

            memcpy(tweak, &le, sizeof(le));
            xor_pair(buf + k * SECTOR + at, tweak);
            t[k] = times_x(t[k]);
        }
    }
}

static int run_xts(Batch *b, uint8_t *buf)
{
    uint8_t tweaks[BATCH_BYTES] __attribute__((aligned(64)));
    unsigned i = 0;
    int ret = run_blocks(b->lane->tweak, b->iv, b->sectors * 16);

    for (; i + 4 <= b->sectors; i += 4)
        apply_tweaks(b->iv + i * 16, tweaks + i * SECTOR, buf + i * SECTOR, 4);
    for (; i < b->sectors; i++)
        apply_tweaks(b->iv + i * 16, tweaks + i * SECTOR, buf + i * SECTOR, 1);
    if (ret == 0)
        ret = run_ecb(b, buf);
    xor_bytes(buf, tweaks, b->sectors * SECTOR);
    return ret;
}

static int run_batch(Batch *b, uint8_t *buf, uint64_t sector)
{
    int ret = make_vectors(b, sector);

    if (ret < 0)
        return ret;
    switch (b->c->spec.mode) {
    case MODE_ECB: return run_ecb(b, buf);
    case MODE_CBC: return b->encrypt ? encrypt_cbc(b, buf) : decrypt_cbc(b, buf);
    case MODE_XTS: return run_xts(b, buf);
    default: return run_ctr(b, buf);
    }
}

/* ---- the interface ------------------------------------------------------------------------- */

int sector_cipher_run(SectorCipher *c, bool encrypt, uint8_t *buf, size_t len, uint64_t sector)
{
    Batch b = {
        .c = c, .lane = lane_take(c), .encrypt = encrypt, .block = c->spec.alg->block_bytes
    };
    int ret = 0;

    if (!b.lane)
        return -ENOMEM;
    while (len && ret == 0) {
        b.sectors = (unsigned)MIN(len / SECTOR, (size_t)BATCH);
        ret = run_batch(&b, buf, sector);
        buf += b.sectors * SECTOR;
        len -= b.sectors * SECTOR;
        sector += b.sectors;
    }
    lane_give(c, b.lane);
    return ret;
}

void sector_cipher_free(SectorCipher *c)
{
    if (!c)
        return;
    for (Lane *l = c->idle, *next; l; l = next) {
        next = l->next;
        lane_free(l);
    }
    if (c->legacy)
        OSSL_PROVIDER_unload(c->legacy);
    pthread_mutex_destroy(&c->lock);
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

int sector_cipher_new(const CipherSpec *spec, const uint8_t *key, SectorCipher **out, Error **err)
{
    SectorCipher *c = calloc(1, sizeof(*c));
    int ret = spec_check(spec, err);

    if (!c || ret < 0) {
        free(c);
        return ret < 0 ? ret : error_set(err, -ENOMEM, "no memory for a cipher");
    }
    if (spec->alg->block_bytes < MAX_CIPHER_BLOCK)
        c->legacy = OSSL_PROVIDER_try_load(NULL, "legacy", 1);
    pthread_mutex_init(&c->lock, NULL);
    c->spec = *spec;
    memcpy(c->key, key, spec_key_bytes(spec));
    if (spec->ivgen == IVGEN_ESSIV)
        EVP_Digest(key, spec_key_bytes(spec), c->essiv_key, NULL, hash_md(spec->ivgen_hash), NULL);
    Lane *lane = lane_new(c);
    if (!lane) {
        sector_cipher_free(c);
        return error_set(err, -ENOTSUP, "OpenSSL on this machine cannot do '%s'", spec->alg->evp);
    }
    lane_give(c, lane);
    *out = c;
    return 0;
}
