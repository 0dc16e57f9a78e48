/*
 * qcow2_bitmaps.c - dirty bitmaps against a plain array: random writes, bitmaps added, cleared,
 * merged and removed, the image closed and opened, its size changed; writers on several threads;
 * damaged directories.
 *
 * The seed is printed; BLOCK_SEED=n repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/bitmap.h"
#include "tests/unit/scratch.h"

enum { MAX_DISK = 24 << 20, UNIT = 512, UNITS = MAX_DISK / UNIT, MAX_BITMAPS = 4, STEPS = 250 };

typedef struct {
    const char *what, *options;
    uint64_t cluster, granularity;
} Case;

static const Case cases[] = {
    { "512 byte clusters, a bit a sector", "cluster_size=512", 512, 512 },
    { "4k clusters", "cluster_size=4k,refcount_bits=8", 4096, 1024 },
    { "64k clusters", "cluster_size=64k", 65536, 65536 },
    { "coarse bits", "cluster_size=1k,lazy_refcounts=on", 1024, 1 << 20 },
};

typedef struct {
    bool exists, enabled;
    uint64_t granularity;
    uint8_t dirty[UNITS]; /* in units of a sector, whole granules */
} Mirror;

typedef struct {
    const Case *c;
    Node *node;
    uint64_t size;
    Mirror *maps;
} Run;

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];
static unsigned seed;

static uint64_t rnd(uint64_t n)
{
    return ((uint64_t)rand() << 20 ^ (uint64_t)rand()) % n;
}

static void ok(int ret, Error *err, const char *what)
{
    if (ret < 0)
        fail_msg("seed %u: %s: %s", seed, what, error_message(err, ret));
    error_free(err);
}

static void open_image(Run *r)
{
    Error *err = NULL;

    ok(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &r->node, &err), err, "open");
}

/* ---- the mirror ---------------------------------------------------------------------------- */

static void mirror_set(Mirror *m, uint64_t off, uint64_t len)
{
    uint64_t first = align_down(off, m->granularity) / UNIT;
    uint64_t end = align_up(off + len, m->granularity) / UNIT;

    memset(m->dirty + first, 1, MIN(end, (uint64_t)UNITS) - first);
}

static void mirror_write(Run *r, uint64_t off, uint64_t len)
{
    for (int i = 0; i < MAX_BITMAPS; i++)
        if (r->maps[i].exists && r->maps[i].enabled)
            mirror_set(&r->maps[i], off, len);
}

/* What the shorter disk does not have is forgotten; a granule at the end stays whole. */
static void mirror_cut(Run *r)
{
    for (int i = 0; i < MAX_BITMAPS; i++) {
        Mirror *m = &r->maps[i];
        uint64_t end = m->exists ? align_up(r->size, m->granularity) / UNIT : 0;

        if (m->exists && end < UNITS)
            memset(m->dirty + end, 0, UNITS - end);
    }
}

static void compare(Run *r, int i)
{
    char name[8];
    uint64_t run;
    bool dirty;

    snprintf(name, sizeof(name), "b%d", i);
    for (uint64_t off = 0; off < r->size; off += run) {
        ok(node_bitmap_extent(r->node, name, off, r->size - off, &dirty, &run), NULL, "extent");
        for (uint64_t u = off / UNIT; u < (off + run) / UNIT; u++)
            if (r->maps[i].dirty[u] != dirty)
                fail_msg("seed %u, %s: %s at %llu is %d", seed, r->c->what, name,
                         (unsigned long long)u * UNIT, dirty);
    }
}

static void compare_all(Run *r)
{
    CheckResult result;
    BitmapInfo *list;
    size_t count, want = 0;

    for (int i = 0; i < MAX_BITMAPS; i++) {
        want += r->maps[i].exists;
        if (r->maps[i].exists)
            compare(r, i);
    }
    ok(node_bitmap_list(r->node, &list, &count, NULL), NULL, "list");
    assert_int_equal(count, want);
    for (size_t i = 0; i < count; i++) {
        const Mirror *m = &r->maps[atoi(list[i].name + 1)];

        assert_true(m->exists && !list[i].inconsistent);
        assert_int_equal(list[i].enabled, m->enabled);
        assert_int_equal(list[i].granularity, m->granularity);
    }
    bitmap_list_free(list, count);
    ok(node_check(r->node, 0, NULL, NULL, &result, NULL), NULL, "check");
    if (result.corruptions || result.check_errors)
        fail_msg("seed %u, %s: not clean", seed, r->c->what);
}

/* ---- operations ---------------------------------------------------------------------------- */

static void do_write(Run *r)
{
    uint64_t off = rnd(r->size / UNIT) * UNIT, len = (1 + rnd(rnd(4) ? 20 : 4000)) * UNIT;

    len = MIN(len, r->size - off);
    AUTO_FREE uint8_t *buf = malloc(len);
    memset(buf, (int)rnd(256), len);
    switch (rnd(5)) {
    case 0: ok(node_pwrite_zeroes(r->node, off, len, REQ_MAY_UNMAP), NULL, "zeroes"); break;
    case 1: ok(node_discard(r->node, off, len), NULL, "discard"); break;
    default: ok(node_pwrite(r->node, buf, len, off), NULL, "write");
    }
    mirror_write(r, off, len);
}

static void do_bitmap(Run *r)
{
    int i = (int)rnd(MAX_BITMAPS), other = (int)rnd(MAX_BITMAPS);
    Mirror *m = &r->maps[i], *from = &r->maps[other];
    char name[8], source[8];
    Error *err = NULL;

    snprintf(name, sizeof(name), "b%d", i);
    snprintf(source, sizeof(source), "b%d", other);
    if (!m->exists) {
        assert_int_equal(node_bitmap_clear(r->node, name, NULL), -ENOENT);
        memset(m, 0, sizeof(*m));
        m->exists = true;
        m->enabled = rnd(4);
        m->granularity = r->c->granularity << rnd(3);
        ok(node_bitmap_add(r->node, name, m->granularity, m->enabled, &err), err, "add");
        return;
    }
    assert_int_equal(node_bitmap_add(r->node, name, 0, true, NULL), -EEXIST);
    switch (rnd(6)) {
    case 0:
        ok(node_bitmap_remove(r->node, name, &err), err, "remove");
        m->exists = false;
        break;
    case 1:
        ok(node_bitmap_clear(r->node, name, &err), err, "clear");
        memset(m->dirty, 0, UNITS);
        break;
    case 2:
        m->enabled = !m->enabled;
        ok(node_bitmap_enable(r->node, name, m->enabled, &err), err, "enable");
        break;
    default:
        if (!from->exists)
            break;
        ok(node_bitmap_merge(r->node, name, r->node, source, &err), err, "merge");
        for (uint64_t u = 0; u < r->size / UNIT; u++)
            if (from->dirty[u])
                mirror_set(m, u * UNIT, UNIT);
    }
}

static void do_resize(Run *r)
{
    uint64_t old = r->size;
    Error *err = NULL;

    r->size = (1 + rnd(UNITS)) * UNIT;
    if (r->size < old && r->size % r->c->cluster) /* the last cluster's rest is zeroed */
        mirror_write(r, r->size, 1);
    ok(node_resize(r->node, r->size, PREALLOC_OFF, true, &err), err, "resize");
    mirror_cut(r);
}

/* Everything has changed: the bitmaps that record have it all. */
static void do_snapshot(Run *r)
{
    SnapshotInfo info = { .name = (char *)"snap" };
    Error *err = NULL;

    ok(node_snapshot_create(r->node, &info, &err), err, "snapshot");
    uint64_t size = r->size;
    do_resize(r);
    ok(node_snapshot_apply(r->node, "snap", &err), err, "apply");
    ok(node_snapshot_delete(r->node, "snap", &err), err, "delete");
    r->size = size;
    mirror_cut(r);
    for (int i = 0; i < MAX_BITMAPS; i++)
        if (r->maps[i].exists && r->maps[i].enabled)
            mirror_set(&r->maps[i], 0, r->size);
}

static void step(Run *r)
{
    switch (rnd(12)) {
    case 0:
    case 1: do_bitmap(r); break;
    case 2:
        node_unref(r->node);
        open_image(r);
        compare_all(r);
        break;
    case 3:
        if (rnd(6) == 0)
            do_resize(r);
        break;
    case 4:
        if (rnd(20) == 0)
            do_snapshot(r);
        break;
    default: do_write(r);
    }
}

static void run_case(const Case *c)
{
    Run r = { .c = c, .size = MAX_DISK - 3 * UNIT };
    Options *o = options_new();

    r.maps = calloc(MAX_BITMAPS, sizeof(*r.maps));
    options_parse(o, c->options, NULL, NULL);
    options_set_u64(o, "size", r.size);
    ok(node_create(path, "qcow2", o, 0, NULL, NULL), NULL, "create");
    open_image(&r);
    for (int i = 0; i < STEPS; i++)
        step(&r);
    compare_all(&r);
    node_unref(r.node);
    free(r.maps);
}

static void bitmaps_match_their_mirrors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run_case(&cases[i]);
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { THREADS = 4, WRITES = 300, SLOT = 4096 };

typedef struct {
    Node *node;
    unsigned number;
    int ret;
} Writer;

/* Each thread writes every fourth slot, in its own order. */
static void *write_slots(void *opaque)
{
    Writer *w = opaque;
    uint8_t buf[SLOT];

    memset(buf, (int)w->number, sizeof(buf));
    for (unsigned i = 0; i < WRITES && w->ret == 0; i++) {
        uint64_t slot = (i * 7 % WRITES) * THREADS + w->number;

        w->ret = node_pwrite(w->node, buf, SLOT, 2 * slot * SLOT);
    }
    return NULL;
}

static void threads_lose_no_bit(void **state)
{
    Writer writers[THREADS];
    pthread_t ids[THREADS];
    Options *o = options_new();
    Node *node;
    uint64_t run;
    bool dirty;

    (void)state;
    options_set_u64(o, "size", 2 * THREADS * WRITES * SLOT);
    options_set_u64(o, "cluster_size", 512);
    ok(node_create(path, "qcow2", o, 0, NULL, NULL), NULL, "create");
    ok(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), NULL, "open");
    ok(node_bitmap_add(node, "t", SLOT, true, NULL), NULL, "add");
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (Writer) { node, i, 0 };
        assert_int_equal(pthread_create(&ids[i], NULL, write_slots, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(writers[i].ret, 0);
    }
    node_unref(node);
    ok(node_open(path, "qcow2", NULL, 0, &node, NULL), NULL, "open");
    for (uint64_t slot = 0; slot < 2 * THREADS * WRITES; slot++) {
        ok(node_bitmap_extent(node, "t", slot * SLOT, SLOT, &dirty, &run), NULL, "extent");
        assert_int_equal(dirty, slot % 2 == 0);
    }
    node_unref(node);
}

/* ---- damage -------------------------------------------------------------------------------- */

enum { CLUSTER = 4096 };

typedef struct {
    const char *what;
    int in, at, bytes; /* in: 0 the extension, 1 the directory, 2 the table */
    uint64_t value;
    const char *says;
} Row;

static const Row rows[] = {
    { "no bitmaps", 0, 0, 4, 0, "nb_bitmaps is 0" },
    { "too many bitmaps", 0, 0, 4, 65536, "nb_bitmaps is 65536" },
    { "more bitmaps than there is room for", 0, 0, 4, 40, "bitmap_directory_size" },
    { "directory of no size", 0, 8, 8, 0, "bitmap_directory_size is 0" },
    { "huge directory", 0, 8, 8, UINT64_C(1) << 60, "bitmap_directory_size" },
    { "directory unaligned", 0, 16, 8, 5 * CLUSTER + 8, "bitmap_directory_offset" },
    { "directory beyond the file", 0, 16, 8, UINT64_C(1) << 50, "bitmap_directory_offset" },
    { "table unaligned", 1, 0, 8, 100, "bitmap_table_offset" },
    { "table beyond the file", 1, 0, 8, UINT64_C(1) << 62, "bitmap_table_offset" },
    { "no table", 1, 8, 4, 0, "bitmap_table_size" },
    { "huge table", 1, 8, 4, UINT32_MAX, "bitmap_table_size" },
    { "reserved flags", 1, 12, 4, 0x80, "reserved flags" },
    { "type", 1, 16, 1, 2, "type" },
    { "granularity 8", 1, 17, 1, 3, "granularity_bits" },
    { "granularity 2^63", 1, 17, 1, 63, "granularity_bits" },
    { "no name", 1, 18, 2, 0, "name_size" },
    { "long name", 1, 18, 2, 2000, "name_size" },
    { "name beyond the directory", 1, 18, 2, 500, "an end beyond" },
    { "much extra data", 1, 20, 4, UINT32_MAX, "extra_data_size" },
    { "name with a NUL", 1, 25, 1, 0, "NUL byte" },
    { "two of one name", 1, 24 + 2, 1, 'b', "two bitmaps are called 'aab'" },
    { "table entry unaligned", 2, 0, 8, 1024, "bitmap table" },
    { "table entry beyond the file", 2, 0, 8, UINT64_C(1) << 40, "bitmap table" },
    { "table entry with reserved bits", 2, 0, 8, 6, "bitmap table" },
};

static void make_image(void)
{
    Options *o = options_new();
    Error *err = NULL;
    Node *node;
    uint8_t buf[CLUSTER] = { 1 };

    options_set_u64(o, "size", 1 << 20);
    options_set_u64(o, "cluster_size", CLUSTER);
    ok(node_create(path, "qcow2", o, 0, NULL, NULL), NULL, "create");
    ok(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), NULL, "open");
    ok(node_bitmap_add(node, "aaa", 4096, true, &err), err, "add");
    ok(node_bitmap_add(node, "aab", 4096, true, &err), err, "add");
    ok(node_pwrite(node, buf, sizeof(buf), 0), NULL, "write");
    node_unref(node);
}

/* Where the parts of the bitmaps lie; the header's first extension is theirs. */
static long part_at(FILE *f, int part)
{
    uint8_t b[24];

    fseek(f, 112, SEEK_SET);
    assert_int_equal(fread(b, 1, 8, f), 8);
    assert_int_equal(get_be32(b), 0x23852875);
    if (part == 0)
        return 120;
    assert_int_equal(fread(b, 1, 24, f), 24);
    long dir_at = (long)get_be64(b + 16);
    if (part == 1)
        return dir_at;
    fseek(f, dir_at, SEEK_SET);
    assert_int_equal(fread(b, 1, 24, f), 24);
    return (long)get_be64(b);
}

static void patch(const Row *row)
{
    FILE *f = fopen(path, "r+");
    uint8_t bytes[8];

    put_be64(bytes, row->value);
    fseek(f, part_at(f, row->in) + row->at, SEEK_SET);
    assert_int_equal(fwrite(bytes + 8 - row->bytes, 1, (size_t)row->bytes, f), row->bytes);
    fclose(f);
}

static void damage_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_ERROR Error *err = NULL;
        uint8_t buf[512];
        Node *node;

        make_image();
        patch(&rows[i]);
        int ret = node_open(path, "qcow2", NULL, OPEN_RDWR, &node, &err);
        if (ret == 0 || !strstr(error_message(err, ret), rows[i].says))
            fail_msg("%s: '%s'", rows[i].what, ret ? error_message(err, ret) : "opened");
        ok(node_open(path, "qcow2", NULL, 0, &node, NULL), NULL, "open to read");
        ok(node_pread(node, buf, sizeof(buf), 0), NULL, "read");
        bool dirty;
        uint64_t run;
        assert_true(node_bitmap_extent(node, "aaa", 0, 512, &dirty, &run) < 0);
        node_unref(node);
    }
}

/* A writer that was killed leaves the bitmap marked; then it can only be removed. */
static void interrupted_is_inconsistent(void **state)
{
    static const Row in_use = { "in use", 1, 12, 4, 3, NULL };
    BitmapInfo info;
    Node *node;

    (void)state;
    make_image();
    patch(&in_use);
    ok(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), NULL, "open");
    ok(node_bitmap_find(node, "aaa", &info, NULL), NULL, "find");
    assert_true(info.inconsistent);
    assert_int_equal(node_bitmap_clear(node, "aaa", NULL), -EINVAL);
    assert_int_equal(node_bitmap_enable(node, "aaa", true, NULL), -EINVAL);
    assert_int_equal(node_bitmap_merge(node, "aab", node, "aaa", NULL), -EINVAL);
    assert_int_equal(node_bitmap_merge(node, "aaa", node, "aab", NULL), -EINVAL);
    ok(node_bitmap_remove(node, "aaa", NULL), NULL, "remove");
    assert_int_equal(node_bitmap_find(node, "aaa", &info, NULL), -ENOENT);
    node_unref(node);
}

int main(void)
{
    const char *given = getenv("BLOCK_SEED");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitmaps_match_their_mirrors),
        cmocka_unit_test(threads_lose_no_bit),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(interrupted_is_inconsistent),
    };

    seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    printf("# seed %u\n", seed);
    fflush(stdout);
    srand(seed);
    assert_true(scratch_make(dir, "qcow2_bitmaps"));
    scratch_path(path, dir, "image");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, failed);
}
