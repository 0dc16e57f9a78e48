/*
 * commit.c - img-tool commit: write an overlay's content into an image below it.
 *
 * The base is opened for writing, everything above it without its own backing file, and the chain
 * is put together here: opened as usual, the base would be locked by its own overlay.
 *
 * The overlay keeps its data until the base has them on disk: an end in the middle loses nothing,
 * and the next try writes it all again.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <string.h>

#include "block/copy.h"

/* Is `base`, as the user spelled it, the image that `info` names as its backing file? */
static bool names_base(const ImageInfo *info, const char *base)
{
    return strcmp(base, info->backing_file) == 0 ||
           (info->full_backing_file && strcmp(base, info->full_backing_file) == 0);
}

/* What the overlay's name says of the images below it, which are opened here: their secrets. */
static Options *below_options(const Common *common, const char *name)
{
    AUTO_OPTIONS Options *o = options_new();

    if (common->image_opts)
        options_parse(o, name, "file", NULL);
    else if (strncmp(name, "json:", 5) == 0)
        options_parse_json(o, name + 5, NULL);
    return options_take_sub(o, "backing");
}

/* `options` (consumed) may name a file itself. */
static Node *open_below(const Common *common, const ImageInfo *info, Options *options,
                        const char *cache, unsigned flags)
{
    bool named = options_has(options, "file") || options_has(options, "filename");
    bool stated = named || options_has(options, "driver");

    return open_image_with(common, named ? NULL : info->full_backing_file,
                           stated ? NULL : info->backing_format, cache, flags, options);
}

/* Open what is below `top` down to the base (NULL: the image right below). *depth counts layers
 * between. */
static Node *open_base(Node *top, const char *base, const char *cache, Options *below_top,
                       unsigned *depth)
{
    AUTO_OPTIONS Options *options = below_top;
    AUTO_OPTIONS Options *next = options_take_sub(options, "backing");
    Common none = { .no_external = node_flags(top) & OPEN_NO_EXTERNAL,
                    .trusted = node_flags(top) & OPEN_TRUSTED };
    Error *err = NULL;
    ImageInfo info;
    int ret = node_info(top, &info, &err);

    if (ret == 0 && info.backing_file)
        ret = node_may_open(top, info.backing_file, &err);
    if (ret < 0) {
        fail(err, ret);
        return NULL;
    }
    if (!info.full_backing_file) {
        complain("%s: %s%s", node_filename(top),
                 base ? "there is no such backing file in the chain: "
                      : "the image has no backing file",
                 base ? base : "");
        return NULL;
    }
    bool found = !base || names_base(&info, base);
    Node *below =
        open_below(&none, &info, take(&options), cache, found ? OPEN_RDWR : OPEN_NO_BACKING);
    if (!below)
        return NULL;
    ret = node_set_backing(top, below, &err);
    if (ret < 0) {
        fail(err, ret);
        node_unref(below);
        return NULL;
    }
    if (found)
        return below;
    ++*depth;
    Node *deeper = open_base(below, base, cache, take(&next), depth);
    node_unref(below);
    return deeper;
}

static int grow_base(Node *base, uint64_t size)
{
    Error *err = NULL;

    if (node_size(base) >= size)
        return 0;
    int ret = node_resize(base, size, PREALLOC_OFF, false, &err);
    return ret < 0 ? fail(err, ret) : 0;
}

static int copy_down(Node *top, Node *base, const Common *common, uint64_t rate)
{
    Progress progress = { 0 };
    CopyJob job = {
        .src = top,
        .dst = base,
        .base = base,
        .len = node_size(top),
        .out_of_order = true, /* most of the base has its place already */
        .rate = rate,
        .progress = &progress,
    };
    Error *err = NULL;

    progress.total = job.len;
    progress_phase(&progress, "copy");
    progress_show(&progress, common->progress && !common->quiet);
    int ret = copy_run(&job, &err);
    if (ret == 0) {
        progress_phase(&progress, "flush");
        ret = node_flush(base); /* before the overlay lets go of its copy */
        if (ret < 0)
            error_set(&err, ret, "%s: cannot flush: %s", node_filename(base), strerror(-ret));
    }
    if (ret < 0)
        progress.cancel = true;
    progress_hide(&progress);
    return ret < 0 ? fail(err, ret) : 0;
}

static int commit(Node *top, const char *base_name, const Common *common, Options *below,
                  uint64_t rate, bool drop)
{
    unsigned depth = 0;
    Error *err = NULL;
    AUTO_NODE Node *base = open_base(top, base_name, common->cache, below, &depth);

    if (!base || grow_base(base, node_size(top)) != 0 || copy_down(top, base, common, rate) != 0)
        return 1;
    if (!drop && depth == 0) {
        int ret = node_make_empty(top, &err);

        if (ret == 0)
            ret = node_flush(top);
        if (ret < 0 && ret != -ENOTSUP)
            return fail(err, ret);
        error_free(err);
    }
    if (!common->quiet)
        puts("Image committed.");
    return 0;
}

int cmd_commit(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "base", required_argument, NULL, 'b' },
        { "drop", no_argument, NULL, 'd' },
        { "cache", required_argument, NULL, 't' },
        { "rate", required_argument, NULL, 'r' },
        { 0 },
    };
    const Command *cmd = command_find("commit");
    Common common = { 0 };
    const char *base = NULL;
    bool drop = false;
    uint64_t rate = 0;
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:t:b:dpqr:", long_options, NULL)) != -1) {
        if (opt == 'b') {
            base = optarg;
            drop = true; /* layers between would show through an emptied overlay */
        } else if (opt == 'd') {
            drop = true;
        } else if (opt == 'r') {
            if (!parse_rate(optarg, &rate))
                return 1;
        } else {
            if (common_option(&common, cmd, opt, &code) < 0)
                return code;
        }
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    AUTO_NODE Node *top =
        open_image(&common, argv[optind], common.format, common.cache, OPEN_NO_BACKING | OPEN_RDWR);
    return top ? commit(top, base, &common, below_options(&common, argv[optind]), rate, drop) : 1;
}
