/*
 * config.h - what the command line asks for: plain data, filled by cmdline.c, read by machine.c.
 */
#ifndef EMULATOR_CONFIG_H
#define EMULATOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"

enum {
    CONFIG_CPUS = 16,
    CONFIG_SERIALS = 4,
    CONFIG_MONITORS = 4,
    CONFIG_DRIVES = 32,
    CONFIG_LDIRS = 8
};

typedef enum { DRIVE_IF_IDE, DRIVE_IF_FLOPPY, DRIVE_IF_NONE } DriveInterface;

typedef struct DriveConfig {
    char *id, *file;  /* file NULL: an empty CD-ROM drive, or named in `options` */
    Options *options; /* for the block layer */
    char *format;     /* NULL: probe */
    unsigned flags;   /* OPEN_* of the cache mode and discard */
    DriveInterface interface;
    bool cdrom, snapshot, readonly;
    int bus, unit; /* -1: the next free place */
} DriveConfig;

typedef enum { RTC_UTC, RTC_LOCALTIME, RTC_DATE } RtcBase;
typedef enum { VGA_STD, VGA_NONE } VgaKind;

typedef struct Config {
    uint64_t ram_size;
    const char *cpu;
    unsigned cpus, cores, threads; /* in all; a socket; a core */
    const char *tcg_backend;       /* NULL: the best */
    uint64_t tcg_cache;            /* bytes; 0: default */

    DriveConfig drives[CONFIG_DRIVES];
    unsigned n_drives;
    bool snapshot;
    const char *image; /* the argument that is no option */

    char boot_order[16], boot_once[16]; /* "": default */
    bool boot_menu;
    uint64_t boot_menu_timeout_ms;
    bool boot_reboot_timeout_set;
    int boot_reboot_timeout_ms;
    const char *kernel, *initrd, *append;
    const char *bios;
    const char *ldirs[CONFIG_LDIRS];
    unsigned n_ldirs;

    const char *serials[CONFIG_SERIALS];
    unsigned n_serials;
    const char *monitors[CONFIG_MONITORS];
    unsigned n_monitors;
    const char *debugcon;
    const char *gdb; /* where gdb connects; NULL: nowhere */
    bool nographic, display_none;
    VgaKind vga;
    bool vga_given;
    bool no_defaults; /* no console, display or CD-ROM drive that nobody asked for */

    bool no_reboot, no_shutdown, no_hpet, no_acpi, paused;
    bool debug_exit;
    uint64_t debug_exit_iobase, debug_exit_iosize;
    RtcBase rtc_base;
    int64_t rtc_date; /* seconds since 1970 */
    bool rtc_vm_clock;
    uint8_t uuid[16];

    const char *log_items, *log_file, *trace;
    const char *name, *pidfile;
    bool daemonize;
} Config;

#endif
