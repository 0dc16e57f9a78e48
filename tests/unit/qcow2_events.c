/*
 * qcow2_events.c - the disk is full or fails at every point of qcow2's work; what was flushed
 * stays.
 *
 * A workload of writes, zeroes, compressed writes, discards, snapshots and flushes runs over the
 * blkdebug filter, with an error from the N-th time of an event on, for every event and every N.
 * The image is then opened without the filter: it must have no corruption, every sector that was
 * not touched after the last good flush must hold what it held then, and the others something that
 * was written to them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/math.h"
#include "block/event.h"
#include "tests/unit/scratch.h"

enum { SECTOR = 512, SECTORS = 800, DISK = SECTORS * SECTOR, MAX_N = 12, FINE = 2 };

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

typedef struct Run {
    Node *node;
    uint8_t may_hold[SECTORS][32]; /* a bit for each byte value that the sector may have */
    uint8_t newest[SECTORS];       /* what it has if nothing failed */
    bool touched_badly[SECTORS];   /* a request that failed went there since the last flush */
    bool failed;
} Run;

static void allow(Run *r, int sector, int value)
{
    r->may_hold[sector][value / 8] |= (uint8_t)(1 << value % 8);
}

static void wrote(Run *r, int ret, int first, int n, int value)
{
    for (int i = first; i < first + n; i++) {
        allow(r, i, value);
        if (ret == 0)
            r->newest[i] = (uint8_t)value;
        else
            r->touched_badly[i] = true;
    }
    r->failed |= ret < 0;
}

/* From now on a sector holds its newest byte, if it is known. */
static void flush(Run *r)
{
    int ret = node_flush(r->node);

    r->failed |= ret < 0;
    for (int i = 0; ret == 0 && i < SECTORS; i++) {
        if (r->touched_badly[i])
            continue;
        memset(r->may_hold[i], 0, sizeof(r->may_hold[i]));
        allow(r, i, r->newest[i]);
    }
}

static void write_bytes(Run *r, int first, int n, int value)
{
    uint8_t buf[32 * SECTOR];

    memset(buf, value, sizeof(buf));
    wrote(r, node_pwrite(r->node, buf, (size_t)n * SECTOR, (uint64_t)first * SECTOR), first, n,
          value);
}

static void write_packed(Run *r, int first, int n, int value)
{
    uint8_t buf[32 * SECTOR];

    memset(buf, value, sizeof(buf));
    wrote(r, node_pwrite_compressed(r->node, buf, (size_t)n * SECTOR, (uint64_t)first * SECTOR),
          first, n, value);
}

static void write_zeroes(Run *r, int first, int n)
{
    wrote(
        r,
        node_pwrite_zeroes(r->node, (uint64_t)first * SECTOR, (uint64_t)n * SECTOR, REQ_MAY_UNMAP),
        first, n, 0);
}

static void snapshot(Run *r, const char *name, bool drop)
{
    SnapshotInfo info = { .name = (char *)name };

    r->failed |= (drop ? node_snapshot_delete(r->node, name, NULL)
                       : node_snapshot_create(r->node, &info, NULL)) < 0;
}

static void run_workload(Run *r)
{
    uint8_t buf[8 * SECTOR];

    for (int i = 0; i < 12; i++)
        write_bytes(r, i * 66, 1 + i % 5, i + 1);
    flush(r);
    write_packed(r, 512, 8, 100);
    write_zeroes(r, 60, 16);
    write_bytes(r, 130, 20, 101);
    flush(r);
    snapshot(r, "one", false);
    for (int i = 0; i < 6; i++)
        write_bytes(r, i * 130, 3, i + 50);
    flush(r);
    r->failed |= node_pread(r->node, buf, sizeof(buf), 512 * SECTOR) < 0;
    write_bytes(r, 515, 2, 102);
    snapshot(r, "one", true);
    flush(r);
    write_zeroes(r, 0, 200);
    write_bytes(r, 100, 30, 103);
    flush(r);
}

static Node *open_debugged(BlockEvent event, unsigned n, int code, bool once)
{
    Options *o = options_new();
    Node *node = NULL;
    char key[64];

    options_set(o, "driver", "qcow2");
    options_set(o, "file.driver", "blkdebug");
    options_set(o, "file.image.filename", path);
    for (unsigned i = 1; i < n; i++) { /* state i: the event came i - 1 times */
        snprintf(key, sizeof(key), "file.set-state.%u.event", i - 1);
        options_set(o, key, event_names[event]);
        snprintf(key, sizeof(key), "file.set-state.%u.state", i - 1);
        options_set_u64(o, key, i);
        snprintf(key, sizeof(key), "file.set-state.%u.new_state", i - 1);
        options_set_u64(o, key, i + 1);
    }
    options_set(o, "file.inject-error.0.event", event_names[event]);
    options_set_u64(o, "file.inject-error.0.state", n);
    options_set_u64(o, "file.inject-error.0.errno", (uint64_t)code);
    options_set(o, "file.inject-error.0.once", once ? "on" : "off");
    node_open(NULL, NULL, o, OPEN_RDWR | OPEN_NO_FLUSH | OPEN_UNMAP, &node, NULL);
    return node;
}

/* Without the flag a write copies needlessly: no harm. */
static void count_harmless(void *opaque, const char *line)
{
    uint64_t *harmless = opaque;

    *harmless += strncmp(line, "ERROR OFLAG_COPIED", 18) == 0 && strstr(line, "refcount=1");
}

static void verify(Run *r, const char *what)
{
    static uint8_t bytes[DISK];
    uint64_t harmless = 0;
    CheckResult result;
    Error *err = NULL;
    Node *node;

    if (node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, &err) < 0)
        fail_msg("%s: cannot open afterwards: %s", what, error_message(err, 0));
    assert_int_equal(node_check(node, 0, count_harmless, &harmless, &result, NULL), 0);
    if (result.corruptions != harmless || result.check_errors)
        fail_msg("%s: %llu corruptions", what, (unsigned long long)result.corruptions);
    assert_int_equal(node_pread(node, bytes, DISK, 0), 0);
    for (int i = 0; i < SECTORS; i++) {
        const uint8_t *b = bytes + (size_t)i * SECTOR;

        if (!(r->may_hold[i][b[0] / 8] & 1 << b[0] % 8) || memcmp(b, b + 1, SECTOR - 1) != 0)
            fail_msg("%s: sector %d holds %d, which was flushed away (newest: %d)", what, i, b[0],
                     r->newest[i]);
    }
    node_unref(node);
}

/* True if the error came. */
static bool run_with(const char *options, BlockEvent event, unsigned n, int code, bool once)
{
    Run *r = calloc(1, sizeof(*r));
    Options *o = options_new();
    char what[128];

    options_parse(o, options, NULL, NULL);
    options_set_u64(o, "size", DISK);
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
    for (int i = 0; i < SECTORS; i++)
        allow(r, i, 0);
    r->node = open_debugged(event, n, code, once);
    bool failed = !r->node;
    if (r->node) {
        run_workload(r);
        node_unref(r->node);
        failed = r->failed;
        snprintf(what, sizeof(what), "%s, %s %u, errno %d, %s", options, event_names[event], n,
                 code, once ? "once" : "for good");
        verify(r, what);
    }
    free(r);
    return failed;
}

static void run_all(const char *options)
{
    unsigned reached = 0;

    for (int event = 0; event < EVENT_COUNT; event++) {
        unsigned fine = 0, n = 1;

        for (; n <= MAX_N && fine < FINE; n++) {
            bool failed = run_with(options, (BlockEvent)event, n, n % 2 ? EIO : ENOSPC, n % 3);

            failed |= run_with(options, (BlockEvent)event, n, n % 2 ? ENOSPC : EIO, !(n % 3));
            fine = failed ? 0 : fine + 1;
        }
        reached += n > FINE + 1;
    }
    assert_in_range(reached, 15, EVENT_COUNT); /* or the rules above do not work */
}

static void nothing_flushed_is_lost(void **state)
{
    (void)state;
    run_all("cluster_size=4k");
    run_all("cluster_size=512");
    run_all("cluster_size=1k,lazy_refcounts=on");
    run_all("cluster_size=16k,extended_l2=on");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_flushed_is_lost) };

    if (!scratch_make(dir, "qcow2_events"))
        return 1;
    scratch_path(path, dir, "image");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
