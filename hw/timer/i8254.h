/*
 * i8254.h - the programmable interval timer and the port 61h logic around its channel 2.
 */
#ifndef HW_TIMER_I8254_H
#define HW_TIMER_I8254_H

#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

enum { PIT_HZ = 1193182 };

typedef struct Pit Pit;

/* Ports 40h..43h and 61h; channel 0 drives `irq`. */
Pit *pit_new(DeviceList *devices, MemMap *io, Clock *clock, IrqInput *irq);

/* The HPET took over the timer interrupt (legacy replacement): channel 0 is not heard. */
void pit_set_muted(Pit *pit, bool muted);

#endif
