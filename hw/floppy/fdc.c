/*
 * fdc.c - 82077AA floppy controller (Intel data sheet 290166): ports, phases, control commands.
 *
 * A command goes through three phases: the host writes its bytes into the FIFO, the controller
 * executes it, the host reads the result. Seeks take no time. The interrupt follows irq_pending,
 * which the first byte of the result or SENSE INTERRUPT STATUS takes away. After a reset all four
 * drives report a change of their ready line, one for each SENSE INTERRUPT STATUS.
 *
 * A reset that comes while a sector is on its way to or from the image leaves the controller in
 * PHASE_BUSY until the request returns, so that no worker writes into a buffer already reused.
 */
#include "hw/floppy/fdc-state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

enum { PORT_BASE = 0x3f0, PORT_DIR = 0x3f7, FLOPPY_IRQ = 6 };
enum { REG_SRA, REG_SRB, REG_DOR, REG_TDR, REG_MSR, REG_FIFO, REG_COUNT };
enum { DSR_RESET = 0x80, DSR_RATE = 0x03, DIR_CHANGED = 0x80, SRA_PENDING = 0x80 };
enum { CONFIG_DEFAULT = 0x20, VERSION_82077 = 0x90, MAX_CYLINDER = 84 };
enum { RELATIVE_UP = 0x40, RELATIVE = 0x80, LOCK_BIT = 0x80, HEAD_BIT = 0x04, UNIT_BITS = 0x03 };

typedef struct Command {
    uint8_t mask, code, len; /* of the command with its first byte */
    void (*run)(Fdc *fdc);
} Command;

void fdc_update_irq(Fdc *fdc)
{
    irq_set(&fdc->irq, fdc->irq_pending && (fdc->dor & DOR_DMA));
}

FdcDrive *fdc_drive(Fdc *fdc, unsigned unit)
{
    return unit < FDC_DRIVES && fdc->drives[unit].present ? &fdc->drives[unit] : NULL;
}

FdcDrive *fdc_readable(Fdc *fdc, unsigned unit)
{
    FdcDrive *d = fdc_drive(fdc, unit);

    return d && d->node && (fdc->dor & DOR_MOTOR_0 << unit) && (d->disk->rates >> fdc->rate & 1)
               ? d
               : NULL;
}

void fdc_result(Fdc *fdc, unsigned len)
{
    fdc->phase = PHASE_RESULT;
    fdc->fifo_pos = 0;
    fdc->fifo_len = len;
}

void fdc_expect_command(Fdc *fdc)
{
    fdc->phase = PHASE_COMMAND;
    fdc->fifo_pos = fdc->fifo_len = 0;
}

/* --- resets ---------------------------------------------------------------------------------- */

static void software_reset(Fdc *fdc)
{
    fdc->irq_pending = false;
    fdc->sense_pending = 0;
    if (!fdc->locked)
        fdc->config = CONFIG_DEFAULT;
    fdc->perpendicular &= ~UNIT_BITS;
    fdc->abandoned = fdc->in_flight;
    if (fdc->in_flight)
        fdc->phase = PHASE_BUSY;
    else
        fdc_expect_command(fdc);
    fdc_update_irq(fdc);
}

static void leave_reset(Fdc *fdc)
{
    fdc->sense_pending = 0x0f;
    for (int i = 0; i < 4; i++)
        fdc->sense_st0[i] = ST0_READY_CHANGED | i;
    fdc->irq_pending = true;
    fdc_update_irq(fdc);
}

/* --- commands that move no data ------------------------------------------------------------ */

static void invalid(Fdc *fdc)
{
    fdc->fifo[0] = ST0_INVALID;
    fdc_result(fdc, 1);
}

/* A step with a diskette in the drive makes the drive forget that it was changed. */
void fdc_seek(Fdc *fdc, unsigned unit, unsigned cylinder)
{
    FdcDrive *d = fdc_drive(fdc, unit);

    if (!d)
        return;
    d->cylinder = MIN(cylinder, (unsigned)MAX_CYLINDER);
    if (d->node)
        d->changed = false;
}

static void seek_ended(Fdc *fdc, uint8_t st0)
{
    unsigned unit = st0 & UNIT_BITS;

    fdc->sense_pending |= 1 << unit;
    fdc->sense_st0[unit] = st0;
    fdc->irq_pending = true;
    fdc_expect_command(fdc);
}

static void recalibrate(Fdc *fdc)
{
    unsigned unit = fdc->fifo[1] & UNIT_BITS;

    fdc_seek(fdc, unit, 0);
    /* No drive, no track 0 signal: that is how hosts find out. */
    seek_ended(fdc,
               ST0_SEEK_END | unit | (fdc_drive(fdc, unit) ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT));
}

static void seek(Fdc *fdc)
{
    unsigned unit = fdc->fifo[1] & UNIT_BITS;
    FdcDrive *d = fdc_drive(fdc, unit);
    int cylinder = fdc->fifo[2];

    if (d && (fdc->fifo[0] & RELATIVE))
        cylinder = MAX(0, d->cylinder + (fdc->fifo[0] & RELATIVE_UP ? cylinder : -cylinder));
    fdc_seek(fdc, unit, cylinder);
    seek_ended(fdc, ST0_SEEK_END | (fdc->fifo[1] & HEAD_BIT) | unit);
}

static void sense_interrupt(Fdc *fdc)
{
    if (!fdc->sense_pending) {
        invalid(fdc);
        return;
    }
    unsigned unit = __builtin_ctz(fdc->sense_pending);
    FdcDrive *d = fdc_drive(fdc, unit);

    fdc->sense_pending &= ~(1 << unit);
    fdc->irq_pending = false;
    fdc->fifo[0] = fdc->sense_st0[unit];
    fdc->fifo[1] = d ? d->cylinder : 0;
    fdc_result(fdc, 2);
}

static void sense_drive(Fdc *fdc)
{
    unsigned unit = fdc->fifo[1] & UNIT_BITS;
    FdcDrive *d = fdc_drive(fdc, unit);
    uint8_t st3 = ST3_ALWAYS | (fdc->fifo[1] & HEAD_BIT) | unit;

    if (d && d->cylinder == 0)
        st3 |= ST3_TRACK_0;
    if (d && d->node && !node_writable(d->node))
        st3 |= ST3_PROTECTED;
    fdc->fifo[0] = st3;
    fdc_result(fdc, 1);
}

static void specify(Fdc *fdc)
{
    memcpy(fdc->specify, fdc->fifo + 1, sizeof(fdc->specify));
    fdc_expect_command(fdc);
}

static void configure(Fdc *fdc)
{
    fdc->config = fdc->fifo[2];
    fdc->precomp = fdc->fifo[3];
    fdc_expect_command(fdc);
}

static void perpendicular(Fdc *fdc)
{
    fdc->perpendicular = fdc->fifo[1];
    fdc_expect_command(fdc);
}

static void lock(Fdc *fdc)
{
    fdc->locked = fdc->fifo[0] & LOCK_BIT;
    fdc->fifo[0] = fdc->locked ? 0x10 : 0;
    fdc_result(fdc, 1);
}

static void version(Fdc *fdc)
{
    fdc->fifo[0] = VERSION_82077;
    fdc_result(fdc, 1);
}

static void dump_registers(Fdc *fdc)
{
    uint8_t dump[10] = { 0 };

    for (int i = 0; i < FDC_DRIVES; i++)
        dump[i] = fdc->drives[i].cylinder;
    memcpy(dump + 4, fdc->specify, 2);
    dump[6] = fdc->end_sector;
    dump[7] = (fdc->locked ? 0x80 : 0) | (fdc->perpendicular & 0x7f);
    dump[8] = fdc->config;
    dump[9] = fdc->precomp;
    memcpy(fdc->fifo, dump, sizeof(dump));
    fdc_result(fdc, sizeof(dump));
}

/* Data sheet, table 5-1. Upper bits of the first byte are MT, MFM, SK or the command's own. */
static const Command commands[] = {
    { 0x1f, 0x02, 9, fdc_read_track }, { 0x1f, 0x05, 9, fdc_write },
    { 0x1f, 0x06, 9, fdc_read },       { 0x1f, 0x09, 9, fdc_write },
    { 0x1f, 0x0c, 9, fdc_read },       { 0x1f, 0x16, 9, fdc_verify },
    { 0xbf, 0x0a, 2, fdc_read_id },    { 0xbf, 0x0d, 6, fdc_format },
    { 0xff, 0x03, 3, specify },        { 0xff, 0x04, 2, sense_drive },
    { 0xff, 0x07, 2, recalibrate },    { 0xff, 0x08, 1, sense_interrupt },
    { 0xff, 0x0e, 1, dump_registers }, { 0xff, 0x0f, 3, seek },
    { 0xbf, 0x8f, 3, seek },           { 0xff, 0x10, 1, version },
    { 0xff, 0x12, 2, perpendicular },  { 0xff, 0x13, 4, configure },
    { 0x7f, 0x14, 1, lock },           { 0x00, 0x00, 1, invalid },
};

static const Command *find_command(uint8_t code)
{
    const Command *c = commands;

    while ((code & c->mask) != c->code)
        c++;
    return c;
}

/* --- ports ------------------------------------------------------------------------------------ */

static void take_command_byte(Fdc *fdc, uint8_t value)
{
    fdc->fifo[fdc->fifo_pos++] = value;
    const Command *command = find_command(fdc->fifo[0]);

    if (fdc->fifo_pos < command->len)
        return;
    command->run(fdc);
    fdc_update_irq(fdc);
}

static bool in_reset(const Fdc *fdc)
{
    return !(fdc->dor & DOR_NOT_RESET);
}

static void fifo_write(Fdc *fdc, uint8_t value)
{
    if (in_reset(fdc))
        return;
    if (fdc->phase == PHASE_COMMAND) {
        take_command_byte(fdc, value);
    } else if (fdc->phase == PHASE_OUT) {
        fdc->data[fdc->data_pos++] = value;
        if (fdc->data_pos == fdc->data_len)
            fdc_data_moved(fdc);
    }
}

static uint8_t fifo_read(Fdc *fdc)
{
    uint8_t value = 0;

    if (fdc->phase == PHASE_IN) {
        value = fdc->data[fdc->data_pos++];
        if (fdc->data_pos == fdc->data_len)
            fdc_data_moved(fdc);
    } else if (fdc->phase == PHASE_RESULT) {
        value = fdc->fifo[fdc->fifo_pos++];
        fdc->irq_pending = false;
        if (fdc->fifo_pos == fdc->fifo_len)
            fdc_expect_command(fdc);
        fdc_update_irq(fdc);
    }
    return value;
}

static uint8_t main_status(const Fdc *fdc)
{
    if (in_reset(fdc))
        return 0;
    switch (fdc->phase) {
    case PHASE_COMMAND: return MSR_RQM | (fdc->fifo_pos ? MSR_BUSY : 0);
    case PHASE_IN: return MSR_RQM | MSR_DIO | MSR_NON_DMA | MSR_BUSY;
    case PHASE_OUT: return MSR_RQM | MSR_NON_DMA | MSR_BUSY;
    case PHASE_RESULT: return MSR_RQM | MSR_DIO | MSR_BUSY;
    default: return MSR_BUSY;
    }
}

static void write_dor(Fdc *fdc, uint8_t value)
{
    uint8_t old = fdc->dor;

    fdc->dor = value;
    if (in_reset(fdc))
        software_reset(fdc);
    else if (!(old & DOR_NOT_RESET))
        leave_reset(fdc);
    fdc_update_irq(fdc);
}

static void write_dsr(Fdc *fdc, uint8_t value)
{
    fdc->rate = value & DSR_RATE;
    if ((value & DSR_RESET) && !in_reset(fdc)) {
        software_reset(fdc);
        leave_reset(fdc);
    }
}

static uint64_t ports_read(void *opaque, uint64_t port, unsigned size)
{
    Fdc *fdc = opaque;

    (void)size;
    switch (port) {
    case REG_SRA: return fdc->irq_pending ? SRA_PENDING : 0;
    case REG_SRB: return 0xc0 | (fdc->dor & 1) << 5 | (fdc->dor >> 4 & 3);
    case REG_DOR: return fdc->dor;
    case REG_TDR: return fdc->tdr;
    case REG_MSR: return main_status(fdc);
    default: return fifo_read(fdc);
    }
}

static void ports_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Fdc *fdc = opaque;

    (void)size;
    switch (port) {
    case REG_DOR: write_dor(fdc, value); break;
    case REG_TDR: fdc->tdr = value & 3; break;
    case REG_MSR: write_dsr(fdc, value); break;
    case REG_FIFO: fifo_write(fdc, value); break;
    default: break;
    }
}

static uint64_t dir_read(void *opaque, uint64_t port, unsigned size)
{
    Fdc *fdc = opaque;
    unsigned unit = fdc->dor & UNIT_BITS;
    const FdcDrive *d = fdc_drive(fdc, unit);

    (void)port, (void)size;
    return d && d->changed && (fdc->dor & DOR_MOTOR_0 << unit) ? DIR_CHANGED : 0;
}

static void ccr_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    (void)port, (void)size;
    ((Fdc *)opaque)->rate = value & DSR_RATE;
}

static const MemOps ports_ops = { .read = ports_read, .write = ports_write, .max_size = 1 };
static const MemOps dir_ops = { .read = dir_read, .write = ccr_write, .max_size = 1 };

/* --- device ----------------------------------------------------------------------------------- */

static void fdc_reset(void *opaque)
{
    Fdc *fdc = opaque;

    fdc->dor = fdc->tdr = 0;
    fdc->rate = 2;
    fdc->locked = false;
    fdc->precomp = fdc->perpendicular = 0;
    memset(fdc->specify, 0, sizeof(fdc->specify));
    for (int i = 0; i < FDC_DRIVES; i++) {
        fdc->drives[i].cylinder = 0;
        fdc->drives[i].changed = true;
    }
    software_reset(fdc);
}

/* A snapshot is taken with no request in flight, so a busy controller cannot be in one. */
static int fdc_loaded(void *opaque)
{
    Fdc *fdc = opaque;
    bool data = fdc->phase == PHASE_IN || fdc->phase == PHASE_OUT;

    if (fdc->phase > PHASE_RESULT || (fdc->phase == PHASE_BUSY && !fdc->in_flight) ||
        fdc->fifo_len > FDC_FIFO ||
        (fdc->phase == PHASE_RESULT && fdc->fifo_pos >= fdc->fifo_len) ||
        (fdc->phase == PHASE_COMMAND && fdc->fifo_pos &&
         fdc->fifo_pos >= find_command(fdc->fifo[0])->len) ||
        fdc->data_len > FDC_SECTOR || (data && fdc->data_pos >= fdc->data_len) ||
        fdc->op > FDC_FORMAT || fdc->unit > UNIT_BITS)
        return -EINVAL;
    fdc->rate &= DSR_RATE;
    fdc->sense_pending &= 0x0f;
    fdc_update_irq(fdc);
    return 0;
}

static void fdc_destroy(void *opaque)
{
    Fdc *fdc = opaque;

    for (int i = 0; i < FDC_DRIVES; i++)
        node_unref(fdc->drives[i].node);
    free(fdc);
}

static const SavedField fdc_fields[] = {
    SAVED(Fdc, drives[0].cylinder),
    SAVED(Fdc, drives[0].changed),
    SAVED(Fdc, drives[1].cylinder),
    SAVED(Fdc, drives[1].changed),
    SAVED(Fdc, dor),
    SAVED(Fdc, tdr),
    SAVED(Fdc, rate),
    SAVED(Fdc, irq_pending),
    SAVED(Fdc, phase),
    SAVED_BYTES(Fdc, fifo),
    SAVED(Fdc, fifo_pos),
    SAVED(Fdc, fifo_len),
    SAVED(Fdc, sense_pending),
    SAVED_BYTES(Fdc, sense_st0),
    SAVED_BYTES(Fdc, specify),
    SAVED(Fdc, config),
    SAVED(Fdc, precomp),
    SAVED(Fdc, perpendicular),
    SAVED(Fdc, locked),
    SAVED(Fdc, op),
    SAVED(Fdc, unit),
    SAVED(Fdc, cylinder),
    SAVED(Fdc, head),
    SAVED(Fdc, sector),
    SAVED(Fdc, end_sector),
    SAVED(Fdc, left),
    SAVED(Fdc, filler),
    SAVED(Fdc, multi_track),
    SAVED(Fdc, counted),
    SAVED(Fdc, deleted),
    SAVED(Fdc, terminal),
    SAVED(Fdc, data_pos),
    SAVED(Fdc, data_len),
    SAVED_BYTES(Fdc, data),
    SAVED_END,
};

static const DeviceClass fdc_class = { .name = "i82077",
                                       .reset = fdc_reset,
                                       .loaded = fdc_loaded,
                                       .destroy = fdc_destroy,
                                       .fields = fdc_fields };

Fdc *fdc_new(Pc *pc, AioContext *aio, Error **err)
{
    Fdc *fdc = calloc(1, sizeof(*fdc));

    if (!fdc) {
        error_set(err, -ENOMEM, "no memory for the floppy controller");
        return NULL;
    }
    fdc->pc = pc;
    fdc->aio = aio;
    fdc->clock = &pc_clocks(pc)->virt;
    fdc->dma = pc_isa_dma(pc);
    irq_connect(&fdc->irq, pc_isa_irq(pc, FLOPPY_IRQ));
    region_init_io(&fdc->ports, "fdc", &ports_ops, fdc, REG_COUNT);
    memmap_add(pc_io(pc), &fdc->ports, PORT_BASE, 0);
    region_init_io(&fdc->dir_port, "fdc-dir", &dir_ops, fdc, 1);
    memmap_add(pc_io(pc), &fdc->dir_port, PORT_DIR, 0);
    device_add(pc_devices(pc), &fdc->device, &fdc_class, fdc);
    fdc_reset(fdc);
    return fdc;
}

int fdc_change_medium(Fdc *fdc, unsigned unit, Node *node, Error **err)
{
    const Diskette *disk = diskette_by_size(node ? node_size(node) : 0);
    FdcDrive *d = fdc_drive(fdc, unit);

    if (!d)
        return error_set(err, -EINVAL, "there is no floppy drive %u", unit);
    if (!disk)
        return error_set(err, -EINVAL, "the image is larger than a diskette (2880 KiB)");
    if (fdc->in_flight)
        aio_drain(fdc->aio);
    node_unref(d->node);
    d->node = node ? node_ref(node) : NULL;
    d->disk = disk;
    d->changed = true;
    return 0;
}

int fdc_attach(Fdc *fdc, unsigned unit, Node *node, Error **err)
{
    if (unit >= FDC_DRIVES || fdc->drives[unit].present)
        return error_set(err, -EBUSY, "there is no room for floppy drive %u", unit);
    fdc->drives[unit].present = true;
    int ret = fdc_change_medium(fdc, unit, node, err);
    if (ret == 0)
        pc_set_floppy(fdc->pc, unit, fdc->drives[unit].disk->cmos_type);
    return ret;
}
