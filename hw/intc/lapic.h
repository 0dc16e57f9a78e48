/*
 * lapic.h - the local APICs of the machine's CPUs (xAPIC mode) and the bus between them.
 */
#ifndef HW_INTC_LAPIC_H
#define HW_INTC_LAPIC_H

#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/memmap.h"

typedef struct LapicBus LapicBus;

/* How the APICs reach their CPUs. Each function gets the CPU's number. */
typedef struct LapicHooks {
    void (*intr)(void *opaque, unsigned cpu, bool level); /* INTR: lapic_ack() has something */
    void (*nmi)(void *opaque, unsigned cpu);
    void (*smi)(void *opaque, unsigned cpu);
    void (*init)(void *opaque, unsigned cpu);
    void (*startup)(void *opaque, unsigned cpu, uint8_t vector);
    void (*eoi)(void *opaque, uint8_t vector); /* a level-triggered interrupt ended: I/O APICs */
    bool (*ext_level)(void *opaque);           /* the 8259's INT pin, wired to each LINT0 */
    uint8_t (*ext_ack)(void *opaque);
    unsigned (*current_cpu)(void *opaque);       /* whose access is being handled */
    uint64_t (*tsc)(void *opaque, unsigned cpu); /* NULL: no TSC-deadline mode */
    uint64_t tsc_hz;
    void *opaque;
} LapicHooks;

typedef enum {
    LAPIC_FIXED = 0,
    LAPIC_LOWEST = 1,
    LAPIC_SMI = 2,
    LAPIC_NMI = 4,
    LAPIC_INIT = 5,
    LAPIC_STARTUP = 6,
    LAPIC_EXTINT = 7,
} LapicDelivery;

/* An interrupt message, from an I/O APIC, an MSI or another CPU's ICR. */
typedef struct LapicMessage {
    uint8_t destination;
    bool logical;
    LapicDelivery delivery;
    uint8_t vector;
    bool level; /* trigger mode: EOI is told to I/O APICs */
} LapicMessage;

LapicBus *lapic_bus_new(DeviceList *devices, MemMap *memory, Clock *clock, unsigned cpus,
                        const LapicHooks *hooks);

void lapic_deliver(LapicBus *bus, const LapicMessage *message);

/* The 8259's INT pin changed. */
void lapic_ext_changed(LapicBus *bus);

/* INTA: the vector that the CPU takes (from the APIC or the 8259), or -1: nothing any more. */
int lapic_ack(LapicBus *bus, unsigned cpu);

/* INIT reached the CPU: everything but the APIC ID and base goes to its reset state. */
void lapic_cpu_init(LapicBus *bus, unsigned cpu);

uint8_t lapic_tpr(LapicBus *bus, unsigned cpu); /* CR8 is bits 7:4 */
void lapic_set_tpr(LapicBus *bus, unsigned cpu, uint8_t tpr);
uint64_t lapic_base(LapicBus *bus, unsigned cpu); /* IA32_APIC_BASE */
int lapic_set_base(LapicBus *bus, unsigned cpu, uint64_t value);
uint64_t lapic_tsc_deadline(LapicBus *bus, unsigned cpu);
void lapic_set_tsc_deadline(LapicBus *bus, unsigned cpu, uint64_t value);

#endif
