/*
 * piix4-pm.h - ACPI power management: timer, PM1 and GPE blocks, SMI command port, SMBus host.
 */
#ifndef HW_ACPI_PIIX4_PM_H
#define HW_ACPI_PIIX4_PM_H

#include "hw/core/clock.h"
#include "hw/pci/pci.h"

enum { PM_TIMER_HZ = 3579545, PM_SMI_COMMAND_PORT = 0xb2, PM_ACPI_ENABLE = 0xf1 };
enum { PM_ACPI_DISABLE = 0xf0, PM_S5_TYPE = 0, PM_BLOCK_SIZE = 64 };

typedef struct Piix4Pm Piix4Pm;

typedef struct Piix4PmWiring {
    PciBus *bus;
    int devfn;
    Clock *clock;
    IrqInput *sci;
    bool smm;                       /* the CPU has system management mode */
    void (*shutdown)(void *opaque); /* the guest entered S5 */
    void (*smi)(void *opaque);      /* only with smm */
    void *opaque;
} Piix4PmWiring;

Piix4Pm *piix4_pm_new(DeviceList *devices, const Piix4PmWiring *wiring);

void piix4_pm_power_button(Piix4Pm *pm);

/* Raise general-purpose event `n` (0..15). */
void piix4_pm_gpe(Piix4Pm *pm, unsigned n);

#endif
