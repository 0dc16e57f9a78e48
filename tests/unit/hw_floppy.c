/*
 * hw_floppy.c - the floppy controller: commands by DMA and by programmed I/O, errors, change line,
 * every diskette size, a write-protected diskette, and hostile register noise.
 */
#include "tests/unit/hw_fixture.h"

#include <stdlib.h>

#include "block/aio.h"
#include "block/node.h"
#include "hw/floppy/fdc.h"

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, DIR = 0x3f7, BUFFER = 0x20000, SECTOR = 512 };

typedef struct Floppy {
    Fixture *f;
    AioContext *aio;
    Node *node;
    Fdc *fdc;
    uint8_t result[16];
    unsigned results;
} Floppy;

static Node *memory_node(uint64_t size)
{
    Options *o = options_new();
    Node *node;

    options_set(o, "driver", "raw");
    options_set(o, "file.driver", "memory");
    options_set_u64(o, "file.size", size);
    assert_int_equal(node_open(NULL, NULL, o, OPEN_RDWR, &node, NULL), 0);
    return node;
}

static Floppy *floppy_new(uint64_t size)
{
    static PcConfig config;
    Floppy *d = test_calloc(1, sizeof(*d));

    config = (PcConfig) { 0 };
    d->f = fixture_new(&config);
    d->aio = aio_new(1, NULL);
    d->node = memory_node(size);
    d->fdc = fdc_new(d->f->pc, d->aio, NULL);
    assert_int_equal(fdc_attach(d->fdc, 0, d->node, NULL), 0);
    program_pics(d->f);
    outb(d->f, DOR, 0);
    outb(d->f, DOR, 0x1c); /* motor, DMA and interrupts, no reset */
    return d;
}

static void floppy_free(Floppy *d)
{
    aio_free(d->aio);
    fixture_free(d->f);
    node_unref(d->node);
    test_free(d);
}

/* Give a command and take what it answers. */
static void command(Floppy *d, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(inb(d->f, MSR) & 0xc0, 0x80);
        outb(d->f, FIFO, bytes[i]);
    }
    aio_drain(d->aio);
    d->results = 0;
    while ((inb(d->f, MSR) & 0xf0) == 0xd0 && d->results < sizeof(d->result))
        d->result[d->results++] = inb(d->f, FIFO);
}

#define COMMAND(d, ...)                                                                            \
    command(d, (const uint8_t[]) { __VA_ARGS__ }, sizeof((const uint8_t[]) { __VA_ARGS__ }))

/* DMA channel 2 at BUFFER: mode 46h to memory, 4Ah from memory. */
static void program_dma(Floppy *d, uint8_t mode, unsigned len)
{
    outb(d->f, 0x0a, 6);
    outb(d->f, 0x0c, 0);
    outb(d->f, 0x0b, mode);
    outb(d->f, 0x04, 0);
    outb(d->f, 0x04, 0);
    outb(d->f, 0x81, BUFFER >> 16);
    outb(d->f, 0x05, len - 1);
    outb(d->f, 0x05, (len - 1) >> 8);
    outb(d->f, 0x0a, 2);
}

static void after_reset(void **state)
{
    Floppy *d = floppy_new(1440 * 1024);

    (void)state;
    assert_true(d->f->intr);
    for (int i = 0; i < 4; i++) {
        COMMAND(d, 0x08);
        assert_int_equal(d->results, 2);
        assert_int_equal(d->result[0], 0xc0 | i);
    }
    COMMAND(d, 0x08);
    assert_int_equal(d->result[0], 0x80); /* nothing more to say */
    COMMAND(d, 0x10);
    assert_int_equal(d->result[0], 0x90);
    COMMAND(d, 0x1e); /* no such command */
    assert_int_equal(d->result[0], 0x80);
    COMMAND(d, 0x07, 1); /* no drive 1 */
    COMMAND(d, 0x08);
    assert_int_equal(d->result[0], 0x71);
    floppy_free(d);
}

static void change_line(void **state)
{
    Floppy *d = floppy_new(1440 * 1024);

    (void)state;
    assert_int_equal(inb(d->f, DIR) & 0x80, 0x80);
    COMMAND(d, 0x0f, 0, 3);
    COMMAND(d, 0x08);
    assert_int_equal(d->result[0], 0x20);
    assert_int_equal(d->result[1], 3);
    assert_int_equal(inb(d->f, DIR) & 0x80, 0);
    assert_int_equal(fdc_change_medium(d->fdc, 0, NULL, NULL), 0);
    COMMAND(d, 0x0f, 0, 0);
    assert_int_equal(inb(d->f, DIR) & 0x80, 0x80); /* no diskette: stays */
    COMMAND(d, 0x08);
    COMMAND(d, 0x4a, 0);
    assert_int_equal(d->result[0] & 0xc0, 0x40);
    floppy_free(d);
}

/* Each size: the last sector is written by DMA and is where a C-H-S image has it. */
static void sizes(void **state)
{
    static const struct {
        unsigned kib, cylinders, heads, spt, rate;
    } cases[] = { { 160, 40, 1, 8, 2 },   { 180, 40, 1, 9, 2 },   { 320, 40, 2, 8, 1 },
                  { 360, 40, 2, 9, 2 },   { 720, 80, 2, 9, 2 },   { 1200, 80, 2, 15, 0 },
                  { 1440, 80, 2, 18, 0 }, { 1680, 80, 2, 21, 0 }, { 2880, 80, 2, 36, 3 } };
    uint8_t data[SECTOR], got[SECTOR];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Floppy *d = floppy_new(cases[i].kib * 1024);
        uint8_t c = cases[i].cylinders - 1, h = cases[i].heads - 1, r = cases[i].spt;

        memset(data, 0x40 + i, sizeof(data));
        dma_write(d->f->mem, BUFFER, data, SECTOR);
        outb(d->f, DIR, cases[i].rate);
        COMMAND(d, 0x0f, h << 2, c);
        program_dma(d, 0x4a, SECTOR);
        COMMAND(d, 0x45, h << 2, c, h, r, 2, r, 0x1b, 0xff);
        assert_int_equal(d->results, 7);
        assert_int_equal(d->result[0], h << 2);
        node_pread(d->node, got, SECTOR, cases[i].kib * 1024 - SECTOR);
        assert_memory_equal(got, data, SECTOR);
        COMMAND(d, 0x46, h << 2, c, h, r + 1, 2, r + 1, 0x1b, 0xff);
        assert_int_equal(d->result[1], 0x04); /* no such sector */
        outb(d->f, DIR, cases[i].rate == 0 ? 2 : 0);
        COMMAND(d, 0x4a, h << 2);
        assert_int_equal(d->result[1], 0x01); /* the wrong data rate finds no mark */
        floppy_free(d);
    }
}

static void reads_across_heads(void **state)
{
    Floppy *d = floppy_new(1440 * 1024);
    uint8_t sectors[4 * SECTOR], got[4 * SECTOR];

    (void)state;
    for (size_t i = 0; i < sizeof(sectors); i++)
        sectors[i] = i * 7 + i / SECTOR;
    node_pwrite(d->node, sectors, sizeof(sectors), 16 * SECTOR);
    outb(d->f, DIR, 0);
    program_dma(d, 0x46, 4 * SECTOR);
    COMMAND(d, 0xe6, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    assert_int_equal(d->result[0] & 0xc0, 0);
    assert_int_equal(d->result[4], 1); /* head */
    assert_int_equal(d->result[5], 3); /* the next sector */
    dma_read(d->f->mem, BUFFER, got, sizeof(got));
    assert_memory_equal(got, sectors, sizeof(got));

    program_dma(d, 0x46, 4 * SECTOR); /* one head only: end of the track comes first */
    COMMAND(d, 0x66, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    assert_int_equal(d->result[0] & 0xc0, 0x40);
    assert_int_equal(d->result[1], 0x80);
    COMMAND(d, 0x66, 0, 0, 0, 17, 2, 18, 0x1b, 0xff); /* the channel is not ready */
    COMMAND(d, 0x66, 0, 5, 0, 1, 2, 18, 0x1b, 0xff);
    assert_int_equal(d->result[2], 0x10); /* wrong cylinder */
    floppy_free(d);
}

static void formats_a_track(void **state)
{
    Floppy *d = floppy_new(1440 * 1024);
    uint8_t ids[18 * 4], got[18 * SECTOR], all[18 * SECTOR];

    (void)state;
    for (int i = 0; i < 18; i++)
        memcpy(ids + 4 * i, (uint8_t[]) { 2, 1, i + 1, 2 }, 4);
    dma_write(d->f->mem, BUFFER, ids, sizeof(ids));
    outb(d->f, DIR, 0);
    COMMAND(d, 0x0f, 4, 2);
    program_dma(d, 0x4a, sizeof(ids));
    COMMAND(d, 0x4d, 4, 2, 18, 0x54, 0xf6);
    assert_int_equal(d->result[0] & 0xc0, 0);
    node_pread(d->node, got, sizeof(got), (2 * 2 + 1) * 18 * SECTOR);
    memset(all, 0xf6, sizeof(all));
    assert_memory_equal(got, all, sizeof(all));
    floppy_free(d);
}

static void programmed_io(void **state)
{
    Floppy *d = floppy_new(1440 * 1024);
    uint8_t data[SECTOR];

    (void)state;
    for (int i = 0; i < SECTOR; i++)
        data[i] = i * 3;
    node_pwrite(d->node, data, SECTOR, 17 * SECTOR);
    outb(d->f, DIR, 0);
    COMMAND(d, 0x03, 0xdf, 0x03); /* no DMA */
    COMMAND(d, 0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff);
    assert_int_equal(inb(d->f, MSR), 0xf0);
    for (int i = 0; i < SECTOR; i++)
        assert_int_equal(inb(d->f, FIFO), data[i]);
    assert_int_equal(inb(d->f, MSR), 0xd0);
    assert_int_equal(inb(d->f, FIFO), 0x40); /* without terminal count the track's end ends it */
    floppy_free(d);
}

/* Random commands and register writes, diskettes changed at random. */
static void hostile(void **state)
{
    Floppy *d = floppy_new(720 * 1024);
    static const uint16_t ports[] = { 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f5, 0x3f5,
                                      0x3f7, 0x0a,  0x0b,  0x05,  0x04 };

    (void)state;
    srand(9);
    for (int i = 0; i < 300000; i++) {
        uint16_t port = ports[rand() % ARRAY_LEN(ports)];

        if (rand() % 3)
            outb(d->f, port, port == 0x3f2 && rand() % 8 ? 0x1c : rand());
        else
            inb(d->f, port);
        if (rand() % 4 == 0)
            aio_dispatch(d->aio);
        if (rand() % 20000 == 0)
            fdc_change_medium(d->fdc, 0, rand() % 4 ? d->node : NULL, NULL);
        if (rand() % 20000 == 0)
            pc_reset(d->f->pc);
    }
    floppy_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_reset),     cmocka_unit_test(change_line),
        cmocka_unit_test(sizes),           cmocka_unit_test(reads_across_heads),
        cmocka_unit_test(formats_a_track), cmocka_unit_test(programmed_io),
        cmocka_unit_test(hostile),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
