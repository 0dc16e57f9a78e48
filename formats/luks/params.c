/*
 * params.c - what create and amend are told about encryption, and what info says.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>

#include "block/object.h"
#include "formats/luks/luks.h"

enum { DEFAULT_ITER_TIME_MS = 2000 };

/* ---- create -------------------------------------------------------------------------------- */

int luks_take_params(Options *o, LuksParams *p, Error **err)
{
    AUTO_FREE char *alg = options_take(o, "cipher-alg");
    int mode = MODE_XTS, ivgen = IVGEN_PLAIN64, ivgen_hash = HASH_SHA256, hash = HASH_SHA256;

    p->iter_time_ms = DEFAULT_ITER_TIME_MS;
    p->secret = options_take(o, "key-secret");
    int ret = cipher_alg_find(alg ? alg : "aes-256", &p->spec.alg, err);
    if (ret == 0)
        ret = options_take_enum(o, "cipher-mode", cipher_mode_names, &mode, err);
    if (ret == 0)
        ret = options_take_enum(o, "ivgen-alg", ivgen_names, &ivgen, err);
    if (ret == 0)
        ret = options_take_enum(o, "ivgen-hash-alg", hash_names, &ivgen_hash, err);
    if (ret == 0)
        ret = options_take_enum(o, "hash-alg", hash_names, &hash, err);
    if (ret == 0)
        ret = options_take_u64(o, "iter-time", &p->iter_time_ms, err);
    if (ret < 0)
        return ret;
    p->spec.mode = (CipherMode)mode;
    p->spec.ivgen = (IvGen)ivgen;
    p->spec.ivgen_hash = (Hash)ivgen_hash;
    p->hash = (Hash)hash;
    if (p->iter_time_ms == 0)
        return error_set(err, -EINVAL, "option 'iter-time' is 0, not at least 1 ms");
    return spec_check(&p->spec, err);
}

int luks_params_check(const LuksParams *p, Error **err)
{
    size_t len;
    char *data;

    if (!p->secret)
        return error_set(err, -EINVAL,
                         "option 'key-secret' must name the secret with the password (--object "
                         "secret,id=NAME,...)");
    int ret = secret_get(p->secret, &data, &len, err);
    if (ret == 0)
        secret_free(data, len);
    return ret;
}

void luks_params_free(LuksParams *p)
{
    free(p->secret);
}

/* A random one: RFC 4122, section 4.4. */
static int make_uuid(char uuid[LUKS_UUID_BYTES + 1])
{
    uint8_t b[16];

    if (RAND_bytes(b, sizeof(b)) != 1)
        return -EIO;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(uuid, LUKS_UUID_BYTES + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return 0;
}

int luks_make(Luks *l, const LuksParams *p, bool detached, Error **err)
{
    l->spec = p->spec;
    l->hash = p->hash;
    luks_lay_out(l);
    uint64_t bytes = l->payload;
    if (detached)
        l->payload = 0;
    int ret = make_uuid(l->uuid);
    if (ret == 0)
        ret = luks_new_key(l, p->iter_time_ms, err);
    if (ret == 0 && (ret = node_pwrite_zeroes(l->file, l->base, bytes, 0)) == 0)
        ret = luks_write_header(l);
    if (ret == 0)
        ret = luks_fill_slot(l, 0, p->secret, p->iter_time_ms, err);
    if (ret < 0 && !(err && *err))
        error_set(err, ret, "cannot write the LUKS header: %s", strerror(-ret));
    return ret;
}

/* ---- amend --------------------------------------------------------------------------------- */

typedef struct {
    int state; /* -1: not given */
    char *new_secret, *old_secret;
    bool has_iter_time;
    uint64_t iter_time_ms;
    int slot; /* -1: not given */
} Change;

static int take_change(Options *o, Change *c, Error **err)
{
    static const char *const states[] = { "active", "inactive", NULL };
    uint64_t slot = LUKS_SLOTS;
    bool has_slot = options_has(o, "keyslot");

    c->has_iter_time = options_has(o, "iter-time");
    c->new_secret = options_take(o, "new-secret");
    c->old_secret = options_take(o, "old-secret");
    int ret = options_take_enum(o, "state", states, &c->state, err);
    if (ret == 0)
        ret = options_take_u64(o, "keyslot", &slot, err);
    if (ret == 0)
        ret = options_take_u64(o, "iter-time", &c->iter_time_ms, err);
    if (ret < 0)
        return ret;
    if (c->state < 0)
        return error_set(err, -EINVAL, "option 'state' must say active or inactive");
    if (has_slot && slot >= LUKS_SLOTS)
        return error_set(err, -EINVAL, "option 'keyslot' is %" PRIu64 ", not 0 to 7", slot);
    if (c->iter_time_ms == 0)
        return error_set(err, -EINVAL, "option 'iter-time' is 0, not at least 1 ms");
    c->slot = has_slot ? (int)slot : -1;
    return 0;
}

static int add_password(Luks *l, const Change *c, bool force, Error **err)
{
    int slot = c->slot;

    if (!c->new_secret)
        return error_set(err, -EINVAL, "option 'new-secret' is needed to make a key slot active");
    if (c->old_secret)
        return error_set(err, -EINVAL, "option 'old-secret' is only for state=inactive");
    for (int i = 0; slot < 0 && i < LUKS_SLOTS; i++)
        if (!l->slots[i].active)
            slot = i;
    if (slot < 0)
        return error_set(err, -ENOSPC, "all key slots are in use: make one inactive first");
    if (l->slots[slot].active && !force)
        return error_set(err, -EBUSY,
                         "key slot %d is active: make it inactive first (or say --force)", slot);
    return luks_fill_slot(l, (unsigned)slot, c->new_secret, c->iter_time_ms, err);
}

/* The slots that the change is about, as a set of bits. */
static int chosen_slots(const Luks *l, const Change *c, unsigned *set, Error **err)
{
    *set = 0;
    for (int i = 0; i < LUKS_SLOTS; i++) {
        if ((c->slot >= 0 && i != c->slot) || !l->slots[i].active)
            continue;
        int ret = c->old_secret ? luks_try_slot(l, (unsigned)i, c->old_secret, err) : 0;
        if (ret == 0)
            *set |= 1u << i;
        else if (ret != -EKEYREJECTED)
            return ret;
    }
    if (*set == 0 && c->slot >= 0 && !l->slots[c->slot].active)
        return error_set(err, -EINVAL, "key slot %d is inactive already", c->slot);
    if (*set == 0)
        return error_set(err, -EKEYREJECTED, "secret '%s' does not open %s", c->old_secret,
                         c->slot >= 0 ? "that key slot" : "any key slot");
    return 0;
}

static int remove_passwords(Luks *l, const Change *c, bool force, Error **err)
{
    unsigned set, all = 0;

    if (c->new_secret || c->has_iter_time)
        return error_set(err, -EINVAL, "option '%s' is only for state=active",
                         c->new_secret ? "new-secret" : "iter-time");
    if (c->slot < 0 && !c->old_secret)
        return error_set(err, -EINVAL,
                         "option 'keyslot' or 'old-secret' must say which key slot is meant");
    int ret = chosen_slots(l, c, &set, err);
    if (ret < 0)
        return ret;
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        all |= (unsigned)l->slots[i].active << i;
    if (set == all && !force)
        return error_set(
            err, -EPERM,
            "this is the last password: without it the data are lost for ever (--force "
            "does it)");
    for (unsigned i = 0; i < LUKS_SLOTS && ret == 0; i++)
        if (set & 1u << i)
            ret = luks_erase_slot(l, i, err);
    return ret;
}

int luks_amend(Luks *l, Options *o, bool force, Error **err)
{
    Change c = { .state = -1, .iter_time_ms = DEFAULT_ITER_TIME_MS };
    int ret = take_change(o, &c, err);

    if (ret == 0)
        ret = options_end(o, "changing key slots", err);
    if (ret == 0 && !l->cipher)
        ret = error_set(err, -ENOKEY, "changing key slots needs the image opened with its secret");
    if (ret == 0)
        ret = c.state == 0 ? add_password(l, &c, force, err) : remove_passwords(l, &c, force, err);
    free(c.new_secret);
    free(c.old_secret);
    return ret;
}

/* ---- info ---------------------------------------------------------------------------------- */

static json_t *slots_info(const Luks *l)
{
    json_t *slots = json_array();

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const LuksSlot *s = &l->slots[i];
        json_t *slot = json_object();

        json_object_set_new(slot, "active", json_boolean(s->active));
        if (s->active)
            json_object_set_new(slot, "iters", json_integer(s->iterations));
        json_object_set_new(slot, "key-offset", json_integer((json_int_t)s->offset));
        if (s->active)
            json_object_set_new(slot, "stripes", json_integer(LUKS_STRIPES));
        json_array_append_new(slots, slot);
    }
    return slots;
}

json_t *luks_info(const Luks *l, const char *format)
{
    const CipherSpec *s = &l->spec;
    json_t *o = json_object();

    json_object_set_new(o, "ivgen-alg", json_string(ivgen_names[s->ivgen]));
    json_object_set_new(o, "hash-alg", json_string(hash_names[l->hash]));
    json_object_set_new(o, "cipher-alg", json_string(s->alg->name));
    json_object_set_new(o, "uuid", json_string(l->uuid));
    if (s->ivgen == IVGEN_ESSIV)
        json_object_set_new(o, "ivgen-hash-alg", json_string(hash_names[s->ivgen_hash]));
    if (format)
        json_object_set_new(o, "format", json_string(format));
    json_object_set_new(o, "cipher-mode", json_string(cipher_mode_names[s->mode]));
    json_object_set_new(o, "slots", slots_info(l));
    json_object_set_new(o, "payload-offset", json_integer((json_int_t)l->payload));
    json_object_set_new(o, "master-key-iters", json_integer(l->digest_iterations));
    return o;
}

/* -------------------------------------------------------------------------------------------- */

int luks_run(Luks *l, bool encrypt, void *buf, size_t len, uint64_t off)
{
    return l->cipher ? sector_cipher_run(l->cipher, encrypt, buf, len, off / LUKS_SECTOR) : -ENOKEY;
}
