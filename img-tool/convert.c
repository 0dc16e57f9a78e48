/*
 * convert.c - img-tool convert: copy one or several images into a new one.
 */
#include "img-tool/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "block/copy.h"

enum { DEFAULT_SPARSE = 4096, MIN_SPARSE = 512 };

static void convert_free(Convert *c)
{
    for (size_t i = 0; i < c->n_sources; i++)
        node_unref(c->sources[i]);
    node_unref(c->dst);
    options_free(c->options);
    options_free(c->open_options);
    part_free(&c->part);
    free(c->level);
}

/* ---- command line ---- */

static int number_option(Convert *c, int opt)
{
    if (opt == 'S') {
        if (!parse_size(optarg, "sparse size", &c->sparse))
            return 1;
        c->sparse_given = true;
        if (c->sparse % MIN_SPARSE)
            return usage_error(c->cmd, "the sparse size must be a multiple of %d, not '%s'",
                               MIN_SPARSE, optarg);
        return 0;
    }
    if (!parse_size(optarg, "number of workers", &c->workers))
        return 1;
    if (c->workers < 1 || c->workers > COPY_MAX_WORKERS)
        return usage_error(c->cmd, "the number of workers is 1 to %d, not '%s'", COPY_MAX_WORKERS,
                           optarg);
    return 0;
}

static int target_options(Convert *c, const char *text)
{
    Error *err = NULL;

    c->given_options = true;
    if (asks_for_help(text)) {
        c->list_options = true;
        return 0;
    }
    int ret = options_parse(c->options, text, NULL, &err);
    return ret < 0 ? fail(err, ret) : 0;
}

enum { OPT_TARGET_IS_ZERO = OPT_COMMAND, OPT_SALVAGE, OPT_RESUME, OPT_BITMAPS, OPT_SKIP_BROKEN };

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
    case 'C': c->offload = true; return 0;
    case 'r': return parse_rate(optarg, &c->rate) ? 0 : 1;
    case OPT_RESUME: c->resume = true; return 0;
    case 'W': c->out_of_order = true; return 0;
    case OPT_TARGET_IS_ZERO: c->target_is_zero = true; return 0;
    case OPT_TARGET_IMAGE_OPTS: c->target_image_opts = true; return 0;
    case OPT_BITMAPS: c->bitmaps = true; return 0;
    case OPT_SKIP_BROKEN: c->skip_broken_bitmaps = true; return 0;
    case OPT_SALVAGE: c->salvage = true; return 0;
    default: return -1;
    }
}

/* What says something about a target that there is, or that there is not. */
static int check_existing(Convert *c)
{
    if (c->target_image_opts && !c->existing)
        return usage_error(c->cmd, "--target-image-opts needs -n: it names an image that exists");
    if (c->target_is_zero && !c->existing)
        return usage_error(c->cmd, "--target-is-zero needs -n");
    if (c->target_is_zero && c->backing_file)
        return usage_error(c->cmd, "a target with a backing file does not read as zeros");
    if (c->resume && c->existing)
        return usage_error(c->cmd, "--resume goes on with a target that convert made, -n does not "
                                   "make one");
    if (c->resume && c->out_of_order)
        return usage_error(c->cmd, "with -W nobody knows what was written: it cannot be resumed");
    return 0;
}

static int check_ways_of_copying(Convert *c)
{
    if (c->offload && c->compressed)
        return usage_error(c->cmd, "-C lets the kernel copy, which does not compress (-c)");
    if (c->offload && c->sparse_given)
        return usage_error(c->cmd, "-C lets the kernel copy, which does not look for zeros (-S)");
    if (c->offload && c->salvage)
        return usage_error(c->cmd, "-C lets the kernel copy, which does not salvage");
    if (c->level && !c->compressed)
        return usage_error(c->cmd, "compression_level is of use with -c only");
    return 0;
}

static int check_arguments(Convert *c)
{
    unsigned flags = 0;

    if (c->common.cache && cache_mode_flags(c->common.cache, &flags) < 0)
        return usage_error(c->cmd, "invalid cache mode '%s'", c->common.cache);
    if (c->compressed &&
        (options_has(c->options, "encrypt.format") || options_has(c->options, "encryption")))
        return usage_error(c->cmd, "Compression and encryption not supported at the same time");
    if (c->skip_broken_bitmaps && !c->bitmaps)
        return usage_error(c->cmd, "Use of --skip-broken-bitmaps requires --bitmaps");
    c->level = options_take(c->options, "compression_level");
    if (check_existing(c) != 0 || check_ways_of_copying(c) != 0)
        return 1;
    if (!c->target_image_opts && !driver_exists(c->target_format)) {
        complain("unknown file format '%s'", c->target_format);
        return 1;
    }
    if (c->compressed && !c->target_image_opts && !driver_supports_compression(c->target_format)) {
        complain("compression is not supported by the format '%s'", c->target_format);
        return 1;
    }
    if (c->existing && c->given_options)
        return usage_error(c->cmd, "-o has no effect with -n: the target exists already");
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

/* ---- the copy ---- */

static void report_line(void *opaque, const char *line)
{
    (void)opaque;
    complain("warning: %s", line);
}

/* Of the target's bytes those of this source that are not there yet. */
static int copy_source(Convert *c, Node *src, Progress *progress)
{
    uint64_t size = node_size(src), resume = c->part.resume;
    uint64_t done = resume > c->before ? MIN(resume - c->before, size) : 0;
    CopyJob job = {
        .src = src,
        .dst = c->dst,
        .src_off = done,
        .len = size - done,
        .dst_off = c->before + done,
        .base = c->backing_file ? node_backing(src) : NULL,
        .only_above = c->backing_file != NULL,
        .target_is_zero = c->target_is_zero,
        .full = c->sparse == 0,
        .compressed = c->compressed,
        .out_of_order = c->out_of_order,
        .salvage = c->salvage,
        .share = !c->sparse_given && !c->salvage,
        .offload = c->offload,
        .sparse = c->sparse,
        .workers = (unsigned)c->workers,
        .rate = c->rate,
        .progress = progress,
        .report = report_line,
        .checkpoint = c->has_part ? convert_checkpoint : NULL,
        .opaque = c,
    };
    Error *err = NULL;
    int ret = copy_run(&job, &err);

    c->before += size;
    return ret < 0 ? fail(err, ret) : 0;
}

static int copy_sources(Convert *c, Progress *progress)
{
    progress_phase(progress, "copy");
    for (size_t i = 0; i < c->n_sources; i++)
        if (copy_source(c, c->sources[i], progress) != 0)
            return 1;
    progress_phase(progress, "flush");
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
    int code = convert_open_target(c, &progress);
    if (code == 0 && c->bitmaps)
        code = check_bitmaps(c->dst, c->sources[0], c->skip_broken_bitmaps);
    if (code == 0)
        code = copy_sources(c, &progress);
    if (code == 0 && c->bitmaps)
        code = copy_bitmaps(c->dst, c->sources[0], c->skip_broken_bitmaps);
    code = convert_finish_target(c, code);
    if (code != 0)
        progress.cancel = true;
    progress_hide(&progress);
    return code;
}

static int convert(Convert *c, int argc, char **argv)
{
    if (c->list_options)
        return list_create_options(c->target_format, optind < argc ? argv[argc - 1] : NULL);
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
    { "resume", no_argument, NULL, OPT_RESUME },
    { "options", required_argument, NULL, 'o' },
    { "target-options", required_argument, NULL, 'o' },
    { "snapshot", required_argument, NULL, 'l' },
    { "backing", required_argument, NULL, 'B' },
    { "backing-format", required_argument, NULL, 'F' },
    { "compress", no_argument, NULL, 'c' },
    { "no-create", no_argument, NULL, 'n' },
    { "sparse-size", required_argument, NULL, 'S' },
    { "parallel", required_argument, NULL, 'm' },
    { "oob", no_argument, NULL, 'W' },
    { "out-of-order", no_argument, NULL, 'W' },
    { "rate-limit", required_argument, NULL, 'r' },
    { "copy-range-offloading", no_argument, NULL, 'C' },
    { "target-cache", required_argument, NULL, 't' },
    { "cache", required_argument, NULL, 't' },
    { "source-cache", required_argument, NULL, 'T' },
    { 0 },
};

int cmd_convert(int argc, char **argv)
{
    Convert c = { .cmd = command_find("convert"),
                  .target_format = "raw",
                  .sparse = DEFAULT_SPARSE };
    int opt, code = -1;

    c.options = options_new();
    while (code < 0 && (opt = getopt_long(argc, argv, "hf:O:B:b:F:Cco:l:S:pqnt:T:m:WUr:",
                                          long_options, NULL)) != -1) {
        int ret = own_option(&c, opt == 'b' ? 'B' : opt);

        if (ret > 0)
            code = 1;
        else if (ret < 0)
            common_option(&c.common, c.cmd, opt, &code);
    }
    if (code < 0)
        code = convert(&c, argc, argv);
    convert_free(&c);
    return code;
}
