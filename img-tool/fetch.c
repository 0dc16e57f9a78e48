/*
 * fetch.c - img-tool fetch: download an image, verify it, convert it.
 *
 * What is there from an earlier attempt is only added to the checksum. Nothing gets its final name
 * before it is whole, verified and on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/math.h"
#include "block/copy.h"
#include "block/remote.h"
#include "img-tool/cmd.h"
#include "img-tool/fetch.h"
#include "img-tool/part.h"

typedef struct Fetch {
    Common common;
    const Command *cmd;
    const char *url, *sums, *expect, *target_format;
    char *out, *url_in_options;
    Options *options; /* of the target */
    Signature signature;
    bool compressed;
    uint64_t limit_rate; /* bytes a second; 0: none */
    uint64_t connections;

    Node *src;
    uint64_t size;
    char *shown; /* the URL for messages: without secrets */
    PartFile part;
    char *identity; /* what the part is a part of; NULL: that cannot be told */
    int fd;         /* of the part */
    Digest digest;
    Progress progress;
} Fetch;

/* ---- downloading -------------------------------------------------------------------------------
 */

/* The first `have` bytes are in the part; get the rest. `got` is the checksum of all. */
static int download(Fetch *f, uint64_t have, Digest *got, Error **err)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const FetchPass pass = { .src = f->src,
                             .part = &f->part,
                             .fd = f->fd,
                             .shown = f->shown,
                             .limit_rate = f->limit_rate,
                             .progress = &f->progress,
                             .hash = hash };
    int ret = 0;

    *got = f->digest;
    if (!hash || EVP_DigestInit_ex(hash, digest_algorithm(got), NULL) != 1)
        ret = error_set(err, -ENOTSUP, "OpenSSL cannot compute %s", got->name);
    if (ret == 0)
        ret = fetch_pass(&pass, false, 0, have, err);
    if (ret == 0)
        ret = fetch_pass(&pass, true, have, f->size, err);
    if (ret == 0)
        digest_hex(hash, got->hex);
    EVP_MD_CTX_free(hash);
    return ret;
}

static bool wanted(const Fetch *f, const Digest *got)
{
    return !*f->digest.hex || strcmp(f->digest.hex, got->hex) == 0;
}

/* The part, with as many bytes as are good. */
static int open_part_file(Fetch *f, Error **err)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = open(f->part.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 || ftruncate(f->fd, (off_t)f->part.resume) < 0)
        return error_set(err, -errno, "cannot write '%s': %s", f->part.path, strerror(errno));
    return 0;
}

/* Make the part, or take up the one that an earlier run left. */
static int begin_part(Fetch *f, Error **err)
{
    char version[REMOTE_VERSION] = "";
    const char *why;
    int n = 0;

    f->size = node_size(f->src);
    f->shown = url_without_secrets(f->url);
    if (remote_version(f->src, version) || *f->digest.hex) /* else any other file could come */
        n = asprintf(&f->identity, "fetch %s, %" PRIu64 " bytes, %s", f->shown, f->size, version);
    if (n < 0 || !f->shown)
        return error_set(err, -ENOMEM, "no memory for a name");
    int ret = part_begin(&f->part, f->out, f->identity, f->identity, &why, err);
    if (ret > 0)
        return error_set(err, -EINVAL, "'%s' is no regular file that could be replaced", f->out);
    if (ret == 0 && why)
        complain("warning: %s: %s: it begins anew", f->part.path, why);
    f->part.resume = MIN(f->part.resume, f->size);
    return ret < 0 ? ret : open_part_file(f, err);
}

/* Download and verify. What was there before may be what is wrong: then once more, from scratch. */
static int download_verified(Fetch *f, Error **err)
{
    uint64_t have = f->part.resume;
    Digest got;
    int ret = download(f, have, &got, err);

    if (ret == 0 && have && !wanted(f, &got)) {
        complain("warning: %s: what was there from before is not right: it begins anew",
                 f->part.path);
        atomic_store(&f->progress.done, 0);
        ret = part_restart(&f->part, f->identity, err);
        if (ret == 0)
            ret = open_part_file(f, err);
        if (ret == 0)
            ret = download(f, 0, &got, err);
    }
    if (ret < 0)
        return ret;
    if (!wanted(f, &got))
        return error_set(err, -EBADMSG, "%s: its %s is %s, not %s; '%s' keeps what came", f->shown,
                         got.name, got.hex, f->digest.hex, f->part.path);
    f->digest = got;
    return 0;
}

/* ---- what is expected --------------------------------------------------------------------------
 */

static int digest_from_sums(Fetch *f, Error **err)
{
    AUTO_FREE char *text = NULL, *good = NULL, *name = url_file_name(f->url);
    size_t len;
    int ret = fetch_text(f->sums, &text, &len, err);

    if (ret < 0)
        return ret;
    if (f->signature.file || f->signature.keyring || f->signature.key) {
        ret = signature_check(&f->signature, text, len, &good, err);
        if (ret < 0)
            return error_prefix(err, ret, "%s", f->sums);
    }
    ret = name ? digest_find(good ? good : text, name, &f->digest, err) : -ENOMEM;
    return ret < 0 ? error_prefix(err, ret, "%s", f->sums) : 0;
}

static int find_digest(Fetch *f, Error **err)
{
    snprintf(f->digest.name, sizeof(f->digest.name), "sha256");
    if (f->expect)
        return digest_parse(f->expect, &f->digest, err);
    return f->sums ? digest_from_sums(f, err) : 0;
}

/* ---- converting --------------------------------------------------------------------------------
 */

/* Only the content counts: no other format, no options, and it is that format already. */
static bool needs_convert(const Fetch *f, const Node *image)
{
    return !options_empty(f->options) || f->compressed ||
           strcmp(node_format(image), f->target_format) != 0 || node_file(node_file(image));
}

static int copy_image(Fetch *f, Node *image, Node *dst, Error **err)
{
    const CopyJob job = {
        .src = image,
        .dst = dst,
        .len = node_size(image),
        .target_is_zero = true,
        .compressed = f->compressed,
        .sparse = 4096,
        .progress = &f->progress,
    };
    int ret = copy_run(&job, err);

    if (ret == 0)
        ret = node_flush(dst);
    return ret < 0 && err && !*err ? error_set(err, ret, "%s", strerror(-ret)) : ret;
}

static int convert_to(Fetch *f, Node *image, const char *path, Error **err)
{
    AUTO_NODE Node *dst = NULL;
    Options *created = NULL;

    options_set_u64(f->options, "size", node_size(image));
    int ret = node_create(path, f->target_format, take(&f->options), 0, &created, err);
    if (ret < 0)
        return ret;
    AUTO_OPTIONS Options *secrets = secret_options(created);
    options_free(created);
    ret = node_open(path, f->target_format, take(&secrets),
                    OPEN_RDWR | OPEN_UNMAP | OPEN_NO_BACKING, &dst, err);
    return ret < 0 ? ret : copy_image(f, image, dst, err);
}

/* The image is on disk: so shall its name be. */
static int give_name(const char *from, const char *to, Error **err)
{
    AUTO_FREE char *copy = strdup(to);

    if (rename(from, to) < 0)
        return error_set(err, -errno, "cannot rename '%s' to '%s': %s", from, to, strerror(errno));
    int dir = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int ret = dir < 0 || (fsync(dir) < 0 && errno != EINVAL) ? -errno : 0;
    if (dir >= 0)
        close(dir);
    return ret < 0 ? error_set(err, ret, "cannot flush the folder of '%s': %s", to, strerror(-ret))
                   : 0;
}

/* The part becomes an image of the wanted format, under the final name. */
static int convert(Fetch *f, Error **err)
{
    AUTO_NODE Node *image = NULL;
    AUTO_FREE char *path = NULL;
    int ret = node_open(f->part.path, f->common.format, NULL, OPEN_NO_EXTERNAL | OPEN_NO_LOCK,
                        &image, err);

    if (ret < 0)
        return ret;
    if (!needs_convert(f, image))
        return part_finish(&f->part, true, err);
    if (asprintf(&path, "%s.image", f->part.path) < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    atomic_fetch_add(&f->progress.total, node_size(image));
    unlink(path);
    ret = convert_to(f, image, path, err);
    if (ret == 0)
        ret = give_name(path, f->part.name, err);
    if (ret < 0)
        unlink(path);
    else
        part_drop(&f->part);
    return ret;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static int open_source(Fetch *f, Error **err)
{
    size_t n = strcspn(f->url, ":/");
    AUTO_FREE char *scheme = strndup(f->url, n);
    bool url = strncmp(f->url + n, "://", 3) == 0, remote;
    Options *o = options_new();

    remote = url && (strncmp(scheme, "http", 4) == 0 || strncmp(scheme, "ftp", 3) == 0);
    if (remote)
        options_set(o, "cache", "off");
    if (remote && f->connections)
        options_set_u64(o, "connections", f->connections);
    return node_open(f->url, url ? scheme : "file", o, 0, &f->src, err);
}

/* With --image-opts the URL is one of the options; the rest is for its driver. */
static int open_source_options(Fetch *f, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();
    int ret = options_parse(o, f->url, "driver", err);
    const char *url = options_peek(o, "url");

    if (ret == 0 && (!url || !options_has(o, "driver")))
        ret = error_set(err, -EINVAL, "with --image-opts, 'driver' and 'url' are needed");
    if (ret < 0)
        return ret;
    f->url = f->url_in_options = strdup(url);
    if (!options_has(o, "cache"))
        options_set(o, "cache", "off");
    if (f->connections)
        options_set_u64(o, "connections", f->connections);
    return node_open(NULL, NULL, take(&o), 0, &f->src, err);
}

static int fetch_all(Fetch *f, Error **err)
{
    int ret = f->common.image_opts ? open_source_options(f, err) : open_source(f, err);

    if (ret == 0)
        ret = find_digest(f, err);
    if (ret == 0)
        ret = begin_part(f, err);
    if (ret < 0)
        return ret;
    f->progress.total = f->size;
    ret = download_verified(f, err);
    if (ret < 0)
        return ret;
    return f->target_format ? convert(f, err) : part_finish(&f->part, true, err);
}

/* Where it goes: a file, a folder, or the name that the URL has. */
static int choose_out(Fetch *f, const char *out)
{
    AUTO_FREE char *name = url_file_name(f->url);
    struct stat st;
    bool there = out && stat(out, &st) == 0;

    if (!out || (there && S_ISDIR(st.st_mode))) {
        if (!name || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            strchr(name, '/'))
            return usage_error(f->cmd, "the URL has no file name: say where it goes");
        if (asprintf(&f->out, "%s%s%s", out ? out : "", out ? "/" : "", name) < 0)
            return 1;
        there = stat(f->out, &st) == 0;
    } else {
        f->out = strdup(out);
    }
    if (there && !S_ISREG(st.st_mode)) {
        complain("'%s' is no regular file", f->out);
        return 1;
    }
    return 0;
}

static int check_arguments(Fetch *f)
{
    if (f->expect && f->sums)
        return usage_error(f->cmd, "--expect and --sums exclude each other");
    if (!f->sums && (f->signature.file || f->signature.key || f->signature.keyring))
        return usage_error(f->cmd, "a signature is that of a list of checksums: --sums is needed");
    if (f->signature.key && f->signature.keyring)
        return usage_error(f->cmd, "--key (minisign, signify) and --keyring (OpenPGP) exclude each "
                                   "other");
    if (!f->target_format && (f->compressed || !options_empty(f->options)))
        return usage_error(f->cmd, "-c and -o need -O: without it the file stays as it is");
    if (f->target_format && !driver_exists(f->target_format)) {
        complain("unknown file format '%s'", f->target_format);
        return 1;
    }
    if (f->compressed && !driver_supports_compression(f->target_format)) {
        complain("compression is not supported by the format '%s'", f->target_format);
        return 1;
    }
    return 0;
}

static int fetch(Fetch *f)
{
    Error *err = NULL;

    progress_show(&f->progress, f->common.progress && !f->common.quiet);
    int ret = fetch_all(f, &err);
    if (ret < 0)
        f->progress.cancel = true;
    progress_hide(&f->progress);
    if (ret == 0 && !f->common.quiet)
        printf("%s: %s:%s\n", f->out, f->digest.name, f->digest.hex);
    return ret < 0 ? fail(err, ret) : 0;
}

enum {
    OPT_EXPECT = OPT_COMMAND,
    OPT_SUMS,
    OPT_SIGNATURE,
    OPT_KEYRING,
    OPT_KEY,
    OPT_LIMIT_RATE,
    OPT_CONNECTIONS,
};

/* 0: done, 1: report as exit code 1, -1: not fetch's own option. */
static int own_option(Fetch *f, int opt)
{
    Error *err = NULL;
    int ret;

    switch (opt) {
    case 'O': f->target_format = optarg; return 0;
    case 'c': f->compressed = true; return 0;
    case 'o':
        ret = options_parse(f->options, optarg, NULL, &err);
        return ret < 0 ? fail(err, ret) : 0;
    case OPT_EXPECT: f->expect = optarg; return 0;
    case OPT_SUMS: f->sums = optarg; return 0;
    case OPT_SIGNATURE: f->signature.file = optarg; return 0;
    case OPT_KEYRING: f->signature.keyring = optarg; return 0;
    case OPT_KEY: f->signature.key = optarg; return 0;
    case OPT_LIMIT_RATE: return parse_size(optarg, "rate", &f->limit_rate) ? 0 : 1;
    case OPT_CONNECTIONS:
        return parse_size(optarg, "number of connections", &f->connections) ? 0 : 1;
    default: return -1;
    }
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "target-format", required_argument, NULL, 'O' },
    { "options", required_argument, NULL, 'o' },
    { "compress", no_argument, NULL, 'c' },
    { "expect", required_argument, NULL, OPT_EXPECT },
    { "sums", required_argument, NULL, OPT_SUMS },
    { "signature", required_argument, NULL, OPT_SIGNATURE },
    { "keyring", required_argument, NULL, OPT_KEYRING },
    { "key", required_argument, NULL, OPT_KEY },
    { "limit-rate", required_argument, NULL, OPT_LIMIT_RATE },
    { "connections", required_argument, NULL, OPT_CONNECTIONS },
    { 0 },
};

static int prepare(Fetch *f, int argc, char **argv)
{
    if (argc - optind < 1 || argc - optind > 2)
        return usage_error(f->cmd, "a URL and at most one file name are expected");
    f->url = argv[optind];
    if (f->common.image_opts && argc - optind < 2)
        return usage_error(f->cmd, "with --image-opts a file name is needed");
    int code = check_arguments(f);
    return code ? code : choose_out(f, argv[optind + 1]);
}

int cmd_fetch(int argc, char **argv)
{
    Fetch f = { .cmd = command_find("fetch"), .fd = -1 };
    int opt, code = -1;

    f.options = options_new();
    while (code < 0 && (opt = getopt_long(argc, argv, "hf:O:o:cpq", long_options, NULL)) != -1) {
        int ret = own_option(&f, opt);

        if (ret > 0)
            code = 1;
        else if (ret < 0)
            common_option(&f.common, f.cmd, opt, &code);
    }
    if (code < 0) {
        code = prepare(&f, argc, argv);
        code = code == 0 ? fetch(&f) : code;
    }
    node_unref(f.src);
    part_free(&f.part);
    if (f.fd >= 0)
        close(f.fd);
    options_free(f.options);
    free(f.identity);
    free(f.shown);
    free(f.out);
    free(f.url_in_options);
    return code;
}
