/*
 * hw_intc.c - 8259 pair, local APIC, I/O APIC.
 */
#include "tests/unit/hw_fixture.h"

#include "hw/board/pc-int.h"
#include "hw/intc/i8259.h"

enum { LAPIC = 0xfee00000, IOAPIC = 0xfec00000 };

static Fixture *setup(void)
{
    PcConfig config = { .no_hpet = true };
    Fixture *f = fixture_new(&config);

    program_pics(f);
    return f;
}

static void raise_line(Fixture *f, IrqLine *line, unsigned irq)
{
    *line = (IrqLine) { .to = pc_isa_irq(f->pc, irq) };
    irq_set(line, true);
}

static void pic_priorities(void **state)
{
    Fixture *f = setup();
    IrqLine l5, l3, l10;

    (void)state;
    assert_false(f->intr);
    raise_line(f, &l5, 5);
    assert_true(f->intr);
    raise_line(f, &l3, 3);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x08 + 3); /* lower number first */
    assert_false(f->intr);                             /* 5 waits for the EOI of 3 */
    raise_line(f, &l10, 10);
    assert_true(f->intr); /* the slave hangs at 2: more important than 3 */
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x70 + 2);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20); /* ends 2 */
    assert_false(f->intr);
    outb(f, 0x20, 0x0b); /* read ISR */
    assert_int_equal(inb(f, 0x20), 1 << 3);
    outb(f, 0x20, 0x20);
    assert_true(f->intr);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x08 + 5);
    outb(f, 0x20, 0x65); /* specific EOI */
    assert_int_equal(inb(f, 0x20), 0);
    fixture_free(f);
}

static void pic_masks_levels_and_spurious(void **state)
{
    Fixture *f = setup();
    IrqLine l5, l11;

    (void)state;
    outb(f, 0x21, 0x20);
    raise_line(f, &l5, 5);
    assert_false(f->intr);
    outb(f, 0x21, 0);
    assert_true(f->intr);
    irq_set(&l5, false); /* gone before INTA: nothing is pending any more */
    assert_false(f->intr);
    assert_int_equal(pic_ack(f->pc->pic), 0x08 + 7);
    outb(f, 0x20, 0x0b);
    assert_int_equal(inb(f, 0x20), 0); /* a spurious interrupt is not in service */

    outb(f, 0x4d1, 0x08); /* 11 is level-triggered */
    assert_int_equal(inb(f, 0x4d1), 0x08);
    raise_line(f, &l11, 11);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x73);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_true(f->intr); /* still high: again */
    irq_set(&l11, false);
    assert_false(f->intr);
    outb(f, 0x4d0, 0xff);
    assert_int_equal(inb(f, 0x4d0), 0xf8); /* timer, keyboard, cascade stay edge-triggered */
    fixture_free(f);
}

static void pic_rotation_and_poll(void **state)
{
    Fixture *f = setup();
    IrqLine l4, l5, l6;

    (void)state;
    outb(f, 0x20, 0xc4); /* 4 is lowest: 5 is highest */
    raise_line(f, &l4, 4);
    raise_line(f, &l6, 6);
    raise_line(f, &l5, 5);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x08 + 5);
    outb(f, 0x20, 0xa0); /* rotate on non-specific EOI: 5 is lowest now */
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x08 + 6);
    outb(f, 0x20, 0x20);
    outb(f, 0x20, 0x0c); /* poll */
    assert_int_equal(inb(f, 0x20), 0x84);
    outb(f, 0x20, 0x0c);
    assert_int_equal(inb(f, 0x20), 0);
    fixture_free(f);
}

static void lapic_enable(Fixture *f)
{
    memmap_write(f->mem, LAPIC + 0xf0, 0x1ff, 4);
    memmap_write(f->mem, LAPIC + 0x350, 0x10000, 4); /* LINT0 masked */
}

static void lapic_priorities(void **state)
{
    Fixture *f = setup();

    (void)state;
    lapic_enable(f);
    memmap_write(f->mem, LAPIC + 0x300, 0x40041, 4); /* to self: vector 41h */
    assert_true(f->intr);
    memmap_write(f->mem, LAPIC + 0x300, 0x40062, 4);
    assert_int_equal(memmap_read(f->mem, LAPIC + 0x220, 4), 2); /* IRR bit 41h */
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x62);
    assert_false(f->intr);
    assert_int_equal(memmap_read(f->mem, LAPIC + 0xa0, 4), 0x60); /* PPR */
    memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    assert_true(f->intr);
    pc_set_cr8(f->pc, 0, 4);
    assert_false(f->intr); /* class 4 is not above TPR 40h */
    assert_int_equal(memmap_read(f->mem, LAPIC + 0x80, 4), 0x40);
    pc_set_cr8(f->pc, 0, 3);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x41);
    memmap_write(f->mem, LAPIC + 0x300, 0x40005, 4); /* vectors below 16 are illegal */
    memmap_write(f->mem, LAPIC + 0x280, 0, 4);
    assert_int_equal(memmap_read(f->mem, LAPIC + 0x280, 4), 0x20);
    memmap_write(f->mem, LAPIC + 0x300, 0x40400, 4);
    assert_int_equal(f->nmis, 1);
    assert_true(pc_set_apic_base(f->pc, 0, 0xfee00d00) < 0); /* x2APIC is not there */
    fixture_free(f);
}

static void lapic_timer(void **state)
{
    Fixture *f = setup();

    (void)state;
    lapic_enable(f);
    memmap_write(f->mem, LAPIC + 0x3e0, 0x0b, 4); /* divide by 1: 1 ns a tick */
    memmap_write(f->mem, LAPIC + 0x320, 0x50, 4);
    memmap_write(f->mem, LAPIC + 0x380, 1000, 4);
    pass(f, 400);
    assert_int_equal(memmap_read(f->mem, LAPIC + 0x390, 4), 600);
    assert_false(f->intr);
    pass(f, 600);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x50);
    assert_int_equal(memmap_read(f->mem, LAPIC + 0x390, 4), 0);
    memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    memmap_write(f->mem, LAPIC + 0x320, 0x20050, 4); /* periodic */
    memmap_write(f->mem, LAPIC + 0x3e0, 0x03, 4);    /* by 16 */
    memmap_write(f->mem, LAPIC + 0x380, 100, 4);
    for (int i = 0; i < 5; i++) {
        pass(f, 1600);
        assert_int_equal(pc_intr_ack(f->pc, 0), 0x50);
        memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    }
    memmap_write(f->mem, LAPIC + 0x320, 0x40051, 4); /* TSC deadline */
    pc_set_tsc_deadline(f->pc, 0, f->now + 5000);
    pass(f, 4999);
    assert_false(f->intr);
    pass(f, 1);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x51);
    assert_int_equal(pc_tsc_deadline(f->pc, 0), 0);
    fixture_free(f);
}

static int64_t hurried_time(void *opaque)
{
    return *(int64_t *)opaque += 700; /* a thread that is kept from running now and then */
}

/* The shortest count is over before anybody can look; its interrupt must come all the same. */
static void lapic_short_count(void **state)
{
    Fixture *f = setup();

    (void)state;
    lapic_enable(f);
    memmap_write(f->mem, LAPIC + 0x3e0, 0x0b, 4);
    memmap_write(f->mem, LAPIC + 0x320, 0x50, 4);
    f->clocks.virt.source = hurried_time;
    for (int i = 0; i < 3; i++) {
        memmap_write(f->mem, LAPIC + 0x380, 15, 4);
        clock_run(&f->clocks.virt);
        assert_int_equal(pc_intr_ack(f->pc, 0), 0x50);
        memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
        memmap_write(f->mem, LAPIC + 0x3e0, 0x0b, 4); /* does not start it again */
        clock_run(&f->clocks.virt);
        assert_false(f->intr);
    }
    fixture_free(f);
}

static void ioapic_route(Fixture *f, unsigned pin, uint32_t low)
{
    memmap_write(f->mem, IOAPIC, 0x10 + 2 * pin, 4);
    memmap_write(f->mem, IOAPIC + 0x10, low, 4);
}

static uint32_t ioapic_entry(Fixture *f, unsigned pin)
{
    memmap_write(f->mem, IOAPIC, 0x10 + 2 * pin, 4);
    return memmap_read(f->mem, IOAPIC + 0x10, 4);
}

static void ioapic_edge_and_level(void **state)
{
    Fixture *f = setup();
    IrqLine l4, l10;

    (void)state;
    lapic_enable(f);
    memmap_write(f->mem, IOAPIC, 1, 4);
    assert_int_equal(memmap_read(f->mem, IOAPIC + 0x10, 4), 0x170020);
    ioapic_route(f, 4, 0x34);
    raise_line(f, &l4, 4);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x34);
    memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    assert_false(f->intr); /* an edge is one interrupt */

    ioapic_route(f, 10, 0x803a);
    raise_line(f, &l10, 10);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x3a);
    assert_int_equal(ioapic_entry(f, 10), 0xc03a); /* Remote IRR */
    memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    assert_true(f->intr); /* still high: again */
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x3a);
    irq_set(&l10, false);
    memmap_write(f->mem, LAPIC + 0xb0, 0, 4);
    assert_false(f->intr);
    assert_int_equal(ioapic_entry(f, 10), 0x803a);

    irq_set(&l4, false);
    ioapic_route(f, 4, 0x10034); /* masked: the edge waits */
    irq_set(&l4, true);
    assert_false(f->intr);
    ioapic_route(f, 4, 0x34);
    assert_true(f->intr);
    fixture_free(f);
}

static void logical_destinations(void **state)
{
    Fixture *f = setup();
    LapicMessage m = { .destination = 2, .logical = true, .vector = 0x40 };

    (void)state;
    lapic_enable(f);
    memmap_write(f->mem, LAPIC + 0xd0, 0x01000000, 4);
    lapic_deliver(f->pc->lapics, &m);
    assert_false(f->intr);
    m.destination = 3;
    lapic_deliver(f->pc->lapics, &m);
    assert_true(f->intr);
    assert_int_equal(pc_intr_ack(f->pc, 0), 0x40);
    m = (LapicMessage) { .destination = 0, .delivery = LAPIC_STARTUP, .vector = 0x9f };
    lapic_deliver(f->pc->lapics, &m);
    assert_int_equal(f->sipis, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pic_priorities),        cmocka_unit_test(pic_masks_levels_and_spurious),
        cmocka_unit_test(pic_rotation_and_poll), cmocka_unit_test(lapic_priorities),
        cmocka_unit_test(lapic_timer),           cmocka_unit_test(lapic_short_count),
        cmocka_unit_test(ioapic_edge_and_level), cmocka_unit_test(logical_destinations),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
