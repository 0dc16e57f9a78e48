/*
 * refcount-run.c - reference counts of many clusters at once: one block at a time, with vectors for
 * the usual width of 16 bits.
 */
#include <errno.h>
#include <inttypes.h>

#include "formats/qcow2/sweep.h"

enum { LANES = 8 };
typedef uint16_t Vector __attribute__((vector_size(2 * LANES)));

static Vector load(const uint8_t *at)
{
    Vector v;

    memcpy(&v, at, sizeof(v));
    return be16toh(1) == 1 ? v : (v << 8 | v >> 8);
}

static void store(uint8_t *at, Vector v)
{
    v = be16toh(1) == 1 ? v : (v << 8 | v >> 8);
    memcpy(at, &v, sizeof(v));
}

static bool any(Vector v)
{
    uint64_t half[2];

    memcpy(half, &v, sizeof(half));
    return half[0] | half[1];
}

/* How many of the n counts at `at` are (same) or are not (!same) `value`, from the first on. */
static uint64_t span16(const uint8_t *at, uint64_t n, uint16_t value, bool same)
{
    uint64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        Vector equal = (Vector)(load(at + 2 * i) == value);

        if (any(same ? ~equal : equal))
            break;
    }
    while (i < n && (get_be16(at + 2 * i) == value) == same)
        i++;
    return i;
}

static void add16(uint8_t *at, uint64_t n, int delta)
{
    uint64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        store(at + 2 * i, load(at + 2 * i) + (uint16_t)delta);
    for (; i < n; i++)
        put_be16(at + 2 * i, (uint16_t)(get_be16(at + 2 * i) + delta));
}

/* The same for any width; `first` is an index in the block. */
static uint64_t span(const CountWindow *w, uint64_t first, uint64_t n, uint64_t value, bool same)
{
    uint64_t i = 0;

    if (w->q->refcount_order == 4)
        return span16(w->block + 2 * first, n, (uint16_t)value, same);
    while (i < n && (refcount_read(w->q, w->block, first + i) == value) == same)
        i++;
    return i;
}

static void add(CountWindow *w, uint64_t first, uint64_t n, int delta)
{
    uint32_t from, to, unused;

    if (w->q->refcount_order == 4) {
        add16(w->block + 2 * first, n, delta);
    } else {
        for (uint64_t i = first; i < first + n; i++)
            refcount_write(w->q, w->block, i,
                           refcount_read(w->q, w->block, i) + (uint64_t)(int64_t)delta);
    }
    refcount_bytes(w->q, first, &from, &unused);
    refcount_bytes(w->q, first + n - 1, &unused, &to);
    w->from = MIN(w->from, from);
    w->to = MAX(w->to, to);
}

/* ---- the window ---------------------------------------------------------------------------- */

void counts_begin(CountWindow *w, Qcow2 *q)
{
    *w = (CountWindow) { .q = q, .index = UINT64_MAX, .from = UINT32_MAX };
}

void counts_end(CountWindow *w)
{
    if (w->to)
        cache_dirty(&w->q->ref_cache, w->q->reftable[w->index] & REFTABLE_OFFSET, w->from, w->to);
    w->index = UINT64_MAX;
    w->block = NULL;
    w->from = UINT32_MAX;
    w->to = 0;
}

/* The block with the count of `cluster`; *n is cut at its end. w->block NULL: there is none. */
static int move_to(CountWindow *w, uint64_t cluster, uint64_t *n)
{
    uint64_t per = refblock_entries(w->q), index = cluster / per;
    int ret = 0;

    *n = MIN(*n, per - cluster % per);
    if (index == w->index)
        return 0;
    counts_end(w);
    if (cache_crowded(&w->q->ref_cache))
        ret = cache_write(w->q, &w->q->ref_cache, false);
    if (ret == 0)
        ret = refcount_block(w->q, index, &w->block);
    if (ret == 0)
        w->index = index;
    return ret;
}

static int unused(Qcow2 *q, uint64_t cluster)
{
    return damage(q, "cluster %" PRIu64 " is used, but its reference count is 0", cluster);
}

int counts_add(CountWindow *w, uint64_t first, uint64_t n, int delta, uint64_t *left)
{
    uint64_t limit = delta > 0 ? refcount_max(w->q) : 0, per = refblock_entries(w->q), step;

    for (; n; first += step, n -= step) {
        step = MIN(n, *left);
        if (step == 0)
            return -ECANCELED;
        int ret = move_to(w, first, &step);
        if (ret < 0)
            return ret;
        if (!w->block)
            return unused(w->q, first);
        uint64_t good = span(w, first % per, step, limit, false);
        if (good < step)
            return delta > 0 ? -ERANGE : unused(w->q, first + good);
        add(w, first % per, step, delta);
        *left -= step;
    }
    return 0;
}

/* Runs of zeros in what was counted down just now. */
static void give_back(CountWindow *w, uint64_t first, uint64_t n, FreeReason why)
{
    uint64_t per = refblock_entries(w->q), at = 0;

    while (at < n) {
        uint64_t run = span(w, (first + at) % per, n - at, 0, true);

        if (run)
            refcount_freed(w->q, first + at, run, why);
        at += run;
        at += span(w, (first + at) % per, n - at, 0, false);
    }
}

int counts_drop(CountWindow *w, uint64_t first, uint64_t n, FreeReason why)
{
    uint64_t per = refblock_entries(w->q), step;

    for (; n; first += step, n -= step) {
        step = n;
        int ret = move_to(w, first, &step);
        if (ret < 0)
            return ret;
        uint64_t good = w->block ? span(w, first % per, step, 0, false) : 0;
        if (good < step)
            return unused(w->q, first + good);
        add(w, first % per, step, -1);
        give_back(w, first, step, why);
    }
    return 0;
}

int counts_one(CountWindow *w, uint64_t first, uint64_t n, bool *one, uint64_t *run)
{
    uint64_t at = first % refblock_entries(w->q);
    int ret = move_to(w, first, &n);

    if (ret < 0)
        return ret;
    *one = w->block && refcount_read(w->q, w->block, at) == 1;
    *run = w->block ? span(w, at, n, 1, *one) : n;
    return 0;
}
