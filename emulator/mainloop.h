/*
 * mainloop.h - the machine lock, and the thread that serves file descriptors and timers under it.
 *
 * There is one main loop and one machine lock in the program. Watches run on the main loop's thread
 * with the lock held. docs/EMULATOR.md tells who takes it when.
 */
#ifndef EMULATOR_MAINLOOP_H
#define EMULATOR_MAINLOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "hw/core/clock.h"

/* Not recursive. The main loop's thread overtakes vCPUs that ask for the lock again and again. */
void machine_lock(void);
void machine_unlock(void);
void machine_wait(pthread_cond_t *cond); /* with the lock held */

typedef void WatchFn(void *opaque, short revents);

/* Embedded by its owner; a watch that is all zeros is not watching. */
typedef struct Watch {
    int fd;
    short events; /* POLLIN, POLLOUT; 0: only errors and hang-ups are reported */
    bool active;
    WatchFn *fn;
    void *opaque;
    struct Watch *next;
} Watch;

void watch_start(Watch *w, int fd, short events, WatchFn *fn, void *opaque);
void watch_events(Watch *w, short events);
void watch_stop(Watch *w); /* also from within any watch's function */

int mainloop_init(Clocks *clocks, Error **err); /* the calling thread becomes the main thread */
void mainloop_wake(void);                       /* any thread, with or without the lock */
void mainloop_step(void);                       /* lock held: wait for something, and serve it */

#endif
