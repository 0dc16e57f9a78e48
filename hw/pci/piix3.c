/*
 * piix3.c - 82371SB function 0: ISA bridge (Intel 290550: PIRQRC section 2.2.9, RC
 * register 2.5.4.3).
 *
 * Each PIRQ drives one ISA interrupt that PIRQRC names, or none. The lines are wired-OR with what
 * ISA devices drive, so rerouting is disconnecting and connecting.
 */
#include "hw/pci/piix3.h"

#include <string.h>

enum { PIRQRC = 0x60, PIRQRC_OFF = 0x80, RCR_FULL = 0x02, RCR_RESET = 0x04 };

struct Piix3 {
    Device device;
    PciDevice pci;
    IrqLine pirq[PCI_PINS];
    IrqInput *isa_irqs;
    void (*reset)(void *opaque);
    void *opaque;
    uint8_t reset_control;
};

void piix3_set_pirq(void *opaque, int pirq, bool level)
{
    Piix3 *p = opaque;

    irq_set(&p->pirq[pirq], level);
}

/* Interrupts 0, 1, 2, 8 and 13 are reserved: routing there is off. */
static IrqInput *route(const Piix3 *p, int pirq)
{
    enum { ROUTABLE = 0xdef8 };
    uint8_t value = p->pci.config[PIRQRC + pirq];
    unsigned irq = value & 15;

    return value & PIRQRC_OFF || !(ROUTABLE >> irq & 1) ? NULL : &p->isa_irqs[irq];
}

static void update_routes(Piix3 *p)
{
    for (int i = 0; i < PCI_PINS; i++)
        if (p->pirq[i].to != route(p, i))
            irq_connect(&p->pirq[i], route(p, i));
}

static void config_wrote(PciDevice *dev, unsigned offset, unsigned size)
{
    if (offset + size > PIRQRC && offset < PIRQRC + PCI_PINS)
        update_routes(dev->opaque);
}

void piix3_reset_control_write(void *opaque, uint8_t value)
{
    Piix3 *p = opaque;
    bool rose = value & RCR_RESET && !(p->reset_control & RCR_RESET);

    p->reset_control = value & (RCR_FULL | RCR_RESET);
    if (rose)
        p->reset(p->opaque);
}

uint8_t piix3_reset_control_read(void *opaque)
{
    return ((Piix3 *)opaque)->reset_control;
}

static void piix3_reset(void *opaque)
{
    Piix3 *p = opaque;

    p->reset_control = 0;
    pci_device_reset(&p->pci);
    update_routes(p);
}

static int piix3_loaded(void *opaque)
{
    Piix3 *p = opaque;

    pci_device_loaded(&p->pci);
    update_routes(p);
    return 0;
}

static const SavedField piix3_fields[] = { SAVED(Piix3, reset_control),
                                           SAVED_BYTES(Piix3, pci.config), SAVED_END };

static const DeviceClass piix3_class = { .name = "piix3",
                                         .reset = piix3_reset,
                                         .loaded = piix3_loaded,
                                         .destroy = free,
                                         .fields = piix3_fields };

Piix3 *piix3_new(DeviceList *devices, PciBus *bus, int devfn, IrqInput *isa_irqs,
                 void (*reset)(void *opaque), void *opaque)
{
    static const PciIds ids = {
        .vendor = 0x8086,
        .device = 0x7000,
        .class_code = 0x060100,
        .multifunction = true,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
    };
    Piix3 *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->isa_irqs = isa_irqs;
    p->reset = reset;
    p->opaque = opaque;
    pci_device_init(&p->pci, "piix3", &ids);
    p->pci.opaque = p;
    p->pci.config_wrote = config_wrote;
    p->pci.config[PCI_COMMAND] = 7; /* an ISA bridge always decodes and masters */
    p->pci.wmask[PCI_COMMAND] = 0;
    p->pci.config[0x4c] = 0x4d; /* ISA recovery timer, as after reset */
    p->pci.config[0x4e] = 0x03; /* XBCS */
    memset(p->pci.wmask + 0x4c, 0xff, 4);
    p->pci.config[0x69] = 0x02; /* top of memory */
    memset(p->pci.wmask + 0x69, 0xff, 0xb0 - 0x69);
    memset(p->pci.config + PIRQRC, PIRQRC_OFF, PCI_PINS);
    memset(p->pci.wmask + PIRQRC, PIRQRC_OFF | 15, PCI_PINS);
    pci_bus_add(bus, &p->pci, devfn, NULL);
    device_add(devices, &p->device, &piix3_class, p);
    return p;
}
