/*
 * linux-boot.h - booting a Linux kernel without a boot loader on disk.
 */
#ifndef HW_BOARD_LINUX_BOOT_H
#define HW_BOARD_LINUX_BOOT_H

#include "hw/firmware/fw-cfg.h"

typedef struct LinuxBoot {
    const uint8_t *kernel; /* a bzImage; borrowed as long as the machine lives */
    size_t kernel_size;
    const uint8_t *initrd; /* borrowed; NULL: none */
    size_t initrd_size;
    const char *append; /* command line; NULL: empty */
    uint64_t low_ram;   /* bytes of RAM from address 0 */
} LinuxBoot;

/* Checks the kernel, decides where its parts go, and adds them and the boot ROM to fw_cfg. */
int linux_boot_prepare(FwCfg *fw, const LinuxBoot *boot, Error **err);

/* The name of the boot ROM in the firmware's boot order. */
#define LINUX_BOOT_PATH "/rom@genroms/linuxboot.bin"

/* The option ROM: linux-boot-rom.S assembled, with its checksum. */
enum { LINUX_BOOT_ROM_SIZE = 512 };
extern const uint8_t linux_boot_rom[LINUX_BOOT_ROM_SIZE];

#endif
