/*
 * block_threads.c - many threads on one image; asynchronous requests.
 *
 * Each thread owns every N-th sector, so that all of them copy-on-write the same clusters at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/aio.h"
#include "tests/unit/scratch.h"

enum { THREADS = 6, SECTOR = 512, SECTORS = 6000, OPS = 1500, DISK = SECTORS * SECTOR };

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

typedef struct {
    Node *node;
    unsigned id, seed;
    uint8_t now[SECTORS]; /* only its own sectors count */
    int errors;
} Worker;

static Node *make_image(const char *options)
{
    Options *o = options_new();
    Node *node;

    options_parse(o, options, NULL, NULL);
    options_set_u64(o, "size", DISK);
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
    assert_int_equal(
        node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH | OPEN_UNMAP, &node, NULL), 0);
    return node;
}

static void one_op(Worker *w)
{
    unsigned s = (unsigned)rand_r(&w->seed) % (SECTORS / THREADS) * THREADS + w->id;
    uint8_t buf[SECTOR], value = (uint8_t)rand_r(&w->seed);
    uint64_t off = (uint64_t)s * SECTOR;

    switch (rand_r(&w->seed) % 8) {
    case 0: w->errors += node_flush(w->node) != 0; break;
    case 1:
        w->errors += node_pwrite_zeroes(w->node, off, SECTOR, 0) != 0;
        w->now[s] = 0;
        break;
    case 2:
    case 3:
    case 4:
        w->errors += node_pread(w->node, buf, SECTOR, off) != 0;
        for (int i = 0; i < SECTOR; i++)
            w->errors += buf[i] != w->now[s];
        break;
    default:
        memset(buf, value, SECTOR);
        w->errors += node_pwrite(w->node, buf, SECTOR, off) != 0;
        w->now[s] = value;
    }
}

static void *work(void *arg)
{
    Worker *w = arg;

    for (int i = 0; i < OPS; i++)
        one_op(w);
    return NULL;
}

static void compare(Node *node, Worker *workers)
{
    uint8_t buf[SECTOR];

    for (unsigned s = 0; s < SECTORS; s++) {
        assert_int_equal(node_pread(node, buf, SECTOR, (uint64_t)s * SECTOR), 0);
        assert_int_equal(buf[0], workers[s % THREADS].now[s]);
        assert_memory_equal(buf, buf + 1, SECTOR - 1);
    }
}

static void run_threads(const char *options)
{
    Worker *workers = calloc(THREADS, sizeof(*workers));
    Node *node = make_image(options);
    pthread_t ids[THREADS];
    CheckResult result;

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].node = node;
        workers[i].id = i;
        workers[i].seed = i + 1;
        pthread_create(&ids[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(workers[i].errors, 0);
    compare(node, workers);
    assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
    assert_int_equal(result.corruptions + result.leaks, 0);
    node_unref(node);
    free(workers);
}

static void threads_share_clusters(void **state)
{
    (void)state;
    run_threads("cluster_size=64k");
    run_threads("cluster_size=4k");
    run_threads("cluster_size=64k,extended_l2=on");
}

/* ---- asynchronous requests ----------------------------------------------------------------- */

static int completed;

static void done(AioRequest *req)
{
    assert_int_equal(req->ret, 0);
    completed++;
}

static void requests_complete_on_the_polling_thread(void **state)
{
    enum { N = 200 };
    AioContext *ctx = aio_new(4, NULL);
    AioRequest *reqs = calloc(N, sizeof(*reqs));
    struct iovec *iov = calloc(N, sizeof(*iov));
    uint8_t *data = calloc(N, SECTOR), *back = calloc(N, SECTOR);
    Node *node = make_image("cluster_size=8k");

    (void)state;
    for (int i = 0; i < N; i++) {
        memset(data + i * SECTOR, i, SECTOR);
        iov[i] = (struct iovec) { data + i * SECTOR, SECTOR };
        reqs[i] = (AioRequest) { .op = AIO_WRITE,
                                 .node = node,
                                 .iov = &iov[i],
                                 .iovcnt = 1,
                                 .off = (uint64_t)i * SECTOR,
                                 .done = done };
        aio_submit(ctx, &reqs[i]);
    }
    aio_drain(ctx);
    assert_int_equal(completed, N);
    for (int i = 0; i < N; i++) {
        iov[i].iov_base = back + i * SECTOR;
        reqs[i].op = AIO_READ;
        aio_submit(ctx, &reqs[i]);
    }
    while (aio_in_flight(ctx))
        aio_poll(ctx);
    assert_memory_equal(data, back, N * SECTOR);
    aio_free(ctx);
    node_unref(node);
    free(reqs);
    free(iov);
    free(data);
    free(back);
}

/* ---- a failing disk ------------------------------------------------------------------------ */

static Node *open_failing(const char *option, int at)
{
    Options *o = options_new();
    Node *node = NULL;

    options_set(o, "driver", "qcow2");
    options_set(o, "file.driver", "faults");
    options_set_u64(o, option, (uint64_t)at);
    options_set(o, "file.once", "on");
    options_set(o, "file.errno", "28"); /* ENOSPC */
    options_set(o, "file.file.filename", path);
    node_open(NULL, NULL, o, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL);
    return node;
}

/* One write fails; what was acknowledged stays readable, and the image stays consistent. */
static void failed_writes_are_reported(void **state)
{
    uint8_t buf[SECTOR], back[SECTOR];
    CheckResult result;

    (void)state;
    for (int at = 1; at < 60; at++) {
        bool good[60] = { false };

        node_unref(make_image("cluster_size=4k"));
        Node *node = open_failing("file.fail-write", at);
        if (!node)
            continue;
        for (int i = 0; i < 60; i++) {
            memset(buf, i + 1, sizeof(buf));
            good[i] = node_pwrite(node, buf, sizeof(buf), (uint64_t)i * 7000) == 0;
            if (i % 9 == 0)
                node_flush(node);
        }
        for (int i = 0; i < 60; i++) {
            assert_int_equal(node_pread(node, back, sizeof(back), (uint64_t)i * 7000), 0);
            memset(buf, i + 1, sizeof(buf));
            if (good[i])
                assert_memory_equal(buf, back, sizeof(buf));
        }
        node_unref(node);
        assert_int_equal(node_open(path, "qcow2", NULL, 0, &node, NULL), 0);
        assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
        assert_int_equal(result.corruptions, 0);
        node_unref(node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_clusters),
        cmocka_unit_test(requests_complete_on_the_polling_thread),
        cmocka_unit_test(failed_writes_are_reported),
    };

    if (!scratch_make(dir, "block_threads"))
        return 1;
    scratch_path(path, dir, "image");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
