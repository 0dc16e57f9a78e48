/*
 * i8259.h - the PC's pair of 8259A interrupt controllers.
 */
#ifndef HW_INTC_I8259_H
#define HW_INTC_I8259_H

#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

typedef struct Pic Pic;

/* `output` is told about the master's INT pin. Ports 20h, A0h and ELCR at 4D0h. */
Pic *pic_new(DeviceList *devices, MemMap *io, IrqInput *output);

/* Input `irq` of the pair (0..15): an IrqFn with the Pic as opaque. */
void pic_set_irq(void *pic, int irq, bool level);

/* INTA: the vector of the interrupt that the CPU takes now (a spurious IRQ 7 if none is left). */
uint8_t pic_ack(Pic *pic);
bool pic_output(const Pic *pic);

#endif
