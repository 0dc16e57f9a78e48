/*
 * compare.c - img-tool compare: do two images show the same content?
 *
 * A few workers take pieces in ascending order and compare them. After the first finding no more
 * are handed out; what is reported is the finding with the lowest offset. With --output=json
 * nothing stops them: all that differs is listed, in sectors.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/math.h"
#include "base/zero.h"

enum { EXIT_SAME, EXIT_DIFFERENT, EXIT_OPEN, EXIT_STATUS, EXIT_READ };
enum { CHUNK = 1 << 20, WORKERS = 3, SECTOR = 512, MAX_RANGES = 1 << 20 };

/* Where the two differ: in content, or (strict) only in what is allocated. */
typedef struct Range {
    uint64_t off, len;
    bool status;
} Range;

typedef struct Side {
    Node *node;
    uint64_t size;
    uint8_t *buf;
    bool zero, hole; /* of the piece being compared */
} Side;

typedef struct Comparison {
    Side a, b;        /* without buffers */
    bool strict, all; /* all: list everything that differs */
    Progress *progress;
    pthread_mutex_t lock; /* guards all below */
    uint64_t cursor, end;
    int code;    /* EXIT_SAME: nothing found yet */
    uint64_t at; /* where */
    bool status_differs;
    Range *ranges;
    size_t n_ranges, room;
    bool truncated; /* there were more ranges than we keep */
} Comparison;

/* As other tools see them: in whole sectors. What is behind an odd end is compared all the same. */
static bool sizes_differ(const Comparison *c)
{
    return align_up(c->a.size, SECTOR) != align_up(c->b.size, SECTOR);
}

/* What `side` has at `off`, for at most *len bytes; beyond its end it reads as zeros. */
static int look(Side *side, uint64_t off, uint64_t *len)
{
    Extent ext;

    if (off >= side->size) {
        side->zero = side->hole = true;
        return 0;
    }
    int ret = node_extent_above(side->node, NULL, off, MIN(*len, side->size - off), &ext);
    if (ret < 0) {
        complain("%s: cannot tell what is at offset %" PRIu64 ": %s", node_filename(side->node),
                 off, strerror(-ret));
        return ret;
    }
    side->hole = ext.kind == EXTENT_HOLE;
    side->zero = ext.zero || side->hole || ext.kind == EXTENT_ZERO;
    *len = ext.len;
    return 0;
}

static int load(Side *side, uint64_t off, uint64_t len)
{
    int ret = node_pread(side->node, side->buf, len, off);

    if (ret < 0)
        complain("%s: cannot read at offset %" PRIu64 ": %s", node_filename(side->node), off,
                 strerror(-ret));
    return ret;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
    uint64_t i = 0;

    while (i < len && a[i] == (b ? b[i] : 0))
        i++;
    return i;
}

/* EXIT_SAME, EXIT_DIFFERENT with *at set, or EXIT_READ. */
static int compare_piece(Side *a, Side *b, uint64_t off, uint64_t len, uint64_t *at)
{
    *at = off;
    if (a->zero && b->zero)
        return EXIT_SAME;
    if ((!a->zero && load(a, off, len) < 0) || (!b->zero && load(b, off, len) < 0))
        return EXIT_READ;
    if (a->zero || b->zero) {
        const uint8_t *data = a->zero ? b->buf : a->buf;

        if (mem_is_zero(data, len))
            return EXIT_SAME;
        *at += first_difference(data, NULL, len);
        return EXIT_DIFFERENT;
    }
    if (memcmp(a->buf, b->buf, len) == 0)
        return EXIT_SAME;
    *at += first_difference(a->buf, b->buf, len);
    return EXIT_DIFFERENT;
}

static uint64_t piece_length(const Side *a, const Side *b, uint64_t len)
{
    return a->zero && b->zero ? len : MIN(len, (uint64_t)CHUNK);
}

/* ---- pieces ------------------------------------------------------------------------------------
 */

/* With the lock held. */
static void found(Comparison *c, int code, uint64_t at, bool status_differs)
{
    if (c->code != EXIT_SAME && c->at <= at)
        return;
    c->code = code;
    c->at = at;
    c->status_differs = status_differs;
}

/* With the lock held. */
static void add_range(Comparison *c, uint64_t off, uint64_t len, bool status)
{
    Range *last = c->n_ranges ? &c->ranges[c->n_ranges - 1] : NULL;

    if (last && last->off + last->len == off && last->status == status) {
        last->len += len;
        return;
    }
    if (c->n_ranges == c->room && c->room < MAX_RANGES) {
        size_t room = c->room ? 2 * c->room : 64;
        Range *more = realloc(c->ranges, room * sizeof(*more));

        if (more) {
            c->ranges = more;
            c->room = room;
        }
    }
    if (c->n_ranges < c->room)
        c->ranges[c->n_ranges++] = (Range) { off, len, status };
    else
        c->truncated = true;
}

static bool same_bytes(const Side *a, const Side *b, uint64_t at, uint64_t len)
{
    if (a->zero)
        return mem_is_zero(b->buf + at, len);
    if (b->zero)
        return mem_is_zero(a->buf + at, len);
    return memcmp(a->buf + at, b->buf + at, len) == 0;
}

/* The sectors of a piece that differ. */
static void list_sectors(Comparison *c, const Side *a, const Side *b, uint64_t off, uint64_t len)
{
    pthread_mutex_lock(&c->lock);
    for (uint64_t at = 0, n; at < len; at += n) {
        n = MIN(len - at, SECTOR - (off + at) % SECTOR);
        if (!same_bytes(a, b, at, n))
            add_range(c, off + at, n, false);
    }
    pthread_mutex_unlock(&c->lock);
}

/* With the lock held: what both sides have at the cursor, for *len bytes. */
static bool look_both(Comparison *c, Side *a, Side *b, uint64_t *len)
{
    uint64_t off = c->cursor;

    *len = c->end - off;
    if (progress_cancelled(c->progress) || look(a, off, len) < 0 || look(b, off, len) < 0) {
        found(c, EXIT_STATUS, off, false);
        return false;
    }
    if (off < a->size)
        *len = MIN(*len, a->size - off);
    if (off < b->size)
        *len = MIN(*len, b->size - off);
    *len = piece_length(a, b, *len);
    if (c->strict && a->hole != b->hole) {
        if (c->all) {
            add_range(c, off, *len, true);
            return true;
        }
        found(c, EXIT_DIFFERENT, off, true);
        return false;
    }
    return true;
}

static bool next_piece(Comparison *c, Side *a, Side *b, uint64_t *off, uint64_t *len)
{
    pthread_mutex_lock(&c->lock);
    bool more = c->code == EXIT_SAME && c->cursor < c->end && look_both(c, a, b, len);
    if (more) {
        *off = c->cursor;
        c->cursor += *len;
    }
    pthread_mutex_unlock(&c->lock);
    return more;
}

static void *work(void *opaque)
{
    Comparison *c = opaque;
    AUTO_FREE uint8_t *bufs = buffer_alloc(2 * CHUNK);
    Side a = c->a, b = c->b;
    uint64_t off, len, at;

    if (!bufs) { /* what nobody compared is not the same */
        complain("no memory to compare images");
        pthread_mutex_lock(&c->lock);
        found(c, EXIT_READ, 0, false);
        pthread_mutex_unlock(&c->lock);
        return NULL;
    }
    a.buf = bufs;
    b.buf = bufs + CHUNK;
    while (next_piece(c, &a, &b, &off, &len)) {
        int code = compare_piece(&a, &b, off, len, &at);

        progress_step(c->progress, len);
        if (code == EXIT_SAME)
            continue;
        if (code == EXIT_DIFFERENT && c->all) {
            list_sectors(c, &a, &b, off, len);
            continue;
        }
        pthread_mutex_lock(&c->lock);
        found(c, code, at, false);
        pthread_mutex_unlock(&c->lock);
    }
    return NULL;
}

/* This thread is a worker, too: it goes on alone if no other can start. */
static void compare_all(Comparison *c)
{
    pthread_t threads[WORKERS - 1];
    int started = 0;

    while (started < WORKERS - 1 && pthread_create(&threads[started], NULL, work, c) == 0)
        started++;
    work(c);
    while (started)
        pthread_join(threads[--started], NULL);
    if (c->code == EXIT_SAME && c->cursor < c->end) {
        complain("no memory to compare");
        c->code = EXIT_READ;
    }
}

/* ---- the command --------------------------------------------------------------------------------
 */

/* The warning comes when the part that both have turned out to be the same. */
static void print_verdict(const Comparison *c)
{
    if (sizes_differ(c) && (c->code == EXIT_SAME || c->at >= MIN(c->a.size, c->b.size)))
        puts("Warning: Image size mismatch!");
    if (c->code == EXIT_SAME)
        puts("Images are identical.");
    else if (c->status_differs)
        printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", c->at);
    else if (c->code == EXIT_DIFFERENT)
        printf("Content mismatch at offset %" PRIu64 "!\n", c->at);
}

static int by_offset(const void *a, const void *b)
{
    const Range *p = a, *q = b;

    if (p->off != q->off)
        return p->off < q->off ? -1 : 1;
    return (int)p->status - (int)q->status;
}

/* Workers found them in some order, and split them where pieces end. */
static void merge_ranges(Comparison *c)
{
    size_t n = c->n_ranges;

    if (n)
        qsort(c->ranges, n, sizeof(*c->ranges), by_offset);
    c->n_ranges = 0;
    for (size_t i = 0; i < n; i++) {
        Range r = c->ranges[i];

        add_range(c, r.off, r.len, r.status);
    }
    if (n && c->code == EXIT_SAME) {
        c->code = EXIT_DIFFERENT;
        c->at = c->ranges[0].off;
    }
}

static void print_ranges(JsonWriter *w, const Comparison *c)
{
    jw_key(w, "ranges");
    jw_begin_array(w);
    for (size_t i = 0; i < c->n_ranges; i++) {
        jw_begin_object(w);
        jw_put_u64(w, "start", c->ranges[i].off);
        jw_put_u64(w, "length", c->ranges[i].len);
        jw_put_string(w, "differs", c->ranges[i].status ? "allocation" : "content");
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void print_json(const Comparison *c)
{
    uint64_t bytes = 0;
    JsonWriter w;

    for (size_t i = 0; i < c->n_ranges; i++)
        bytes += c->ranges[i].status ? 0 : c->ranges[i].len;
    jw_init(&w, stdout, 4);
    jw_begin_object(&w);
    jw_put_bool(&w, "identical", c->code == EXIT_SAME);
    jw_put_bool(&w, "complete", c->code == EXIT_SAME || c->code == EXIT_DIFFERENT);
    jw_put_u64(&w, "size-a", c->a.size);
    jw_put_u64(&w, "size-b", c->b.size);
    jw_put_u64(&w, "different-bytes", bytes);
    print_ranges(&w, c);
    jw_put_bool(&w, "truncated", c->truncated);
    jw_end_object(&w);
    putchar('\n');
}

static void print_result(Comparison *c, const Common *common)
{
    if (common->json)
        print_json(c);
    else if (!common->quiet)
        print_verdict(c);
}

static int compare(Node *first, Node *second, const Common *common, bool strict)
{
    Progress progress = { 0 };
    Comparison c = {
        .a = { .node = first, .size = node_size(first) },
        .b = { .node = second, .size = node_size(second) },
        .strict = strict,
        .all = common->json,
        .progress = &progress,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };

    if (sizes_differ(&c) && strict && !c.all) {
        if (!common->quiet)
            puts("Strict mode: Image size mismatch!");
        return EXIT_DIFFERENT;
    }
    progress.total = c.end = MAX(c.a.size, c.b.size);
    progress_phase(&progress, "compare");
    progress_show(&progress, common->progress && !common->quiet);
    compare_all(&c);
    merge_ranges(&c);
    if (c.all && strict && sizes_differ(&c) && c.code == EXIT_SAME)
        c.code = EXIT_DIFFERENT;
    if (c.code > EXIT_DIFFERENT)
        progress.cancel = true;
    progress_hide(&progress);
    print_result(&c, common);
    free(c.ranges);
    return c.code;
}

int cmd_compare(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "cache", required_argument, NULL, 'T' },
        { "strict", no_argument, NULL, 's' },
        { "a-format", required_argument, NULL, 'f' },
        { "b-format", required_argument, NULL, 'F' },
        { 0 },
    };
    const Command *cmd = command_find("compare");
    Common common = { 0 };
    const char *format_b = NULL;
    bool strict = false;
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:F:T:pqsU", long_options, NULL)) != -1) {
        if (opt == 'F') {
            format_b = optarg;
        } else if (opt == 's') {
            strict = true;
        } else if (common_option(&common, cmd, opt, &code) < 0) {
            return code;
        }
    }
    if (argc - optind != 2)
        return usage_error(cmd, "exactly two file names are expected");
    AUTO_NODE Node *first = open_image(&common, argv[optind], common.format, common.src_cache, 0);
    if (!first)
        return EXIT_OPEN;
    AUTO_NODE Node *second = open_image(&common, argv[optind + 1], format_b, common.src_cache, 0);
    if (!second)
        return EXIT_OPEN;
    return compare(first, second, &common, strict);
}
