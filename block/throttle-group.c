/*
 * throttle-group.c - see throttle.h: the object `throttle-group` and its arithmetic.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/math.h"
#include "block/throttle.h"

enum { SLICE = 10 }; /* without a burst, a bucket holds what leaks in 1/10 s */
#define THROTTLE_MAX (UINT64_C(1000000000000000))

static const char *const bucket_names[BUCKET_COUNT] = {
    [BUCKET_IOPS_TOTAL] = "iops-total", [BUCKET_IOPS_READ] = "iops-read",
    [BUCKET_IOPS_WRITE] = "iops-write", [BUCKET_BPS_TOTAL] = "bps-total",
    [BUCKET_BPS_READ] = "bps-read",     [BUCKET_BPS_WRITE] = "bps-write",
};

/* ---- arithmetic ----------------------------------------------------------------------------- */

static void leak(ThrottleBucket *b, double seconds)
{
    b->level = MAX(b->level - (double)b->avg * seconds, 0.0);
    b->burst_level = MAX(b->burst_level - (double)b->max * seconds, 0.0);
}

/* Seconds until the bucket has leaked down to where a request may go. */
static double wait_for(const ThrottleBucket *b)
{
    double room = b->max ? (double)b->max * (double)b->burst_length : (double)b->avg / SLICE;
    double wait = 0;

    if (b->avg == 0)
        return 0;
    if (b->level > room)
        wait = (b->level - room) / (double)b->avg;
    if (b->burst_length > 1 && b->burst_level > (double)b->max / SLICE)
        wait = MAX(wait, (b->burst_level - (double)b->max / SLICE) / (double)b->max);
    return wait;
}

uint64_t throttle_account(Throttle *t, bool write, uint64_t bytes, uint64_t now_ns)
{
    const ThrottleKind kinds[] = { BUCKET_IOPS_TOTAL, write ? BUCKET_IOPS_WRITE : BUCKET_IOPS_READ,
                                   BUCKET_BPS_TOTAL, write ? BUCKET_BPS_WRITE : BUCKET_BPS_READ };
    uint64_t ops = t->iops_size && bytes > t->iops_size ? div_round_up(bytes, t->iops_size) : 1;
    double wait = 0;

    pthread_mutex_lock(&t->lock);
    if (now_ns > t->now_ns) {
        for (int i = 0; i < BUCKET_COUNT; i++)
            leak(&t->buckets[i], t->now_ns ? (double)(now_ns - t->now_ns) / 1e9 : 0);
        t->now_ns = now_ns;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        ThrottleBucket *b = &t->buckets[kinds[i]];
        double units = (double)(kinds[i] >= BUCKET_BPS_TOTAL ? bytes : ops);

        wait = MAX(wait, wait_for(b));
        b->level += units; /* also if it waits: who comes later waits longer */
        b->burst_level += units;
    }
    pthread_mutex_unlock(&t->lock);
    return (uint64_t)(wait * 1e9);
}

/* ---- options -------------------------------------------------------------------------------- */

static int take_number(Options *o, const char *prefix, const char *name, const char *suffix,
                       uint64_t *value, Error **err)
{
    char key[80];

    snprintf(key, sizeof(key), "%s%s%s", prefix, name, suffix);
    int ret = options_take_u64(o, key, value, err);
    if (ret == 0 && *value > THROTTLE_MAX)
        ret = error_set(err, -EINVAL, "option '%s' is more than %" PRIu64, key, THROTTLE_MAX);
    return ret;
}

static int judge(const ThrottleBucket *b, const char *name, Error **err)
{
    if (b->max && !b->avg)
        return error_set(err, -EINVAL, "%s-max needs %s", name, name);
    if (b->max && b->max < b->avg)
        return error_set(err, -EINVAL, "%s-max is less than %s", name, name);
    if (b->burst_length == 0)
        return error_set(err, -EINVAL, "%s-max-length is 0", name);
    if (b->burst_length > 1 && !b->max)
        return error_set(err, -EINVAL, "%s-max-length needs %s-max", name, name);
    if (b->max && b->burst_length > THROTTLE_MAX / b->max)
        return error_set(err, -EINVAL, "%s-max-length is too long for this burst", name);
    return 0;
}

static int take_bucket(ThrottleBucket *b, Options *o, const char *prefix, const char *name,
                       Error **err)
{
    if (b->burst_length == 0)
        b->burst_length = 1;
    int ret = take_number(o, prefix, name, "", &b->avg, err);
    if (ret == 0)
        ret = take_number(o, prefix, name, "-max", &b->max, err);
    if (ret == 0)
        ret = take_number(o, prefix, name, "-max-length", &b->burst_length, err);
    return ret == 0 ? judge(b, name, err) : ret;
}

/* A limit of all together and one of reads or writes say the same twice. */
static int judge_totals(const Throttle *t, Error **err)
{
    for (int total = 0; total < BUCKET_COUNT; total += 3)
        if ((t->buckets[total].avg && (t->buckets[total + 1].avg || t->buckets[total + 2].avg)) ||
            (t->buckets[total].max && (t->buckets[total + 1].max || t->buckets[total + 2].max)))
            return error_set(err, -EINVAL, "%s cannot be given with a limit of reads or writes",
                             bucket_names[total]);
    return 0;
}

int throttle_take_options(Throttle *t, Options *options, const char *prefix, Error **err)
{
    int ret = 0;

    for (int i = 0; i < BUCKET_COUNT && ret == 0; i++)
        ret = take_bucket(&t->buckets[i], options, prefix, bucket_names[i], err);
    if (ret == 0)
        ret = take_number(options, prefix, "iops-size", "", &t->iops_size, err);
    return ret == 0 ? judge_totals(t, err) : ret;
}

static int group_create(void *state, Options *options, Error **err)
{
    Throttle *t = state;

    pthread_mutex_init(&t->lock, NULL);
    int ret = throttle_take_options(t, options, "x-", err);
    return ret == 0 ? throttle_take_options(t, options, "limits.", err) : ret;
}

const ObjectType throttle_group_type = {
    .name = "throttle-group",
    .size = sizeof(Throttle),
    .create = group_create,
};
