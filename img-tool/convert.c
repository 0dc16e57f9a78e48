/*
 * convert.c - img-tool convert: copy one or several images into a new one.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/math.h"
#include "block/copy.h"

enum { MAX_SOURCES = 1024, DEFAULT_SPARSE = 4096, MIN_SPARSE = 512 };

typedef struct Convert {
    Common common;
    const Command *cmd;
    const char *target_format, *target, *snapshot;
    const char *backing_file;
    Options *options; /* of the target */
    bool bitmaps, skip_broken_bitmaps;
    bool target_image_opts, existing, made, target_is_zero, compressed, out_of_order, salvage;
    uint64_t sparse, workers;
    Node *sources[MAX_SOURCES];
    size_t n_sources;
    Node *dst;
    uint64_t total;
} Convert;

static void convert_free(Convert *c)
{
    for (size_t i = 0; i < c->n_sources; i++)
        node_unref(c->sources[i]);
    node_unref(c->dst);
    options_free(c->options);
}

/* ---- command line ---- */

static int number_option(Convert *c, int opt)
{
    if (opt == 'S') {
        if (!parse_size(optarg, "sparse size", &c->sparse))
            return 1;
        if (c->sparse % MIN_SPARSE)
            return usage_error(c->cmd, "the sparse size must be a multiple of %d, not '%s'",
                               MIN_SPARSE, optarg);
        return 0;
    }
    if (!parse_size(optarg, "number of workers", &c->workers))
        return 1;
    if (c->workers < 1 || c->workers > 16)
        return usage_error(c->cmd, "the number of workers is 1 to 16, not '%s'", optarg);
    return 0;
}

static int target_options(Convert *c, const char *text)
{
    Error *err = NULL;
    int ret = options_parse(c->options, text, NULL, &err);

    return ret < 0 ? fail(err, ret) : 0;
}

enum { OPT_TARGET_IS_ZERO = OPT_COMMAND, OPT_SALVAGE, OPT_BITMAPS, OPT_SKIP_BROKEN };

/* 0: done, 1: report as exit code 1, -1: not convert's own option. */
static int own_option(Convert *c, int opt)
{
    switch (opt) {
    case 'O': c->target_format = optarg; return 0;
    case 'B':
        c->backing_file = optarg;
        options_set(c->options, "backing_file", optarg);
        return 0;
    case 'F': options_set(c->options, "backing_fmt", optarg); return 0;
    case 'o': return target_options(c, optarg);
    case 'l': c->snapshot = optarg; return 0;
    case 'S':
    case 'm': return number_option(c, opt);
    case 'n': c->existing = true; return 0;
    case 'c': c->compressed = true; return 0;
    case 'C': return 0; /* the engine chooses the fastest way itself */
    case 'W': c->out_of_order = true; return 0;
    case OPT_TARGET_IS_ZERO: c->target_is_zero = true; return 0;
    case OPT_TARGET_IMAGE_OPTS: c->target_image_opts = true; return 0;
    case OPT_BITMAPS: c->bitmaps = true; return 0;
    case OPT_SKIP_BROKEN: c->skip_broken_bitmaps = true; return 0;
    case OPT_SALVAGE: c->salvage = true; return 0;
    default: return -1;
    }
}

static int check_arguments(Convert *c)
{
    unsigned flags = 0;

    if (c->common.cache && cache_mode_flags(c->common.cache, &flags) < 0)
        return usage_error(c->cmd, "invalid cache mode '%s'", c->common.cache);
    if (c->target_image_opts && !c->existing)
        return usage_error(c->cmd, "--target-image-opts needs -n: it names an image that exists");
    if (c->existing && !options_empty(c->options))
        return usage_error(c->cmd,
                           "-o, -B and -F cannot be used with -n: the target exists already");
    if (c->target_is_zero && !c->existing)
        return usage_error(c->cmd, "--target-is-zero needs -n");
    if (c->target_is_zero && c->backing_file)
        return usage_error(c->cmd, "a target with a backing file does not read as zeros");
    if (c->compressed &&
        (options_has(c->options, "encrypt.format") || options_has(c->options, "encryption")))
        return usage_error(c->cmd, "Compression and encryption not supported at the same time");
    if (c->skip_broken_bitmaps && !c->bitmaps)
        return usage_error(c->cmd, "Use of --skip-broken-bitmaps requires --bitmaps");
    if (!c->target_image_opts && !driver_exists(c->target_format)) {
        complain("unknown file format '%s'", c->target_format);
        return 1;
    }
    if (c->compressed && !c->target_image_opts && !driver_supports_compression(c->target_format)) {
        complain("compression is not supported by the format '%s'", c->target_format);
        return 1;
    }
    return 0;
}

/* ---- source and target ---- */

static int open_sources(Convert *c, char **names, size_t n)
{
    Error *err = NULL;

    if (n > MAX_SOURCES)
        return usage_error(c->cmd, "more than %d source images", MAX_SOURCES);
    if (n > 1 && c->bitmaps)
        return usage_error(c->cmd, "Copying bitmaps only possible with single source");
    if (n > 1 && c->snapshot)
        return usage_error(c->cmd, "a snapshot can be taken from one source image only");
    for (size_t i = 0; i < n; i++) {
        Node *node = open_image(&c->common, names[i], c->common.format, c->common.src_cache, 0);

        if (!node)
            return 1;
        c->sources[c->n_sources++] = node;
        if (c->snapshot) {
            int ret = load_snapshot(node, c->snapshot, &err);

            if (ret < 0)
                return fail(err, ret);
        }
        if (add_overflows(c->total, node_size(node), &c->total)) {
            complain("the source images together are too large");
            return 1;
        }
    }
    return 0;
}

static bool is_regular_or_absent(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

static int open_target(Convert *c)
{
    Common common = { .image_opts = c->target_image_opts };
    const char *cache = c->common.cache ? c->common.cache : "unsafe";
    AUTO_OPTIONS Options *secrets = secret_options(c->options);
    Error *err = NULL;

    if (!c->existing) {
        if (!options_has(c->options, "size"))
            options_set_u64(c->options, "size", c->total);
        c->target_is_zero =
            !options_has(c->options, "backing_file") && is_regular_or_absent(c->target);
        int ret = node_create(c->target, c->target_format, take(&c->options), 0, NULL, &err);
        if (ret < 0)
            return fail(err, ret);
        c->made = true;
    }
    c->dst = open_image_with(
        &common, c->target, c->target_image_opts ? NULL : c->target_format, cache,
        OPEN_RDWR | OPEN_UNMAP | (c->backing_file ? 0 : OPEN_NO_BACKING), take(&secrets));
    if (!c->dst)
        return 1;
    c->target_is_zero &= c->existing || node_made_zero(c->dst);
    if (c->bitmaps && check_bitmaps(c->dst, c->sources[0], c->skip_broken_bitmaps) != 0)
        return 1;
    if (node_size(c->dst) < c->total) {
        complain("%s: %" PRIu64 " bytes are too few for the source's %" PRIu64, c->target,
                 node_size(c->dst), c->total);
        return 1;
    }
    return 0;
}

/* ---- the copy ---- */

static void report_line(void *opaque, const char *line)
{
    (void)opaque;
    complain("warning: %s", line);
}

static int copy_sources(Convert *c, Progress *progress)
{
    uint64_t off = 0;

    for (size_t i = 0; i < c->n_sources; i++) {
        Node *src = c->sources[i];
        CopyJob job = {
            .src = src,
            .dst = c->dst,
            .len = node_size(src),
            .dst_off = off,
            .base = c->backing_file ? node_backing(src) : NULL,
            .only_above = c->backing_file != NULL,
            .target_is_zero = c->target_is_zero,
            .full = c->sparse == 0,
            .compressed = c->compressed,
            .out_of_order = c->out_of_order,
            .salvage = c->salvage,
            .sparse = c->sparse,
            .workers = (unsigned)c->workers,
            .progress = progress,
            .report = report_line,
        };
        Error *err = NULL;
        int ret = copy_run(&job, &err);

        if (ret < 0)
            return fail(err, ret);
        off += node_size(src);
    }
    int ret = node_flush(c->dst);
    if (ret < 0) {
        complain("%s: cannot flush: %s", c->target, strerror(-ret));
        return 1;
    }
    return 0;
}

static int run(Convert *c)
{
    Progress progress = { 0 };

    progress.total = c->total;
    /* From here on a signal cancels: also one that comes when the target has just been made. */
    progress_show(&progress, c->common.progress && !c->common.quiet);
    int code = open_target(c);
    if (code == 0)
        code = copy_sources(c, &progress);
    if (code == 0 && c->bitmaps)
        code = copy_bitmaps(c->dst, c->sources[0], c->skip_broken_bitmaps);
    if (code != 0)
        progress.cancel = true;
    progress_hide(&progress);
    /* A target that we made and could not finish must not look like an image that is whole. */
    if (code != 0 && c->made && is_regular_or_absent(c->target) && unlink(c->target) < 0 &&
        errno != ENOENT)
        complain("%s: the incomplete target could not be removed: %s", c->target, strerror(errno));
    return code;
}

static int convert(Convert *c, int argc, char **argv)
{
    if (argc - optind < 2)
        return usage_error(c->cmd, "a source and a target file name are expected");
    c->target = argv[argc - 1];
    if (check_arguments(c) != 0 || open_sources(c, argv + optind, (size_t)(argc - optind - 1)) != 0)
        return 1;
    return run(c);
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "target-format", required_argument, NULL, 'O' },
    { "target-image-opts", no_argument, NULL, OPT_TARGET_IMAGE_OPTS },
    { "target-is-zero", no_argument, NULL, OPT_TARGET_IS_ZERO },
    { "salvage", no_argument, NULL, OPT_SALVAGE },
    { "bitmaps", no_argument, NULL, OPT_BITMAPS },
    { "skip-broken-bitmaps", no_argument, NULL, OPT_SKIP_BROKEN },
    { 0 },
};

int cmd_convert(int argc, char **argv)
{
    Convert c = { .cmd = command_find("convert"),
                  .target_format = "raw",
                  .sparse = DEFAULT_SPARSE };
    int opt, code = -1;

    c.options = options_new();
    while (code < 0 && (opt = getopt_long(argc, argv, "hf:O:B:b:F:Cco:l:S:pqnt:T:m:WU",
                                          long_options, NULL)) != -1) {
        int ret = own_option(&c, opt == 'b' ? 'B' : opt);

        if (ret > 0)
            code = 1;
        else if (ret < 0 && common_option(&c.common, c.cmd, opt, &code) > 0)
            code = usage_error(c.cmd, "unknown option");
    }
    if (code < 0)
        code = convert(&c, argc, argv);
    convert_free(&c);
    return code;
}
