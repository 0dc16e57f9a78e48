/*
 * luks.c - encryption of sectors against vectors and OpenSSL's own modes; damaged headers; changes
 * of key slots that are cut at every write or fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/node.h"
#include "block/object.h"
#include "block/writelog.h"
#include "formats/luks/af.h"
#include "formats/luks/luks.h"
#include "tests/unit/scratch.h"

enum { SECTOR = 512, MANY = 40, DISK = 16384 };

static char dir[SCRATCH_DIR], path[SCRATCH_PATH], work[SCRATCH_PATH], logfile[SCRATCH_PATH];

/* ---- sectors ------------------------------------------------------------------------------- */

static void from_hex(const char *hex, uint8_t *out)
{
    for (; *hex; hex += 2)
        sscanf(hex, "%2hhx", out++);
}

/* IEEE 1619-2007, annex B: vectors 4 and 10; the plain text counts up, only the start is compared.
 */
static const struct {
    const char *what, *alg, *key, *start;
    uint64_t sector;
} vectors[] = {
    { "vector 4", "aes-128", "2718281828459045235360287471352631415926535897932384626433832795",
      "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c", 0 },
    { "vector 10", "aes-256",
      "2718281828459045235360287471352662497757247093699959574966967627"
      "3141592653589793238462643383279502884197169399375105820974944592",
      "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b", 0xff },
};

static void xts_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CipherSpec spec = { .mode = MODE_XTS, .ivgen = IVGEN_PLAIN64 };
        uint8_t key[64], buf[SECTOR], want[32];
        SectorCipher *c;

        from_hex(vectors[i].key, key);
        from_hex(vectors[i].start, want);
        for (size_t n = 0; n < sizeof(buf); n++)
            buf[n] = (uint8_t)n;
        assert_int_equal(cipher_alg_find(vectors[i].alg, &spec.alg, NULL), 0);
        assert_int_equal(sector_cipher_new(&spec, key, &c, NULL), 0);
        assert_int_equal(sector_cipher_run(c, true, buf, sizeof(buf), vectors[i].sector), 0);
        if (memcmp(buf, want, sizeof(want)) != 0)
            fail_msg("%s: other bytes", vectors[i].what);
        sector_cipher_free(c);
    }
}

static const struct {
    const char *alg, *oracle;
    CipherMode mode;
    IvGen ivgen;
} modes[] = {
    { "aes-128", "AES-128-XTS", MODE_XTS, IVGEN_PLAIN64 },
    { "aes-256", "AES-256-XTS", MODE_XTS, IVGEN_PLAIN },
    { "aes-256", "AES-256-XTS", MODE_XTS, IVGEN_ESSIV },
    { "aes-128", "AES-128-CBC", MODE_CBC, IVGEN_PLAIN64 },
    { "aes-192", "AES-192-CBC", MODE_CBC, IVGEN_PLAIN },
    { "aes-256", "AES-256-CBC", MODE_CBC, IVGEN_ESSIV },
    { "aes-256", "AES-256-CTR", MODE_CTR, IVGEN_PLAIN64 },
    { "aes-256", "AES-256-ECB", MODE_ECB, IVGEN_PLAIN64 },
    { "camellia-256", "CAMELLIA-256-CBC", MODE_CBC, IVGEN_PLAIN64 },
    { "cast5-128", "CAST5-CBC", MODE_CBC, IVGEN_PLAIN64 },
};

static void evp(const char *name, const uint8_t *key, const uint8_t *iv, uint8_t *buf, int len)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    assert_non_null(cipher);
    assert_true(EVP_CipherInit_ex2(ctx, cipher, key, iv, 1, NULL));
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    assert_true(EVP_CipherUpdate(ctx, buf, &n, buf, len));
    assert_int_equal(n, len);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
}

/* One sector as the specification says it, with OpenSSL's whole mode. */
static void oracle(size_t mode, const CipherSpec *spec, const uint8_t *key, uint64_t sector,
                   uint8_t *buf)
{
    uint8_t iv[16] = { 0 }, digest[64];

    put_le64(iv, modes[mode].ivgen == IVGEN_PLAIN ? (uint32_t)sector : sector);
    if (modes[mode].ivgen == IVGEN_ESSIV) {
        EVP_Digest(key, spec_key_bytes(spec), digest, NULL, EVP_sha256(), NULL);
        evp("AES-256-ECB", digest, NULL, iv, 16);
    }
    evp(modes[mode].oracle, key, iv, buf, SECTOR);
}

static void modes_match_openssl(void **state)
{
    uint8_t buf[MANY * SECTOR], want[MANY * SECTOR], plain[MANY * SECTOR], key[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        CipherSpec spec = { .mode = modes[i].mode, .ivgen = modes[i].ivgen, HASH_SHA256 };
        SectorCipher *c;

        for (size_t n = 0; n < sizeof(key); n++)
            key[n] = (uint8_t)rand();
        assert_int_equal(cipher_alg_find(modes[i].alg, &spec.alg, NULL), 0);
        spec.ivgen_hash = HASH_SHA256;
        assert_int_equal(sector_cipher_new(&spec, key, &c, NULL), 0);
        for (int round = 0; round < 20; round++) {
            uint64_t sector = (uint64_t)rand() << (rand() % 33);
            size_t len = (size_t)(1 + rand() % MANY) * SECTOR;

            for (size_t n = 0; n < len; n++)
                buf[n] = want[n] = plain[n] = (uint8_t)rand();
            for (size_t at = 0; at < len; at += SECTOR)
                oracle(i, &spec, key, sector + at / SECTOR, want + at);
            assert_int_equal(sector_cipher_run(c, true, buf, len, sector), 0);
            if (memcmp(buf, want, len) != 0)
                fail_msg("%s, vectors %d: encrypts to something else", modes[i].oracle,
                         modes[i].ivgen);
            assert_int_equal(sector_cipher_run(c, false, buf, len, sector), 0);
            assert_memory_equal(buf, plain, len);
        }
        sector_cipher_free(c);
    }
}

static void *work_on_sectors(void *opaque)
{
    uint8_t buf[MANY * SECTOR], plain[MANY * SECTOR];
    SectorCipher *c = opaque;

    memset(plain, 5, sizeof(plain));
    for (uint64_t i = 0; i < 200; i++) {
        memcpy(buf, plain, sizeof(buf));
        if (sector_cipher_run(c, true, buf, sizeof(buf), i) < 0 ||
            sector_cipher_run(c, false, buf, sizeof(buf), i) < 0 ||
            memcmp(buf, plain, sizeof(buf)) != 0)
            return c;
    }
    return NULL;
}

static void threads_share_a_cipher(void **state)
{
    CipherSpec spec = { .mode = MODE_XTS, .ivgen = IVGEN_PLAIN64 };
    uint8_t key[64] = { 1 };
    pthread_t threads[4];
    SectorCipher *c;

    (void)state;
    assert_int_equal(cipher_alg_find("aes-256", &spec.alg, NULL), 0);
    assert_int_equal(sector_cipher_new(&spec, key, &c, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, work_on_sectors, c);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *wrong;

        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    sector_cipher_free(c);
}

/* A key comes back; with any bit of any stripe changed, another one does. */
static void stripes(void **state)
{
    enum { STRIPES = 50 };
    static const size_t lengths[] = { 16, 24, 32, 64 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint8_t key[64], back[64], split[64 * STRIPES];
        size_t len = lengths[i];
        Hash hash = (Hash)(rand() % (HASH_RIPEMD160 + 1));

        for (size_t n = 0; n < len; n++)
            key[n] = (uint8_t)rand();
        assert_int_equal(af_split(key, len, STRIPES, hash, split), 0);
        af_merge(split, len, STRIPES, hash, back);
        assert_memory_equal(back, key, len);
        split[(size_t)rand() % (len * STRIPES)] ^= 1;
        af_merge(split, len, STRIPES, hash, back);
        assert_memory_not_equal(back, key, len);
    }
}

/* ---- images -------------------------------------------------------------------------------- */

static void make_image(const char *file)
{
    Options *o = options_new();
    Error *err = NULL;

    options_parse(o, "size=16k,key-secret=s,iter-time=1", NULL, NULL);
    if (node_create(file, "luks", o, 0, NULL, &err) < 0)
        fail_msg("%s", error_message(err, 0));
}

/* `below` are the options of the file below; NULL: the plain file. */
static int open_with(const char *secret, const char *below, unsigned flags, Node **node,
                     Error **err)
{
    Options *o = options_new();

    options_set(o, "driver", "luks");
    options_parse(o, below ? below : "file.driver=file", NULL, NULL);
    options_set(o, below ? "file.file.filename" : "file.filename", work);
    if (secret)
        options_set(o, "key-secret", secret);
    return node_open(NULL, NULL, o, flags | OPEN_NO_LOCK, node, err);
}

static uint8_t *load(const char *file, size_t *len)
{
    FILE *f = fopen(file, "r");

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*len + 1);
    assert_int_equal(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

static void save(const char *file, const uint8_t *data, size_t len)
{
    FILE *f = fopen(file, "w");

    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static const struct {
    const char *what;
    unsigned at;
    uint32_t value; /* four bytes, big endian */
    const char *message;
} damages[] = {
    { "version 2", 4, 0xbabe0002, "version at offset 6 is 2" },
    { "no magic", 0, 0, "no LUKS header" },
    { "a cipher that nobody knows", 8, 0x61626300, "cipher 'abc'" },
    { "a cipher's name without end", 36, 0x61616161, NULL },
    { "an empty mode", 40, 0, "cipher mode ''" },
    { "a mode that nobody knows", 40, 0x7a747300, "cipher mode 'zts'" },
    { "a mode without vectors", 40, 0x78747300, "cipher mode 'xts'" },
    { "letters that are none", 40, 0x0178012d, "not text" },
    { "a hash that nobody knows", 72, 0x66726f00, "hash 'fro'" },
    { "data inside the header", 104, 1, "payload_offset at offset 104 is 1" },
    { "data beyond the file", 104, 0xffffffff, "payload_offset at offset 104 is 4294967295" },
    { "a key that does not fit", 108, 48, NULL },
    { "a key of 0 bytes", 108, 0, "a key of 0 bytes" },
    { "a key of 4 GiB", 108, 0xffffffff, "a key of 4294967295 bytes" },
    { "digest without iterations", 164, 0, "mk_digest_iterations at offset 164 is 0" },
    { "digest for hours", 164, 0xffffffff, "mk_digest_iterations at offset 164 is 4294967295" },
    { "a slot neither on nor off", 208, 7, "key slot 0: active at offset 208 is 7" },
    { "a slot for hours", 212, 0x80000000, "key slot 0: iterations at offset 212" },
    { "a slot without iterations", 212, 0, "key slot 0: iterations at offset 212 is 0" },
    { "a slot inside the header", 248, 1, "key slot 0: key_material_offset at offset 248" },
    { "a slot beyond the file", 248, 0xffffffff, "key slot 0: key_material_offset" },
    { "a slot over the data", 584, 4039, "key slot 7: key_material_offset at offset 584" },
    { "slots over each other", 296, 9, "key slots 0 (at 4096) and 1 (at 4608) overlap" },
    { "billions of stripes", 252, 0xffffffff, "key slot 0: stripes at offset 252" },
    { "no stripes", 300, 0, "key slot 1: stripes at offset 300" },
};

static void damaged_headers(void **state)
{
    size_t len;
    uint8_t *data = load(path, &len);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        AUTO_FREE uint8_t *copy = malloc(len);
        Error *err = NULL;
        Node *node;

        memcpy(copy, data, len);
        put_be32(copy + damages[i].at, damages[i].value);
        save(work, copy, len);
        int ret = open_with(NULL, NULL, OPEN_NO_IO, &node, &err);
        if (!damages[i].message && ret == 0) {
            node_unref(node); /* another cipher, with other vectors */
            continue;
        }
        if (ret == 0)
            fail_msg("%s: opened", damages[i].what);
        if (damages[i].message && !strstr(error_message(err, ret), damages[i].message))
            fail_msg("%s: '%s'", damages[i].what, error_message(err, ret));
        error_free(err);
    }
    for (size_t cut = 0; cut < 592; cut += 37) {
        Error *err = NULL;
        Node *node;

        save(work, data, cut);
        assert_true(open_with(NULL, NULL, OPEN_NO_IO, &node, &err) < 0);
        assert_non_null(strstr(err->message, "the LUKS header needs 592 bytes"));
        error_free(err);
    }
    free(data);
}

/* Does the secret open the image, and are its data as they were? */
static bool opens(const char *secret)
{
    uint8_t buf[DISK];
    Node *node;

    if (open_with(secret, NULL, 0, &node, NULL) < 0)
        return false;
    assert_int_equal(node_pread(node, buf, sizeof(buf), 0), 0);
    for (size_t i = 0; i < sizeof(buf); i++)
        assert_int_equal(buf[i], 0x77);
    node_unref(node);
    return true;
}

/* Each slot that is on can be opened by one of the two. */
static bool slots_are_whole(void)
{
    AUTO_NODE Node *file = NULL;
    Luks l = { 0 };

    assert_int_equal(node_open(work, "raw", NULL, OPEN_NO_LOCK, &file, NULL), 0);
    assert_int_equal(luks_read(&l, file, 0, node_size(file), NULL), 0);
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        if (l.slots[i].active && luks_try_slot(&l, i, "s", NULL) < 0 &&
            luks_try_slot(&l, i, "n", NULL) < 0)
            return false;
    return true;
}

static int change(Node *node, const char *options, Error **err)
{
    Options *o = options_new();

    options_parse(o, options, NULL, NULL);
    return node_amend(node, o, false, NULL, err);
}

/* Each step must leave these secrets (s, n) usable whenever it stops. */
static const struct {
    const char *what, *options, *opened_by, *stays;
} slot_changes[] = {
    { "add", "state=active,new-secret=n,iter-time=1", "s", "s" },
    { "erase by number", "state=inactive,keyslot=0", "s", "n" },
    { "add at the end", "state=active,new-secret=s,iter-time=1,keyslot=7", "n", "n" },
    { "erase by password", "state=inactive,old-secret=n", "n", "s" },
};

/* Apply the log's first `count` entries, the last one only up to `torn` bytes. False: all done. */
static bool replay(const uint8_t *before, size_t len, const uint8_t *log, size_t log_len,
                   unsigned count, uint64_t torn)
{
    AUTO_FREE uint8_t *image = malloc(len);
    WritelogEntry e;
    size_t at = 0;

    memcpy(image, before, len);
    for (unsigned i = 0; i < count; i++) {
        if (at >= log_len)
            return false;
        memcpy(&e, log + at, sizeof(e));
        at += sizeof(e);
        if (e.kind != WRITELOG_WRITE)
            continue;
        uint64_t part = i + 1 < count ? e.len : MIN(e.len, torn);
        assert_true(e.off + e.len <= len);
        memcpy(image + e.off, log + at, part);
        at += e.len;
    }
    save(work, image, len);
    return true;
}

static void key_slots_survive_crashes(void **state)
{
    char below[192];

    (void)state;
    snprintf(below, sizeof(below), "file.driver=writelog,file.log=%s,file.file.driver=file",
             logfile);
    size_t len;
    uint8_t *before = load(path, &len);
    for (size_t i = 0; i < ARRAY_LEN(slot_changes); i++) {
        Error *err = NULL;
        size_t log_len;
        Node *node;

        save(work, before, len);
        assert_int_equal(open_with(slot_changes[i].opened_by, below, OPEN_RDWR, &node, &err), 0);
        if (change(node, slot_changes[i].options, &err) < 0)
            fail_msg("%s: %s", slot_changes[i].what, err->message);
        node_unref(node);
        size_t after_len;
        uint8_t *after = load(work, &after_len), *log = load(logfile, &log_len);
        unsigned cuts = 0;
        for (unsigned count = 0; replay(before, len, log, log_len, count, UINT64_MAX); count++) {
            if (!slots_are_whole())
                fail_msg("%s: a slot is on and not whole after %u entries", slot_changes[i].what,
                         count);
            for (int torn = 0; torn < 3; torn++) {
                replay(before, len, log, log_len, count, (uint64_t)torn * 20);
                if (!opens(slot_changes[i].stays))
                    fail_msg("%s: locked out after %u entries", slot_changes[i].what, count);
            }
            cuts++;
        }
        assert_true(cuts > 4);
        free(log);
        free(before);
        before = after;
        len = after_len;
        unlink(logfile);
    }
    save(work, before, len);
    assert_true(opens("s"));
    assert_false(opens("n"));
    free(before);
}

static void failures_lock_nobody_out(void **state)
{
    static const char *const kinds[] = { "write", "flush", "read" };
    char below[160];
    size_t len;
    uint8_t *before = load(path, &len);

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        int ret = -EIO;

        for (unsigned n = 1; ret < 0; n++) {
            Error *err = NULL;
            Node *node;

            assert_true(n < 40);
            save(work, before, len);
            snprintf(below, sizeof(below),
                     "file.driver=faults,file.fail-%s=%u,file.file.driver=file", kinds[k], n);
            ret = open_with("s", below, OPEN_RDWR, &node, &err);
            if (ret == 0) {
                ret = change(node, slot_changes[0].options, &err);
                node_unref(node);
            }
            assert_true(ret == 0 || err);
            error_free(err);
            assert_true(opens("s"));
            if (ret == 0)
                assert_true(opens("n"));
        }
    }
    free(before);
}

/* Each owns every fourth piece of 64 bytes: all write to all sectors. */
typedef struct {
    Node *node;
    unsigned id, seed;
    uint8_t now[DISK / 64];
    int errors;
} Writer;

static void *write_parts(void *opaque)
{
    Writer *w = opaque;

    for (int i = 0; i < 2000; i++) {
        unsigned piece = (unsigned)rand_r(&w->seed) % (DISK / 256) * 4 + w->id;
        uint8_t buf[64];

        w->errors += node_pread(w->node, buf, sizeof(buf), piece * 64) != 0;
        w->errors += buf[0] != w->now[piece] || memcmp(buf, buf + 1, sizeof(buf) - 1) != 0;
        memset(buf, i, sizeof(buf));
        w->now[piece] = (uint8_t)i;
        w->errors += node_pwrite(w->node, buf, sizeof(buf), piece * 64) != 0;
    }
    return NULL;
}

static void threads_share_sectors(void **state)
{
    AUTO_NODE Node *node = NULL;
    pthread_t threads[4];
    Writer writers[4];
    size_t len;
    AUTO_FREE uint8_t *before = load(path, &len);

    (void)state;
    save(work, before, len);
    assert_int_equal(open_with("s", NULL, OPEN_RDWR, &node, NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        writers[i] = (Writer) { .node = node, .id = i, .seed = i };
        memset(writers[i].now, 0x77, sizeof(writers[i].now));
        pthread_create(&threads[i], NULL, write_parts, &writers[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].errors, 0);
    }
}

static void without_a_key(void **state)
{
    uint8_t buf[100] = { 0 };
    AUTO_NODE Node *node = NULL;
    size_t len;
    AUTO_FREE uint8_t *before = load(path, &len);

    (void)state;
    save(work, before, len);
    assert_int_equal(open_with(NULL, NULL, OPEN_NO_IO | OPEN_RDWR, &node, NULL), 0);
    assert_int_equal(node_size(node), DISK);
    assert_int_equal(node_pread(node, buf, sizeof(buf), 0), -ENOKEY);
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), 0), -ENOKEY);
    assert_int_equal(change(node, slot_changes[0].options, NULL), -ENOKEY);
    size_t now_len;
    AUTO_FREE uint8_t *now = load(work, &now_len);
    assert_int_equal(now_len, len);
    assert_memory_equal(now, before, len);
}

static int setup(void **state)
{
    uint8_t buf[DISK];
    Node *node;

    (void)state;
    assert_true(scratch_make(dir, "luks"));
    scratch_path(path, dir, "image");
    scratch_path(work, dir, "work");
    scratch_path(logfile, dir, "log");
    assert_int_equal(object_add("secret,id=s,data=first", NULL), 0);
    assert_int_equal(object_add("secret,id=n,data=second", NULL), 0);
    make_image(work);
    assert_int_equal(open_with("s", NULL, OPEN_RDWR, &node, NULL), 0);
    memset(buf, 0x77, sizeof(buf));
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), 0), 0);
    node_unref(node);
    return rename(work, path);
}

static int teardown(void **state)
{

    (void)state;
    objects_free();
    return scratch_remove(dir, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xts_vectors),
        cmocka_unit_test(modes_match_openssl),
        cmocka_unit_test(threads_share_a_cipher),
        cmocka_unit_test(stripes),
        cmocka_unit_test(damaged_headers),
        cmocka_unit_test(key_slots_survive_crashes),
        cmocka_unit_test(failures_lock_nobody_out),
        cmocka_unit_test(threads_share_sectors),
        cmocka_unit_test(without_a_key),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
