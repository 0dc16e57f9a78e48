/*
 * header.c - the LUKS1 header: read and judged, laid out, written. Integers are big endian.
 *
 *     0 magic 6    8 cipher_name 32    104 payload_offset (sectors)   132 mk_digest_salt 32
 *     6 version 2  40 cipher_mode 32   108 key_bytes                  164 mk_digest_iterations
 *                  72 hash_spec 32     112 mk_digest 20               168 uuid 40
 *     208 eight key slots of 48: active, iterations, salt 32, key_material_offset (sectors),
 * stripes
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "formats/luks/luks.h"

enum { SLOT_AT = 208, SLOT_BYTES = 48, VERSION = 1 };
enum { AT_CIPHER = 8, AT_MODE = 40, AT_HASH = 72, AT_PAYLOAD = 104, AT_KEY_BYTES = 108 };
enum { AT_DIGEST = 112, AT_DIGEST_SALT = 132, AT_DIGEST_ITERATIONS = 164, AT_UUID = 168 };

#define SLOT_ENABLED  UINT32_C(0x00ac71f3)
#define SLOT_DISABLED UINT32_C(0x0000dead)

static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

int luks_probe(const uint8_t *buf, size_t len)
{
    return len >= 8 && memcmp(buf, magic, sizeof(magic)) == 0 && get_be16(buf + 6) == VERSION ? 100
                                                                                              : 0;
}

uint64_t luks_material_bytes(const Luks *l)
{
    return align_up((uint64_t)spec_key_bytes(&l->spec) * LUKS_STRIPES, LUKS_SECTOR);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int bad(Error **err, const char *field, unsigned at, uint64_t value, const char *must)
{
    return error_set(err, -EINVAL, "LUKS header: %s at offset %u is %" PRIu64 ", %s", field, at,
                     value, must);
}

static int read_name(const uint8_t *h, const char *field, unsigned at, char name[LUKS_NAME_BYTES],
                     Error **err)
{
    memcpy(name, h + at, LUKS_NAME_BYTES);
    if (!memchr(name, 0, LUKS_NAME_BYTES))
        return error_set(err, -EINVAL, "LUKS header: %s at offset %u does not end", field, at);
    for (char *p = name; *p; p++)
        if (!isgraph((unsigned char)*p))
            return error_set(err, -EINVAL, "LUKS header: %s at offset %u is not text", field, at);
    return 0;
}

static int read_spec(Luks *l, const uint8_t *h, Error **err)
{
    char cipher[LUKS_NAME_BYTES], mode[LUKS_NAME_BYTES], hash[LUKS_NAME_BYTES];
    int ret = read_name(h, "cipher_name", AT_CIPHER, cipher, err);

    if (ret == 0)
        ret = read_name(h, "cipher_mode", AT_MODE, mode, err);
    if (ret == 0)
        ret = read_name(h, "hash_spec", AT_HASH, hash, err);
    if (ret < 0)
        return ret;
    ret = spec_parse(cipher, mode, get_be32(h + AT_KEY_BYTES), &l->spec, err);
    if (ret == 0)
        ret = hash_find(hash, &l->hash, err);
    return ret < 0 ? error_prefix(err, ret, "LUKS header") : 0;
}

static int check_iterations(uint32_t n, const char *field, unsigned at, Error **err)
{
    if (n == 0)
        return bad(err, field, at, n, "not at least 1");
    if (n > LUKS_MAX_ITERATIONS)
        return bad(err, field, at, n, "more than 134217728: it would take too long");
    return 0;
}

static int read_slot(Luks *l, const uint8_t *h, unsigned i, uint64_t end, Error **err)
{
    unsigned at = SLOT_AT + i * SLOT_BYTES;
    uint32_t active = get_be32(h + at);
    LuksSlot *s = &l->slots[i];
    char field[40];

    s->active = active == SLOT_ENABLED;
    s->iterations = get_be32(h + at + 4);
    memcpy(s->salt, h + at + 8, LUKS_SALT_BYTES);
    s->offset = (uint64_t)get_be32(h + at + 40) * LUKS_SECTOR;
    if (!s->active && active != SLOT_DISABLED) {
        snprintf(field, sizeof(field), "key slot %u: active", i);
        return bad(err, field, at, active, "neither on (11301363) nor off (57005)");
    }
    snprintf(field, sizeof(field), "key slot %u: iterations", i);
    if (s->active && check_iterations(s->iterations, field, at + 4, err) < 0)
        return -EINVAL;
    snprintf(field, sizeof(field), "key slot %u: stripes", i);
    if (get_be32(h + at + 44) != LUKS_STRIPES)
        return bad(err, field, at + 44, get_be32(h + at + 44), "not 4000");
    snprintf(field, sizeof(field), "key slot %u: key_material_offset", i);
    if (s->offset < LUKS_HEADER_BYTES)
        return bad(err, field, at + 40, s->offset / LUKS_SECTOR, "inside the header");
    if (s->offset + luks_material_bytes(l) > end)
        return bad(err, field, at + 40, s->offset / LUKS_SECTOR,
                   "beyond the end of the space for key slots");
    return 0;
}

static int check_overlaps(const Luks *l, Error **err)
{
    uint64_t len = luks_material_bytes(l);

    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        for (unsigned k = 0; k < i; k++)
            if (l->slots[i].offset < l->slots[k].offset + len &&
                l->slots[k].offset < l->slots[i].offset + len)
                return error_set(err, -EINVAL,
                                 "LUKS header: key slots %u (at %" PRIu64 ") and %u (at %" PRIu64
                                 ") overlap",
                                 k, l->slots[k].offset, i, l->slots[i].offset);
    return 0;
}

/* Only for showing. */
static void read_uuid(Luks *l, const uint8_t *h)
{
    memcpy(l->uuid, h + AT_UUID, LUKS_UUID_BYTES);
    l->uuid[LUKS_UUID_BYTES] = 0;
    for (char *p = l->uuid; *p; p++)
        if (!isgraph((unsigned char)*p))
            *p = '?';
}

int luks_read(Luks *l, Node *file, uint64_t base, uint64_t room, Error **err)
{
    uint8_t h[LUKS_HEADER_BYTES];

    l->file = file;
    l->base = base;
    if (room < sizeof(h))
        return error_set(err, -EINVAL, "the LUKS header needs 592 bytes, there are %" PRIu64, room);
    int ret = node_pread(file, h, sizeof(h), base);
    if (ret < 0)
        return error_set(err, ret, "cannot read the LUKS header: %s", strerror(-ret));
    if (memcmp(h, magic, sizeof(magic)) != 0)
        return error_set(err, -EINVAL, "there is no LUKS header (its first bytes are others)");
    if (get_be16(h + 6) != VERSION)
        return bad(err, "version", 6, get_be16(h + 6), "only 1 is supported");
    if ((ret = read_spec(l, h, err)) < 0)
        return ret;
    l->payload = (uint64_t)get_be32(h + AT_PAYLOAD) * LUKS_SECTOR;
    if (l->payload && l->payload < LUKS_HEADER_BYTES)
        return bad(err, "payload_offset", AT_PAYLOAD, l->payload / LUKS_SECTOR,
                   "inside the header");
    l->digest_iterations = get_be32(h + AT_DIGEST_ITERATIONS);
    memcpy(l->digest, h + AT_DIGEST, LUKS_DIGEST_BYTES);
    memcpy(l->digest_salt, h + AT_DIGEST_SALT, LUKS_SALT_BYTES);
    read_uuid(l, h);
    ret = check_iterations(l->digest_iterations, "mk_digest_iterations", AT_DIGEST_ITERATIONS, err);
    uint64_t end = l->payload ? MIN(l->payload, room) : room;
    for (unsigned i = 0; i < LUKS_SLOTS && ret == 0; i++)
        ret = read_slot(l, h, i, end, err);
    return ret == 0 ? check_overlaps(l, err) : ret;
}

void luks_free(Luks *l)
{
    sector_cipher_free(l->cipher);
    OPENSSL_cleanse(l->key, sizeof(l->key));
    l->cipher = NULL;
}

/* ---- new ones ------------------------------------------------------------------------------ */

void luks_lay_out(Luks *l)
{
    uint64_t step = align_up(luks_material_bytes(l), LUKS_ALIGN);

    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        l->slots[i] = (LuksSlot) { .offset = LUKS_ALIGN + i * step };
    l->payload = LUKS_ALIGN + LUKS_SLOTS * step;
}

uint64_t luks_header_bytes(const CipherSpec *spec)
{
    Luks l = { .spec = *spec };

    luks_lay_out(&l);
    return l.payload;
}

static void put_name(uint8_t *h, unsigned at, const char *name)
{
    memcpy(h + at, name, strnlen(name, LUKS_NAME_BYTES - 1));
}

static void put_slot(const LuksSlot *s, uint8_t out[SLOT_BYTES])
{
    put_be32(out, s->active ? SLOT_ENABLED : SLOT_DISABLED);
    put_be32(out + 4, s->active ? s->iterations : 0);
    memcpy(out + 8, s->salt, LUKS_SALT_BYTES);
    put_be32(out + 40, (uint32_t)(s->offset / LUKS_SECTOR));
    put_be32(out + 44, LUKS_STRIPES);
}

int luks_write_header(const Luks *l)
{
    uint8_t h[LUKS_HEADER_BYTES] = { 0 };
    char mode[LUKS_NAME_BYTES];

    memcpy(h, magic, sizeof(magic));
    put_be16(h + 6, VERSION);
    spec_mode_text(&l->spec, mode);
    put_name(h, AT_CIPHER, l->spec.alg->luks);
    put_name(h, AT_MODE, mode);
    put_name(h, AT_HASH, hash_names[l->hash]);
    put_be32(h + AT_PAYLOAD, (uint32_t)(l->payload / LUKS_SECTOR));
    put_be32(h + AT_KEY_BYTES, spec_key_bytes(&l->spec));
    memcpy(h + AT_DIGEST, l->digest, LUKS_DIGEST_BYTES);
    memcpy(h + AT_DIGEST_SALT, l->digest_salt, LUKS_SALT_BYTES);
    put_be32(h + AT_DIGEST_ITERATIONS, l->digest_iterations);
    memcpy(h + AT_UUID, l->uuid, strlen(l->uuid));
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        put_slot(&l->slots[i], h + SLOT_AT + i * SLOT_BYTES);
    return node_pwrite(l->file, h, sizeof(h), l->base);
}

int luks_write_slot(const Luks *l, unsigned slot)
{
    uint8_t s[SLOT_BYTES];

    put_slot(&l->slots[slot], s);
    return node_pwrite(l->file, s, sizeof(s), l->base + SLOT_AT + slot * SLOT_BYTES);
}
