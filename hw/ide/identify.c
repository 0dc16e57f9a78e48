/*
 * identify.c - IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data (ATA/ATAPI-7, 6.17 and 6.18).
 */
#include "hw/ide/ata.h"

#include <string.h>

#include "base/endian.h"
#include "base/math.h"

static void word(uint8_t *data, unsigned n, uint16_t value)
{
    put_le16(data + 2 * n, value);
}

/* ATA strings hold two characters a word, the first in the high byte, padded with blanks. */
static void string(uint8_t *data, unsigned first, unsigned words, const char *text)
{
    size_t len = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++)
        data[2 * first + (i ^ 1)] = i < len ? (uint8_t)text[i] : ' ';
}

static void names(const IdeDrive *d, uint8_t *data)
{
    string(data, 10, 10, d->serial);
    string(data, 23, 4, "1.0");
    string(data, 27, 20, d->model);
}

/* Modes 0 to `max` are supported; the high byte says which is chosen. */
static uint16_t modes(unsigned max, uint8_t chosen)
{
    return (uint16_t)((2u << max) - 1) | (chosen <= max ? 0x100 << chosen : 0);
}

static void transfer_modes(const IdeDrive *d, uint8_t *data)
{
    word(data, 53, 7); /* words 54-58, 64-70 and 88 are valid */
    word(data, 63, modes(2, d->mdma_mode));
    word(data, 64, 3); /* PIO 3 and 4 */
    for (unsigned i = 65; i <= 68; i++)
        word(data, i, 120); /* cycle times, ns */
    word(data, 88, modes(5, d->udma_mode));
    word(data, 93, 0x6000 | (d->unit ? 0x0100 : 0x0001)); /* 80-wire cable seen */
}

void identify_disk(const IdeDrive *d, uint8_t *data)
{
    uint64_t chs = (uint64_t)d->cylinders * d->heads * d->spt;
    uint32_t lba28 = (uint32_t)MIN(d->sectors, UINT64_C(0x0fffffff));

    word(data, 0, 0x0040); /* fixed device */
    word(data, 1, d->cylinders);
    word(data, 3, d->heads);
    word(data, 6, d->spt);
    names(d, data);
    word(data, 47, 0x8000 | MAX_MULTIPLE);
    word(data, 48, 1);
    word(data, 49, 0x0b00); /* IORDY, LBA, DMA */
    word(data, 50, 0x4000);
    word(data, 54, d->cylinders);
    word(data, 55, d->cur_heads);
    word(data, 56, d->cur_spt);
    put_le32(data + 2 * 57, (uint32_t)chs);
    word(data, 59, d->multiple ? 0x100 | d->multiple : 0);
    put_le32(data + 2 * 60, lba28);
    transfer_modes(d, data);
    word(data, 69, 0x4000 | 0x0020); /* trimmed sectors read deterministically; as zeros */
    word(data, 80, 0x00f0);          /* ATA/ATAPI-4 to -7 */
    word(data, 82, 0x4020 | 1 << 5); /* NOP, write cache */
    word(data, 83, 0x4000 | 1 << 10 | 1 << 12 | 1 << 13); /* LBA48, FLUSH CACHE, FLUSH CACHE EXT */
    word(data, 84, 0x4000);
    word(data, 85, 0x4000 | (d->write_cache ? 1 << 5 : 0));
    word(data, 86, 1 << 10 | 1 << 12 | 1 << 13);
    word(data, 87, 0x4000);
    put_le64(data + 2 * 100, d->sectors);
    word(data, 105, DATA_BUFFER / SECTOR); /* blocks of TRIM ranges in one command */
    word(data, 169, 1);                    /* TRIM */
    word(data, 217, 1);                    /* does not rotate */
}

void identify_cdrom(const IdeDrive *d, uint8_t *data)
{
    word(data, 0,
         0x8000 | 5 << 8 | 1 << 7 |
             2 << 5); /* packet device, CD-ROM, removable, DRQ in 50 us, 12-byte packets */
    names(d, data);
    word(data, 49, 0x0b00);
    transfer_modes(d, data);
    word(data, 71, 30); /* ns from packet to bus release; nominal */
    word(data, 72, 30);
    word(data, 80, 0x00f0);
    word(data, 82, 0x0210 | 1 << 4); /* DEVICE RESET, PACKET */
    word(data, 83, 0x4000);
    word(data, 84, 0x4000);
    word(data, 85, 0x0210 | 1 << 4);
    word(data, 87, 0x4000);
}
