/*
 * rebase.c - img-tool rebase: give an overlay another backing file.
 *
 * Safe mode keeps what the image shows: wherever the overlay itself has nothing and the old and the
 * new chain differ, the old content is copied into the overlay, on disk before the header names the
 * new backing file. An end in the middle leaves an overlay that shows what it did, on its old
 * backing file; the next try finds what was copied already and does the rest.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <string.h>

#include "block/copy.h"

enum { REQUEST = 512 << 10 }; /* two buffers of it a piece stay in the processor's cache */

typedef struct Rebase {
    Common common;
    const Command *cmd;
    const char *file, *format; /* the new backing file; "": none */
    bool unsafe, compressed;
} Rebase;

static int copy_differences(const Rebase *r, Node *top, Node *new_base)
{
    Progress progress = { 0 };
    CopyJob job = {
        .src = node_backing(top),
        .dst = top,
        .len = node_size(top),
        .differences = true,
        .request_size = REQUEST,
        .other = new_base,
        .compressed = r->compressed,
        .progress = &progress,
    };
    Error *err = NULL;

    progress.total = job.len;
    progress_phase(&progress, "copy");
    progress_show(&progress, r->common.progress && !r->common.quiet);
    int ret = copy_run(&job, &err);
    if (ret == 0) {
        progress_phase(&progress, "flush");
        ret = node_flush(top);
        if (ret < 0)
            error_set(&err, ret, "%s: cannot flush: %s", node_filename(top), strerror(-ret));
    }
    if (ret < 0)
        progress.cancel = true;
    progress_hide(&progress);
    return ret < 0 ? fail(err, ret) : 0;
}

static int change_header(const Rebase *r, Node *top, const char *format)
{
    Error *err = NULL;
    int ret =
        node_change_backing_file(top, *r->file ? r->file : NULL, *r->file ? format : NULL, &err);

    if (ret == 0)
        ret = node_flush(top);
    return ret < 0 ? fail(err, ret) : 0;
}

/* A name inside an image is relative to that image's folder. */
static Node *open_new_base(const Rebase *r, const char *image)
{
    AUTO_FREE char *path = path_resolve(image, r->file);
    Common none = { .force_share = r->common.force_share,
                    .no_external = r->common.no_external,
                    .trusted = r->common.trusted };

    return open_image(&none, path, r->format, r->common.src_cache, 0);
}

static int rebase(const Rebase *r, const char *image)
{
    AUTO_NODE Node *new_base = NULL;
    unsigned flags = OPEN_RDWR | (r->unsafe ? OPEN_NO_BACKING : 0);
    const char *format = r->format;

    if (*r->file && !r->unsafe) {
        new_base = open_new_base(r, image);
        if (!new_base)
            return 1;
    }
    Common own = r->common;
    own.force_share = false; /* -U is about the backing files: this one is written */
    AUTO_NODE Node *top = open_image(&own, image, r->common.format, r->common.cache, flags);
    if (!top)
        return 1;
    if (r->compressed && !driver_supports_compression(node_format(top))) {
        complain("compression is not supported by the format '%s'", node_format(top));
        return 1;
    }
    if (!format && new_base)
        format = node_format(new_base); /* recorded, so that nobody has to guess it again */
    if (!r->unsafe && copy_differences(r, top, new_base) != 0)
        return 1;
    return change_header(r, top, format);
}

int cmd_rebase(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "backing", required_argument, NULL, 'b' },
        { "backing-format", required_argument, NULL, 'F' },
        { "backing-unsafe", no_argument, NULL, 'u' },
        { "compress", no_argument, NULL, 'c' },
        { "cache", required_argument, NULL, 't' },
        { "backing-cache", required_argument, NULL, 'T' },
        { 0 },
    };
    Rebase r = { .cmd = command_find("rebase") };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:F:b:cupt:T:qU", long_options, NULL)) != -1) {
        switch (opt) {
        case 'b': r.file = optarg; break;
        case 'F': r.format = optarg; break;
        case 'u': r.unsafe = true; break;
        case 'c': r.compressed = true; break;
        default:
            if (common_option(&r.common, r.cmd, opt, &code) < 0)
                return code;
        }
    }
    if (argc - optind != 1)
        return usage_error(r.cmd, "exactly one file name is expected");
    if (!r.file)
        return usage_error(r.cmd,
                           "the new backing file must be given with -b (an empty name: none)");
    if (r.compressed && r.unsafe)
        return usage_error(r.cmd, "-c compresses what is copied, and -u copies nothing");
    return rebase(&r, argv[optind]);
}
