/*
 * qcow2_faults.c - one request to the file below fails, in the middle of anything; what follows
 * must be safe.
 *
 * A workload of writes, snapshots, resizes and header changes runs over the faults filter, with the
 * N-th write or flush failing, for every N. Afterwards the image must check without corruption,
 * hold what every successful request left (if the last flush succeeded), and have a good snapshot
 * table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/math.h"
#include "block/node.h"
#include "tests/unit/scratch.h"

enum { SECTOR = 512, SECTORS = 2400, DISK = SECTORS * SECTOR, SMALL = DISK / 2, UNKNOWN = -1 };

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

typedef struct {
    Node *node;
    int now[SECTORS]; /* each sector's byte; UNKNOWN after a request that failed */
    bool three;       /* the last snapshot was taken: it must be found */
    bool failed;      /* some request did */
} Run;

static Node *open_image(const char *fault, unsigned n, bool once)
{
    Options *o = options_new();
    Node *node = NULL;

    options_set(o, "driver", "qcow2");
    options_set(o, "file.driver", "faults");
    options_set(o, "file.file.filename", path);
    options_set_u64(o, fault, n);
    options_set(o, "file.once", once ? "on" : "off");
    node_open(NULL, NULL, o, OPEN_RDWR | OPEN_NO_FLUSH | OPEN_UNMAP, &node, NULL);
    return node;
}

static void set(Run *r, int ret, int first, int n, int value)
{
    for (int i = first; i < first + n; i++)
        r->now[i] = ret < 0 ? UNKNOWN : value;
    r->failed |= ret < 0;
}

static void do_write(Run *r, int first, int n, int value)
{
    uint8_t buf[40 * SECTOR];
    memset(buf, value, sizeof(buf));
    set(r, node_pwrite(r->node, buf, (size_t)n * SECTOR, (uint64_t)first * SECTOR), first, n,
        value);
}

/* Whole clusters around what is asked for */
static void do_packed(Run *r, int first, int n, int value)
{
    uint8_t buf[40 * SECTOR];
    ImageInfo info;

    assert_int_equal(node_info(r->node, &info, NULL), 0);
    int cluster = (int)(info.cluster_size / SECTOR);
    n = (int)align_up((uint64_t)n, (uint64_t)cluster);
    first = (int)align_down((uint64_t)first, (uint64_t)cluster);

    memset(buf, value, sizeof(buf));
    set(r, node_pwrite_compressed(r->node, buf, (size_t)n * SECTOR, (uint64_t)first * SECTOR),
        first, n, value);
}

static void do_snapshot(Run *r, const char *name)
{
    SnapshotInfo info = { .name = (char *)name };

    int ret = node_snapshot_create(r->node, &info, NULL);
    r->failed |= ret < 0;
    r->three = ret == 0;
}

static void do_resize(Run *r, uint64_t size)
{
    int ret = node_resize(r->node, size, PREALLOC_OFF, true, NULL);
    int from = (int)(MIN(size, node_size(r->node)) / SECTOR);

    set(r, ret, from, SECTORS - from, 0);
}

static void run_workload(Run *r)
{
    for (int i = 0; i < 30; i++)
        do_write(r, i * 79, 3 + i % 9, i + 1);
    r->failed |= node_flush(r->node) < 0;
    do_snapshot(r, "one");
    for (int i = 0; i < 10; i++)
        do_write(r, i * 170, 5, i + 50);
    do_snapshot(r, "two");
    do_packed(r, 128, 16, 200);
    do_packed(r, 176, 8, 201);
    r->failed |= node_snapshot_delete(r->node, "one", NULL) < 0;
    do_write(r, 120, 40, 99);
    set(r, node_pwrite_zeroes(r->node, 300 * SECTOR, 64 * SECTOR, REQ_MAY_UNMAP), 300, 64, 0);
    r->failed |= node_change_backing_file(r->node, NULL, NULL, NULL) < 0;
    do_resize(r, SMALL);
    do_resize(r, DISK);
    do_snapshot(r, "three");
    r->failed |= node_snapshot_delete(r->node, "two", NULL) < 0;
    for (int i = 0; i < 10; i++)
        do_write(r, i * 230, 20, i + 150);
    do_resize(r, DISK); /* writes the header, whatever failed before */
}

static bool has_snapshot(Node *node, const char *name)
{
    SnapshotInfo *list;
    size_t count;
    bool found = false;

    assert_int_equal(node_snapshot_list(node, &list, &count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        found |= strcmp(list[i].name, name) == 0;
    snapshot_list_free(list, count);
    return found;
}

/* Without the flag a write copies needlessly: no harm. */
static void count_harmless(void *opaque, const char *line)
{
    uint64_t *harmless = opaque;

    *harmless += strncmp(line, "ERROR OFLAG_COPIED", 18) == 0 && strstr(line, "refcount=1");
}

static void verify(Run *r, const char *what, unsigned n, bool flushed)
{
    uint8_t buf[SECTOR];
    uint64_t harmless = 0;
    CheckResult result;
    Error *err = NULL;
    Node *node;

    if (node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, &err) < 0)
        fail_msg("%s %u: cannot open afterwards: %s", what, n, error_message(err, 0));
    assert_int_equal(node_check(node, 0, count_harmless, &harmless, &result, NULL), 0);
    if (result.corruptions != harmless || result.check_errors)
        fail_msg("%s %u: %llu corruptions", what, n, (unsigned long long)result.corruptions);
    if (r->three && !has_snapshot(node, "three"))
        fail_msg("%s %u: the last snapshot is lost", what, n);
    for (int i = 0; flushed && i < SECTORS && (uint64_t)i * SECTOR < node_size(node); i++) {
        assert_int_equal(node_pread(node, buf, SECTOR, (uint64_t)i * SECTOR), 0);
        if (r->now[i] != UNKNOWN && (buf[0] != r->now[i] || memcmp(buf, buf + 1, SECTOR - 1) != 0))
            fail_msg("%s %u: sector %d holds %d, not %d", what, n, i, buf[0], r->now[i]);
    }
    node_unref(node);
}

/* True if the fault happened. */
static bool run_with(const char *options, const char *fault, unsigned n, bool once)
{
    Run *r = calloc(1, sizeof(*r));
    Options *o = options_new();

    options_parse(o, options, NULL, NULL);
    options_set_u64(o, "size", DISK);
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
    r->node = open_image(fault, n, once);
    bool failed = !r->node, flushed = false;
    if (r->node) {
        run_workload(r);
        flushed = node_flush(r->node) == 0;
        node_unref(r->node);
        failed = r->failed || !flushed;
        verify(r, fault, n, flushed);
    }
    free(r);
    return failed;
}

static void run_all(const char *options)
{
    static const char *const faults[] = { "file.fail-write", "file.fail-flush" };

    for (int once = 0; once < 2; once++)
        for (size_t i = 0; i < ARRAY_LEN(faults); i++)
            for (unsigned n = 1, fine = 0; fine < 10; n++) /* some faults are only in the closing */
                fine = run_with(options, faults[i], n, once) ? 0 : fine + 1;
}

static void faults_are_survived(void **state)
{
    (void)state;
    run_all("cluster_size=4k");
    run_all("cluster_size=512,refcount_bits=64");
    run_all("cluster_size=1k,lazy_refcounts=on");
    run_all("cluster_size=16k,extended_l2=on");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(faults_are_survived) };

    if (!scratch_make(dir, "qcow2_faults"))
        return 1;
    scratch_path(path, dir, "image");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
