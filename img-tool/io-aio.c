/*
 * io-aio.c - img-tool io: requests in flight, breakpoints that stop them, and waiting.
 *
 * What has completed is reported between commands, and before the image is closed.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "block/event.h"
#include "img-tool/io-transfer.h"

enum { AIO_THREADS = 64, POLL_MS = 5, MAX_SLEEP_MS = 24 * 3600 * 1000 };

typedef struct IoRequest {
    AioRequest req;
    Transfer t;
} IoRequest;

static void finished(AioRequest *req)
{
    IoRequest *r = container_of(req, IoRequest, req);

    if (req->op == AIO_READ)
        transfer_done_read(&r->t, req->ret, "readv");
    else
        transfer_done(&r->t, req->ret, "aio_write", "wrote");
    transfer_free(&r->t);
    free(r);
    fflush(stdout);
}

static int refuse(IoRequest *r, int ret)
{
    r->req.ret = ret;
    finished(&r->req);
    return -1;
}

static int submit(IoSession *s, IoRequest *r, bool writing)
{
    Transfer *t = &r->t;
    Error *err = NULL;
    int ret = transfer_check(s, t);

    r->req = (AioRequest) {
        .op = !writing    ? AIO_READ
              : t->zeroes ? AIO_ZEROES
                          : AIO_WRITE,
        .node = s->node,
        .off = t->off,
        .len = t->len,
        .iov = t->iov,
        .iovcnt = t->n_pieces,
        .flags = transfer_flags(t),
        .done = finished,
    };
    clock_gettime(CLOCK_MONOTONIC, &t->started);
    if (ret < 0)
        return refuse(r, ret);
    if (!s->aio && !(s->aio = aio_new(AIO_THREADS, &err))) {
        fail(err, -ENOMEM);
        return refuse(r, -ENOMEM);
    }
    aio_submit(s->aio, &r->req);
    return 0;
}

static int start(IoSession *s, int argc, char **argv, const char *letters, bool writing)
{
    IoRequest *r = calloc(1, sizeof(*r));

    if (!r || !transfer_parse(&r->t, argc, argv, letters, writing)) {
        free(r);
        return -1;
    }
    if (r->t.invalid) {
        printf("injecting invalid %s request\n", writing ? "write" : "read");
        free(r);
        return 0;
    }
    if (transfer_prepare(s, &r->t, writing))
        return submit(s, r, writing);
    transfer_free(&r->t);
    free(r);
    return -1;
}

int io_aio_read(IoSession *s, int argc, char **argv)
{
    return start(s, argc, argv, "CiP:qv", false);
}

int io_aio_write(IoSession *s, int argc, char **argv)
{
    return start(s, argc, argv, "CfiP:quz", true);
}

void io_aio_reap(IoSession *s, bool all)
{
    if (s->aio && all)
        aio_drain(s->aio);
    else if (s->aio)
        aio_dispatch(s->aio);
}

int io_aio_flush(IoSession *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    io_aio_reap(s, true);
    return 0;
}

/* ---- breakpoints ---- */

static int debug_result(int ret, Error *err, const char *what)
{
    if (ret < 0)
        printf("Could not %s: %s\n", what, error_message(err, ret));
    error_free(err);
    return ret < 0 ? -1 : 0;
}

int io_break(IoSession *s, int argc, char **argv)
{
    Error *err = NULL;
    int ret = node_debug_break(s->node, argv[1], argv[2], &err);

    (void)argc;
    return debug_result(ret, err, "set breakpoint");
}

int io_remove_break(IoSession *s, int argc, char **argv)
{
    Error *err = NULL;
    int ret = node_debug_remove_break(s->node, argv[1], &err);

    (void)argc;
    return debug_result(ret, err, "remove breakpoint");
}

int io_resume(IoSession *s, int argc, char **argv)
{
    Error *err = NULL;
    int ret = node_debug_resume(s->node, argv[1], &err);

    (void)argc;
    if (ret == 0)
        printf("blkdebug: Resuming request '%s'\n", argv[1]);
    return debug_result(ret, err, "resume request");
}

/* Milliseconds go by, and what completes meanwhile is reported. */
static void pass_time(IoSession *s, int ms)
{
    struct pollfd p = { .fd = s->aio ? aio_fd(s->aio) : -1, .events = POLLIN };

    poll(&p, 1, ms);
    io_aio_reap(s, false);
}

int io_wait_break(IoSession *s, int argc, char **argv)
{
    (void)argc;
    while (!node_debug_suspended(s->node, argv[1])) {
        if (!s->aio || aio_in_flight(s->aio) == 0) {
            printf("no request is in flight that could stop at '%s'\n", argv[1]);
            return -1;
        }
        pass_time(s, POLL_MS);
    }
    printf("blkdebug: Suspended request '%s'\n", argv[1]);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int io_sleep(IoSession *s, int argc, char **argv)
{
    char *end;
    unsigned long ms = strtoul(argv[1], &end, 10);

    (void)argc;
    if (*end || end == argv[1] || ms > MAX_SLEEP_MS) {
        printf("%s is not a valid number\n", argv[1]);
        return -1;
    }
    for (int64_t until = now_ms() + (int64_t)ms, left; (left = until - now_ms()) > 0;)
        pass_time(s, (int)left);
    return 0;
}
