/*
 * vga-regs.c - the VGA's registers at 3B0h..3DFh.
 *
 * Indexed registers are stored masked to their defined bits; what a value means is looked at when
 * the picture is drawn or memory is accessed.
 */
#include "hw/display/vga-state.h"

#include <string.h>

enum {
    MISC_COLOR = 0x01,
    FRAME_NS = 16683333,
    RETRACE_NS = 700000,
    LINE_NS = 31778,
    HBLANK_NS = 6000
};

static const uint8_t seq_mask[SEQ_COUNT] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gfx_mask[GFX_COUNT] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

/* --- status ------------------------------------------------------------------------------------
 */

static uint8_t input_status_1(Vga *v)
{
    uint64_t now = (uint64_t)clock_now(v->clock);
    bool retrace = now % FRAME_NS >= FRAME_NS - RETRACE_NS;
    bool blank = retrace || now % LINE_NS >= LINE_NS - HBLANK_NS;

    v->attr_data = false; /* reading it makes the next write to 3C0h an index */
    return (uint8_t)(blank | retrace << 3);
}

/* --- attribute controller ------------------------------------------------------------------------
 */

static void attr_write(Vga *v, uint8_t value)
{
    unsigned i = v->attr_index & 0x1f;

    v->attr_data = !v->attr_data;
    if (v->attr_data) {
        v->attr_index = value & 0x3f; /* bit 5: the palette feeds the screen */
        return;
    }
    if (i < ATTR_COUNT)
        v->attr[i] = i < 16 || i == 0x12 || i == 0x14 ? value & 0x3f : value;
}

/* --- DAC ---- */

static uint8_t dac_mask_bits(const Vga *v)
{
    return v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? 0xff : 0x3f;
}

static uint8_t dac_data_read(Vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_part];

    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return value;
}

static void dac_data_write(Vga *v, uint8_t value)
{
    v->dac_latch[v->dac_part] = value & dac_mask_bits(v);
    if (++v->dac_part == 3) {
        memcpy(v->dac + v->dac_write * 3, v->dac_latch, 3);
        v->dac_part = 0;
        v->dac_write++;
    }
}

/* --- CRT controller ---- */

static void crtc_write(Vga *v, uint8_t value)
{
    unsigned i = v->crtc_index;

    if (i >= CRTC_COUNT)
        return;
    if (i <= 7 && v->crtc[0x11] & 0x80) { /* protected, but for one bit of the line compare */
        if (i == 7)
            v->crtc[7] = (v->crtc[7] & ~0x10) | (value & 0x10);
        return;
    }
    v->crtc[i] = value;
}

static bool crtc_port(const Vga *v, uint16_t port)
{
    return (port & 0x3f0) == (v->misc & MISC_COLOR ? 0x3d0 : 0x3b0);
}

/* --- all together ---- */

static uint8_t crtc_block_read(Vga *v, uint16_t port)
{
    if (!crtc_port(v, port))
        return 0xff;
    switch (port & 15) {
    case 4: return v->crtc_index;
    case 5: return v->crtc_index < CRTC_COUNT ? v->crtc[v->crtc_index] : 0;
    case 10: return input_status_1(v);
    default: return 0xff;
    }
}

uint8_t vga_port_read(Vga *v, uint16_t port)
{
    switch (port) {
    case 0x3c0: return v->attr_data ? 0 : v->attr_index;
    case 0x3c1: return (v->attr_index & 0x1f) < ATTR_COUNT ? v->attr[v->attr_index & 0x1f] : 0;
    case 0x3c2: return 0x10; /* a colour monitor answers the sense line */
    case 0x3c4: return v->seq_index;
    case 0x3c5: return v->seq_index < SEQ_COUNT ? v->seq[v->seq_index] : 0;
    case 0x3c6: return v->dac_mask;
    case 0x3c7: return v->dac_state;
    case 0x3c8: return v->dac_write;
    case 0x3c9: return dac_data_read(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->gfx_index;
    case 0x3cf: return v->gfx_index < GFX_COUNT ? v->gfx[v->gfx_index] : 0;
    default: return crtc_block_read(v, port);
    }
}

static void crtc_block_write(Vga *v, uint16_t port, uint8_t value)
{
    if (!crtc_port(v, port))
        return;
    switch (port & 15) {
    case 4: v->crtc_index = value & 0x3f; break;
    case 5: crtc_write(v, value); break;
    case 10: v->feature = value & 0x0b; break;
    default: break;
    }
}

void vga_port_write(Vga *v, uint16_t port, uint8_t value)
{
    switch (port) {
    case 0x3c0: attr_write(v, value); break;
    case 0x3c2: v->misc = value & ~0x10; break;
    case 0x3c4: v->seq_index = value & 7; break;
    case 0x3c5:
        if (v->seq_index < SEQ_COUNT)
            v->seq[v->seq_index] = value & seq_mask[v->seq_index];
        break;
    case 0x3c6: v->dac_mask = value; break;
    case 0x3c7:
        v->dac_read = value;
        v->dac_part = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = value;
        v->dac_part = 0;
        v->dac_state = 0;
        break;
    case 0x3c9: dac_data_write(v, value); break;
    case 0x3ce: v->gfx_index = value & 15; break;
    case 0x3cf:
        if (v->gfx_index < GFX_COUNT)
            v->gfx[v->gfx_index] = value & gfx_mask[v->gfx_index];
        break;
    default: crtc_block_write(v, port, value); break;
    }
}

void vga_regs_reset(Vga *v)
{
    v->misc = MISC_COLOR;
    v->feature = 0;
    v->seq_index = v->crtc_index = v->gfx_index = v->attr_index = 0;
    v->attr_data = false;
    memset(v->seq, 0, sizeof(v->seq));
    memset(v->crtc, 0, sizeof(v->crtc));
    memset(v->gfx, 0, sizeof(v->gfx));
    memset(v->attr, 0, sizeof(v->attr));
    memset(v->dac, 0, sizeof(v->dac));
    v->dac_mask = 0xff;
    v->dac_state = v->dac_read = v->dac_write = v->dac_part = 0;
    v->latch = 0;
    memset(v->dispi, 0, sizeof(v->dispi));
    v->dispi_index = 0;
}
