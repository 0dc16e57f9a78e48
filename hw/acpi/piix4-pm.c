/*
 * piix4-pm.c - 82371AB function 3 (Intel 290562, section 7; ACPI 6.4, section 4.8.3).
 *
 * SCI is a pure function of status and enable registers, gated by SCI_EN. The timer is computed
 * from the clock; a host timer runs only while its overflow may interrupt. With ACPI, the
 * firmware's tables expect the block at 600h, which is where SeaBIOS places it.
 */
#include "hw/acpi/piix4-pm.h"

#include <string.h>

#include "base/endian.h"

enum { PMBA = 0x40, PMREGMISC = 0x80, SMBBA = 0x90, SMBHSTCFG = 0xd2, DEVACTB = 0x58 };
enum { APMC_EN = 0x02 }; /* in byte 3 of DEVACTB */
enum { STS_TIMER = 1, STS_GLOBAL = 0x20, STS_BUTTON = 0x100, STS_RTC = 0x400, STS_WAKE = 0x8000 };
enum { CNT_SCI_EN = 1, CNT_TYPE = 0x1c00, CNT_SLP_EN = 0x2000 };
enum { SMBUS_SIZE = 16, SMBUS_STATUS = 0, SMBUS_CONTROL = 2, SMBUS_START = 0x40 };
enum { SMBUS_DEVICE_ERROR = 0x04, SMBUS_STATUS_W1C = 0x1e };

struct Piix4Pm {
    Device device;
    PciDevice pci;
    Piix4PmWiring wiring;
    IrqLine sci;
    Timer overflow;
    MemRegion block, smbus, apm;
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    uint64_t half_periods; /* of the timer when its top bit was last looked at */
    uint8_t apm_command, apm_status;
    uint8_t smbus_regs[SMBUS_SIZE];
};

/* --- timer and SCI ------------------------------------------------------------------------ */

static uint64_t timer_ticks(const Piix4Pm *pm)
{
    return clock_ns_ticks(clock_now(pm->wiring.clock), PM_TIMER_HZ);
}

/* Bit 23 toggles every 2^23 ticks; that sets the status bit. */
static void latch_overflow(Piix4Pm *pm)
{
    uint64_t now = timer_ticks(pm) >> 23;

    if (now != pm->half_periods)
        pm->status |= STS_TIMER;
    pm->half_periods = now;
}

static void update_sci(Piix4Pm *pm)
{
    uint16_t active = pm->status & pm->enable & (STS_TIMER | STS_GLOBAL | STS_BUTTON | STS_RTC);
    bool gpe = pm->gpe_status & pm->gpe_enable;

    irq_set(&pm->sci, pm->control & CNT_SCI_EN && (active || gpe));
    if (pm->enable & STS_TIMER && !(pm->status & STS_TIMER))
        timer_mod(&pm->overflow, clock_ticks_ns((pm->half_periods + 1) << 23, PM_TIMER_HZ));
    else
        timer_del(&pm->overflow);
}

static void overflowed(void *opaque)
{
    Piix4Pm *pm = opaque;

    latch_overflow(pm);
    update_sci(pm);
}

void piix4_pm_power_button(Piix4Pm *pm)
{
    pm->status |= STS_BUTTON;
    update_sci(pm);
}

void piix4_pm_gpe(Piix4Pm *pm, unsigned n)
{
    pm->gpe_status |= 1 << (n & 15);
    update_sci(pm);
}

/* --- the block at PMBA -------------------------------------------------------------------- */

static uint16_t block_get(Piix4Pm *pm, unsigned at)
{
    switch (at) {
    case 0x00: return pm->status;
    case 0x02: return pm->enable;
    case 0x04: return pm->control;
    case 0x08: return timer_ticks(pm);
    case 0x0a: return timer_ticks(pm) >> 16 & 0xff;
    case 0x0c: return pm->gpe_status;
    case 0x0e: return pm->gpe_enable;
    default: return 0;
    }
}

/* Registers are 16 bits wide; other sizes are put together from them. */
static uint64_t block_read(void *opaque, uint64_t port, unsigned size)
{
    Piix4Pm *pm = opaque;
    uint32_t value = 0;

    latch_overflow(pm);
    if (port == 8 && size == 4)
        return timer_ticks(pm) & 0xffffff; /* one look at the clock */
    for (unsigned i = 0; i < size; i++) {
        unsigned at = port + i;

        value |= (uint32_t)(block_get(pm, at & ~1u) >> 8 * (at & 1) & 0xff) << 8 * i;
    }
    return value;
}

static void write_control(Piix4Pm *pm, uint16_t value)
{
    pm->control = value & (CNT_SCI_EN | 2 | CNT_TYPE);
    if (value & CNT_SLP_EN && (value & CNT_TYPE) >> 10 == PM_S5_TYPE)
        pm->wiring.shutdown(pm->wiring.opaque);
}

/* `mask` says which bits were written. */
static void block_put(Piix4Pm *pm, unsigned at, uint16_t value, uint16_t mask)
{
    switch (at) {
    case 0x00: pm->status &= ~(value & mask); break;
    case 0x02: pm->enable = (pm->enable & ~mask) | value; break;
    case 0x04: write_control(pm, (pm->control & ~mask) | value); break;
    case 0x0c: pm->gpe_status &= ~(value & mask); break;
    case 0x0e: pm->gpe_enable = (pm->gpe_enable & ~mask) | value; break;
    default: break;
    }
}

static void block_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    latch_overflow(pm);
    if (size == 1) {
        unsigned shift = 8 * (port & 1);

        block_put(pm, port & ~1u, value << shift, 0xff << shift);
    } else {
        for (unsigned i = 0; i < size; i += 2)
            block_put(pm, (port + i) & ~1u, value >> 8 * i, 0xffff);
    }
    update_sci(pm);
}

static const MemOps block_ops = { .read = block_read, .write = block_write, .max_size = 4 };

/* --- SMI command port --------------------------------------------------------------------- */

static uint64_t apm_read(void *opaque, uint64_t port, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    return port ? pm->apm_status : pm->apm_command;
}

/* The commands that the FADT names switch between legacy and ACPI mode. */
static void apm_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    if (port) {
        pm->apm_status = value;
        return;
    }
    pm->apm_command = value;
    if (value == PM_ACPI_ENABLE)
        pm->control |= CNT_SCI_EN;
    else if (value == PM_ACPI_DISABLE)
        pm->control &= ~CNT_SCI_EN;
    update_sci(pm);
    if (pm->wiring.smm && pm->pci.config[DEVACTB + 3] & APMC_EN)
        pm->wiring.smi(pm->wiring.opaque);
}

static const MemOps apm_ops = { .read = apm_read, .write = apm_write, .max_size = 1 };

/* --- SMBus host: a bus without devices ---------------------------------------------------- */

static uint64_t smbus_read(void *opaque, uint64_t port, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    return pm->smbus_regs[port % SMBUS_SIZE];
}

static void smbus_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Piix4Pm *pm = opaque;

    (void)size;
    if (port == SMBUS_STATUS) {
        pm->smbus_regs[SMBUS_STATUS] &= ~(value & SMBUS_STATUS_W1C);
    } else {
        pm->smbus_regs[port % SMBUS_SIZE] = value;
        if (port == SMBUS_CONTROL) {
            pm->smbus_regs[SMBUS_CONTROL] &= ~SMBUS_START;
            if (value & SMBUS_START)
                pm->smbus_regs[SMBUS_STATUS] |= SMBUS_DEVICE_ERROR;
        }
    }
}

static const MemOps smbus_ops = { .read = smbus_read, .write = smbus_write, .max_size = 1 };

/* --- configuration ------------------------------------------------------------------------ */

static void place(Piix4Pm *pm, MemRegion *region, unsigned base_at, bool on)
{
    uint32_t base = get_le32(pm->pci.config + base_at) & 0xffc0;

    memmap_remove(region);
    if (on && base)
        memmap_add(pci_bus_io(pm->wiring.bus), region, base, 0);
}

static void update_blocks(Piix4Pm *pm)
{
    place(pm, &pm->block, PMBA, pm->pci.config[PMREGMISC] & 1);
    place(pm, &pm->smbus, SMBBA, pm->pci.config[SMBHSTCFG] & 1);
}

static void config_wrote(PciDevice *dev, unsigned offset, unsigned size)
{
    if (offset + size > PMBA && offset <= SMBHSTCFG)
        update_blocks(dev->opaque);
}

static void pm_reset(void *opaque)
{
    Piix4Pm *pm = opaque;

    pci_device_reset(&pm->pci);
    update_blocks(pm);
    pm->status = pm->enable = pm->control = pm->gpe_status = pm->gpe_enable = 0;
    pm->half_periods = timer_ticks(pm) >> 23;
    pm->apm_command = pm->apm_status = 0;
    memset(pm->smbus_regs, 0, sizeof(pm->smbus_regs));
    update_sci(pm);
}

static int pm_loaded(void *opaque)
{
    Piix4Pm *pm = opaque;

    pci_device_loaded(&pm->pci);
    update_blocks(pm);
    update_sci(pm);
    return 0;
}

static void pm_destroy(void *opaque)
{
    Piix4Pm *pm = opaque;

    timer_del(&pm->overflow);
    free(pm);
}

static const SavedField pm_fields[] = {
    SAVED(Piix4Pm, status),
    SAVED(Piix4Pm, enable),
    SAVED(Piix4Pm, control),
    SAVED(Piix4Pm, gpe_status),
    SAVED(Piix4Pm, gpe_enable),
    SAVED(Piix4Pm, half_periods),
    SAVED(Piix4Pm, apm_command),
    SAVED(Piix4Pm, apm_status),
    SAVED_BYTES(Piix4Pm, smbus_regs),
    SAVED_BYTES(Piix4Pm, pci.config),
    SAVED_END,
};

static const DeviceClass pm_class = { .name = "piix4-pm",
                                      .reset = pm_reset,
                                      .loaded = pm_loaded,
                                      .destroy = pm_destroy,
                                      .fields = pm_fields };

static void init_config(Piix4Pm *pm)
{
    static const PciIds ids = {
        .vendor = 0x8086,
        .device = 0x7113,
        .class_code = 0x068000,
        .revision = 3,
        .pin = 1,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
    };
    PciDevice *pci = &pm->pci;

    pci_device_init(pci, "piix4-pm", &ids);
    pci->opaque = pm;
    pci->config_wrote = config_wrote;
    pci->config[PMBA] = pci->config[SMBBA] = 1; /* I/O space */
    pci->config[PCI_INTERRUPT_LINE] = 9;
    put_le32(pci->wmask + PMBA, 0xffc0);
    put_le32(pci->wmask + SMBBA, 0xffc0);
    pci->wmask[PMREGMISC] = 1;
    pci->wmask[SMBHSTCFG] = 0x0f;
    memset(pci->wmask + DEVACTB, 0xff, 0x28);
    if (!pm->wiring.smm) /* tells the firmware that SMM is set up already: it leaves it alone */
        pci->config[DEVACTB + 3] = APMC_EN;
}

Piix4Pm *piix4_pm_new(DeviceList *devices, const Piix4PmWiring *wiring)
{
    Piix4Pm *pm = calloc(1, sizeof(*pm));

    if (!pm)
        return NULL;
    pm->wiring = *wiring;
    init_config(pm);
    irq_connect(&pm->sci, wiring->sci);
    timer_init(&pm->overflow, wiring->clock, overflowed, pm);
    region_init_io(&pm->block, "acpi-pm", &block_ops, pm, PM_BLOCK_SIZE);
    region_init_io(&pm->smbus, "smbus", &smbus_ops, pm, SMBUS_SIZE);
    region_init_io(&pm->apm, "apm", &apm_ops, pm, 2);
    memmap_add(pci_bus_io(wiring->bus), &pm->apm, PM_SMI_COMMAND_PORT, 0);
    pci_bus_add(wiring->bus, &pm->pci, wiring->devfn, NULL);
    device_add(devices, &pm->device, &pm_class, pm);
    return pm;
}
