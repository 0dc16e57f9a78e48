/*
 * pool.c - see pool.h.
 */
#include "base/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { POOL_MAX_THREADS = 256 };

struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    PoolJob *first, **last;
    unsigned threads, max_threads, idle;
    bool ending;
    pthread_t ids[POOL_MAX_THREADS];
};

Pool *pool_new(unsigned max_threads)
{
    Pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->last = &p->first;
    p->max_threads = max_threads < 1                  ? 1
                     : max_threads > POOL_MAX_THREADS ? POOL_MAX_THREADS
                                                      : max_threads;
    return p;
}

static PoolJob *pool_next(Pool *p)
{
    while (!p->first && !p->ending) {
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    PoolJob *job = p->first;
    if (job) {
        p->first = job->next;
        if (!p->first)
            p->last = &p->first;
    }
    return job;
}

static void *pool_worker(void *arg)
{
    Pool *p = arg;
    PoolJob *job;

    pthread_mutex_lock(&p->lock);
    while ((job = pool_next(p))) {
        pthread_mutex_unlock(&p->lock);
        job->run(job);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static bool pool_start_thread(Pool *p)
{
    if (p->threads == p->max_threads || pthread_create(&p->ids[p->threads], NULL, pool_worker, p))
        return false;
    p->threads++;
    return true;
}

void pool_submit(Pool *p, PoolJob *job)
{
    pthread_mutex_lock(&p->lock);
    job->next = NULL;
    *p->last = job;
    p->last = &job->next;
    if (p->idle == 0)
        pool_start_thread(p);
    bool alone = p->threads == 0;
    pthread_cond_signal(&p->work);
    if (alone) { /* not one thread to be had: do the work here */
        PoolJob *mine = pool_next(p);
        pthread_mutex_unlock(&p->lock);
        mine->run(mine);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

void pool_free(Pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p);
}
