/*
 * ps2.h - keyboard and mouse at the two PS/2 ports of a keyboard controller.
 *
 * A device never pushes bytes: it tells the controller through `ready` that it has some, and the
 * controller takes them with ps2_*_next() when its port is free.
 */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include "hw/core/device.h"
#include "hw/core/input.h"

enum { PS2_QUEUE = 64 };

typedef struct Ps2Queue {
    uint8_t data[PS2_QUEUE];
    uint8_t head, count;
} Ps2Queue;

typedef void Ps2Ready(void *opaque);
typedef struct Ps2Kbd Ps2Kbd;
typedef struct Ps2Mouse Ps2Mouse;

Ps2Kbd *ps2_kbd_new(DeviceList *devices, Input *input, Ps2Ready *ready, void *opaque);
void ps2_kbd_write(Ps2Kbd *kbd, uint8_t value);
bool ps2_kbd_next(Ps2Kbd *kbd, uint8_t *value);

Ps2Mouse *ps2_mouse_new(DeviceList *devices, Input *input, Ps2Ready *ready, void *opaque);
void ps2_mouse_write(Ps2Mouse *mouse, uint8_t value);
bool ps2_mouse_next(Ps2Mouse *mouse, uint8_t *value);

static inline unsigned ps2_queue_room(const Ps2Queue *q)
{
    return PS2_QUEUE - q->count;
}

static inline void ps2_queue_put(Ps2Queue *q, uint8_t value)
{
    if (!ps2_queue_room(q))
        return; /* a guest that never reads loses answers */
    q->data[(q->head + q->count) % PS2_QUEUE] = value;
    q->count++;
}

static inline bool ps2_queue_get(Ps2Queue *q, uint8_t *value)
{
    if (!q->count)
        return false;
    *value = q->data[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return true;
}

static inline bool ps2_queue_valid(const Ps2Queue *q)
{
    return q->head < PS2_QUEUE && q->count <= PS2_QUEUE;
}

#endif
