/*
 * dsdt.h - what the PC's DSDT says about the machine.
 */
#ifndef HW_ACPI_DSDT_H
#define HW_ACPI_DSDT_H

#include "hw/acpi/aml.h"

typedef struct AcpiMachine {
    unsigned cpus;
    bool hpet;
    bool serial[4];
    unsigned floppies;
    uint32_t pci_hole_start; /* to 0xfebfffff */
} AcpiMachine;

/* The definition block's body, without the table header. */
void dsdt_build(Aml *a, const AcpiMachine *machine);

#endif
