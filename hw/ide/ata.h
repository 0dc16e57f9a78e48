/*
 * ata.h - inside the IDE controller: drives, channels, and the calls between their parts.
 *
 *   piix.c      the PCI function: bus-master registers and legacy ports
 *   channel.c   task file, selection, reset, interrupt, PIO data port
 *   dma.c       physical region descriptor tables
 *   disk.c      commands of ATA disks
 *   identify.c  IDENTIFY data of both kinds
 *   atapi.c     packet commands of CD-ROM drives
 */
#ifndef HW_IDE_ATA_H
#define HW_IDE_ATA_H

#include "hw/ide/ide.h"

enum { /* status and error registers */
       ST_ERR = 0x01,
       ST_DRQ = 0x08,
       ST_DSC = 0x10,
       ST_DF = 0x20,
       ST_DRDY = 0x40,
       ST_BSY = 0x80,
       ER_ABRT = 0x04,
       ER_IDNF = 0x10,
       ER_UNC = 0x40,
       ER_MCR = 0x08,
};
enum { CTL_NIEN = 0x02, CTL_SRST = 0x04, CTL_HOB = 0x80 };
enum { DEV_UNIT = 0x10, DEV_LBA = 0x40, DEV_FIXED = 0xa0 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };                                /* command register */
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INT = 0x04, BM_CAPABLE = 0x60 }; /* status */
enum { IREASON_CD = 0x01, IREASON_IO = 0x02 };

enum {
    SECTOR = 512,
    CD_BLOCK = 2048,
    MAX_MULTIPLE = 16,
    DATA_BUFFER = 64 << 10, /* the largest PIO block: 128 sectors or an ATAPI byte count */
    CDB_SIZE = 12,
};

typedef struct IdeDrive IdeDrive;
typedef struct IdeChannel IdeChannel;

/* What the drive does when its data window or its request is through. */
typedef enum {
    PHASE_IDLE,
    PHASE_BUFFER_IN, /* the guest reads a fixed answer */
    PHASE_PIO_READ,  /* sectors to the guest, a block at a time */
    PHASE_PIO_WRITE,
    PHASE_DMA_READ, /* waits for, or works on, a bus-master transfer */
    PHASE_DMA_WRITE,
    PHASE_DMA_TRIM,
    PHASE_FLUSH,
    PHASE_PACKET,     /* the guest writes a command packet */
    PHASE_ATAPI_IN,   /* answer of a packet command in `buf`, by PIO */
    PHASE_ATAPI_READ, /* CD blocks, by PIO */
    PHASE_ATAPI_DMA_BUFFER,
    PHASE_ATAPI_DMA_READ,
} IdePhase;

/* A register that holds two bytes: LBA48 commands look at the one written before, too. */
typedef struct {
    uint8_t now, before;
} Reg2;

/* Guest memory of one bus-master transfer. */
typedef struct {
    struct iovec *iov;
    uint64_t *gpa;
    unsigned n, room;
    uint64_t len;
    uint8_t *bounce; /* used instead of guest memory when the table is too scattered */
} IdeDma;

struct IdeDrive {
    IdeChannel *ch;
    unsigned unit;
    bool present, cdrom;
    Node *node;
    AioContext *aio;
    char model[41], serial[21];
    uint64_t sectors;               /* of 512 bytes; CD: of 2048 */
    uint16_t cylinders, heads, spt; /* default geometry */
    uint16_t cur_heads, cur_spt;    /* as INITIALIZE DEVICE PARAMETERS set it */

    Reg2 feature, count, lba_low, lba_mid, lba_high; /* the task file */
    uint8_t device, status, error;
    uint8_t multiple;             /* sectors a block of READ/WRITE MULTIPLE; 0: off */
    uint8_t udma_mode, mdma_mode; /* as SET FEATURES chose; 0xff: none */
    bool write_cache;

    IdePhase phase;
    uint8_t *buf;
    uint32_t pos, end; /* data window of the guest within `buf` */
    uint64_t lba;      /* next sector or CD block */
    uint32_t left;     /* sectors or CD blocks still to be transferred */
    uint32_t block;    /* sectors a DRQ block */
    bool lba48;
    uint32_t byte_left;  /* bytes of `buf` not yet shown to the guest */
    uint32_t byte_limit; /* ATAPI: the most a DRQ block may hold */
    bool packet_dma;

    uint8_t cdb[CDB_SIZE];
    uint8_t sense_key, asc, ascq;
    bool tray_open, tray_locked, medium_changed, eject_request;

    AioRequest req;
    struct iovec iov;
    IdeDma dma;
    bool in_flight;    /* `req` is the worker pool's */
    bool reset_wanted; /* once the request is back */
    uint32_t trim_pos, trim_len;
};

struct IdeChannel {
    IdeController *ide;
    unsigned index;
    IdeDrive drives[IDE_UNITS];
    unsigned selected;
    uint8_t control;
    bool irq_pending;
    IrqLine irq;
    struct { /* bus master */
        uint8_t command, status;
        uint32_t table;
    } bm;
    MemRegion command_ports, control_port;
};

struct IdeController {
    PciDevice pci;
    Device device;
    MemMap *memory;
    IdeChannel channels[IDE_CHANNELS];
    MemRegion bus_master;
};

/* channel.c */
extern const MemOps ide_command_ops, ide_control_ops;
void ide_channel_reset(IdeChannel *ch);
void ide_raise_irq(IdeChannel *ch);
void ide_drive_signature(IdeDrive *d);
void ide_drive_reset(IdeDrive *d);
/* The command is over; the guest hears of it. */
void ide_finish(IdeDrive *d);
void ide_abort(IdeDrive *d, uint8_t error);
/* Let the guest move `len` bytes of buf from its start; what follows is the phase's business. */
void ide_data_window(IdeDrive *d, uint32_t len);
/* Hand the request over; completed() gets it back, unless a reset came between. */
void ide_submit(IdeDrive *d, AioOp op, uint64_t off, uint64_t len, const struct iovec *iov,
                int iovcnt);

/* dma.c */
/* Collect `len` bytes of guest memory from the PRD table. -EFAULT, -E2BIG (table too short),
 * -ENOMEM. */
int ide_dma_collect(IdeChannel *ch, IdeDma *dma, uint64_t len, bool to_memory);
int ide_dma_copy(IdeDma *dma, MemMap *memory, void *buf, uint64_t len, bool to_memory);
/* What a worker read into guest memory is announced; the transfer's memory is let go. */
void ide_dma_end(IdeDma *dma, MemMap *memory, bool to_memory);
/* The drive is ready for a bus-master transfer, or the guest has started the engine. */
void ide_dma_try_start(IdeChannel *ch);
void ide_dma_done(IdeChannel *ch, bool ok);

/* disk.c */
void disk_command(IdeDrive *d, uint8_t command);
void disk_window_done(IdeDrive *d);
void disk_request_done(IdeDrive *d, int ret);
void disk_dma_start(IdeDrive *d);

/* identify.c */
void identify_disk(const IdeDrive *d, uint8_t *data);
void identify_cdrom(const IdeDrive *d, uint8_t *data);

/* atapi.c */
void atapi_command(IdeDrive *d, uint8_t command);
void atapi_window_done(IdeDrive *d);
void atapi_request_done(IdeDrive *d, int ret);
void atapi_dma_start(IdeDrive *d);

#endif
