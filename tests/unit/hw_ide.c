/*
 * hw_ide.c - the IDE controller through its ports: disks by PIO and bus master, CD-ROM packets,
 * errors, hostile use.
 */
#include "tests/unit/hw_fixture.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "hw/ide/ide.h"

enum { DISK_SECTORS = 4096, CD_BLOCKS = 200, PRD_AT = 0x2000, DATA_AT = 0x10000, BM_BASE = 0xc000 };
enum { BSY = 0x80, DRQ = 8, ERR = 1 };

typedef struct {
    Fixture *f;
    AioContext *aio;
    IdeController *ide;
    Node *disk, *cd;
} Ide;

static Node *memory_node(uint64_t size)
{
    Options *o = options_new();
    Node *node;
    Error *err = NULL;

    options_set(o, "driver", "raw");
    options_set(o, "file.driver", "memory");
    options_set_u64(o, "file.size", size);
    assert_int_equal(node_open(NULL, NULL, o, OPEN_RDWR | OPEN_UNMAP, &node, &err), 0);
    return node;
}

static void fill(Node *node)
{
    for (uint64_t at = 0; at < node_size(node); at += 512) {
        uint8_t sector[512];

        for (unsigned i = 0; i < 512; i++)
            sector[i] = (uint8_t)(at / 512 * 7 + i);
        assert_int_equal(node_pwrite(node, sector, 512, at), 0);
    }
}

static Ide *ide_setup(void)
{
    PcConfig config = { .ram_size = 32 << 20 };
    Ide *t = test_calloc(1, sizeof(*t));
    Error *err = NULL;

    t->f = fixture_new(&config);
    t->aio = aio_new(2, NULL);
    t->disk = memory_node(DISK_SECTORS * 512);
    t->cd = memory_node(CD_BLOCKS * 2048);
    fill(t->disk);
    fill(t->cd);
    t->ide = piix_ide_new(t->f->pc, &err);
    assert_non_null(t->ide);
    assert_int_equal(
        ide_attach(t->ide, 0, 0, &(IdeDriveConfig) { .node = t->disk, .aio = t->aio }, &err), 0);
    assert_int_equal(ide_attach(t->ide, 1, 0,
                                &(IdeDriveConfig) { .cdrom = true, .node = t->cd, .aio = t->aio },
                                &err),
                     0);
    pc_reset(t->f->pc);
    outl(t->f, 0xcf8, 0x80000000 | PC_DEVFN_IDE << 8 | 0x20);
    outl(t->f, 0xcfc, BM_BASE);
    outl(t->f, 0xcf8, 0x80000000 | PC_DEVFN_IDE << 8 | 4);
    outl(t->f, 0xcfc, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    return t;
}

static void ide_teardown(Ide *t)
{
    aio_drain(t->aio);
    fixture_free(t->f);
    aio_free(t->aio);
    node_unref(t->disk);
    node_unref(t->cd);
    test_free(t);
}

static uint16_t inw(Fixture *f, uint16_t port)
{
    return (uint16_t)memmap_read(f->io, port, 2);
}

static uint8_t settle(Ide *t, uint16_t base)
{
    while (ide_busy(t->ide))
        aio_poll(t->aio);
    return inb(t->f, base + 7);
}

static void command(Ide *t, uint16_t base, uint64_t lba, unsigned count, uint8_t cmd)
{
    Fixture *f = t->f;
    bool ext = cmd == 0x24 || cmd == 0x25 || cmd == 0x34 || cmd == 0x35;

    if (ext) {
        outb(f, base + 2, (uint8_t)(count >> 8));
        outb(f, base + 3, (uint8_t)(lba >> 24));
        outb(f, base + 4, (uint8_t)(lba >> 32));
        outb(f, base + 5, (uint8_t)(lba >> 40));
    }
    outb(f, base + 2, (uint8_t)count);
    outb(f, base + 3, (uint8_t)lba);
    outb(f, base + 4, (uint8_t)(lba >> 8));
    outb(f, base + 5, (uint8_t)(lba >> 16));
    outb(f, base + 6, (uint8_t)(0xe0 | (ext ? 0 : lba >> 24 & 15)));
    outb(f, base + 7, cmd);
}

static void read_data(Ide *t, uint16_t base, void *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2)
        put_le16((uint8_t *)buf + i, inw(t->f, base));
}

static void check_sector(const uint8_t *got, uint64_t lba)
{
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(got[i], (uint8_t)(lba * 7 + i));
}

static void identifies_itself(void **state)
{
    Ide *t = ide_setup();
    uint8_t id[512];

    (void)state;
    command(t, 0x1f0, 0, 0, 0xec);
    assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), DRQ);
    read_data(t, 0x1f0, id, 512);
    assert_int_equal(get_le32(id + 120), DISK_SECTORS);
    assert_int_equal(get_le64(id + 200), DISK_SECTORS);
    assert_memory_equal(id + 54, "NOOISNIK N", 10); /* two characters a word, swapped */
    assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), 0);
    command(t, 0x170, 0, 0, 0xec); /* an ATAPI drive says what it is by its signature */
    assert_int_equal(settle(t, 0x170) & ERR, ERR);
    assert_int_equal(inb(t->f, 0x174), 0x14);
    assert_int_equal(inb(t->f, 0x175), 0xeb);
    ide_teardown(t);
}

static void reads_by_pio(void **state)
{
    static const struct {
        uint8_t cmd;
        unsigned count, block;
    } cases[] = { { 0x20, 3, 1 }, { 0x24, 300, 1 }, { 0xc4, 40, 16 }, { 0x20, 256, 1 } };
    Ide *t = ide_setup();
    uint8_t buf[16 * 512];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        unsigned left = cases[c].count;

        command(t, 0x1f0, 100, left & (cases[c].cmd == 0x20 ? 0xff : 0xffff), cases[c].cmd);
        for (uint64_t lba = 100; left;) {
            unsigned n = left < cases[c].block ? left : cases[c].block;

            assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), DRQ);
            read_data(t, 0x1f0, buf, n * 512);
            for (unsigned i = 0; i < n; i++)
                check_sector(buf + 512 * i, lba++);
            left -= n;
        }
        assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), 0);
    }
    ide_teardown(t);
}

static void writes_by_pio(void **state)
{
    Ide *t = ide_setup();
    uint8_t got[2 * 512];

    (void)state;
    command(t, 0x1f0, 7, 2, 0x30);
    for (unsigned s = 0; s < 2; s++) {
        assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), DRQ);
        for (unsigned i = 0; i < 256; i++)
            outw(t->f, 0x1f0, (uint16_t)(0xa000 + s * 256 + i));
    }
    assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), 0);
    assert_int_equal(node_pread(t->disk, got, sizeof(got), 7 * 512), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(get_le16(got + 2 * i), 0xa000 + i);
    ide_teardown(t);
}

/* A table of three unequal pieces for `len` bytes at DATA_AT. */
static void build_prd(Ide *t, uint32_t len)
{
    uint32_t cuts[4] = { 0, 2, len / 2 & ~1u, len };
    uint8_t prd[8];

    for (unsigned i = 0; i < 3; i++) {
        put_le32(prd, DATA_AT + cuts[i]);
        put_le32(prd + 4, ((cuts[i + 1] - cuts[i]) & 0xffff) | (i == 2 ? 0x80000000u : 0));
        dma_write(t->f->mem, PRD_AT + 8 * i, prd, 8);
    }
}

static uint8_t run_dma(Ide *t, unsigned channel, bool to_memory)
{
    uint16_t bm = BM_BASE + 8 * channel;

    outl(t->f, bm + 4, PRD_AT);
    outb(t->f, bm + 2, 6);
    outb(t->f, bm, to_memory ? 9 : 1);
    settle(t, channel ? 0x170 : 0x1f0);
    uint8_t status = inb(t->f, bm + 2);
    outb(t->f, bm, 0);
    return status & 7;
}

static void moves_by_bus_master(void **state)
{
    Ide *t = ide_setup();
    uint8_t buf[64 * 512], got[64 * 512];

    (void)state;
    build_prd(t, sizeof(buf));
    command(t, 0x1f0, 1000, 64, 0xc8);
    assert_int_equal(run_dma(t, 0, true), 4); /* interrupt, not active, no error */
    dma_read(t->f->mem, DATA_AT, buf, sizeof(buf));
    for (unsigned i = 0; i < 64; i++)
        check_sector(buf + 512 * i, 1000 + i);
    command(t, 0x1f0, 2000, 64, 0x35);
    assert_int_equal(run_dma(t, 0, false), 4);
    assert_int_equal(node_pread(t->disk, got, sizeof(got), 2000 * 512), 0);
    assert_memory_equal(got, buf, sizeof(buf));
    ide_teardown(t);
}

static void dma_errors_end_the_command(void **state)
{
    Ide *t = ide_setup();

    (void)state;
    build_prd(t, 512); /* too short a table for two sectors */
    command(t, 0x1f0, 0, 2, 0xc8);
    assert_int_equal(run_dma(t, 0, true) & 3, 2);
    assert_int_equal(inb(t->f, 0x1f7) & ERR, ERR);
    outl(t->f, BM_BASE + 4, 0xfffffff0); /* no memory there */
    command(t, 0x1f0, 0, 1, 0xc8);
    outb(t->f, BM_BASE, 9);
    assert_int_equal(settle(t, 0x1f0) & ERR, ERR);
    outb(t->f, BM_BASE, 0);
    command(t, 0x1f0, DISK_SECTORS - 1, 2, 0x20); /* beyond the end */
    assert_int_equal(settle(t, 0x1f0) & ERR, ERR);
    assert_int_equal(inb(t->f, 0x1f1) & 0x10, 0x10);
    ide_teardown(t);
}

static void packet(Ide *t, const uint8_t cdb[12], bool dma)
{
    outb(t->f, 0x171, dma);
    outb(t->f, 0x174, 0xfe);
    outb(t->f, 0x175, 0xff);
    outb(t->f, 0x176, 0);
    outb(t->f, 0x177, 0xa0);
    for (unsigned i = 0; i < 12; i += 2)
        outw(t->f, 0x170, get_le16(cdb + i));
}

static void reads_a_cd(void **state)
{
    static const uint8_t read4[12] = { 0x28, 0, 0, 0, 0, 5, 0, 0, 4 };
    static const uint8_t capacity[12] = { 0x25 };
    Ide *t = ide_setup();
    uint8_t buf[4 * 2048];

    (void)state;
    packet(t, capacity, false);
    assert_int_equal(settle(t, 0x170) & (BSY | DRQ | ERR), DRQ);
    read_data(t, 0x170, buf, 8);
    assert_int_equal(get_be32(buf), CD_BLOCKS - 1);
    packet(t, read4, false);
    assert_int_equal(settle(t, 0x170) & (BSY | DRQ | ERR), DRQ);
    assert_int_equal(inb(t->f, 0x174) | inb(t->f, 0x175) << 8, 4 * 2048);
    read_data(t, 0x170, buf, sizeof(buf));
    for (unsigned i = 0; i < 16; i++)
        check_sector(buf + 512 * i, 20 + i);
    build_prd(t, sizeof(buf));
    packet(t, read4, true);
    assert_int_equal(run_dma(t, 1, true), 4);
    dma_read(t->f->mem, DATA_AT, buf, sizeof(buf));
    check_sector(buf, 20);
    ide_teardown(t);
}

static void a_tray_can_be_changed(void **state)
{
    static const uint8_t ready[12] = { 0 }, sense[12] = { 3, 0, 0, 0, 18 },
                         lock[12] = { 0x1e, 0, 0, 0, 1 };
    Ide *t = ide_setup();
    uint8_t buf[18];

    (void)state;
    assert_int_equal(ide_change_medium(t->ide, 1, 0, NULL, false, NULL), 0);
    packet(t, ready, false);
    assert_int_equal(settle(t, 0x170) & ERR, ERR);
    packet(t, sense, false);
    read_data(t, 0x170, buf, 18);
    assert_int_equal(buf[2], 2); /* not ready */
    assert_int_equal(buf[12], 0x3a);
    assert_int_equal(ide_change_medium(t->ide, 1, 0, t->cd, false, NULL), 0);
    packet(t, ready, false);
    assert_int_equal(settle(t, 0x170) & ERR, ERR); /* unit attention, once */
    packet(t, ready, false);
    assert_int_equal(settle(t, 0x170) & ERR, 0);
    packet(t, lock, false);
    assert_int_equal(ide_change_medium(t->ide, 1, 0, NULL, false, NULL), -EBUSY);
    assert_int_equal(ide_change_medium(t->ide, 1, 0, NULL, true, NULL), 0);
    ide_teardown(t);
}

/* By force, in the middle of a command: the rest of it fails. */
static void a_disc_is_torn_out(void **state)
{
    static const uint8_t read40[12] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 40 },
                         read4[12] = { 0x28, 0, 0, 0, 0, 5, 0, 0, 4 }, ready[12] = { 0 };
    Ide *t = ide_setup();
    unsigned words = 0;

    (void)state;
    packet(t, read40, false);
    assert_int_equal(settle(t, 0x170) & DRQ, DRQ);
    assert_int_equal(ide_change_medium(t->ide, 1, 0, NULL, true, NULL), 0);
    for (; settle(t, 0x170) & DRQ; words++)
        inw(t->f, 0x170);
    assert_in_range(words, 1, 40 * 1024 - 1);
    assert_int_equal(inb(t->f, 0x177) & ERR, ERR);

    assert_int_equal(ide_change_medium(t->ide, 1, 0, t->cd, true, NULL), 0);
    packet(t, ready, false); /* unit attention */
    build_prd(t, 4 * 2048);
    packet(t, read4, true);
    assert_int_equal(ide_change_medium(t->ide, 1, 0, NULL, true, NULL), 0);
    assert_int_equal(run_dma(t, 1, true) & 3, 2); /* stopped, with an error */
    assert_int_equal(inb(t->f, 0x177) & ERR, ERR);
    ide_teardown(t);
}

static void trims(void **state)
{
    Ide *t = ide_setup();
    uint8_t ranges[512] = { 0 }, buf[512];
    Extent ext;

    (void)state;
    put_le64(ranges, 8 | UINT64_C(16) << 48);
    dma_write(t->f->mem, DATA_AT, ranges, 512);
    build_prd(t, 512);
    outb(t->f, 0x1f1, 1);
    outb(t->f, 0x1f2, 0);
    outb(t->f, 0x1f2, 1);
    outb(t->f, 0x1f6, 0xe0);
    outb(t->f, 0x1f7, 0x06);
    assert_int_equal(run_dma(t, 0, false), 4);
    assert_int_equal(node_extent(t->disk, 8 * 512, 512, &ext), 0);
    assert_int_equal(node_pread(t->disk, buf, 512, 40 * 512), 0);
    check_sector(buf, 40); /* the neighbours are as they were */
    ide_teardown(t);
}

/* Random accesses to every port, with guest memory full of noise: nothing crashes, and it still
 * works afterwards. */
static void survives_noise(void **state)
{
    Ide *t = ide_setup();
    const char *given = getenv("SEED");
    Random rng = { given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) };
    uint8_t noise[4096], buf[512];

    (void)state;
    print_message("# SEED=%llu\n", (unsigned long long)rng.state);
    for (int round = 0; round < 60000; round++) {
        uint16_t base = random_below(&rng, 2) ? 0x1f0 : 0x170;
        uint64_t what = random_below(&rng, 100);

        if (what < 70)
            outb(t->f, base + (uint16_t)random_below(&rng, 8), (uint8_t)random_u64(&rng));
        else if (what < 80)
            outl(t->f, base, (uint32_t)random_u64(&rng));
        else if (what < 90)
            outb(t->f, BM_BASE + (uint16_t)random_below(&rng, 16), (uint8_t)random_u64(&rng));
        else if (what < 95)
            inw(t->f, base);
        else if (what < 98)
            outb(t->f, base + 0x206, (uint8_t)random_u64(&rng));
        else
            aio_dispatch(t->aio);
        if (round % 1000 == 0) {
            for (unsigned i = 0; i < sizeof(noise); i++)
                noise[i] = (uint8_t)random_u64(&rng);
            dma_write(t->f->mem, PRD_AT, noise, sizeof(noise));
            outl(t->f, BM_BASE + 4, PRD_AT);
        }
    }
    settle(t, 0x1f0);
    pc_reset(t->f->pc);
    settle(t, 0x1f0);
    node_pwrite(t->disk, memset(buf, 7, 512), 512, 0);
    command(t, 0x1f0, 0, 1, 0x20);
    assert_int_equal(settle(t, 0x1f0) & (BSY | DRQ | ERR), DRQ);
    read_data(t, 0x1f0, buf, 512);
    assert_int_equal(buf[511], 7);
    ide_teardown(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifies_itself),
        cmocka_unit_test(reads_by_pio),
        cmocka_unit_test(writes_by_pio),
        cmocka_unit_test(moves_by_bus_master),
        cmocka_unit_test(dma_errors_end_the_command),
        cmocka_unit_test(reads_a_cd),
        cmocka_unit_test(a_tray_can_be_changed),
        cmocka_unit_test(a_disc_is_torn_out),
        cmocka_unit_test(trims),
        cmocka_unit_test(survives_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
