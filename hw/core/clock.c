/*
 * clock.c - named clocks and sorted lists of timers.
 *
 * A machine has a few dozen timers, most of them far away: a sorted list beats anything cleverer.
 */
#include "hw/core/clock.h"

#include <time.h>

void clock_init(Clock *clock, const char *name, ClockSource *source, void *opaque)
{
    *clock = (Clock) { .name = name, .source = source, .source_opaque = opaque };
}

int64_t clock_now(const Clock *clock)
{
    if (clock->paused)
        return clock->frozen;
    return clock->source(clock->source_opaque) + clock->offset;
}

void clock_pause(Clock *clock)
{
    clock->frozen = clock_now(clock);
    clock->paused = true;
}

void clock_resume(Clock *clock)
{
    if (!clock->paused)
        return;
    clock->paused = false;
    clock_set(clock, clock->frozen);
}

static void clock_notify_rearm(Clock *clock)
{
    if (clock->rearmed)
        clock->rearmed(clock->rearmed_opaque);
}

void clock_set(Clock *clock, int64_t now)
{
    if (clock->paused)
        clock->frozen = now;
    else
        clock->offset = now - clock->source(clock->source_opaque);
    clock_notify_rearm(clock);
}

void clock_on_rearm(Clock *clock, void (*fn)(void *opaque), void *opaque)
{
    clock->rearmed = fn;
    clock->rearmed_opaque = opaque;
}

int64_t clock_deadline(const Clock *clock)
{
    return clock->first ? clock->first->expires : CLOCK_NO_TIMER;
}

void clock_run(Clock *clock)
{
    int64_t now = clock_now(clock);

    while (clock->first && clock->first->expires <= now) {
        Timer *timer = clock->first;

        timer_del(timer);
        timer->fn(timer->opaque);
    }
}

static int64_t source_time(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_source_monotonic(void *opaque)
{
    (void)opaque;
    return source_time(CLOCK_MONOTONIC);
}

int64_t clock_source_realtime(void *opaque)
{
    (void)opaque;
    return source_time(CLOCK_REALTIME);
}

void timer_init(Timer *timer, Clock *clock, TimerFn *fn, void *opaque)
{
    *timer = (Timer) { .clock = clock, .fn = fn, .opaque = opaque };
}

void timer_del(Timer *timer)
{
    if (!timer->armed)
        return;
    for (Timer **p = &timer->clock->first; *p; p = &(*p)->next) {
        if (*p == timer) {
            *p = timer->next;
            break;
        }
    }
    timer->armed = false;
}

void timer_mod(Timer *timer, int64_t expires)
{
    Timer **p = &timer->clock->first;

    timer_del(timer);
    while (*p && (*p)->expires <= expires)
        p = &(*p)->next;
    timer->expires = expires;
    timer->next = *p;
    timer->armed = true;
    *p = timer;
    if (timer->clock->first == timer)
        clock_notify_rearm(timer->clock);
}

uint64_t clock_ns_ticks(int64_t ns, uint32_t hz)
{
    return (unsigned __int128)ns * hz / NS_PER_S;
}

int64_t clock_ticks_ns(uint64_t ticks, uint32_t hz)
{
    unsigned __int128 ns = ((unsigned __int128)ticks * NS_PER_S + hz - 1) / hz;

    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}
