/*
 * tables.c - RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT, HPET (ACPI 6.4, section 5.2).
 *
 * Tables are built back to back in one file with pointers relative to it; the loader script (QEMU's
 * documented linker/loader: allocate, add pointer, add checksum) tells the firmware to place the
 * file and to finish pointers and checksums. Power management ports are where SeaBIOS puts them.
 */
#include "hw/acpi/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "hw/acpi/piix4-pm.h"

enum { HEADER = 36, PM_BASE = 0x600, SCI_IRQ = 9, LOADER_ENTRY = 128, FILE_NAME = 56 };
enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2, FACS_SIZE = 64, RSDP_SIZE = 36, RSDP_V1_SIZE = 20 };

static const char tables_file[] = "etc/acpi/tables";
static const char rsdp_file[] = "etc/acpi/rsdp";

typedef struct Builder {
    Aml tables, rsdp, script;
} Builder;

/* --- loader script ------------------------------------------------------------------------ */

static void put_file_name(uint8_t *at, const char *name)
{
    strncpy((char *)at, name, FILE_NAME - 1);
}

static void loader_allocate(Builder *b, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t e[LOADER_ENTRY] = { 0 };

    put_le32(e, LOADER_ALLOCATE);
    put_file_name(e + 4, file);
    put_le32(e + 60, align);
    e[64] = zone;
    aml_bytes(&b->script, e, sizeof(e));
}

/* The `size` bytes at `offset` of `file` hold an offset into the tables: make it an address. */
static void loader_pointer(Builder *b, const char *file, uint32_t offset, uint8_t size)
{
    uint8_t e[LOADER_ENTRY] = { 0 };

    put_le32(e, LOADER_ADD_POINTER);
    put_file_name(e + 4, file);
    put_file_name(e + 60, tables_file);
    put_le32(e + 116, offset);
    e[120] = size;
    aml_bytes(&b->script, e, sizeof(e));
}

static void loader_checksum(Builder *b, const char *file, uint32_t at, uint32_t start, uint32_t len)
{
    uint8_t e[LOADER_ENTRY] = { 0 };

    put_le32(e, LOADER_ADD_CHECKSUM);
    put_file_name(e + 4, file);
    put_le32(e + 60, at);
    put_le32(e + 64, start);
    put_le32(e + 68, len);
    aml_bytes(&b->script, e, sizeof(e));
}

/* --- tables ------------------------------------------------------------------------------- */

/* Length and checksum follow in table_end(). */
static size_t table_begin(Builder *b, const char *signature, uint8_t revision)
{
    Aml *t = &b->tables;
    size_t start = t->size;

    aml_bytes(t, signature, 4);
    aml_le(t, 0, 4);
    aml_byte(t, revision);
    aml_byte(t, 0);
    aml_bytes(t, "ONION ", 6);
    aml_bytes(t, "SKIN", 4);
    aml_bytes(t, signature, 4);
    aml_le(t, 1, 4);
    aml_bytes(t, "OSKN", 4);
    aml_le(t, 1, 4);
    return start;
}

static void table_end(Builder *b, size_t start)
{
    enum { LENGTH = 4, CHECKSUM = 9 };
    size_t size = b->tables.size - start;

    if (b->tables.failed)
        return;
    put_le32(b->tables.data + start + LENGTH, size);
    loader_checksum(b, tables_file, start + CHECKSUM, start, size);
}

static size_t build_facs(Builder *b)
{
    Aml *t = &b->tables;
    size_t start = t->size;
    uint8_t facs[FACS_SIZE] = "FACS";

    put_le32(facs + 4, FACS_SIZE);
    facs[32] = 1; /* version */
    aml_bytes(t, facs, sizeof(facs));
    return start;
}

static size_t build_dsdt(Builder *b, const AcpiMachine *m)
{
    size_t start = table_begin(b, "DSDT", 1);

    dsdt_build(&b->tables, m);
    table_end(b, start);
    return start;
}

static void io_address(uint8_t *at, uint8_t bits, uint8_t access, uint16_t port)
{
    at[0] = 1; /* system I/O */
    at[1] = bits;
    at[3] = access;
    put_le64(at + 4, port);
}

/* Fields by their offset in the table, section 5.2.9. */
static void fill_fadt(uint8_t *f)
{
    enum { FLAGS = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 15 };

    put_le16(f + 46, SCI_IRQ);
    put_le32(f + 48, PM_SMI_COMMAND_PORT);
    f[52] = PM_ACPI_ENABLE;
    f[53] = PM_ACPI_DISABLE;
    put_le32(f + 56, PM_BASE);       /* PM1a event block */
    put_le32(f + 64, PM_BASE + 4);   /* PM1a control */
    put_le32(f + 76, PM_BASE + 8);   /* timer */
    put_le32(f + 80, PM_BASE + 0xc); /* GPE0 */
    f[88] = 4;
    f[89] = 2;
    f[91] = 4;
    f[92] = 4;
    put_le16(f + 96, 0xfff); /* no C2, */
    put_le16(f + 98, 0xfff); /* no C3 */
    f[108] = 0x32;           /* RTC century */
    put_le16(f + 109, 3);    /* legacy devices, 8042 */
    /* WBINVD, C1, no sleep button, RTC not a fixed wake event, reset register, platform clock */
    put_le32(f + 112, FLAGS);
    io_address(f + 116, 8, 1, 0xcf9);
    f[128] = 0x06; /* full reset */
    io_address(f + 148, 32, 2, PM_BASE);
    io_address(f + 172, 16, 2, PM_BASE + 4);
    io_address(f + 208, 32, 3, PM_BASE + 8);
    io_address(f + 220, 32, 1, PM_BASE + 0xc);
}

static size_t build_fadt(Builder *b, size_t facs, size_t dsdt)
{
    enum { FADT_SIZE = 244, FACS_AT = 36, DSDT_AT = 40, X_FACS_AT = 132, X_DSDT_AT = 140 };
    size_t start = table_begin(b, "FACP", 3);
    uint8_t f[FADT_SIZE] = { 0 };

    fill_fadt(f);
    put_le32(f + FACS_AT, facs);
    put_le32(f + DSDT_AT, dsdt);
    put_le64(f + X_DSDT_AT, dsdt);
    aml_bytes(&b->tables, f + HEADER, FADT_SIZE - HEADER);
    loader_pointer(b, tables_file, start + FACS_AT, 4);
    loader_pointer(b, tables_file, start + DSDT_AT, 4);
    loader_pointer(b, tables_file, start + X_DSDT_AT, 8);
    table_end(b, start);
    return start;
}

/* Interrupt source override: ISA interrupt, the I/O APIC pin, polarity and trigger. */
static void madt_override(Aml *t, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    aml_byte(t, 2);
    aml_byte(t, 10);
    aml_byte(t, 0);
    aml_byte(t, irq);
    aml_le(t, gsi, 4);
    aml_le(t, flags, 2);
}

static size_t build_madt(Builder *b, const AcpiMachine *m)
{
    enum { LEVEL_HIGH = 0x000d };
    static const uint8_t level_irqs[] = { 5, 9, 10, 11 };
    Aml *t = &b->tables;
    size_t start = table_begin(b, "APIC", 1);

    aml_le(t, 0xfee00000, 4);
    aml_le(t, 1, 4); /* two 8259s as well */
    for (unsigned n = 0; n < m->cpus; n++) {
        aml_byte(t, 0);
        aml_byte(t, 8);
        aml_byte(t, n); /* processor and APIC numbers are equal */
        aml_byte(t, n);
        aml_le(t, 1, 4);
    }
    aml_byte(t, 1); /* I/O APIC */
    aml_byte(t, 12);
    aml_le(t, 0, 2);
    aml_le(t, 0xfec00000, 4);
    aml_le(t, 0, 4);
    madt_override(t, 0, 2, 0); /* the timer is wired to pin 2 */
    for (size_t i = 0; i < sizeof(level_irqs); i++)
        madt_override(t, level_irqs[i], level_irqs[i], LEVEL_HIGH);
    aml_byte(t, 4); /* NMI: LINT1 of every processor */
    aml_byte(t, 6);
    aml_byte(t, 0xff);
    aml_le(t, 0, 2);
    aml_byte(t, 1);
    table_end(b, start);
    return start;
}

static size_t build_hpet(Builder *b)
{
    Aml *t = &b->tables;
    size_t start = table_begin(b, "HPET", 1);

    aml_le(t, 0x8086a201, 4); /* as the capability register says */
    aml_byte(t, 0);           /* memory space, 64 bits */
    aml_byte(t, 64);
    aml_le(t, 0, 2);
    aml_le(t, 0xfed00000, 8);
    aml_byte(t, 0); /* sequence number */
    aml_le(t, 0, 2);
    aml_byte(t, 0);
    table_end(b, start);
    return start;
}

static size_t build_root(Builder *b, const char *signature, unsigned width, const size_t *tables,
                         unsigned count)
{
    size_t start = table_begin(b, signature, 1);

    for (unsigned i = 0; i < count; i++) {
        loader_pointer(b, tables_file, b->tables.size, width);
        aml_le(&b->tables, tables[i], width);
    }
    table_end(b, start);
    return start;
}

static void build_rsdp(Builder *b, size_t rsdt, size_t xsdt)
{
    uint8_t r[RSDP_SIZE] = "RSD PTR ";

    memcpy(r + 9, "ONION ", 6);
    r[15] = 2; /* revision: has the fields from 20 on */
    put_le32(r + 16, rsdt);
    put_le32(r + 20, RSDP_SIZE);
    put_le64(r + 24, xsdt);
    aml_bytes(&b->rsdp, r, sizeof(r));
    loader_pointer(b, rsdp_file, 16, 4);
    loader_pointer(b, rsdp_file, 24, 8);
    loader_checksum(b, rsdp_file, 8, 0, RSDP_V1_SIZE);
    loader_checksum(b, rsdp_file, 32, 0, RSDP_SIZE);
}

static void build_all(Builder *b, const AcpiMachine *m)
{
    size_t tables[3];
    unsigned count = 0;

    loader_allocate(b, tables_file, 64, ZONE_HIGH);
    loader_allocate(b, rsdp_file, 16, ZONE_FSEG);
    size_t facs = build_facs(b);
    size_t dsdt = build_dsdt(b, m);
    tables[count++] = build_fadt(b, facs, dsdt);
    tables[count++] = build_madt(b, m);
    if (m->hpet)
        tables[count++] = build_hpet(b);
    size_t rsdt = build_root(b, "RSDT", 4, tables, count);
    size_t xsdt = build_root(b, "XSDT", 8, tables, count);
    build_rsdp(b, rsdt, xsdt);
}

int acpi_add_tables(FwCfg *fw, const AcpiMachine *machine)
{
    Builder b = { 0 };
    int ret = -ENOMEM;

    build_all(&b, machine);
    if (!b.tables.failed && !b.rsdp.failed && !b.script.failed)
        ret = fw_cfg_add_file(fw, tables_file, b.tables.data, b.tables.size);
    if (ret == 0)
        ret = fw_cfg_add_file(fw, rsdp_file, b.rsdp.data, b.rsdp.size);
    if (ret == 0)
        ret = fw_cfg_add_file(fw, "etc/table-loader", b.script.data, b.script.size);
    aml_free(&b.tables);
    aml_free(&b.rsdp);
    aml_free(&b.script);
    return ret;
}
