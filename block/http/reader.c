/*
 * reader.c - see reader.h.
 *
 * Segments are runs of the file in memory, on their way or there; each is one transfer. All begin
 * at a multiple of CACHE_BLOCK and end at one or at the end of the file, and those that have not
 * failed do not overlap. A reader asks for what is missing, waits until the bytes it needs have
 * come, and copies them out without the lock: what has come does not change, and a segment with
 * users is not dropped.
 *
 * Read-ahead follows up to STREAMS sequences at a time. Its window is as long as what the sequence
 * has read so far, up to WINDOW_MAX, so random reads cost nothing extra and a long sequence keeps
 * all connections busy.
 */
#include "block/http/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buffer.h"
#include "base/iov.h"
#include "base/math.h"
#include "base/pool.h"

enum {
    SEGMENT_MAX = 1 << 20,
    MEMORY_MAX = 8 << 20,
    WINDOW_MAX = 4 << 20,
    STREAMS = 4,
    BEHIND = 8 << 20, /* so far back, parallel readers still belong to one sequence */
    BEYOND = 1 << 20, /* and so far ahead */
    SCAN = 64 << 20,  /* a sequence longer than this is a copy of the file, not work with it */
    SPARE_MAX = 8,
};

typedef struct Segment {
    Transfer transfer;
    PoolJob store;
    Reader *reader;
    uint64_t start, end;
    _Atomic uint64_t have;   /* [start, have) is in `data`; only the engine's thread changes it */
    _Atomic uint64_t wanted; /* who waits first needs so many; UINT64_MAX: nobody waits */
    pthread_cond_t moved;    /* they have come, or the segment has ended */
    uint8_t *data;
    unsigned users;
    bool loading, keep; /* keep: belongs into the disk cache */
    int ret;
    Error *err;
    TAILQ_ENTRY(Segment) link;
} Segment;

typedef struct {
    uint64_t next;  /* where it goes on */
    uint64_t run;   /* bytes so far */
    uint64_t asked; /* up to here things were asked for */
    uint64_t used;
} Stream;

struct Reader {
    ReaderConfig config;
    pthread_mutex_t lock;                      /* guards all below, and the segments */
    pthread_cond_t stored;                     /* a segment was written to the disk cache */
    unsigned storing;                          /* are being written, or are to be */
    TAILQ_HEAD(SegmentList, Segment) segments; /* the one used last first */
    uint64_t memory;
    Stream streams[STREAMS];
    uint64_t tick;
    uint8_t *spare[SPARE_MAX]; /* buffers of SEGMENT_MAX */
    unsigned n_spare;
    int lost;   /* the file has changed: nothing fits together any more */
    Pool *pool; /* writes to the disk cache */
};

Reader *reader_new(const ReaderConfig *config)
{
    Reader *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->config = *config;
    TAILQ_INIT(&r->segments);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->stored, NULL);
    r->pool = config->cache ? pool_new(1) : NULL;
    return r;
}

/* ---- segments ----------------------------------------------------------------------------------
 */

static uint64_t capacity(const Segment *s)
{
    return s->end - s->start;
}

static void segment_free(Reader *r, Segment *s)
{
    TAILQ_REMOVE(&r->segments, s, link);
    r->memory -= capacity(s);
    if (capacity(s) == SEGMENT_MAX && r->n_spare < SPARE_MAX)
        r->spare[r->n_spare++] = take(&s->data);
    free(s->data);
    error_free(s->err);
    pthread_cond_destroy(&s->moved);
    free(s);
}

void reader_free(Reader *r)
{
    if (!r)
        return;
    if (r->pool)
        pool_free(r->pool);
    while (!TAILQ_EMPTY(&r->segments))
        segment_free(r, TAILQ_FIRST(&r->segments));
    while (r->n_spare)
        free(r->spare[--r->n_spare]);
    pthread_cond_destroy(&r->stored);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* The one that has or will have the byte at `off`. */
static Segment *segment_find(Reader *r, uint64_t off)
{
    Segment *s;

    TAILQ_FOREACH(s, &r->segments, link)
    if (off >= s->start && off < s->end && s->ret == 0)
        return s;
    return NULL;
}

/* Where the first one that begins in (off, end) begins, or `end`. */
static uint64_t segment_next(Reader *r, uint64_t off, uint64_t end)
{
    Segment *s;

    TAILQ_FOREACH(s, &r->segments, link)
    if (s->ret == 0 && s->start > off && s->start < end)
        end = s->start;
    return end;
}

static bool is_idle(const Segment *s)
{
    return s->users == 0 && !s->loading;
}

/* Drop what was not used for the longest time. False: the rest is in use. */
static bool make_room(Reader *r, uint64_t len)
{
    Segment *s, *prev;

    for (s = TAILQ_LAST(&r->segments, SegmentList); s && r->memory + len > MEMORY_MAX; s = prev) {
        prev = TAILQ_PREV(s, SegmentList, link);
        if (is_idle(s))
            segment_free(r, s);
    }
    return r->memory + len <= MEMORY_MAX;
}

static Segment *segment_new(Reader *r, uint64_t start, uint64_t end)
{
    Segment *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->data = end - start == SEGMENT_MAX && r->n_spare ? r->spare[--r->n_spare]
                                                       : buffer_alloc(end - start);
    if (!s->data) {
        free(s);
        return NULL;
    }
    s->reader = r;
    s->start = start;
    s->end = end;
    atomic_init(&s->have, start);
    atomic_init(&s->wanted, UINT64_MAX);
    pthread_cond_init(&s->moved, NULL);
    r->memory += end - start;
    TAILQ_INSERT_HEAD(&r->segments, s, link);
    return s;
}

static void segment_touch(Reader *r, Segment *s)
{
    TAILQ_REMOVE(&r->segments, s, link);
    TAILQ_INSERT_HEAD(&r->segments, s, link);
}

/* A sequence has passed it: it goes first. */
static void segment_retire(Reader *r, Segment *s)
{
    TAILQ_REMOVE(&r->segments, s, link);
    TAILQ_INSERT_TAIL(&r->segments, s, link);
}

static void segment_release(Reader *r, Segment *s)
{
    if (--s->users == 0 && s->ret < 0 && !s->loading)
        segment_free(r, s);
}

/* ---- transfers (on the engine's thread) --------------------------------------------------------
 */

/* With the lock held. */
static void wake(Segment *s)
{
    atomic_store(&s->wanted, UINT64_MAX);
    pthread_cond_broadcast(&s->moved);
}

/* curl brings 16 KiB at a time, so this takes the lock only if somebody can go on. */
static int on_data(Transfer *t, const void *buf, size_t len)
{
    Segment *s = t->owner;

    memcpy(s->data + (t->at - s->start), buf, len);
    atomic_store(&s->have, t->at + len);
    if (t->at + len < atomic_load(&s->wanted))
        return 0;
    pthread_mutex_lock(&s->reader->lock);
    wake(s);
    pthread_mutex_unlock(&s->reader->lock);
    return 0;
}

static void store_segment(PoolJob *job)
{
    Segment *s = container_of(job, Segment, store);
    Reader *r = s->reader;

    disk_cache_write(r->config.cache, s->start, s->data, capacity(s));
    pthread_mutex_lock(&r->lock);
    segment_release(r, s);
    r->storing--;
    pthread_cond_broadcast(&r->stored);
    pthread_mutex_unlock(&r->lock);
}

static void on_done(Transfer *t, int ret, Error *err)
{
    Segment *s = t->owner;
    Reader *r = s->reader;

    pthread_mutex_lock(&r->lock);
    s->loading = false;
    s->ret = ret;
    s->err = err;
    if (ret == -ESTALE)
        r->lost = ret;
    wake(s);
    if (ret == 0 && s->keep) {
        s->users++;
        r->storing++;
        s->store.run = store_segment;
        pool_submit(r->pool, &s->store);
    }
    if (ret < 0 && s->users == 0)
        segment_free(r, s); /* nobody waited for it */
    pthread_mutex_unlock(&r->lock);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static bool in_disk_cache(const Reader *r, uint64_t off)
{
    return r->config.cache && disk_cache_has(r->config.cache, align_down(off, CACHE_BLOCK));
}

/* Where the run of blocks from `off` on that are not in the disk cache ends, at most at `end`. */
static uint64_t uncached_end(const Reader *r, uint64_t off, uint64_t end)
{
    while (r->config.cache && off < end && !in_disk_cache(r, off))
        off += CACHE_BLOCK;
    return r->config.cache ? MIN(off, end) : end;
}

/* Start the transfer of what is missing from `off` on, at most to `end`. NULL: no memory. */
static Segment *ask(Reader *r, uint64_t off, uint64_t end, bool keep)
{
    uint64_t start = align_down(off, CACHE_BLOCK);

    end = MIN(align_up(end, CACHE_BLOCK), r->config.size);
    end = MIN(end, start + SEGMENT_MAX);
    end = segment_next(r, start, end);
    end = uncached_end(r, MIN(start + CACHE_BLOCK, end), end);
    Segment *s = segment_new(r, start, end);
    if (!s)
        return NULL;
    s->loading = true;
    s->keep = keep && r->config.cache;
    s->transfer = (Transfer) { .kind = TRANSFER_RANGE,
                               .first = start,
                               .end = end,
                               .owner = s,
                               .data = on_data,
                               .done = on_done };
    engine_submit(r->config.engine, &s->transfer);
    return s;
}

/* The same for all of [off, end) that is neither here nor on disk. How far it was done. */
static uint64_t ask_ahead(Reader *r, uint64_t off, uint64_t end, bool keep)
{
    while (off < end && r->config.engine) {
        Segment *s = segment_find(r, off);

        if (s) {
            off = s->end;
        } else if (in_disk_cache(r, off)) {
            off = align_down(off, CACHE_BLOCK) + CACHE_BLOCK;
        } else {
            if (!make_room(r, MIN(end - off, (uint64_t)SEGMENT_MAX)))
                return off;
            s = ask(r, off, end, keep);
            if (!s)
                return off;
            off = s->end;
        }
    }
    return MIN(off, r->config.size);
}

/* ---- sequences ---------------------------------------------------------------------------------
 */

static Stream *stream_find(Reader *r, uint64_t off, uint64_t end)
{
    Stream *oldest = &r->streams[0];

    for (size_t i = 0; i < STREAMS; i++) {
        Stream *s = &r->streams[i];

        if (s->used && off + BEHIND >= s->next && off <= s->next + BEYOND)
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    *oldest = (Stream) { .next = end, .asked = end };
    return oldest;
}

static Stream *stream_read(Reader *r, uint64_t off, uint64_t end)
{
    Stream *s = stream_find(r, off, end);

    s->used = ++r->tick;
    if (end > s->next) {
        s->run += end - s->next;
        s->next = end;
    }
    return s;
}

static bool worth_keeping(const Reader *r, const Stream *s)
{
    return r->config.cache && (r->config.cache_scans || s->run < SCAN);
}

static void read_ahead(Reader *r, Stream *s)
{
    uint64_t window = MIN(s->run, (uint64_t)WINDOW_MAX);
    uint64_t target = MIN(s->next + window, r->config.size);

    s->asked = MAX(s->asked, s->next);
    if (target < s->asked + MIN(window / 2, (uint64_t)SEGMENT_MAX) && target < r->config.size)
        return; /* few large requests, not many small ones */
    s->asked = MAX(s->asked, ask_ahead(r, s->asked, target, worth_keeping(r, s)));
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Blocks from the disk cache become a segment. -ENOENT: they are not there after all. */
static int load_cached(Reader *r, uint64_t off)
{
    uint64_t start = align_down(off, CACHE_BLOCK);
    size_t len = MIN(r->config.size - start, (uint64_t)CACHE_BLOCK);

    pthread_mutex_unlock(&r->lock);
    AUTO_FREE uint8_t *buf = malloc(len);
    int ret = buf ? disk_cache_read(r->config.cache, start, buf, len) : -ENOMEM;
    pthread_mutex_lock(&r->lock);
    if (ret < 0 || segment_find(r, off))
        return ret;
    make_room(r, len);
    Segment *s = segment_new(r, start, start + len);
    if (!s)
        return -ENOMEM;
    memcpy(s->data, buf, len);
    s->have = s->end;
    return 0;
}

/* A disk that is slower than the server holds the readers up, it does not fill the memory. */
static void wait_for_room(Reader *r)
{
    while (!make_room(r, SEGMENT_MAX) && r->storing)
        pthread_cond_wait(&r->stored, &r->lock);
}

static int not_cached(Error **err)
{
    return error_set(err, -EHOSTUNREACH,
                     "that part is not in the cache and the server cannot be reached");
}

/* The segment with the byte at `off`, found, loaded or asked for. */
static int segment_get(Reader *r, uint64_t off, uint64_t end, Stream *stream, Segment **out,
                       Error **err)
{
    *out = segment_find(r, off);
    if (!*out && in_disk_cache(r, off)) {
        int ret = load_cached(r, off);

        if (ret < 0 && ret != -ENOENT)
            return error_set(err, ret, "no memory for a part of the file");
        *out = segment_find(r, off);
    }
    if (!*out && !r->config.engine)
        return not_cached(err);
    if (!*out) {
        wait_for_room(r);
        *out = segment_find(r, off); /* somebody else may have asked meanwhile */
    }
    if (!*out)
        *out = ask(r, off, MAX(end, align_down(off, CACHE_BLOCK) + r->config.ahead),
                   worth_keeping(r, stream));
    return *out ? 0 : error_set(err, -ENOMEM, "no memory for a part of the file");
}

/* Wait until all of [.., end) that the segment will have is there. */
static int segment_wait(Reader *r, Segment *s, uint64_t end, Error **err)
{
    end = MIN(end, s->end);
    while (s->loading) {
        atomic_store(&s->wanted, MIN(atomic_load(&s->wanted), end)); /* before looking at `have` */
        if (atomic_load(&s->have) >= end)
            break;
        pthread_cond_wait(&s->moved, &r->lock);
    }
    if (s->have >= end)
        return 0;
    return error_set(err, s->ret, "%s", error_message(s->err, s->ret));
}

int reader_read(Reader *r, const struct iovec *iov, int iovcnt, uint64_t off, size_t len,
                Error **err)
{
    uint64_t end = off + len, pos = off;
    int ret = 0;

    pthread_mutex_lock(&r->lock);
    Stream *stream = stream_read(r, off, end);
    if (len > CACHE_BLOCK)
        ask_ahead(r, off, end, worth_keeping(r, stream));
    while (pos < end && ret == 0) {
        Segment *s;

        ret = r->lost ? error_set(err, r->lost, "the file changed on the server")
                      : segment_get(r, pos, end, stream, &s, err);
        if (ret < 0)
            break;
        s->users++;
        segment_touch(r, s);
        read_ahead(r, stream);
        ret = segment_wait(r, s, end, err);
        uint64_t n = MIN(end, s->end) - pos;
        if (ret == 0) {
            pthread_mutex_unlock(&r->lock);
            iov_write(iov, iovcnt, pos - off, s->data + (pos - s->start), n);
            pthread_mutex_lock(&r->lock);
            pos += n;
            if (pos == s->end && stream->run >= SEGMENT_MAX)
                segment_retire(r, s);
        }
        segment_release(r, s);
    }
    pthread_mutex_unlock(&r->lock);
    return ret;
}

void reader_give(Reader *r, uint64_t off, const void *buf, size_t len)
{
    pthread_mutex_lock(&r->lock);
    Segment *s = segment_new(r, off, off + len);

    if (s) {
        memcpy(s->data, buf, len);
        s->have = s->end;
    }
    pthread_mutex_unlock(&r->lock);
    if (r->config.cache)
        disk_cache_write(r->config.cache, off, buf, len);
}
