/*
 * i440fx.h - host bridge: PCI configuration ports, shadow RAM and SMRAM windows.
 */
#ifndef HW_PCI_I440FX_H
#define HW_PCI_I440FX_H

#include "hw/pci/pci.h"

typedef struct I440fx I440fx;

typedef struct I440fxWiring {
    PciBus *bus;
    RamBlock *ram;  /* its first megabyte lies behind the windows */
    RamBlock *bios; /* whose last 128 KiB (or all, if smaller) end at 1 MiB */
    /* Reset control: a byte written to or read from port CF9h, inside CONFIG_ADDRESS. */
    void (*reset_control_write)(void *opaque, uint8_t value);
    uint8_t (*reset_control_read)(void *opaque);
    void *opaque;
} I440fxWiring;

I440fx *i440fx_new(DeviceList *devices, const I440fxWiring *wiring);

#endif
