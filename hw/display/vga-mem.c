/*
 * vga-mem.c - the CPU's window into video memory at A0000h..BFFFFh.
 *
 * Three ways to get at a byte: chained (sequencer 4, bit 3: the address is linear), odd/even (text:
 * even addresses are plane 0, odd ones plane 1), and planar through the latches, with four write
 * modes.
 */
#include "hw/display/vga-state.h"

enum { SEQ_MAP_MASK = 2, SEQ_MEMORY = 4, CHAIN4 = 0x08, WINDOW_BASE = 0xa0000 };
enum {
    GFX_SET_RESET,
    GFX_ENABLE_SET_RESET,
    GFX_COMPARE,
    GFX_ROTATE,
    GFX_READ_MAP,
    GFX_MODE,
    GFX_MISC,
    GFX_DONT_CARE,
    GFX_BIT_MASK
};
enum { MODE_READ = 0x08, MODE_ODD_EVEN = 0x10 };

/* Byte replicated into all planes, and a mask of whole planes from four bits. */
static uint32_t all_planes(uint8_t value)
{
    return value * UINT32_C(0x01010101);
}

static uint32_t plane_mask(unsigned bits)
{
    uint32_t mask = 0;

    for (unsigned p = 0; p < 4; p++)
        if (bits >> p & 1)
            mask |= UINT32_C(0xff) << 8 * p;
    return mask;
}

/* Offset into the window as the memory map select sees it; false: this address is not ours now. */
static bool decode(const Vga *v, uint64_t offset, uint32_t *addr)
{
    static const struct {
        uint32_t base, size;
    } maps[4] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
    unsigned map = v->gfx[GFX_MISC] >> 2 & 3;

    if (dispi_active(v)) { /* banked access: 64 KiB at A0000h */
        *addr = (uint32_t)(offset & 0xffff) + ((uint32_t)v->dispi[DISPI_BANK] << 16);
        return offset < 0x10000;
    }
    *addr = (uint32_t)(offset - maps[map].base);
    return offset >= maps[map].base && offset - maps[map].base < maps[map].size;
}

static uint32_t *planes_at(Vga *v, uint32_t addr)
{
    return (uint32_t *)v->vram + (addr & (v->vram_size / 4 - 1));
}

static uint8_t *byte_at(Vga *v, uint64_t index)
{
    return v->vram + (index & (v->vram_size - 1));
}

static bool chained(const Vga *v)
{
    return v->seq[SEQ_MEMORY] & CHAIN4 || (dispi_active(v) && v->dispi[DISPI_BPP] > 4);
}

/* --- reading -------------------------------------------------------------------------------------
 */

static uint8_t read_planar(Vga *v, uint32_t addr)
{
    v->latch = *planes_at(v, addr);
    if (!(v->gfx[GFX_MODE] & MODE_READ))
        return (uint8_t)(v->latch >> 8 * v->gfx[GFX_READ_MAP]);
    uint32_t differs =
        (v->latch ^ plane_mask(v->gfx[GFX_COMPARE])) & plane_mask(v->gfx[GFX_DONT_CARE]);

    differs |= differs >> 16;
    return (uint8_t) ~(differs | differs >> 8);
}

static uint8_t read_byte(Vga *v, uint64_t offset)
{
    uint32_t addr;

    if (!decode(v, offset, &addr))
        return 0xff;
    if (chained(v))
        return *byte_at(v, addr);
    if (v->gfx[GFX_MODE] & MODE_ODD_EVEN)
        return *byte_at(v, ((uint64_t)addr >> 1) * 4 + ((v->gfx[GFX_READ_MAP] & 2) | (addr & 1)));
    return read_planar(v, addr);
}

/* --- writing ---- */

static uint8_t rotate_right(uint8_t value, unsigned n)
{
    return (uint8_t)(value >> n | value << ((8 - n) & 7));
}

static uint32_t combine(const Vga *v, uint32_t value)
{
    switch (v->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1: return value & v->latch;
    case 2: return value | v->latch;
    case 3: return value ^ v->latch;
    default: return value;
    }
}

/* The four planes' new bytes before the map mask (FreeVGA, "Graphics Controller", write modes). */
static uint32_t planar_value(const Vga *v, uint8_t value)
{
    uint8_t rotated = rotate_right(value, v->gfx[GFX_ROTATE] & 7);
    uint32_t set_reset = plane_mask(v->gfx[GFX_SET_RESET]);
    uint32_t bits = all_planes(v->gfx[GFX_BIT_MASK]), data;

    switch (v->gfx[GFX_MODE] & 3) {
    case 0: {
        uint32_t enable = plane_mask(v->gfx[GFX_ENABLE_SET_RESET]);

        data = combine(v, (all_planes(rotated) & ~enable) | (set_reset & enable));
        break;
    }
    case 1: return v->latch;
    case 2: data = combine(v, plane_mask(value)); break;
    default:
        bits &= all_planes(rotated);
        data = combine(v, set_reset);
        break;
    }
    return (data & bits) | (v->latch & ~bits);
}

static void write_byte(Vga *v, uint64_t offset, uint8_t value)
{
    unsigned enabled = v->seq[SEQ_MAP_MASK];
    uint32_t addr;

    if (!decode(v, offset, &addr))
        return;
    if (chained(v)) {
        if (dispi_active(v) || enabled >> (addr & 3) & 1)
            *byte_at(v, addr) = value;
    } else if (v->gfx[GFX_MODE] & MODE_ODD_EVEN) {
        if (enabled >> (addr & 1) & 1)
            *byte_at(v, ((uint64_t)addr >> 1) * 4 + (addr & 1)) = value;
    } else {
        uint32_t mask = plane_mask(enabled), *at = planes_at(v, addr);

        *at = (planar_value(v, value) & mask) | (*at & ~mask);
    }
}

/* --- the region ---- */

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_byte(opaque, offset + i) << 8 * i;
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        write_byte(opaque, offset + i, (uint8_t)(value >> 8 * i));
}

const MemOps vga_window_ops = { window_read, window_write, 0 };
