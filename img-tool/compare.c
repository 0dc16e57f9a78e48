/*
 * compare.c - img-tool compare: do two images show the same content?
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "base/zero.h"

enum { EXIT_SAME, EXIT_DIFFERENT, EXIT_OPEN, EXIT_STATUS, EXIT_READ };
enum { CHUNK = 128 << 10 }; /* both buffers stay in the second-level cache */

typedef struct Side {
    Node *node;
    uint64_t size;
    uint8_t *buf;
    bool zero, hole; /* of the piece being compared */
} Side;

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
    if (a->zero && b->zero)
        return EXIT_SAME;
    if ((!a->zero && load(a, off, len) < 0) || (!b->zero && load(b, off, len) < 0))
        return EXIT_READ;
    if (a->zero || b->zero) {
        const uint8_t *data = a->zero ? b->buf : a->buf;

        if (mem_is_zero(data, len))
            return EXIT_SAME;
        *at = off + first_difference(data, NULL, len);
        return EXIT_DIFFERENT;
    }
    if (memcmp(a->buf, b->buf, len) == 0)
        return EXIT_SAME;
    *at = off + first_difference(a->buf, b->buf, len);
    return EXIT_DIFFERENT;
}

static uint64_t piece_length(const Side *a, const Side *b, uint64_t len)
{
    return a->zero && b->zero ? len : MIN(len, (uint64_t)CHUNK);
}

static int compare_all(Side *a, Side *b, const Common *common, bool strict, Progress *progress)
{
    uint64_t end = MAX(a->size, b->size), at = 0;

    for (uint64_t off = 0; off < end;) {
        uint64_t len = end - off;

        if (progress_cancelled(progress))
            return EXIT_STATUS;
        if (look(a, off, &len) < 0 || look(b, off, &len) < 0)
            return EXIT_STATUS;
        if (off < a->size)
            len = MIN(len, a->size - off);
        if (off < b->size)
            len = MIN(len, b->size - off);
        if (strict && a->hole != b->hole) {
            if (!common->quiet)
                printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", off);
            return EXIT_DIFFERENT;
        }
        len = piece_length(a, b, len);
        int code = compare_piece(a, b, off, len, &at);
        if (code == EXIT_DIFFERENT && !common->quiet)
            printf("Content mismatch at offset %" PRIu64 "!\n", at);
        if (code != EXIT_SAME)
            return code;
        off += len;
        progress_step(progress, len);
    }
    if (!common->quiet)
        puts("Images are identical.");
    return EXIT_SAME;
}

static int compare(Side *a, Side *b, const Common *common, bool strict)
{
    Progress progress = { 0 };

    a->size = node_size(a->node);
    b->size = node_size(b->node);
    if (a->size != b->size && strict) {
        if (!common->quiet)
            puts("Strict mode: Image size mismatch!");
        return EXIT_DIFFERENT;
    }
    if (a->size != b->size && !common->quiet)
        puts("Warning: Image size mismatch!");
    progress.total = MAX(a->size, b->size);
    progress_show(&progress, common->progress);
    int code = compare_all(a, b, common, strict, &progress);
    progress_hide(&progress);
    return code;
}

int cmd_compare(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "strict", no_argument, NULL, 's' },
        { "a-format", required_argument, NULL, 'f' },
        { "b-format", required_argument, NULL, 'F' },
        { 0 },
    };
    const Command *cmd = command_find("compare");
    Common common = { 0 };
    const char *format_b = NULL;
    bool strict = false;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:F:T:pqsU", long_options, NULL)) != -1) {
        if (opt == 'F') {
            format_b = optarg;
        } else if (opt == 's') {
            strict = true;
        } else {
            ret = common_option(&common, cmd, opt, &code);
            if (ret > 0)
                code = usage_error(cmd, "unknown option");
            if (ret != 0)
                return code ? EXIT_OPEN : EXIT_SAME;
        }
    }
    if (argc - optind != 2) {
        usage_error(cmd, "exactly two file names are expected");
        return EXIT_OPEN;
    }
    AUTO_NODE Node *first = open_image(&common, argv[optind], common.format, common.src_cache, 0);
    if (!first)
        return EXIT_OPEN;
    AUTO_NODE Node *second = open_image(&common, argv[optind + 1], format_b, common.src_cache, 0);
    if (!second)
        return EXIT_OPEN;
    AUTO_FREE uint8_t *bufs = malloc(2 * CHUNK);
    if (!bufs) {
        complain("no memory");
        return EXIT_READ;
    }
    Side a = { .node = first, .buf = bufs }, b = { .node = second, .buf = bufs + CHUNK };

    return compare(&a, &b, &common, strict);
}
