/*
 * dd.c - img-tool dd: copy a part of an image into a new image, in the operands of dd(1).
 *
 * Beyond bs count if of skip: seek and conv=notrunc write into an image that exists, conv=noerror
 * takes what cannot be read as zeros.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/math.h"
#include "block/copy.h"

enum { DEFAULT_BLOCK = 512 };

typedef struct Dd {
    Common common;
    const Command *cmd;
    const char *target_format, *in, *out;
    uint64_t block, count, skip, seek; /* the last three in blocks */
    bool notrunc, noerror, sync;
} Dd;

/* ---- operands ---- */

static int parse_number(const char *name, const char *text, uint64_t *out)
{
    Error *err = NULL;
    int ret = size_parse(text, 0, out, &err);

    if (ret < 0) {
        error_prefix(&err, ret, "invalid %s '%s'", name, text);
        return fail(err, ret);
    }
    return 0;
}

static int parse_conversions(Dd *dd, const char *list)
{
    const struct {
        const char *name;
        bool *flag;
    } known[] = { { "notrunc", &dd->notrunc },
                  { "noerror", &dd->noerror },
                  { "fsync", &dd->sync },
                  { "fdatasync", &dd->sync } };

    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ","), i = 0;

        while (i < ARRAY_LEN(known) &&
               (strlen(known[i].name) != len || strncmp(known[i].name, p, len) != 0))
            i++;
        if (i == ARRAY_LEN(known))
            return usage_error(
                dd->cmd,
                "unknown conversion '%.*s': notrunc, noerror, fsync and fdatasync are known",
                (int)len, p);
        *known[i].flag = true;
        p += len + (p[len] == ',');
    }
    return 0;
}

static int parse_operand(Dd *dd, char *operand)
{
    char *value = strchr(operand, '=');
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } known[] = { { "bs", &dd->block, NULL },  { "count", &dd->count, NULL },
                  { "skip", &dd->skip, NULL }, { "seek", &dd->seek, NULL },
                  { "if", NULL, &dd->in },     { "of", NULL, &dd->out } };

    if (!value)
        return usage_error(dd->cmd, "unrecognized operand %s", operand);
    *value++ = 0;
    if (strcmp(operand, "conv") == 0)
        return parse_conversions(dd, value);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(operand, known[i].name) != 0)
            continue;
        if (known[i].number)
            return parse_number(operand, value, known[i].number);
        *known[i].text = value;
        return 0;
    }
    return usage_error(dd->cmd, "unrecognized operand %s", operand);
}

static int check_operands(const Dd *dd)
{
    if (!dd->in || !dd->out)
        return usage_error(dd->cmd, "must specify both input and output files (if= and of=)");
    if (dd->block < 1 || dd->block > INT_MAX)
        return usage_error(dd->cmd, "invalid bs: it must be between 1 and %d", INT_MAX);
    if (!driver_exists(dd->target_format)) {
        complain("unknown file format '%s'", dd->target_format);
        return 1;
    }
    return 0;
}

/* ---- the copy ---- */

/* `blocks` in bytes, but no more than `limit`. */
static uint64_t bytes_of(const Dd *dd, uint64_t blocks, uint64_t limit)
{
    return blocks > limit / dd->block ? limit : blocks * dd->block;
}

static Node *open_target(const Dd *dd, uint64_t end)
{
    Common common = { .quiet = dd->common.quiet };
    Error *err = NULL;
    int ret;

    if (!dd->notrunc) {
        Options *options = options_new();

        options_set_u64(options, "size", end);
        ret = node_create(dd->out, dd->target_format, options, 0, NULL, &err);
        if (ret < 0) {
            fail(err, ret);
            return NULL;
        }
    }
    return open_image(&common, dd->out, dd->target_format, dd->common.cache,
                      OPEN_RDWR | OPEN_UNMAP);
}

/* conv=notrunc into an image that is too short: one of these formats grows, as a file would. */
static int make_room(Node *dst, uint64_t end)
{
    Error *err = NULL;
    int ret = node_size(dst) < end ? node_resize(dst, end, PREALLOC_OFF, false, &err) : 0;

    return ret < 0 ? fail(err, ret) : 0;
}

static void report_line(void *opaque, const char *line)
{
    (void)opaque;
    complain("warning: %s", line);
}

static bool is_regular(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int copy(const Dd *dd, const CopyJob *job, Progress *progress)
{
    Error *err = NULL;

    progress_show(progress, dd->common.progress && !dd->common.quiet);
    int ret = copy_run(job, &err);
    if (ret == 0)
        ret = node_flush(job->dst);
    if (ret < 0)
        progress->cancel = true;
    progress_hide(progress);
    if (ret == 0)
        return 0;
    /* What we made and could not finish must not look like an image that is whole. */
    if (!dd->notrunc && is_regular(dd->out) && unlink(dd->out) < 0)
        complain("%s: the incomplete image could not be removed: %s", dd->out, strerror(errno));
    return fail(err, ret);
}

static int run(const Dd *dd)
{
    Progress progress = { 0 };

    if (check_operands(dd) != 0)
        return 1;
    AUTO_NODE Node *src =
        open_image(&dd->common, dd->in, dd->common.format, dd->common.src_cache, 0);
    if (!src)
        return 1;
    uint64_t start = bytes_of(dd, dd->skip, node_size(src)), to;
    uint64_t len = bytes_of(dd, dd->count, node_size(src) - start);
    if (mul_overflows(dd->seek, dd->block, &to) || to > (uint64_t)INT64_MAX - len) {
        complain("seek=%" PRIu64 " is beyond what an image can hold", dd->seek);
        return 1;
    }
    if (start == node_size(src) && dd->skip > start / dd->block)
        complain("%s: cannot skip to specified offset", dd->in);
    AUTO_NODE Node *dst = open_target(dd, to + len);
    if (!dst || make_room(dst, to + len) != 0)
        return 1;
    const CopyJob job = {
        .src = src,
        .dst = dst,
        .src_off = start,
        .len = len,
        .dst_off = to,
        .target_is_zero = !dd->notrunc && is_regular(dd->out),
        .salvage = dd->noerror,
        .sparse = 4096,
        .progress = &progress,
        .report = report_line,
    };
    progress.total = len;
    return copy(dd, &job, &progress);
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "source-cache", required_argument, NULL, 'T' },
    { "cache", required_argument, NULL, 't' },
    { "output-format", required_argument, NULL, 'O' },
    { 0 },
};

int cmd_dd(int argc, char **argv)
{
    Dd dd = { .cmd = command_find("dd"),
              .target_format = "raw",
              .block = DEFAULT_BLOCK,
              .count = UINT64_MAX };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:O:Upqt:T:", long_options, NULL)) != -1) {
        if (opt == 'O') {
            dd.target_format = optarg;
            continue;
        }
        if (common_option(&dd.common, dd.cmd, opt, &code) < 0)
            return code;
    }
    for (int i = optind; i < argc; i++)
        if (parse_operand(&dd, argv[i]) != 0)
            return 1;
    return run(&dd);
}
