/*
 * sendkey.c - typing keys from the monitor.
 *
 * Keys go down together and up again in reverse after the hold time; key strokes that were asked
 * for meanwhile wait in a queue, so "sendkey a" twice is two letters.
 */
#include <errno.h>
#include <string.h>

#include "emulator/monitor/keys.h"
#include "emulator/monitor/monitor.h"

enum { QUEUE = 256, DEFAULT_HOLD_MS = 100, GAP_MS = 10, MAX_HOLD_MS = 60000 };

typedef struct {
    InputKey keys[KEYS_MAX];
    int n;
    int64_t hold_ms;
} Stroke;

static struct {
    Machine *machine;
    Stroke queue[QUEUE];
    unsigned head, count;
    bool down; /* the first stroke's keys are held */
    Timer timer;
} typist;

static void next_step(void *opaque)
{
    Stroke *s = &typist.queue[typist.head];
    Input *input = pc_input(typist.machine->pc);
    int64_t wait_ms = GAP_MS;

    (void)opaque;
    if (typist.count == 0)
        return;
    typist.down = !typist.down;
    if (typist.down) {
        for (int i = 0; i < s->n; i++)
            input_key(input, s->keys[i], true);
        wait_ms = s->hold_ms;
    } else {
        for (int i = s->n - 1; i >= 0; i--)
            input_key(input, s->keys[i], false);
        typist.head = (typist.head + 1) % QUEUE;
        typist.count--;
    }
    timer_mod(&typist.timer, clock_now(typist.timer.clock) + wait_ms * 1000000);
}

static void enqueue(Machine *m, const Stroke *s)
{
    if (!typist.machine) {
        typist.machine = m;
        timer_init(&typist.timer, &m->clocks.virt, next_step, NULL);
    }
    typist.queue[(typist.head + typist.count++) % QUEUE] = *s;
    if (!typist.timer.armed)
        next_step(NULL);
}

int cmd_sendkey(Monitor *mon, char *args, Error **err)
{
    char *names = monitor_word(&args), *hold = monitor_word(&args);
    Stroke s = { .hold_ms = DEFAULT_HOLD_MS };
    char *end = "";

    if (!names)
        return error_set(err, -EINVAL, "sendkey needs keys, like ctrl-alt-delete");
    s.n = keys_parse(names, s.keys, err);
    if (s.n < 0)
        return s.n;
    if (hold)
        s.hold_ms = strtol(hold, &end, 0);
    if (*end || s.hold_ms < 1 || s.hold_ms > MAX_HOLD_MS)
        return error_set(err, -EINVAL, "hold time '%s' is not 1..%d ms", hold, MAX_HOLD_MS);
    if (typist.count == QUEUE)
        return error_set(err, -EBUSY, "%d key strokes are waiting already", QUEUE);
    enqueue(monitor_machine(mon), &s);
    return 0;
}
