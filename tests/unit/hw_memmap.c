/*
 * hw_memmap.c - flattening against a naive map of every byte; accesses, dirty pages, DMA.
 */
#include "tests/unit/hw_fixture.h"

#include <errno.h>
#include <stdlib.h>

enum { SPACE = 64, REGIONS = 9 };

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) /* region number and offset of each byte */
        value |= (uint64_t)((uint8_t)(uintptr_t)opaque << 4 | ((offset + i) & 15)) << 8 * i;
    return value;
}

static const MemOps io_ops = { .read = io_read, .max_size = 2 };

/* What region `r` shows at its offset `off`, or -1: the definition, without any cleverness. */
static int naive_byte(const MemRegion *r, uint64_t off)
{
    if (off >= r->size)
        return -1;
    if (r->kind == MEM_ALIAS)
        return naive_byte(r->target, off + r->target_offset);
    return (uint8_t)(uintptr_t)r->opaque << 4 | (off & 15);
}

static int naive_read(MemRegion *regions, const unsigned *added, uint64_t addr)
{
    int best = -1;

    for (int i = 0; i < REGIONS; i++) {
        const MemRegion *r = &regions[i];

        if (!r->map || !r->enabled || addr < r->base || addr - r->base >= r->size)
            continue;
        if (best < 0 || r->priority > regions[best].priority ||
            (r->priority == regions[best].priority && added[i] > added[best]))
            best = i;
    }
    int byte = best < 0 ? -1 : naive_byte(&regions[best], addr - regions[best].base);
    return byte < 0 ? 0xff : byte;
}

static void check_all(MemMap *map, MemRegion *regions, const unsigned *added, unsigned step)
{
    for (uint64_t addr = 0; addr + 8 <= SPACE; addr++) {
        uint64_t got = memmap_read(map, addr, 8), want = 0;

        for (int i = 0; i < 8; i++)
            want |= (uint64_t)naive_read(regions, added, addr + i) << 8 * i;
        if (got != want)
            print_error("step %u address %u\n", step, (unsigned)addr);
        assert_int_equal(got, want);
    }
}

static void random_maps_match_naive_ones(void **state)
{
    MemMap *map = memmap_new("test", SPACE);
    MemRegion regions[REGIONS];
    unsigned added[REGIONS] = { 0 }, count = 0;

    (void)state;
    srand(1);
    for (int i = 0; i < REGIONS; i++) {
        if (i < 5)
            region_init_io(&regions[i], "io", &io_ops, (void *)(uintptr_t)(i + 1), 1 + rand() % 30);
        else
            region_init_alias(&regions[i], "alias", &regions[rand() % i], rand() % 20,
                              1 + rand() % 30);
    }
    for (unsigned step = 0; step < 3000; step++) {
        int i = rand() % REGIONS;
        MemRegion *r = &regions[i];

        if (!r->map) {
            memmap_add(map, r, rand() % (SPACE + 8), rand() % 3);
            added[i] = ++count;
        } else if (rand() % 3 == 0) {
            memmap_remove(r);
        } else if (rand() % 2) {
            region_move(r, rand() % SPACE);
        } else {
            region_enable(r, !r->enabled);
        }
        check_all(map, regions, added, step);
        memmap_reclaim(map);
    }
    memmap_free(map);
}

static unsigned changes;

static void changed(void *opaque)
{
    (void)opaque;
    changes++;
}

static uint64_t noted_gpa, noted_ram, noted_len;

static void note(void *opaque, uint64_t gpa, uint64_t ram_addr, uint64_t len)
{
    (void)opaque;
    noted_gpa = gpa;
    noted_ram = ram_addr;
    noted_len = len;
}

static void pages_and_dirty_bits(void **state)
{
    MemMap *map = memmap_new("test", 1 << 20);
    MemListener listener = { .changed = changed };
    RamBlock block;
    MemRegion ram, rom, io;
    uint8_t pages[4];

    (void)state;
    assert_int_equal(ram_block_init(&block, "ram", 4 * MEM_PAGE, NULL), 0);
    region_init_ram(&ram, "ram", &block, 0, 4 * MEM_PAGE);
    region_init_rom(&rom, "rom", &block, MEM_PAGE, MEM_PAGE, NULL, NULL);
    region_init_io(&io, "io", &io_ops, NULL, 16);
    memmap_add_listener(map, &listener);
    memmap_set_code_notifier(map, note, NULL);
    memmap_begin(map);
    memmap_add(map, &ram, 0x10000, 0);
    memmap_add(map, &rom, 0x20000, 0);
    memmap_add(map, &io, 0x13100, 1);
    memmap_commit(map);
    assert_int_equal(changes, 1);

    MemPage page = memmap_page(map, 0x11234);
    assert_ptr_equal(page.host, block.host + MEM_PAGE);
    assert_true(page.writable && !page.log_dirty);
    page = memmap_page(map, 0x20000);
    assert_ptr_equal(page.host, block.host + MEM_PAGE);
    assert_false(page.writable);
    assert_null(memmap_page(map, 0x13000).host); /* a device lies in this page */
    assert_null(memmap_page(map, 0x50000).host);

    memmap_log(map, &block, true);
    assert_true(memmap_get_clear_dirty(map, &block, 0, 4 * MEM_PAGE, pages)); /* all at first */
    assert_true(memmap_page(map, 0x11000).log_dirty);
    assert_false(memmap_test_clear_dirty(map, &block, 0, 4 * MEM_PAGE));
    memmap_write(map, 0x11ffe, 0x44332211, 4);
    assert_int_equal(noted_len, 2); /* page by page */
    assert_int_equal(noted_gpa, 0x12000);
    assert_int_equal(noted_ram, block.ram_addr + 2 * MEM_PAGE);
    assert_false(memmap_page(map, 0x11000).log_dirty);
    assert_true(memmap_get_clear_dirty(map, &block, 0, 4 * MEM_PAGE, pages));
    assert_memory_equal(pages, "\0\1\1\0", 4);
    assert_true(memmap_page(map, 0x11000).log_dirty);
    assert_int_equal(memmap_read(map, 0x11ffe, 4), 0x44332211);
    memmap_write(map, 0x20000, 0, 4); /* the ROM does not change */
    assert_int_equal(memmap_read(map, 0x20ffe, 2), 0x2211);

    uint8_t buf[64];
    assert_int_equal(dma_read(map, 0x13ff0, buf, 16), 0);
    assert_int_equal(dma_read(map, 0x13ff0, buf, 17), -EFAULT);
    assert_int_equal(dma_write(map, 0x130f8, buf, 16), -EFAULT); /* runs into the device */
    assert_int_equal(dma_read(map, UINT64_MAX - 3, buf, 8), -EFAULT);
    size_t len = 64;
    assert_non_null(dma_map(map, 0x130f0, &len, true));
    assert_int_equal(len, 16);
    len = 64;
    assert_null(dma_map(map, 0x20000, &len, true));
    memmap_free(map);
    ram_block_destroy(&block);
}

static void timer_order(void **state)
{
    extern void timer_log(void *opaque);
    Fixture f = { 0 };
    Clock clock;
    Timer a, b;

    (void)state;
    clock_init(&clock, "test", fixture_time, &f.now);
    timer_init(&a, &clock, timer_log, "a");
    timer_init(&b, &clock, timer_log, "b");
    assert_int_equal(clock_deadline(&clock), CLOCK_NO_TIMER);
    timer_mod(&a, 20);
    timer_mod(&b, 10);
    assert_int_equal(clock_deadline(&clock), 10);
    timer_log(NULL);
    f.now = 9;
    clock_run(&clock);
    f.now = 30;
    clock_run(&clock);
    timer_log("");
    clock_pause(&clock);
    f.now = 100;
    assert_int_equal(clock_now(&clock), 30);
    clock_resume(&clock);
    assert_int_equal(clock_now(&clock), 30);
    f.now = 105;
    assert_int_equal(clock_now(&clock), 35);
    assert_int_equal(clock_ns_ticks(NS_PER_S, 1193182), 1193182);
    for (uint64_t n = 1; n < 100000; n += 37)
        assert_int_equal(clock_ns_ticks(clock_ticks_ns(n, 3579545), 3579545), n);
}

/* NULL forgets, "" checks that b came before a, anything else is noted. */
void timer_log(void *opaque)
{
    static char log[8];
    const char *what = opaque;

    if (!what)
        log[0] = 0;
    else if (!*what)
        assert_string_equal(log, "ba");
    else
        strcat(log, what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_maps_match_naive_ones),
        cmocka_unit_test(pages_and_dirty_bits),
        cmocka_unit_test(timer_order),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
