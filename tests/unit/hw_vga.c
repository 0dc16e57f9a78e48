/*
 * hw_vga.c - VGA memory modes against a naive model of planes and latches, limits of the DISPI
 * registers, pictures of known screens, and hostile register noise.
 */
#include "tests/unit/hw_fixture.h"

#include <stdlib.h>

#include "hw/core/display.h"
#include "hw/display/vga-state.h"

enum { WINDOW = 0xa0000, SPAN = 0x400 };

typedef struct Screen {
    Fixture *f;
    Display *display;
    Vga *vga;
} Screen;

static Screen *screen_new(uint64_t vram)
{
    static PcConfig config;
    Screen *s = test_calloc(1, sizeof(*s));
    VgaConfig vga = { .vram_size = vram };

    config = (PcConfig) { 0 };
    s->f = fixture_new(&config);
    s->display = display_new();
    s->vga = vga_new(s->f->pc, &vga, s->display, NULL);
    assert_non_null(s->vga);
    pc_reset(s->f->pc);
    config_write(s->f, PC_DEVFN_VGA, 4, 3); /* ports and memory */
    return s;
}

static void screen_free(Screen *s)
{
    fixture_free(s->f);
    display_free(s->display);
    test_free(s);
}

static void indexed(Screen *s, uint16_t port, uint8_t index, uint8_t value)
{
    outb(s->f, port, index);
    outb(s->f, port + 1, value);
}

static void sequencer(Screen *s, uint8_t index, uint8_t value)
{
    indexed(s, 0x3c4, index, value);
}

static void graphics(Screen *s, uint8_t index, uint8_t value)
{
    indexed(s, 0x3ce, index, value);
}

static void dispi_set(Screen *s, uint16_t index, uint16_t value)
{
    outw(s->f, 0x1ce, index);
    outw(s->f, 0x1cf, value);
}

static uint16_t dispi_get(Screen *s, uint16_t index)
{
    outw(s->f, 0x1ce, index);
    return memmap_read(s->f->io, 0x1cf, 2);
}

/* --- planes and latches, bit by bit ----------------------------------------------------------- */

typedef struct Model {
    uint8_t plane[4][SPAN], latch[4];
    uint8_t map_mask, set_reset, enable, compare, rotate, read_map, mode, dont_care, bit_mask;
} Model;

static bool model_alu(unsigned op, bool a, bool b)
{
    return op == 0 ? a : op == 1 ? a && b : op == 2 ? a || b : a != b;
}

static void model_write(Model *m, unsigned at, uint8_t value)
{
    unsigned n = m->rotate & 7, op = m->rotate >> 3 & 3, wm = m->mode & 3;
    uint8_t turned = value >> n | (n ? value << (8 - n) : 0);

    for (int p = 0; p < 4; p++) {
        uint8_t out = 0;

        for (int b = 0; b < 8; b++) {
            bool latch = m->latch[p] >> b & 1, sr = m->set_reset >> p & 1, bit;
            bool masked = m->bit_mask >> b & 1;

            if (wm == 0)
                bit = m->enable >> p & 1 ? sr : turned >> b & 1;
            else if (wm == 2)
                bit = value >> p & 1;
            else
                bit = sr;
            if (wm == 3)
                masked = masked && (turned >> b & 1);
            out |= (wm == 1 ? latch : masked ? model_alu(op, bit, latch) : latch) << b;
        }
        if (m->map_mask >> p & 1)
            m->plane[p][at] = out;
    }
}

static uint8_t model_read(Model *m, unsigned at)
{
    uint8_t same = 0;

    for (int p = 0; p < 4; p++)
        m->latch[p] = m->plane[p][at];
    if (!(m->mode & 8))
        return m->latch[m->read_map & 3];
    for (int b = 0; b < 8; b++) {
        bool equal = true;

        for (int p = 0; p < 4; p++)
            if (m->dont_care >> p & 1)
                equal = equal && (m->latch[p] >> b & 1) == (m->compare >> p & 1);
        same |= equal << b;
    }
    return same;
}

static void set_model_register(Screen *s, Model *m)
{
    uint8_t v = rand();

    switch (rand() % 9) {
    case 0: sequencer(s, 2, m->map_mask = v & 15); break;
    case 1: graphics(s, 0, m->set_reset = v & 15); break;
    case 2: graphics(s, 1, m->enable = v & 15); break;
    case 3: graphics(s, 2, m->compare = v & 15); break;
    case 4: graphics(s, 3, m->rotate = v & 31); break;
    case 5: graphics(s, 4, m->read_map = v & 3); break;
    case 6: graphics(s, 5, m->mode = v & 11); break;
    case 7: graphics(s, 7, m->dont_care = v & 15); break;
    default: graphics(s, 8, m->bit_mask = v); break;
    }
}

static void planar_like_the_model(void **state)
{
    Screen *s = screen_new(0);
    Model *m = test_calloc(1, sizeof(*m));

    (void)state;
    srand(6);
    graphics(s, 6, 0x05); /* graphics, 64 KiB at A0000h */
    sequencer(s, 4, 0x06);
    for (int i = 0; i < 9; i++)
        graphics(s, i == 6 ? 8 : i, 0);
    sequencer(s, 2, 0);
    for (int i = 0; i < 200000; i++) {
        unsigned at = rand() % SPAN;

        if (rand() % 4 == 0) {
            set_model_register(s, m);
        } else if (rand() % 2) {
            uint8_t value = rand();

            memmap_write(s->f->mem, WINDOW + at, value, 1);
            model_write(m, at, value);
        } else {
            assert_int_equal(memmap_read(s->f->mem, WINDOW + at, 1), model_read(m, at));
        }
    }
    test_free(m);
    screen_free(s);
}

static void chained_and_odd_even(void **state)
{
    Screen *s = screen_new(0);

    (void)state;
    graphics(s, 6, 0x05);
    graphics(s, 5, 0);
    sequencer(s, 2, 0x0f);
    sequencer(s, 4, 0x0e); /* chain 4 */
    memmap_write(s->f->mem, WINDOW + 4, 0x44332211, 4);
    assert_int_equal(memmap_read(s->f->mem, WINDOW + 4, 4), 0x44332211);
    assert_memory_equal(s->vga->vram + 4, "\x11\x22\x33\x44", 4);
    sequencer(s, 2, 0x0d); /* plane 1 is protected */
    memmap_write(s->f->mem, WINDOW + 4, 0, 4);
    assert_int_equal(memmap_read(s->f->mem, WINDOW + 4, 4), 0x2200);

    graphics(s, 6, 0x0e); /* text: 32 KiB at B8000h, odd/even */
    graphics(s, 5, 0x10);
    sequencer(s, 2, 0x03);
    sequencer(s, 4, 0x02);
    memmap_write(s->f->mem, 0xb8000, 0x0741, 2);
    assert_int_equal(memmap_read(s->f->mem, 0xb8000, 2), 0x0741);
    assert_int_equal(s->vga->vram[0], 0x41);
    assert_int_equal(s->vga->vram[1], 0x07);
    assert_int_equal(memmap_read(s->f->mem, 0xa0000, 1), 0xff); /* nobody's now */
    screen_free(s);
}

/* --- DISPI ---------------------------------------------------------------------------------------
 */

static void dispi_limits(void **state)
{
    Screen *s = screen_new(4 << 20);

    (void)state;
    assert_int_equal(dispi_get(s, DISPI_ID) & 0xfff0, 0xb0c0);
    assert_int_equal(dispi_get(s, DISPI_MEMORY_64K), 64);
    dispi_set(s, DISPI_XRES, 1024);
    dispi_set(s, DISPI_YRES, 768);
    dispi_set(s, DISPI_BPP, 32);
    dispi_set(s, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
    assert_int_equal(dispi_get(s, DISPI_VIRT_WIDTH), 1024);
    assert_int_equal(dispi_get(s, DISPI_VIRT_HEIGHT), 1024); /* 4 MiB of 4 KiB lines */
    dispi_set(s, DISPI_Y_OFFSET, 60000);
    assert_int_equal(dispi_get(s, DISPI_Y_OFFSET), 1024 - 768);
    dispi_set(s, DISPI_X_OFFSET, 5);
    assert_int_equal(dispi_get(s, DISPI_X_OFFSET), 0);
    dispi_set(s, DISPI_BANK, 64);
    assert_int_equal(dispi_get(s, DISPI_BANK), 0);
    dispi_set(s, DISPI_ENABLE, 0);
    dispi_set(s, DISPI_XRES, 2561);
    assert_int_equal(dispi_get(s, DISPI_XRES), 1024);
    dispi_set(s, DISPI_BPP, 7);
    assert_int_equal(dispi_get(s, DISPI_BPP), 32);
    dispi_set(s, DISPI_ENABLE, DISPI_GETCAPS);
    assert_int_equal(dispi_get(s, DISPI_XRES), DISPI_MAX_XRES);
    screen_free(s);
}

static void dispi_picture(void **state)
{
    static const struct {
        unsigned bpp, bytes;
        uint32_t pixel, shown;
    } cases[] = { { 15, 2, 0x7c1f, 0xff00ff },
                  { 16, 2, 0xf800, 0xff0000 },
                  { 24, 3, 0x123456, 0x123456 },
                  { 32, 4, 0x00abcdef, 0xabcdef } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Screen *s = screen_new(0);
        uint8_t *at = s->vga->vram + (200 * 640 + 100) * cases[i].bytes;

        dispi_set(s, DISPI_XRES, 640);
        dispi_set(s, DISPI_YRES, 480);
        dispi_set(s, DISPI_BPP, cases[i].bpp);
        dispi_set(s, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
        outb(s->f, 0x3c0, 0x20); /* the screen is on */
        for (unsigned b = 0; b < cases[i].bytes; b++)
            at[b] = cases[i].pixel >> 8 * b;
        display_refresh(s->display);
        assert_int_equal(s->display->width, 640);
        assert_int_equal(s->display->height, 480);
        assert_int_equal(s->display->pixels[200 * s->display->stride + 100], cases[i].shown);
        assert_int_equal(s->display->pixels[200 * s->display->stride + 101], 0);
        screen_free(s);
    }
}

/* --- noise ---------------------------------------------------------------------------------------
 */

static void noise(Screen *s)
{
    static const uint16_t bases[] = { 0x3c4, 0x3ce, 0x3d4, 0x3b4 };

    switch (rand() % 8) {
    case 0: outb(s->f, 0x3b0 + rand() % 0x30, rand()); break;
    case 1: inb(s->f, 0x3b0 + rand() % 0x30); break;
    case 2:
    case 3: indexed(s, bases[rand() % ARRAY_LEN(bases)], rand() % 32, rand()); break;
    case 4: dispi_set(s, rand() % 12, rand() % 2 ? rand() : rand() % 2000); break;
    case 5: dispi_set(s, DISPI_ENABLE, rand() % 2 ? DISPI_ENABLED : rand()); break;
    case 6: memmap_write(s->f->mem, WINDOW + rand() % 0x20000, rand(), 1 << rand() % 4); break;
    default: memmap_read(s->f->mem, WINDOW + rand() % 0x20000, 1 << rand() % 4); break;
    }
}

/* Small video memory, so that a picture that runs over its end is noticed by the sanitizers. */
static void hostile(void **state)
{
    Screen *s = screen_new(1 << 20);

    (void)state;
    srand(8);
    for (int i = 0; i < 60000; i++) {
        noise(s);
        if (i % 300 == 0)
            display_refresh(s->display);
        if (i % 5000 == 0)
            pc_reset(s->f->pc), config_write(s->f, PC_DEVFN_VGA, 4, 3);
    }
    screen_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planar_like_the_model),
        cmocka_unit_test(chained_and_odd_even),
        cmocka_unit_test(dispi_limits),
        cmocka_unit_test(dispi_picture),
        cmocka_unit_test(hostile),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
