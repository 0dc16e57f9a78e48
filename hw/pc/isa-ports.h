/*
 * isa-ports.h - single I/O ports of the PC that are no chips: port 92h, FERR#, debug ports.
 */
#ifndef HW_PC_ISA_PORTS_H
#define HW_PC_ISA_PORTS_H

#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"
#include "hw/pc/a20.h"

typedef struct IsaPorts IsaPorts;

typedef struct IsaPortsWiring {
    MemMap *io;
    A20Gate *a20;
    IrqInput *fpu_irq;
    void (*reset)(void *opaque);                   /* port 92h, bit 0 */
    void (*ignne)(void *opaque);                   /* a write to port F0h */
    void (*debug_log)(void *opaque, uint8_t byte); /* port 402h; NULL: the port is absent */
    void (*debug_exit)(void *opaque, int status);
    unsigned debug_exit_base, debug_exit_size; /* size 0: absent */
    void *opaque;
} IsaPortsWiring;

IsaPorts *isa_ports_new(DeviceList *devices, const IsaPortsWiring *wiring);

/* The FPU's FERR# pin, IRQ 13. */
void isa_ports_set_ferr(IsaPorts *ports, bool level);

#endif
