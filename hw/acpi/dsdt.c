/*
 * dsdt.c - the PC's devices in AML: PCI root with interrupt links, ISA devices, HPET, processors,
 * S5.
 *
 * PCI interrupts reach the I/O APIC through the same four PIRQ registers as the 8259, so one set
 * of link devices serves both interrupt models.
 */
#include "hw/acpi/dsdt.h"

#include <stdio.h>

#include "base/compiler.h"

enum { PIRQRC = 0x60, PCI_CONFIG_SPACE = 2, BYTE_ACCESS = 1, LINKS = 4, SLOTS = 32 };
enum { PCI_HOLE_END = 0xfebfffff, HPET_BASE = 0xfed00000 };

/* \_SB.PCI0._CRS: all bus numbers, all ports but the two of configuration, video and PCI memory. */
static void pci_resources(Aml *a, const AcpiMachine *m)
{
    Aml r = { 0 };

    res_bus_range(&r, 0, 255);
    res_io(&r, 0xcf8, 8);
    res_io_range(&r, 0x0000, 0x0cf7);
    res_io_range(&r, 0x0d00, 0xffff);
    res_memory_range(&r, 0xa0000, 0xbffff);
    res_memory_range(&r, m->pci_hole_start, PCI_HOLE_END);
    aml_name_decl(a, "_CRS");
    aml_resources(a, &r);
}

/* Each pin of each slot leads to a link, rotated by slot as the board's wiring is. */
static void routing_table(Aml *a)
{
    static const char *const links[LINKS] = { "\\_SB.LNKA", "\\_SB.LNKB", "\\_SB.LNKC",
                                              "\\_SB.LNKD" };

    aml_name_decl(a, "_PRT");
    size_t table = aml_package(a, SLOTS * LINKS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < LINKS; pin++) {
            size_t entry = aml_package(a, 4);

            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_name(a, links[(slot + pin + LINKS - 1) % LINKS]);
            aml_int(a, 0);
            aml_close(a, entry);
        }
    }
    aml_close(a, table);
}

static void isa_device(Aml *a, const char *name, const char *hid, Aml *resources)
{
    size_t dev = aml_device(a, name);

    aml_hid(a, hid);
    aml_name_int(a, "_STA", 0x0f);
    aml_name_decl(a, "_CRS");
    aml_resources(a, resources);
    aml_close(a, dev);
}

static void serial_port(Aml *a, unsigned n)
{
    static const struct {
        uint16_t base;
        uint8_t irq;
    } ports[] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };
    char name[5];
    Aml r = { 0 };

    snprintf(name, sizeof(name), "COM%u", (n + 1) & 7);
    size_t dev = aml_device(a, name);
    aml_hid(a, "PNP0501");
    aml_name_int(a, "_UID", n + 1);
    aml_name_int(a, "_STA", 0x0f);
    res_io(&r, ports[n].base, 8);
    res_irq(&r, ports[n].irq);
    aml_name_decl(a, "_CRS");
    aml_resources(a, &r);
    aml_close(a, dev);
}

static void isa_devices(Aml *a, const AcpiMachine *m)
{
    Aml r = { 0 };

    res_io(&r, 0x70, 2);
    res_irq(&r, 8);
    isa_device(a, "RTC", "PNP0B00", &r);
    res_io(&r, 0x60, 1);
    res_io(&r, 0x64, 1);
    res_irq(&r, 1);
    isa_device(a, "KBD", "PNP0303", &r);
    res_irq(&r, 12);
    isa_device(a, "MOU", "PNP0F13", &r);
    if (m->floppies) {
        res_io(&r, 0x3f2, 4);
        res_io(&r, 0x3f7, 1);
        res_irq(&r, 6);
        aml_bytes(&r, "\x2a\x04\x00", 3); /* DMA channel 2, 8 bit */
        isa_device(a, "FDC0", "PNP0700", &r);
    }
    for (unsigned n = 0; n < ARRAY_LEN(m->serial); n++)
        if (m->serial[n])
            serial_port(a, n);
}

static void isa_bridge(Aml *a, const AcpiMachine *m)
{
    size_t dev = aml_device(a, "ISA");

    aml_name_int(a, "_ADR", 0x00010000);
    aml_region(a, "PIRQ", PCI_CONFIG_SPACE, PIRQRC, LINKS);
    size_t field = aml_field(a, "PIRQ", BYTE_ACCESS);
    aml_field_unit(a, "PRQA", 8);
    aml_field_unit(a, "PRQB", 8);
    aml_field_unit(a, "PRQC", 8);
    aml_field_unit(a, "PRQD", 8);
    aml_close(a, field);
    isa_devices(a, m);
    aml_close(a, dev);
}

/* If (reg & 0x80), the link is off: the state without and the one with that bit. */
static void link_status(Aml *a, const char *reg)
{
    size_t method = aml_method(a, "_STA", 0), off = aml_if(a);

    aml_byte(a, AML_AND);
    aml_name(a, reg);
    aml_int(a, 0x80);
    aml_byte(a, AML_NO_TARGET);
    aml_byte(a, AML_RETURN);
    aml_int(a, 0x09);
    aml_close(a, off);
    aml_byte(a, AML_RETURN);
    aml_int(a, 0x0b);
    aml_close(a, method);
}

static void link_disable(Aml *a, const char *reg)
{
    size_t method = aml_method(a, "_DIS", 0);

    aml_byte(a, AML_OR);
    aml_name(a, reg);
    aml_int(a, 0x80);
    aml_name(a, reg);
    aml_close(a, method);
}

/* An interrupt descriptor whose number, at byte 5, is filled in from the register. */
static void link_current(Aml *a, const char *reg)
{
    static const uint32_t none[] = { 0 };
    size_t method = aml_method(a, "_CRS", 0);
    Aml r = { 0 };

    res_interrupts(&r, none, 1);
    aml_name_decl(a, "BUF0");
    aml_resources(a, &r);
    aml_byte(a, AML_CREATE_DWORD_FIELD);
    aml_name(a, "BUF0");
    aml_int(a, 5);
    aml_name(a, "IRQ0");
    aml_byte(a, AML_AND);
    aml_name(a, reg);
    aml_int(a, 0x0f);
    aml_name(a, "IRQ0");
    aml_byte(a, AML_RETURN);
    aml_name(a, "BUF0");
    aml_close(a, method);
}

static void link_set(Aml *a, const char *reg)
{
    size_t method = aml_method(a, "_SRS", 1);

    aml_byte(a, AML_CREATE_DWORD_FIELD);
    aml_byte(a, AML_ARG0);
    aml_int(a, 5);
    aml_name(a, "IRQ0");
    aml_byte(a, AML_STORE);
    aml_name(a, "IRQ0");
    aml_name(a, reg);
    aml_close(a, method);
}

static void link_device(Aml *a, unsigned n)
{
    static const uint32_t possible[] = { 5, 10, 11 };
    char name[] = "LNKx", reg[] = "\\_SB.PCI0.ISA.PRQx";
    Aml r = { 0 };

    name[3] = reg[sizeof(reg) - 2] = 'A' + n;
    size_t dev = aml_device(a, name);
    aml_hid(a, "PNP0C0F");
    aml_name_int(a, "_UID", n);
    res_interrupts(&r, possible, ARRAY_LEN(possible));
    aml_name_decl(a, "_PRS");
    aml_resources(a, &r);
    link_status(a, reg);
    link_disable(a, reg);
    link_current(a, reg);
    link_set(a, reg);
    aml_close(a, dev);
}

static void hpet_device(Aml *a)
{
    size_t dev = aml_device(a, "HPET");
    Aml r = { 0 };

    aml_hid(a, "PNP0103");
    aml_name_int(a, "_UID", 0);
    res_memory32(&r, HPET_BASE, 0x400, false);
    aml_name_decl(a, "_CRS");
    aml_resources(a, &r);
    aml_close(a, dev);
}

static void processor(Aml *a, unsigned n)
{
    char name[5];

    snprintf(name, sizeof(name), "C%03X", n & 0xfff);
    size_t dev = aml_device(a, name);
    aml_name_decl(a, "_HID");
    aml_string(a, "ACPI0007");
    aml_name_int(a, "_UID", n);
    aml_close(a, dev);
}

void dsdt_build(Aml *a, const AcpiMachine *m)
{
    size_t sb = aml_scope(a, "\\_SB");
    size_t pci = aml_device(a, "PCI0");

    aml_hid(a, "PNP0A03");
    aml_name_int(a, "_UID", 0);
    pci_resources(a, m);
    routing_table(a);
    isa_bridge(a, m);
    aml_close(a, pci);
    for (unsigned n = 0; n < LINKS; n++)
        link_device(a, n);
    if (m->hpet)
        hpet_device(a);
    for (unsigned n = 0; n < m->cpus; n++)
        processor(a, n);
    aml_close(a, sb);

    aml_name_decl(a, "\\_S5"); /* SLP_TYP 0 in PM1a_CNT: soft off */
    size_t s5 = aml_package(a, 4);
    for (int i = 0; i < 4; i++)
        aml_int(a, 0);
    aml_close(a, s5);
}
