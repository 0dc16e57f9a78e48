/*
 * ide.h - the PIIX3 IDE controller with ATA disks and ATAPI CD-ROM drives.
 *
 * Specifications: ATA/ATAPI-7 (INCITS 397), MMC-5 for the packet commands, "Programming Interface
 * for Bus Master IDE Controller" rev. 1.0, Intel 82371SB (PIIX3) datasheet.
 *
 * Everything runs under the machine lock, also aio_dispatch() of the queue given in
 * IdeDriveConfig, which completes commands.
 */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include "block/aio.h"
#include "hw/board/pc.h"

enum { IDE_CHANNELS = 2, IDE_UNITS = 2 };

typedef struct IdeController IdeController;

typedef struct IdeDriveConfig {
    bool cdrom;
    Node *node;                 /* takes a reference; NULL: a CD-ROM drive without a disc */
    AioContext *aio;            /* borrowed: where its requests go */
    const char *model, *serial; /* NULL: a default */
} IdeDriveConfig;

/* Put the controller on the board as PCI function 1.1 with IRQ 14 and 15. */
IdeController *piix_ide_new(Pc *pc, Error **err);

int ide_attach(IdeController *ide, unsigned channel, unsigned unit, const IdeDriveConfig *config,
               Error **err);

/*
 * CD-ROM only: put `node` (takes a reference; NULL: nothing) into the tray. Without `force`, -EBUSY
 * while the guest has locked the door.
 */
int ide_change_medium(IdeController *ide, unsigned channel, unsigned unit, Node *node, bool force,
                      Error **err);

/* True while a drive works on a request: wait (aio_poll) before the node graph is changed. */
bool ide_busy(const IdeController *ide);

#endif
