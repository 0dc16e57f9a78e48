/*
 * http.c - the protocols http, https, ftp and ftps: images on a server, read-only.
 *
 * The first answer decides how the file is read: by ranges (reader.c) or, from a server that has
 * none, once from the beginning (download.c). Which version of the file it is about is kept, and
 * every further answer must agree.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/math.h"
#include "block/http/http.h"
#include "block/remote.h"

enum {
    PAGE_START = 512,   /* bytes that show whether it is a page for people */
    QUIET_SECONDS = 10, /* after a warning, of the same kind */
};

/* ---- the first answer --------------------------------------------------------------------------
 */

/* The version of the file as one text. */
static void make_validator(const Identity *id, char validator[CACHE_VALIDATOR_MAX])
{
    snprintf(validator, CACHE_VALIDATOR_MAX, "%s\n%s", id->etag, id->modified);
}

static bool same_version(const Http *h)
{
    char validator[CACHE_VALIDATOR_MAX];

    make_validator(&h->src.id, validator);
    return identity_is_strong(&h->src.id) && h->file->size == h->src.id.size &&
           strcmp(h->file->validator, validator) == 0;
}

static int first_head(Transfer *t, Error **err)
{
    Http *h = t->owner;

    snprintf(h->type, sizeof(h->type), "%s", t->answer.type);
    if (t->kind != TRANSFER_WHOLE)
        return 0;
    h->cache_serves = h->complete && same_version(h);
    if (h->cache_serves)
        return error_set(err, -ECANCELED, "it is in the cache");
    if (h->force_range)
        return error_set(err, -ENOTSUP, "the server has no byte ranges");
    if (t->end > DOWNLOAD_MAX_UNKNOWN && h->src.id.size == UINT64_MAX)
        t->end = t->limit = DOWNLOAD_MAX_UNKNOWN;
    h->download = download_new(err);
    if (!h->download)
        return -EIO;
    pthread_mutex_lock(&h->lock);
    h->began_whole = true;
    pthread_cond_broadcast(&h->moved);
    pthread_mutex_unlock(&h->lock);
    return 0;
}

static int first_data(Transfer *t, const void *buf, size_t len)
{
    Http *h = t->owner;

    if (h->download)
        return download_put(h->download, buf, len);
    memcpy(h->start + t->at, buf, len);
    return 0;
}

static void first_done(Transfer *t, int ret, Error *err)
{
    Http *h = t->owner;

    if (h->download) {
        download_end(h->download, ret, err);
        err = NULL;
    }
    pthread_mutex_lock(&h->lock);
    h->over = true;
    h->ret = ret;
    h->err = err;
    pthread_cond_broadcast(&h->moved);
    pthread_mutex_unlock(&h->lock);
}

/* Ask for the first `len` bytes (or whatever `kind` means) and wait for the answer. */
static int ask_first(Http *h, TransferKind kind, uint64_t len, Error **err)
{
    h->first = (Transfer) { .kind = kind,
                            .end = len,
                            .owner = h,
                            .head = first_head,
                            .data = first_data,
                            .done = first_done };
    h->over = false;
    engine_submit(h->engine, &h->first);
    pthread_mutex_lock(&h->lock);
    while (!h->over && !h->began_whole)
        pthread_cond_wait(&h->moved, &h->lock);
    int ret = h->over && !h->began_whole ? h->ret : 0;
    if (ret < 0)
        error_set(err, ret, "%s", error_message(h->err, ret));
    error_free(h->err);
    h->err = NULL;
    pthread_mutex_unlock(&h->lock);
    return ret;
}

static int page_error(Error **err)
{
    return error_set(err, -EMEDIUMTYPE,
                     "the server sends an HTML page (a login or error page?), not an image");
}

/* The start of a file that comes as a whole; also finds its size. */
static int judge_download(Http *h, Error **err)
{
    uint64_t size = h->src.id.size;
    uint8_t start[PAGE_START];
    int ret = download_wait(h->download,
                            size == UINT64_MAX ? size : MIN(size, (uint64_t)PAGE_START), err);

    if (ret == 0 && size == UINT64_MAX)
        h->src.id.size = size = download_have(h->download);
    if (ret < 0)
        return ret;
    struct iovec iov = { start, MIN(size, sizeof(start)) };
    ret = download_read(h->download, &iov, 1, 0, iov.iov_len, err);
    if (ret == 0 && looks_like_page(h->type, start, iov.iov_len))
        ret = page_error(err);
    return ret;
}

static int probe_ftp(Http *h, Error **err)
{
    int ret = ask_first(h, TRANSFER_STAT, 1, err);

    if (ret == 0 && h->src.id.size == UINT64_MAX)
        ret = ask_first(h, TRANSFER_WHOLE, DOWNLOAD_MAX_UNKNOWN, err);
    return ret;
}

/* If the cache has a part of the file, one byte is enough to see whether it still is the same. */
static int probe_http(Http *h, bool *got_start, Error **err)
{
    bool had = h->file->size > 0;
    uint64_t len = MAX(h->ahead, (uint64_t)CACHE_BLOCK);
    int ret = ask_first(h, TRANSFER_PROBE, had ? 1 : len, err);

    *got_start = !had;
    if (ret < 0 || h->download || !had || same_version(h))
        return ret;
    len = MIN(len, h->src.id.size);
    *got_start = true;
    return len ? ask_first(h, TRANSFER_RANGE, len, err) : 0;
}

/* ---- the disk cache ----------------------------------------------------------------------------
 */

/* Does the cache have all of it? Ends with the first block that it does not have. */
static bool is_complete(const CacheFile *file)
{
    DiskCache *c;
    uint64_t off = 0;

    if (disk_cache_open(file, false, &c, NULL) < 0)
        return false;
    while (off < file->size && disk_cache_has(c, off))
        off += CACHE_BLOCK;
    disk_cache_close(c);
    return off >= file->size;
}

/* One file of the cache for each URL and each who may see something else there. */
static void find_cached(Http *h)
{
    const Source *src = &h->src;
    AUTO_FREE char *text = NULL;

    if (h->cache_mode == CACHE_OFF ||
        asprintf(&text, "%s\n%s\n%s", src->url, src->username ? src->username : "",
                 src->cookie ? src->cookie : "") < 0)
        return;
    cache_key(text, h->file->key);
    if (cache_find(h->file) < 0)
        h->file->size = 0;
    h->complete = h->file->size && is_complete(h->file);
}

static void open_cache(Http *h)
{
    Error *err = NULL;

    if (h->cache_mode == CACHE_OFF || !identity_is_strong(&h->src.id) || h->src.id.size == 0 ||
        !*h->file->key)
        return;
    snprintf(h->file->name, sizeof(h->file->name), "%s", h->src.url);
    make_validator(&h->src.id, h->file->validator);
    h->file->size = h->src.id.size;
    if (disk_cache_open(h->file, true, &h->cache, &err) < 0)
        log_debug("%s", err->message);
    error_free(err);
}

/* The server has just said that it is the same, and cannot give parts of it. */
static int open_from_cache(Http *h, Error **err)
{
    if (err)
        error_free(take(err));
    engine_free(h->engine);
    h->engine = NULL;
    return disk_cache_open(h->file, true, &h->cache, err);
}

/* No server: what the cache holds must do. */
static int open_offline(Http *h, Error **err)
{
    time_t checked = (time_t)h->file->checked;
    char date[32] = "";
    struct tm tm;

    engine_free(h->engine);
    h->engine = NULL;
    int ret = disk_cache_open(h->file, false, &h->cache, err);
    if (ret < 0)
        return ret;
    h->src.id.size = h->file->size;
    if (localtime_r(&checked, &tm))
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
    if (h->cache_mode != CACHE_ONLY)
        log_warning("%s: the server cannot be reached; this is what the cache holds, as of %s",
                    h->src.url, date);
    return 0;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static int open_online(Http *h, bool *got_start, Error **err)
{
    *got_start = false;
    h->engine = engine_new(&h->src, err);
    h->start = malloc(MAX(h->ahead, (uint64_t)CACHE_BLOCK));
    if (!h->engine || !h->start)
        return h->engine ? error_set(err, -ENOMEM, "no memory for a first block") : -ENOTSUP;
    int ret = h->src.ftp ? probe_ftp(h, err) : probe_http(h, got_start, err);
    if (ret == 0 && h->download)
        return judge_download(h, err);
    if (ret == 0 && *got_start &&
        looks_like_page(h->type, h->start, MIN(h->first.at, (uint64_t)PAGE_START)))
        ret = page_error(err);
    return ret;
}

static int open_reader(Http *h, bool got_start, Error **err)
{
    h->reader = reader_new(&(ReaderConfig) { .engine = h->engine,
                                             .size = h->src.id.size,
                                             .ahead = h->ahead,
                                             .cache = h->cache,
                                             .cache_scans = h->cache_mode == CACHE_ON });
    if (!h->reader)
        return error_set(err, -ENOMEM, "no memory for reading");
    if (got_start && h->first.at)
        reader_give(h->reader, 0, h->start, h->first.at);
    free(take(&h->start));
    return 0;
}

static int http_open(Node *node, Options *options, Error **err)
{
    Http *h = node->state;
    bool got_start = false;
    int ret = http_take_options(node, options, err);

    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->moved, NULL);
    if (ret < 0)
        return ret;
    if (node->writable && node->flags & OPEN_AUTO_READ_ONLY)
        node->writable = false;
    if (node->writable)
        return error_set(err, -EACCES, "over %s an image can only be read", node->driver->name);
    h->file = calloc(1, sizeof(*h->file));
    if (!h->file)
        return error_set(err, -ENOMEM, "no memory for a name");
    find_cached(h);
    if (h->cache_mode == CACHE_ONLY)
        ret = h->file->size ? open_offline(h, err)
                            : error_set(err, -ENOENT, "the cache has nothing of it");
    else
        ret = open_online(h, &got_start, err);
    if (ret < 0 && h->engine && transfer_unreachable(&h->first) && h->file->size && !h->download) {
        if (err)
            error_free(take(err));
        ret = open_offline(h, err);
    } else if (ret < 0 && h->cache_serves) {
        ret = open_from_cache(h, err);
    } else if (ret == 0 && h->engine) {
        open_cache(h);
    }
    if (ret < 0)
        return ret;
    node->size = h->src.id.size;
    if (!h->download)
        return open_reader(h, got_start, err);
    download_set_cache(h->download, h->cache);
    return 0;
}

static void http_close(Node *node)
{
    Http *h = node->state;

    engine_free(h->engine);
    reader_free(h->reader);
    download_free(h->download);
    disk_cache_close(h->cache);
    source_free(&h->src);
    free(h->start);
    free(h->file);
    error_free(h->err);
    pthread_cond_destroy(&h->moved);
    pthread_mutex_destroy(&h->lock);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* A request can only give an errno: say the rest once, not for each of many requests. */
static void warn(Http *h, const Error *err, int ret)
{
    time_t now = time(NULL);

    pthread_mutex_lock(&h->lock);
    bool new = ret != h->warned || now - h->warned_at >= QUIET_SECONDS;
    h->warned = ret;
    if (new)
        h->warned_at = now;
    pthread_mutex_unlock(&h->lock);
    if (new)
        log_warning("%s: %s", h->src.url, error_message(err, ret));
}

static int http_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Http *h = node->state;
    uint64_t size = node->size;
    size_t inside = off < size ? MIN(len, size - off) : 0;
    Error *err = NULL;
    int ret = 0;

    if (inside < len)
        iov_zero(iov, iovcnt, inside, len - inside);
    if (inside)
        ret = h->download ? download_read(h->download, iov, iovcnt, off, inside, &err)
                          : reader_read(h->reader, iov, iovcnt, off, inside, &err);
    if (ret < 0)
        warn(h, err, ret);
    error_free(err);
    return ret;
}

/* All is data up to the end; behind it are zeros. */
static int http_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    uint64_t size = node->size;

    ext->kind = off < size ? EXTENT_DATA : EXTENT_ZERO;
    ext->zero = off >= size;
    ext->has_pos = true;
    ext->pos = off;
    ext->len = off < size ? MIN(len, size - off) : len;
    return 0;
}

/* Nobody knows how much space a server needs. */
static uint64_t http_disk_size(Node *node)
{
    (void)node;
    return UINT64_MAX;
}

bool remote_version(const Node *node, char version[REMOTE_VERSION])
{
    const Http *h = node->state;

    if (node->driver->open != http_open || !identity_is_strong(&h->src.id))
        return false;
    snprintf(version, REMOTE_VERSION, "%s %s", h->src.id.etag, h->src.id.modified);
    return true;
}

#define HTTP_DRIVER(scheme)                                                                        \
    const BlockDriver scheme##_driver = {                                                          \
        .name = #scheme,                                                                           \
        .state_size = sizeof(Http),                                                                \
        .is_protocol = true,                                                                       \
        .is_remote = true,                                                                         \
        .open = http_open,                                                                         \
        .close = http_close,                                                                       \
        .extent = http_extent,                                                                     \
        .preadv = http_preadv,                                                                     \
        .disk_size = http_disk_size,                                                               \
    }

HTTP_DRIVER(http);
HTTP_DRIVER(https);
HTTP_DRIVER(ftp);
HTTP_DRIVER(ftps);
