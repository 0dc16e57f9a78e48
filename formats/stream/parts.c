/*
 * parts.c - reading from independently compressed parts; see stream.h.
 *
 * A slot holds one unpacked part. Who finds a part missing takes the slot that was used longest ago
 * and unpacks it there, without the lock; others that want it wait. A reader that goes forward
 * has the next parts unpacked ahead on a pool.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/math.h"
#include "base/pool.h"
#include "formats/stream/stream.h"

enum { MAX_SLOTS = 64, MAX_AHEAD = 16, NO_PART = -1 };

typedef struct {
    int64_t part; /* NO_PART: free */
    uint8_t *bytes;
    size_t room;
    unsigned users; /* readers that copy from it, or who fills it */
    bool ready;
    uint64_t tick;
} Slot;

typedef struct {
    PoolJob job;
    Unpacker *unpacker;
    size_t part;
    bool busy;
} Ahead;

struct Unpacker {
    const Codec *codec;
    Node *file;
    Part *parts;
    size_t count;
    Pool *pool; /* made by the first reader that goes forward */
    unsigned ahead_max;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    Slot slots[MAX_SLOTS];
    unsigned n_slots;
    uint64_t tick;
    size_t last_part;
    Ahead ahead[MAX_AHEAD];
};

Unpacker *unpacker_new(const Codec *codec, Node *file, PartList *parts)
{
    Unpacker *u = calloc(1, sizeof(*u));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (!u)
        return NULL;
    u->codec = codec;
    u->file = file;
    u->parts = take(&parts->list);
    u->count = parts->count;
    u->ahead_max = (unsigned)MIN(MAX(cpus, 1), MAX_AHEAD);
    uint64_t fit = STREAM_PARTS_MEMORY / MAX(parts->largest, UINT64_C(1));
    u->n_slots = (unsigned)MAX(MIN(fit, (uint64_t)MAX_SLOTS), UINT64_C(3));
    for (unsigned i = 0; i < u->n_slots; i++)
        u->slots[i].part = NO_PART;
    u->last_part = SIZE_MAX;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->changed, NULL);
    return u;
}

void unpacker_free(Unpacker *u)
{
    if (!u)
        return;
    pool_free(u->pool);
    for (unsigned i = 0; i < u->n_slots; i++)
        free(u->slots[i].bytes);
    free(u->parts);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->changed);
    free(u);
}

/* ---- slots, with the lock held ------------------------------------------------------------- */

static Slot *slot_of(Unpacker *u, size_t part)
{
    for (unsigned i = 0; i < u->n_slots; i++)
        if (u->slots[i].part == (int64_t)part)
            return &u->slots[i];
    return NULL;
}

/* The slot that nobody uses and was used longest ago, or NULL. */
static Slot *slot_oldest(Unpacker *u)
{
    Slot *best = NULL;

    for (unsigned i = 0; i < u->n_slots; i++) {
        Slot *s = &u->slots[i];

        if (s->users == 0 && (!best || s->tick < best->tick))
            best = s;
    }
    return best;
}

/* ---- unpacking ----------------------------------------------------------------------------- */

static int unpack(Unpacker *u, const Part *p, Slot *s)
{
    AUTO_FREE uint8_t *packed = malloc(p->packed);

    if (p->len > s->room) {
        free(s->bytes);
        s->bytes = malloc(p->len);
        s->room = s->bytes ? p->len : 0;
    }
    if (!packed || !s->bytes)
        return -ENOMEM;
    int ret = node_pread(u->file, packed, p->packed, p->pos);
    if (ret == 0) {
        ret = u->codec->unpack(p, packed, s->bytes);
        ret = ret < 0 ? stream_damaged(u->codec, u->file, p->off, ret) : 0;
    }
    return ret;
}

/* Unpack `part` into `s`, which is taken for it here; the lock is dropped meanwhile. */
static int fill(Unpacker *u, size_t part, Slot *s)
{
    s->part = (int64_t)part;
    s->ready = false;
    s->users = 1;
    s->tick = ++u->tick;
    pthread_mutex_unlock(&u->lock);
    int ret = unpack(u, &u->parts[part], s);
    pthread_mutex_lock(&u->lock);
    s->users--;
    s->ready = ret == 0;
    if (ret < 0)
        s->part = NO_PART;
    pthread_cond_broadcast(&u->changed);
    return ret;
}

/* The slot with `part`, unpacked and held by one more user. */
static int slot_get(Unpacker *u, size_t part, Slot **out)
{
    for (;;) {
        Slot *s = slot_of(u, part);

        if (s && s->ready) {
            s->users++;
            s->tick = ++u->tick;
            *out = s;
            return 0;
        }
        s = s ? NULL : slot_oldest(u);
        int ret = 0;
        if (s)
            ret = fill(u, part, s);
        else
            pthread_cond_wait(&u->changed, &u->lock);
        if (ret < 0)
            return ret;
    }
}

static void ahead_run(PoolJob *job)
{
    Ahead *a = container_of(job, Ahead, job);
    Unpacker *u = a->unpacker;

    pthread_mutex_lock(&u->lock);
    Slot *s = slot_of(u, a->part) ? NULL : slot_oldest(u);
    if (s)
        fill(u, a->part, s); /* whoever wants it meets the error again */
    a->busy = false;
    pthread_mutex_unlock(&u->lock);
}

/*
 * A reader came to `part`. If that is one further, unpack those that follow. Called with the lock,
 * which is dropped around the pool: that may run the job at once.
 */
static void look_ahead(Unpacker *u, size_t part)
{
    bool forward = part == u->last_part + 1;
    unsigned next = 1;

    if (part == u->last_part)
        return;
    u->last_part = part;
    if (!forward || u->ahead_max + 2 > u->n_slots)
        return;
    if (!u->pool && !(u->pool = pool_new(u->ahead_max)))
        return;
    for (unsigned i = 0; i < MAX_AHEAD; i++) {
        Ahead *a = &u->ahead[i];

        while (next <= u->ahead_max && slot_of(u, part + next))
            next++;
        if (next > u->ahead_max || part + next >= u->count)
            break;
        if (a->busy)
            continue;
        *a = (Ahead) { .job.run = ahead_run, .unpacker = u, .part = part + next, .busy = true };
        next++;
        pthread_mutex_unlock(&u->lock);
        pool_submit(u->pool, &a->job);
        pthread_mutex_lock(&u->lock);
    }
}

static size_t part_at(const Unpacker *u, uint64_t off)
{
    size_t low = 0, high = u->count - 1;

    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;

        if (u->parts[middle].off <= off)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

int unpacker_read(Unpacker *u, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    int ret = 0;

    pthread_mutex_lock(&u->lock);
    for (size_t done = 0, part = part_at(u, off); done < len && ret == 0; part++) {
        const Part *p = &u->parts[part];
        uint64_t skip = off + done - p->off;
        size_t n = (size_t)MIN(p->len - skip, (uint64_t)(len - done));
        Slot *s;

        if (p->len == 0)
            continue;
        look_ahead(u, part);
        ret = slot_get(u, part, &s);
        if (ret < 0)
            break;
        pthread_mutex_unlock(&u->lock);
        iov_write(iov, iovcnt, done, s->bytes + skip, n);
        pthread_mutex_lock(&u->lock);
        if (--s->users == 0)
            pthread_cond_broadcast(&u->changed);
        done += n;
    }
    pthread_mutex_unlock(&u->lock);
    return ret;
}
