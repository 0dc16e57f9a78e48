/*
 * atapi.c - a CD/DVD-ROM drive: the PACKET protocol (ATA/ATAPI-7 volume 2, 9.8 and 9.10) and the
 * packet commands of MMC-5 and SPC-3 that firmware and operating systems use.
 *
 * Byte count registers are lba_mid/lba_high, the interrupt reason is the sector count register.
 * An answer lies in `buf`: the guest sees it through windows of at most byte_limit bytes.
 */
#include "hw/ide/ata.h"

#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum { /* sense keys, and additional sense codes as ASC << 8 | ASCQ (SPC-3, annex D) */
       KEY_NOT_READY = 2,
       KEY_MEDIUM_ERROR = 3,
       KEY_ILLEGAL_REQUEST = 5,
       KEY_UNIT_ATTENTION = 6,
       ASC_READ_ERROR = 0x1100,
       ASC_INVALID_COMMAND = 0x2000,
       ASC_LBA_OUT_OF_RANGE = 0x2100,
       ASC_INVALID_FIELD = 0x2400,
       ASC_MEDIUM_CHANGED = 0x2800,
       ASC_NO_MEDIUM = 0x3a01,
       ASC_NO_MEDIUM_TRAY_OPEN = 0x3a02,
       ASC_REMOVAL_PREVENTED = 0x5302,
};
enum { PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010, CD_MAX_BLOCKS = 450000 };
enum { FRAMES = 75, LEAD_IN = 150, LEAD_OUT_TRACK = 0xaa, DATA_TRACK = 0x14 };

/* --- ends of a command ----------------------------------------------------------------------- */

static void packet_end(IdeDrive *d)
{
    d->count.now = IREASON_CD | IREASON_IO;
    ide_finish(d);
}

static void packet_ok(IdeDrive *d)
{
    d->sense_key = d->asc = d->ascq = 0;
    d->error = 0;
    d->status = 0;
    packet_end(d);
}

static void check_condition(IdeDrive *d, uint8_t key, uint16_t code)
{
    d->sense_key = key;
    d->asc = (uint8_t)(code >> 8);
    d->ascq = (uint8_t)code;
    d->error = (uint8_t)(key << 4) | ER_ABRT;
    d->status = ST_ERR;
    packet_end(d);
}

/* --- data to the guest ----------------------------------------------------------------------- */

/* The next window of the answer: the guest learns its size from the byte count registers. */
static void show_window(IdeDrive *d)
{
    uint32_t n = MIN(d->byte_left, d->byte_limit);

    d->end = d->pos + n;
    d->byte_left -= n;
    d->lba_mid.now = (uint8_t)n;
    d->lba_high.now = (uint8_t)(n >> 8);
    d->count.now = IREASON_IO;
    d->status = ST_DRDY | ST_DSC | ST_DRQ;
    ide_raise_irq(d->ch);
}

/* `len` bytes of buf are the answer; the guest wants `room` bytes at most. */
static void answer(IdeDrive *d, uint32_t len, uint32_t room)
{
    len = MIN(len, room);
    if (len == 0) {
        packet_ok(d);
        return;
    }
    d->pos = 0;
    d->byte_left = len;
    if (d->packet_dma) {
        d->phase = PHASE_ATAPI_DMA_BUFFER;
        d->status = ST_DRDY | ST_DSC | ST_DRQ;
        d->count.now = IREASON_IO;
        ide_dma_try_start(d->ch);
    } else {
        d->phase = PHASE_ATAPI_IN;
        show_window(d);
    }
}

static void read_next_blocks(IdeDrive *d)
{
    uint32_t n = MIN(d->left, (uint32_t)DATA_BUFFER / CD_BLOCK);

    if (!d->node) { /* taken out while the guest was reading */
        check_condition(d, KEY_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    d->block = n;
    d->iov = (struct iovec) { d->buf, n * CD_BLOCK };
    ide_submit(d, AIO_READ, d->lba * CD_BLOCK, n * CD_BLOCK, &d->iov, 1);
}

static void read_blocks(IdeDrive *d, uint32_t lba, uint32_t count)
{
    if (lba >= d->sectors || count > d->sectors - lba) {
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        return;
    }
    if (count == 0) {
        packet_ok(d);
        return;
    }
    d->lba = lba;
    d->left = count;
    if (d->packet_dma && count <= UINT32_MAX / CD_BLOCK) {
        d->phase = PHASE_ATAPI_DMA_READ;
        d->status = ST_DRDY | ST_DSC | ST_DRQ;
        d->count.now = IREASON_IO;
        ide_dma_try_start(d->ch);
    } else {
        d->phase = PHASE_ATAPI_READ;
        read_next_blocks(d);
    }
}

void atapi_dma_start(IdeDrive *d)
{
    IdeDma *dma = &d->dma;

    if (d->phase == PHASE_ATAPI_DMA_BUFFER) {
        ide_dma_copy(dma, d->ch->ide->memory, d->buf, d->byte_left, true);
        ide_dma_end(dma, d->ch->ide->memory, false);
        ide_dma_done(d->ch, true);
        packet_ok(d);
        return;
    }
    if (!d->node) { /* taken out between the command and the start of the transfer */
        ide_dma_end(dma, d->ch->ide->memory, false);
        ide_dma_done(d->ch, false);
        check_condition(d, KEY_NOT_READY, ASC_NO_MEDIUM);
        return;
    }
    d->iov = (struct iovec) { dma->bounce, dma->len };
    if (dma->bounce)
        ide_submit(d, AIO_READ, d->lba * CD_BLOCK, dma->len, &d->iov, 1);
    else
        ide_submit(d, AIO_READ, d->lba * CD_BLOCK, dma->len, dma->iov, (int)dma->n);
}

void atapi_request_done(IdeDrive *d, int ret)
{
    bool dma = d->phase == PHASE_ATAPI_DMA_READ;

    if (dma) {
        ide_dma_end(&d->dma, d->ch->ide->memory, ret == 0);
        ide_dma_done(d->ch, ret == 0);
    }
    if (ret < 0) {
        check_condition(d, KEY_MEDIUM_ERROR, ASC_READ_ERROR);
    } else if (dma) {
        packet_ok(d);
    } else {
        d->lba += d->block;
        d->left -= d->block;
        d->pos = 0;
        d->byte_left = d->block * CD_BLOCK;
        show_window(d);
    }
}

/* --- commands -------------------------------------------------------------------------------- */

static bool medium_present(const IdeDrive *d)
{
    return d->node && !d->tray_open;
}

static void not_ready(IdeDrive *d)
{
    check_condition(d, KEY_NOT_READY, d->tray_open ? ASC_NO_MEDIUM_TRAY_OPEN : ASC_NO_MEDIUM);
}

static void inquiry(IdeDrive *d)
{
    uint8_t *b = d->buf;
    char text[29];

    if (d->cdb[1] & 1) { /* vital product data: none */
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    memset(b, 0, 36);
    b[0] = 5;    /* CD/DVD device */
    b[1] = 0x80; /* removable */
    b[3] = 0x21; /* ATAPI version, response format */
    b[4] = 36 - 5;
    snprintf(text, sizeof(text), "%-8.8s%-16.16s%-4.4s", "ONIONSKN", d->model, "1.0");
    memcpy(b + 8, text, 28);
    answer(d, 36, get_be16(d->cdb + 3));
}

static void request_sense(IdeDrive *d)
{
    uint8_t *b = d->buf;
    uint8_t key = d->sense_key, asc = d->asc, ascq = d->ascq;

    if (key == 0 && d->medium_changed) {
        key = KEY_UNIT_ATTENTION;
        asc = ASC_MEDIUM_CHANGED >> 8;
        d->medium_changed = false;
    }
    memset(b, 0, 18);
    b[0] = 0x70;
    b[2] = key;
    b[7] = 18 - 8;
    b[12] = asc;
    b[13] = ascq;
    answer(d, 18, d->cdb[4]);
}

static void read_capacity(IdeDrive *d)
{
    put_be32(d->buf, (uint32_t)(d->sectors - 1));
    put_be32(d->buf + 4, CD_BLOCK);
    answer(d, 8, 8);
}

/* An address field of the table of contents: block number, or minute-second-frame. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    uint32_t frame = lba + LEAD_IN;

    put_be32(p, lba);
    if (msf) {
        p[0] = 0;
        p[1] = (uint8_t)(frame / FRAMES / 60);
        p[2] = (uint8_t)(frame / FRAMES % 60);
        p[3] = (uint8_t)(frame % FRAMES);
    }
}

/* MMC-5, 6.26: one data track from block 0 and the lead-out after the last block. */
static uint32_t toc_tracks(const IdeDrive *d, uint8_t *b, bool msf, uint8_t first)
{
    uint32_t len = 4;

    b[2] = b[3] = 1;
    if (first <= 1) {
        memcpy(b + len, (uint8_t[]) { 0, DATA_TRACK, 1, 0 }, 4);
        put_address(b + len + 4, 0, msf);
        len += 8;
    }
    memcpy(b + len, (uint8_t[]) { 0, DATA_TRACK, LEAD_OUT_TRACK, 0 }, 4);
    put_address(b + len + 4, (uint32_t)d->sectors, msf);
    return len + 8;
}

static uint32_t toc_sessions(uint8_t *b, bool msf)
{
    b[2] = b[3] = 1;
    memcpy(b + 4, (uint8_t[]) { 0, DATA_TRACK, 1, 0 }, 4);
    put_address(b + 8, 0, msf);
    return 12;
}

/* Format 2: the lead-in's own entries: first track, last track, lead-out, and track 1. */
static uint32_t toc_full(const IdeDrive *d, uint8_t *b)
{
    static const uint8_t points[4] = { 0xa0, 0xa1, 0xa2, 1 };
    uint8_t *p = b + 4;

    b[2] = b[3] = 1;
    for (unsigned i = 0; i < sizeof(points); i++, p += 11) {
        memset(p, 0, 11);
        p[0] = 1;
        p[1] = DATA_TRACK;
        p[3] = points[i];
        if (points[i] == 0xa2)
            put_address(p + 7, (uint32_t)d->sectors, true);
        else if (points[i] == 1)
            put_address(p + 7, 0, true);
        else
            p[8] = 1; /* a track number */
    }
    return (uint32_t)(p - b);
}

static void read_toc(IdeDrive *d)
{
    bool msf = d->cdb[1] & 2;
    unsigned format = d->cdb[2] & 15;
    uint8_t first = d->cdb[6];
    uint32_t len;

    if (format == 0)
        format = d->cdb[9] >> 6; /* where SFF 8020i had it */
    memset(d->buf, 0, 64);
    if (format == 0 && (first <= 1 || first == LEAD_OUT_TRACK))
        len = toc_tracks(d, d->buf, msf, first);
    else if (format == 1)
        len = toc_sessions(d->buf, msf);
    else if (format == 2)
        len = toc_full(d, d->buf);
    else {
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    put_be16(d->buf, (uint16_t)(len - 2));
    answer(d, len, get_be16(d->cdb + 7));
}

static uint32_t page_error_recovery(uint8_t *p)
{
    p[0] = 0x01;
    p[1] = 6;
    p[3] = 5; /* retries */
    return 8;
}

static uint32_t page_capabilities(const IdeDrive *d, uint8_t *p)
{
    p[0] = 0x2a;
    p[1] = 18;
    p[2] = 0x3b;                            /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
    p[4] = 0x70;                            /* multi-session, mode 2 forms 1 and 2 */
    p[6] = 0x29 | (d->tray_locked ? 2 : 0); /* tray, can eject, can lock */
    put_be16(p + 8, 706 * 16);              /* kB/s */
    put_be16(p + 12, 512);                  /* buffer, kB */
    put_be16(p + 14, 706 * 16);
    return 20;
}

/* `header` is 4 (MODE SENSE 6) or 8 bytes. */
static void mode_sense(IdeDrive *d, uint32_t header, uint32_t room)
{
    unsigned page = d->cdb[2] & 0x3f;
    uint32_t len = header;

    memset(d->buf, 0, 64);
    if (page == 0x01 || page == 0x3f)
        len += page_error_recovery(d->buf + len);
    if (page == 0x2a || page == 0x3f)
        len += page_capabilities(d, d->buf + len);
    if (len == header || d->cdb[2] >> 6 == 3) {
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    if (header == 8)
        put_be16(d->buf, (uint16_t)(len - 2));
    else
        d->buf[0] = (uint8_t)(len - 1);
    answer(d, len, room);
}

static void start_stop(IdeDrive *d)
{
    bool load_eject = d->cdb[4] & 2, start = d->cdb[4] & 1;

    if (load_eject && !start && d->tray_locked && !d->tray_open) {
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
        return;
    }
    if (load_eject) {
        d->medium_changed = d->tray_open && start;
        d->tray_open = !start;
    }
    packet_ok(d);
}

static void get_event_status(IdeDrive *d)
{
    uint8_t *b = d->buf;

    if (!(d->cdb[1] & 1)) { /* asynchronous notification: not here */
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    memset(b, 0, 8);
    b[3] = 1 << 4; /* supported: media events */
    if (!(d->cdb[4] & 1 << 4)) {
        b[2] = 0x80; /* nothing that was asked for */
        put_be16(b, 2);
        answer(d, 4, get_be16(d->cdb + 7));
        return;
    }
    put_be16(b, 6);
    b[2] = 4;
    b[4] = d->eject_request ? 1 : d->medium_changed ? 2 : 0;
    b[5] = (d->tray_open ? 1 : 0) | (medium_present(d) ? 2 : 0);
    d->eject_request = false;
    answer(d, 8, get_be16(d->cdb + 7));
}

static uint8_t *feature(uint8_t *p, uint16_t code, uint8_t version_bits, uint8_t extra)
{
    memset(p, 0, 4u + extra);
    put_be16(p, code);
    p[2] = version_bits;
    p[3] = extra;
    return p + 4;
}

static void get_configuration(IdeDrive *d)
{
    uint8_t *b = d->buf, *p = b + 8;
    uint16_t profile = !medium_present(d)           ? 0
                       : d->sectors > CD_MAX_BLOCKS ? PROFILE_DVD_ROM
                                                    : PROFILE_CD_ROM;

    memset(b, 0, 8);
    put_be16(b + 6, profile);
    p = feature(p, 0x0000, 0x03, 8); /* profile list: persistent, current */
    put_be16(p, PROFILE_DVD_ROM);
    p[2] = profile == PROFILE_DVD_ROM;
    put_be16(p + 4, PROFILE_CD_ROM);
    p[6] = profile == PROFILE_CD_ROM;
    p = feature(p + 8, 0x0001, 0x0b, 8); /* core */
    put_be32(p, 2);                      /* ATAPI */
    p[4] = 1;
    p = feature(p + 8, 0x0003, 0x07, 4); /* removable medium */
    p[0] = 0x29;
    p = feature(p + 4, 0x0010, medium_present(d), 8); /* random readable */
    put_be32(p, CD_BLOCK);
    put_be16(p + 4, 16);
    p = feature(p + 8, 0x001e, profile == PROFILE_CD_ROM, 4);  /* CD read */
    p = feature(p + 4, 0x001f, profile == PROFILE_DVD_ROM, 4); /* DVD read */
    put_be32(b, (uint32_t)(p + 4 - b) - 4);
    answer(d, (uint32_t)(p + 4 - b), get_be16(d->cdb + 7));
}

static void read_disc_information(IdeDrive *d)
{
    uint8_t *b = d->buf;

    memset(b, 0, 34);
    put_be16(b, 32);
    b[2] = 0x0e; /* complete disc, last session complete */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20; /* unrestricted use */
    memset(b + 16, 0xff, 8);
    answer(d, 34, get_be16(d->cdb + 7));
}

static void mechanism_status(IdeDrive *d)
{
    memset(d->buf, 0, 8);
    d->buf[1] = d->tray_open ? 0x10 : 0;
    answer(d, 8, get_be16(d->cdb + 8));
}

static void read_subchannel(IdeDrive *d)
{
    memset(d->buf, 0, 4);
    d->buf[1] = 0x15; /* no audio in play */
    answer(d, 4, get_be16(d->cdb + 7));
}

/* Only whole 2048-byte user data: what the images hold. */
static void read_cd(IdeDrive *d)
{
    uint32_t count = get_be32(d->cdb + 5) & 0xffffff; /* bytes 6..8 */

    if (count == 0 || (d->cdb[9] & 0xf8) == 0)
        packet_ok(d);
    else if ((d->cdb[9] & 0xf8) != 0x10 || d->cdb[10] & 7)
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
    else
        read_blocks(d, get_be32(d->cdb + 2), count);
}

enum { ALWAYS = 1, NEEDS_MEDIUM = 2 }; /* ALWAYS: not held up by a unit attention */

static void test_unit_ready(IdeDrive *d)
{
    packet_ok(d);
}
static void read_10(IdeDrive *d)
{
    read_blocks(d, get_be32(d->cdb + 2), get_be16(d->cdb + 7));
}
static void read_12(IdeDrive *d)
{
    read_blocks(d, get_be32(d->cdb + 2), get_be32(d->cdb + 6));
}
static void mode_sense_6(IdeDrive *d)
{
    mode_sense(d, 4, d->cdb[4]);
}
static void mode_sense_10(IdeDrive *d)
{
    mode_sense(d, 8, get_be16(d->cdb + 7));
}

static void prevent_removal(IdeDrive *d)
{
    d->tray_locked = d->cdb[4] & 1;
    packet_ok(d);
}

static void seek_10(IdeDrive *d)
{
    if (get_be32(d->cdb + 2) >= d->sectors)
        check_condition(d, KEY_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    else
        packet_ok(d);
}

static const struct {
    uint8_t code, attr;
    void (*run)(IdeDrive *d);
} commands[] = {
    { 0x00, NEEDS_MEDIUM, test_unit_ready },
    { 0x03, ALWAYS, request_sense },
    { 0x12, ALWAYS, inquiry },
    { 0x1a, 0, mode_sense_6 },
    { 0x1b, 0, start_stop },
    { 0x1e, 0, prevent_removal },
    { 0x25, NEEDS_MEDIUM, read_capacity },
    { 0x28, NEEDS_MEDIUM, read_10 },
    { 0x2b, NEEDS_MEDIUM, seek_10 },
    { 0x42, NEEDS_MEDIUM, read_subchannel },
    { 0x43, NEEDS_MEDIUM, read_toc },
    { 0x46, ALWAYS, get_configuration },
    { 0x4a, ALWAYS, get_event_status },
    { 0x51, NEEDS_MEDIUM, read_disc_information },
    { 0x5a, 0, mode_sense_10 },
    { 0xa8, NEEDS_MEDIUM, read_12 },
    { 0xbb, 0, test_unit_ready }, /* SET CD SPEED: noted */
    { 0xbd, 0, mechanism_status },
    { 0xbe, NEEDS_MEDIUM, read_cd },
};

static void run_packet(IdeDrive *d)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].code != d->cdb[0])
            continue;
        if (!(commands[i].attr & ALWAYS) && d->medium_changed && medium_present(d)) {
            d->medium_changed = false;
            check_condition(d, KEY_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
        } else if (commands[i].attr & NEEDS_MEDIUM && !medium_present(d)) {
            not_ready(d);
        } else {
            commands[i].run(d);
        }
        return;
    }
    check_condition(d, KEY_ILLEGAL_REQUEST, ASC_INVALID_COMMAND);
}

/* --- the task file side ----------------------------------------------------------------------- */

void atapi_window_done(IdeDrive *d)
{
    switch (d->phase) {
    case PHASE_PACKET:
        memcpy(d->cdb, d->buf, CDB_SIZE);
        d->status = ST_BSY;
        d->pos = d->end = 0;
        run_packet(d);
        break;
    case PHASE_ATAPI_IN:
    case PHASE_ATAPI_READ:
        if (d->byte_left)
            show_window(d);
        else if (d->phase == PHASE_ATAPI_READ && d->left)
            read_next_blocks(d);
        else
            packet_ok(d);
        break;
    default: /* IDENTIFY PACKET DEVICE */
        d->phase = PHASE_IDLE;
        d->status = ST_DRDY | ST_DSC;
        break;
    }
}

static void packet(IdeDrive *d)
{
    uint32_t limit = (d->lba_mid.now | d->lba_high.now << 8) & ~1u;

    d->packet_dma = d->feature.now & 1;
    d->byte_limit = limit ? limit : 0xfffe;
    d->phase = PHASE_PACKET;
    d->count.now = IREASON_CD;
    ide_data_window(d, CDB_SIZE);
}

void atapi_command(IdeDrive *d, uint8_t command)
{
    switch (command) {
    case 0xa0: packet(d); break;
    case 0xa1:
        memset(d->buf, 0, SECTOR);
        identify_cdrom(d, d->buf);
        d->phase = PHASE_BUFFER_IN;
        ide_data_window(d, SECTOR);
        ide_raise_irq(d->ch);
        break;
    case 0xef: disk_command(d, command); break; /* SET FEATURES */
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe5:
    case 0xe6: /* power management */ disk_command(d, command); break;
    case 0x20:
    case 0xec: /* how hosts find out that this is no disk */
        ide_drive_signature(d);
        ide_abort(d, ER_ABRT);
        break;
    default: ide_abort(d, ER_ABRT); break;
    }
}
