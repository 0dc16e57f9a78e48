/*
 * smbios.h - what the machine says about itself to management software.
 */
#ifndef HW_FIRMWARE_SMBIOS_H
#define HW_FIRMWARE_SMBIOS_H

#include "hw/firmware/fw-cfg.h"

/* Adds etc/smbios/smbios-anchor and smbios-tables; the firmware adds type 0 about itself. */
int smbios_add_tables(FwCfg *fw, uint64_t ram_size, unsigned cpus, const uint8_t uuid[16]);

#endif
