/*
 * mc146818.h - real-time clock and CMOS memory, ports 70h and 71h.
 */
#ifndef HW_TIMER_MC146818_H
#define HW_TIMER_MC146818_H

#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

typedef struct Rtc Rtc;

/* Shows the time of `wall` (nanoseconds since 1970) and counts on `clock`, the guest's time. */
Rtc *rtc_new(DeviceList *devices, MemMap *io, Clock *clock, const Clock *wall, IrqInput *irq);

/* CMOS bytes that the board fills for the firmware; they survive reset. Index 0Eh..7Fh. */
void rtc_cmos_set(Rtc *rtc, unsigned index, uint8_t value);

/* The HPET took over IRQ 8 (legacy replacement). */
void rtc_set_muted(Rtc *rtc, bool muted);

#endif
