/*
 * nbd_loop.c - our NBD client and server together, in one process: threads that write, zero,
 * discard and read parts of one disk at random, mirrored in an array, over several connections.
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
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/math.h"
#include "block/nbd/address.h"
#include "block/nbd/conn.h"
#include "block/nbd/server.h"

enum { THREADS = 6, PART = 4 << 20, DISK = THREADS * PART, STEPS = 150, MOST = 300000 };

typedef struct Loop {
    NbdServedExport export;
    NbdServerOptions options;
    NbdServer *server;
    NbdAddress address;
    char folder[64];
    int listen_fd, stop_fd;
    pthread_t thread;
    Node *node; /* the client's */
    uint8_t *mirror;
} Loop;

static void *run_server(void *opaque)
{
    Loop *l = opaque;

    assert_int_equal(nbd_server_run(l->server, &l->listen_fd, 1, l->stop_fd), 0);
    return NULL;
}

static void start(Loop *l, const char *extra)
{
    Options *o = options_new();

    *l = (Loop) { .folder = "/tmp/nbd-loop-XXXXXX" };
    assert_non_null(mkdtemp(l->folder));
    assert_true(asprintf(&l->address.path, "%s/s", l->folder) > 0);
    assert_int_equal(nbd_listen(&l->address, &l->listen_fd, NULL), 0);
    options_set_u64(o, "size", DISK);
    assert_int_equal(node_open(NULL, "memory", o, OPEN_RDWR, &l->export.node, NULL), 0);
    l->export.name = "";
    l->export.size = DISK;
    l->export.writable = true;
    l->options = (NbdServerOptions) { .exports = &l->export, .n_exports = 1 };
    l->server = nbd_server_new(&l->options);
    l->stop_fd = eventfd(0, EFD_CLOEXEC);
    l->mirror = calloc(1, DISK);
    assert_int_equal(pthread_create(&l->thread, NULL, run_server, l), 0);
    o = options_new();
    options_set(o, "server.path", l->address.path);
    assert_int_equal(options_parse(o, extra, NULL, NULL), 0);
    assert_int_equal(node_open(NULL, "nbd", o, OPEN_RDWR | OPEN_UNMAP, &l->node, NULL), 0);
    assert_int_equal(node_size(l->node), DISK);
}

static void finish(Loop *l)
{
    uint64_t one = 1;

    node_unref(l->node);
    assert_int_equal(write(l->stop_fd, &one, sizeof(one)), sizeof(one));
    pthread_join(l->thread, NULL);
    nbd_server_free(l->server);
    node_unref(l->export.node);
    close(l->listen_fd);
    close(l->stop_fd);
    unlink(l->address.path);
    rmdir(l->folder);
    nbd_address_free(&l->address);
    free(l->mirror);
}

typedef struct Worker {
    Loop *l;
    uint64_t start, seed;
    const char *wrong;
} Worker;

static uint64_t next(Worker *w)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return w->seed >> 33;
}

static const char *step(Worker *w, uint8_t *buf)
{
    Node *node = w->l->node;
    uint64_t off = w->start + next(w) % (PART - 1), len = 1 + next(w) % MOST;
    uint8_t *mirror = w->l->mirror + off;

    len = MIN(len, w->start + PART - off);
    switch (next(w) % 6) {
    case 0:
    case 1:
        memset(mirror, (int)next(w), len);
        return node_pwrite(node, mirror, len, off) < 0 ? "write" : NULL;
    case 2:
        memset(mirror, 0, len);
        return node_pwrite_zeroes(node, off, len, next(w) % 2 ? REQ_MAY_UNMAP : 0) < 0 ? "zero"
                                                                                       : NULL;
    case 3: return next(w) % 4 == 0 && node_flush(node) < 0 ? "flush" : NULL;
    default:
        if (node_pread(node, buf, len, off) < 0)
            return "read";
        return memcmp(buf, mirror, len) ? "compare" : NULL;
    }
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    uint8_t *buf = malloc(MOST);

    for (int i = 0; i < STEPS && !w->wrong; i++)
        w->wrong = step(w, buf);
    free(buf);
    return NULL;
}

static void run_threads(Loop *l)
{
    pthread_t threads[THREADS];
    Worker workers[THREADS];
    uint8_t *whole = malloc(DISK);

    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (Worker) { .l = l, .start = (uint64_t)i * PART, .seed = i + 1 };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (workers[i].wrong)
            fail_msg("thread %u: %s", i, workers[i].wrong);
    }
    assert_int_equal(node_pread(l->node, whole, DISK, 0), 0);
    assert_memory_equal(whole, l->mirror, DISK);
    free(whole);
}

static void one_connection(void **state)
{
    Loop l;

    (void)state;
    start(&l, "multi-conn=1");
    run_threads(&l);
    finish(&l);
}

static void several_connections(void **state)
{
    Loop l;

    (void)state;
    start(&l, "multi-conn=4");
    run_threads(&l);
    finish(&l);
}

static void writes_that_are_kept(void **state)
{
    Loop l;

    (void)state;
    start(&l, "multi-conn=4,reconnect-delay=5");
    run_threads(&l);
    finish(&l);
}

static void *serve_pair(void *opaque)
{
    Loop *l = opaque;

    nbd_server_serve(l->server, l->listen_fd);
    return NULL;
}

/* What the kernel's client does: simple answers, and long requests. */
static void without_structured_replies(void **state)
{
    NbdServedExport e = { .name = "", .size = DISK, .writable = true };
    NbdServerOptions o = { .exports = &e, .n_exports = 1 };
    NbdWant want = { .export = "", .simple = true };
    uint8_t *data = malloc(DISK), *back = malloc(DISK);
    struct iovec out = { data, DISK }, in = { back, DISK };
    NbdCall calls[] = {
        { .request = { .type = NBD_CMD_WRITE, .len = DISK }, .iov = &out, .iovcnt = 1 },
        { .request = { .type = NBD_CMD_READ, .len = DISK }, .iov = &in, .iovcnt = 1 },
    };
    Options *options = options_new();
    NbdExport info;
    Loop l = { .server = nbd_server_new(&o) };
    int fds[2];

    (void)state;
    for (size_t i = 0; i < DISK; i++)
        data[i] = (uint8_t)(i * 7 >> 8);
    options_set_u64(options, "size", DISK);
    assert_int_equal(node_open(NULL, "memory", options, OPEN_RDWR, &e.node, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    l.listen_fd = fds[0];
    assert_int_equal(pthread_create(&l.thread, NULL, serve_pair, &l), 0);
    NbdChannel *ch = nbd_channel_new(fds[1]);
    assert_int_equal(nbd_handshake(ch, &want, &info, NULL), 0);
    assert_false(info.structured);
    NbdConn *c = nbd_conn_new(ch, &info);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        assert_int_equal(nbd_conn_call(c, &calls[i]), 0);
    assert_memory_equal(data, back, DISK);
    nbd_conn_bye(c);
    nbd_conn_unref(c);
    pthread_join(l.thread, NULL);
    nbd_server_free(l.server);
    node_unref(e.node);
    free(data);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection),
        cmocka_unit_test(several_connections),
        cmocka_unit_test(writes_that_are_kept),
        cmocka_unit_test(without_structured_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
