/*
 * channel.c - an IDE channel: task file registers, drive selection, resets, interrupt, PIO data.
 *
 * Both drives see writes to the task file; the selected one answers reads (ATA/ATAPI-7, 5.1). While
 * a drive works on a host request it is BSY and ignores commands; a reset that comes then is
 * carried out when the request returns, so that no worker writes into memory already reused.
 */
#include "hw/ide/ata.h"

#include <string.h>

#include "base/endian.h"

static IdeDrive *selected(IdeChannel *ch)
{
    return &ch->drives[ch->selected];
}

static void update_irq(IdeChannel *ch)
{
    irq_set(&ch->irq, ch->irq_pending && !(ch->control & CTL_NIEN));
}

void ide_raise_irq(IdeChannel *ch)
{
    ch->irq_pending = true;
    if (!(ch->control & CTL_NIEN))
        ch->bm.status |= BM_INT;
    update_irq(ch);
}

/* --- drives ------------------------------------------------------------------------------ */

/* What a drive shows after reset so that hosts can tell its kind (ATA/ATAPI-7, 5.15). */
void ide_drive_signature(IdeDrive *d)
{
    d->count = (Reg2) { .now = 1 };
    d->lba_low = (Reg2) { .now = 1 };
    d->lba_mid = (Reg2) { .now = d->cdrom ? 0x14 : 0 };
    d->lba_high = (Reg2) { .now = d->cdrom ? 0xeb : 0 };
    d->device &= DEV_UNIT;
}

void ide_drive_reset(IdeDrive *d)
{
    if (!d->present)
        return;
    if (d->in_flight) {
        d->reset_wanted = true;
        d->status = ST_BSY;
        return;
    }
    d->reset_wanted = false;
    ide_dma_end(&d->dma, d->ch->ide->memory, false);
    d->phase = PHASE_IDLE;
    d->pos = d->end = 0;
    d->left = 0;
    d->feature = (Reg2) { 0 };
    d->multiple = MAX_MULTIPLE;
    d->cur_heads = d->heads;
    d->cur_spt = d->spt;
    d->error = 1; /* diagnostic code: no fault */
    d->status = d->cdrom ? 0 : ST_DRDY | ST_DSC;
    d->sense_key = d->asc = d->ascq = 0;
    d->tray_locked = false;
    ide_drive_signature(d);
}

void ide_finish(IdeDrive *d)
{
    d->phase = PHASE_IDLE;
    d->pos = d->end = 0;
    d->status = ST_DRDY | ST_DSC | (d->status & (ST_ERR | ST_DF));
    ide_raise_irq(d->ch);
}

void ide_abort(IdeDrive *d, uint8_t error)
{
    d->error = error;
    d->status |= ST_ERR;
    ide_finish(d);
}

void ide_data_window(IdeDrive *d, uint32_t len)
{
    d->pos = 0;
    d->end = len;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
}

static void request_done(AioRequest *req)
{
    IdeDrive *d = req->opaque;

    d->in_flight = false;
    if (d->reset_wanted) {
        ide_dma_end(&d->dma, d->ch->ide->memory, req->op == AIO_READ); /* what came, came */
        ide_drive_reset(d);
        return;
    }
    if (d->cdrom)
        atapi_request_done(d, req->ret);
    else
        disk_request_done(d, req->ret);
}

void ide_submit(IdeDrive *d, AioOp op, uint64_t off, uint64_t len, const struct iovec *iov,
                int iovcnt)
{
    d->req = (AioRequest) { .op = op,
                            .node = d->node,
                            .off = off,
                            .len = len,
                            .iov = iov,
                            .iovcnt = iovcnt,
                            .done = request_done,
                            .opaque = d };
    d->status = ST_BSY;
    d->in_flight = true;
    aio_submit(d->aio, &d->req);
}

/* --- resets ------------------------------------------------------------------------------ */

static void software_reset(IdeChannel *ch)
{
    for (unsigned i = 0; i < IDE_UNITS; i++)
        ide_drive_reset(&ch->drives[i]);
    ch->selected = 0;
    ch->irq_pending = false;
    update_irq(ch);
}

void ide_channel_reset(IdeChannel *ch)
{
    ch->control = 0;
    ch->bm.command = 0;
    ch->bm.status = BM_CAPABLE;
    ch->bm.table = 0;
    for (unsigned i = 0; i < IDE_UNITS; i++) {
        ch->drives[i].device = 0;
        ch->drives[i].tray_open = false;
        ch->drives[i].udma_mode = ch->drives[i].mdma_mode = 0xff;
        ch->drives[i].write_cache = true;
    }
    software_reset(ch);
}

static void diagnostic(IdeChannel *ch)
{
    for (unsigned i = 0; i < IDE_UNITS; i++)
        if (ch->drives[i].present)
            ide_drive_reset(&ch->drives[i]);
    ch->selected = 0;
    ide_raise_irq(ch);
}

/* --- the data port ----------------------------------------------------------------------- */

static void window_done(IdeDrive *d)
{
    if (d->cdrom)
        atapi_window_done(d);
    else
        disk_window_done(d);
}

static bool guest_writes(IdePhase phase)
{
    return phase == PHASE_PIO_WRITE || phase == PHASE_PACKET;
}

static uint64_t data_read(IdeDrive *d, unsigned size)
{
    uint8_t bytes[8] = { 0 };

    if (!(d->status & ST_DRQ) || guest_writes(d->phase) || d->pos >= d->end)
        return 0;
    unsigned n = d->end - d->pos < size ? d->end - d->pos : size;
    memcpy(bytes, d->buf + d->pos, n);
    d->pos += n;
    if (d->pos == d->end)
        window_done(d);
    return get_le64(bytes);
}

static void data_write(IdeDrive *d, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    if (!(d->status & ST_DRQ) || !guest_writes(d->phase) || d->pos >= d->end)
        return;
    unsigned n = d->end - d->pos < size ? d->end - d->pos : size;
    put_le64(bytes, value);
    memcpy(d->buf + d->pos, bytes, n);
    d->pos += n;
    if (d->pos == d->end)
        window_done(d);
}

/* --- registers --------------------------------------------------------------------------- */

static uint8_t shown(const IdeChannel *ch, Reg2 reg)
{
    return ch->control & CTL_HOB ? reg.before : reg.now;
}

/* A drive that is not there: the other one answers for it with a status of 0. */
static uint8_t absent_read(IdeChannel *ch, unsigned reg)
{
    bool alone = ch->drives[!ch->selected].present;

    if (!alone)
        return reg == 7 ? 0x7f : 0xff; /* nothing drives the bus */
    return reg == 6 ? (uint8_t)(DEV_FIXED | ch->selected << 4) : 0;
}

static uint8_t register_read(IdeChannel *ch, unsigned reg)
{
    IdeDrive *d = selected(ch);

    if (!d->present)
        return absent_read(ch, reg);
    switch (reg) {
    case 1: return d->error;
    case 2: return shown(ch, d->count);
    case 3: return shown(ch, d->lba_low);
    case 4: return shown(ch, d->lba_mid);
    case 5: return shown(ch, d->lba_high);
    case 6: return d->device | DEV_FIXED;
    default: /* status: reading it takes the interrupt back */
        ch->irq_pending = false;
        update_irq(ch);
        return d->status;
    }
}

static void command_write(IdeChannel *ch, uint8_t command)
{
    IdeDrive *d = selected(ch);

    ch->irq_pending = false;
    update_irq(ch);
    if (command == 0x90) { /* EXECUTE DEVICE DIAGNOSTIC goes to both */
        diagnostic(ch);
        return;
    }
    if (!d->present)
        return;
    if (d->cdrom && command == 0x08) { /* DEVICE RESET is heard even while BSY */
        ide_drive_reset(d);
        return;
    }
    if (d->status & ST_BSY || d->in_flight)
        return;
    d->status = ST_DRDY | ST_DSC;
    d->error = 0;
    d->phase = PHASE_IDLE;
    if (d->cdrom)
        atapi_command(d, command);
    else
        disk_command(d, command);
}

static void shift_in(Reg2 *reg, uint8_t value)
{
    reg->before = reg->now;
    reg->now = value;
}

static void task_file_write(IdeDrive *d, unsigned reg, uint8_t value)
{
    if (d->status & (ST_BSY | ST_DRQ) && reg != 6)
        return;
    switch (reg) {
    case 1: shift_in(&d->feature, value); break;
    case 2: shift_in(&d->count, value); break;
    case 3: shift_in(&d->lba_low, value); break;
    case 4: shift_in(&d->lba_mid, value); break;
    case 5: shift_in(&d->lba_high, value); break;
    default: d->device = value; break;
    }
}

static void register_write(IdeChannel *ch, unsigned reg, uint8_t value)
{
    if (reg == 7) {
        command_write(ch, value);
        return;
    }
    ch->control &= ~CTL_HOB; /* any write to the task file shows the newer byte again */
    for (unsigned i = 0; i < IDE_UNITS; i++)
        task_file_write(&ch->drives[i], reg, value);
    if (reg == 6)
        ch->selected = !!(value & DEV_UNIT);
}

static uint64_t command_block_read(void *opaque, uint64_t offset, unsigned size)
{
    IdeChannel *ch = opaque;
    uint64_t value = 0;

    if (offset == 0)
        return selected(ch)->present ? data_read(selected(ch), size) : UINT64_MAX;
    for (unsigned i = 0; i < size && offset + i < 8; i++)
        value |= (uint64_t)register_read(ch, (unsigned)offset + i) << 8 * i;
    return value;
}

static void command_block_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeChannel *ch = opaque;

    if (offset == 0) {
        data_write(selected(ch), value, size);
        return;
    }
    for (unsigned i = 0; i < size && offset + i < 8; i++)
        register_write(ch, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

/* Alternate status: the same, but the interrupt stays. */
static uint64_t control_read(void *opaque, uint64_t offset, unsigned size)
{
    IdeChannel *ch = opaque;
    IdeDrive *d = selected(ch);

    (void)offset;
    (void)size;
    return d->present ? d->status : absent_read(ch, 7);
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeChannel *ch = opaque;
    bool was = ch->control & CTL_SRST;

    (void)offset;
    (void)size;
    ch->control = (uint8_t)value;
    if (!was && (value & CTL_SRST)) {
        software_reset(ch);
        for (unsigned i = 0; i < IDE_UNITS; i++)
            ch->drives[i].status |= ch->drives[i].present ? ST_BSY : 0;
    } else if (was && !(value & CTL_SRST)) {
        for (unsigned i = 0; i < IDE_UNITS; i++)
            if (!ch->drives[i].in_flight)
                ch->drives[i].status &= ~ST_BSY;
    }
    update_irq(ch);
}

const MemOps ide_command_ops = { command_block_read, command_block_write, 4 };
const MemOps ide_control_ops = { control_read, control_write, 1 };
