/*
 * a20.h - the A20 gate: one latch, written through port 92h and the keyboard controller.
 */
#ifndef HW_PC_A20_H
#define HW_PC_A20_H

#include <stdbool.h>

typedef struct A20Gate {
    bool on;
    void (*changed)(void *opaque, bool on);
    void *opaque;
} A20Gate;

static inline void a20_set(A20Gate *gate, bool on)
{
    if (gate->on == on)
        return;
    gate->on = on;
    if (gate->changed)
        gate->changed(gate->opaque, on);
}

#endif
