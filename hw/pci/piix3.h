/*
 * piix3.h - PCI-to-ISA bridge: interrupt router and reset control.
 */
#ifndef HW_PCI_PIIX3_H
#define HW_PCI_PIIX3_H

#include "hw/pci/pci.h"

typedef struct Piix3 Piix3;

/* `isa_irqs` are the sixteen ISA interrupt inputs; `reset` is asked for by port CF9h. */
Piix3 *piix3_new(DeviceList *devices, PciBus *bus, int devfn, IrqInput *isa_irqs,
                 void (*reset)(void *opaque), void *opaque);

/* PIRQA..D of the bus: an IrqFn with the Piix3 as opaque. */
void piix3_set_pirq(void *piix3, int pirq, bool level);

void piix3_reset_control_write(void *piix3, uint8_t value);
uint8_t piix3_reset_control_read(void *piix3);

#endif
