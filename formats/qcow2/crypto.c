/*
 * crypto.c - encrypted images: crypt_method 1 (AES-CBC, old) and 2 (LUKS).
 *
 * "Full disk encryption header pointer": with method 2 the clusters that the extension names hold a
 * LUKS header and its key slots; sectors are numbered by their place in the file. With method 1 the
 * password itself is the key (its first 16 bytes), and sectors are numbered by guest offset.
 * Compressed clusters and metadata are not encrypted.
 */
#include "formats/qcow2/crypto.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "block/object.h"

enum { METHOD_NONE, METHOD_AES, METHOD_LUKS };
enum { EXTENSION_BYTES = 16, AES_KEY_BYTES = 16 };

static const char *const method_names[] = { "none", "aes", "luks", NULL };

typedef struct Crypto {
    uint64_t off, len; /* METHOD_LUKS: the header's clusters, within the file */
    Luks luks;
    SectorCipher *aes;
} Crypto;

/* ---- the two kinds ------------------------------------------------------------------------- */

static int aes_unlock(Crypto *c, const char *secret, Error **err)
{
    CipherSpec spec = { .mode = MODE_CBC, .ivgen = IVGEN_PLAIN64 };
    uint8_t key[AES_KEY_BYTES] = { 0 };
    char *data;
    size_t len;
    int ret = cipher_alg_find("aes-128", &spec.alg, err);

    if (ret == 0)
        ret = secret_get(secret, &data, &len, err);
    if (ret < 0)
        return ret;
    memcpy(key, data, MIN(len, sizeof(key)));
    secret_free(data, len);
    ret = sector_cipher_new(&spec, key, &c->aes, err);
    OPENSSL_cleanse(key, sizeof(key));
    return ret;
}

static const Extension *find_extension(const Qcow2 *q)
{
    const Extension *e = q->extensions;

    while (e && e->type != EXT_CRYPTO)
        e = e->next;
    return e;
}

static int read_luks(Qcow2 *q, Crypto *c, Error **err)
{
    const Extension *e = find_extension(q);
    uint64_t file = node_size(q->node->file);

    if (!e || e->len < EXTENSION_BYTES)
        return error_set(err, -EINVAL,
                         "qcow2 header: crypt_method at offset 32 is 2, but there is no extension "
                         "that says where the LUKS header is");
    uint64_t off = get_be64(e->data), len = get_be64(e->data + 8);
    if (off == 0 || off % q->cluster || off >= file)
        return error_set(err, -EINVAL,
                         "qcow2 header: the LUKS header's offset is %" PRIu64
                         ", not a cluster of the file",
                         off);
    if (len > QCOW2_MAX_CRYPTO_BYTES || len > align_up(file, q->cluster) - off)
        return error_set(err, -EINVAL,
                         "qcow2 header: the LUKS header's length is %" PRIu64
                         ", more than 67108864 or than the file has",
                         len);
    c->off = off;
    c->len = len;
    return luks_read(&c->luks, q->node->file, off, len, err);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int take_format(const Qcow2 *q, Options *options, Error **err)
{
    AUTO_FREE char *format = options_take(options, "encrypt.format");

    if (format && strcmp(format, method_names[q->crypt_method]) != 0)
        return error_set(err, -EINVAL,
                         "option 'encrypt.format' is '%s', but the image is encrypted by '%s'",
                         format, method_names[q->crypt_method]);
    return 0;
}

static int unlock(Qcow2 *q, const char *secret, Error **err)
{
    Crypto *c = q->crypto;

    if (q->node->flags & OPEN_NO_IO)
        return 0;
    if (!secret)
        return error_set(err, -ENOKEY,
                         "the image is encrypted: option 'encrypt.key-secret' must name the secret "
                         "with its password (--object secret,id=NAME,...)");
    return q->crypt_method == METHOD_LUKS ? luks_unlock(&c->luks, secret, err)
                                          : aes_unlock(c, secret, err);
}

int crypto_open(Qcow2 *q, Options *options, Error **err)
{
    AUTO_FREE char *secret = NULL;

    if (q->crypt_method > METHOD_LUKS)
        return error_set(err, -ENOTSUP,
                         "qcow2 header: crypt_method at offset 32 is %" PRIu32
                         ", only 0 to 2 are known",
                         q->crypt_method);
    if (q->crypt_method == METHOD_NONE && options_has(options, "encrypt"))
        return error_set(err, -EINVAL,
                         "options 'encrypt.*' were given, but the image is not "
                         "encrypted");
    if (q->crypt_method == METHOD_NONE)
        return 0;
    q->crypto = calloc(1, sizeof(*q->crypto));
    if (!q->crypto)
        return error_set(err, -ENOMEM, "no memory for a cipher");
    q->node->sealed = true;
    secret = options_take(options, "encrypt.key-secret");
    int ret = take_format(q, options, err);
    if (ret == 0 && q->crypt_method == METHOD_LUKS)
        ret = read_luks(q, q->crypto, err);
    return ret == 0 ? unlock(q, secret, err) : ret;
}

void crypto_close(Qcow2 *q)
{
    if (!q->crypto)
        return;
    luks_free(&q->crypto->luks);
    sector_cipher_free(q->crypto->aes);
    free(q->crypto);
}

void crypto_header(const Qcow2 *q, uint64_t *off, uint64_t *len)
{
    *off = q->crypto ? q->crypto->off : 0;
    *len = q->crypto ? q->crypto->len : 0;
}

/* ---- data ---------------------------------------------------------------------------------- */

static int run(Node *node, bool encrypt, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    Qcow2 *q = node->state;

    if (q->crypt_method == METHOD_LUKS)
        return luks_run(&q->crypto->luks, encrypt, buf, len, pos);
    if (!q->crypto->aes)
        return -ENOKEY;
    return sector_cipher_run(q->crypto->aes, encrypt, buf, len, off / SEAL_SECTOR);
}

int crypto_seal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    return run(node, true, buf, len, off, pos);
}

int crypto_unseal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    return run(node, false, buf, len, off, pos);
}

/* ---- new images ---------------------------------------------------------------------------- */

static int take_method(Options *o, int *method, Error **err)
{
    static const char *const formats[] = { "aes", "luks", NULL };
    bool named = options_has(o, "encrypt.format"), has_old = options_has(o, "encryption");
    bool old = false;
    int format = 0, ret = options_take_bool(o, "encryption", &old, err);

    if (ret == 0)
        ret = options_take_enum(o, "encrypt.format", formats, &format, err);
    if (ret < 0)
        return ret;
    if (named && has_old)
        return error_set(err, -EINVAL,
                         "Options encryption and encrypt.format are mutually exclusive");
    *method = named ? METHOD_AES + format : old ? METHOD_AES : METHOD_NONE;
    if (*method == METHOD_NONE && options_has(o, "encrypt"))
        return error_set(err, -EINVAL, "options 'encrypt.*' need 'encrypt.format'");
    return 0;
}

int crypto_take_plan(Options *o, CryptoPlan *p, Error **err)
{
    int ret = take_method(o, &p->method, err);

    if (ret < 0 || p->method == METHOD_NONE)
        return ret;
    AUTO_OPTIONS Options *sub = options_take_sub(o, "encrypt");
    if (p->method == METHOD_LUKS)
        ret = luks_take_params(sub, &p->luks, err);
    else
        p->luks.secret = options_take(sub, "key-secret");
    if (ret == 0)
        ret = options_end(sub, "this kind of encryption", err);
    return ret < 0 ? error_prefix(err, ret, "encrypt") : 0;
}

void crypto_plan_free(CryptoPlan *p)
{
    luks_params_free(&p->luks);
}

int crypto_plan_check(const CryptoPlan *p, Error **err)
{
    int ret = p->method == METHOD_NONE ? 0 : luks_params_check(&p->luks, err);

    return ret < 0 ? error_prefix(err, ret, "encrypt") : 0;
}

uint64_t crypto_plan_bytes(const CryptoPlan *p)
{
    return p->method == METHOD_LUKS ? luks_header_bytes(&p->luks.spec) : 0;
}

/* The LUKS header in clusters of its own, stable before the image's header names them. */
static int make_luks(Qcow2 *q, Crypto *c, const CryptoPlan *p, Error **err)
{
    uint8_t data[EXTENSION_BYTES];

    c->len = luks_header_bytes(&p->luks.spec);
    int ret = alloc_metadata(q, div_round_up(c->len, q->cluster), &c->off);
    if (ret < 0)
        return error_set(err, ret, "no space for the LUKS header: %s", strerror(-ret));
    c->luks.file = q->node->file;
    c->luks.base = c->off;
    ret = node_pwrite_zeroes(q->node->file, c->off, align_up(c->len, q->cluster), 0);
    if (ret == 0)
        ret = luks_make(&c->luks, &p->luks, false, err);
    put_be64(data, c->off);
    put_be64(data + 8, c->len);
    return ret == 0 ? header_set_extension(q, EXT_CRYPTO, data, sizeof(data)) : ret;
}

int crypto_make(Qcow2 *q, const CryptoPlan *p, Error **err)
{
    Crypto *c = calloc(1, sizeof(*c));
    int ret = c ? 0 : -ENOMEM;

    q->crypto = c;
    if (ret == 0 && p->method == METHOD_AES)
        ret = aes_unlock(c, p->luks.secret, err);
    else if (ret == 0)
        ret = make_luks(q, c, p, err);
    q->crypt_method = (uint32_t)p->method;
    q->node->sealed = true;
    if (ret == 0)
        ret = commit_settle(q);
    if (ret == 0)
        ret = header_rewrite(q);
    if (ret < 0 && err && !*err)
        error_set(err, ret, "cannot make the image encrypted: %s", strerror(-ret));
    return ret;
}

/* ---- other operations ---------------------------------------------------------------------- */

int crypto_amend(Qcow2 *q, Options *options, bool force, Error **err)
{
    if (options_empty(options))
        return 0;
    if (q->crypt_method != METHOD_LUKS)
        return error_set(err, -ENOTSUP, "encrypt: only images encrypted by 'luks' have key slots");
    int ret = luks_amend(&q->crypto->luks, options, force, err);
    return ret < 0 ? error_prefix(err, ret, "encrypt") : 0;
}

json_t *crypto_info(const Qcow2 *q)
{
    json_t *o;

    if (q->crypt_method == METHOD_LUKS)
        return luks_info(&q->crypto->luks, method_names[METHOD_LUKS]);
    o = json_object();
    json_object_set_new(o, "format", json_string(method_names[METHOD_AES]));
    return o;
}
