/*
 * clock.h - named clocks and the timers on them.
 *
 * A clock counts nanoseconds from a source that its owner injects: the machine's virtual clock,
 * the host's real time, the wall clock behind the RTC, or a plain variable in a unit test. It can
 * be paused (the virtual clock stops with the machine) and set (after a snapshot is loaded).
 *
 * Timers are guarded by the machine lock. clock_now() may be called without it, as long as the
 * clock is paused, resumed and set only while no vCPU runs.
 */
#ifndef HW_CORE_CLOCK_H
#define HW_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_S       INT64_C(1000000000)
#define CLOCK_NO_TIMER INT64_MAX /* clock_deadline(): nothing is armed */

typedef int64_t ClockSource(void *opaque);
typedef void TimerFn(void *opaque);

typedef struct Timer Timer;

typedef struct Clock {
    const char *name;
    ClockSource *source;
    void *source_opaque;
    int64_t offset; /* now = source + offset */
    int64_t frozen; /* what a paused clock shows */
    bool paused;
    Timer *first;                  /* armed timers, earliest first */
    void (*rearmed)(void *opaque); /* the earliest deadline moved forward: wake the main loop */
    void *rearmed_opaque;
} Clock;

/* The three clocks of a machine. */
typedef struct Clocks {
    Clock virt; /* guest time: stops with the machine */
    Clock host; /* the host's monotonic time: never stops */
    Clock rtc;  /* nanoseconds since 1970 in UTC, as the guest's wall clock shall show them */
} Clocks;

struct Timer {
    Clock *clock;
    TimerFn *fn;
    void *opaque;
    int64_t expires; /* clock's nanoseconds; meaningful while armed */
    bool armed;
    Timer *next;
};

void clock_init(Clock *clock, const char *name, ClockSource *source, void *opaque);
int64_t clock_now(const Clock *clock);
void clock_pause(Clock *clock);
void clock_resume(Clock *clock);
void clock_set(Clock *clock, int64_t now);
void clock_on_rearm(Clock *clock, void (*fn)(void *opaque), void *opaque);

/* When the next timer is due, or CLOCK_NO_TIMER. */
int64_t clock_deadline(const Clock *clock);

/* Run the timers that are due. A timer is disarmed before its function runs, which may arm it. */
void clock_run(Clock *clock);

/* Sources over CLOCK_MONOTONIC and CLOCK_REALTIME, for whoever builds the real machine. */
ClockSource clock_source_monotonic;
ClockSource clock_source_realtime;

void timer_init(Timer *timer, Clock *clock, TimerFn *fn, void *opaque);
void timer_mod(Timer *timer, int64_t expires); /* arm, or move */
void timer_del(Timer *timer);

/* now * hz / 1e9 and back without overflow; the second rounds up, so that waiting until
 * clock_ticks_ns(n, hz) always shows at least n ticks. */
uint64_t clock_ns_ticks(int64_t ns, uint32_t hz);
int64_t clock_ticks_ns(uint64_t ticks, uint32_t hz);

#endif
