/*
 * pci.c - configuration space by masks, BARs kept mapped, interrupt pins routed and shared.
 *
 * Invariant: a BAR's region is placed in its map exactly while the guest enabled its space in
 * COMMAND (and the ROM's own enable bit), at the address that config space shows.
 */
#include "hw/pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/core/dma.h"

enum { ROM_ENABLE = 1 };

struct PciBus {
    MemMap *memory, *io;
    int swizzle;
    PciDevice *devices[256];
    IrqInput pirq[PCI_PINS]; /* wired-OR of the devices' pins */
    IrqLine lines[256];      /* one a device */
};

PciBus *pci_bus_new(MemMap *memory, MemMap *io, IrqFn *route, void *opaque, int swizzle)
{
    PciBus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return NULL;
    bus->memory = memory;
    bus->io = io;
    bus->swizzle = swizzle;
    for (int i = 0; i < PCI_PINS; i++)
        irq_input_init(&bus->pirq[i], route, opaque, i);
    return bus;
}

void pci_bus_free(PciBus *bus)
{
    free(bus);
}

MemMap *pci_bus_memory(PciBus *bus)
{
    return bus->memory;
}

MemMap *pci_bus_io(PciBus *bus)
{
    return bus->io;
}

PciDevice *pci_bus_device(PciBus *bus, unsigned devfn)
{
    return devfn < ARRAY_LEN(bus->devices) ? bus->devices[devfn] : NULL;
}

static int free_slot(PciBus *bus)
{
    for (int slot = 3; slot < 32; slot++)
        if (!bus->devices[slot << 3])
            return slot << 3;
    return -1;
}

int pci_bus_add(PciBus *bus, PciDevice *dev, int devfn, Error **err)
{
    if (devfn < 0)
        devfn = free_slot(bus);
    if (devfn < 0)
        return error_set(err, -ENOSPC, "no free PCI slot for %s", dev->name);
    if (devfn > 255 || bus->devices[devfn])
        return error_set(err, -EBUSY, "PCI slot %d.%d is not free for %s", devfn >> 3, devfn & 7,
                         dev->name);
    unsigned pin = dev->config[PCI_INTERRUPT_PIN];

    dev->bus = bus;
    dev->devfn = devfn;
    bus->devices[devfn] = dev;
    memcpy(dev->initial, dev->config, sizeof(dev->initial));
    if (pin)
        irq_connect(&bus->lines[devfn], &bus->pirq[((devfn >> 3) + pin - 1 + bus->swizzle) & 3]);
    return 0;
}

/* --- devices ------------------------------------------------------------------------------ */

void pci_device_init(PciDevice *dev, const char *name, const PciIds *ids)
{
    *dev = (PciDevice) { .name = name };
    put_le16(dev->config + PCI_VENDOR_ID, ids->vendor);
    put_le16(dev->config + PCI_DEVICE_ID, ids->device);
    dev->config[PCI_REVISION] = ids->revision;
    dev->config[PCI_PROG_IF] = ids->class_code;
    dev->config[PCI_SUBCLASS] = ids->class_code >> 8;
    dev->config[PCI_CLASS] = ids->class_code >> 16;
    dev->config[PCI_HEADER_TYPE] = ids->multifunction ? 0x80 : 0;
    put_le16(dev->config + PCI_SUBSYSTEM_VENDOR, ids->subsystem_vendor);
    put_le16(dev->config + PCI_SUBSYSTEM, ids->subsystem);
    dev->config[PCI_INTERRUPT_PIN] = ids->pin;
    dev->wmask[PCI_INTERRUPT_LINE] = 0xff;
    dev->wmask[0x0c] = 0xff; /* cache line size, latency timer: kept, without effect */
    dev->wmask[0x0d] = 0xff;
    put_le16(dev->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                           PCI_COMMAND_INTX_DISABLE | 0x140 /* PERR, SERR */);
    dev->w1c[PCI_STATUS + 1] = 0xf9; /* error bits */
}

static unsigned bar_offset(unsigned n)
{
    return n == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * n;
}

void pci_register_bar(PciDevice *dev, unsigned n, unsigned flags, MemRegion *region)
{
    unsigned at = bar_offset(n);
    uint64_t mask = ~(region->size - 1);

    assert(n < PCI_BARS && !dev->bars[n].region && is_pow2(region->size));
    dev->bars[n] = (PciBar) { .region = region, .flags = flags };
    if (n == PCI_ROM_BAR)
        mask |= ROM_ENABLE;
    else
        put_le32(dev->config + at, flags);
    put_le32(dev->wmask + at, mask);
    if (flags & PCI_BAR_MEM64)
        put_le32(dev->wmask + at + 4, mask >> 32);
}

/* Where the guest put BAR n; false if it is disabled or the address is all ones (sizing). */
static bool bar_address(PciDevice *dev, unsigned n, uint64_t *addr)
{
    const PciBar *bar = &dev->bars[n];
    const uint8_t *at = dev->config + bar_offset(n);
    uint16_t command = get_le16(dev->config + PCI_COMMAND);
    bool io = bar->flags & PCI_BAR_IO;

    *addr = get_le32(at);
    if (bar->flags & PCI_BAR_MEM64)
        *addr |= (uint64_t)get_le32(at + 4) << 32;
    if (n == PCI_ROM_BAR && !(*addr & ROM_ENABLE))
        return false;
    *addr &= ~(bar->region->size - 1);
    if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || !*addr)
        return false;
    uint64_t limit = io                           ? 0xffff
                     : bar->flags & PCI_BAR_MEM64 ? UINT64_C(0xfffffffffffff)
                                                  : 0xffffffff;
    return *addr <= limit - (bar->region->size - 1) && *addr + bar->region->size - 1 < limit;
}

static void update_bar(PciDevice *dev, unsigned n)
{
    MemRegion *region = dev->bars[n].region;
    MemMap *map = dev->bars[n].flags & PCI_BAR_IO ? dev->bus->io : dev->bus->memory;
    uint64_t addr;

    if (!region)
        return;
    bool on = bar_address(dev, n, &addr);
    if (on && region->map && region->base == addr)
        return;
    memmap_remove(region);
    if (on)
        memmap_add(map, region, addr, MEM_PRIO_PCI);
}

static void update_bars(PciDevice *dev)
{
    memmap_begin(dev->bus->memory);
    memmap_begin(dev->bus->io);
    for (unsigned n = 0; n < PCI_BARS; n++)
        update_bar(dev, n);
    memmap_commit(dev->bus->io);
    memmap_commit(dev->bus->memory);
}

static void update_pin(PciDevice *dev)
{
    bool masked = get_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

    dev->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
    if (dev->intx)
        dev->config[PCI_STATUS] |= PCI_STATUS_INTX;
    irq_set(&dev->bus->lines[dev->devfn], dev->intx && !masked);
}

void pci_set_irq(PciDevice *dev, bool level)
{
    dev->intx = level;
    update_pin(dev);
}

void pci_device_loaded(PciDevice *dev)
{
    update_bars(dev);
    update_pin(dev);
}

void pci_device_reset(PciDevice *dev)
{
    memcpy(dev->config, dev->initial, sizeof(dev->config));
    dev->intx = false;
    pci_device_loaded(dev);
}

bool pci_is_master(const PciDevice *dev)
{
    return get_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

int pci_dma_read(PciDevice *dev, uint64_t gpa, void *buf, size_t len)
{
    return pci_is_master(dev) ? dma_read(dev->bus->memory, gpa, buf, len) : -EPERM;
}

int pci_dma_write(PciDevice *dev, uint64_t gpa, const void *buf, size_t len)
{
    return pci_is_master(dev) ? dma_write(dev->bus->memory, gpa, buf, len) : -EPERM;
}

/* --- configuration space ------------------------------------------------------------------ */

uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size && i < 4; i++)
        value |= (uint32_t)dev->config[(offset + i) % PCI_CONFIG_SIZE] << 8 * i;
    return value;
}

void pci_config_write(PciDevice *dev, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size && i < 4; i++) {
        unsigned at = (offset + i) % PCI_CONFIG_SIZE;
        uint8_t byte = value >> 8 * i;

        dev->config[at] = (dev->config[at] & ~dev->wmask[at]) | (byte & dev->wmask[at]);
        dev->config[at] &= ~(byte & dev->w1c[at]);
    }
    if (offset < PCI_CAPABILITIES && offset + size > PCI_COMMAND) {
        update_bars(dev);
        update_pin(dev);
    }
    if (dev->config_wrote)
        dev->config_wrote(dev, offset, size);
}

/* Bit 31 enables; bus 23:16, devfn 15:8, register 7:0. Only bus 0 exists. */
static PciDevice *config_target(PciBus *bus, uint32_t address)
{
    return (address & 0x80ff0000) == 0x80000000 ? bus->devices[address >> 8 & 0xff] : NULL;
}

uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned size)
{
    PciDevice *dev = config_target(bus, address);

    return dev ? pci_config_read(dev, address & 0xff, size) : UINT32_MAX;
}

void pci_bus_config_write(PciBus *bus, uint32_t address, uint32_t value, unsigned size)
{
    PciDevice *dev = config_target(bus, address);

    if (dev)
        pci_config_write(dev, address & 0xff, value, size);
}
