/*
 * vga.h - a VGA with the Bochs display interface (VBE DISPI), as a PCI adapter.
 *
 * Registers and memory modes: IBM VGA technical reference as summarised in FreeVGA; the DISPI
 * registers at ports 1CEh/1CFh: Bochs VBE specification, version B0C5.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "hw/board/pc.h"
#include "hw/core/display.h"

typedef struct Vga Vga;

typedef struct VgaConfig {
    uint64_t vram_size; /* bytes, a power of two; 0: 16 MiB */
    PcBytes rom;        /* the video BIOS, copied; NULL data: no expansion ROM */
} VgaConfig;

/* Put the adapter on the board as PCI slot 2, draw into `display` (borrowed). */
Vga *vga_new(Pc *pc, const VgaConfig *config, Display *display, Error **err);

#endif
