/*
 * cache.c - slices of L2 tables and refcount blocks in memory, written back in batches.
 *
 * At most half of the slots are dirty between changes (commit_if_crowded()), so a look-up that
 * needs room always finds a clean table to drop; it never has to write. Of a table that is on disk
 * already only the changed pages are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/qcow2/qcow2.h"

enum { CACHE_MIN_SLOTS = 4, PAGE = 4096, RUN_MAX = 64, CLOCK_TICKS = 16 };

static bool is_dirty(const Slot *s)
{
    return s->from < s->to;
}

int cache_init(Cache *c, uint32_t slot_bytes, uint64_t bytes)
{
    uint32_t hash = 1;

    c->bytes = slot_bytes;
    c->max = (uint32_t)MAX(bytes / slot_bytes, (uint64_t)CACHE_MIN_SLOTS);
    while (hash < c->max)
        hash *= 2;
    c->hash_mask = hash - 1;
    c->slots = calloc(c->max, sizeof(*c->slots));
    c->heads = malloc(hash * sizeof(*c->heads));
    pthread_mutex_init(&c->lock, NULL);
    if (!c->slots || !c->heads)
        return -ENOMEM;
    memset(c->heads, 0xff, hash * sizeof(*c->heads));
    return 0;
}

void cache_free(Cache *c)
{
    for (uint32_t i = 0; c->slots && i < c->count; i++)
        free(c->slots[i].buf);
    free(c->slots);
    free(c->heads);
}

/* Table positions are multiples of 512 at least. */
static int32_t *head_of(Cache *c, uint64_t off)
{
    uint64_t h = (off >> 9) * UINT64_C(0x9e3779b97f4a7c15);

    return &c->heads[(h >> 32) & c->hash_mask];
}

static Slot *find(Cache *c, uint64_t off)
{
    for (int32_t i = *head_of(c, off); i >= 0; i = c->slots[i].next)
        if (c->slots[i].off == off)
            return &c->slots[i];
    return NULL;
}

static void unlink_slot(Cache *c, Slot *s)
{
    int32_t *at = head_of(c, s->off), me = (int32_t)(s - c->slots);

    while (*at != me)
        at = &c->slots[*at].next;
    *at = s->next;
    s->off = 0;
    c->dirty -= is_dirty(s);
    s->from = s->to = 0;
    s->fresh = false;
}

static void link_slot(Cache *c, Slot *s, uint64_t off)
{
    int32_t *head = head_of(c, off);

    s->off = off;
    s->next = *head;
    s->tick = ++c->tick;
    *head = (int32_t)(s - c->slots);
}

/* An unused slot, or a clean one not used lately (the clock hand looks at a few). */
static Slot *victim(Cache *c)
{
    Slot *best = NULL;

    if (c->count < c->max)
        return &c->slots[c->count++];
    for (uint32_t seen = 0, good = 0; seen < c->max && good < 8; seen++) {
        Slot *s = &c->slots[c->hand++ % c->max];

        if (is_dirty(s))
            continue;
        good++;
        if (!best || !s->off || c->tick - s->tick > c->tick - best->tick)
            best = s;
        if (!s->off)
            break;
    }
    if (best && best->off)
        unlink_slot(c, best);
    return best;
}

/* Put `buf` (ours from now on) into the cache as the table at `off`. */
static Slot *insert(Cache *c, uint64_t off, uint8_t *buf)
{
    Slot *s = victim(c);

    if (!s)
        return NULL;
    free(s->buf);
    s->buf = buf;
    link_slot(c, s, off);
    return s;
}

/* Memory of tables that were not used between the last cleaning and now goes back. */
static void clean(Cache *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        Slot *s = &c->slots[i];

        if (is_dirty(s) || !s->buf || (s->off && s->tick > c->clean_tick))
            continue;
        if (s->off)
            unlink_slot(c, s);
        free(take(&s->buf));
    }
    c->clean_tick = c->tick;
}

void cache_release(Cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->clean_tick = c->tick;
    clean(c);
    pthread_mutex_unlock(&c->lock);
}

/* Looking at the clock now and then is enough: an image that nobody uses is soon closed. */
static void clean_if_due(Cache *c)
{
    struct timespec now;

    if (c->interval == 0 || c->tick % CLOCK_TICKS)
        return;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (c->clean_at && now.tv_sec >= c->clean_at)
        clean(c);
    if (now.tv_sec >= c->clean_at)
        c->clean_at = now.tv_sec + c->interval;
}

int cache_get_locked(Qcow2 *q, Cache *c, uint64_t off, uint8_t **buf)
{
    clean_if_due(c);
    Slot *s = find(c, off);

    if (!s) {
        pthread_mutex_unlock(&c->lock);
        AUTO_FREE uint8_t *fresh = malloc(c->bytes);
        node_event(q->node->file, c == &q->l2_cache ? EVENT_L2_LOAD : EVENT_REFBLOCK_LOAD);
        int ret = fresh ? node_pread(q->node->file, fresh, c->bytes, off) : -ENOMEM;
        pthread_mutex_lock(&c->lock);
        if (ret < 0)
            return ret;
        s = find(c, off); /* another thread may have been faster */
        if (!s && (s = insert(c, off, fresh)))
            take(&fresh);
    }
    if (!s)
        return -ENOMEM;
    s->tick = ++c->tick;
    *buf = s->buf;
    return 0;
}

int cache_get(Qcow2 *q, Cache *c, uint64_t off, uint8_t **buf)
{
    pthread_mutex_lock(&c->lock);
    int ret = cache_get_locked(q, c, off, buf);
    pthread_mutex_unlock(&c->lock);
    return ret;
}

int cache_new(Cache *c, uint64_t off, uint8_t **buf)
{
    AUTO_FREE uint8_t *zeros = calloc(1, c->bytes);

    if (!zeros)
        return -ENOMEM;
    cache_forget(c, off);
    pthread_mutex_lock(&c->lock);
    Slot *s = insert(c, off, zeros);
    if (s) {
        *buf = take(&zeros);
        s->from = 0;
        s->to = c->bytes;
        s->fresh = true;
        c->dirty++;
    }
    pthread_mutex_unlock(&c->lock);
    return s ? 0 : -ENOMEM;
}

void cache_dirty(Cache *c, uint64_t off, uint32_t from, uint32_t to)
{
    pthread_mutex_lock(&c->lock);
    Slot *s = find(c, off);
    if (s && !is_dirty(s)) {
        s->from = from;
        s->to = to;
        c->dirty++;
    } else if (s) {
        s->from = MIN(s->from, from);
        s->to = MAX(s->to, to);
    }
    pthread_mutex_unlock(&c->lock);
}

void cache_forget(Cache *c, uint64_t off)
{
    pthread_mutex_lock(&c->lock);
    Slot *s = find(c, off);
    if (s)
        unlink_slot(c, s);
    pthread_mutex_unlock(&c->lock);
}

void cache_forget_cluster(Qcow2 *q, Cache *c, uint64_t off)
{
    for (uint64_t at = off; at < off + q->cluster; at += c->bytes)
        cache_forget(c, at);
}

void cache_drop(Cache *c)
{
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->slots[i].off)
            unlink_slot(c, &c->slots[i]);
    pthread_mutex_unlock(&c->lock);
}

bool cache_crowded(const Cache *c)
{
    return c->dirty > c->max / 2;
}

static int by_offset(const void *a, const void *b)
{
    const Slot *x = *(Slot *const *)a, *y = *(Slot *const *)b;

    return x->off < y->off ? -1 : x->off > y->off;
}

static bool is_whole(const Cache *c, const Slot *s)
{
    return s->from < PAGE && s->to + PAGE > c->bytes;
}

static BlockEvent write_event(const Qcow2 *q, const Cache *c, const Slot *first)
{
    if (c == &q->l2_cache)
        return first->fresh ? EVENT_L2_ALLOC_WRITE : EVENT_L2_UPDATE;
    return first->fresh ? EVENT_REFBLOCK_ALLOC_WRITE : EVENT_REFBLOCK_UPDATE_PART;
}

/* One table's changed pages, or several whole tables side by side, in one request. */
static int write_run(Qcow2 *q, Cache *c, Slot **run, int n)
{
    struct iovec iov[RUN_MAX] = { { 0 } };
    uint32_t skip = 0, len = c->bytes;

    if (n == 1) {
        skip = (uint32_t)align_down(run[0]->from, PAGE);
        len = (uint32_t)MIN(align_up(run[0]->to, PAGE), (uint64_t)c->bytes) - skip;
    }
    for (int i = 0; i < n; i++)
        iov[i] = (struct iovec) { run[i]->buf + skip, len };
    node_event(q->node->file, write_event(q, c, run[0]));
    int ret = node_pwritev(q->node->file, iov, n, run[0]->off + skip, 0);
    for (int i = 0; i < n && ret == 0; i++) {
        run[i]->from = run[i]->to = 0;
        run[i]->fresh = false;
        c->dirty--;
    }
    return ret;
}

/* How many of the sorted tables from list[0] on lie side by side and are to be written whole. */
static int run_of(const Cache *c, Slot **list, uint32_t n)
{
    int len = 1;

    while (len < RUN_MAX && (uint32_t)len < n && is_whole(c, list[len - 1]) &&
           is_whole(c, list[len]) && list[len]->off == list[0]->off + (uint64_t)len * c->bytes)
        len++;
    return len;
}

int cache_write(Qcow2 *q, Cache *c, bool only_fresh)
{
    int ret = 0;
    uint32_t n = 0;

    if (c->dirty == 0)
        return 0;
    pthread_mutex_lock(&c->lock);
    AUTO_FREE Slot **list = malloc(c->dirty * sizeof(*list));
    for (uint32_t i = 0; list && i < c->count; i++)
        if (is_dirty(&c->slots[i]) && (c->slots[i].fresh || !only_fresh))
            list[n++] = &c->slots[i];
    if (!list)
        ret = -ENOMEM;
    else
        qsort(list, n, sizeof(*list), by_offset);
    for (uint32_t i = 0; i < n && ret == 0;) {
        int len = run_of(c, list + i, n - i);

        ret = write_run(q, c, list + i, len);
        i += (uint32_t)len;
    }
    pthread_mutex_unlock(&c->lock);
    return ret;
}
