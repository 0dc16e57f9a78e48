/*
 * disk.c - commands of an ATA disk (ATA/ATAPI-7 volume 1, section 6; TRIM: ACS-2, 7.10).
 *
 * A command ends with ide_finish() or ide_abort(). Data moves in DRQ blocks through the drive's
 * buffer (PIO) or straight between guest memory and image (DMA); requests complete in
 * disk_request_done().
 */
#include "hw/ide/ata.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

/* --- addresses --------------------------------------------------------------------------- */

static uint64_t lba48_address(const IdeDrive *d)
{
    return d->lba_low.now | (uint64_t)d->lba_mid.now << 8 | (uint64_t)d->lba_high.now << 16 |
           (uint64_t)d->lba_low.before << 24 | (uint64_t)d->lba_mid.before << 32 |
           (uint64_t)d->lba_high.before << 40;
}

/* The sector that the task file names; UINT64_MAX: a CHS address that cannot be. */
static uint64_t task_file_address(const IdeDrive *d)
{
    uint32_t low = d->lba_low.now, cylinder = d->lba_mid.now | d->lba_high.now << 8;
    uint32_t head = d->device & 15;

    if (d->lba48)
        return lba48_address(d);
    if (d->device & DEV_LBA)
        return low | cylinder << 8 | head << 24;
    if (low == 0 || low > d->cur_spt || head >= d->cur_heads)
        return UINT64_MAX;
    return ((uint64_t)cylinder * d->cur_heads + head) * d->cur_spt + low - 1;
}

/* After an error the task file names the sector where it happened. */
static void store_address(IdeDrive *d, uint64_t lba)
{
    if (d->lba48) {
        d->lba_low = (Reg2) { (uint8_t)lba, (uint8_t)(lba >> 24) };
        d->lba_mid = (Reg2) { (uint8_t)(lba >> 8), (uint8_t)(lba >> 32) };
        d->lba_high = (Reg2) { (uint8_t)(lba >> 16), (uint8_t)(lba >> 40) };
        return;
    }
    if (d->device & DEV_LBA) {
        d->lba_low.now = (uint8_t)lba;
        d->lba_mid.now = (uint8_t)(lba >> 8);
        d->lba_high.now = (uint8_t)(lba >> 16);
        d->device = (d->device & 0xf0) | (lba >> 24 & 15);
        return;
    }
    uint32_t per_cylinder = (uint32_t)d->cur_heads * d->cur_spt;
    uint64_t cylinder = lba / per_cylinder, in = lba % per_cylinder;

    d->lba_low.now = (uint8_t)(in % d->cur_spt + 1);
    d->lba_mid.now = (uint8_t)cylinder;
    d->lba_high.now = (uint8_t)(cylinder >> 8);
    d->device = (d->device & 0xf0) | (in / d->cur_spt & 15);
}

/* Take address and count of a data command; false: it has been ended with an error. */
static bool take_range(IdeDrive *d, bool lba48)
{
    d->lba48 = lba48;
    d->lba = task_file_address(d);
    if (lba48)
        d->left = d->count.now | d->count.before << 8 ? d->count.now | d->count.before << 8 : 65536;
    else
        d->left = d->count.now ? d->count.now : 256;
    if (d->lba < d->sectors && d->left <= d->sectors - d->lba)
        return true;
    ide_abort(d, ER_IDNF | ER_ABRT);
    return false;
}

/* --- PIO --------------------------------------------------------------------------------- */

static uint32_t block_sectors(const IdeDrive *d)
{
    return MIN(d->block, d->left);
}

static void submit_buffer(IdeDrive *d, AioOp op, uint32_t sectors)
{
    d->iov = (struct iovec) { d->buf, sectors * SECTOR };
    ide_submit(d, op, d->lba * SECTOR, sectors * SECTOR, &d->iov, 1);
}

/* Firmware reads whole files sector by sector: fetch as much of the command as the buffer holds. */
static void fetch(IdeDrive *d)
{
    submit_buffer(d, AIO_READ, MIN(d->left, (uint32_t)DATA_BUFFER / SECTOR));
}

/* The next DRQ block of what was fetched. */
static void show_block(IdeDrive *d)
{
    uint32_t n = MIN(d->block * SECTOR, d->byte_left);

    d->end = d->pos + n;
    d->byte_left -= n;
    d->lba += n / SECTOR;
    d->left -= n / SECTOR;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    ide_raise_irq(d->ch);
}

static void start_pio_read(IdeDrive *d, bool lba48, uint32_t block)
{
    if (!take_range(d, lba48))
        return;
    d->phase = PHASE_PIO_READ;
    d->block = block;
    fetch(d);
}

static void start_pio_write(IdeDrive *d, bool lba48, uint32_t block)
{
    if (!node_writable(d->node)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    if (!take_range(d, lba48))
        return;
    d->phase = PHASE_PIO_WRITE;
    d->block = block;
    ide_data_window(d, block_sectors(d) * SECTOR); /* the first block: without an interrupt */
}

void disk_window_done(IdeDrive *d)
{
    if (d->phase == PHASE_PIO_WRITE) {
        submit_buffer(d, AIO_WRITE, block_sectors(d));
        return;
    }
    if (d->phase == PHASE_PIO_READ && d->byte_left) {
        show_block(d);
        return;
    }
    if (d->phase == PHASE_PIO_READ && d->left) {
        fetch(d);
        return;
    }
    d->phase = PHASE_IDLE;
    d->status = ST_DRDY | ST_DSC;
}

static void pio_write_done(IdeDrive *d)
{
    uint32_t n = block_sectors(d);

    d->lba += n;
    d->left -= n;
    if (!d->left) {
        ide_finish(d);
        return;
    }
    ide_data_window(d, block_sectors(d) * SECTOR);
    ide_raise_irq(d->ch);
}

/* --- DMA --------------------------------------------------------------------------------- */

/* Ready to transfer: the bus-master engine goes when the guest starts it. */
static void await_dma(IdeDrive *d, IdePhase phase)
{
    d->phase = phase;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    ide_dma_try_start(d->ch);
}

static void start_dma(IdeDrive *d, bool lba48, bool write)
{
    if (write && !node_writable(d->node)) {
        ide_abort(d, ER_ABRT);
        return;
    }
    if (take_range(d, lba48))
        await_dma(d, write ? PHASE_DMA_WRITE : PHASE_DMA_READ);
}

static void trim_next(IdeDrive *d);

void disk_dma_start(IdeDrive *d)
{
    if (d->phase == PHASE_DMA_TRIM) {
        d->trim_len = d->left * SECTOR;
        d->trim_pos = 0;
        ide_dma_copy(&d->dma, d->ch->ide->memory, d->buf, d->trim_len, false);
        trim_next(d);
        return;
    }
    AioOp op = d->phase == PHASE_DMA_READ ? AIO_READ : AIO_WRITE;

    d->iov = (struct iovec) { d->dma.bounce, d->dma.len };
    if (d->dma.bounce)
        ide_submit(d, op, d->lba * SECTOR, d->dma.len, &d->iov, 1);
    else
        ide_submit(d, op, d->lba * SECTOR, d->dma.len, d->dma.iov, (int)d->dma.n);
}

static void dma_request_done(IdeDrive *d)
{
    ide_dma_end(&d->dma, d->ch->ide->memory, d->phase == PHASE_DMA_READ);
    ide_dma_done(d->ch, true);
    d->left = 0;
    ide_finish(d);
}

/* --- TRIM -------------------------------------------------------------------------------- */

/* Each entry is a 48-bit sector and a 16-bit count; a count of 0 is padding. */
static void trim_next(IdeDrive *d)
{
    while (d->trim_pos < d->trim_len) {
        uint64_t entry = get_le64(d->buf + d->trim_pos);
        uint64_t lba = entry & ((UINT64_C(1) << 48) - 1), count = entry >> 48;

        d->trim_pos += sizeof(entry);
        if (count == 0)
            continue;
        if (lba >= d->sectors || count > d->sectors - lba) {
            ide_dma_end(&d->dma, d->ch->ide->memory, false);
            ide_dma_done(d->ch, true);
            ide_abort(d, ER_IDNF | ER_ABRT);
            return;
        }
        ide_submit(d, AIO_DISCARD, lba * SECTOR, count * SECTOR, NULL, 0);
        return;
    }
    dma_request_done(d);
}

static void start_trim(IdeDrive *d)
{
    uint32_t blocks = d->count.now | d->count.before << 8;

    if (!(d->feature.now & 1) || !node_writable(d->node) || blocks == 0 ||
        blocks > DATA_BUFFER / SECTOR) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->left = blocks;
    await_dma(d, PHASE_DMA_TRIM);
}

/* --- completion -------------------------------------------------------------------------- */

static void request_failed(IdeDrive *d, bool write)
{
    if (d->dma.n) {
        ide_dma_end(&d->dma, d->ch->ide->memory, false);
        ide_dma_done(d->ch, false);
    }
    store_address(d, d->lba);
    d->status = write ? ST_DF : 0;
    ide_abort(d, write ? ER_ABRT : ER_UNC);
}

void disk_request_done(IdeDrive *d, int ret)
{
    bool write = d->req.op != AIO_READ;

    if (d->phase == PHASE_DMA_TRIM) {
        trim_next(d); /* a discard is a hint: failing to give space back is no error */
        return;
    }
    if (ret < 0) {
        request_failed(d, write);
        return;
    }
    switch (d->phase) {
    case PHASE_PIO_READ:
        d->pos = 0;
        d->byte_left = (uint32_t)d->iov.iov_len;
        show_block(d);
        break;
    case PHASE_PIO_WRITE: pio_write_done(d); break;
    case PHASE_DMA_READ:
    case PHASE_DMA_WRITE: dma_request_done(d); break;
    default: ide_finish(d); break;
    }
}

/* --- commands without data from the medium ----------------------------------------------- */

static void answer(IdeDrive *d, uint32_t len)
{
    d->phase = PHASE_BUFFER_IN;
    ide_data_window(d, len);
    ide_raise_irq(d->ch);
}

static void flush(IdeDrive *d)
{
    if (d->cdrom) {
        ide_finish(d);
        return;
    }
    d->phase = PHASE_FLUSH;
    ide_submit(d, AIO_FLUSH, 0, 0, NULL, 0);
}

static void read_native_max(IdeDrive *d, bool lba48)
{
    uint64_t max = d->sectors - 1;

    d->lba48 = lba48;
    d->device |= DEV_LBA;
    store_address(d, lba48 ? max : MIN(max, UINT64_C(0xfffffff)));
    ide_finish(d);
}

static void set_geometry(IdeDrive *d)
{
    uint16_t heads = (d->device & 15) + 1, spt = d->count.now;

    if (spt == 0) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->cur_heads = heads;
    d->cur_spt = spt;
    ide_finish(d);
}

static bool set_transfer_mode(IdeDrive *d, uint8_t mode)
{
    unsigned n = mode & 7;

    switch (mode >> 3) {
    case 0:
    case 1: return true; /* PIO: the timing does not matter here */
    case 4:
        d->mdma_mode = n <= 2 ? n : 0xff;
        d->udma_mode = 0xff;
        return n <= 2;
    case 8:
        d->udma_mode = n <= 5 ? n : 0xff;
        d->mdma_mode = 0xff;
        return n <= 5;
    default: return false;
    }
}

static void set_features(IdeDrive *d)
{
    bool ok = true;

    switch (d->feature.now) {
    case 0x02: d->write_cache = true; break;
    case 0x82: /* what was cached must be safe before writes stop being cached */
        d->write_cache = false;
        flush(d);
        return;
    case 0x03: ok = set_transfer_mode(d, d->count.now); break;
    case 0x05:
    case 0x85: /* power management, */
    case 0x42:
    case 0xc2: /* acoustics, */
    case 0x55:
    case 0xaa: /* look-ahead, */
    case 0x66:
    case 0xcc: /* defaults after reset: nothing here depends on them */
    case 0x67: break;
    default: ok = false; break;
    }
    if (ok)
        ide_finish(d);
    else
        ide_abort(d, ER_ABRT);
}

static void set_multiple(IdeDrive *d)
{
    uint8_t n = d->count.now;

    if (n > MAX_MULTIPLE || (n && !is_pow2(n))) {
        ide_abort(d, ER_ABRT);
        return;
    }
    d->multiple = n;
    ide_finish(d);
}

static void verify(IdeDrive *d, bool lba48)
{
    if (take_range(d, lba48))
        ide_finish(d);
}

static void multiple_or_abort(IdeDrive *d, bool lba48, bool write)
{
    if (d->multiple == 0)
        ide_abort(d, ER_ABRT);
    else if (write)
        start_pio_write(d, lba48, d->multiple);
    else
        start_pio_read(d, lba48, d->multiple);
}

static void power_mode(IdeDrive *d)
{
    d->count.now = 0xff; /* active or idle */
    ide_finish(d);
}

void disk_command(IdeDrive *d, uint8_t command)
{
    switch (command) {
    case 0x20:
    case 0x21: start_pio_read(d, false, 1); break;
    case 0x24: start_pio_read(d, true, 1); break;
    case 0x30:
    case 0x31: start_pio_write(d, false, 1); break;
    case 0x34: start_pio_write(d, true, 1); break;
    case 0xc4: multiple_or_abort(d, false, false); break;
    case 0x29: multiple_or_abort(d, true, false); break;
    case 0xc5: multiple_or_abort(d, false, true); break;
    case 0x39: multiple_or_abort(d, true, true); break;
    case 0xc8:
    case 0xc9: start_dma(d, false, false); break;
    case 0x25: start_dma(d, true, false); break;
    case 0xca:
    case 0xcb: start_dma(d, false, true); break;
    case 0x35: start_dma(d, true, true); break;
    case 0x06: start_trim(d); break;
    case 0x40:
    case 0x41: verify(d, false); break;
    case 0x42: verify(d, true); break;
    case 0xe7:
    case 0xea: flush(d); break;
    case 0xec:
        memset(d->buf, 0, SECTOR);
        identify_disk(d, d->buf);
        answer(d, SECTOR);
        break;
    case 0xef: set_features(d); break;
    case 0xc6: set_multiple(d); break;
    case 0x91: set_geometry(d); break;
    case 0xf8: read_native_max(d, false); break;
    case 0x27: read_native_max(d, true); break;
    case 0xe5:
    case 0x98: power_mode(d); break;
    case 0x10:
    case 0x11:
    case 0x70: /* RECALIBRATE, SEEK */
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6: /* STANDBY, IDLE, SLEEP */
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x97:
    case 0x99: ide_finish(d); break;
    default: ide_abort(d, ER_ABRT); break;
    }
}
