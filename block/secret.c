/*
 * secret.c - the object `secret`: a password or key that stays out of image options.
 *
 * data=TEXT or file=PATH, format=raw|base64; with keyid=ID the content is encrypted with the
 * secret ID (32 bytes) by AES-256-CBC, PKCS#7 padded, and iv=BASE64 is its initialisation vector.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/fd.h"
#include "block/object.h"

enum { SECRET_MAX = 1 << 20, KEY_BYTES = 32, IV_BYTES = 16 };

typedef struct {
    char *data; /* a 0 byte follows */
    size_t len;
} Secret;

void secret_free(char *data, size_t len)
{
    if (data)
        OPENSSL_cleanse(data, len);
    free(data);
}

static void secret_set(Secret *s, char *data, size_t len)
{
    secret_free(s->data, s->len);
    data[len] = 0;
    s->data = data;
    s->len = len;
}

static int read_file(const char *path, Secret *s, Error **err)
{
    int ret = file_read_whole(path, SECRET_MAX, &s->data, &s->len);

    return ret < 0 ? error_set(err, ret, "secret file '%s': %s", path, strerror(-ret)) : 0;
}

/* Strict: white space around is allowed, anything else is not. */
static int decode_base64(const char *what, Secret *s, Error **err)
{
    size_t start = strspn(s->data, " \t\r\n"), len = s->len;

    while (len > start && strchr(" \t\r\n", s->data[len - 1]))
        len--;
    len -= start;
    char *out = malloc(len / 4 * 3 + 4);
    int n = !out ? -1 : EVP_DecodeBlock((uint8_t *)out, (uint8_t *)s->data + start, (int)len);

    if (n < 0 || len % 4) {
        free(out);
        return error_set(err, -EINVAL, "secret: the %s is not base64", what);
    }
    for (size_t i = len; i > 0 && i > len - 2 && s->data[start + i - 1] == '='; i--)
        n--; /* padding decodes to zero bytes that are not there */
    secret_set(s, out, (size_t)n);
    return 0;
}

static int decrypt(const char *key_id, const char *iv_text, Secret *s, Error **err)
{
    Secret key = { 0 }, iv = { .data = strdup(iv_text), .len = strlen(iv_text) };
    int ret = secret_get(key_id, &key.data, &key.len, err), n = 0, last = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    char *out = malloc(s->len + IV_BYTES + 1);

    if (ret == 0)
        ret = decode_base64("iv", &iv, err);
    if (ret == 0 && (key.len != KEY_BYTES || iv.len != IV_BYTES))
        ret = error_set(err, -EINVAL, "secret: the key has %zu bytes and the iv %zu, not 32 and 16",
                        key.len, iv.len);
    if (ret == 0 && (!ctx || !out ||
                     !EVP_DecryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, (uint8_t *)key.data,
                                         (uint8_t *)iv.data) ||
                     !EVP_DecryptUpdate(ctx, (uint8_t *)out, &n, (uint8_t *)s->data, (int)s->len) ||
                     !EVP_DecryptFinal_ex(ctx, (uint8_t *)out + n, &last)))
        ret = error_set(err, -EINVAL, "secret: it cannot be decrypted with secret '%s'", key_id);
    if (ret == 0)
        secret_set(s, take(&out), (size_t)(n + last));
    EVP_CIPHER_CTX_free(ctx);
    secret_free(key.data, key.len);
    secret_free(iv.data, iv.len);
    free(out);
    return ret;
}

static int secret_create(void *state, Options *o, Error **err)
{
    static const char *const formats[] = { "raw", "base64", NULL };
    AUTO_FREE char *data = options_take(o, "data");
    AUTO_FREE char *file = options_take(o, "file");
    AUTO_FREE char *key_id = options_take(o, "keyid");
    AUTO_FREE char *iv = options_take(o, "iv");
    Secret *s = state;
    int format = 0, ret = options_take_enum(o, "format", formats, &format, err);

    if (ret < 0)
        return ret;
    if (!data == !file)
        return error_set(err, -EINVAL, "a secret needs 'data' or 'file', one of them");
    if (!key_id != !iv)
        return error_set(err, -EINVAL, "an encrypted secret needs both 'keyid' and 'iv'");
    if (file)
        ret = read_file(file, s, err);
    else
        s->len = strlen(s->data = take(&data));
    if (ret == 0 && (format == 1 || key_id))
        ret = decode_base64("data", s, err);
    return ret == 0 && key_id ? decrypt(key_id, iv, s, err) : ret;
}

static void secret_destroy(void *state)
{
    Secret *s = state;

    secret_free(s->data, s->len);
}

int secret_get(const char *id, char **data, size_t *len, Error **err)
{
    Secret *s = object_find(&secret_type, id, err);

    if (!s)
        return -ENOENT;
    *data = malloc(s->len + 1);
    if (!*data)
        return error_set(err, -ENOMEM, "no memory for a secret");
    memcpy(*data, s->data, s->len + 1);
    *len = s->len;
    return 0;
}

const ObjectType secret_type = {
    .name = "secret",
    .size = sizeof(Secret),
    .create = secret_create,
    .destroy = secret_destroy,
};
