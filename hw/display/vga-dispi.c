/*
 * vga-dispi.c - the Bochs display interface: linear modes set by a few 16-bit registers.
 */
#include "hw/display/vga-state.h"

#include <string.h>

enum { ID_FIRST = 0xb0c0, ID_LAST = 0xb0c5 };

bool dispi_active(const Vga *v)
{
    return v->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

static unsigned bytes_per_pixel(const Vga *v)
{
    return (v->dispi[DISPI_BPP] + 7u) / 8; /* 15 and 16 bits both take two */
}

uint32_t dispi_line_bytes(const Vga *v)
{
    if (v->dispi[DISPI_BPP] == 4)
        return v->dispi[DISPI_VIRT_WIDTH] / 8u * 4;
    return v->dispi[DISPI_VIRT_WIDTH] * bytes_per_pixel(v);
}

static uint16_t capability(unsigned index)
{
    switch (index) {
    case DISPI_XRES: return DISPI_MAX_XRES;
    case DISPI_YRES: return DISPI_MAX_YRES;
    case DISPI_BPP: return DISPI_MAX_BPP;
    default: return 0;
    }
}

uint16_t dispi_read(Vga *v, unsigned index)
{
    if (index == DISPI_ID)
        return v->dispi[DISPI_ID] ? v->dispi[DISPI_ID] : ID_LAST;
    if (index == DISPI_MEMORY_64K)
        return (uint16_t)(v->vram_size >> 16);
    if (index >= DISPI_COUNT)
        return 0;
    if (v->dispi[DISPI_ENABLE] & DISPI_GETCAPS && index >= DISPI_XRES && index <= DISPI_BPP)
        return capability(index);
    return v->dispi[index];
}

static bool mode_fits(const Vga *v)
{
    uint16_t x = v->dispi[DISPI_XRES], y = v->dispi[DISPI_YRES];

    return x >= 1 && x <= DISPI_MAX_XRES && y >= 1 && y <= DISPI_MAX_YRES;
}

/* Keep every pixel that the registers can name inside video memory. */
static void clamp_geometry(Vga *v)
{
    uint16_t *r = v->dispi;

    if (r[DISPI_VIRT_WIDTH] < r[DISPI_XRES])
        r[DISPI_VIRT_WIDTH] = r[DISPI_XRES];
    uint32_t line = dispi_line_bytes(v);
    uint64_t lines = line ? v->vram_size / line : 0;

    r[DISPI_VIRT_HEIGHT] = lines > UINT16_MAX ? UINT16_MAX : (uint16_t)lines;
    if (r[DISPI_YRES] > r[DISPI_VIRT_HEIGHT])
        r[DISPI_YRES] = r[DISPI_VIRT_HEIGHT];
    if (r[DISPI_X_OFFSET] > r[DISPI_VIRT_WIDTH] - r[DISPI_XRES])
        r[DISPI_X_OFFSET] = r[DISPI_VIRT_WIDTH] - r[DISPI_XRES];
    if (r[DISPI_Y_OFFSET] > r[DISPI_VIRT_HEIGHT] - r[DISPI_YRES])
        r[DISPI_Y_OFFSET] = r[DISPI_VIRT_HEIGHT] - r[DISPI_YRES];
}

static void clear_screen(Vga *v)
{
    uint64_t bytes = (uint64_t)dispi_line_bytes(v) * v->dispi[DISPI_YRES];

    memset(v->vram, 0, bytes < v->vram_size ? bytes : v->vram_size);
}

static void set_enable(Vga *v, uint16_t value)
{
    bool was = dispi_active(v);

    if (value & DISPI_ENABLED && !mode_fits(v))
        value &= ~DISPI_ENABLED;
    v->dispi[DISPI_ENABLE] = value;
    if (value & DISPI_ENABLED && !was) {
        v->dispi[DISPI_VIRT_WIDTH] = v->dispi[DISPI_XRES];
        v->dispi[DISPI_X_OFFSET] = v->dispi[DISPI_Y_OFFSET] = 0;
        clamp_geometry(v);
        if (!(value & DISPI_NOCLEAR))
            clear_screen(v);
    }
}

void dispi_write(Vga *v, unsigned index, uint16_t value)
{
    switch (index) {
    case DISPI_ID:
        if (value >= ID_FIRST && value <= ID_LAST)
            v->dispi[DISPI_ID] = value;
        break;
    case DISPI_XRES:
    case DISPI_YRES:
        if (!dispi_active(v) && value <= (index == DISPI_XRES ? DISPI_MAX_XRES : DISPI_MAX_YRES))
            v->dispi[index] = value;
        break;
    case DISPI_BPP:
        if (value == 0)
            value = 8;
        if (!dispi_active(v) &&
            (value == 4 || value == 8 || value == 15 || value == 16 || value == 24 || value == 32))
            v->dispi[DISPI_BPP] = value;
        break;
    case DISPI_ENABLE: set_enable(v, value); break;
    case DISPI_BANK:
        if ((uint64_t)value << 16 < v->vram_size)
            v->dispi[DISPI_BANK] = value;
        break;
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        v->dispi[index] = value;
        if (dispi_active(v))
            clamp_geometry(v);
        break;
    default: break;
    }
}
