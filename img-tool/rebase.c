/*
 * rebase.c - img-tool rebase: give an overlay another backing file.
 *
 * Safe mode keeps what the image shows: wherever the overlay itself has nothing and the old and the
 * new chain differ, the old content is copied into the overlay, on disk before the header names the
 * new backing file.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/math.h"

enum { CHUNK = 2 << 20 };

typedef struct Rebase {
    Node *top, *old, *new_base; /* old, new_base: NULL is "nothing": zeros */
    uint8_t *a, *b;
    uint64_t step; /* granularity of copying: the overlay's cluster */
    Progress progress;
} Rebase;

/* Read what a chain shows, zeros beyond its end. */
static int read_chain(Node *node, uint8_t *buf, uint64_t off, uint64_t len)
{
    uint64_t size = node ? node_size(node) : 0;
    uint64_t n = off < size ? MIN(len, size - off) : 0;

    memset(buf + n, 0, len - n);
    return n ? node_pread(node, buf, n, off) : 0;
}

static bool chain_is_zero(Node *node, uint64_t off, uint64_t *len)
{
    Extent ext;

    if (!node || off >= node_size(node))
        return true;
    if (node_extent_above(node, NULL, off, MIN(*len, node_size(node) - off), &ext) < 0)
        return false;
    if (ext.len < *len && off + ext.len < node_size(node))
        *len = ext.len;
    return ext.zero || ext.kind == EXTENT_HOLE || ext.kind == EXTENT_ZERO;
}

static int copy_differences(Rebase *r, uint64_t off, uint64_t len)
{
    int ret = read_chain(r->old, r->a, off, len);

    if (ret == 0)
        ret = read_chain(r->new_base, r->b, off, len);
    for (uint64_t at = 0; at < len && ret == 0;) {
        uint64_t n = MIN(r->step - (off + at) % r->step, len - at);

        if (memcmp(r->a + at, r->b + at, n) != 0)
            ret = node_pwrite(r->top, r->a + at, n, off + at);
        at += n;
    }
    return ret;
}

/* [off, off + *len) comes from the backing file: what has to be copied of it? */
static int keep_content(Rebase *r, uint64_t off, uint64_t *len)
{
    if (chain_is_zero(r->old, off, len) && chain_is_zero(r->new_base, off, len))
        return 0;
    *len = MIN(*len, (uint64_t)CHUNK);
    return copy_differences(r, off, *len);
}

static int copy_all(Rebase *r)
{
    uint64_t size = node_size(r->top);

    for (uint64_t off = 0; off < size;) {
        Extent ext;
        int ret = node_extent(r->top, off, size - off, &ext);

        if (ret == 0 && ext.kind == EXTENT_HOLE)
            ret = keep_content(r, off, &ext.len);
        if (ret == 0 && progress_cancelled(&r->progress))
            ret = -ECANCELED;
        if (ret < 0) {
            complain("%s: cannot keep the content at offset %" PRIu64 ": %s", node_filename(r->top),
                     off, strerror(-ret));
            return ret;
        }
        off += ext.len;
        progress_step(&r->progress, ext.len);
    }
    return node_flush(r->top);
}

static int change_header(Node *top, const char *file, const char *format)
{
    Error *err = NULL;
    int ret = node_change_backing_file(top, *file ? file : NULL, format, &err);

    if (ret == 0)
        ret = node_flush(top);
    return ret < 0 ? fail(err, ret) : 0;
}

static int rebase_safely(Node *top, Node *new_base, bool show)
{
    AUTO_FREE uint8_t *bufs = malloc(2 * CHUNK);
    Rebase r = { .top = top, .old = node_backing(top), .new_base = new_base, .a = bufs };
    ImageInfo info;
    Error *err = NULL;
    int ret = bufs ? node_info(top, &info, &err) : -ENOMEM;

    if (ret < 0)
        return fail(err, ret);
    r.b = bufs + CHUNK;
    r.step = info.cluster_size ? info.cluster_size : CHUNK;
    r.progress.total = node_size(top);
    progress_show(&r.progress, show);
    ret = copy_all(&r);
    progress_hide(&r.progress);
    return ret < 0;
}

typedef struct Target {
    const char *file, *format;
} Target;

/* A name inside an image is relative to that image's folder. */
static Node *open_new_base(const Common *common, const char *image, const Target *to)
{
    AUTO_FREE char *path = path_resolve(image, to->file);
    Common none = { .force_share = common->force_share };

    return open_image(&none, path, to->format, common->src_cache, 0);
}

static int rebase(const Common *common, const char *image, const Target *to, bool unsafe)
{
    AUTO_NODE Node *new_base = NULL;
    unsigned flags = OPEN_RDWR | (unsafe ? OPEN_NO_BACKING : 0);

    if (*to->file && !unsafe) {
        new_base = open_new_base(common, image, to);
        if (!new_base)
            return 1;
    }
    AUTO_NODE Node *top = open_image(common, image, common->format, common->cache, flags);
    if (!top)
        return 1;
    const char *format = to->format;
    if (!format && new_base)
        format = node_format(new_base); /* recorded, so that nobody has to guess it again */
    if (!unsafe && rebase_safely(top, new_base, common->progress) != 0)
        return 1;
    return change_header(top, to->file, *to->file ? format : NULL);
}

int cmd_rebase(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "backing", required_argument, NULL, 'b' },
        { "backing-format", required_argument, NULL, 'F' },
        { "backing-unsafe", no_argument, NULL, 'u' },
        { 0 },
    };
    const Command *cmd = command_find("rebase");
    Common common = { 0 };
    Target to = { 0 };
    bool unsafe = false;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:F:b:upt:T:qU", long_options, NULL)) != -1) {
        switch (opt) {
        case 'b': to.file = optarg; break;
        case 'F': to.format = optarg; break;
        case 'u': unsafe = true; break;
        default:
            ret = common_option(&common, cmd, opt, &code);
            if (ret != 0)
                return ret < 0 ? code : usage_error(cmd, "unknown option");
        }
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    if (!to.file)
        return usage_error(cmd, "the new backing file must be given with -b (an empty name: none)");
    return rebase(&common, argv[optind], &to, unsafe);
}
