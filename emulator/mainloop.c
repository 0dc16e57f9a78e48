/*
 * mainloop.c - see mainloop.h.
 *
 * A mutex is not fair: a vCPU that polls a device register takes it again before a waiting thread
 * has woken up. So the main thread holds `gate` while it waits for the lock, and everybody else
 * passes through the gate first when the main thread is waiting.
 */
#include "emulator/mainloop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/math.h"

enum { MAX_WATCHES = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool main_waits;
static _Thread_local bool is_main;

static Clocks *clocks;
static int wake_fd = -1;
static atomic_bool woken; /* wake_fd is readable, or the loop is not asleep and will look */
static Watch *watches;
static Watch *polled[MAX_WATCHES]; /* what the pollfds of this step belong to; NULL: stopped */

void machine_lock(void)
{
    if (is_main) {
        pthread_mutex_lock(&gate);
        atomic_store(&main_waits, true);
        pthread_mutex_lock(&lock);
        atomic_store(&main_waits, false);
        pthread_mutex_unlock(&gate);
    } else {
        if (atomic_load_explicit(&main_waits, memory_order_relaxed)) {
            pthread_mutex_lock(&gate);
            pthread_mutex_unlock(&gate);
        }
        pthread_mutex_lock(&lock);
    }
}

void machine_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void machine_wait(pthread_cond_t *cond)
{
    pthread_cond_wait(cond, &lock);
}

void watch_start(Watch *w, int fd, short events, WatchFn *fn, void *opaque)
{
    assert(!w->active);
    *w = (Watch) { .fd = fd, .events = events, .active = true, .fn = fn, .opaque = opaque };
    w->next = watches;
    watches = w;
    mainloop_wake();
}

void watch_events(Watch *w, short events)
{
    if (!w->active || w->events == events)
        return;
    w->events = events;
    mainloop_wake();
}

void watch_stop(Watch *w)
{
    if (!w->active)
        return;
    for (Watch **p = &watches; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    for (size_t i = 0; i < MAX_WATCHES; i++)
        if (polled[i] == w)
            polled[i] = NULL;
    w->active = false;
    mainloop_wake();
}

void mainloop_wake(void)
{
    uint64_t one = 1;

    if (is_main || atomic_exchange(&woken, true))
        return;
    while (write(wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void timer_rearmed(void *opaque)
{
    (void)opaque;
    mainloop_wake();
}

int mainloop_init(Clocks *c, Error **err)
{
    clocks = c;
    is_main = true;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return error_set(err, -errno, "cannot make an event descriptor");
    clock_on_rearm(&c->virt, timer_rearmed, NULL);
    clock_on_rearm(&c->host, timer_rearmed, NULL);
    clock_on_rearm(&c->rtc, timer_rearmed, NULL);
    return 0;
}

static void run_timers(void)
{
    clock_run(&clocks->virt);
    clock_run(&clocks->host);
    clock_run(&clocks->rtc);
}

/* Nanoseconds until the next timer of a clock is due; INT64_MAX if none is. */
static int64_t clock_wait(const Clock *clock)
{
    int64_t deadline = clock_deadline(clock);

    if (deadline == CLOCK_NO_TIMER || clock->paused)
        return INT64_MAX;
    return MAX(deadline - clock_now(clock), 0);
}

/* How long to sleep; NULL: until something happens. */
static struct timespec *sleep_time(struct timespec *ts)
{
    int64_t ns = MIN(clock_wait(&clocks->virt), clock_wait(&clocks->host));

    ns = MIN(ns, clock_wait(&clocks->rtc));
    if (ns == INT64_MAX)
        return NULL;
    *ts = (struct timespec) { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
    return ts;
}

static size_t fill_pollfds(struct pollfd *fds)
{
    size_t n = 0;

    fds[n++] = (struct pollfd) { .fd = wake_fd, .events = POLLIN };
    for (Watch *w = watches; w && n < MAX_WATCHES; w = w->next) {
        polled[n] = w;
        fds[n++] = (struct pollfd) { .fd = w->fd, .events = w->events };
    }
    return n;
}

static void dispatch(const struct pollfd *fds, size_t n)
{
    uint64_t count;

    if (fds[0].revents && read(wake_fd, &count, sizeof(count)) < 0)
        return;
    for (size_t i = 1; i < n; i++) {
        Watch *w = polled[i];

        if (w && fds[i].revents)
            w->fn(w->opaque, fds[i].revents);
    }
}

void mainloop_step(void)
{
    struct pollfd fds[MAX_WATCHES];
    struct timespec ts, *timeout = sleep_time(&ts);
    size_t n = fill_pollfds(fds);

    machine_unlock();
    int ready = ppoll(fds, n, timeout, NULL);
    machine_lock();
    atomic_store(&woken, false);
    if (ready > 0)
        dispatch(fds, n);
    for (size_t i = 0; i < n; i++)
        polled[i] = NULL;
    run_timers();
}
