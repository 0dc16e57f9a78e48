/*
 * vga-state.h - inside the VGA: its registers, and the calls between its parts.
 *
 *   vga.c        the PCI function: BARs, ports, expansion ROM
 *   vga-regs.c   registers: sequencer, CRT controller, graphics and attribute controllers, DAC
 *   vga-dispi.c  the Bochs display interface
 *   vga-mem.c    the memory window at A0000h: planes, latches, write modes
 *   vga-draw.c   the picture
 *
 * Video memory keeps the four planes of a byte address side by side: vram[4 * address + plane]. A
 * chained (linear) address is then just an index, and so are the pixels of DISPI modes.
 */
#ifndef HW_DISPLAY_VGA_STATE_H
#define HW_DISPLAY_VGA_STATE_H

#include "hw/display/vga.h"

enum {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K,
    DISPI_COUNT
};
enum {
    DISPI_ENABLED = 0x01,
    DISPI_GETCAPS = 0x02,
    DISPI_8BIT_DAC = 0x20,
    DISPI_LFB = 0x40,
    DISPI_NOCLEAR = 0x80
};
enum { DISPI_MAX_XRES = 2560, DISPI_MAX_YRES = 1600, DISPI_MAX_BPP = 32 };

enum { SEQ_COUNT = 5, CRTC_COUNT = 25, GFX_COUNT = 9, ATTR_COUNT = 21 };

struct Vga {
    PciDevice pci;
    Device device;
    Clock *clock; /* retrace is a function of guest time */
    MemMap *memory;
    Display *display;

    RamBlock vram_block, rom_block;
    uint8_t *vram;
    uint64_t vram_size;
    MemRegion vram_bar, mmio_bar, rom_bar, window, ports_3b0, ports_3c0, ports_dispi;

    uint8_t misc, feature;
    uint8_t seq_index, seq[SEQ_COUNT];
    uint8_t crtc_index, crtc[CRTC_COUNT];
    uint8_t gfx_index, gfx[GFX_COUNT];
    uint8_t attr_index, attr[ATTR_COUNT];
    bool attr_data; /* the next write to 3C0h is data */
    uint8_t dac_mask, dac_state, dac_read, dac_write, dac_part;
    uint8_t dac_latch[3], dac[256 * 3];
    uint32_t latch; /* the four planes' bytes of the last read */
    uint16_t dispi_index, dispi[DISPI_COUNT];
};

uint8_t vga_port_read(Vga *v, uint16_t port);
void vga_port_write(Vga *v, uint16_t port, uint8_t value);
void vga_regs_reset(Vga *v);

uint16_t dispi_read(Vga *v, unsigned index);
void dispi_write(Vga *v, unsigned index, uint16_t value);
bool dispi_active(const Vga *v);
/* Bytes of one line of a DISPI mode. */
uint32_t dispi_line_bytes(const Vga *v);

extern const MemOps vga_window_ops;
extern const DisplayProducer vga_producer;

#endif
