/*
 * download.c - see download.h.
 *
 * The temporary file has no name, so nothing is left behind however the program ends.
 */
#include "block/http/download.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/math.h"

enum { COPY = 1 << 18 };

struct Download {
    int fd;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    uint64_t have;
    bool ended;
    int ret;
    Error *err;

    DiskCache *cache;
    uint64_t cached; /* up to here; the engine's thread only */
};

Download *download_new(Error **err)
{
    Download *s = calloc(1, sizeof(*s));

    if (!s) {
        error_set(err, -ENOMEM, "no memory for a download");
        return NULL;
    }
    s->fd = fd_open_nameless(err);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    return s;
}

void download_free(Download *s)
{
    if (!s)
        return;
    close(s->fd);
    error_free(s->err);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Whole blocks that have come since the last time; at the end the rest. */
static void fill_cache(Download *s, DiskCache *cache, uint64_t have, bool end)
{
    uint8_t block[CACHE_BLOCK];

    while (cache && s->cached < have && (end || have - s->cached >= CACHE_BLOCK)) {
        size_t n = MIN(have - s->cached, (uint64_t)CACHE_BLOCK);

        if (fd_pread_all(s->fd, block, n, s->cached) < 0)
            return;
        disk_cache_write(cache, s->cached, block, n);
        s->cached += n;
    }
}

void download_set_cache(Download *s, DiskCache *cache)
{
    pthread_mutex_lock(&s->lock);
    s->cache = cache;
    bool whole = s->ended && s->ret == 0;
    pthread_mutex_unlock(&s->lock);
    if (whole) /* nobody else will do it */
        fill_cache(s, cache, s->have, true);
}

int download_put(Download *s, const void *buf, size_t len)
{
    int ret = fd_pwrite_all(s->fd, buf, len, s->have); /* only this thread changes `have` */

    pthread_mutex_lock(&s->lock);
    if (ret == 0)
        s->have += len;
    DiskCache *cache = s->cache;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    fill_cache(s, cache, s->have, false);
    return ret;
}

void download_end(Download *s, int ret, Error *err)
{
    pthread_mutex_lock(&s->lock);
    DiskCache *cache = s->cache;
    s->ended = true;
    s->ret = ret;
    s->err = err;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    if (ret == 0)
        fill_cache(s, cache, s->have, true);
}

int download_wait(Download *s, uint64_t end, Error **err)
{
    int ret = 0;

    pthread_mutex_lock(&s->lock);
    while (!s->ended && s->have < end)
        pthread_cond_wait(&s->moved, &s->lock);
    if (s->have < end && s->ret < 0)
        ret = error_set(err, s->ret, "%s", error_message(s->err, s->ret));
    else if (s->have < end && end != UINT64_MAX)
        ret = error_set(err, -EIO, "the server sent fewer bytes than it said");
    pthread_mutex_unlock(&s->lock);
    return ret;
}

uint64_t download_have(Download *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t have = s->have;
    pthread_mutex_unlock(&s->lock);
    return have;
}

int download_read(Download *s, const struct iovec *iov, int iovcnt, uint64_t off, size_t len,
                  Error **err)
{
    AUTO_FREE uint8_t *buf = malloc(MIN(len, (size_t)COPY));
    int ret = buf ? 0 : -ENOMEM;

    for (size_t done = 0; done < len && ret == 0;) {
        size_t n = MIN(len - done, (size_t)COPY);

        ret = download_wait(s, off + done + n, err);
        if (ret == 0)
            ret = fd_pread_all(s->fd, buf, n, off + done);
        if (ret == 0)
            iov_write(iov, iovcnt, done, buf, n);
        done += n;
    }
    return ret;
}
