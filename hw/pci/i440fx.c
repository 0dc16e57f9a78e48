/*
 * i440fx.c - 82441FX host bridge (Intel 290549: PAM section 3.2.19, SMRAM 3.2.22, CONFADD 3.1.1).
 *
 * Thirteen PAM segments between C0000h and FFFFFh each choose, for reads and writes apart, between
 * RAM and the PCI side, where the BIOS ROM answers. Every segment has three regions, of which at
 * most one is enabled: RAM, read-only RAM, and ROM whose writes go to the RAM below it.
 */
#include "hw/pci/i440fx.h"

#include <assert.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum { PAM0 = 0x59, PAM_REGISTERS = 7, PAM_SEGMENTS = 13, SMRAM = 0x72 };
enum { PAM_READ = 1, PAM_WRITE = 2 };
enum { SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10, SMRAM_ENABLE = 0x08 };
enum { SMRAM_BASE = 0xa0000, SMRAM_SIZE = 0x20000, HOLE_BASE = 0xa0000, HOLE_SIZE = 0x60000 };
enum { LEGACY_BIOS_MAX = 0x20000, MEG = 0x100000 };

typedef struct Segment {
    I440fx *owner;
    uint32_t base, size;
    MemRegion ram, ram_readonly, write_only;
} Segment;

struct I440fx {
    Device device;
    PciDevice pci;
    I440fxWiring wiring;
    MemRegion address_ports, data_ports;
    MemRegion hole; /* nobody answers between 640K and 1M unless somebody placed a region there */
    MemRegion bios, smram;
    Segment segments[PAM_SEGMENTS];
    uint32_t config_address;
};

/* --- windows ------------------------------------------------------------------------------ */

static void shadow_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Segment *s = opaque;
    uint32_t at = s->base + offset;
    uint8_t bytes[8];

    put_le64(bytes, value);
    memcpy(s->owner->wiring.ram->host + at, bytes, size);
    memmap_block_wrote(pci_bus_memory(s->owner->wiring.bus), s->owner->wiring.ram, at, at, size);
}

static const MemOps shadow_ops = { .write = shadow_write };
static const MemOps hole_ops = { .read = NULL };

/* PAM0 holds F0000h in its high nibble; each other register two segments, the lower one first. */
static unsigned segment_mode(const I440fx *h, unsigned i)
{
    uint8_t value = h->pci.config[PAM0 + (i + 1) / 2];

    return (i & 1 ? value : value >> 4) & (PAM_READ | PAM_WRITE);
}

static void update_windows(I440fx *h)
{
    MemMap *map = pci_bus_memory(h->wiring.bus);
    uint8_t smram = h->pci.config[SMRAM];

    memmap_begin(map);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        Segment *s = &h->segments[i];
        unsigned mode = segment_mode(h, i);

        region_enable(&s->ram, mode == (PAM_READ | PAM_WRITE));
        region_enable(&s->ram_readonly, mode == PAM_READ);
        region_enable(&s->write_only, mode == PAM_WRITE);
    }
    region_enable(&h->smram, smram & SMRAM_ENABLE && smram & SMRAM_OPEN);
    memmap_commit(map);
}

static void init_segment(I440fx *h, unsigned i, uint32_t base, uint32_t size)
{
    Segment *s = &h->segments[i];
    RamBlock *bios = h->wiring.bios;
    MemMap *map = pci_bus_memory(h->wiring.bus);
    uint32_t to_top = MEG - base;

    *s = (Segment) { .owner = h, .base = base, .size = size };
    region_init_ram(&s->ram, "pam-ram", h->wiring.ram, base, size);
    region_init_ram(&s->ram_readonly, "pam-ram-readonly", h->wiring.ram, base, size);
    s->ram_readonly.readonly = true;
    if (to_top <= MIN(bios->size, (uint64_t)LEGACY_BIOS_MAX))
        region_init_rom(&s->write_only, "pam-write-only", bios, bios->size - to_top, size,
                        &shadow_ops, s);
    else
        region_init_io(&s->write_only, "pam-write-only", &shadow_ops, s, size);
    memmap_add_disabled(map, &s->ram, base, MEM_PRIO_PAM);
    memmap_add_disabled(map, &s->ram_readonly, base, MEM_PRIO_PAM);
    memmap_add_disabled(map, &s->write_only, base, MEM_PRIO_PAM);
}

static void init_windows(I440fx *h)
{
    MemMap *map = pci_bus_memory(h->wiring.bus);
    RamBlock *bios = h->wiring.bios;
    uint64_t legacy = MIN(bios->size, (uint64_t)LEGACY_BIOS_MAX);

    region_init_io(&h->hole, "isa-hole", &hole_ops, h, HOLE_SIZE);
    memmap_add(map, &h->hole, HOLE_BASE, MEM_PRIO_RAM + 1);
    region_init_rom(&h->bios, "isa-bios", bios, bios->size - legacy, legacy, NULL, NULL);
    memmap_add(map, &h->bios, MEG - legacy, MEM_PRIO_ISA);
    region_init_ram(&h->smram, "smram", h->wiring.ram, SMRAM_BASE, SMRAM_SIZE);
    memmap_add_disabled(map, &h->smram, SMRAM_BASE, MEM_PRIO_SMRAM);
    init_segment(h, 0, 0xf0000, 0x10000);
    for (unsigned i = 1; i < PAM_SEGMENTS; i++)
        init_segment(h, i, 0xc0000 + (i - 1) * 0x4000, 0x4000);
}

/* --- configuration ------------------------------------------------------------------------ */

static void lock_smram(PciDevice *dev)
{
    if (!(dev->config[SMRAM] & SMRAM_LOCK))
        return;
    dev->config[SMRAM] &= ~SMRAM_OPEN;
    dev->wmask[SMRAM] = 0; /* until reset */
}

static void config_wrote(PciDevice *dev, unsigned offset, unsigned size)
{
    if (offset + size > PAM0 && offset <= SMRAM) {
        lock_smram(dev);
        update_windows(dev->opaque);
    }
}

/* CONFIG_ADDRESS takes dwords only; a byte at CF9h belongs to the south bridge. */
static uint64_t address_read(void *opaque, uint64_t port, unsigned size)
{
    I440fx *h = opaque;

    if (port == 1 && size == 1)
        return h->wiring.reset_control_read(h->wiring.opaque);
    return port == 0 && size == 4 ? h->config_address : UINT32_MAX;
}

static void address_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    I440fx *h = opaque;

    if (port == 1 && size == 1)
        h->wiring.reset_control_write(h->wiring.opaque, value);
    else if (port == 0 && size == 4)
        h->config_address = value & 0x80fffffc;
}

static uint64_t data_read(void *opaque, uint64_t port, unsigned size)
{
    I440fx *h = opaque;

    return pci_bus_config_read(h->wiring.bus, h->config_address | port, size);
}

static void data_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    I440fx *h = opaque;

    pci_bus_config_write(h->wiring.bus, h->config_address | port, value, size);
}

static const MemOps address_ops = { .read = address_read, .write = address_write, .max_size = 4 };
static const MemOps data_ops = { .read = data_read, .write = data_write, .max_size = 4 };

/* --- device ------------------------------------------------------------------------------- */

static void i440fx_reset(void *opaque)
{
    I440fx *h = opaque;

    h->config_address = 0;
    h->pci.wmask[SMRAM] = 0x70 | SMRAM_ENABLE;
    pci_device_reset(&h->pci);
    update_windows(h);
}

static int i440fx_loaded(void *opaque)
{
    I440fx *h = opaque;

    h->config_address &= 0x80fffffc;
    h->pci.wmask[SMRAM] = 0x70 | SMRAM_ENABLE;
    lock_smram(&h->pci);
    pci_device_loaded(&h->pci);
    update_windows(h);
    return 0;
}

static const SavedField i440fx_fields[] = { SAVED(I440fx, config_address),
                                            SAVED_BYTES(I440fx, pci.config), SAVED_END };

static const DeviceClass i440fx_class = { .name = "i440fx",
                                          .reset = i440fx_reset,
                                          .loaded = i440fx_loaded,
                                          .destroy = free,
                                          .fields = i440fx_fields };

I440fx *i440fx_new(DeviceList *devices, const I440fxWiring *wiring)
{
    static const PciIds ids = {
        .vendor = 0x8086,
        .device = 0x1237,
        .class_code = 0x060000,
        .revision = 2,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
    };
    I440fx *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    assert(wiring->ram->size >= MEG);
    h->wiring = *wiring;
    pci_device_init(&h->pci, "i440fx", &ids);
    h->pci.opaque = h;
    h->pci.config_wrote = config_wrote;
    h->pci.config[SMRAM] = 0x02;
    memset(h->pci.wmask + 0x50, 0xff, 9); /* NBXCFG and friends: kept, without effect */
    memset(h->pci.wmask + PAM0, 0x33, PAM_REGISTERS);
    h->pci.wmask[PAM0] = 0x30;
    memset(h->pci.wmask + 0x60, 0xff, 8); /* DRAM row boundaries */
    init_windows(h);
    pci_bus_add(wiring->bus, &h->pci, 0, NULL);
    region_init_io(&h->address_ports, "pci-config-address", &address_ops, h, 4);
    memmap_add(pci_bus_io(wiring->bus), &h->address_ports, 0xcf8, 0);
    region_init_io(&h->data_ports, "pci-config-data", &data_ops, h, 4);
    memmap_add(pci_bus_io(wiring->bus), &h->data_ports, 0xcfc, 0);
    device_add(devices, &h->device, &i440fx_class, h);
    return h;
}
