/*
 * hw_fixture.h - a PC with fake clocks and recording hooks, for unit tests of devices.
 */
#ifndef TESTS_UNIT_HW_FIXTURE_H
#define TESTS_UNIT_HW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/endian.h"
#include "hw/board/pc.h"
#include "hw/core/dma.h"

typedef struct Fixture {
    int64_t now, wall; /* what the fake clocks show */
    Clocks clocks;
    Pc *pc;
    MemMap *io, *mem;
    bool intr;
    unsigned nmis, inits, sipis, resets, shutdowns;
    bool a20;
    int exit_status;
    uint8_t bios[0x40000];
} Fixture;

static int64_t fixture_time(void *opaque)
{
    return *(int64_t *)opaque;
}

static void fixture_intr(void *opaque, unsigned cpu, bool level)
{
    (void)cpu;
    ((Fixture *)opaque)->intr = level;
}

static void fixture_nmi(void *opaque, unsigned cpu)
{
    (void)cpu;
    ((Fixture *)opaque)->nmis++;
}

static void fixture_init(void *opaque, unsigned cpu)
{
    (void)cpu;
    ((Fixture *)opaque)->inits++;
}

static void fixture_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    (void)cpu;
    (void)vector;
    ((Fixture *)opaque)->sipis++;
}

static void fixture_a20(void *opaque, bool on)
{
    ((Fixture *)opaque)->a20 = on;
}

static void fixture_reset(void *opaque)
{
    ((Fixture *)opaque)->resets++;
}

static void fixture_shutdown(void *opaque)
{
    ((Fixture *)opaque)->shutdowns++;
}

static void fixture_exit(void *opaque, int status)
{
    ((Fixture *)opaque)->exit_status = status;
}

static uint64_t fixture_tsc(void *opaque, unsigned cpu)
{
    (void)cpu;
    return ((Fixture *)opaque)->now; /* 1 GHz */
}

static const PcHooks fixture_hooks = {
    .intr = fixture_intr,
    .nmi = fixture_nmi,
    .init = fixture_init,
    .startup = fixture_sipi,
    .a20 = fixture_a20,
    .reset_request = fixture_reset,
    .shutdown_request = fixture_shutdown,
    .debug_exit = fixture_exit,
};

/* The caller may have set fields of *config before; the rest is filled in. */
UNUSED static Fixture *fixture_new(PcConfig *config)
{
    Fixture *f = test_calloc(1, sizeof(*f));

    f->now = 1000 * NS_PER_S;
    f->wall = INT64_C(1700000000) * NS_PER_S;
    clock_init(&f->clocks.virt, "virtual", fixture_time, &f->now);
    clock_init(&f->clocks.host, "host", fixture_time, &f->now);
    clock_init(&f->clocks.rtc, "rtc", fixture_time, &f->wall);
    for (size_t i = 0; i < sizeof(f->bios); i++)
        f->bios[i] = i >> 8 ^ i;
    if (!config->ram_size)
        config->ram_size = 64 << 20;
    config->cpus = config->max_cpus = 1;
    config->bios = (PcBytes) { f->bios, sizeof(f->bios) };
    config->clocks = &f->clocks;
    config->hooks = &fixture_hooks;
    config->hooks_opaque = f;
    config->tsc = fixture_tsc;
    config->tsc_hz = 1000000000;
    config->serial_present[0] = true;
    config->debug_exit_iobase = 0xf4;
    config->debug_exit_iosize = 4;
    f->pc = pc_new(config, NULL);
    assert_non_null(f->pc);
    assert_int_equal(pc_setup_firmware(f->pc, NULL), 0);
    pc_reset(f->pc);
    f->io = pc_io(f->pc);
    f->mem = pc_memory(f->pc);
    return f;
}

UNUSED static void fixture_free(Fixture *f)
{
    pc_free(f->pc);
    test_free(f);
}

/* Time passes, event by event. */
UNUSED static void pass(Fixture *f, int64_t ns)
{
    int64_t end = f->now + ns;

    while (clock_deadline(&f->clocks.virt) <= end) {
        int64_t next = clock_deadline(&f->clocks.virt);

        f->wall += next > f->now ? next - f->now : 0;
        f->now = next > f->now ? next : f->now;
        clock_run(&f->clocks.virt);
    }
    f->wall += end - f->now;
    f->now = end;
}

UNUSED static uint8_t inb(Fixture *f, uint16_t port)
{
    return memmap_read(f->io, port, 1);
}

UNUSED static uint32_t inl(Fixture *f, uint16_t port)
{
    return memmap_read(f->io, port, 4);
}

UNUSED static void outb(Fixture *f, uint16_t port, uint8_t value)
{
    memmap_write(f->io, port, value, 1);
}

UNUSED static void outw(Fixture *f, uint16_t port, uint16_t value)
{
    memmap_write(f->io, port, value, 2);
}

UNUSED static void outl(Fixture *f, uint16_t port, uint32_t value)
{
    memmap_write(f->io, port, value, 4);
}

UNUSED static uint32_t config_read(Fixture *f, unsigned devfn, unsigned reg)
{
    outl(f, 0xcf8, 0x80000000 | devfn << 8 | (reg & 0xfc));
    return inl(f, 0xcfc);
}

UNUSED static void config_write(Fixture *f, unsigned devfn, unsigned reg, uint32_t value)
{
    outl(f, 0xcf8, 0x80000000 | devfn << 8 | (reg & 0xfc));
    outl(f, 0xcfc, value);
}

/* The 8259s as every BIOS sets them up: vectors 08h and 70h, everything unmasked. */
UNUSED static void program_pics(Fixture *f)
{
    static const uint8_t master[] = { 0x08, 0x04, 0x01, 0x00 }, slave[] = { 0x70, 0x02, 0x01, 0 };

    outb(f, 0x20, 0x11);
    outb(f, 0xa0, 0x11);
    for (int i = 0; i < 4; i++) {
        outb(f, 0x21, master[i]);
        outb(f, 0xa1, slave[i]);
    }
}

#endif
