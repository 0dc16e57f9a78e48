/*
 * bench.c - img-tool bench: how many requests an image takes in a second.
 *
 * Requests of the block layer block their thread, so a depth of N is N threads, each of which takes
 * the next number, makes that request and takes another one.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/math.h"
#include "img-tool/histogram.h"

enum { MAX_DEPTH = 4096, NS_PER_SECOND = 1000000000 };

typedef struct Bench {
    Common common;
    const Command *cmd;
    uint64_t count, depth, size, step, offset, flush_interval, seed, read_percent;
    int pattern;
    bool write, no_drain, random, latency, mixed;

    Node *node;
    uint64_t span;             /* bytes of the image */
    atomic_uint_fast64_t next; /* number of the next request */
    atomic_int ret;            /* the first error */
    pthread_mutex_t lock;      /* with a flush interval: guards all below */
    pthread_cond_t changed;
    uint64_t issued, unflushed, in_flight;
    bool flushing;
} Bench;

typedef struct Worker {
    Bench *bench;
    pthread_t thread;
    uint64_t random; /* state of the generator */
    Histogram *latency;
} Worker;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

static void set_error(Bench *b, int ret)
{
    int none = 0;

    atomic_compare_exchange_strong(&b->ret, &none, ret);
}

/* ---- which request is next ------------------------------------------------------------------ */

/* Everything issued so far is flushed; without --no-drain nothing is issued meanwhile. */
static void flush(Bench *b)
{
    b->unflushed = 0;
    b->flushing = !b->no_drain;
    pthread_mutex_unlock(&b->lock);
    int ret = node_flush(b->node);
    pthread_mutex_lock(&b->lock);
    b->flushing = false;
    if (ret < 0)
        set_error(b, ret);
    pthread_cond_broadcast(&b->changed);
}

static bool take_number_between_flushes(Bench *b, uint64_t *number)
{
    bool got = false;

    pthread_mutex_lock(&b->lock);
    while (b->issued < b->count && b->ret == 0) {
        bool due = b->unflushed == b->flush_interval;

        if (b->flushing || (due && !b->no_drain && b->in_flight)) {
            pthread_cond_wait(&b->changed, &b->lock);
        } else if (due) {
            flush(b);
        } else {
            *number = b->issued++;
            b->unflushed++;
            b->in_flight++;
            got = true;
            break;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return got;
}

static bool take_number(Bench *b, uint64_t *number)
{
    if (b->flush_interval)
        return take_number_between_flushes(b, number);
    *number = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed);
    return *number < b->count && atomic_load_explicit(&b->ret, memory_order_relaxed) == 0;
}

static void completed(Bench *b)
{
    if (!b->flush_interval)
        return;
    pthread_mutex_lock(&b->lock);
    if (--b->in_flight == 0)
        pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Marsaglia's xorshift64: fast, and good enough to choose places. */
static uint64_t next_random(Worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static uint64_t place(const Bench *b, Worker *w, uint64_t number)
{
    if (b->random)
        return next_random(w) % (b->span / b->size) * b->size;
    uint64_t off = (uint64_t)(((unsigned __int128)number * b->step + b->offset) % b->span);

    return off > b->span - b->size ? 0 : off;
}

static int request(const Bench *b, Worker *w, void *buf, uint64_t off)
{
    bool write = b->write && !(b->mixed && next_random(w) % 100 < b->read_percent);

    return write ? node_pwrite(b->node, buf, b->size, off) : node_pread(b->node, buf, b->size, off);
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    Bench *b = w->bench;
    uint64_t number;
    void *buf = buffer_alloc(b->size);

    if (!buf)
        set_error(b, -ENOMEM);
    else
        memset(buf, b->pattern, b->size);
    while (buf && take_number(b, &number)) {
        uint64_t off = place(b, w, number), start = w->latency ? now_ns() : 0;
        int ret = request(b, w, buf, off);

        if (w->latency)
            histogram_add(w->latency, now_ns() - start);
        if (ret < 0)
            set_error(b, ret);
        completed(b);
    }
    free(buf);
    return NULL;
}

/* All requests, in *ns. The threads' latencies come together in `latency` (NULL: not measured). */
static int run_requests(Bench *b, Histogram *latency, uint64_t *ns)
{
    unsigned n = (unsigned)MIN(b->depth, MAX(b->count, UINT64_C(1))), started = 0;
    AUTO_FREE Worker *workers = calloc(n, sizeof(*workers));
    AUTO_FREE Histogram *all = latency ? calloc(n, sizeof(*all)) : NULL;
    int ret = workers && (all || !latency) ? 0 : -ENOMEM;
    uint64_t start = now_ns();

    for (; ret == 0 && started < n; started++) {
        Worker *w = &workers[started];

        w->bench = b;
        w->random = (b->seed + started + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        w->latency = latency ? &all[started] : NULL;
        ret = -pthread_create(&w->thread, NULL, work, w);
        if (ret < 0)
            break;
    }
    if (ret < 0)
        set_error(b, ret);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (latency)
            histogram_merge(latency, &all[i]);
    }
    *ns = now_ns() - start;
    return b->ret;
}

/* ---- output --------------------------------------------------------------------------------- */

static const char *kind(const Bench *b)
{
    return b->mixed ? "mixed" : b->write ? "write" : "read";
}

static void print_start(const Bench *b)
{
    printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64 " in parallel ",
           b->count, kind(b), b->size, b->depth);
    if (b->random)
        printf("(at random offsets)\n");
    else
        printf("(starting at offset %" PRIu64 ", step size %" PRIu64 ")\n", b->offset, b->step);
    if (b->flush_interval)
        printf("Sending flush every %" PRIu64 " requests\n", b->flush_interval);
    fflush(stdout);
}

static const struct {
    const char *name;
    double part;
} percentiles[] = {
    { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "p99.99", 0.9999 },
};

static void print_human(const Histogram *h, bool latency, uint64_t ns)
{
    printf("Run completed in %" PRIu64 ".%03" PRIu64 " seconds.\n", ns / NS_PER_SECOND,
           ns % NS_PER_SECOND / 1000000);
    if (!latency)
        return;
    printf("Latency in microseconds: min %.1f, mean %.1f", (double)h->min / 1e3,
           (double)histogram_mean(h) / 1e3);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        printf(", %s %.1f", percentiles[i].name,
               (double)histogram_percentile(h, percentiles[i].part) / 1e3);
    printf(", max %.1f\n", (double)h->max / 1e3);
}

static void print_json(const Bench *b, const Histogram *h, uint64_t ns)
{
    double seconds = (double)MAX(ns, UINT64_C(1)) / NS_PER_SECOND;
    JsonWriter w;

    jw_init(&w, stdout, 4);
    jw_begin_object(&w);
    jw_put_string(&w, "filename", node_filename(b->node));
    jw_put_string(&w, "format", node_format(b->node));
    jw_put_string(&w, "type", kind(b));
    jw_put_u64(&w, "requests", b->count);
    jw_put_u64(&w, "buffer-size", b->size);
    jw_put_u64(&w, "depth", b->depth);
    jw_put_bool(&w, "random", b->random);
    jw_put_u64(&w, "time-ns", ns);
    jw_put_u64(&w, "requests-per-second", (uint64_t)((double)b->count / seconds));
    jw_put_u64(&w, "bytes-per-second", (uint64_t)((double)b->count * (double)b->size / seconds));
    jw_key(&w, "latency-ns");
    jw_begin_object(&w);
    jw_put_u64(&w, "min", h->min);
    jw_put_u64(&w, "mean", histogram_mean(h));
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        jw_put_u64(&w, percentiles[i].name, histogram_percentile(h, percentiles[i].part));
    jw_put_u64(&w, "max", h->max);
    jw_end_object(&w);
    jw_end_object(&w);
    putchar('\n');
}

/* ---- command line --------------------------------------------------------------------------- */

enum {
    OPT_FLUSH = OPT_COMMAND,
    OPT_NO_DRAIN,
    OPT_PATTERN,
    OPT_RANDOM,
    OPT_SEED,
    OPT_LATENCY,
    OPT_READS
};

static int number_option(const char *what, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t n;

    if (!parse_size(optarg, what, &n))
        return 1;
    if (n < min || n > max) {
        complain("invalid %s '%s': it is %" PRIu64 " to %" PRIu64, what, optarg, min, max);
        return 1;
    }
    *out = n;
    return 0;
}

static int aio_option(const Bench *b)
{
    static const char *const known[] = { "threads", "native", "io_uring" };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(optarg, known[i]) == 0)
            return 0; /* all of them mean the threads of this program */
    return usage_error(b->cmd, "invalid aio option '%s': threads, native or io_uring", optarg);
}

static int pattern_option(Bench *b)
{
    uint64_t n;

    if (number_option("pattern byte", 0, 255, &n) != 0)
        return 1;
    b->pattern = (int)n;
    return 0;
}

/* 0: done, 1: reported, -1: not an option of bench's own. */
static int own_option(Bench *b, int opt)
{
    switch (opt) {
    case 'c': return number_option("request count", 0, INT_MAX, &b->count);
    case 'd': return number_option("queue depth", 1, MAX_DEPTH, &b->depth);
    case 'i': return aio_option(b);
    case 'n': return 0; /* -i native */
    case 'o': return number_option("offset", 0, INT64_MAX, &b->offset);
    case 's': return number_option("buffer size", 1, INT_MAX, &b->size);
    case 'S': return number_option("step size", 1, INT_MAX, &b->step);
    case 'w': b->write = true; return 0;
    case OPT_FLUSH: return number_option("flush interval", 0, INT_MAX, &b->flush_interval);
    case OPT_NO_DRAIN: b->no_drain = true; return 0;
    case OPT_PATTERN: return pattern_option(b);
    case OPT_RANDOM: b->random = true; return 0;
    case OPT_SEED: return number_option("seed", 0, INT64_MAX, &b->seed);
    case OPT_LATENCY: b->latency = true; return 0;
    case OPT_READS:
        b->mixed = true;
        return number_option("part of reads", 0, 100, &b->read_percent);
    default: return -1;
    }
}

static int check_arguments(const Bench *b)
{
    if (!b->write && b->flush_interval)
        return usage_error(b->cmd, "--flush-interval is only available in write tests");
    if (!b->write && b->mixed)
        return usage_error(b->cmd, "--read-percent is only available in write tests");
    if (b->flush_interval && b->flush_interval < b->depth)
        return usage_error(b->cmd, "the flush interval cannot be smaller than the depth");
    return 0;
}

static int bench(Bench *b, const char *filename)
{
    AUTO_FREE Histogram *latency = calloc(1, sizeof(*latency));
    bool measure = b->latency || b->common.json;
    uint64_t ns;

    if (check_arguments(b) != 0)
        return 1;
    if (!latency)
        return fail(NULL, -ENOMEM);
    AUTO_NODE Node *node = open_image(&b->common, filename, b->common.format, b->common.cache,
                                      b->write ? OPEN_RDWR : 0);
    if (!node)
        return 1;
    b->node = node;
    b->span = node_size(node);
    if (b->span < b->size || b->offset > b->span - b->size) {
        complain("%s: a request of %" PRIu64 " bytes at offset %" PRIu64
                 " is outside the image of %" PRIu64,
                 filename, b->size, b->offset, b->span);
        return 1;
    }
    if (!b->common.quiet && !b->common.json)
        print_start(b);
    int ret = run_requests(b, measure ? latency : NULL, &ns);
    if (ret < 0) {
        complain("%s: failed request: %s", filename, strerror(-ret));
        return 1;
    }
    if (b->common.json)
        print_json(b, latency, ns);
    else if (!b->common.quiet)
        print_human(latency, b->latency, ns);
    ret = b->write ? node_flush(node) : 0;
    return ret < 0 ? fail(NULL, ret) : 0;
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "count", required_argument, NULL, 'c' },
    { "depth", required_argument, NULL, 'd' },
    { "aio", required_argument, NULL, 'i' },
    { "native", no_argument, NULL, 'n' },
    { "offset", required_argument, NULL, 'o' },
    { "buffer-size", required_argument, NULL, 's' },
    { "step-size", required_argument, NULL, 'S' },
    { "cache", required_argument, NULL, 't' },
    { "write", no_argument, NULL, 'w' },
    { "flush-interval", required_argument, NULL, OPT_FLUSH },
    { "no-drain", no_argument, NULL, OPT_NO_DRAIN },
    { "pattern", required_argument, NULL, OPT_PATTERN },
    { "random", no_argument, NULL, OPT_RANDOM },
    { "seed", required_argument, NULL, OPT_SEED },
    { "latency", no_argument, NULL, OPT_LATENCY },
    { "read-percent", required_argument, NULL, OPT_READS },
    { 0 },
};

int cmd_bench(int argc, char **argv)
{
    Bench b = { .cmd = command_find("bench"),
                .count = 75000,
                .depth = 64,
                .size = 4096,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .changed = PTHREAD_COND_INITIALIZER };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hc:d:f:ni:o:qs:S:t:wU", long_options, NULL)) != -1) {
        int ret = own_option(&b, opt);

        if (ret > 0)
            return 1;
        if (ret < 0 && common_option(&b.common, b.cmd, opt, &code) < 0)
            return code;
    }
    if (argc - optind != 1)
        return usage_error(b.cmd, "exactly one file name is expected");
    b.step = b.step ? b.step : b.size;
    return bench(&b, argv[optind]);
}
