/*
 * io-transfer.c - img-tool io: read, write, discard, with patterns, verification and statistics.
 */
#include "img-tool/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { MAX_IOV = 60, DEFAULT_PATTERN = 0xcd };

typedef struct Transfer {
    bool concise, quiet, dump, zeroes, compressed, unmap, no_fallback, fua, vmstate, has_pattern;
    uint8_t pattern;
    const char *source_file;
    uint64_t verify_off, verify_len; /* of the pattern within the buffer */
    bool has_verify_off, has_verify_len;
    uint64_t off, len;
    uint64_t pieces[MAX_IOV];
    int n_pieces;
    uint8_t *buf;
    struct timespec started;
} Transfer;

/* ---- arguments ---- */

static bool parse_pattern(const char *text, uint8_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 0);

    if (*end || end == text || v > 255) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *out = (uint8_t)v;
    return true;
}

static bool transfer_option(Transfer *t, int opt, bool writing)
{
    switch (opt) {
    case 'a':
    case 'i':
    case 'p': return true;
    case 'b': t->vmstate = true; return true;
    case 'C': t->concise = true; return true;
    case 'q': t->quiet = true; return true;
    case 'v': t->dump = true; return true;
    case 'z': t->zeroes = true; return true;
    case 'c': t->compressed = true; return true;
    case 'u': t->unmap = true; return true;
    case 'n': t->no_fallback = true; return true;
    case 'f': t->fua = true; return true;
    case 'P': t->has_pattern = true; return parse_pattern(optarg, &t->pattern);
    case 's':
        if (writing) {
            t->source_file = optarg;
            return true;
        }
        t->has_verify_off = true;
        return parse_size(optarg, "pattern offset", &t->verify_off);
    case 'l': t->has_verify_len = true; return parse_size(optarg, "pattern length", &t->verify_len);
    default: return false;
    }
}

static bool parse_lengths(Transfer *t, int argc, char **argv)
{
    if (argc - optind < 2 || argc - optind - 1 > MAX_IOV) {
        printf("%s: an offset and 1 to %d lengths are expected\n", argv[0], MAX_IOV);
        return false;
    }
    if (!parse_size(argv[optind], "offset", &t->off))
        return false;
    for (int i = optind + 1; i < argc; i++) {
        uint64_t n;

        if (!parse_size(argv[i], "length", &n))
            return false;
        if (n > INT32_MAX - t->len && !t->zeroes) {
            printf("length cannot exceed %d, given %s\n", INT32_MAX, argv[i]);
            return false;
        }
        t->pieces[t->n_pieces++] = n;
        t->len += n;
    }
    return true;
}

static bool parse(Transfer *t, int argc, char **argv, const char *letters, bool writing)
{
    int opt;

    optind = 0; /* getopt starts over */
    while ((opt = getopt(argc, argv, letters)) != -1)
        if (!transfer_option(t, opt, writing))
            return false;
    return parse_lengths(t, argc, argv);
}

/* Combinations that make no sense, as one table of complaints. */
static bool consistent_write(const Transfer *t)
{
    const char *wrong = NULL;

    if (t->vmstate + t->compressed + t->zeroes > 1)
        wrong = "-b, -c and -z cannot be given together";
    else if (t->fua && (t->vmstate || t->compressed))
        wrong = "-f cannot be given with -b or -c";
    else if ((t->no_fallback || t->unmap) && !t->zeroes)
        wrong = "-n and -u need -z";
    else if (t->zeroes + t->has_pattern + (t->source_file != NULL) > 1)
        wrong = "-z, -P and -s cannot be given together";
    if (wrong)
        puts(wrong);
    return !wrong;
}

/* ---- statistics ---- */

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    double s = (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
    return s > 1e-9 ? s : 1e-9;
}

static void report(const Transfer *t, const char *verb)
{
    double s = seconds_since(&t->started);
    char total[SIZE_TEXT], rate[SIZE_TEXT];

    if (t->quiet)
        return;
    io_size_text((double)t->len, total);
    io_size_text((double)t->len / s, rate);
    if (t->concise) {
        printf("%" PRIu64 ",1,0:00:%05.2f,%.3f,%.3f\n", t->len, s, (double)t->len / s, 1 / s);
        return;
    }
    printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", verb, t->len, t->len,
           t->off);
    printf("%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n", total, s, rate, 1 / s);
}

static int done(const Transfer *t, int ret, const char *failed, const char *verb)
{
    if (ret < 0) {
        printf("%s failed: %s\n", failed, strerror(-ret));
        return -1;
    }
    report(t, verb);
    return 0;
}

/* ---- buffers
 * -----------------------------------------------------------------------------------------------
 */

static bool allocate(Transfer *t)
{
    if (posix_memalign((void **)&t->buf, 4096, t->len ? t->len : 1) == 0)
        return true;
    printf("no memory for %" PRIu64 " bytes\n", t->len);
    return false;
}

static int split(const Transfer *t, struct iovec *iov)
{
    uint8_t *p = t->buf;

    for (int i = 0; i < t->n_pieces; p += t->pieces[i++])
        iov[i] = (struct iovec) { p, t->pieces[i] };
    return t->n_pieces;
}

/* Fill the buffer with the file's bytes, again and again. */
static bool fill_from_file(Transfer *t)
{
    FILE *f = fopen(t->source_file, "rb");
    size_t n = f ? fread(t->buf, 1, t->len, f) : 0;

    if (f)
        fclose(f);
    if (n == 0) {
        printf("%s: cannot read a pattern from it%s%s\n", t->source_file, f ? "" : ": ",
               f ? "" : strerror(errno));
        return false;
    }
    for (size_t at = n; at < t->len; at++)
        t->buf[at] = t->buf[at - n];
    return true;
}

static bool fill(Transfer *t)
{
    if (t->source_file)
        return fill_from_file(t);
    memset(t->buf, t->has_pattern ? t->pattern : DEFAULT_PATTERN, t->len);
    return true;
}

static bool verify(const Transfer *t)
{
    uint64_t off = t->has_verify_off ? t->verify_off : 0;
    uint64_t len = t->has_verify_len ? t->verify_len : t->len - off;

    for (uint64_t i = off; i < off + len; i++)
        if (t->buf[i] != t->pattern) {
            printf("Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes\n",
                   t->off + off, len);
            return false;
        }
    return true;
}

static void dump(const Transfer *t)
{
    for (uint64_t at = 0; at < t->len; at += 16) {
        uint64_t n = t->len - at < 16 ? t->len - at : 16;

        printf("%08" PRIx64 ":  ", t->off + at);
        for (uint64_t i = 0; i < n; i++)
            printf("%02x ", t->buf[at + i]);
        putchar(' ');
        for (uint64_t i = 0; i < n; i++)
            putchar(t->buf[at + i] > ' ' && t->buf[at + i] < 0x7f ? t->buf[at + i] : '.');
        putchar('\n');
    }
}

/* ---- commands
 * ------------------------------------------------------------------------------------------------
 */

static int run_read(IoSession *s, Transfer *t)
{
    struct iovec iov[MAX_IOV];
    int ret;

    if ((t->has_verify_off || t->has_verify_len) && !t->has_pattern) {
        puts("-s and -l need -P");
        return -1;
    }
    if (t->verify_off > t->len || t->verify_len > t->len - t->verify_off) {
        puts("the pattern range exceeds what is read");
        return -1;
    }
    if (!allocate(t))
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &t->started);
    if (t->vmstate)
        ret = node_vmstate_pread(s->node, t->buf, t->len, t->off);
    else
        ret = node_preadv(s->node, iov, split(t, iov), t->off);
    bool matches = ret < 0 || !t->has_pattern || verify(t);
    if (ret == 0 && t->dump)
        dump(t);
    ret = done(t, ret, "read", "read");
    return matches ? ret : -1;
}

static int do_write(IoSession *s, Transfer *t)
{
    unsigned flags = (t->fua ? REQ_FUA : 0) | (t->unmap ? REQ_MAY_UNMAP : 0) |
                     (t->no_fallback ? REQ_NO_FALLBACK : 0);
    struct iovec iov[MAX_IOV];

    if (t->zeroes)
        return node_pwrite_zeroes(s->node, t->off, t->len, flags);
    if (t->compressed)
        return node_pwrite_compressed(s->node, t->buf, t->len, t->off);
    if (t->vmstate)
        return node_vmstate_pwrite(s->node, t->buf, t->len, t->off);
    return node_pwritev(s->node, iov, split(t, iov), t->off, flags);
}

static int run_write(IoSession *s, Transfer *t)
{
    if (!consistent_write(t))
        return -1;
    if (!t->zeroes && (!allocate(t) || !fill(t)))
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &t->started);
    return done(t, do_write(s, t), "write", "wrote");
}

static int transfer(IoSession *s, int argc, char **argv, const char *letters, bool writing)
{
    Transfer t = { 0 };
    int ret = -1;

    if (parse(&t, argc, argv, letters, writing))
        ret = writing ? run_write(s, &t) : run_read(s, &t);
    free(t.buf);
    return ret;
}

int io_read(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "abCl:pP:qs:v", false);
}

int io_readv(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "CiP:qv", false);
}

int io_write(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "bcCfnpP:qs:uz", true);
}

int io_writev(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "CfinP:quz", true);
}

int io_discard(IoSession *s, int argc, char **argv)
{
    Transfer t = { .zeroes = true }; /* no buffer, so no limit of its size */

    if (!parse(&t, argc, argv, "Cq", true))
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &t.started);
    return done(&t, node_discard(s->node, t.off, t.len), "discard", "discard");
}
