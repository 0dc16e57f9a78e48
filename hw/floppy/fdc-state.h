/*
 * fdc-state.h - inside the floppy controller: its state, and the calls between its parts.
 *
 *   fdc.c          ports, phases, resets, commands that move no data
 *   fdc-data.c     read, write, verify, format, read ID
 *   diskette.c     formats of diskettes
 */
#ifndef HW_FLOPPY_FDC_STATE_H
#define HW_FLOPPY_FDC_STATE_H

#include "hw/floppy/fdc.h"

#include "hw/dma/i8237.h"

enum { FDC_SECTOR = 512, FDC_DMA = 2, FDC_FIFO = 16 };

/* How a diskette is recorded. */
typedef struct Diskette {
    uint64_t size;
    uint8_t cylinders, heads, spt;
    uint8_t rates;     /* bit n: readable with data rate select n */
    uint8_t cmos_type; /* the drive made for it, as CMOS byte 10h says it */
} Diskette;

/* The format of an image of `size` bytes; NULL if it fits on no diskette. Size 0: an empty drive.
 */
const Diskette *diskette_by_size(uint64_t size);

/* Status registers (82077AA data sheet, 5.1 and 6.1 to 6.4) */
enum { MSR_RQM = 0x80, MSR_DIO = 0x40, MSR_NON_DMA = 0x20, MSR_BUSY = 0x10 };
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_READY_CHANGED = 0xc0 };
enum { ST0_SEEK_END = 0x20, ST0_EQUIPMENT = 0x10, ST0_HEAD = 0x04 };
enum { ST1_END = 0x80, ST1_OVERRUN = 0x10, ST1_NO_DATA = 0x04 };
enum { ST1_DATA_ERROR = 0x20, ST1_PROTECTED = 0x02, ST1_NO_ADDRESS = 0x01 };
enum { ST2_CONTROL_MARK = 0x40, ST2_WRONG_CYLINDER = 0x10 };
enum { ST3_PROTECTED = 0x40, ST3_TRACK_0 = 0x10, ST3_ALWAYS = 0x28 };
enum { DOR_NOT_RESET = 0x04, DOR_DMA = 0x08, DOR_MOTOR_0 = 0x10 };

typedef enum {
    PHASE_COMMAND, /* the FIFO takes bytes of a command */
    PHASE_BUSY,    /* a sector is on its way to or from the image */
    PHASE_IN,      /* without DMA: the host reads `data` */
    PHASE_OUT,     /* without DMA: the host fills `data` */
    PHASE_RESULT,  /* the FIFO gives the result */
} FdcPhase;

typedef enum { FDC_READ, FDC_WRITE, FDC_VERIFY, FDC_FORMAT } FdcOp;

typedef struct FdcDrive {
    Node *node; /* NULL: empty */
    const Diskette *disk;
    bool present;
    bool changed; /* DSKCHG: until a step with a diskette in the drive */
    uint8_t cylinder;
} FdcDrive;

struct Fdc {
    Pc *pc;
    AioContext *aio;
    Clock *clock;
    Dma8237 *dma;
    Device device;
    MemRegion ports, dir_port;
    IrqLine irq;
    FdcDrive drives[FDC_DRIVES];
    AioRequest req;
    struct iovec iov;
    bool in_flight, abandoned; /* abandoned: a reset ended the command that waits for `req` */

    uint8_t dor, tdr, rate;
    bool irq_pending;
    uint8_t phase, fifo[FDC_FIFO], fifo_pos, fifo_len;
    uint8_t sense_pending, sense_st0[4]; /* bit n: drive n has something to say */
    uint8_t specify[2], config, precomp, perpendicular;
    bool locked; /* LOCK: `config` survives software resets */

    /* the data command at work */
    uint8_t op, unit, cylinder, head, sector, end_sector, left, filler;
    bool multi_track, counted, deleted, terminal;
    uint16_t data_pos, data_len;
    uint8_t data[FDC_SECTOR];
};

void fdc_update_irq(Fdc *fdc);
void fdc_expect_command(Fdc *fdc);
void fdc_result(Fdc *fdc, unsigned len); /* fifo[0..len) is the result */
void fdc_seek(Fdc *fdc, unsigned unit, unsigned cylinder);
FdcDrive *fdc_drive(Fdc *fdc, unsigned unit);    /* NULL: no such drive */
FdcDrive *fdc_readable(Fdc *fdc, unsigned unit); /* NULL: no diskette, motor off, other rate */

/* Commands that move data: fifo[] holds their parameters. */
void fdc_read(Fdc *fdc);
void fdc_write(Fdc *fdc);
void fdc_verify(Fdc *fdc);
void fdc_read_track(Fdc *fdc);
void fdc_format(Fdc *fdc);
void fdc_read_id(Fdc *fdc);

/* Without DMA, the host moved the last byte of data[]. */
void fdc_data_moved(Fdc *fdc);

#endif
