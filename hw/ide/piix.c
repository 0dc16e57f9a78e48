/*
 * piix.c - the PIIX3 IDE function: configuration, legacy ports, bus-master registers, drives.
 *
 * Intel 82371SB datasheet, 2.3 and "Programming Interface for Bus Master IDE Controller", rev. 1.0.
 */
#include "hw/ide/ata.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum {
    IDETIM = 0x40,
    IDETIM_DECODE = 0x8000,
    BM_SIZE = 8,
    MAX_HEADS = 16,
    MAX_SPT = 63,
    MAX_CYLINDERS = 16383
};

static const struct {
    uint16_t command, control;
    unsigned irq;
} legacy[IDE_CHANNELS] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };

/* --- bus-master registers ------------------------------------------------------------------ */

static uint8_t bm_byte(const IdeChannel *ch, unsigned reg)
{
    switch (reg) {
    case 0: return ch->bm.command;
    case 2: return ch->bm.status;
    case 4:
    case 5:
    case 6:
    case 7: return (uint8_t)(ch->bm.table >> 8 * (reg - 4));
    default: return 0;
    }
}

static uint64_t bm_read(void *opaque, uint64_t offset, unsigned size)
{
    IdeController *ide = opaque;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)offset + i;

        value |= (uint64_t)bm_byte(&ide->channels[at / BM_SIZE & 1], at % BM_SIZE) << 8 * i;
    }
    return value;
}

static void bm_command(IdeChannel *ch, uint8_t value)
{
    bool was = ch->bm.command & BM_START;

    ch->bm.command = value & (BM_START | BM_TO_MEMORY);
    if (!was && (value & BM_START)) {
        ch->bm.status |= BM_ACTIVE;
        ide_dma_try_start(ch);
    } else if (was && !(value & BM_START)) {
        ch->bm.status &= ~BM_ACTIVE;
    }
}

static void bm_write_byte(IdeChannel *ch, unsigned reg, uint8_t value)
{
    switch (reg) {
    case 0: bm_command(ch, value); break;
    case 2:
        ch->bm.status =
            (ch->bm.status & ~BM_CAPABLE & ~(value & (BM_ERROR | BM_INT))) | (value & BM_CAPABLE);
        break;
    case 4:
    case 5:
    case 6:
    case 7: {
        unsigned shift = 8 * (reg - 4);

        ch->bm.table = (ch->bm.table & ~(UINT32_C(0xff) << shift)) | (uint32_t)value << shift;
        ch->bm.table &= ~UINT32_C(3);
        break;
    }
    default: break;
    }
}

static void bm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeController *ide = opaque;

    for (unsigned i = 0; i < size; i++) {
        unsigned at = (unsigned)offset + i;

        bm_write_byte(&ide->channels[at / BM_SIZE & 1], at % BM_SIZE, (uint8_t)(value >> 8 * i));
    }
}

static const MemOps bm_ops = { bm_read, bm_write, 4 };

/* --- the controller as a device --------------------------------------------------------------- */

static void piix_reset(void *opaque)
{
    IdeController *ide = opaque;

    pci_device_reset(&ide->pci);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        ide_channel_reset(&ide->channels[i]);
}

static int piix_loaded(void *opaque)
{
    IdeController *ide = opaque;

    pci_device_loaded(&ide->pci);
    return 0;
}

static void drive_destroy(IdeDrive *d)
{
    if (d->aio && d->in_flight)
        aio_drain(d->aio);
    ide_dma_end(&d->dma, d->ch->ide->memory, false);
    node_unref(d->node);
    free(d->buf);
}

static void piix_destroy(void *opaque)
{
    IdeController *ide = opaque;

    for (unsigned c = 0; c < IDE_CHANNELS; c++)
        for (unsigned u = 0; u < IDE_UNITS; u++)
            drive_destroy(&ide->channels[c].drives[u]);
    free(ide);
}

#define DRIVE_FIELDS(c, u)                                                                         \
    SAVED_BYTES(IdeController, channels[c].drives[u].feature),                                     \
        SAVED_BYTES(IdeController, channels[c].drives[u].count),                                   \
        SAVED_BYTES(IdeController, channels[c].drives[u].lba_low),                                 \
        SAVED_BYTES(IdeController, channels[c].drives[u].lba_mid),                                 \
        SAVED_BYTES(IdeController, channels[c].drives[u].lba_high),                                \
        SAVED(IdeController, channels[c].drives[u].device),                                        \
        SAVED(IdeController, channels[c].drives[u].status),                                        \
        SAVED(IdeController, channels[c].drives[u].error),                                         \
        SAVED(IdeController, channels[c].drives[u].multiple),                                      \
        SAVED(IdeController, channels[c].drives[u].udma_mode),                                     \
        SAVED(IdeController, channels[c].drives[u].mdma_mode),                                     \
        SAVED(IdeController, channels[c].drives[u].write_cache),                                   \
        SAVED(IdeController, channels[c].drives[u].tray_open),                                     \
        SAVED(IdeController, channels[c].drives[u].tray_locked),                                   \
        SAVED(IdeController, channels[c].drives[u].sense_key),                                     \
        SAVED(IdeController, channels[c].drives[u].asc),                                           \
        SAVED(IdeController, channels[c].drives[u].ascq)
#define CHANNEL_FIELDS(c)                                                                          \
    SAVED(IdeController, channels[c].selected), SAVED(IdeController, channels[c].control),         \
        SAVED(IdeController, channels[c].irq_pending),                                             \
        SAVED(IdeController, channels[c].bm.command), SAVED(IdeController, channels[c].bm.status), \
        SAVED(IdeController, channels[c].bm.table), DRIVE_FIELDS(c, 0), DRIVE_FIELDS(c, 1)

static const SavedField piix_fields[] = {
    SAVED_BYTES(IdeController, pci.config),
    CHANNEL_FIELDS(0),
    CHANNEL_FIELDS(1),
    SAVED_END,
};

static const DeviceClass piix_class = {
    .name = "piix3-ide",
    .version = 1,
    .reset = piix_reset,
    .loaded = piix_loaded,
    .destroy = piix_destroy,
    .fields = piix_fields,
};

static void channel_init(IdeController *ide, unsigned n, Pc *pc)
{
    IdeChannel *ch = &ide->channels[n];

    ch->ide = ide;
    ch->index = n;
    irq_connect(&ch->irq, pc_isa_irq(pc, legacy[n].irq));
    region_init_io(&ch->command_ports, n ? "ide1" : "ide0", &ide_command_ops, ch, 8);
    region_init_io(&ch->control_port, n ? "ide1-control" : "ide0-control", &ide_control_ops, ch, 1);
    memmap_add(pc_io(pc), &ch->command_ports, legacy[n].command, MEM_PRIO_ISA);
    memmap_add(pc_io(pc), &ch->control_port, legacy[n].control, MEM_PRIO_ISA);
    for (unsigned u = 0; u < IDE_UNITS; u++) {
        ch->drives[u].ch = ch;
        ch->drives[u].unit = u;
    }
}

IdeController *piix_ide_new(Pc *pc, Error **err)
{
    static const PciIds ids = { .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180 };
    IdeController *ide = calloc(1, sizeof(*ide));

    if (!ide) {
        error_set(err, -ENOMEM, "no memory for the IDE controller");
        return NULL;
    }
    ide->memory = pc_memory(pc);
    pci_device_init(&ide->pci, "piix3-ide", &ids);
    region_init_io(&ide->bus_master, "ide-bus-master", &bm_ops, ide, 2 * BM_SIZE);
    pci_register_bar(&ide->pci, 4, PCI_BAR_IO, &ide->bus_master);
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        put_le16(ide->pci.config + IDETIM + 2 * n, IDETIM_DECODE);
        put_le16(ide->pci.wmask + IDETIM + 2 * n, 0xffff);
    }
    if (pci_bus_add(pc_pci_bus(pc), &ide->pci, PC_DEVFN_IDE, err) < 0) {
        free(ide);
        return NULL;
    }
    for (unsigned n = 0; n < IDE_CHANNELS; n++)
        channel_init(ide, n, pc);
    device_add(pc_devices(pc), &ide->device, &piix_class, ide);
    return ide;
}

/* --- drives ---------------------------------------------------------------------------------- */

static void set_medium(IdeDrive *d, Node *node)
{
    uint64_t size = node ? node_size(node) : 0;

    node_unref(d->node);
    d->node = node ? node_ref(node) : NULL;
    d->sectors = size / (d->cdrom ? CD_BLOCK : SECTOR);
    d->heads = MAX_HEADS;
    d->spt = MAX_SPT;
    uint64_t cylinders = d->sectors / (MAX_HEADS * MAX_SPT);

    d->cylinders = cylinders > MAX_CYLINDERS ? MAX_CYLINDERS : cylinders ? (uint16_t)cylinders : 1;
}

int ide_attach(IdeController *ide, unsigned channel, unsigned unit, const IdeDriveConfig *config,
               Error **err)
{
    IdeDrive *d = &ide->channels[channel].drives[unit];

    if (d->present)
        return error_set(err, -EBUSY, "IDE channel %u unit %u has a drive already", channel, unit);
    if (!config->cdrom && (!config->node || node_size(config->node) < SECTOR))
        return error_set(err, -EINVAL,
                         "a disk on IDE channel %u unit %u needs an image of at least one sector",
                         channel, unit);
    d->buf = calloc(1, DATA_BUFFER);
    if (!d->buf)
        return error_set(err, -ENOMEM, "no memory for an IDE drive");
    d->present = true;
    d->cdrom = config->cdrom;
    d->aio = config->aio;
    snprintf(d->model, sizeof(d->model), "%s",
             config->model ? config->model
             : d->cdrom    ? "ONIONSKIN DVD-ROM"
                           : "ONIONSKIN HARDDISK");
    if (config->serial)
        snprintf(d->serial, sizeof(d->serial), "%s", config->serial);
    else
        snprintf(d->serial, sizeof(d->serial), "OS%05u", channel * IDE_UNITS + unit + 1);
    set_medium(d, config->node);
    ide_drive_reset(d);
    return 0;
}

int ide_change_medium(IdeController *ide, unsigned channel, unsigned unit, Node *node, bool force,
                      Error **err)
{
    IdeDrive *d = &ide->channels[channel].drives[unit];

    if (!d->present || !d->cdrom)
        return error_set(err, -EINVAL, "IDE channel %u unit %u is not a CD-ROM drive", channel,
                         unit);
    if (d->tray_locked && !force && !d->tray_open) {
        d->eject_request = true;
        return error_set(err, -EBUSY, "the guest has locked the tray of IDE channel %u unit %u",
                         channel, unit);
    }
    if (d->in_flight)
        aio_drain(d->aio);
    set_medium(d, node);
    d->tray_open = node == NULL;
    d->medium_changed = true;
    return 0;
}

bool ide_busy(const IdeController *ide)
{
    for (unsigned c = 0; c < IDE_CHANNELS; c++)
        for (unsigned u = 0; u < IDE_UNITS; u++)
            if (ide->channels[c].drives[u].in_flight)
                return true;
    return false;
}
