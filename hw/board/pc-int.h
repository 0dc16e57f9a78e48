/*
 * pc-int.h - the PC's inside, shared by pc.c (wiring) and pc-firmware.c (what the BIOS reads).
 */
#ifndef HW_BOARD_PC_INT_H
#define HW_BOARD_PC_INT_H

#include "hw/acpi/piix4-pm.h"
#include "hw/board/pc.h"
#include "hw/dma/i8237.h"
#include "hw/firmware/fw-cfg.h"
#include "hw/intc/ioapic.h"
#include "hw/intc/lapic.h"
#include "hw/pc/a20.h"
#include "hw/pc/isa-ports.h"
#include "hw/timer/mc146818.h"

enum { PC_ISA_IRQS = 16, PC_INPUTS = 24 };

struct Pc {
    PcConfig config;
    DeviceList devices;
    MemMap *memory, *io;
    RamBlock ram, bios;
    MemRegion ram_low, ram_high, bios_region;
    uint64_t low_ram; /* bytes below the PCI hole */
    IrqInput inputs[PC_INPUTS], pic_output;
    struct Pic *pic;
    Ioapic *ioapic;
    LapicBus *lapics;
    struct Pit *pit;
    Rtc *rtc;
    PciBus *pci;
    struct Piix3 *piix3;
    Piix4Pm *pm; /* NULL without ACPI */
    Dma8237 *dma;
    IsaPorts *isa_ports;
    FwCfg *fw_cfg;
    Input input;
    A20Gate a20;
    uint8_t floppies[2]; /* types of the drives; 0: none */
    bool started;        /* was reset once: the CPUs exist */
    char *boot_order;    /* Open Firmware paths, one a line */
};

bool pc_has_serial(const Pc *pc, unsigned n);

#endif
