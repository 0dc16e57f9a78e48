/*
 * pci.h - a conventional PCI bus: configuration space, BARs, interrupt pins (PCI 3.0, section 6).
 *
 * A device embeds a PciDevice, calls pci_device_init() and pci_register_bar(), and is placed by
 * pci_bus_add(). The bus keeps its BARs mapped as the guest's COMMAND and BAR registers say.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include <stddef.h>

#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

enum { PCI_CONFIG_SIZE = 256, PCI_BARS = 7, PCI_ROM_BAR = 6, PCI_PINS = 4 };

enum { /* offsets of the type 0 header */
       PCI_VENDOR_ID = 0x00,
       PCI_DEVICE_ID = 0x02,
       PCI_COMMAND = 0x04,
       PCI_STATUS = 0x06,
       PCI_REVISION = 0x08,
       PCI_PROG_IF = 0x09,
       PCI_SUBCLASS = 0x0a,
       PCI_CLASS = 0x0b,
       PCI_HEADER_TYPE = 0x0e,
       PCI_BAR0 = 0x10,
       PCI_SUBSYSTEM_VENDOR = 0x2c,
       PCI_SUBSYSTEM = 0x2e,
       PCI_ROM_ADDRESS = 0x30,
       PCI_CAPABILITIES = 0x34,
       PCI_INTERRUPT_LINE = 0x3c,
       PCI_INTERRUPT_PIN = 0x3d,
};
enum {
    PCI_COMMAND_IO = 1,
    PCI_COMMAND_MEMORY = 2,
    PCI_COMMAND_MASTER = 4,
    PCI_COMMAND_INTX_DISABLE = 0x400,
    PCI_STATUS_INTX = 0x08,
};
enum { PCI_BAR_MEM = 0, PCI_BAR_IO = 1, PCI_BAR_MEM64 = 4, PCI_BAR_PREFETCH = 8 };

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;

typedef struct PciBar {
    MemRegion *region; /* NULL: not implemented, or the upper half of a 64-bit BAR */
    unsigned flags;    /* PCI_BAR_* */
} PciBar;

struct PciDevice {
    const char *name;
    PciBus *bus;
    uint8_t devfn;
    uint8_t config[PCI_CONFIG_SIZE];  /* saved */
    uint8_t wmask[PCI_CONFIG_SIZE];   /* bits that the guest may write */
    uint8_t w1c[PCI_CONFIG_SIZE];     /* bits that it clears by writing 1 */
    uint8_t initial[PCI_CONFIG_SIZE]; /* what reset restores: taken when the device is added */
    PciBar bars[PCI_BARS];
    bool intx; /* the level of its interrupt pin */
    /* After the default write took effect; `offset`, `size` say which bytes. Or NULL. */
    void (*config_wrote)(PciDevice *dev, unsigned offset, unsigned size);
    void *opaque; /* for the device's own use */
};

/* What the numbers in the header shall be; `class_code` is class << 16 | subclass << 8 | prog-if.
 */
typedef struct PciIds {
    uint16_t vendor, device;
    uint32_t class_code;
    uint8_t revision;
    uint16_t subsystem_vendor, subsystem;
    uint8_t pin; /* 0: no interrupt; 1..4: INTA..INTD */
    bool multifunction;
} PciIds;

/* --- for devices ------------------------------------------------------------------------- */

void pci_device_init(PciDevice *dev, const char *name, const PciIds *ids);

/* BAR n (PCI_ROM_BAR: the expansion ROM) shows `region`, whose size is a power of two. */
void pci_register_bar(PciDevice *dev, unsigned n, unsigned flags, MemRegion *region);

/* The level of the device's INTx pin; the bus routes and shares it. */
void pci_set_irq(PciDevice *dev, bool level);

/* Config space back to what it was when the device was added; BARs unmapped, pin low. */
void pci_device_reset(PciDevice *dev);

/* Config space came from a snapshot: map BARs again. For the `loaded` of a device. */
void pci_device_loaded(PciDevice *dev);

/* As dma_read/dma_write; -EPERM unless the guest made the device a bus master. */
int pci_dma_read(PciDevice *dev, uint64_t gpa, void *buf, size_t len);
int pci_dma_write(PciDevice *dev, uint64_t gpa, const void *buf, size_t len);
bool pci_is_master(const PciDevice *dev);

/* --- for boards and bridges -------------------------------------------------------------- */

/* Interrupt pins of the bus go to `inputs[0..3]` (PIRQA..D): pin p of slot s to (s + p + swizzle)
 * & 3. */
PciBus *pci_bus_new(MemMap *memory, MemMap *io, IrqFn *route, void *opaque, int swizzle);
void pci_bus_free(PciBus *bus);
MemMap *pci_bus_memory(PciBus *bus);
MemMap *pci_bus_io(PciBus *bus);

/* devfn = slot << 3 | function, or -1: the first free slot from 3 on. -EBUSY, -ENOSPC. */
int pci_bus_add(PciBus *bus, PciDevice *dev, int devfn, Error **err);
PciDevice *pci_bus_device(PciBus *bus, unsigned devfn);

uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size);
void pci_config_write(PciDevice *dev, unsigned offset, uint32_t value, unsigned size);

/* CONFIG_ADDRESS / CONFIG_DATA (mechanism 1): the host bridge's two registers. */
uint32_t pci_bus_config_read(PciBus *bus, uint32_t address, unsigned size);
void pci_bus_config_write(PciBus *bus, uint32_t address, uint32_t value, unsigned size);

#endif
