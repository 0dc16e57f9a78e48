/*
 * block_filters.c - filters from inside: the arithmetic of throttling on a clock of our own, rules
 * of blkdebug from text, breakpoints, and filters under many threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "block/aio.h"
#include "block/blkdebug.h"
#include "block/node.h"
#include "block/throttle.h"
#include "tests/unit/scratch.h"

enum { MS = 1000000 };
#define SECOND UINT64_C(1000000000)

/* ---- throttle -------------------------------------------------------------------------------- */

static void throttle_make(Throttle *t, const char *text)
{
    AUTO_OPTIONS Options *o = options_new();

    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    assert_int_equal(options_parse(o, text, NULL, NULL), 0);
    assert_int_equal(throttle_take_options(t, o, "", NULL), 0);
    assert_true(options_empty(o));
}

/* `n` requests one after the other, each as soon as it may: when the last one goes. */
static uint64_t sequence(Throttle *t, unsigned n, bool write, uint64_t bytes)
{
    uint64_t now = SECOND;

    for (unsigned i = 0; i < n; i++)
        now += throttle_account(t, write, bytes, now);
    return now - SECOND;
}

static const struct {
    const char *what, *options;
    unsigned requests;
    bool write;
    uint64_t bytes, min_ms, max_ms;
} rates[] = {
    { "no limit", "", 1000, true, 1 << 20, 0, 0 },
    { "100 requests a second", "iops-total=100", 1000, false, 1, 9800, 10000 },
    { "of reads only", "iops-read=100", 1000, true, 1, 0, 0 },
    { "of writes", "iops-write=100", 200, true, 1, 1800, 2000 },
    { "1 MB a second", "bps-total=1000000", 100, true, 100000, 9700, 10000 },
    { "a large request counts as several", "iops-total=100,iops-size=4096", 100, true, 8192, 1800,
      2000 },
    { "two limits: the tighter", "iops-total=1000,bps-total=1000000", 100, true, 100000, 9700,
      10000 },
    { "a burst of 1000 goes at once", "iops-total=100,iops-total-max=1000", 1000, true, 1, 0, 10 },
    { "and then the rate", "iops-total=100,iops-total-max=1000", 2000, true, 1, 9900, 10100 },
    { "a burst of 2 seconds", "iops-total=10,iops-total-max=100,iops-total-max-length=2", 200, true,
      1, 1800, 2000 },
};

static void rates_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        Throttle t;

        throttle_make(&t, rates[i].options);
        uint64_t took = sequence(&t, rates[i].requests, rates[i].write, rates[i].bytes) / MS;
        if (took < rates[i].min_ms || took > rates[i].max_ms)
            fail_msg("%s: %llu ms, not %llu..%llu", rates[i].what, (unsigned long long)took,
                     (unsigned long long)rates[i].min_ms, (unsigned long long)rates[i].max_ms);
    }
}

/* All at one moment: each waits for those before it. */
static void a_queue_is_in_order(void **state)
{
    uint64_t last = 0;
    Throttle t;

    (void)state;
    throttle_make(&t, "iops-total=10");
    for (int i = 0; i < 50; i++) {
        uint64_t wait = throttle_account(&t, true, 1, SECOND);

        assert_true(wait >= last);
        last = wait;
    }
    assert_in_range(last / MS, 4700, 5000);
}

static void nonsense_is_refused(void **state)
{
    static const char *const texts[] = {
        "iops-total-max=10",
        "iops-total=10,iops-total-max=5",
        "iops-total=10,iops-total-max-length=5",
        "iops-total=10,iops-total-max=20,iops-total-max-length=0",
        "bps-total=10,bps-read=10",
        "bps-total=99999999999999999999",
        "bps-total=9999999999999999",
        "bps-total=-1",
        "iops-total=10,iops-total-max=1000000000000,iops-total-max-length=1000000000",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_OPTIONS Options *o = options_new();
        AUTO_ERROR Error *err = NULL;
        Throttle t = { 0 };

        options_parse(o, texts[i], NULL, NULL);
        if (throttle_take_options(&t, o, "", &err) != -EINVAL || !err)
            fail_msg("'%s' is not refused", texts[i]);
    }
}

/* ---- rules ----------------------------------------------------------------------------------- */

static const struct {
    const char *what, *text;
    bool good;
} configs[] = {
    { "empty", "", true },
    { "comments and blanks", "\n  # x\n\t\n", true },
    { "one rule", "[inject-error]\nevent = \"read_aio\"\nerrno = \"28\"\n", true },
    { "without quotes", "[inject-error]\nevent=read_aio\n", true },
    { "with carriage returns", "[inject-error]\r\nevent = \"read_aio\"\r\n", true },
    { "states",
      "[set-state]\nevent = \"l2_load\"\nstate = \"1\"\nnew_state = \"2\"\n"
      "[inject-error]\nevent = \"l2_load\"\nstate = \"2\"\nonce = \"on\"\nimmediately = \"off\"",
      true },
    { "no event", "[inject-error]\nerrno = \"28\"\n", false },
    { "unknown event", "[inject-error]\nevent = \"l3_load\"\n", false },
    { "unknown section", "[frob]\n", false },
    { "unknown option", "[inject-error]\nevent = \"read_aio\"\nfrob = \"1\"\n", false },
    { "no section", "event = \"read_aio\"\n", false },
    { "no value", "[inject-error]\nevent\n", false },
    { "no name", "[inject-error]\n= \"x\"\n", false },
    { "errno that is none", "[inject-error]\nevent = \"none\"\nerrno = \"4096\"\n", false },
    { "sector beyond the end", "[inject-error]\nevent = \"none\"\nsector = \"36028797018963968\"\n",
      false },
    { "state without a new one", "[set-state]\nevent = \"none\"\n", false },
    { "iotype that is none", "[inject-error]\nevent = \"none\"\niotype = \"trim\"\n", false },
};

static void configs_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        AUTO_ERROR Error *err = NULL;
        Rules r = { 0 };

        rules_init(&r);
        int ret = rules_parse_config(&r, configs[i].text, "rules", &err);
        if ((ret == 0) != configs[i].good || (ret < 0) != (err != NULL))
            fail_msg("%s: %d %s", configs[i].what, ret, error_message(err, ret));
        rules_free(&r);
    }
}

static void rules_follow_states(void **state)
{
    Rules r = { 0 };

    (void)state;
    rules_init(&r);
    assert_int_equal(rules_parse_config(&r, configs[5].text, "rules", NULL), 0);
    assert_int_equal(rules_check(&r, DEBUG_IO_READ, 0, 512), 0);
    rules_event(&r, EVENT_L2_LOAD);
    assert_int_equal(rules_check(&r, DEBUG_IO_READ, 0, 512), 0);
    rules_event(&r, EVENT_READ_AIO);
    assert_int_equal(rules_check(&r, DEBUG_IO_READ, 0, 512), 0);
    rules_event(&r, EVENT_L2_LOAD);
    assert_int_equal(rules_check(&r, DEBUG_IO_BLOCK_STATUS, 0, 512), 0);
    assert_int_equal(rules_check(&r, DEBUG_IO_WRITE, 0, 512), -EIO);
    assert_int_equal(rules_check(&r, DEBUG_IO_READ, 0, 512), 0); /* once */
    rules_free(&r);
}

/* ---- breakpoints ------------------------------------------------------------------------------
 */

static Node *open_node(const char *text, unsigned flags)
{
    AUTO_ERROR Error *err = NULL;
    Options *o = options_new();
    Node *node = NULL;

    assert_int_equal(options_parse(o, text, NULL, NULL), 0);
    if (node_open(NULL, NULL, o, flags, &node, &err) < 0)
        fail_msg("%s: %s", text, error_message(err, 0));
    return node;
}

static void count_done(AioRequest *req)
{
    ++*(int *)req->opaque;
    assert_int_equal(req->ret, 0);
}

static void requests_stop_and_go_on(void **state)
{
    Node *node = open_node("driver=raw,file.driver=blkdebug,file.image.driver=memory,"
                           "file.image.size=1M",
                           OPEN_RDWR);
    AioContext *ctx = aio_new(4, NULL);
    uint8_t buf[512] = { 7 };
    struct iovec iov = { buf, sizeof(buf) };
    int done = 0;
    AioRequest req = {
        .op = AIO_WRITE, .node = node, .iov = &iov, .iovcnt = 1, .done = count_done, .opaque = &done
    };
    AioRequest other = req;

    (void)state;
    assert_int_equal(node_debug_break(node, "frob", "A", NULL), -EINVAL);
    assert_int_equal(node_debug_resume(node, "A", NULL), -ENOENT);
    assert_int_equal(node_debug_break(node, "pwritev", "A", NULL), 0);
    assert_false(node_debug_suspended(node, "A"));
    aio_submit(ctx, &req);
    while (!node_debug_suspended(node, "A"))
        usleep(1000);
    other.off = 4096;
    aio_submit(ctx, &other); /* a breakpoint stops one */
    while (done == 0)
        aio_poll(ctx);
    assert_int_equal(done, 1);
    assert_false(node_debug_suspended(node, "B"));
    assert_int_equal(node_debug_resume(node, "A", NULL), 0);
    aio_drain(ctx);
    assert_int_equal(done, 2);
    assert_int_equal(node_debug_remove_break(node, "A", NULL), -ENOENT);
    aio_free(ctx);
    node_unref(node);
}

/* ---- many threads -----------------------------------------------------------------------------
 */

enum { DISK = 1 << 20, THREADS = 4, ROUNDS = 200, AREA = DISK / THREADS };

typedef struct Worker {
    Node *node;
    int id;
    bool failed;
} Worker;

/* Each thread writes and reads its own part in pieces that share blocks with the neighbours'. */
static void *work(void *opaque)
{
    Worker *w = opaque;
    uint8_t out[3000], in[3000];

    for (int i = 0; i < ROUNDS && !w->failed; i++) {
        size_t len = (size_t)(i * 37 % 2900) + 1;
        uint64_t off = (uint64_t)w->id * AREA + (uint64_t)(i * 7919 % (AREA - 3000));

        memset(out, w->id * 50 + i % 50 + 1, len);
        w->failed = node_pwrite(w->node, out, len, off) < 0 ||
                    node_pread(w->node, in, len, off) < 0 || memcmp(in, out, len) != 0;
    }
    return NULL;
}

static void fight(const char *text)
{
    Node *node = open_node(text, OPEN_RDWR | OPEN_NO_FLUSH);
    pthread_t threads[THREADS];
    Worker workers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (Worker) { .node = node, .id = i };
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (workers[i].failed)
            fail_msg("%s: thread %d does not read what it wrote", text, i);
    }
    node_unref(node);
}

static char dir[SCRATCH_DIR], base[SCRATCH_PATH], top[SCRATCH_PATH];

static void make_images(void)
{
    Options *o = options_new();

    options_set_u64(o, "size", DISK);
    assert_int_equal(node_create(base, "qcow2", o, 0, NULL, NULL), 0);
    Node *node = NULL;
    static uint8_t bytes[DISK];
    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(node_open(base, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), 0);
    assert_int_equal(node_pwrite(node, bytes, DISK, 0), 0);
    node_unref(node);
    o = options_new();
    options_set(o, "backing_file", base);
    options_set(o, "backing_fmt", "qcow2");
    options_set(o, "cluster_size", "4096");
    assert_int_equal(node_create(top, "qcow2", o, 0, NULL, NULL), 0);
}

/* %s is the image. */
static void expand(char *text, size_t room, const char *pattern)
{
    const char *at = strstr(pattern, "%s");

    if (at)
        snprintf(text, room, "%.*s%s%s", (int)(at - pattern), pattern, top, at + 2);
    else
        snprintf(text, room, "%s", pattern);
}

static void threads_share_filters(void **state)
{
    static const char *const filters[] = {
        "driver=blkdebug,align=4096,image.driver=memory,image.size=1M,max-transfer=4096",
        "driver=copy-on-read,file.filename=%s",
        "driver=compress,file.filename=%s",
        "driver=quorum,vote-threshold=2,children.0.driver=memory,children.0.size=1M,"
        "children.1.driver=memory,children.1.size=1M,children.2.driver=memory,children.2.size=1M",
        "driver=qcow2,file.driver=preallocate,file.prealloc-size=1M,file.file.filename=%s",
        "driver=blkverify,raw.driver=memory,raw.size=1M,test.driver=memory,test.size=1M",
        "driver=qcow2,file.filename=%s,detect-zeroes=on",
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        make_images();
        expand(text, sizeof(text), filters[i]);
        fight(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_kept),        cmocka_unit_test(a_queue_is_in_order),
        cmocka_unit_test(nonsense_is_refused),   cmocka_unit_test(configs_are_judged),
        cmocka_unit_test(rules_follow_states),   cmocka_unit_test(requests_stop_and_go_on),
        cmocka_unit_test(threads_share_filters),
    };

    if (!scratch_make(dir, "block_filters"))
        return 1;
    scratch_path(base, dir, "base");
    scratch_path(top, dir, "top");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
