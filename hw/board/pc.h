/*
 * pc.h - the i440FX/PIIX3 PC (machine "pc"): built from a plain description, driven by hooks.
 *
 * What the emulator does: fill PcConfig and PcHooks, pc_new(), attach disks and a display adapter
 * through pc_pci_bus(), pc_isa_irq(), pc_io() and pc_memory(), call pc_setup_firmware(), then
 * pc_reset(). Everything runs under the machine lock.
 */
#ifndef HW_BOARD_PC_H
#define HW_BOARD_PC_H

#include <stddef.h>

#include "hw/core/chardev.h"
#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/input.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"
#include "hw/pci/pci.h"

enum { PC_SERIALS = 4, PC_MAX_CPUS = 255 };

typedef struct Pc Pc;

/* What the machine asks of the emulator. `opaque` is PcConfig.hooks_opaque. */
typedef struct PcHooks {
    /* The CPU's INTR pin: while it is high and the CPU takes interrupts, call pc_intr_ack(). */
    void (*intr)(void *opaque, unsigned cpu, bool level);
    void (*nmi)(void *opaque, unsigned cpu);
    void (*smi)(void *opaque, unsigned cpu);                     /* or NULL */
    void (*init)(void *opaque, unsigned cpu);                    /* reset the CPU, keep memory */
    void (*startup)(void *opaque, unsigned cpu, uint8_t vector); /* SIPI: start at vector << 12 */
    unsigned (*current_cpu)(void *opaque);   /* whose access is being handled; NULL: 0 */
    void (*a20)(void *opaque, bool enabled); /* or NULL */
    void (*ignne)(void *opaque);             /* port F0h: forget FERR#; or NULL */

    void (*reset_request)(void *opaque); /* the guest resets the machine: call pc_reset() later */
    void (*shutdown_request)(void *opaque);        /* ACPI S5 */
    void (*debug_exit)(void *opaque, int status);  /* isa-debug-exit: (value << 1) | 1 */
    void (*debug_log)(void *opaque, uint8_t byte); /* port 402h; or NULL */
} PcHooks;

typedef struct PcBytes {
    const uint8_t *data;
    size_t size;
} PcBytes;

typedef struct PcConfig {
    uint64_t ram_size; /* bytes; a multiple of 4 KiB, at least 1 MiB */
    unsigned cpus, max_cpus;
    PcBytes bios; /* copied; a multiple of 64 KiB, at most 16 MiB */
    Clocks *clocks;
    const PcHooks *hooks;
    void *hooks_opaque;
    uint64_t tsc_hz; /* of the CPU's time stamp counter, for the APIC's TSC-deadline timer */
    uint64_t (*tsc)(void *opaque, unsigned cpu); /* its value; NULL: no deadline timer */

    Chardev *serial[PC_SERIALS]; /* NULL: this port is absent unless serial_present */
    bool serial_present[PC_SERIALS];
    bool no_hpet, no_acpi;
    bool smm;           /* the CPU has system management mode; firmware may use it */
    bool rtc_localtime; /* the RTC shows local time (offset already in clocks->rtc) */

    const char *boot_order; /* "cdn" letters as of -boot; NULL: "cdn" */
    bool boot_menu;
    int boot_menu_timeout_ms; /* 0: the firmware's default */
    bool boot_fail_wait_set;  /* -boot reboot-timeout */
    int boot_fail_wait_ms;
    uint8_t uuid[16];

    PcBytes kernel, initrd; /* borrowed until pc_free(); kernel.data NULL: boot from disk */
    const char *append;
    unsigned debug_exit_iobase, debug_exit_iosize; /* -device isa-debug-exit; iosize 0: absent */
} PcConfig;

Pc *pc_new(const PcConfig *config, Error **err);
void pc_free(Pc *pc);

/* Fills fw_cfg, CMOS and ACPI tables from what was attached: call once, before the first reset. */
int pc_setup_firmware(Pc *pc, Error **err);
void pc_reset(Pc *pc);
void pc_power_button(Pc *pc);

/* --- for the CPU glue --------------------------------------------------------------------- */

/* The CPU takes the interrupt: its vector, or -1 if the request vanished meanwhile. */
int pc_intr_ack(Pc *pc, unsigned cpu);
uint64_t pc_apic_base(Pc *pc, unsigned cpu);                /* IA32_APIC_BASE */
int pc_set_apic_base(Pc *pc, unsigned cpu, uint64_t value); /* -EINVAL: the guest gets #GP */
uint8_t pc_cr8(Pc *pc, unsigned cpu);
void pc_set_cr8(Pc *pc, unsigned cpu, uint8_t value);
uint64_t pc_tsc_deadline(Pc *pc, unsigned cpu); /* IA32_TSC_DEADLINE */
void pc_set_tsc_deadline(Pc *pc, unsigned cpu, uint64_t value);
void pc_cpu_reset(Pc *pc, unsigned cpu); /* INIT reached the CPU: its APIC follows */
void pc_fpu_error(Pc *pc, bool level);   /* FERR# pin: IRQ 13 */

/* --- attach points ------------------------------------------------------------------------ */

MemMap *pc_memory(Pc *pc);
MemMap *pc_io(Pc *pc);
PciBus *pc_pci_bus(Pc *pc);
IrqInput *pc_isa_irq(Pc *pc, unsigned irq); /* 0..15; 2 is the cascade, not for devices */
Clocks *pc_clocks(Pc *pc);
Input *pc_input(Pc *pc);
DeviceList *pc_devices(Pc *pc);

/* The 8237: a floppy controller asserts its channel and moves bytes when it is its turn. */
struct Dma8237;
struct Dma8237 *pc_isa_dma(Pc *pc);

/* PIIX3 is slot 1: function 0 the ISA bridge, 1 the IDE controller (devfn 9), 2 USB, 3 ACPI. */
enum { PC_DEVFN_ISA = 8, PC_DEVFN_IDE = 9, PC_DEVFN_USB = 10, PC_DEVFN_PM = 11, PC_DEVFN_VGA = 16 };

/* An extra fw_cfg file (option ROM under genroms/, -fw_cfg); data is copied. */
int pc_add_fw_file(Pc *pc, const char *name, const void *data, size_t size, Error **err);

/* What the BIOS tries from the next reset on: letters as of -boot. */
int pc_set_boot_order(Pc *pc, const char *order, Error **err);

/* A bootable device, best first: its Open Firmware path goes to fw_cfg "bootorder". */
int pc_add_boot_path(Pc *pc, const char *path, Error **err);

/* CMOS bytes that a device wants the BIOS to see (IDE drive types in 12h, 19h..24h, 39h). */
void pc_cmos_set(Pc *pc, unsigned index, uint8_t value);

/* Floppy drive 0 or 1 is there, of this type (CMOS byte 10h); before pc_setup_firmware(). */
void pc_set_floppy(Pc *pc, unsigned unit, uint8_t type);

#endif
