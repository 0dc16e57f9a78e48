/*
 * spool.c - a stream on its way into a temporary file; see stream.h.
 *
 * The thread writes and then moves `done` forward; what lies before `done` never changes. Long runs
 * of zeros stay holes. With a size known beforehand the thread starts with the first read, so that
 * asking for the size alone unpacks nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/math.h"
#include "base/zero.h"
#include "formats/stream/stream.h"

enum { SPOOL_OUTPUT = 1 << 20, SPOOL_HOLE = 64 << 10, SPOOL_RATIO = 1100 };
#define SPOOL_LEAST           (UINT64_C(16) << 30)
#define SPOOL_LEAST_UNTRUSTED (UINT64_C(64) << 20)

struct Spool {
    const Codec *codec;
    Node *file;
    int fd;
    uint64_t size; /* as the file says; UINT64_MAX: it does not */
    uint64_t most; /* that is unpacked at all */
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    bool started, stop, finished;
    uint64_t done; /* bytes that are there */
    int ret;       /* why there are no more */
};

/* ---- unpacking, on the thread -------------------------------------------------------------- */

/* `buf` to the file, leaving out what is zero anyway. */
static int write_sparse(Spool *s, const uint8_t *buf, size_t len, uint64_t off)
{
    size_t at = 0;
    int ret = 0;

    while (at < len && ret == 0) {
        size_t end = at;

        while (end < len && !buffer_is_zero(buf + end, MIN((size_t)SPOOL_HOLE, len - end)))
            end += MIN((size_t)SPOOL_HOLE, len - end);
        if (end > at)
            ret = fd_pwrite_all(s->fd, buf + at, end - at, off + at);
        at = end + (end < len ? MIN((size_t)SPOOL_HOLE, len - end) : 0);
    }
    return ret;
}

/* More is there, or nothing more will come. False: the reader has gone. */
static bool moved(Spool *s, uint64_t done, int ret, bool finished)
{
    pthread_mutex_lock(&s->lock);
    s->done = done;
    s->ret = ret;
    s->finished = finished;
    bool go_on = !s->stop;
    pthread_cond_broadcast(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static int refill(Spool *s, uint8_t *input, uint64_t *pos, Feed *feed)
{
    uint64_t size = node_size(s->file), n = MIN((uint64_t)STREAM_INPUT, size - *pos);
    int ret = n ? node_pread(s->file, input, n, *pos) : 0;

    *pos += n;
    feed->in = input;
    feed->in_len = n;
    feed->last = *pos == size;
    return ret;
}

static int unpack_all(Spool *s, void *decoder, uint8_t *input, uint8_t *output, uint64_t *done)
{
    Feed feed = { 0 };
    uint64_t pos = 0;
    int ret = 0;

    while (ret == 0) {
        feed.out = output;
        feed.out_len = SPOOL_OUTPUT;
        while (ret == 0 && feed.out_len) {
            if (feed.in_len == 0 && !feed.last)
                ret = refill(s, input, &pos, &feed);
            size_t before = feed.in_len + feed.out_len;
            if (ret == 0)
                ret = s->codec->step(decoder, &feed);
            if (ret == 0 && before == feed.in_len + feed.out_len)
                ret = -EINVAL; /* it wants more than there is */
        }
        size_t n = SPOOL_OUTPUT - feed.out_len;
        if (ret >= 0 && n > s->most - *done)
            return s->size == UINT64_MAX ? -EFBIG : -EINVAL;
        int wrote = ret >= 0 ? write_sparse(s, output, n, *done) : 0;
        if (wrote < 0)
            return wrote;
        *done += ret >= 0 ? n : 0;
        if (ret == 0 && !moved(s, *done, 0, false))
            return -ECANCELED;
    }
    return ret == 1 ? 0 : ret;
}

static void *spool_run(void *opaque)
{
    Spool *s = opaque;
    AUTO_FREE uint8_t *input = malloc(STREAM_INPUT);
    AUTO_FREE uint8_t *output = malloc(SPOOL_OUTPUT);
    uint64_t done = 0;
    void *decoder = NULL;
    int ret = input && output ? s->codec->begin(&decoder) : -ENOMEM;

    if (ret == 0)
        ret = unpack_all(s, decoder, input, output, &done);
    if (ret == 0 && s->size != UINT64_MAX && done != s->size)
        ret = -EINVAL; /* less than it said */
    if (ret == 0 && ftruncate(s->fd, (off_t)done) < 0)
        ret = -errno;
    if (decoder)
        s->codec->end(decoder);
    moved(s, done, ret < 0 ? stream_damaged(s->codec, s->file, done, ret) : 0, true);
    return NULL;
}

/* ---- for the reader ------------------------------------------------------------------------ */

/* With the lock held: wait until the bytes before `end` are there (or all, for UINT64_MAX). */
static int wait_for(Spool *s, uint64_t end)
{
    if (!s->started) {
        int ret = pthread_create(&s->thread, NULL, spool_run, s);

        if (ret)
            return -ret;
        s->started = true;
    }
    while (!s->finished && s->done < end)
        pthread_cond_wait(&s->moved, &s->lock);
    if (end == UINT64_MAX || s->done < end)
        return s->ret;
    return 0;
}

int spool_read(Spool *s, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    AUTO_FREE struct iovec *rest = malloc((size_t)iovcnt * sizeof(*rest));

    if (!rest)
        return -ENOMEM;
    pthread_mutex_lock(&s->lock);
    int ret = wait_for(s, off + len);
    pthread_mutex_unlock(&s->lock);
    for (size_t done = 0; ret == 0 && done < len;) {
        int n = iov_slice(rest, iov, iovcnt, done, len - done);
        ssize_t got = preadv(s->fd, rest, MIN(n, IOV_MAX), (off_t)(off + done));

        if (got < 0 && errno != EINTR)
            ret = -errno;
        if (got == 0) { /* a hole at the file's present end */
            iov_zero(iov, iovcnt, done, len - done);
            got = (ssize_t)(len - done);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return ret;
}

/*
 * What a file that does not say its size may unpack to: a few kilobytes can become petabytes.
 * deflate reaches 1032 to 1; packed in another wrapper the innermost file counts.
 */
static uint64_t most_for(const Node *file)
{
    uint64_t least = file->flags & OPEN_NO_EXTERNAL ? SPOOL_LEAST_UNTRUSTED : SPOOL_LEAST;

    while (file->driver->is_wrapper)
        file = file->file;
    uint64_t size = node_size(file);
    return size > NODE_MAX_SIZE / (2 * SPOOL_RATIO) ? NODE_MAX_SIZE : least + size * SPOOL_RATIO;
}

int spool_open(const Codec *codec, Node *file, bool size_known, uint64_t *size, Spool **out,
               Error **err)
{
    Spool *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    *out = s; /* the caller closes it, whatever happens here */
    s->codec = codec;
    s->file = file;
    s->size = size_known ? *size : UINT64_MAX;
    s->most = size_known ? *size : most_for(file);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    s->fd = fd_open_nameless(err);
    if (s->fd < 0)
        return s->fd;
    if (size_known)
        return 0;
    log_info("unpacking '%s' into a temporary file, to know its size", node_filename(file));
    pthread_mutex_lock(&s->lock);
    int ret = wait_for(s, UINT64_MAX);
    *size = s->done;
    pthread_mutex_unlock(&s->lock);
    if (ret < 0)
        return error_set(err, ret, "cannot unpack it (%s) beyond byte %" PRIu64 ": %s", codec->name,
                         *size,
                         ret == -EFBIG ? "that is more than such a file should" : strerror(-ret));
    return 0;
}

void spool_close(Spool *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    if (s->fd >= 0)
        close(s->fd);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->moved);
    free(s);
}
