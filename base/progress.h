/*
 * progress.h - how far a long operation is, and whether it should stop.
 *
 * The worker adds to `done`, any thread may read; the owner may set `cancel`. Totals may grow.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Progress Progress;
struct Progress {
    atomic_uint_fast64_t done, total;
    atomic_bool cancel;
    _Atomic(const char *) phase;  /* a word for what is being done now; NULL: nothing special */
    void (*changed)(Progress *p); /* after each step, on the worker; may be NULL */
    void *opaque;
};

static inline void progress_step(Progress *p, uint64_t amount)
{
    if (!p)
        return;
    atomic_fetch_add(&p->done, amount);
    if (p->changed)
        p->changed(p);
}

static inline void progress_phase(Progress *p, const char *phase)
{
    if (p)
        atomic_store(&p->phase, phase);
}

static inline bool progress_cancelled(Progress *p)
{
    return p && atomic_load(&p->cancel);
}

/* 0.0 to 100.0 */
static inline double progress_percent(Progress *p)
{
    uint64_t total = atomic_load(&p->total), done = atomic_load(&p->done);

    if (total == 0)
        return 100.0;
    return done >= total ? 100.0 : 100.0 * (double)done / (double)total;
}

#endif
