/*
 * ioapic.h - 82093AA I/O APIC with 24 inputs.
 */
#ifndef HW_INTC_IOAPIC_H
#define HW_INTC_IOAPIC_H

#include "hw/core/device.h"
#include "hw/core/memmap.h"
#include "hw/intc/lapic.h"

enum { IOAPIC_PINS = 24, IOAPIC_BASE = 0xfec00000 };

typedef struct Ioapic Ioapic;

/* Interrupts leave as messages through `deliver`. */
Ioapic *ioapic_new(DeviceList *devices, MemMap *memory,
                   void (*deliver)(void *opaque, const LapicMessage *message), void *opaque);

/* Input pin `n`: an IrqFn with the Ioapic as opaque. */
void ioapic_set_irq(void *ioapic, int n, bool level);

/* A CPU ended the level-triggered interrupt `vector`. */
void ioapic_eoi(Ioapic *ioapic, uint8_t vector);

#endif
