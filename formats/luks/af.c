/*
 * af.c - see af.h.
 */
#include "formats/luks/af.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

/* Each digest-sized part is replaced by the hash of its number and itself; the last may be short.
 */
static void diffuse(uint8_t *block, size_t len, Hash hash)
{
    uint8_t in[4 + MAX_DIGEST_BYTES], digest[MAX_DIGEST_BYTES];
    size_t size = (size_t)EVP_MD_get_size(hash_md(hash));
    uint32_t number = 0;

    for (size_t at = 0; at < len; at += size) {
        size_t part = MIN(size, len - at);

        put_be32(in, number++);
        memcpy(in + 4, block + at, part);
        EVP_Digest(in, 4 + part, digest, NULL, hash_md(hash), NULL);
        memcpy(block + at, digest, part);
    }
    OPENSSL_cleanse(in, sizeof(in));
    OPENSSL_cleanse(digest, sizeof(digest));
}

static void add_stripe(uint8_t *sum, const uint8_t *stripe, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum[i] ^= stripe[i];
}

/* All stripes but the last, combined. */
static void fold(const uint8_t *stripes, size_t len, uint32_t count, Hash hash, uint8_t *sum)
{
    memset(sum, 0, len);
    for (uint32_t i = 0; i + 1 < count; i++) {
        add_stripe(sum, stripes + i * len, len);
        diffuse(sum, len, hash);
    }
}

int af_split(const uint8_t *key, size_t len, uint32_t stripes, Hash hash, uint8_t *out)
{
    size_t last = (stripes - 1) * len;

    if (RAND_priv_bytes(out, (int)last) != 1)
        return -EIO;
    fold(out, len, stripes, hash, out + last);
    add_stripe(out + last, key, len);
    return 0;
}

void af_merge(const uint8_t *in, size_t len, uint32_t stripes, Hash hash, uint8_t *key)
{
    fold(in, len, stripes, hash, key);
    add_stripe(key, in + (stripes - 1) * len, len);
}
