/*
 * fdc-data.c - floppy commands that move data (82077AA data sheet, 6.1 to 6.5).
 *
 * Sectors go one at a time between the image, data[] and the host: by DMA channel 2, or byte by
 * byte through the FIFO if SPECIFY asked for that. The command ends at terminal count, at the last
 * sector that it may touch, or at an error:
 *
 *     next_sector -> (collect from host) -> image request -> (deliver to host) -> sector_done ->
 * ...
 */
#include "hw/floppy/fdc-state.h"

#include <errno.h>
#include <string.h>

#include "base/math.h"

enum { NON_DMA = 0x01, IMPLIED_SEEK = 0x40, SIZE_512 = 2, FORMAT_ID = 4 };
enum { MULTI_TRACK = 0x80, COUNT_SECTORS = 0x80, COMMAND_BITS = 0x1f, READ_DELETED = 0x0c };
#define TURN_NS (NS_PER_S / 5)

static void next_sector(Fdc *fdc);

static bool by_dma(const Fdc *fdc)
{
    return (fdc->dor & DOR_DMA) && !(fdc->specify[1] & NON_DMA);
}

/* --- the end of a command ------------------------------------------------------------------- */

static void finish(Fdc *fdc, uint8_t st0, uint8_t st1, uint8_t st2)
{
    uint8_t result[] = {
        st0 | fdc->head << 2 | fdc->unit, st1, st2, fdc->cylinder, fdc->head, fdc->sector, SIZE_512
    };

    memcpy(fdc->fifo, result, sizeof(result));
    fdc_result(fdc, sizeof(result));
    fdc->irq_pending = true;
    fdc_update_irq(fdc);
}

static void fail(Fdc *fdc, uint8_t st1, uint8_t st2)
{
    finish(fdc, ST0_ABNORMAL, st1, st2);
}

/* To the sector after this one; false if that was the last one (data sheet, table 6-3). */
static bool advance(Fdc *fdc)
{
    if (fdc->sector != fdc->end_sector) {
        fdc->sector++;
        return true;
    }
    fdc->sector = 1;
    if (fdc->multi_track && fdc->head == 0) {
        fdc->head = 1;
        return true;
    }
    if (fdc->multi_track)
        fdc->head = 0;
    fdc->cylinder++;
    return false;
}

/* FORMAT TRACK ends with its last sector, VERIFY without a count with the track. */
static void sector_done(Fdc *fdc)
{
    bool more = fdc->op == FDC_FORMAT || advance(fdc);
    bool counted_out = fdc->counted && --fdc->left == 0;

    if (fdc->deleted) /* no sector bears the mark that the host looks for */
        finish(fdc, 0, 0, ST2_CONTROL_MARK);
    else if (counted_out || (fdc->terminal && fdc->op != FDC_FORMAT))
        finish(fdc, 0, 0, 0);
    else if (!more && fdc->op == FDC_VERIFY)
        finish(fdc, 0, 0, 0);
    else if (!more)
        fail(fdc, ST1_END, 0);
    else if (fdc->terminal)
        fail(fdc, ST1_OVERRUN, 0);
    else
        next_sector(fdc);
}

/* --- between data[] and the host -------------------------------------------------------------- */

static void wait_for_host(Fdc *fdc, FdcPhase phase)
{
    fdc->phase = phase;
    fdc->irq_pending = true;
    fdc_update_irq(fdc);
}

static void deliver(Fdc *fdc)
{
    if (fdc->op != FDC_READ) {
        sector_done(fdc);
        return;
    }
    fdc->data_pos = 0;
    fdc->data_len = FDC_SECTOR;
    if (!by_dma(fdc)) {
        wait_for_host(fdc, PHASE_IN);
        return;
    }
    if (dma8237_to_memory(fdc->dma, FDC_DMA, fdc->data, FDC_SECTOR, &fdc->terminal) == 0)
        fail(fdc, ST1_OVERRUN, 0);
    else
        sector_done(fdc);
}

/* --- between data[] and the image ------------------------------------------------------------- */

static void request_done(AioRequest *req)
{
    Fdc *fdc = req->opaque;

    fdc->in_flight = false;
    if (fdc->abandoned) {
        fdc->abandoned = false;
        fdc_expect_command(fdc);
    } else if (req->ret < 0) {
        fail(fdc, ST1_DATA_ERROR, 0);
    } else {
        deliver(fdc);
    }
}

static void submit(Fdc *fdc, Node *node, AioOp op, uint64_t off)
{
    fdc->iov = (struct iovec) { fdc->data, FDC_SECTOR };
    fdc->req = (AioRequest) { .op = op,
                              .node = node,
                              .off = off,
                              .iov = &fdc->iov,
                              .iovcnt = 1,
                              .done = request_done,
                              .opaque = fdc };
    fdc->phase = PHASE_BUSY;
    fdc->in_flight = true;
    aio_submit(fdc->aio, &fdc->req);
}

/* The sector that the command is at, as an offset into the image; false: fail() was called. */
static bool locate(Fdc *fdc, FdcDrive **drive, uint64_t *off)
{
    FdcDrive *d = fdc_readable(fdc, fdc->unit);

    if (!d) {
        fail(fdc, ST1_NO_ADDRESS, 0);
        return false;
    }
    const Diskette *disk = d->disk;
    if (fdc->cylinder != d->cylinder || d->cylinder >= disk->cylinders) {
        fail(fdc, ST1_NO_DATA, d->cylinder < disk->cylinders ? ST2_WRONG_CYLINDER : 0);
        return false;
    }
    if (fdc->sector < 1 || fdc->sector > disk->spt || fdc->head >= disk->heads) {
        fail(fdc, ST1_NO_DATA, 0);
        return false;
    }
    *drive = d;
    *off = FDC_SECTOR *
           (((uint64_t)d->cylinder * disk->heads + fdc->head) * disk->spt + fdc->sector - 1);
    return true;
}

static bool in_image(const FdcDrive *d, uint64_t off)
{
    return off + FDC_SECTOR <= node_size(d->node);
}

static void load(Fdc *fdc)
{
    FdcDrive *d;
    uint64_t off;

    if (!locate(fdc, &d, &off))
        return;
    if (in_image(d, off)) {
        submit(fdc, d->node, AIO_READ, off);
        return;
    }
    memset(fdc->data, 0, FDC_SECTOR); /* the image ends before the diskette does */
    deliver(fdc);
}

static void store(Fdc *fdc)
{
    FdcDrive *d;
    uint64_t off;

    if (fdc->op == FDC_FORMAT) {
        fdc->sector = fdc->data[2];
        if (fdc->data[0] != fdc->cylinder || fdc->data[1] != fdc->head ||
            fdc->data[3] != SIZE_512) {
            fail(fdc, ST1_NO_DATA, 0); /* an image cannot keep such a sector */
            return;
        }
        memset(fdc->data, fdc->filler, FDC_SECTOR);
    }
    if (!locate(fdc, &d, &off))
        return;
    if (!node_writable(d->node))
        fail(fdc, ST1_PROTECTED, 0);
    else if (!in_image(d, off))
        fail(fdc, ST1_DATA_ERROR, 0);
    else
        submit(fdc, d->node, AIO_WRITE, off);
}

/* At terminal count inside a sector, the rest is filled with zeros (data sheet, 6.1.3). */
static void collect(Fdc *fdc)
{
    fdc->data_pos = 0;
    fdc->data_len = fdc->op == FDC_FORMAT ? FORMAT_ID : FDC_SECTOR;
    if (!by_dma(fdc)) {
        wait_for_host(fdc, PHASE_OUT);
        return;
    }
    size_t n = dma8237_from_memory(fdc->dma, FDC_DMA, fdc->data, fdc->data_len, &fdc->terminal);
    memset(fdc->data + n, 0, fdc->data_len - n);
    if (n == 0)
        fail(fdc, ST1_OVERRUN, 0);
    else
        store(fdc);
}

void fdc_data_moved(Fdc *fdc)
{
    fdc->irq_pending = false;
    fdc_update_irq(fdc);
    if (fdc->phase == PHASE_OUT)
        store(fdc);
    else
        sector_done(fdc);
}

static void next_sector(Fdc *fdc)
{
    if (fdc->op == FDC_WRITE || fdc->op == FDC_FORMAT)
        collect(fdc);
    else
        load(fdc);
}

/* --- commands --------------------------------------------------------------------------------- */

static void prepare(Fdc *fdc, FdcOp op)
{
    fdc->op = op;
    fdc->unit = fdc->fifo[1] & 3;
    fdc->head = fdc->fifo[1] >> 2 & 1;
    fdc->multi_track = fdc->counted = fdc->deleted = fdc->terminal = false;
}

static void start(Fdc *fdc, FdcOp op)
{
    prepare(fdc, op);
    fdc->multi_track = fdc->fifo[0] & MULTI_TRACK;
    fdc->cylinder = fdc->fifo[2];
    fdc->sector = fdc->fifo[4];
    fdc->end_sector = fdc->fifo[6];
    fdc->deleted = (fdc->fifo[0] & COMMAND_BITS) == READ_DELETED;
    fdc->counted = op == FDC_VERIFY && (fdc->fifo[1] & COUNT_SECTORS);
    fdc->left = fdc->fifo[8];
    if (fdc->config & IMPLIED_SEEK)
        fdc_seek(fdc, fdc->unit, fdc->cylinder);
    /* The head in the sector's ID must be the one that is selected; sectors are of 512 bytes. */
    if (fdc->fifo[3] != fdc->head || fdc->fifo[5] != SIZE_512)
        fail(fdc, ST1_NO_DATA, 0);
    else
        next_sector(fdc);
}

void fdc_read(Fdc *fdc)
{
    start(fdc, FDC_READ);
}

void fdc_write(Fdc *fdc)
{
    start(fdc, FDC_WRITE);
}

void fdc_verify(Fdc *fdc)
{
    start(fdc, FDC_VERIFY);
}

void fdc_read_track(Fdc *fdc)
{
    fdc->fifo[4] = 1;
    start(fdc, FDC_READ);
}

void fdc_format(Fdc *fdc)
{
    FdcDrive *d = fdc_drive(fdc, fdc->fifo[1] & 3);

    prepare(fdc, FDC_FORMAT);
    fdc->cylinder = d ? d->cylinder : 0;
    fdc->sector = 0;
    fdc->counted = true;
    fdc->left = fdc->fifo[3];
    fdc->filler = fdc->fifo[5];
    next_sector(fdc);
}

/* Whichever sector passes the head now: a function of guest time, at five turns a second. */
void fdc_read_id(Fdc *fdc)
{
    FdcDrive *d = fdc_readable(fdc, fdc->fifo[1] & 3);

    prepare(fdc, FDC_READ);
    fdc->cylinder = d ? d->cylinder : 0;
    fdc->sector = 1;
    if (!d || d->cylinder >= d->disk->cylinders || fdc->head >= d->disk->heads) {
        fail(fdc, ST1_NO_ADDRESS, 0);
        return;
    }
    fdc->sector += clock_now(fdc->clock) % TURN_NS * d->disk->spt / TURN_NS;
    finish(fdc, 0, 0, 0);
}
