/*
 * fdc.h - the PC's floppy controller (82077AA) with up to two drives.
 *
 * Everything runs under the machine lock, also aio_dispatch() of the queue given to fdc_new().
 */
#ifndef HW_FLOPPY_FDC_H
#define HW_FLOPPY_FDC_H

#include "block/aio.h"
#include "hw/board/pc.h"

enum { FDC_DRIVES = 2 };

typedef struct Fdc Fdc;

/* On ports 3F0h..3F5h and 3F7h, IRQ 6, DMA channel 2; `aio` is borrowed. */
Fdc *fdc_new(Pc *pc, AioContext *aio, Error **err);

/* Attach a drive with a diskette (takes a reference) or without (NULL); the BIOS learns its type.
 */
int fdc_attach(Fdc *fdc, unsigned unit, Node *node, Error **err);

/* Put another diskette into a drive (takes a reference; NULL: none). */
int fdc_change_medium(Fdc *fdc, unsigned unit, Node *node, Error **err);

#endif
