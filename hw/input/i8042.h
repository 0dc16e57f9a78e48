/*
 * i8042.h - the PC's keyboard controller, ports 60h and 64h.
 */
#ifndef HW_INPUT_I8042_H
#define HW_INPUT_I8042_H

#include "hw/core/device.h"
#include "hw/core/input.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"
#include "hw/pc/a20.h"

typedef struct I8042 I8042;

typedef struct I8042Wiring {
    MemMap *io;
    IrqInput *kbd_irq, *mouse_irq;
    Input *input;
    A20Gate *a20;
    void (*reset)(void *opaque); /* output port bit 0 went low */
    void *opaque;
} I8042Wiring;

I8042 *i8042_new(DeviceList *devices, const I8042Wiring *wiring);

#endif
