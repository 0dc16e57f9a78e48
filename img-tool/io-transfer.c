/*
 * io-transfer.c - img-tool io: read, write, discard, with patterns, verification and statistics.
 */
#include "img-tool/io-transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    REQUEST_MAX = 0x7ffffe00, /* as much as one request may have */
    SECTOR = 512,
    WRITE_PATTERN = 0xcd,
    READ_PATTERN = 0xab,
    BUFFER_ALIGN = 4096,
    MISALIGN = 16, /* -m */
};

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

static bool value_option(Transfer *t, int opt, bool writing)
{
    switch (opt) {
    case 'P': t->has_pattern = true; return parse_pattern(optarg, &t->pattern);
    case 'l': t->has_verify_len = true; return io_number(optarg, &t->verify_len);
    default: break;
    }
    if (writing) {
        t->source_file = optarg;
        return true;
    }
    t->has_verify_off = true;
    return io_number(optarg, &t->verify_off);
}

static bool transfer_option(Transfer *t, int opt, bool writing)
{
    switch (opt) {
    case 'p': return true; /* once meant something */
    case 'b': t->vmstate = true; return true;
    case 'C': t->concise = true; return true;
    case 'q': t->quiet = true; return true;
    case 'v': t->dump = true; return true;
    case 'z': t->zeroes = true; return true;
    case 'c': t->compressed = true; return true;
    case 'u': t->unmap = true; return true;
    case 'n': t->no_fallback = true; return true;
    case 'f': t->fua = true; return true;
    case 'i': t->invalid = true; return true;
    default: return value_option(t, opt, writing);
    }
}

static bool parse_lengths(Transfer *t, int argc, char **argv)
{
    if (!io_number(argv[optind], &t->off))
        return false;
    if (argc - optind - 1 > IO_MAX_IOV) {
        printf("%s: more than %d lengths\n", argv[0], IO_MAX_IOV);
        return false;
    }
    for (int i = optind + 1; i < argc; i++) {
        uint64_t n;

        if (!io_number(argv[i], &n))
            return false;
        if (n > REQUEST_MAX - t->len && !(t->zeroes && t->no_fallback)) {
            printf("length cannot exceed %d, given %s\n", REQUEST_MAX, argv[i]);
            return false;
        }
        t->pieces[t->n_pieces++] = n;
        t->len += n;
    }
    return true;
}

bool transfer_parse(Transfer *t, int argc, char **argv, const char *letters, bool writing)
{
    int opt;

    optind = 0; /* getopt starts over */
    while ((opt = getopt(argc, argv, letters)) != -1) {
        if (opt == '?') {
            io_usage(argv[0]);
            return false;
        }
        if (!transfer_option(t, opt, writing))
            return false;
    }
    if (argc - optind < 2) {
        io_usage(argv[0]);
        return false;
    }
    return parse_lengths(t, argc, argv);
}

static bool sector_aligned(const Transfer *t)
{
    if (!t->vmstate && !t->compressed)
        return true;
    if (t->off % SECTOR)
        printf("%" PRIu64 " is not a sector-aligned value for 'offset'\n", t->off);
    else if (t->len % SECTOR)
        printf("%" PRIu64 " is not a sector-aligned value for 'count'\n", t->len);
    return t->off % SECTOR == 0 && t->len % SECTOR == 0;
}

/* Combinations that make no sense, as one table of complaints. */
static bool consistent_write(const Transfer *t)
{
    const char *wrong = NULL;

    if (t->vmstate && t->zeroes)
        wrong = "-b and -z cannot be specified at the same time";
    else if (t->fua && (t->vmstate || t->compressed))
        wrong = "-f and -b or -c cannot be specified at the same time";
    else if (t->no_fallback && !t->zeroes)
        wrong = "-n requires -z to be specified";
    else if (t->unmap && !t->zeroes)
        wrong = "-u requires -z to be specified";
    else if (t->zeroes + t->has_pattern + (t->source_file != NULL) > 1)
        wrong = "Only one of -z, -P, and -s can be specified at the same time";
    else if (t->zeroes && t->n_pieces > 1)
        wrong = "-z supports only a single length parameter";
    if (wrong)
        puts(wrong);
    return !wrong && sector_aligned(t);
}

static bool consistent_read(const Transfer *t)
{
    if ((t->has_verify_off || t->has_verify_len) && !t->has_pattern) {
        io_usage("read");
        return false;
    }
    if (t->verify_off > t->len || t->verify_len > t->len - t->verify_off) {
        puts("pattern verification range exceeds end of read data");
        return false;
    }
    return !t->vmstate || sector_aligned(t);
}

unsigned transfer_flags(const Transfer *t)
{
    return (t->fua ? REQ_FUA : 0) | (t->unmap ? REQ_MAY_UNMAP : 0) |
           (t->no_fallback ? REQ_NO_FALLBACK : 0);
}

int transfer_check(IoSession *s, const Transfer *t)
{
    uint64_t size = node_size(s->node);

    return t->off > size || t->len > size - t->off ? -EIO : 0;
}

/* ---- buffers ---- */

static bool allocate(IoSession *s, Transfer *t)
{
    size_t skip = s->misalign ? MISALIGN : 0;

    if (posix_memalign(&t->memory, BUFFER_ALIGN, t->len + skip + 1) != 0) {
        t->memory = NULL;
        printf("no memory for %" PRIu64 " bytes\n", t->len);
        return false;
    }
    t->buf = (uint8_t *)t->memory + skip;
    uint8_t *p = t->buf;
    for (int i = 0; i < t->n_pieces; p += t->pieces[i++])
        t->iov[i] = (struct iovec) { p, t->pieces[i] };
    return true;
}

/* Fill the buffer with the file's bytes, again and again. */
static bool fill_from_file(Transfer *t)
{
    FILE *f = fopen(t->source_file, "rb");
    size_t n = f ? fread(t->buf, 1, t->len, f) : 0;

    if (!f)
        complain("%s: %s", t->source_file, strerror(errno));
    else
        fclose(f);
    if (f && n == 0 && t->len)
        complain("%s: there are no bytes to write in it", t->source_file);
    if (n == 0)
        return f && t->len == 0;
    for (size_t at = n; at < t->len; at++)
        t->buf[at] = t->buf[at - n];
    return true;
}

bool transfer_prepare(IoSession *s, Transfer *t, bool writing)
{
    if (writing ? !consistent_write(t) : !consistent_read(t))
        return false;
    if (t->zeroes || (!t->vmstate && transfer_check(s, t) < 0))
        return true; /* no buffer for what will be refused anyway */
    if (!allocate(s, t))
        return false;
    if (t->source_file)
        return fill_from_file(t);
    uint8_t byte = !writing ? READ_PATTERN : t->has_pattern ? t->pattern : WRITE_PATTERN;
    memset(t->buf, byte, t->len);
    return true;
}

void transfer_free(Transfer *t)
{
    free(t->memory);
}

/* ---- statistics ---- */

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    double s = (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
    return s > 1e-9 ? s : 1e-9;
}

/* "00.12 sec", or "0:01:02.34" if it is long or `fixed` */
static void time_text(double s, bool fixed, char *text, size_t room)
{
    unsigned long whole = (unsigned long)s, part = (unsigned long)((s - (double)whole) * 100);

    if (fixed || whole >= 60)
        snprintf(text, room, "%lu:%02lu:%02lu.%02lu", whole / 3600, whole / 60 % 60, whole % 60,
                 part);
    else
        snprintf(text, room, "%02lu.%02lu sec", whole, part);
}

static void report(const Transfer *t, const char *verb)
{
    double s = seconds_since(&t->started);
    char total[SIZE_TEXT], rate[SIZE_TEXT], time[64];

    if (t->quiet)
        return;
    time_text(s, t->concise, time, sizeof(time));
    if (t->concise) {
        printf("%" PRIu64 ",1,%s,%.3f,%.3f\n", t->len, time, (double)t->len / s, 1 / s);
        return;
    }
    io_size_text((double)t->len, total);
    io_size_text((double)t->len / s, rate);
    printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", verb, t->len, t->len,
           t->off);
    printf("%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", total, time, rate, 1 / s);
}

int transfer_done(Transfer *t, int ret, const char *failed, const char *verb)
{
    if (ret < 0) {
        printf("%s failed: %s\n", failed, strerror(-ret));
        return -1;
    }
    report(t, verb);
    return 0;
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

int transfer_done_read(Transfer *t, int ret, const char *failed)
{
    bool matches = ret < 0 || !t->has_pattern || verify(t);

    if (ret == 0 && t->dump && !t->quiet)
        dump(t);
    ret = transfer_done(t, ret, failed, "read");
    return matches ? ret : -1;
}

/* ---- commands ---- */

static int do_read(IoSession *s, Transfer *t)
{
    int ret = t->vmstate ? 0 : transfer_check(s, t);

    if (ret < 0)
        return ret;
    if (t->vmstate)
        return node_vmstate_pread(s->node, t->buf, t->len, t->off);
    return node_preadv(s->node, t->iov, t->n_pieces, t->off);
}

static int do_write(IoSession *s, Transfer *t)
{
    int ret = t->vmstate ? 0 : transfer_check(s, t);

    if (ret < 0)
        return ret;
    if (t->zeroes)
        return node_pwrite_zeroes(s->node, t->off, t->len, transfer_flags(t));
    if (t->vmstate)
        return node_vmstate_pwrite(s->node, t->buf, t->len, t->off);
    if (t->compressed)
        return node_pwrite_compressed(s->node, t->buf, t->len, t->off);
    return node_pwritev(s->node, t->iov, t->n_pieces, t->off, transfer_flags(t));
}

/* `name` is the command's, where argv[0] may be its short form. */
static int transfer(IoSession *s, int argc, char **argv, const char *name, const char *letters,
                    bool writing)
{
    Transfer t = { 0 };
    int ret = -1;

    if (transfer_parse(&t, argc, argv, letters, writing) && transfer_prepare(s, &t, writing)) {
        clock_gettime(CLOCK_MONOTONIC, &t.started);
        ret = writing ? transfer_done(&t, do_write(s, &t), name, "wrote")
                      : transfer_done_read(&t, do_read(s, &t), name);
    }
    transfer_free(&t);
    return ret;
}

int io_read(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "read", "bCl:pP:qs:v", false);
}

int io_readv(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "readv", "CP:qv", false);
}

int io_write(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "write", "bcCfnpP:qs:uz", true);
}

int io_writev(IoSession *s, int argc, char **argv)
{
    return transfer(s, argc, argv, "writev", "CfP:q", true);
}

int io_discard(IoSession *s, int argc, char **argv)
{
    Transfer t = { .zeroes = true, .no_fallback = true }; /* no buffer, so no limit of its size */

    if (!transfer_parse(&t, argc, argv, "Cq", true))
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &t.started);
    int ret = transfer_check(s, &t);
    if (ret == 0)
        ret = node_discard(s->node, t.off, t.len);
    return transfer_done(&t, ret, "discard", "discard");
}
