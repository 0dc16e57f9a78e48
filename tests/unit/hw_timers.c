/*
 * hw_timers.c - 8254, MC146818, HPET and the ACPI timer against a fake clock.
 */
#include "tests/unit/hw_fixture.h"

#include "hw/board/pc-int.h"
#include "hw/timer/i8254.h"

enum { HPET = 0xfed00000, PM = 0x600 };

static Fixture *setup(void)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);

    program_pics(f);
    return f;
}

static void pass_ticks(Fixture *f, unsigned n)
{
    pass(f, clock_ticks_ns(n, PIT_HZ));
}

/* How many interrupts with `vector` come in `ns`. */
static unsigned count_interrupts(Fixture *f, int64_t ns, uint8_t vector, int64_t step)
{
    unsigned n = 0;

    for (; ns > 0; ns -= step) {
        pass(f, step);
        while (f->intr) {
            assert_int_equal(pc_intr_ack(f->pc, 0), vector);
            outb(f, 0xa0, 0x20);
            outb(f, 0x20, 0x20);
            n++;
        }
    }
    return n;
}

static void pit_program(Fixture *f, unsigned channel, uint8_t mode, uint16_t count)
{
    outb(f, 0x43, channel << 6 | 0x30 | mode << 1);
    outb(f, 0x40 + channel, count & 0xff);
    outb(f, 0x40 + channel, count >> 8);
}

static unsigned pit_latched(Fixture *f, unsigned channel)
{
    outb(f, 0x43, channel << 6);
    unsigned low = inb(f, 0x40 + channel);

    return low | inb(f, 0x40 + channel) << 8;
}

static void pit_modes(void **state)
{
    Fixture *f = setup();

    (void)state;
    pit_program(f, 0, 2, 1193);
    assert_int_equal(count_interrupts(f, 100 * 1000000, 0x08, 100000), 100);
    pit_program(f, 0, 3, 11932);
    count_interrupts(f, 1, 0x08, 1);
    assert_in_range(count_interrupts(f, 100 * 1000000, 0x08, 100000), 9, 11);
    pit_program(f, 0, 0, 1000);
    pass_ticks(f, 999);
    assert_false(f->intr);
    assert_int_equal(pit_latched(f, 0), 1);
    pass_ticks(f, 2);
    assert_true(f->intr);
    count_interrupts(f, NS_PER_S, 0x08, 1000000); /* one only */
    pit_program(f, 0, 4, 1000);
    assert_int_equal(count_interrupts(f, 10000000, 0x08, 10000), 1);
    outb(f, 0x43, 0xe2); /* read back: status of channel 0 */
    assert_int_equal(inb(f, 0x40) & 0x3f, 0x38);
    fixture_free(f);
}

/* A host that was busy for five periods: the guest gets all ticks, one by one, soon after. */
static void pit_catches_up(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    unsigned seen = 0;

    (void)state;
    program_pics(f);
    pit_program(f, 0, 2, 11932); /* 10 ms */
    if (f->intr) {               /* the output went up at once */
        pc_intr_ack(f->pc, 0);
        outb(f, 0x20, 0x20);
    }
    f->now += 55 * 1000000;
    clock_run(&f->clocks.virt);
    for (int i = 0; i < 24; i++) {
        if (f->intr) {
            assert_int_equal(pc_intr_ack(f->pc, 0), 0x08);
            outb(f, 0x20, 0x20);
            seen++;
        }
        pass(f, 1000000);
    }
    assert_int_equal(seen, 7); /* 79 ms went by */
    fixture_free(f);
}

static void pit_speaker_channel(void **state)
{
    Fixture *f = setup();

    (void)state;
    outb(f, 0x61, 0);
    pit_program(f, 2, 0, 5000);
    pass_ticks(f, 10000);
    assert_int_equal(inb(f, 0x61) & 0x20, 0); /* the gate is closed */
    outb(f, 0x61, 1);
    pass_ticks(f, 2000);
    outb(f, 0x61, 0);
    pass_ticks(f, 50000);
    assert_in_range(pit_latched(f, 2), 2990, 3000);
    outb(f, 0x61, 1);
    pass_ticks(f, 2990);
    assert_int_equal(inb(f, 0x61) & 0x20, 0);
    pass_ticks(f, 20);
    assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
    outb(f, 0x43, 0xb7); /* mode 3, BCD */
    outb(f, 0x42, 0x00);
    outb(f, 0x42, 0x10);
    pass_ticks(f, 1); /* counts down by two from 1000 */
    outb(f, 0x43, 0x80);
    unsigned low = inb(f, 0x42);
    assert_int_equal(inb(f, 0x42) << 8 | low, 0x0998);
    fixture_free(f);
}

static uint8_t rtc_get(Fixture *f, uint8_t index)
{
    outb(f, 0x70, index);
    return inb(f, 0x71);
}

static void rtc_put(Fixture *f, uint8_t index, uint8_t value)
{
    outb(f, 0x70, index);
    outb(f, 0x71, value);
}

static void rtc_set_time(Fixture *f, const uint8_t time[8])
{
    static const uint8_t index[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };

    rtc_put(f, 11, 0x82);
    for (int i = 0; i < 8; i++)
        rtc_put(f, index[i], time[i]);
    rtc_put(f, 11, 0x02);
}

static void rtc_rolls_over(void **state)
{
    static const uint8_t eve[] = { 0x59, 0x59, 0x23, 0x06, 0x31, 0x12, 0x99, 0x19 };
    Fixture *f = setup();

    (void)state;
    assert_int_equal(rtc_get(f, 9), 0x23); /* 1700000000 is 2023-11-14 22:13:20 */
    assert_int_equal(rtc_get(f, 8), 0x11);
    assert_int_equal(rtc_get(f, 4), 0x22);
    assert_int_equal(rtc_get(f, 13), 0x80);
    rtc_set_time(f, eve);
    assert_int_equal(rtc_get(f, 0), 0x59);
    assert_int_equal(rtc_get(f, 10) & 0x80, 0);
    pass(f, NS_PER_S - 100000);
    assert_int_equal(rtc_get(f, 10) & 0x80, 0x80); /* update in progress */
    pass(f, 100000);
    assert_int_equal(rtc_get(f, 0), 0);
    assert_int_equal(rtc_get(f, 4), 0);
    assert_int_equal(rtc_get(f, 7), 1);
    assert_int_equal(rtc_get(f, 8), 1);
    assert_int_equal(rtc_get(f, 9), 0);
    assert_int_equal(rtc_get(f, 0x32), 0x20);
    rtc_put(f, 11, 0x04); /* binary, 12 hours */
    assert_int_equal(rtc_get(f, 4), 12);
    fixture_free(f);
}

static void rtc_interrupts(void **state)
{
    static const uint8_t noon[] = { 0x00, 0x00, 0x12, 0x06, 0x01, 0x01, 0x24, 0x20 };
    Fixture *f = setup();

    (void)state;
    rtc_set_time(f, noon);
    rtc_put(f, 1, 0x05); /* alarm at 12:00:05 */
    rtc_put(f, 3, 0x00);
    rtc_put(f, 5, 0xff); /* any hour */
    rtc_get(f, 12);
    rtc_put(f, 11, 0x22);
    pass(f, 4 * NS_PER_S + NS_PER_S / 2);
    assert_false(f->intr);
    pass(f, NS_PER_S);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x70);
    assert_int_equal(rtc_get(f, 12) & 0xb0, 0xb0); /* the periodic flag may be there, too */
    assert_int_equal(rtc_get(f, 12), 0);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    pass(f, 3600 * NS_PER_S);
    assert_true(f->intr); /* an hour later again */
    pc_intr_ack(f->pc, 0);
    rtc_get(f, 12);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);

    rtc_put(f, 10, 0x26); /* 1024 Hz */
    rtc_put(f, 11, 0x42);
    unsigned n = 0;
    for (int i = 0; i < 10000; i++) {
        pass(f, 100000);
        if (f->intr) {
            assert_int_equal(pc_intr_ack(f->pc, 0), 0x70);
            assert_int_equal(rtc_get(f, 12) & 0xc0, 0xc0);
            outb(f, 0xa0, 0x20);
            outb(f, 0x20, 0x20);
            n++;
        }
    }
    assert_in_range(n, 1023, 1025);
    fixture_free(f);
}

static uint64_t hpet_get(Fixture *f, unsigned reg)
{
    return memmap_read(f->mem, HPET + reg, 8);
}

static void hpet_put(Fixture *f, unsigned reg, uint64_t value)
{
    memmap_write(f->mem, HPET + reg, value, 8);
}

static void hpet_counts_and_replaces(void **state)
{
    Fixture *f = setup();

    (void)state;
    assert_int_equal(hpet_get(f, 0) >> 32, 10000000);
    pit_program(f, 0, 2, 1193);
    hpet_put(f, 0x10, 3); /* run, legacy replacement */
    pass(f, 1000);
    assert_int_equal(hpet_get(f, 0xf0), 100);
    assert_int_equal(count_interrupts(f, 10000000, 0x08, 100000), 0); /* the PIT is cut off */
    hpet_put(f, 0x100, 0x4c);                                         /* periodic, set value */
    hpet_put(f, 0x108, hpet_get(f, 0xf0) + 100000);
    hpet_put(f, 0x108, 100000); /* each millisecond */
    assert_int_equal(count_interrupts(f, 100 * 1000000, 0x08, 100000), 100);
    hpet_put(f, 0x100, 0x104); /* one shot, 32 bits */
    hpet_put(f, 0x108, hpet_get(f, 0xf0) + 500);
    assert_int_equal(count_interrupts(f, 100000, 0x08, 1000), 1);
    hpet_put(f, 0x10, 0);
    uint64_t stopped = hpet_get(f, 0xf0);
    pass(f, 1000000);
    assert_int_equal(hpet_get(f, 0xf0), stopped);
    hpet_put(f, 0xf0, 42);
    assert_int_equal(hpet_get(f, 0xf0), 42);
    assert_true(count_interrupts(f, 10000000, 0x08, 100000) >= 9); /* the PIT is back */
    fixture_free(f);
}

static void hpet_level_interrupt(void **state)
{
    Fixture *f = setup();

    (void)state;
    memmap_write(f->mem, 0xfee000f0, 0x1ff, 4);
    memmap_write(f->mem, 0xfec00000, 0x10 + 2 * 16, 4);
    memmap_write(f->mem, 0xfec00010, 0x8051, 4);
    outb(f, 0x21, 0xff);
    hpet_put(f, 0x10, 1);
    hpet_put(f, 0x140, 16 << 9 | 6); /* timer 2, input 16, level */
    hpet_put(f, 0x148, hpet_get(f, 0xf0) + 10);
    pass(f, 200);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x51);
    assert_int_equal(hpet_get(f, 0x20), 4);
    hpet_put(f, 0x20, 4);
    memmap_write(f->mem, 0xfee000b0, 0, 4);
    assert_false(f->intr);
    fixture_free(f);
}

static void acpi_timer_and_power(void **state)
{
    enum { DEVFN = PC_DEVFN_PM };
    Fixture *f = setup();

    (void)state;
    config_write(f, DEVFN, 0x40, PM | 1);
    config_write(f, DEVFN, 0x80, 1);
    uint32_t before = inl(f, PM + 8);
    pass(f, NS_PER_S / 10);
    assert_in_range((inl(f, PM + 8) - before) & 0xffffff, 357954, 357956);
    outb(f, 0xb2, 0xf1);
    assert_int_equal(memmap_read(f->io, PM + 4, 2), 1); /* SCI_EN */
    outw(f, PM, 0xffff);
    outw(f, PM + 2, 0x101);
    pc_power_button(f->pc);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x71); /* IRQ 9 */
    assert_int_equal(memmap_read(f->io, PM, 2) & 0x100, 0x100);
    outw(f, PM, 0x100);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    pass(f, 3 * NS_PER_S); /* the timer's top bit toggles every 2.3 s */
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x71);
    assert_int_equal(memmap_read(f->io, PM, 2) & 1, 1);
    outw(f, PM + 4, 1 << 10 | 0x2000);
    assert_int_equal(f->shutdowns, 0); /* not S5 */
    outw(f, PM + 4, 0x2000);
    assert_int_equal(f->shutdowns, 1);
    outb(f, 0xcf9, 2);
    outb(f, 0xcf9, 6);
    assert_int_equal(f->resets, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pit_modes),
        cmocka_unit_test(pit_catches_up),
        cmocka_unit_test(pit_speaker_channel),
        cmocka_unit_test(rtc_rolls_over),
        cmocka_unit_test(rtc_interrupts),
        cmocka_unit_test(hpet_counts_and_replaces),
        cmocka_unit_test(hpet_level_interrupt),
        cmocka_unit_test(acpi_timer_and_power),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
