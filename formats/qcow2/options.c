/*
 * options.c - the options of an open image: how much memory its tables may take, what is given back
 * to the file below, what is checked before a write.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { MIN_REF_SLOTS = 4, MAX_SLOTS = 1 << 24, MIN_SLICE_BYTES = 512, CLEAN_INTERVAL_S = 600 };

typedef struct {
    uint64_t total, l2, ref, slice;
} Sizes;

/* ---- memory -------------------------------------------------------------------------------- */

static int take_sizes(Sizes *s, Options *o, Error **err)
{
    static const char *const names[] = { "cache-size", "l2-cache-size", "refcount-cache-size",
                                         "l2-cache-entry-size" };
    uint64_t *const values[] = { &s->total, &s->l2, &s->ref, &s->slice };
    int ret = 0;

    for (size_t i = 0; i < ARRAY_LEN(names) && ret == 0; i++)
        ret = options_take_size(o, names[i], values[i], err);
    return ret;
}

/* UINT64_MAX: not said. What only the total says goes to the L2 tables, but for a little. */
static int share_sizes(const Qcow2 *q, Sizes *s, Error **err)
{
    uint64_t least = (uint64_t)MIN_REF_SLOTS * q->cluster;
    bool total = s->total != UINT64_MAX, l2 = s->l2 != UINT64_MAX, ref = s->ref != UINT64_MAX;

    if (total && l2 && ref)
        return error_set(err, -EINVAL,
                         "cache-size, l2-cache-size and refcount-cache-size cannot all be set");
    if (total && l2 && s->l2 > s->total)
        return error_set(err, -EINVAL, "l2-cache-size is more than cache-size");
    if (total && ref && s->ref > s->total)
        return error_set(err, -EINVAL, "refcount-cache-size is more than cache-size");
    if (total && !l2)
        s->l2 = ref ? s->total - s->ref : s->total - MIN(s->total, least);
    if (total && !ref)
        s->ref = s->total - MIN(s->total, s->l2);
    if (s->l2 == UINT64_MAX)
        s->l2 = QCOW2_L2_CACHE_BYTES;
    if (s->ref == UINT64_MAX)
        s->ref = QCOW2_REFBLOCK_CACHE_BYTES;
    if (s->slice == UINT64_MAX)
        s->slice = MIN((uint64_t)QCOW2_L2_SLICE_BYTES, (uint64_t)q->cluster);
    if (!is_pow2(s->slice) || s->slice < MIN_SLICE_BYTES || s->slice > q->cluster)
        return error_set(err, -EINVAL,
                         "l2-cache-entry-size is %" PRIu64
                         ", not a power of two between 512 and the cluster size",
                         s->slice);
    return 0;
}

static int make_caches(Qcow2 *q, Options *o, Error **err)
{
    Sizes s = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
    int ret = take_sizes(&s, o, err);

    if (ret == 0)
        ret = share_sizes(q, &s, err);
    if (ret < 0)
        return ret;
    q->slice_bits = (unsigned)__builtin_ctzll(s.slice) - q->entry_log2;
    ret = cache_init(&q->l2_cache, (uint32_t)s.slice, MIN(s.l2, s.slice * MAX_SLOTS));
    if (ret == 0)
        ret = cache_init(&q->ref_cache, q->cluster, MIN(s.ref, (uint64_t)q->cluster * MAX_SLOTS));
    return ret < 0 ? error_set(err, ret, "no memory for the caches of tables") : 0;
}

/* ---- the rest ------------------------------------------------------------------------------ */

static int take_discards(Qcow2 *q, Options *o, Error **err)
{
    static const struct {
        const char *name;
        FreeReason why;
    } table[] = {
        { "pass-discard-request", FREE_REQUEST },
        { "pass-discard-snapshot", FREE_SNAPSHOT },
        { "pass-discard-other", FREE_OTHER },
    };
    int ret = 0;

    for (size_t i = 0; i < ARRAY_LEN(table) && ret == 0; i++) {
        bool pass = table[i].why == FREE_SNAPSHOT ||
                    (table[i].why == FREE_REQUEST && q->node->flags & OPEN_UNMAP);

        ret = options_take_bool(o, table[i].name, &pass, err);
        q->pass_discard |= pass ? 1u << table[i].why : 0;
    }
    return ret;
}

/* Each kind of metadata that is guarded, and the templates that it is part of */
static const struct {
    const char *name;
    bool constant, cached;
} overlap_kinds[] = {
    { "overlap-check.main-header", true, true },
    { "overlap-check.active-l1", true, true },
    { "overlap-check.active-l2", false, true },
    { "overlap-check.refcount-table", true, true },
    { "overlap-check.refcount-block", false, true },
    { "overlap-check.snapshot-table", true, true },
    { "overlap-check.inactive-l1", false, true },
    { "overlap-check.inactive-l2", false, false },
    { "overlap-check.bitmap-directory", true, true },
};

/* All kinds are guarded as soon as one is: it costs nothing to guard more than was asked for. */
static int take_overlap(Qcow2 *q, Options *o, Error **err)
{
    static const char *const templates[] = { "none", "constant", "cached", "all", NULL };
    enum { NONE, CONSTANT, CACHED, ALL };
    int by_name = CACHED, by_key = CACHED, ret;
    bool both = options_peek(o, "overlap-check") && options_peek(o, "overlap-check.template");
    bool named = options_peek(o, "overlap-check");

    ret = options_take_enum(o, "overlap-check", templates, &by_name, err);
    if (ret == 0)
        ret = options_take_enum(o, "overlap-check.template", templates, &by_key, err);
    if (ret == 0 && both && by_name != by_key)
        ret = error_set(err, -EINVAL, "overlap-check and overlap-check.template differ");
    int set = named ? by_name : by_key;
    for (size_t i = 0; i < ARRAY_LEN(overlap_kinds) && ret == 0; i++) {
        bool on = set == ALL || (set == CACHED && overlap_kinds[i].cached) ||
                  (set == CONSTANT && overlap_kinds[i].constant);

        ret = options_take_bool(o, overlap_kinds[i].name, &on, err);
        q->meta.watched |= on;
    }
    return ret;
}

static int take_lazy(Qcow2 *q, Options *o, Error **err)
{
    bool on = q->compatible & COMPAT_LAZY;
    int ret = options_take_bool(o, "lazy-refcounts", &on, err);

    if (ret == 0 && on && q->version < 3)
        return error_set(err, -EINVAL, "lazy refcounts need an image with compat=1.1");
    q->lazy = on;
    return ret;
}

int options_apply(Qcow2 *q, Options *o, Error **err)
{
    uint64_t interval = CLEAN_INTERVAL_S;
    int ret = make_caches(q, o, err);

    if (ret == 0)
        ret = options_take_u64(o, "cache-clean-interval", &interval, err);
    if (ret == 0 && interval > UINT32_MAX)
        ret = error_set(err, -EINVAL, "cache-clean-interval is at most %" PRIu32, UINT32_MAX);
    q->l2_cache.interval = q->ref_cache.interval = (uint32_t)interval;
    if (ret == 0)
        ret = take_discards(q, o, err);
    if (ret == 0)
        ret = take_overlap(q, o, err);
    return ret == 0 ? take_lazy(q, o, err) : ret;
}
