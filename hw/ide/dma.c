/*
 * dma.c - the bus-master engine: guest memory named by a physical region descriptor (PRD) table.
 *
 * A PRD is 8 bytes: base address, byte count (16 bits, 0 means 64 KiB) and, in bit 31 of the second
 * word, "last". A table lies within 64 KiB. Transfers go straight between the image and guest RAM
 * unless the table is very scattered.
 */
#include "hw/ide/ata.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/core/dma.h"

enum { PRD_SIZE = 8, PRD_MAX = 65536 / PRD_SIZE, PRD_LAST = 0x80, MAX_DIRECT = 512 };

static int dma_append(IdeDma *dma, void *host, uint64_t gpa, size_t len)
{
    if (dma->n == dma->room) {
        unsigned room = dma->room ? 2 * dma->room : 32;
        struct iovec *iov = realloc(dma->iov, room * sizeof(*iov));

        if (iov)
            dma->iov = iov;
        uint64_t *gpas = iov ? realloc(dma->gpa, room * sizeof(*gpas)) : NULL;
        if (!gpas)
            return -ENOMEM;
        dma->gpa = gpas;
        dma->room = room;
    }
    dma->iov[dma->n] = (struct iovec) { host, len };
    dma->gpa[dma->n++] = gpa;
    dma->len += len;
    return 0;
}

static int dma_append_range(IdeDma *dma, MemMap *memory, uint64_t gpa, uint64_t len, bool to_memory)
{
    while (len) {
        size_t part = len;
        void *host = dma_map(memory, gpa, &part, to_memory);
        int ret = host && part ? dma_append(dma, host, gpa, part) : -EFAULT;

        if (ret < 0)
            return ret;
        gpa += part;
        len -= part;
    }
    return 0;
}

int ide_dma_collect(IdeChannel *ch, IdeDma *dma, uint64_t len, bool to_memory)
{
    PciDevice *pci = &ch->ide->pci;
    uint64_t at = ch->bm.table;

    dma->n = 0;
    dma->len = 0;
    for (unsigned i = 0; i < PRD_MAX && dma->len < len; i++, at += PRD_SIZE) {
        uint8_t prd[PRD_SIZE];
        int ret = pci_dma_read(pci, at, prd, sizeof(prd));

        if (ret < 0)
            return ret;
        uint64_t count = get_le16(prd + 4) & ~1u;
        count = MIN(count ? count : 65536, len - dma->len);
        ret =
            dma_append_range(dma, ch->ide->memory, get_le32(prd) & ~UINT32_C(1), count, to_memory);
        if (ret < 0)
            return ret;
        if (prd[7] & PRD_LAST)
            break;
    }
    return dma->len == len ? 0 : -E2BIG;
}

int ide_dma_copy(IdeDma *dma, MemMap *memory, void *buf, uint64_t len, bool to_memory)
{
    uint8_t *p = buf;

    for (unsigned i = 0; i < dma->n && len; i++) {
        size_t part = MIN(dma->iov[i].iov_len, len);

        if (to_memory) {
            memcpy(dma->iov[i].iov_base, p, part);
            dma_wrote(memory, dma->gpa[i], part);
        } else {
            memcpy(p, dma->iov[i].iov_base, part);
        }
        p += part;
        len -= part;
    }
    return len ? -E2BIG : 0;
}

void ide_dma_end(IdeDma *dma, MemMap *memory, bool to_memory)
{
    if (to_memory && dma->bounce)
        ide_dma_copy(dma, memory, dma->bounce, dma->len, true);
    else if (to_memory)
        for (unsigned i = 0; i < dma->n; i++)
            dma_wrote(memory, dma->gpa[i], dma->iov[i].iov_len);
    free(dma->bounce);
    free(dma->iov);
    free(dma->gpa);
    *dma = (IdeDma) { 0 };
}

/* A table of very many pieces goes through one buffer: system calls take a bounded vector. */
static int dma_prepare_bounce(IdeDma *dma, MemMap *memory, bool to_memory)
{
    if (dma->n <= MAX_DIRECT)
        return 0;
    dma->bounce = malloc(dma->len);
    if (!dma->bounce)
        return -ENOMEM;
    return to_memory ? 0 : ide_dma_copy(dma, memory, dma->bounce, dma->len, false);
}

static bool waits_for_dma(const IdeDrive *d)
{
    return !d->in_flight && d->status & ST_DRQ &&
           (d->phase == PHASE_DMA_READ || d->phase == PHASE_DMA_WRITE ||
            d->phase == PHASE_DMA_TRIM || d->phase == PHASE_ATAPI_DMA_BUFFER ||
            d->phase == PHASE_ATAPI_DMA_READ);
}

static uint64_t dma_length(const IdeDrive *d)
{
    switch (d->phase) {
    case PHASE_ATAPI_DMA_READ: return (uint64_t)d->left * CD_BLOCK;
    case PHASE_ATAPI_DMA_BUFFER: return d->byte_left;
    default: return (uint64_t)d->left * SECTOR;
    }
}

/* The engine stops with its error bit; the drive, left without its data, ends the command with an
 * error. */
static void dma_failed(IdeChannel *ch, IdeDrive *d)
{
    ide_dma_end(&d->dma, ch->ide->memory, false);
    ide_dma_done(ch, false);
    ide_abort(d, ER_ABRT);
}

void ide_dma_try_start(IdeChannel *ch)
{
    IdeDrive *d = &ch->drives[ch->selected];
    bool to_memory = d->phase != PHASE_DMA_WRITE && d->phase != PHASE_DMA_TRIM;

    if (!(ch->bm.command & BM_START) || !waits_for_dma(d))
        return;
    int ret = ide_dma_collect(ch, &d->dma, dma_length(d), to_memory);
    if (ret == 0)
        ret = dma_prepare_bounce(&d->dma, ch->ide->memory, to_memory);
    if (ret < 0)
        dma_failed(ch, d);
    else if (d->cdrom)
        atapi_dma_start(d);
    else
        disk_dma_start(d);
}

void ide_dma_done(IdeChannel *ch, bool ok)
{
    ch->bm.status &= ~BM_ACTIVE;
    if (!ok)
        ch->bm.status |= BM_ERROR;
}
