/*
 * hpet.h - high precision event timer with three comparators.
 */
#ifndef HW_TIMER_HPET_H
#define HW_TIMER_HPET_H

#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

enum { HPET_BASE_ADDRESS = 0xfed00000, HPET_INPUTS = 24 };

typedef struct Hpet Hpet;

/* `inputs` are the interrupt inputs by number, 0 and 8 being IRQ 0 and IRQ 8; `legacy` is told when
 * the HPET takes these two over from PIT and RTC. */
Hpet *hpet_new(DeviceList *devices, MemMap *memory, Clock *clock, IrqInput *inputs,
               void (*legacy)(void *opaque, bool on), void *opaque);

#endif
