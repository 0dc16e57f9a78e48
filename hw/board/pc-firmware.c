/*
 * pc-firmware.c - what the BIOS learns about the machine: CMOS bytes and fw_cfg items.
 *
 * CMOS memory sizes and boot order follow what SeaBIOS reads (its src/fw/paravirt.c and
 * src/boot.c); e820, ACPI and SMBIOS come as fw_cfg files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/acpi/tables.h"
#include "hw/board/linux-boot.h"
#include "hw/board/pc-int.h"
#include "hw/firmware/smbios.h"

enum {
    CMOS_FLOPPY = 0x10,
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_MEMORY = 0x15,
    CMOS_EXTENDED = 0x17,
    CMOS_EXTENDED_2 = 0x30,
    CMOS_ABOVE_16M = 0x34,
    CMOS_BOOT_3 = 0x38,
    CMOS_BOOT_1_2 = 0x3d,
    CMOS_ABOVE_4G = 0x5b,
    CMOS_CPUS = 0x5f,
};
enum { KIB = 1024, EQUIPMENT_FPU_MOUSE = 0x06, E820_RAM = 1, E820_ENTRY = 20 };

static void cmos_le(Pc *pc, unsigned at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        rtc_cmos_set(pc->rtc, at + i, value >> 8 * i);
}

static void fill_memory_sizes(Pc *pc)
{
    uint64_t extended = MIN((pc->low_ram - 1024 * KIB) / KIB, UINT64_C(0xffff));
    uint64_t above_16m = pc->low_ram > 16384 * KIB ? (pc->low_ram - 16384 * KIB) >> 16 : 0;

    cmos_le(pc, CMOS_BASE_MEMORY, 640, 2);
    cmos_le(pc, CMOS_EXTENDED, extended, 2);
    cmos_le(pc, CMOS_EXTENDED_2, extended, 2);
    cmos_le(pc, CMOS_ABOVE_16M, MIN(above_16m, UINT64_C(0xffff)), 2);
    cmos_le(pc, CMOS_ABOVE_4G, (pc->config.ram_size - pc->low_ram) >> 16, 3);
}

/* Nibbles, first choice first: 1 floppy, 2 disk, 3 CD-ROM, 4 network. */
int pc_set_boot_order(Pc *pc, const char *order, Error **err)
{
    static const char letters[] = "acdn";
    uint8_t codes[3] = { 0 };

    if (strlen(order) > ARRAY_LEN(codes))
        return error_set(err, -EINVAL, "boot order '%s' has more than three devices", order);
    for (size_t i = 0; order[i]; i++) {
        const char *p = strchr(letters, order[i]);

        if (!p)
            return error_set(err, -EINVAL, "boot order '%s': no device is called '%c'", order,
                             order[i]);
        codes[i] = p - letters + 1;
    }
    rtc_cmos_set(pc->rtc, CMOS_BOOT_1_2, codes[0] | codes[1] << 4);
    rtc_cmos_set(pc->rtc, CMOS_BOOT_3, codes[2] << 4);
    return 0;
}

static unsigned floppy_count(const Pc *pc)
{
    return (pc->floppies[0] != 0) + (pc->floppies[1] != 0);
}

static int fill_cmos(Pc *pc, Error **err)
{
    unsigned floppies = floppy_count(pc);
    uint8_t equipment = EQUIPMENT_FPU_MOUSE;

    if (floppies)
        equipment |= 1 | (floppies - 1) << 6;
    rtc_cmos_set(pc->rtc, CMOS_FLOPPY, pc->floppies[0] << 4 | pc->floppies[1]);
    rtc_cmos_set(pc->rtc, CMOS_EQUIPMENT, equipment);
    rtc_cmos_set(pc->rtc, CMOS_CPUS, pc->config.cpus - 1);
    fill_memory_sizes(pc);
    return pc_set_boot_order(pc, pc->config.boot_order ? pc->config.boot_order : "cdn", err);
}

static void e820_entry(uint8_t *at, uint64_t start, uint64_t length)
{
    put_le64(at, start);
    put_le64(at + 8, length);
    put_le32(at + 16, E820_RAM);
}

static int add_e820(Pc *pc)
{
    uint8_t map[2 * E820_ENTRY];
    uint64_t high = pc->config.ram_size - pc->low_ram;

    e820_entry(map, 0, pc->low_ram);
    e820_entry(map + E820_ENTRY, UINT64_C(1) << 32, high);
    return fw_cfg_add_file(pc->fw_cfg, "etc/e820", map, high ? 2 * E820_ENTRY : E820_ENTRY);
}

static int add_numbers(Pc *pc)
{
    const PcConfig *c = &pc->config;
    FwCfg *fw = pc->fw_cfg;
    int ret = fw_cfg_add_u64(fw, FW_RAM_SIZE, c->ram_size);

    if (ret == 0)
        ret = fw_cfg_add(fw, FW_UUID, c->uuid, sizeof(c->uuid));
    if (ret == 0)
        ret = fw_cfg_add_u16(fw, FW_NOGRAPHIC, 0);
    if (ret == 0)
        ret = fw_cfg_add_u16(fw, FW_CPUS, c->cpus);
    if (ret == 0)
        ret = fw_cfg_add_u16(fw, FW_MAX_CPUS, c->max_cpus);
    if (ret == 0)
        ret = fw_cfg_add_u16(fw, FW_BOOT_MENU, c->boot_menu);
    if (ret == 0)
        ret = fw_cfg_add_u32(fw, FW_IRQ0_OVERRIDE, 1); /* the timer is on I/O APIC pin 2 */
    return ret;
}

static int add_boot_files(Pc *pc)
{
    const PcConfig *c = &pc->config;
    uint8_t wait[4];
    int ret = 0;

    if (c->boot_menu_timeout_ms) {
        put_le16(wait, MIN(c->boot_menu_timeout_ms, 0xffff));
        ret = fw_cfg_add_file(pc->fw_cfg, "etc/boot-menu-wait", wait, 2);
    }
    if (ret == 0 && c->boot_fail_wait_set) {
        put_le32(wait, c->boot_fail_wait_ms);
        ret = fw_cfg_add_file(pc->fw_cfg, "etc/boot-fail-wait", wait, 4);
    }
    if (ret == 0 && pc->boot_order)
        ret = fw_cfg_add_file(pc->fw_cfg, "bootorder", pc->boot_order, strlen(pc->boot_order) + 1);
    return ret;
}

static int add_acpi(Pc *pc)
{
    AcpiMachine machine = {
        .cpus = pc->config.cpus,
        .hpet = !pc->config.no_hpet,
        .floppies = floppy_count(pc),
        .pci_hole_start = pc->low_ram,
    };

    for (int i = 0; i < PC_SERIALS; i++)
        machine.serial[i] = pc_has_serial(pc, i);
    return pc->config.no_acpi ? 0 : acpi_add_tables(pc->fw_cfg, &machine);
}

static int add_kernel(Pc *pc, Error **err)
{
    const PcConfig *c = &pc->config;
    LinuxBoot boot = {
        .kernel = c->kernel.data,
        .kernel_size = c->kernel.size,
        .initrd = c->initrd.data,
        .initrd_size = c->initrd.size,
        .append = c->append,
        .low_ram = pc->low_ram,
    };
    AUTO_FREE char *others = NULL;

    if (!c->kernel.data)
        return 0;
    int ret = linux_boot_prepare(pc->fw_cfg, &boot, err);
    if (ret < 0)
        return ret;
    others = take(&pc->boot_order); /* the kernel comes first */
    ret = pc_add_boot_path(pc, LINUX_BOOT_PATH, err);
    return ret == 0 && others ? pc_add_boot_path(pc, others, err) : ret;
}

int pc_setup_firmware(Pc *pc, Error **err)
{
    int ret = fill_cmos(pc, err);

    if (ret == 0)
        ret = add_kernel(pc, err);
    if (ret < 0)
        return ret;
    ret = add_numbers(pc);
    if (ret == 0)
        ret = add_e820(pc);
    if (ret == 0)
        ret = add_boot_files(pc);
    if (ret == 0)
        ret = add_acpi(pc);
    if (ret == 0)
        ret = smbios_add_tables(pc->fw_cfg, pc->config.ram_size, pc->config.cpus, pc->config.uuid);
    return ret < 0 ? error_set(err, ret, "cannot build the firmware's tables") : 0;
}

int pc_add_fw_file(Pc *pc, const char *name, const void *data, size_t size, Error **err)
{
    int ret = fw_cfg_add_file(pc->fw_cfg, name, data, size);

    return ret < 0 ? error_set(err, ret, "cannot add firmware file '%s'", name) : 0;
}

int pc_add_boot_path(Pc *pc, const char *path, Error **err)
{
    size_t old = pc->boot_order ? strlen(pc->boot_order) : 0;
    char *order = realloc(pc->boot_order, old + strlen(path) + 2);

    if (!order)
        return error_set(err, -ENOMEM, "no memory for the boot order");
    sprintf(order + old, "%s%s", old ? "\n" : "", path);
    pc->boot_order = order;
    return 0;
}

void pc_cmos_set(Pc *pc, unsigned index, uint8_t value)
{
    rtc_cmos_set(pc->rtc, index, value);
}

void pc_set_floppy(Pc *pc, unsigned unit, uint8_t type)
{
    pc->floppies[unit] = type & 0x0f;
}
