/*
 * block_random.c - random operations on an image, mirrored on a plain array.
 *
 * The seed is printed; BLOCK_SEED=n repeats a run, BLOCK_STEPS=n makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/node.h"
#include "block/object.h"
#include "tests/unit/scratch.h"

enum { DISK_MAX = 3 << 20, MAX_SNAPS = 3 };

typedef struct {
    const char *what, *format, *options;
    unsigned flags;
    bool backing, packs;
    const char *open; /* options of the open image; NULL: none */
} Case;

/* The cheapest password there is. */
#define LUKS      "key-secret=s,iter-time=1"
#define ENCRYPTED "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1"

static const Case cases[] = {
    { "raw", "raw", "", 0, false, false, NULL },
    { "raw, O_DIRECT", "raw", "", OPEN_DIRECT, false, false, NULL },
    { "qcow2", "qcow2", "", 0, false, true, NULL },
    { "v2", "qcow2", "compat=0.10", OPEN_UNMAP, false, true, NULL },
    { "v2 overlay", "qcow2", "compat=0.10,cluster_size=4k", OPEN_UNMAP, true, true, NULL },
    { "overlay", "qcow2", "", 0, true, true, NULL },
    { "512 byte clusters", "qcow2", "cluster_size=512", OPEN_UNMAP, true, true, NULL },
    { "4k, 1 bit counts", "qcow2", "cluster_size=4k,refcount_bits=1", OPEN_UNMAP, true, true,
      NULL },
    { "4k, 2 bit counts", "qcow2", "cluster_size=4k,refcount_bits=2", OPEN_UNMAP, true, true,
      NULL },
    { "1k, 64 bit counts", "qcow2", "cluster_size=1k,refcount_bits=64", 0, true, true, NULL },
    { "8k, 8 bit counts, zstd", "qcow2", "cluster_size=8k,refcount_bits=8,compression_type=zstd",
      OPEN_UNMAP, true, true, NULL },
    { "2M clusters", "qcow2", "cluster_size=2M", 0, true, true, NULL },
    { "lazy refcounts", "qcow2", "lazy_refcounts=on,cluster_size=4k", OPEN_UNMAP, true, true,
      NULL },
    { "preallocated", "qcow2", "preallocation=metadata,cluster_size=4k", 0, false, true, NULL },
    { "subclusters", "qcow2", "extended_l2=on", OPEN_UNMAP, false, true, NULL },
    { "subclusters, overlay", "qcow2", "extended_l2=on,cluster_size=16k", 0, true, true, NULL },
    { "subclusters, overlay, unmap", "qcow2", "extended_l2=on,cluster_size=32k", OPEN_UNMAP, true,
      true, NULL },
    { "subclusters, preallocated overlay", "qcow2",
      "extended_l2=on,cluster_size=16k,preallocation=metadata", 0, true, true, NULL },
    { "data file", "qcow2", "data_file=data,cluster_size=4k", OPEN_UNMAP, true, false, NULL },
    { "data file, subclusters", "qcow2", "data_file=data,cluster_size=16k,extended_l2=on",
      OPEN_UNMAP, true, false, NULL },
    { "raw data file", "qcow2", "data_file=data,data_file_raw=on,cluster_size=4k", OPEN_UNMAP,
      false, false, NULL },
    { "raw data file, subclusters", "qcow2", "data_file=data,data_file_raw=on,extended_l2=on", 0,
      false, false, NULL },
    { "tiny caches", "qcow2", "cluster_size=4k,refcount_bits=64", OPEN_UNMAP, true, true,
      "l2-cache-entry-size=512,l2-cache-size=2k,refcount-cache-size=16k,overlap-check=all" },
    { "tiny caches, subclusters", "qcow2", "extended_l2=on,cluster_size=16k", 0, true, true,
      "l2-cache-entry-size=512,cache-size=80k,pass-discard-request=on,pass-discard-other=on" },
    { "tiny caches, 512 byte clusters", "qcow2", "cluster_size=512", 0, true, true,
      "l2-cache-size=2k,refcount-cache-size=2k,overlap-check=none,lazy-refcounts=on" },
    { "O_DIRECT overlay", "qcow2", "cluster_size=4k", OPEN_DIRECT, true, true, NULL },
    { "luks", "luks", LUKS, 0, false, false, NULL },
    { "luks, O_DIRECT", "luks", LUKS ",cipher-mode=cbc", OPEN_DIRECT, false, false, NULL },
    { "encrypted", "qcow2", ENCRYPTED, OPEN_UNMAP, false, false, NULL },
    { "encrypted overlay, 512 byte clusters", "qcow2", ENCRYPTED ",cluster_size=512", OPEN_UNMAP,
      true, false, NULL },
    { "encrypted, AES", "qcow2", "encrypt.format=aes,encrypt.key-secret=s,cluster_size=4k",
      OPEN_UNMAP, true, false, NULL },
    { "encrypted, version 2", "qcow2",
      "encrypt.format=aes,encrypt.key-secret=s,cluster_size=4k,compat=0.10", OPEN_UNMAP, true,
      false, NULL },
    { "encrypted, preallocated", "qcow2", ENCRYPTED ",preallocation=metadata,cluster_size=4k", 0,
      false, false, NULL },
    { "encrypted, subclusters", "qcow2", ENCRYPTED ",extended_l2=on,cluster_size=16k", OPEN_UNMAP,
      true, false, NULL },
    { "encrypted, data file", "qcow2", ENCRYPTED ",data_file=data,cluster_size=16k", OPEN_UNMAP,
      true, false, NULL },
};

typedef struct {
    const Case *c;
    char dir[SCRATCH_DIR], path[SCRATCH_PATH], data[SCRATCH_PATH];
    Node *node;
    uint8_t *mirror, *snaps[MAX_SNAPS];
    uint64_t size, snap_sizes[MAX_SNAPS];
    uint32_t cluster;
} Run;

static unsigned seed;

static uint64_t rnd(uint64_t n)
{
    return n ? (((uint64_t)rand() << 31) ^ (uint64_t)rand()) % n : 0;
}

static void ok(int ret, Error *err, const char *what)
{
    if (ret < 0)
        fail_msg("seed %u: %s: %s", seed, what, error_message(err, ret));
    error_free(err);
}

static void fill(uint8_t *buf, size_t len)
{
    uint8_t value = (uint8_t)(1 + rnd(255));

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(value + i / 512);
}

static void pick(const Run *r, uint64_t *off, uint64_t *len)
{
    uint64_t grain = rnd(3) ? r->cluster : rnd(2) ? 512 : 1;

    *off = align_down(rnd(r->size), grain);
    *len =
        MIN(r->size - *off, align_up(1 + rnd(rnd(4) ? 3 * (uint64_t)r->cluster : 400000), grain));
}

static void open_image(Run *r)
{
    Options *o = options_new();
    Error *err = NULL;

    if (r->c->open)
        ok(options_parse(o, r->c->open, NULL, &err), err, "options");
    if (strcmp(r->c->format, "luks") == 0)
        options_set(o, "key-secret", "s");
    else if (strstr(r->c->options, "encrypt"))
        options_set(o, "encrypt.key-secret", "s");
    ok(node_open(r->path, r->c->format, o, OPEN_RDWR | OPEN_NO_FLUSH | r->c->flags, &r->node, &err),
       err, "open");
}

/* ---- the steps ----------------------------------------------------------------------------- */

static void step_write(Run *r)
{
    uint64_t off, len;

    pick(r, &off, &len);
    fill(r->mirror + off, len);
    size_t cut = rnd(len + 1);
    struct iovec iov[2] = { { r->mirror + off, cut }, { r->mirror + off + cut, len - cut } };
    ok(node_pwritev(r->node, iov, 2, off, 0), NULL, "write");
}

static void step_zero(Run *r)
{
    uint64_t off, len;

    pick(r, &off, &len);
    memset(r->mirror + off, 0, len);
    ok(node_pwrite_zeroes(r->node, off, len, rnd(2) ? REQ_MAY_UNMAP : 0), NULL, "zeroes");
}

/* Afterwards each byte is what it was, or zero. */
static void step_discard(Run *r)
{
    uint64_t off, len;

    pick(r, &off, &len);
    ok(node_discard(r->node, off, len), NULL, "discard");
    AUTO_FREE uint8_t *now = malloc(len);
    ok(node_pread(r->node, now, len, off), NULL, "read after discard");
    for (uint64_t i = 0; i < len; i++)
        if (now[i] && now[i] != r->mirror[off + i])
            fail_msg("seed %u: byte %llu is new after discard", seed,
                     (unsigned long long)(off + i));
    memcpy(r->mirror + off, now, len);
}

static void step_pack(Run *r)
{
    uint64_t off = align_down(rnd(r->size), r->cluster);
    uint64_t len = MIN(r->size - off, (uint64_t)r->cluster << rnd(3));

    if (!r->c->packs)
        return;
    fill(r->mirror + off, len);
    ok(node_pwrite_compressed(r->node, r->mirror + off, len, off), NULL, "compressed write");
}

static void step_read(Run *r)
{
    uint64_t off, len;

    pick(r, &off, &len);
    AUTO_FREE uint8_t *now = malloc(len);
    ok(node_pread(r->node, now, len, off), NULL, "read");
    for (uint64_t i = 0; i < len; i++)
        if (now[i] != r->mirror[off + i])
            fail_msg("seed %u: byte %llu is %02x, not %02x", seed, (unsigned long long)(off + i),
                     now[i], r->mirror[off + i]);
}

static void step_extents(Run *r)
{
    uint64_t off, len;
    Extent ext;

    pick(r, &off, &len);
    for (; len; off += ext.len, len -= ext.len) {
        ok(node_extent_above(r->node, NULL, off, len, &ext), NULL, "extents");
        if (ext.zero && !buffer_is_zero(r->mirror + off, ext.len))
            fail_msg("seed %u: %llu+%llu is not zero", seed, (unsigned long long)off,
                     (unsigned long long)ext.len);
    }
}

static bool has_metadata(const Run *r)
{
    return strcmp(r->c->format, "qcow2") == 0;
}

static void check_image(Run *r)
{
    CheckResult result;
    Error *err = NULL;

    if (!has_metadata(r))
        return;
    ok(node_check(r->node, 0, NULL, NULL, &result, &err), err, "check");
    if (result.corruptions || result.check_errors || result.leaks)
        fail_msg("seed %u: check finds %llu corruptions, %llu leaks", seed,
                 (unsigned long long)result.corruptions, (unsigned long long)result.leaks);
}

/* A raw data file is the disk, whatever the metadata say. */
static void check_data_file(Run *r)
{
    AUTO_FREE uint8_t *now = malloc(r->size);
    AUTO_NODE Node *data = NULL;

    if (!strstr(r->c->options, "data_file_raw"))
        return;
    ok(node_open(r->data, "raw", NULL, 0, &data, NULL), NULL, "open the data file");
    assert_int_equal(node_size(data), r->size);
    ok(node_pread(data, now, r->size, 0), NULL, "read the data file");
    assert_memory_equal(now, r->mirror, r->size);
}

static void step_reopen(Run *r)
{
    node_unref(r->node);
    check_data_file(r);
    open_image(r);
    check_image(r);
}

static void step_flush(Run *r)
{
    ok(node_flush(r->node), NULL, "flush");
}

static void step_snapshot(Run *r)
{
    char name[8];
    int i = (int)rnd(MAX_SNAPS);
    SnapshotInfo info = { .name = name };
    Error *err = NULL;

    if (!has_metadata(r) || strstr(r->c->options, "refcount_bits=1") ||
        strstr(r->c->options, "refcount_bits=2") || strstr(r->c->options, "0.10") ||
        strstr(r->c->options, "data_file"))
        return;
    snprintf(name, sizeof(name), "s%d", i);
    if (r->snaps[i] && rnd(2)) {
        ok(node_snapshot_apply(r->node, name, &err), err, "apply");
        memcpy(r->mirror, r->snaps[i], r->snap_sizes[i]);
        r->size = r->snap_sizes[i];
    } else if (r->snaps[i]) {
        ok(node_snapshot_delete(r->node, name, &err), err, "delete");
        free(take(&r->snaps[i]));
    } else {
        ok(node_snapshot_create(r->node, &info, &err), err, "snapshot");
        r->snaps[i] = malloc(r->size);
        memcpy(r->snaps[i], r->mirror, r->size);
        r->snap_sizes[i] = r->size;
    }
    check_image(r);
}

/* Sectors of an encrypted disk that were never written read as anything. */
static void clear_new(Run *r, uint64_t from, uint64_t to)
{
    if (strcmp(r->c->format, "luks") == 0 && from < to)
        ok(node_pwrite_zeroes(r->node, from, to - from, 0), NULL, "clear");
}

static void step_resize(Run *r)
{
    uint64_t size = 1 + rnd(DISK_MAX);
    Error *err = NULL;

    if (rnd(4) || strstr(r->c->options, "0.10"))
        return;
    if (strcmp(r->c->format, "raw") != 0)
        size = align_up(size, 512);
    ok(node_resize(r->node, size, PREALLOC_OFF, true, &err), err, "resize");
    if (size > r->size)
        memset(r->mirror + r->size, 0, size - r->size);
    clear_new(r, r->size, size);
    r->size = size;
}

static void (*const steps[])(Run *) = {
    step_write, step_write, step_write,  step_write,   step_read,     step_read,   step_zero,
    step_pack,  step_flush, step_reopen, step_extents, step_snapshot, step_resize, step_discard,
};

/* ---- the run ------------------------------------------------------------------------------- */

static void make_backing(Run *r, Options *o)
{
    char path[128];
    Options *base = options_new();
    Node *node;

    scratch_path(path, r->dir, "base");
    options_set_u64(base, "size", r->size / 3 * 2 / 512 * 512);
    ok(node_create(path, "qcow2", base, 0, NULL, NULL), NULL, "create base");
    ok(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), NULL, "open base");
    for (int i = 0; i < 6; i++) {
        uint64_t off = rnd(node_size(node)), len = 1 + rnd(node_size(node) - off);

        len = MIN(len, UINT64_C(300000));
        fill(r->mirror + off, len);
        ok(node_pwrite(node, r->mirror + off, len, off), NULL, "write base");
    }
    node_unref(node);
    options_set(o, "backing_file", "base");
    options_set(o, "backing_fmt", "qcow2");
}

static void run_case(const Case *c, int count)
{
    Run r = { .c = c, .mirror = calloc(1, DISK_MAX), .size = DISK_MAX / 2 + 512 * rnd(2000) };
    Options *o = options_new();
    ImageInfo info;
    Error *err = NULL;

    assert_true(scratch_make(r.dir, "block_random"));
    scratch_path(r.path, r.dir, "image");
    options_parse(o, c->options, NULL, NULL);
    options_set_u64(o, "size", r.size);
    scratch_path(r.data, r.dir, "data");
    if (options_has(o, "data_file"))
        options_set(o, "data_file", r.data);
    if (c->backing)
        make_backing(&r, o);
    ok(node_create(r.path, c->format, o, 0, NULL, &err), err, "create");
    open_image(&r);
    node_info(r.node, &info, NULL);
    r.cluster = info.cluster_size ? info.cluster_size : 4096;
    clear_new(&r, 0, r.size);
    for (int i = 0; i < count; i++)
        steps[rnd(ARRAY_LEN(steps))](&r);
    step_reopen(&r);
    AUTO_FREE uint8_t *all = malloc(r.size);
    ok(node_pread(r.node, all, r.size, 0), NULL, "read all");
    assert_memory_equal(all, r.mirror, r.size);
    node_unref(r.node);
    for (int i = 0; i < MAX_SNAPS; i++)
        free(r.snaps[i]);
    free(r.mirror);
    assert_int_equal(scratch_remove(r.dir, 0), 0);
}

static void images_match_their_mirrors(void **state)
{
    const char *count = getenv("BLOCK_STEPS");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        printf("# %s\n", cases[i].what);
        run_case(&cases[i], count ? atoi(count) : 150);
    }
}

int main(void)
{
    const char *given = getenv("BLOCK_SEED");
    const struct CMUnitTest tests[] = { cmocka_unit_test(images_match_their_mirrors) };

    seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    printf("# seed %u\n", seed);
    assert_int_equal(object_add("secret,id=s,data=password", NULL), 0);
    fflush(stdout);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
