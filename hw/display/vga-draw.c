/*
 * vga-draw.c - the picture: text, 16 and 256 colours, CGA's four colours, and DISPI's linear modes.
 *
 * A refresh draws every line and tells consumers which ones changed.
 */
#include "hw/display/vga-state.h"

#include <string.h>

#include "base/endian.h"

enum { CURSOR_BLINK_NS = 266000000, TEXT_BLINK_NS = 533000000, MAX_LINE = DISPLAY_MAX_WIDTH };

/* --- colours ---- */

static uint32_t dac_color(const Vga *v, uint8_t index)
{
    const uint8_t *rgb = v->dac + 3 * (index & v->dac_mask);
    uint8_t c[3];

    for (unsigned i = 0; i < 3; i++)
        c[i] =
            v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? rgb[i] : (uint8_t)(rgb[i] << 2 | rgb[i] >> 4);
    return (uint32_t)c[0] << 16 | c[1] << 8 | c[2];
}

/* A four-bit colour through the attribute controller's palette. */
static uint32_t palette_color(const Vga *v, unsigned index)
{
    uint8_t a = v->attr[index & v->attr[0x12] & 15];

    if (v->attr[0x10] & 0x80)
        a = (a & 15) | (v->attr[0x14] & 3) << 4;
    return dac_color(v, (uint8_t)(a | (v->attr[0x14] & 12) << 4));
}

/* --- geometry as the CRT controller has it ---- */

static unsigned display_lines(const Vga *v)
{
    return (v->crtc[0x12] | (v->crtc[7] & 2) << 7 | (v->crtc[7] & 0x40) << 3) + 1u;
}

static unsigned line_compare(const Vga *v)
{
    return v->crtc[0x18] | (v->crtc[7] & 0x10) << 4 | (v->crtc[9] & 0x40) << 3;
}

static uint32_t start_address(const Vga *v)
{
    return v->crtc[0x0c] << 8 | v->crtc[0x0d];
}

/* --- putting lines onto the surface ---- */

typedef struct Painter {
    Vga *v;
    Display *d;
    int first, last; /* changed lines; first > last: none */
} Painter;

static void put_line(Painter *p, int y, const uint32_t *line)
{
    uint32_t *at = p->d->pixels + (size_t)y * p->d->stride;
    size_t bytes = (size_t)p->d->width * sizeof(*line);

    if (memcmp(at, line, bytes) == 0)
        return;
    memcpy(at, line, bytes);
    if (p->first > p->last)
        p->first = y;
    p->last = y;
}

static bool set_surface(Painter *p, unsigned width, unsigned height, unsigned columns,
                        unsigned rows)
{
    return display_set_text(p->d, (int)columns, (int)rows) == 0 &&
           display_resize(p->d, (int)width, (int)height) == 0;
}

/* --- text
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct TextMode {
    unsigned columns, rows, char_width, char_height;
    uint32_t start, stride;
    unsigned font[2]; /* offsets in plane 2; [1] for attribute bit 3 */
    bool blink, blink_off;
    int cursor;
    unsigned cursor_first, cursor_last;
} TextMode;

/* Sequencer register 3: which of eight 8 KiB fonts (bits 4, 1, 0 and 5, 3, 2). */
static unsigned font_offset(unsigned select)
{
    return (select & 3) * 0x4000 + (select >> 2 & 1) * 0x2000;
}

static bool text_mode(const Vga *v, TextMode *t)
{
    int64_t now = clock_now(v->clock);
    uint8_t fonts = v->seq[3];

    t->columns = v->crtc[1] + 1u;
    t->char_height = (v->crtc[9] & 31) + 1u;
    t->char_width = v->seq[1] & 1 ? 8 : 9;
    unsigned lines = display_lines(v) / (v->crtc[9] & 0x80 ? 2 : 1);
    t->rows = lines / t->char_height;
    t->start = start_address(v);
    t->stride = v->crtc[0x13] * 2u;
    t->font[0] = font_offset((fonts & 3) | (fonts >> 4 & 1) << 2);
    t->font[1] = font_offset((fonts >> 2 & 3) | (fonts >> 5 & 1) << 2);
    t->blink = v->attr[0x10] & 8;
    t->blink_off = now / TEXT_BLINK_NS & 1;
    int at = (v->crtc[0x0e] << 8 | v->crtc[0x0f]) - (int)t->start;
    bool hidden = v->crtc[0x0a] & 0x20;

    t->cursor = hidden || t->stride == 0 ? -1 : at;
    t->cursor_first = v->crtc[0x0a] & 31;
    t->cursor_last = v->crtc[0x0b] & 31;
    return t->columns <= 256 && t->rows >= 1 && t->rows <= 256;
}

static uint16_t cell_at(const Vga *v, const TextMode *t, unsigned column, unsigned row)
{
    uint64_t index = (t->start + (uint64_t)row * t->stride + column) * 4;

    return get_le16(v->vram + (index & (v->vram_size - 1) & ~UINT64_C(3)));
}

static bool cursor_here(const TextMode *t, unsigned column, unsigned row)
{
    return t->cursor >= 0 && (unsigned)t->cursor == row * t->stride + column;
}

/* One scan line of one character. */
static void draw_glyph_line(const Vga *v, const TextMode *t, uint16_t cell, unsigned y, bool cursor,
                            uint32_t *out)
{
    unsigned ch = cell & 0xff, attr = cell >> 8;
    unsigned bg = t->blink ? attr >> 4 & 7 : attr >> 4, fg = attr & 15;
    uint32_t font = t->font[!(attr & 8)];
    uint8_t bits = v->vram[((font + ch * 32 + y) * 4 + 2) & (v->vram_size - 1)];

    if (t->blink && attr & 0x80 && t->blink_off)
        fg = bg;
    uint32_t fore = palette_color(v, fg), back = palette_color(v, bg);

    if (cursor && y >= t->cursor_first && y <= t->cursor_last)
        bits = 0xff;
    for (unsigned x = 0; x < 8; x++)
        out[x] = bits << x & 0x80 ? fore : back;
    if (t->char_width == 9) /* line graphics continue into the gap */
        out[8] = ch >= 0xc0 && ch <= 0xdf && v->attr[0x10] & 4 && bits & 1 ? fore : back;
}

static void draw_text(Painter *p)
{
    static uint32_t line[256 * 9];
    Vga *v = p->v;
    TextMode t;

    if (!text_mode(v, &t) ||
        !set_surface(p, t.columns * t.char_width, t.rows * t.char_height, t.columns, t.rows))
        return;
    bool cursor_on = clock_now(v->clock) / CURSOR_BLINK_NS & 1;

    p->d->cursor = -1;
    for (unsigned row = 0; row < t.rows; row++) {
        for (unsigned column = 0; column < t.columns; column++) {
            p->d->cells[row * t.columns + column] = cell_at(v, &t, column, row);
            if (cursor_here(&t, column, row))
                p->d->cursor = (int)(row * t.columns + column);
        }
        for (unsigned y = 0; y < t.char_height; y++) {
            for (unsigned column = 0; column < t.columns; column++)
                draw_glyph_line(v, &t, p->d->cells[row * t.columns + column], y,
                                cursor_on && cursor_here(&t, column, row),
                                line + column * t.char_width);
            put_line(p, (int)(row * t.char_height + y), line);
        }
    }
}

/* --- VGA graphics
 * --------------------------------------------------------------------------------------------------
 */

typedef void LineFn(const Vga *v, uint32_t addr, unsigned width, uint32_t *out);

static void line_planar(const Vga *v, uint32_t addr, unsigned width, uint32_t *out)
{
    for (unsigned x = 0; x < width; x += 8, addr++) {
        uint32_t planes = get_le32(v->vram + ((uint64_t)addr * 4 & (v->vram_size - 1)));

        for (unsigned bit = 0; bit < 8; bit++) {
            uint32_t b = planes >> (7 - bit);

            out[x + bit] = palette_color(v, (b & 1) | (b >> 7 & 2) | (b >> 14 & 4) | (b >> 21 & 8));
        }
    }
}

/* Shift register mode 1: two bits a pixel from planes 0 and 1 in turn (CGA modes 4 and 5). */
static void line_cga(const Vga *v, uint32_t addr, unsigned width, uint32_t *out)
{
    for (unsigned x = 0; x < width; x += 8, addr++) {
        uint32_t planes = get_le32(v->vram + ((uint64_t)addr * 4 & (v->vram_size - 1)));

        for (unsigned i = 0; i < 8; i++)
            out[x + i] = palette_color(v, planes >> (i < 4 ? 6 - 2 * i : 22 - 2 * i) & 3);
    }
}

static void line_256(const Vga *v, uint32_t addr, unsigned width, uint32_t *out)
{
    for (unsigned x = 0; x < width; x += 2) {
        uint32_t c = dac_color(v, v->vram[((uint64_t)addr * 4 + x / 2) & (v->vram_size - 1)]);

        out[x] = out[x + 1] = c;
    }
}

/* Address bits 13 and 14 may come from the row counter (CGA and Hercules interleave). */
static uint32_t row_address(const Vga *v, uint32_t addr, unsigned scan)
{
    if (!(v->crtc[0x17] & 1))
        addr = (addr & ~UINT32_C(0x2000)) | (scan & 1) << 13;
    if (!(v->crtc[0x17] & 2))
        addr = (addr & ~UINT32_C(0x4000)) | (scan & 2) << 13;
    return addr;
}

static void draw_graphics(Painter *p)
{
    static uint32_t line[MAX_LINE];
    static LineFn *const fns[4] = { line_planar, line_cga, line_256, line_256 };
    Vga *v = p->v;
    LineFn *fn = fns[v->gfx[5] >> 5 & 3];
    unsigned width = (v->crtc[1] + 1u) * 8, height = display_lines(v);
    unsigned repeat = ((v->crtc[9] & 31) + 1) * (v->crtc[9] & 0x80 ? 2 : 1);
    uint32_t stride = v->crtc[0x13] * 2u, base = start_address(v);
    unsigned split = line_compare(v);

    if (!set_surface(p, width, height, 0, 0))
        return;
    for (unsigned y = 0, from = 0; y < height; y++) {
        if (y == split + 1) {
            base = 0;
            from = y;
        }
        unsigned row = (y - from) / repeat, scan = (y - from) % repeat;
        bool interleaved = (v->crtc[0x17] & 3) != 3;

        fn(v, interleaved ? row_address(v, base + row * stride, scan) : base + row * stride, width,
           line);
        put_line(p, (int)y, line);
    }
}

/* --- DISPI
 * ---------------------------------------------------------------------------------------------------------------
 */

static uint32_t rgb_from(unsigned bpp, const uint8_t *at)
{
    unsigned c = get_le16(at);

    switch (bpp) {
    case 15:
        return (c >> 10 & 31) * 255 / 31 << 16 | (c >> 5 & 31) * 255 / 31 << 8 |
               (c & 31) * 255 / 31;
    case 16:
        return (c >> 11) * 255 / 31 << 16 | (c >> 5 & 63) * 255 / 63 << 8 | (c & 31) * 255 / 31;
    default: return (uint32_t)at[2] << 16 | at[1] << 8 | at[0];
    }
}

static void line_linear(const Vga *v, uint64_t offset, unsigned width, uint32_t *out)
{
    unsigned bpp = v->dispi[DISPI_BPP], step = (bpp + 7) / 8;

    for (unsigned x = 0; x < width; x++, offset += step) {
        if (offset + 4 > v->vram_size)
            out[x] = 0;
        else
            out[x] = bpp == 8 ? dac_color(v, v->vram[offset]) : rgb_from(bpp, v->vram + offset);
    }
}

static void draw_dispi(Painter *p)
{
    static uint32_t line[MAX_LINE];
    Vga *v = p->v;
    unsigned bpp = v->dispi[DISPI_BPP], width = v->dispi[DISPI_XRES], height = v->dispi[DISPI_YRES];
    uint32_t stride = dispi_line_bytes(v);

    if (!set_surface(p, width, height, 0, 0))
        return;
    for (unsigned y = 0; y < height; y++) {
        uint64_t row = (uint64_t)(y + v->dispi[DISPI_Y_OFFSET]) * stride;

        if (bpp == 4)
            line_planar(v, (uint32_t)(row / 4 + v->dispi[DISPI_X_OFFSET] / 8), (width + 7) & ~7u,
                        line);
        else
            line_linear(v, row + (uint64_t)v->dispi[DISPI_X_OFFSET] * ((bpp + 7) / 8), width, line);
        put_line(p, (int)y, line);
    }
}

/* -----------------------------------------------------------------------------------------------------------------------------
 */

static void draw_blank(Painter *p)
{
    static const uint32_t black[MAX_LINE];

    for (int y = 0; y < p->d->height; y++)
        put_line(p, y, black);
}

static void refresh(void *adapter)
{
    Vga *v = adapter;
    Painter p = { .v = v, .d = v->display, .first = 0, .last = -1 };

    if (dispi_active(v))
        draw_dispi(&p);
    else if (!(v->attr_index & 0x20) || v->seq[1] & 0x20) /* palette off, or screen off */
        draw_blank(&p);
    else if (v->gfx[6] & 1)
        draw_graphics(&p);
    else
        draw_text(&p);
    if (p.first <= p.last)
        display_changed(p.d, 0, p.first, p.d->width, p.last - p.first + 1);
}

/* Nothing is remembered from one refresh to the next but the surface itself. */
static void invalidate(void *adapter)
{
    Vga *v = adapter;

    memset(v->display->pixels, 0xff,
           (size_t)v->display->stride * v->display->height * sizeof(uint32_t));
}

const DisplayProducer vga_producer = { refresh, invalidate };
