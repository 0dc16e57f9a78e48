/*
 * range.h - requests in flight on byte ranges of one node.
 *
 * Shared holders (reads, writes in place) may overlap each other; an exclusive holder (whoever
 * changes the mapping of the range) overlaps nobody. First come, first served: a request waits for
 * conflicting ones that came before it and for nothing else, and holds one range at a time, so
 * there is no deadlock and no starvation.
 */
#ifndef BLOCK_RANGE_H
#define BLOCK_RANGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct RangeLock {
    uint64_t start, end;
    bool exclusive;
    struct RangeLock *prev, *next;
} RangeLock;

typedef struct RangeLocks {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    RangeLock *first, *last; /* in order of arrival */
} RangeLocks;

void range_init(RangeLocks *locks);
void range_destroy(RangeLocks *locks);

/* `own` lives on the caller's stack until range_release(). */
void range_acquire(RangeLocks *locks, RangeLock *own, uint64_t start, uint64_t end, bool exclusive);
void range_release(RangeLocks *locks, RangeLock *own);

#endif
