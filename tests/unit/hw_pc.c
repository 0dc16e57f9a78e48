/*
 * hw_pc.c - UART, keyboard controller, PCI, shadow RAM, DMA controller, saved state, and a hostile
 * guest.
 */
#include "tests/unit/hw_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "hw/board/pc-int.h"

/* --- UART --------------------------------------------------------------------------------- */

static uint8_t sent[64];
static size_t sent_count, room = sizeof(sent);

static size_t back_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    (void)chr;
    len = len < room ? len : room;
    memcpy(sent + sent_count, buf, len);
    sent_count += len;
    room -= len;
    return len;
}

static const ChardevBack back = { .write = back_write };

static void uart_fifo_and_interrupts(void **state)
{
    Chardev chr = { .back = &back };
    PcConfig config = { .serial = { &chr } };
    Fixture *f = fixture_new(&config);

    (void)state;
    program_pics(f);
    outb(f, 0x3fc, 0x0b); /* DTR, RTS, OUT2 */
    outb(f, 0x3fa, 0x41); /* FIFO, trigger at 4 */
    assert_int_equal(inb(f, 0x3fa), 0xc1);
    outb(f, 0x3f9, 0x03);
    assert_true(f->intr);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x0c);
    assert_int_equal(inb(f, 0x3fa), 0xc2); /* transmitter empty; reading ends it */
    assert_int_equal(inb(f, 0x3fa), 0xc1);
    outb(f, 0x20, 0x20);

    assert_int_equal(chardev_can_receive(&chr), 16);
    chardev_receive(&chr, (const uint8_t *)"abc", 3);
    assert_int_equal(inb(f, 0x3fa), 0xc1); /* below the trigger level */
    pass(f, 10 * 1000000);                 /* four characters at 9600 baud are 4.2 ms */
    assert_int_equal(inb(f, 0x3fa), 0xcc);
    chardev_receive(&chr, (const uint8_t *)"d", 1);
    assert_int_equal(inb(f, 0x3fa), 0xc4);
    for (const char *p = "abcd"; *p; p++)
        assert_int_equal(inb(f, 0x3f8), *p);
    assert_int_equal(inb(f, 0x3fd), 0x60);

    sent_count = 0;
    room = 2;
    for (const char *p = "hello"; *p; p++)
        outb(f, 0x3f8, *p);
    assert_int_equal(inb(f, 0x3fd), 0); /* the back end is full */
    room = 20;
    chardev_writable(&chr);
    assert_int_equal(inb(f, 0x3fd), 0x60);
    assert_memory_equal(sent, "hello", 5);

    outb(f, 0x3fc, 0x1a); /* loop back, RTS and OUT2 */
    assert_int_equal(inb(f, 0x3fe) & 0xf0, 0x90);
    outb(f, 0x3f8, 'x');
    assert_int_equal(inb(f, 0x3f8), 'x');
    outb(f, 0x3fb, 0x80);
    outb(f, 0x3f8, 0x34);
    outb(f, 0x3f9, 0x12);
    assert_int_equal(inb(f, 0x3f8), 0x34);
    fixture_free(f);
}

/* --- keyboard controller ------------------------------------------------------------------ */

static void expect_output(Fixture *f, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(inb(f, 0x64) & 1, 1);
        assert_int_equal(inb(f, 0x60), bytes[i]);
    }
    assert_int_equal(inb(f, 0x64) & 1, 0);
}

#define EXPECT(f, ...)                                                                             \
    do {                                                                                           \
        static const uint8_t expected_[] = { __VA_ARGS__ };                                        \
        expect_output(f, expected_, sizeof(expected_));                                            \
    } while (0)

static void controller_commands(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);

    (void)state;
    outb(f, 0x64, 0xaa);
    EXPECT(f, 0x55);
    outb(f, 0x64, 0xab);
    EXPECT(f, 0x00);
    outb(f, 0x64, 0x60);
    outb(f, 0x60, 0x47);
    outb(f, 0x64, 0x20);
    EXPECT(f, 0x47);
    assert_int_equal(inb(f, 0x64) & 4, 4);
    outb(f, 0x64, 0xd1);
    outb(f, 0x60, 0xdd); /* A20 off */
    assert_false(f->a20);
    assert_int_equal(inb(f, 0x92) & 2, 0);
    outb(f, 0x92, 2);
    assert_true(f->a20);
    outb(f, 0x64, 0xd0);
    assert_int_equal(inb(f, 0x60) & 2, 2);
    outb(f, 0x64, 0xfe);
    assert_int_equal(f->resets, 1);
    outb(f, 0x64, 0xd3);
    outb(f, 0x60, 0x5a);
    assert_int_equal(inb(f, 0x64) & 0x21, 0x21); /* as if from the mouse */
    EXPECT(f, 0x5a);
    fixture_free(f);
}

static void keyboard_and_mouse(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    Input *in = pc_input(f->pc);

    (void)state;
    program_pics(f);
    outb(f, 0x64, 0x60);
    outb(f, 0x60, 0x47); /* both interrupts, translation, mouse port on */
    outb(f, 0x60, 0xff);
    EXPECT(f, 0xfa, 0xaa);
    outb(f, 0x60, 0xf2);
    EXPECT(f, 0xfa, 0xab, 0x41); /* the ID's second byte is translated, too */
    outb(f, 0x60, 0xed);
    EXPECT(f, 0xfa);
    outb(f, 0x60, 0x02);
    EXPECT(f, 0xfa);
    assert_int_equal(in->leds, LED_NUM);
    while (f->intr) { /* each byte was an edge */
        pc_intr_ack(f->pc, 0);
        outb(f, 0x20, 0x20);
    }
    input_key(in, KEY_a, true);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x09);
    input_key(in, KEY_a, false);
    input_key(in, KEY_right, true);
    input_key(in, KEY_right, false);
    EXPECT(f, 0x1e, 0x9e, 0xe0, 0x4d, 0xe0, 0xcd);
    input_key(in, KEY_pause, true);
    EXPECT(f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);

    for (const char *p = "\xf3\xc8\xf3\x64\xf3\x50"; *p; p++) { /* wheel, please */
        outb(f, 0x64, 0xd4);
        outb(f, 0x60, *p);
        EXPECT(f, 0xfa);
    }
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, 0xf2);
    EXPECT(f, 0xfa, 0x03);
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, 0xf4);
    EXPECT(f, 0xfa);
    input_mouse(in, 10, 20, -1, MOUSE_LEFT);
    assert_int_equal(inb(f, 0x64) & 0x20, 0x20);
    EXPECT(f, 0x29, 10, (uint8_t)-20, 0xff);
    fixture_free(f);
}

static void every_key_has_a_name(void **state)
{
    InputKey key;
    bool shift;

    (void)state;
    for (int k = KEY_NONE + 1; k < KEY_COUNT; k++)
        assert_int_equal(input_key_by_name(input_key_name(k)), k);
    assert_true(input_key_for_char('?', &key, &shift));
    assert_true(key == KEY_slash && shift);
    assert_true(input_key_for_char('\n', &key, &shift));
    assert_true(key == KEY_ret && !shift);
    assert_false(input_key_for_char('\x7f', &key, &shift));
}

/* --- PCI and memory ----------------------------------------------------------------------- */

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)size;
    return 0xa0 | (offset & 15);
}

static void bars_are_sized_and_mapped(void **state)
{
    static const MemOps ops = { .read = bar_read, .max_size = 1 };
    static const PciIds ids = { .vendor = 0x1234, .device = 1, .class_code = 0x030000, .pin = 1 };
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    PciDevice dev;
    MemRegion memory, ports, wide;

    (void)state;
    region_init_io(&memory, "bar0", &ops, NULL, 0x10000);
    region_init_io(&ports, "bar1", &ops, NULL, 16);
    region_init_io(&wide, "bar2", &ops, NULL, 1 << 20);
    pci_device_init(&dev, "test", &ids);
    pci_register_bar(&dev, 0, PCI_BAR_MEM, &memory);
    pci_register_bar(&dev, 1, PCI_BAR_IO, &ports);
    pci_register_bar(&dev, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &wide);
    assert_int_equal(pci_bus_add(pc_pci_bus(f->pc), &dev, -1, NULL), 0);
    assert_int_equal(dev.devfn, 3 << 3);
    config_write(f, dev.devfn, 0x10, UINT32_MAX);
    assert_int_equal(config_read(f, dev.devfn, 0x10), 0xffff0000);
    config_write(f, dev.devfn, 0x14, UINT32_MAX);
    assert_int_equal(config_read(f, dev.devfn, 0x14), 0xfffffff1);
    config_write(f, dev.devfn, 0x18, UINT32_MAX);
    config_write(f, dev.devfn, 0x1c, UINT32_MAX);
    assert_int_equal(config_read(f, dev.devfn, 0x18), 0xfff0000c);
    assert_int_equal(config_read(f, dev.devfn, 0x1c), UINT32_MAX);
    config_write(f, dev.devfn, 0x10, 0xe0000000);
    config_write(f, dev.devfn, 0x14, 0xc000);
    config_write(f, dev.devfn, 0x18, 0);
    config_write(f, dev.devfn, 0x1c, 0x10);
    assert_int_equal(memmap_read(f->mem, 0xe0000003, 1), 0xff);
    config_write(f, dev.devfn, 4, 3);
    assert_int_equal(memmap_read(f->mem, 0xe0000003, 2), 0xa4a3);
    assert_int_equal(inb(f, 0xc005), 0xa5);
    assert_int_equal(memmap_read(f->mem, UINT64_C(0x1000000007), 1), 0xa7);
    config_write(f, dev.devfn, 0x10, 0x10000); /* over RAM: RAM wins */
    assert_int_equal(memmap_read(f->mem, 0x10003, 1), 0);
    assert_int_equal(pci_dma_read(&dev, 0, &(uint8_t) { 0 }, 1), -EPERM);

    outb(f, 0x4d1, 0x0c);
    program_pics(f);
    config_write(f, PC_DEVFN_ISA, 0x60, 0x8080800a); /* PIRQA is IRQ 10 */
    pci_set_irq(&dev, true);                         /* slot 3, INTA: PIRQC, which is off */
    assert_false(f->intr);
    config_write(f, PC_DEVFN_ISA, 0x60, 0x800b800a);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x73);
    assert_int_equal(config_read(f, dev.devfn, 4) >> 16 & 8, 8);
    pci_set_irq(&dev, false);
    fixture_free(f);
}

static void shadow_ram(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    uint32_t rom = memmap_read(f->mem, 0xfffffff0, 4);

    (void)state;
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), rom);
    memmap_write(f->mem, 0xffff0, 1, 4);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), rom);
    config_write(f, 0, 0x58, 0x2000); /* F0000h: read ROM, write RAM */
    memmap_write(f->mem, 0xffff0, 0x11223344, 4);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), rom);
    config_write(f, 0, 0x58, 0x1000); /* read RAM, write nothing */
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), 0x11223344);
    memmap_write(f->mem, 0xffff0, 0, 4);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), 0x11223344);
    config_write(f, 0, 0x58, 0x3000);
    memmap_write(f->mem, 0xffff0, 5, 4);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), 5);
    assert_true(memmap_page(f->mem, 0xff000).writable);
    assert_int_equal(memmap_read(f->mem, 0xc0000, 4), UINT32_MAX); /* nobody there */
    config_write(f, 0, 0x58, 0x00333000 | 0x30);
    memmap_write(f->mem, 0xc0000, 7, 4);
    pc_reset(f->pc);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), rom);
    assert_int_equal(memmap_read(f->mem, 0xa0000, 1), 0xff);
    config_write(f, 0, 0x70, 0x480000); /* SMRAM open */
    memmap_write(f->mem, 0xa0000, 0x77, 1);
    assert_int_equal(memmap_read(f->mem, 0xa0000, 1), 0x77);
    config_write(f, 0, 0x70, 0x580000); /* lock closes it for good */
    assert_int_equal(memmap_read(f->mem, 0xa0000, 1), 0xff);
    config_write(f, 0, 0x70, 0x480000);
    assert_int_equal(memmap_read(f->mem, 0xa0000, 1), 0xff);
    fixture_free(f);
}

static void large_ram_is_split(void **state)
{
    PcConfig config = { .ram_size = UINT64_C(64) << 30 };
    Fixture *f = fixture_new(&config);
    uint64_t last = (UINT64_C(64) << 30) + (UINT64_C(1) << 30) - 8;

    (void)state;
    memmap_write(f->mem, last, 0x1122334455667788, 8);
    assert_int_equal(memmap_read(f->mem, last, 8), 0x1122334455667788);
    assert_int_equal(memmap_read(f->mem, last + 8, 8), UINT64_MAX);
    assert_int_equal(memmap_read(f->mem, 0xc0000000, 4), UINT32_MAX);
    assert_true(memmap_page(f->mem, 0xbffff000).writable);
    fixture_free(f);
}

static void dma_controller(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    uint8_t buf[16] = "0123456789abcde";
    bool terminal;

    (void)state;
    outb(f, 0x0c, 0);
    outb(f, 0x04, 0xf8); /* channel 2: 12fff8h, 12 bytes, to memory */
    outb(f, 0x04, 0xff);
    outb(f, 0x05, 11);
    outb(f, 0x05, 0);
    outb(f, 0x81, 0x12);
    outb(f, 0x0b, 0x46);
    assert_int_equal(dma8237_to_memory(pc_isa_dma(f->pc), 2, buf, 16, &terminal), 0); /* masked */
    outb(f, 0x0a, 2);
    assert_int_equal(dma8237_from_memory(pc_isa_dma(f->pc), 2, buf, 16, &terminal),
                     0); /* other way */
    assert_int_equal(dma8237_to_memory(pc_isa_dma(f->pc), 2, buf, 16, &terminal), 12);
    assert_true(terminal);
    assert_int_equal(inb(f, 0x08), 4);
    assert_int_equal(inb(f, 0x08), 0);
    dma_read(f->mem, 0x12fff8, buf, 8);
    assert_memory_equal(buf, "01234567", 8);
    dma_read(f->mem, 0x120000, buf, 4); /* addresses wrap inside the page */
    assert_memory_equal(buf, "89ab", 4);
    fixture_free(f);
}

/* --- all of it ---------------------------------------------------------------------------- */

static void state_survives_saving(void **state)
{
    PcConfig config = { 0 }, config2 = { 0 };
    Fixture *f = fixture_new(&config), *g = fixture_new(&config2);
    Device *to = pc_devices(g->pc)->first;
    static uint8_t buf[65536], buf2[65536];

    (void)state;
    srand(3);
    for (int i = 0; i < 20000; i++)
        outb(f, rand() % 0x400, rand());
    for (Device *from = pc_devices(f->pc)->first; from; from = from->next, to = to->next) {
        size_t n = device_save(from, buf, sizeof(buf));

        assert_true(n <= sizeof(buf));
        assert_true(device_load(to, buf, n + 1, NULL) < 0);
        assert_int_equal(device_load(to, buf, n, NULL), 0);
        assert_int_equal(device_save(to, buf2, sizeof(buf2)), n);
        assert_memory_equal(buf, buf2, n);
    }
    fixture_free(f);
    fixture_free(g);
}

/* Garbage as saved state is refused or harmless. */
static void hostile_state(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    static uint8_t buf[65536];

    (void)state;
    srand(4);
    for (int round = 0; round < 50; round++) {
        for (Device *d = pc_devices(f->pc)->first; d; d = d->next) {
            size_t n = device_save(d, buf, sizeof(buf));

            for (size_t i = 0; i < n; i++)
                buf[i] = rand();
            if (device_load(d, buf, n, NULL) < 0)
                d->cls->reset(d->state);
        }
        for (int i = 0; i < 200; i++)
            inb(f, rand() % 0x1000);
        pc_reset(f->pc);
    }
    fixture_free(f);
}

static uint64_t random_value(void)
{
    uint64_t v = (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ rand();

    return rand() % 4 ? v : rand() % 2 ? v & 0xff : (uint64_t) - (rand() % 4);
}

/* Random accesses to every register of every device; nothing may crash or hang. */
static void hostile_guest(void **state)
{
    static const struct {
        uint64_t base, size;
    } windows[] = {
        { 0xfee00000, 0x1000 },
        { 0xfec00000, 0x1000 },
        { 0xfed00000, 0x400 },
        { 0xa0000, 0x60000 },
    };
    static const unsigned sizes[] = { 1, 2, 4, 8 };
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);

    (void)state;
    srand(5);
    for (int i = 0; i < 300000; i++) {
        bool port = rand() % 3;
        size_t w = rand() % ARRAY_LEN(windows);
        uint64_t at = port ? (uint64_t)(rand() % 8 ? rand() % 0x800 : rand() % 0x10000)
                           : windows[w].base + rand() % windows[w].size;
        MemMap *map = port ? f->io : f->mem;
        unsigned size = sizes[rand() % (port ? 3 : 4)];

        if (i % 50 == 0)
            config_write(f, rand() % 16, rand() % 256, random_value());
        if (rand() % 2)
            memmap_write(map, at, random_value(), size);
        else
            memmap_read(map, at, size);
        if (i % 16 == 0) {
            f->now += rand() % 100000;
            f->wall += rand() % 100000;
            clock_run(&f->clocks.virt);
        }
        if (f->intr && rand() % 2)
            pc_intr_ack(f->pc, 0);
        if (rand() % 64 == 0)
            input_key(pc_input(f->pc), 1 + rand() % (KEY_COUNT - 1), rand() % 2);
        if (rand() % 64 == 0)
            input_mouse(pc_input(f->pc), rand(), -rand(), rand() % 7 - 3, rand());
        if (i % 1000 == 0)
            memmap_reclaim(f->mem), memmap_reclaim(f->io);
    }
    pc_reset(f->pc);
    assert_int_equal(memmap_read(f->mem, 0xffff0, 4), memmap_read(f->mem, 0xfffffff0, 4));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uart_fifo_and_interrupts),
        cmocka_unit_test(controller_commands),
        cmocka_unit_test(keyboard_and_mouse),
        cmocka_unit_test(every_key_has_a_name),
        cmocka_unit_test(bars_are_sized_and_mapped),
        cmocka_unit_test(shadow_ram),
        cmocka_unit_test(large_ram_is_split),
        cmocka_unit_test(dma_controller),
        cmocka_unit_test(state_survives_saving),
        cmocka_unit_test(hostile_state),
        cmocka_unit_test(hostile_guest),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
