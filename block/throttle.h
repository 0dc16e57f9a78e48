/*
 * throttle.h - how much may happen in a second: leaky buckets that one or several nodes share.
 *
 * A bucket holds what was done lately and leaks `avg` units a second; who finds it full waits. With
 * `max`, bursts of `max` units a second are let through for `burst_length` seconds.
 */
#ifndef BLOCK_THROTTLE_H
#define BLOCK_THROTTLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "block/object.h"

typedef struct ThrottleBucket {
    uint64_t avg, max, burst_length; /* 0: no limit */
    double level, burst_level;
} ThrottleBucket;

typedef enum {
    BUCKET_IOPS_TOTAL,
    BUCKET_IOPS_READ,
    BUCKET_IOPS_WRITE,
    BUCKET_BPS_TOTAL,
    BUCKET_BPS_READ,
    BUCKET_BPS_WRITE,
    BUCKET_COUNT
} ThrottleKind;

typedef struct Throttle {
    pthread_mutex_t lock;
    ThrottleBucket buckets[BUCKET_COUNT];
    uint64_t iops_size; /* a larger request counts as several; 0: as one */
    uint64_t now_ns;    /* when the buckets leaked last */
} Throttle;

/* A request at `now_ns`: how long it has to wait. It counts from now on. */
uint64_t throttle_account(Throttle *t, bool write, uint64_t bytes, uint64_t now_ns);

/* Take `PREFIXiops-total`, ... and judge them. */
int throttle_take_options(Throttle *t, Options *options, const char *prefix, Error **err);

extern const ObjectType throttle_group_type;

#endif
