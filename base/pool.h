/*
 * pool.h - a fixed set of worker threads and one queue of jobs.
 *
 * A job is embedded in the caller's own struct; the pool allocates nothing a job. Threads start
 * with the first jobs that need them and end with pool_free().
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/error.h"

typedef struct Pool Pool;

typedef struct PoolJob PoolJob;
struct PoolJob {
    void (*run)(PoolJob *job); /* on a worker; may free or submit the job again */
    PoolJob *next;             /* the pool's */
};

Pool *pool_new(unsigned max_threads);

/* Runs what is still queued, then ends the threads. */
void pool_free(Pool *pool);

void pool_submit(Pool *pool, PoolJob *job);

#endif
