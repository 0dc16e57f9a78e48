/*
 * tcg_machine.h - a machine for tests of the translator: RAM from address 0, an optional ROM and
 * logged page in it, counters for everything else, and x86 CPUs put straight into a mode.
 *
 *     Machine *m = machine_new("interp", 4);
 *     machine_x86(m, "max");
 *     machine_long_mode(m, 0x1000, 0);
 *     machine_load(m, 0x1000, code, sizeof(code));     code ends with HLT
 *     assert_int_equal(machine_run(m), RUN_HALTED);
 *     assert_int_equal(m->cpu->gpr[RAX], 42);
 *     machine_free(m);
 */
#ifndef TESTS_UNIT_TCG_MACHINE_H
#define TESTS_UNIT_TCG_MACHINE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/compiler.h"
#include "tcg/guest/x86/cpu.h"
#include "tcg/mmu.h"
#include "tcg/tcg.h"

typedef struct Machine Machine;
struct Machine {
    uint8_t *ram;
    uint64_t ram_size;
    uint64_t rom_at, rom_end;     /* this part of RAM refuses writes */
    uint64_t video_at, video_end; /* this part of RAM reports writes */
    Tcg *tcg;
    Cpu *cpu;

    unsigned mmio_reads, mmio_writes, dirty_calls, ferrs;
    uint64_t mmio_at, mmio_value; /* of the last access */
    unsigned mmio_size;
    uint64_t mmio_answer;                        /* what reads give */
    void (*mmio_hook)(Machine *m, uint64_t gpa); /* called by each access, may be NULL */
    uint64_t (*io_read)(Machine *m, uint16_t port, unsigned size); /* NULL: all ones */
    void (*io_write)(Machine *m, uint16_t port, uint64_t value, unsigned size);
    unsigned io_reads, io_writes;
    uint16_t io_port; /* of the last access */
    uint64_t io_value;
    unsigned io_size;
    int vector;   /* irq_acknowledge(): this, then -1; the request line drops */
    uint64_t tsc; /* advances by 100 a look */
    uint64_t apic_base;
    uint8_t tpr;
    bool quiet; /* no reports of guest errors */
    void *test; /* the test's own */
};

/* -- what the translator calls */

UNUSED static void machine_cb_page(void *opaque, uint64_t gpa, TcgPage *out)
{
    Machine *m = opaque;

    if (gpa >= m->ram_size)
        return;
    out->host = m->ram + gpa;
    out->writable = gpa < m->rom_at || gpa >= m->rom_end;
    out->log_dirty = gpa >= m->video_at && gpa < m->video_end;
}

UNUSED static uint64_t machine_cb_mmio_read(void *opaque, uint64_t gpa, unsigned size)
{
    Machine *m = opaque;

    m->mmio_reads++;
    m->mmio_at = gpa;
    m->mmio_size = size;
    if (m->mmio_hook)
        m->mmio_hook(m, gpa);
    return size < 8 ? m->mmio_answer & ((UINT64_C(1) << 8 * size) - 1) : m->mmio_answer;
}

UNUSED static void machine_cb_mmio_write(void *opaque, uint64_t gpa, uint64_t value, unsigned size)
{
    Machine *m = opaque;

    m->mmio_writes++;
    m->mmio_at = gpa;
    m->mmio_value = value;
    m->mmio_size = size;
    if (m->mmio_hook)
        m->mmio_hook(m, gpa);
}

UNUSED static void machine_cb_dirty(void *opaque, uint64_t gpa, unsigned len)
{
    (void)gpa, (void)len;
    ((Machine *)opaque)->dirty_calls++;
}

UNUSED static uint64_t machine_cb_io_read(void *opaque, uint16_t port, unsigned size)
{
    Machine *m = opaque;

    m->io_reads++;
    m->io_port = port;
    m->io_size = size;
    return m->io_read ? m->io_read(m, port, size) : UINT64_MAX;
}

UNUSED static void machine_cb_io_write(void *opaque, uint16_t port, uint64_t value, unsigned size)
{
    Machine *m = opaque;

    m->io_writes++;
    m->io_port = port;
    m->io_value = value;
    m->io_size = size;
    if (m->io_write)
        m->io_write(m, port, value, size);
}

UNUSED static int machine_cb_irq_acknowledge(void *opaque, unsigned cpu)
{
    Machine *m = opaque;
    int vector = m->vector;

    (void)cpu;
    m->vector = -1;
    cpu_unrequest(m->cpu, CPU_REQ_INTR);
    return vector;
}

UNUSED static uint64_t machine_cb_tsc(void *opaque)
{
    return ((Machine *)opaque)->tsc += 100;
}

UNUSED static uint64_t machine_cb_apic_base(void *opaque, unsigned cpu)
{
    (void)cpu;
    return ((Machine *)opaque)->apic_base;
}

UNUSED static void machine_cb_set_apic_base(void *opaque, unsigned cpu, uint64_t value)
{
    (void)cpu;
    ((Machine *)opaque)->apic_base = value;
}

UNUSED static uint8_t machine_cb_tpr(void *opaque, unsigned cpu)
{
    (void)cpu;
    return ((Machine *)opaque)->tpr;
}

UNUSED static void machine_cb_set_tpr(void *opaque, unsigned cpu, uint8_t value)
{
    (void)cpu;
    ((Machine *)opaque)->tpr = value;
}

UNUSED static void machine_cb_set_tsc_deadline(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu, (void)tsc;
}

UNUSED static void machine_cb_ferr(void *opaque)
{
    ((Machine *)opaque)->ferrs++;
}

UNUSED static void machine_cb_log(void *opaque, unsigned mask, const char *text)
{
    /* Shutdowns are what many tests are about: shown only to somebody who asks for logs. */
    if (getenv("TCG_TEST_LOG") && (!(mask & TCG_LOG_INT) || !((Machine *)opaque)->quiet))
        fputs(text, stderr);
}

/* -- the machine */

/* TCG_TEST_LOG in the environment: a TCG_LOG_* mask. */
UNUSED static Machine *machine_new_config(TcgConfig config, unsigned ram_mib)
{
    Machine *m = calloc(1, sizeof(*m));
    const char *log = getenv("TCG_TEST_LOG");
    Error *err = NULL;

    m->ram_size = (uint64_t)ram_mib << 20;
    m->ram = aligned_alloc(4096, m->ram_size);
    memset(m->ram, 0, m->ram_size);
    m->vector = -1;
    m->apic_base = 0xfee00900;
    TcgBus bus = {
        .opaque = m,
        .page = machine_cb_page,
        .mmio_read = machine_cb_mmio_read,
        .mmio_write = machine_cb_mmio_write,
        .dirty = machine_cb_dirty,
        .io_read = machine_cb_io_read,
        .io_write = machine_cb_io_write,
        .irq_acknowledge = machine_cb_irq_acknowledge,
        .tsc = machine_cb_tsc,
        .apic_base = machine_cb_apic_base,
        .set_apic_base = machine_cb_set_apic_base,
        .tpr = machine_cb_tpr,
        .set_tpr = machine_cb_set_tpr,
        .set_tsc_deadline = machine_cb_set_tsc_deadline,
        .ferr = machine_cb_ferr,
        .log = machine_cb_log,
    };
    config.verify = true;
    if (log)
        config.log_mask |= strtoul(log, NULL, 0);
    m->tcg = tcg_new(&config, &bus, &err);
    if (!m->tcg) {
        fprintf(stderr, "%s\n", error_message(err, 0));
        abort();
    }
    return m;
}

UNUSED static Machine *machine_new(const char *backend, unsigned ram_mib)
{
    return machine_new_config((TcgConfig) { .backend = backend }, ram_mib);
}

UNUSED static void machine_cpu(Machine *m, const GuestArch *guest, const char *model)
{
    Error *err = NULL;

    m->cpu = tcg_cpu_new(m->tcg, guest, model, 0, &err);
    if (!m->cpu) {
        fprintf(stderr, "%s\n", error_message(err, 0));
        abort();
    }
    tcg_cpu_reset(m->cpu);
}

UNUSED static void machine_free(Machine *m)
{
    tcg_free(m->tcg);
    free(m->ram);
    free(m);
}

/* As a DMA write: the translator is told. */
UNUSED static void machine_load(Machine *m, uint64_t gpa, const void *bytes, size_t len)
{
    memcpy(m->ram + gpa, bytes, len);
    tcg_invalidate(m->tcg, gpa, len);
}

/* -- running, at most `ms` milliseconds (then RUN_STOPPED) */

static Cpu *machine_watched;

UNUSED static void machine_alarm(int sig)
{
    (void)sig;
    if (machine_watched)
        cpu_request(machine_watched, CPU_REQ_STOP);
}

UNUSED static RunResult machine_run_ms(Machine *m, unsigned ms)
{
    struct itimerval timer = { .it_value = { ms / 1000, ms % 1000 * 1000 } }, off = { 0 };
    RunResult result;

    machine_watched = m->cpu;
    signal(SIGALRM, machine_alarm);
    setitimer(ITIMER_REAL, &timer, NULL);
    result = cpu_run(m->cpu);
    setitimer(ITIMER_REAL, &off, NULL);
    machine_watched = NULL;
    cpu_unrequest(m->cpu, CPU_REQ_STOP);
    return result;
}

UNUSED static RunResult machine_run(Machine *m)
{
    return machine_run_ms(m, 60000);
}

/* -- x86 */

UNUSED static void machine_x86(Machine *m, const char *model)
{
    machine_cpu(m, &x86_guest, model);
}

UNUSED static void machine_segment(X86Cpu *x, unsigned seg, uint16_t selector, uint64_t base,
                                   uint32_t limit, uint32_t attr)
{
    x->seg[seg] = (X86Seg) { .selector = selector, .limit = limit, .attr = attr, .base = base };
    x->c.seg[seg] = (SegWindow) { .base = base,
                                  .read_end = (uint64_t)limit + 1,
                                  .write_end = (uint64_t)limit + 1 };
    if (attr & DESC_CODE && x->cr0 & CR0_PE)
        x->c.seg[seg].write_end = 0;
}

UNUSED static void machine_start(X86Cpu *x, uint64_t pc, uint64_t sp)
{
    x->c.pc = pc;
    x->c.gpr[RSP] = sp;
    x->c.halted = x->c.shutdown = false;
    x86_update_mode(x);
    tlb_flush(&x->c);
}

/* Every segment is `segment` << 4. */
UNUSED static void machine_real_mode(Machine *m, uint16_t segment, uint16_t ip)
{
    X86Cpu *x = x86(m->cpu);

    x->cr0 = CR0_ET;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        machine_segment(x, i, segment, (uint64_t)segment << 4, 0xffff,
                        DESC_P | DESC_S | DESC_W | DESC_A | (i == SEG_CS ? DESC_CODE : 0));
    machine_start(x, ip, 0xfff0);
}

/* 32-bit flat segments at privilege `cpl`, no paging; CS is selector 8 and the others 16, plus cpl.
 */
UNUSED static void machine_protected_mode(Machine *m, uint32_t eip, unsigned cpl)
{
    X86Cpu *x = x86(m->cpu);
    uint32_t common = DESC_P | DESC_S | DESC_W | DESC_A | DESC_B | DESC_G | cpl << DESC_DPL_SHIFT;

    x->cr0 = CR0_PE | CR0_ET | CR0_NE;
    x->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        machine_segment(x, i, (i == SEG_CS ? 8 : 16) | cpl, 0, UINT32_MAX,
                        common | (i == SEG_CS ? DESC_CODE : 0));
    machine_start(x, eip, m->ram_size - 0x10000);
}

/*
 * 64-bit mode at privilege `cpl`; the first GiB is mapped to itself with 2 MiB user pages, by page
 * tables in the three last pages of RAM.
 */
UNUSED static void machine_long_mode(Machine *m, uint64_t rip, unsigned cpl)
{
    X86Cpu *x = x86(m->cpu);
    uint64_t pml4 = m->ram_size - 0x3000, pdpt = pml4 + 0x1000, pd = pml4 + 0x2000;
    uint64_t *tables = (uint64_t *)(m->ram + pml4);
    uint32_t common = DESC_P | DESC_S | DESC_W | DESC_A | DESC_G | cpl << DESC_DPL_SHIFT;

    tables[0] = pdpt | 7;
    tables[512] = pd | 7;
    for (unsigned i = 0; i < 512; i++)
        tables[1024 + i] = (uint64_t)i << 21 | 0xe7; /* present, writable, user, A, D, large */
    x->cr3 = pml4;
    x->cr4 |= CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    x->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP | CR0_MP;
    x->msr.efer |= EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        machine_segment(x, i, (i == SEG_CS ? 8 : 16) | cpl, 0, UINT32_MAX,
                        common | (i == SEG_CS ? DESC_CODE | DESC_L : DESC_B));
    machine_start(x, rip, m->ram_size - 0x10000);
}

#endif
