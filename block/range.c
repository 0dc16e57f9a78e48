/*
 * range.c - see range.h. A node has few requests in flight, so a list is enough.
 */
#include "block/range.h"

#include <stddef.h>

void range_init(RangeLocks *locks)
{
    pthread_mutex_init(&locks->lock, NULL);
    pthread_cond_init(&locks->changed, NULL);
    locks->first = locks->last = NULL;
}

void range_destroy(RangeLocks *locks)
{
    pthread_mutex_destroy(&locks->lock);
    pthread_cond_destroy(&locks->changed);
}

static bool conflict(const RangeLock *a, const RangeLock *b)
{
    return (a->exclusive || b->exclusive) && a->start < b->end && b->start < a->end;
}

static bool must_wait(const RangeLock *own)
{
    for (const RangeLock *r = own->prev; r; r = r->prev)
        if (conflict(own, r))
            return true;
    return false;
}

void range_acquire(RangeLocks *locks, RangeLock *own, uint64_t start, uint64_t end, bool exclusive)
{
    *own = (RangeLock) { .start = start, .end = end, .exclusive = exclusive };
    pthread_mutex_lock(&locks->lock);
    own->prev = locks->last;
    *(own->prev ? &own->prev->next : &locks->first) = own;
    locks->last = own;
    while (must_wait(own))
        pthread_cond_wait(&locks->changed, &locks->lock);
    pthread_mutex_unlock(&locks->lock);
}

void range_release(RangeLocks *locks, RangeLock *own)
{
    pthread_mutex_lock(&locks->lock);
    *(own->prev ? &own->prev->next : &locks->first) = own->next;
    *(own->next ? &own->next->prev : &locks->last) = own->prev;
    if (own->next) /* only who came later can have waited for us */
        pthread_cond_broadcast(&locks->changed);
    pthread_mutex_unlock(&locks->lock);
}
