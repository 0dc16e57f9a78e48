/*
 * spec.c - see spec.h. The names in headers are those of the LUKS1 specification, section 1.2.
 */
#include "formats/luks/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const CipherAlg cipher_algs[] = {
    { "aes-128", "aes", 16, 16, "AES-128-ECB" },
    { "aes-192", "aes", 24, 16, "AES-192-ECB" },
    { "aes-256", "aes", 32, 16, "AES-256-ECB" },
    { "camellia-128", "camellia", 16, 16, "CAMELLIA-128-ECB" },
    { "camellia-192", "camellia", 24, 16, "CAMELLIA-192-ECB" },
    { "camellia-256", "camellia", 32, 16, "CAMELLIA-256-ECB" },
    { "cast5-128", "cast5", 16, 8, "CAST5-ECB" },
    { NULL, NULL, 0, 0, NULL },
};

const char *const cipher_mode_names[] = { "ecb", "cbc", "xts", "ctr", NULL };
const char *const ivgen_names[] = { "plain", "plain64", "essiv", NULL };
const char *const hash_names[] = { "md5",    "sha1",   "sha224",    "sha256",
                                   "sha384", "sha512", "ripemd160", NULL };

unsigned spec_key_bytes(const CipherSpec *spec)
{
    return spec->mode == MODE_XTS ? 2 * spec->alg->key_bytes : spec->alg->key_bytes;
}

const EVP_MD *hash_md(Hash hash)
{
    switch (hash) {
    case HASH_MD5: return EVP_md5();
    case HASH_SHA1: return EVP_sha1();
    case HASH_SHA224: return EVP_sha224();
    case HASH_SHA256: return EVP_sha256();
    case HASH_SHA384: return EVP_sha384();
    case HASH_SHA512: return EVP_sha512();
    default: return EVP_ripemd160();
    }
}

const CipherAlg *essiv_alg(const CipherSpec *spec)
{
    unsigned digest = (unsigned)EVP_MD_get_size(hash_md(spec->ivgen_hash));

    for (const CipherAlg *a = cipher_algs; a->name; a++)
        if (strcmp(a->luks, spec->alg->luks) == 0 && a->key_bytes == digest)
            return a;
    return NULL;
}

int spec_check(const CipherSpec *spec, Error **err)
{
    if (spec->mode == MODE_XTS && spec->alg->block_bytes != 16)
        return error_set(err, -EINVAL, "cipher '%s' has blocks of %u bytes: mode xts needs 16",
                         spec->alg->name, spec->alg->block_bytes);
    if (spec->ivgen == IVGEN_ESSIV && !essiv_alg(spec))
        return error_set(err, -EINVAL,
                         "the digest of hash '%s' has %d bytes, which is no key length of '%s' "
                         "(for essiv)",
                         hash_names[spec->ivgen_hash], EVP_MD_get_size(hash_md(spec->ivgen_hash)),
                         spec->alg->luks);
    return 0;
}

int cipher_alg_find(const char *name, const CipherAlg **alg, Error **err)
{
    char all[256] = "";

    for (*alg = cipher_algs; (*alg)->name; (*alg)++) {
        size_t used = strlen(all);

        if (strcmp((*alg)->name, name) == 0)
            return 0;
        snprintf(all + used, sizeof(all) - used, "%s%s", used ? ", " : "", (*alg)->name);
    }
    return error_set(err, -ENOTSUP, "there is no cipher '%s' (there are %s)", name, all);
}

static int name_find(const char *what, const char *const *names, const char *name, Error **err)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return error_set(err, -ENOTSUP, "%s '%s' is not supported", what, name);
}

int hash_find(const char *name, Hash *hash, Error **err)
{
    int i = name_find("hash", hash_names, name, err);

    *hash = (Hash)i;
    return i < 0 ? i : 0;
}

/* "xts-plain64", "cbc-essiv:sha256", and "ecb" alone */
static int parse_mode(const char *text, CipherSpec *spec, Error **err)
{
    char mode[LUKS_NAME_BYTES], *ivgen, *hash;
    int ret;

    snprintf(mode, sizeof(mode), "%s", text);
    ivgen = strchr(mode, '-');
    if (ivgen)
        *ivgen++ = 0;
    if ((ret = name_find("cipher mode", cipher_mode_names, mode, err)) < 0)
        return ret;
    spec->mode = (CipherMode)ret;
    if (!ivgen && spec->mode != MODE_ECB)
        return error_set(err, -EINVAL, "cipher mode '%s' names no way to make its vectors", text);
    hash = ivgen ? strchr(ivgen, ':') : NULL;
    if (hash)
        *hash++ = 0;
    ret = ivgen ? name_find("way to make vectors", ivgen_names, ivgen, err) : IVGEN_PLAIN64;
    if (ret < 0)
        return ret;
    spec->ivgen = (IvGen)ret;
    if (spec->ivgen != IVGEN_ESSIV)
        return 0;
    return hash ? hash_find(hash, &spec->ivgen_hash, err)
                : error_set(err, -EINVAL, "cipher mode '%s' names no hash for essiv", text);
}

int spec_parse(const char *cipher, const char *mode, uint32_t key_bytes, CipherSpec *spec,
               Error **err)
{
    bool known = false;
    int ret = parse_mode(mode, spec, err);

    if (ret < 0)
        return ret;
    for (spec->alg = cipher_algs; spec->alg->name; spec->alg++) {
        bool same = strcmp(spec->alg->luks, cipher) == 0;

        if (same && spec_key_bytes(spec) == key_bytes)
            return spec_check(spec, err);
        known |= same;
    }
    if (!known)
        return error_set(err, -ENOTSUP, "cipher '%s' is not supported", cipher);
    return error_set(err, -EINVAL,
                     "a key of %" PRIu32 " bytes does not fit cipher '%s' in mode '%s'", key_bytes,
                     cipher, mode);
}

void spec_mode_text(const CipherSpec *spec, char text[LUKS_NAME_BYTES])
{
    bool essiv = spec->ivgen == IVGEN_ESSIV;

    snprintf(text, LUKS_NAME_BYTES, "%s-%s%s%s", cipher_mode_names[spec->mode],
             ivgen_names[spec->ivgen], essiv ? ":" : "", essiv ? hash_names[spec->ivgen_hash] : "");
}
