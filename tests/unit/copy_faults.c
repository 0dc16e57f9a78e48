/*
 * copy_faults.c - the copying engine on a disk that fails: at the N-th request, for every N, a copy
 * ends with an error, the target stays consistent, the source's data stay where they were, and
 * another try does it.
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

#include "block/copy.h"
#include "tests/unit/scratch.h"

enum { CLUSTER = 4096, CLUSTERS = 700, SIZE = CLUSTERS * CLUSTER + 512, MOST = 3000 };

static char dir[SCRATCH_DIR], base_path[SCRATCH_PATH], top_path[SCRATCH_PATH],
    target_path[SCRATCH_PATH];
static uint8_t content[SIZE], got[SIZE];

static void create(const char *path, const char *backing)
{
    Options *o = options_new();

    options_set_u64(o, "size", SIZE);
    options_set_u64(o, "cluster_size", CLUSTER);
    if (backing) {
        options_set(o, "backing_file", backing);
        options_set(o, "backing_fmt", "qcow2");
    }
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
}

static Node *open_plain(const char *path, unsigned flags)
{
    Node *node = NULL;

    assert_int_equal(node_open(path, "qcow2", NULL, flags, &node, NULL), 0);
    return node;
}

/* NULL: the fault came while the image was opened. */
static Node *open_failing(const char *path, const char *what, int at, int code, unsigned flags)
{
    Options *o = options_new();
    Node *node = NULL;

    options_set(o, "driver", "qcow2");
    options_set(o, "file.driver", "faults");
    options_set_u64(o, what, (uint64_t)at);
    options_set_u64(o, "file.errno", (uint64_t)code);
    options_set(o, "file.file.filename", path);
    node_open(NULL, NULL, o, flags, &node, NULL);
    return node;
}

/* A base with every third cluster, an overlay with every fourth; `content` is what it shows. */
static void make_chain(void)
{
    uint8_t buf[CLUSTER];

    memset(content, 0, sizeof(content));
    create(base_path, NULL);
    create(top_path, base_path);
    Node *base = open_plain(base_path, OPEN_RDWR | OPEN_NO_FLUSH);
    for (int i = 0; i < CLUSTERS; i += 3) {
        memset(buf, i % 255 + 1, CLUSTER);
        memcpy(content + i * CLUSTER, buf, CLUSTER);
        assert_int_equal(node_pwrite(base, buf, CLUSTER, (uint64_t)i * CLUSTER), 0);
    }
    node_unref(base);
    Node *top = open_plain(top_path, OPEN_RDWR | OPEN_NO_FLUSH);
    for (int i = 1; i < CLUSTERS; i += 4) {
        memset(buf, i % 251 + 3, CLUSTER);
        memcpy(content + i * CLUSTER, buf, CLUSTER);
        assert_int_equal(node_pwrite(top, buf, CLUSTER, (uint64_t)i * CLUSTER), 0);
    }
    node_unref(top);
}

static void check_content(const char *path)
{
    Node *node = open_plain(path, 0);

    assert_int_equal(node_pread(node, got, SIZE, 0), 0);
    assert_memory_equal(got, content, SIZE);
    node_unref(node);
}

static void check_consistent(const char *path)
{
    Node *node = open_plain(path, OPEN_NO_BACKING);
    CheckResult result;

    assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
    assert_int_equal(result.corruptions, 0);
    node_unref(node);
}

static const struct {
    const char *what;
    int code;
} faults[] = { { "file.fail-write", ENOSPC },
               { "file.fail-write", EIO },
               { "file.fail-flush", EIO } };

static int copy_and_flush(CopyJob *job)
{
    int ret = copy_run(job, NULL);

    return ret < 0 ? ret : node_flush(job->dst);
}

/* True if the copy met the fault. */
static bool convert_fails(const char *what, int code, int at, bool compressed)
{
    bool failed = true;

    create(target_path, NULL);
    Node *src = open_plain(top_path, 0);
    Node *dst = open_failing(target_path, what, at, code, OPEN_RDWR | OPEN_NO_FLUSH);
    if (dst) {
        CopyJob job = { .src = src,
                        .dst = dst,
                        .len = SIZE,
                        .target_is_zero = true,
                        .sparse = 4096,
                        .compressed = compressed,
                        .request_size = 16 * CLUSTER,
                        .workers = 3 };
        failed = copy_and_flush(&job) < 0;
        node_unref(dst);
    }
    node_unref(src);
    check_consistent(target_path);
    if (!failed)
        check_content(target_path);
    return failed;
}

static void converting_reports_every_fault(void **state)
{
    (void)state;
    make_chain();
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (int compressed = 0; compressed < 2; compressed++) {
            int at = 1;

            while (at < MOST && convert_fails(faults[i].what, faults[i].code, at, compressed))
                at += at < 20 ? 1 : 5;
            assert_in_range(at, 2, MOST - 1);
        }
    }
}

/* What `commit` does: the overlay's clusters into its base, which fails. */
static bool commit_fails(const char *what, int code, int at)
{
    Node *top = open_plain(top_path, OPEN_NO_BACKING);
    Node *base = open_failing(base_path, what, at, code, OPEN_RDWR | OPEN_NO_FLUSH);
    bool failed = true;

    if (base) {
        assert_int_equal(node_set_backing(top, base, NULL), 0);
        CopyJob job = {
            .src = top, .dst = base, .base = base, .len = SIZE, .request_size = 8 * CLUSTER
        };
        failed = copy_and_flush(&job) < 0;
        node_unref(base);
    }
    node_unref(top);
    check_consistent(base_path);
    check_content(top_path); /* the same whether its clusters are in the base or not */
    return failed;
}

static void committing_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        int at = 1;

        make_chain();
        while (at < MOST && commit_fails(faults[i].what, faults[i].code, at))
            at += at < 20 ? 1 : 3;
        assert_in_range(at, 2, MOST - 1);
        check_content(base_path);
    }
}

/* What `rebase` to nothing does: what only the base has into the overlay, which fails. */
static bool rebase_fails(const char *what, int code, int at, bool compressed)
{
    Node *base = open_plain(base_path, 0);
    Node *top = open_failing(top_path, what, at, code, OPEN_RDWR | OPEN_NO_FLUSH);
    bool failed = true;

    if (top) {
        CopyJob job = { .src = base,
                        .dst = top,
                        .differences = true,
                        .len = SIZE,
                        .compressed = compressed,
                        .request_size = 8 * CLUSTER };
        failed = copy_and_flush(&job) < 0;
        node_unref(top);
    }
    node_unref(base);
    check_consistent(top_path);
    check_content(top_path);
    return failed;
}

static void rebasing_loses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        int at = 1;

        make_chain();
        while (at < MOST && rebase_fails(faults[i].what, faults[i].code, at, i == 0))
            at += at < 20 ? 1 : 3;
        assert_in_range(at, 2, MOST - 1);
        Node *alone = open_plain(top_path, OPEN_NO_BACKING); /* it has everything itself now */
        assert_int_equal(node_pread(alone, got, SIZE, 0), 0);
        assert_memory_equal(got, content, SIZE);
        node_unref(alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converting_reports_every_fault),
        cmocka_unit_test(committing_loses_nothing),
        cmocka_unit_test(rebasing_loses_nothing),
    };

    if (!scratch_make(dir, "copy_faults"))
        return 1;
    scratch_path(base_path, dir, "base");
    scratch_path(top_path, dir, "top");
    scratch_path(target_path, dir, "target");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
