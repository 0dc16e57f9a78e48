/*
 * key-slot.c - passwords: opening, filling and erasing key slots (LUKS1 specification, section 4).
 *
 * A slot holds the master key, split into stripes and encrypted with a key derived from the
 * password. Order on disk: a slot is filled before the header says that it is on, and the header
 * says that it is off before it is erased, so at any moment each slot that is on can be opened.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/math.h"
#include "block/object.h"
#include "formats/luks/af.h"
#include "formats/luks/luks.h"

enum { ERASE_PASSES = 3, MEASURE_FIRST = 1 << 12, MEASURE_MS = 20, DIGEST_SHARE = 8 };

typedef struct {
    char *data;
    size_t len;
} Password;

static void password_free(Password *p)
{
    secret_free(p->data, p->len);
}

static int derive(const Luks *l, const Password *p, const uint8_t *salt, uint32_t iterations,
                  uint8_t *out, size_t len)
{
    return PKCS5_PBKDF2_HMAC(p->data, (int)p->len, salt, LUKS_SALT_BYTES, (int)iterations,
                             hash_md(l->hash), (int)len, out) == 1
               ? 0
               : -EIO;
}

static int key_digest(const Luks *l, const uint8_t *key, uint8_t out[LUKS_DIGEST_BYTES])
{
    Password p = { (char *)key, spec_key_bytes(&l->spec) };

    return derive(l, &p, l->digest_salt, l->digest_iterations, out, LUKS_DIGEST_BYTES);
}

/* The material of a slot (its stripes), encrypted or decrypted with the password's key. */
static int run_material(const Luks *l, unsigned slot, const Password *p, bool encrypt,
                        uint8_t *material)
{
    const LuksSlot *s = &l->slots[slot];
    uint8_t key[MAX_KEY_BYTES];
    SectorCipher *cipher = NULL;
    int ret = derive(l, p, s->salt, s->iterations, key, spec_key_bytes(&l->spec));

    if (ret == 0)
        ret = sector_cipher_new(&l->spec, key, &cipher, NULL);
    if (ret == 0)
        ret = sector_cipher_run(cipher, encrypt, material, luks_material_bytes(l), 0);
    sector_cipher_free(cipher);
    OPENSSL_cleanse(key, sizeof(key));
    return ret;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* -EKEYREJECTED: it is another password's slot. */
static int try_password(const Luks *l, unsigned slot, const Password *p, uint8_t *key)
{
    uint64_t len = luks_material_bytes(l);
    uint8_t digest[LUKS_DIGEST_BYTES];
    uint8_t *material = malloc(len);
    int ret = material ? 0 : -ENOMEM;

    if (ret == 0)
        ret = node_pread(l->file, material, len, l->base + l->slots[slot].offset);
    if (ret == 0)
        ret = run_material(l, slot, p, false, material);
    if (ret == 0) {
        af_merge(material, spec_key_bytes(&l->spec), LUKS_STRIPES, l->hash, key);
        ret = key_digest(l, key, digest);
    }
    if (ret == 0 && CRYPTO_memcmp(digest, l->digest, sizeof(digest)) != 0)
        ret = -EKEYREJECTED;
    if (ret < 0)
        OPENSSL_cleanse(key, MAX_KEY_BYTES);
    if (material)
        OPENSSL_cleanse(material, len);
    free(material);
    return ret;
}

static int slot_error(int ret, unsigned slot, Error **err)
{
    return error_set(err, ret, "cannot read key slot %u: %s", slot, strerror(-ret));
}

int luks_open_slot(const Luks *l, const char *secret, uint8_t key[MAX_KEY_BYTES], unsigned *slot,
                   Error **err)
{
    Password p = { 0 };
    unsigned tried = 0;
    int ret = secret_get(secret, &p.data, &p.len, err);

    if (ret < 0)
        return ret;
    ret = -EKEYREJECTED;
    for (unsigned i = 0; i < LUKS_SLOTS && ret == -EKEYREJECTED; i++) {
        if (!l->slots[i].active)
            continue;
        tried++;
        *slot = i;
        ret = try_password(l, i, &p, key);
    }
    password_free(&p);
    if (ret == -EKEYREJECTED && !tried)
        return error_set(err, ret, "no key slot is on: nobody can decrypt this image any more");
    if (ret == -EKEYREJECTED)
        return error_set(err, ret, "wrong password: secret '%s' opens none of the key slots",
                         secret);
    return ret < 0 ? slot_error(ret, *slot, err) : 0;
}

int luks_try_slot(const Luks *l, unsigned slot, const char *secret, Error **err)
{
    uint8_t key[MAX_KEY_BYTES];
    Password p = { 0 };
    int ret = secret_get(secret, &p.data, &p.len, err);

    if (ret < 0)
        return ret;
    ret = try_password(l, slot, &p, key);
    password_free(&p);
    OPENSSL_cleanse(key, sizeof(key));
    return ret < 0 && ret != -EKEYREJECTED ? slot_error(ret, slot, err) : ret;
}

int luks_unlock(Luks *l, const char *secret, Error **err)
{
    unsigned slot;
    int ret = luks_open_slot(l, secret, l->key, &slot, err);

    if (ret == 0)
        ret = sector_cipher_new(&l->spec, l->key, &l->cipher, err);
    return ret;
}

/* ---- filling ------------------------------------------------------------------------------- */

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* How often this machine can iterate in that time, for `len` bytes of key. */
static int iterations_in(const Luks *l, uint64_t ms, size_t len, uint32_t *out, Error **err)
{
    Password p = { (char *)"password", 8 };
    uint8_t salt[LUKS_SALT_BYTES] = { 0 }, key[MAX_KEY_BYTES];
    uint32_t n = MEASURE_FIRST;
    double took = 0;

    for (;; n *= 2) {
        double start = cpu_ms();

        if (derive(l, &p, salt, n, key, len) < 0)
            return error_set(err, -EIO, "OpenSSL on this machine cannot do hash '%s'",
                             hash_names[l->hash]);
        took = cpu_ms() - start;
        if (took >= MEASURE_MS || n >= LUKS_MAX_ITERATIONS / 2)
            break;
    }
    double wanted = n / MAX(took, 0.01) * (double)ms;
    if (wanted > LUKS_MAX_ITERATIONS)
        return error_set(err, -EINVAL,
                         "iter-time %" PRIu64 " ms means %.0f iterations, more than %d", ms, wanted,
                         LUKS_MAX_ITERATIONS);
    *out = (uint32_t)wanted;
    return 0;
}

/* The slot's material for this password, made in memory. */
static int make_material(const Luks *l, unsigned slot, const Password *p, uint8_t *material)
{
    uint64_t len = luks_material_bytes(l);
    size_t key_len = spec_key_bytes(&l->spec);

    memset(material + key_len * LUKS_STRIPES, 0, len - key_len * LUKS_STRIPES);
    int ret = af_split(l->key, key_len, LUKS_STRIPES, l->hash, material);
    return ret < 0 ? ret : run_material(l, slot, p, true, material);
}

static int write_material(const Luks *l, unsigned slot, const uint8_t *material)
{
    int ret =
        node_pwrite(l->file, material, luks_material_bytes(l), l->base + l->slots[slot].offset);

    return ret < 0 ? ret : node_flush(l->file);
}

static int commit_slot(const Luks *l, unsigned slot)
{
    int ret = luks_write_slot(l, slot);

    return ret < 0 ? ret : node_flush(l->file);
}

int luks_fill_slot(Luks *l, unsigned slot, const char *secret, uint64_t iter_time_ms, Error **err)
{
    LuksSlot *s = &l->slots[slot], old = *s;
    Password p = { 0 };
    AUTO_FREE uint8_t *material = malloc(luks_material_bytes(l));
    int ret = secret_get(secret, &p.data, &p.len, err);

    if (ret == 0)
        ret = iterations_in(l, iter_time_ms, spec_key_bytes(&l->spec), &s->iterations, err);
    if (ret < 0)
        goto out;
    s->active = true;
    s->iterations = MAX(s->iterations, (uint32_t)LUKS_MIN_ITERATIONS);
    ret = !material ? -ENOMEM : RAND_bytes(s->salt, LUKS_SALT_BYTES) == 1 ? 0 : -EIO;
    if (ret == 0)
        ret = make_material(l, slot, &p, material);
    if (ret == 0)
        ret = write_material(l, slot, material);
    if (ret == 0)
        ret = commit_slot(l, slot);
    if (ret < 0)
        error_set(err, ret, "cannot write key slot %u: %s", slot, strerror(-ret));
out:
    if (ret < 0)
        *s = old;
    password_free(&p);
    return ret;
}

int luks_erase_slot(Luks *l, unsigned slot, Error **err)
{
    LuksSlot *s = &l->slots[slot], old = *s;
    uint64_t len = luks_material_bytes(l);
    AUTO_FREE uint8_t *noise = malloc(len);

    memset(s->salt, 0, sizeof(s->salt));
    s->active = false;
    s->iterations = 0;
    int ret = noise ? commit_slot(l, slot) : -ENOMEM;
    if (ret < 0)
        *s = old;
    for (int pass = 0; pass < ERASE_PASSES && ret == 0; pass++) {
        ret = RAND_bytes(noise, (int)len) == 1 ? 0 : -EIO;
        if (ret == 0)
            ret = write_material(l, slot, noise);
    }
    return ret < 0 ? error_set(err, ret, "cannot erase key slot %u: %s", slot, strerror(-ret)) : 0;
}

int luks_new_key(Luks *l, uint64_t iter_time_ms, Error **err)
{
    int ret = iterations_in(l, iter_time_ms, LUKS_DIGEST_BYTES, &l->digest_iterations, err);

    if (ret < 0)
        return ret;
    l->digest_iterations = MAX(l->digest_iterations / DIGEST_SHARE, (uint32_t)LUKS_MIN_ITERATIONS);
    if (RAND_priv_bytes(l->key, (int)spec_key_bytes(&l->spec)) != 1 ||
        RAND_bytes(l->digest_salt, LUKS_SALT_BYTES) != 1 || key_digest(l, l->key, l->digest) < 0)
        return error_set(err, -EIO, "there are no random numbers for a key");
    return sector_cipher_new(&l->spec, l->key, &l->cipher, err);
}
