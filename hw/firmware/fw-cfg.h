/*
 * fw-cfg.h - the firmware configuration device: named byte strings that the BIOS reads.
 */
#ifndef HW_FIRMWARE_FW_CFG_H
#define HW_FIRMWARE_FW_CFG_H

#include "hw/core/device.h"
#include "hw/core/memmap.h"

enum { /* selector keys with a fixed meaning */
       FW_SIGNATURE = 0x00,
       FW_ID = 0x01,
       FW_UUID = 0x02,
       FW_RAM_SIZE = 0x03,
       FW_NOGRAPHIC = 0x04,
       FW_CPUS = 0x05,
       FW_KERNEL_ADDR = 0x07,
       FW_KERNEL_SIZE = 0x08,
       FW_INITRD_ADDR = 0x0a,
       FW_INITRD_SIZE = 0x0b,
       FW_BOOT_MENU = 0x0e,
       FW_MAX_CPUS = 0x0f,
       FW_KERNEL_DATA = 0x11,
       FW_INITRD_DATA = 0x12,
       FW_CMDLINE_ADDR = 0x13,
       FW_CMDLINE_SIZE = 0x14,
       FW_CMDLINE_DATA = 0x15,
       FW_SETUP_ADDR = 0x16,
       FW_SETUP_SIZE = 0x17,
       FW_SETUP_DATA = 0x18,
       FW_FILE_DIR = 0x19,
       FW_FILE_FIRST = 0x20,
       FW_FILES = 64,
       FW_IRQ0_OVERRIDE = 0x8002, /* x86 only */
};

typedef struct FwCfg FwCfg;

FwCfg *fw_cfg_new(DeviceList *devices, MemMap *io, MemMap *memory);

/* Bytes under a key, copied; or borrowed for as long as the machine lives. Each replaces. */
int fw_cfg_add(FwCfg *fw, unsigned key, const void *data, size_t size);
void fw_cfg_add_borrowed(FwCfg *fw, unsigned key, const void *data, size_t size);
int fw_cfg_add_u16(FwCfg *fw, unsigned key, uint16_t value);
int fw_cfg_add_u32(FwCfg *fw, unsigned key, uint32_t value);
int fw_cfg_add_u64(FwCfg *fw, unsigned key, uint64_t value);

/* A file of the directory, copied; an equal name is replaced. -ENAMETOOLONG, -ENOSPC, -ENOMEM. */
int fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t size);

#endif
