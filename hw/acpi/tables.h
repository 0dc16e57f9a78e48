/*
 * tables.h - the machine's ACPI tables and the script by which firmware installs them.
 */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include "hw/acpi/dsdt.h"
#include "hw/firmware/fw-cfg.h"

/* Adds etc/acpi/tables, etc/acpi/rsdp and etc/table-loader. -ENOMEM, or as fw_cfg_add_file. */
int acpi_add_tables(FwCfg *fw, const AcpiMachine *machine);

#endif
