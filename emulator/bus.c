/*
 * bus.c - the glue between the translator, which knows no devices, and the board, which knows no
 * translator.
 *
 * The TcgBus functions run on vCPU threads without the machine lock and take it for themselves;
 * the page look-up and the time stamp counter need none. The PcHooks functions run under it.
 */
#include <inttypes.h>

#include "emulator/log.h"
#include "emulator/machine.h"

enum { MAP_CHANGES_KEPT = 256 };

/* ---- what the CPU asks of the machine ------------------------------------------------------ */

static void bus_page(void *opaque, uint64_t gpa, TcgPage *out)
{
    Machine *m = opaque;
    MemPage page = memmap_page(pc_memory(m->pc), gpa);

    *out = (TcgPage) {
        .host = page.host,
        .writable = page.writable,
        .log_dirty = page.log_dirty,
    };
}

static uint64_t bus_mmio_read(void *opaque, uint64_t gpa, unsigned size)
{
    Machine *m = opaque;

    machine_lock();
    uint64_t value = memmap_read(pc_memory(m->pc), gpa, size);
    machine_unlock();
    log_trace(TRACE_MMIO, "mmio read  %#" PRIx64 " size %u: %#" PRIx64, gpa, size, value);
    return value;
}

static void bus_mmio_write(void *opaque, uint64_t gpa, uint64_t value, unsigned size)
{
    Machine *m = opaque;

    log_trace(TRACE_MMIO, "mmio write %#" PRIx64 " size %u: %#" PRIx64, gpa, size, value);
    machine_lock();
    memmap_write(pc_memory(m->pc), gpa, value, size);
    machine_unlock();
}

static void bus_dirty(void *opaque, uint64_t gpa, unsigned len)
{
    Machine *m = opaque;

    machine_lock();
    memmap_mark_dirty(pc_memory(m->pc), gpa, len);
    machine_unlock();
}

static uint64_t bus_io_read(void *opaque, uint16_t port, unsigned size)
{
    Machine *m = opaque;

    machine_lock();
    uint64_t value = memmap_read(pc_io(m->pc), port, size);
    machine_unlock();
    log_trace(TRACE_IO, "io read  %#x size %u: %#" PRIx64, port, size, value);
    return value;
}

static void bus_io_write(void *opaque, uint16_t port, uint64_t value, unsigned size)
{
    Machine *m = opaque;

    log_trace(TRACE_IO, "io write %#x size %u: %#" PRIx64, port, size, value);
    machine_lock();
    memmap_write(pc_io(m->pc), port, value, size);
    machine_unlock();
}

static int bus_irq_acknowledge(void *opaque, unsigned cpu)
{
    Machine *m = opaque;

    machine_lock();
    int vector = pc_intr_ack(m->pc, cpu);
    machine_unlock();
    log_trace(TRACE_IRQ, "irq: CPU %u takes vector %d", cpu, vector);
    return vector;
}

/* TSC_HZ is a thousand million, so cycles are the virtual clock's nanoseconds. */
static uint64_t bus_tsc(void *opaque)
{
    Machine *m = opaque;

    return clock_now(&m->clocks.virt);
}

static uint64_t bus_apic_base(void *opaque, unsigned cpu)
{
    Machine *m = opaque;

    machine_lock();
    uint64_t base = pc_apic_base(m->pc, cpu);
    machine_unlock();
    return base;
}

static void bus_set_apic_base(void *opaque, unsigned cpu, uint64_t value)
{
    Machine *m = opaque;

    machine_lock();
    pc_set_apic_base(m->pc, cpu, value);
    machine_unlock();
}

static uint8_t bus_tpr(void *opaque, unsigned cpu)
{
    Machine *m = opaque;

    machine_lock();
    uint8_t tpr = pc_cr8(m->pc, cpu);
    machine_unlock();
    return tpr;
}

static void bus_set_tpr(void *opaque, unsigned cpu, uint8_t value)
{
    Machine *m = opaque;

    machine_lock();
    pc_set_cr8(m->pc, cpu, value);
    machine_unlock();
}

static void bus_set_tsc_deadline(void *opaque, unsigned cpu, uint64_t tsc)
{
    Machine *m = opaque;

    machine_lock();
    pc_set_tsc_deadline(m->pc, cpu, tsc);
    machine_unlock();
}

static void bus_ferr(void *opaque)
{
    Machine *m = opaque;

    machine_lock();
    pc_fpu_error(m->pc, true);
    machine_unlock();
}

static void bus_log(void *opaque, unsigned mask, const char *text)
{
    Machine *m = opaque;

    if (mask & m->log_mask)
        log_text(text);
}

void machine_fill_bus(Machine *m, TcgBus *bus)
{
    *bus = (TcgBus) {
        .opaque = m,
        .page = bus_page,
        .mmio_read = bus_mmio_read,
        .mmio_write = bus_mmio_write,
        .dirty = bus_dirty,
        .io_read = bus_io_read,
        .io_write = bus_io_write,
        .irq_acknowledge = bus_irq_acknowledge,
        .tsc = bus_tsc,
        .apic_base = bus_apic_base,
        .set_apic_base = bus_set_apic_base,
        .tpr = bus_tpr,
        .set_tpr = bus_set_tpr,
        .set_tsc_deadline = bus_set_tsc_deadline,
        .ferr = bus_ferr,
        .log = bus_log,
    };
}

/* A guest may move its BARs for ever: ranges that no look-up uses any more are freed in time. */
static void count_map_change(Machine *m)
{
    if (++m->map_changes % MAP_CHANGES_KEPT == 0)
        machine_want(m, WANT_RECLAIM);
}

static void memory_changed(void *opaque)
{
    Machine *m = opaque;

    tcg_map_changed(m->tcg);
    count_map_change(m);
}

static void io_changed(void *opaque)
{
    count_map_change(opaque);
}

/* Somebody wrote memory behind the CPUs' backs: translations of it are stale. */
static void code_written(void *opaque, uint64_t gpa, uint64_t ram_addr, uint64_t len)
{
    Machine *m = opaque;

    (void)ram_addr;
    tcg_invalidate(m->tcg, gpa, len);
}

void machine_connect_memory(Machine *m)
{
    m->memory_changed = (MemListener) { .changed = memory_changed, .opaque = m };
    memmap_add_listener(pc_memory(m->pc), &m->memory_changed);
    m->io_changed = (MemListener) { .changed = io_changed, .opaque = m };
    memmap_add_listener(pc_io(m->pc), &m->io_changed);
    memmap_set_code_notifier(pc_memory(m->pc), code_written, m);
}

/* ---- what the board asks of the CPU and of us ---------------------------------------------- */

static void hook_intr(void *opaque, unsigned cpu, bool level)
{
    Machine *m = opaque;

    if (cpu >= m->n_cpus)
        return;
    log_trace(TRACE_IRQ, "irq: CPU %u INTR %s", cpu, level ? "high" : "low");
    if (level)
        vcpu_request(&m->cpus[cpu], CPU_REQ_INTR);
    else
        cpu_unrequest(m->cpus[cpu].cpu, CPU_REQ_INTR);
}

static void hook_request(void *opaque, unsigned cpu, uint32_t req)
{
    Machine *m = opaque;

    if (cpu < m->n_cpus)
        vcpu_request(&m->cpus[cpu], req);
}

static void hook_nmi(void *opaque, unsigned cpu)
{
    hook_request(opaque, cpu, CPU_REQ_NMI);
}

static void hook_init(void *opaque, unsigned cpu)
{
    hook_request(opaque, cpu, CPU_REQ_INIT);
}

static void hook_startup(void *opaque, unsigned cpu, uint8_t vector)
{
    Machine *m = opaque;

    if (cpu < m->n_cpus)
        atomic_store(&m->cpus[cpu].cpu->start_page, vector);
    hook_request(opaque, cpu, CPU_REQ_SIPI);
}

static unsigned hook_current_cpu(void *opaque)
{
    (void)opaque;
    return vcpu_current();
}

static void hook_ignne(void *opaque)
{
    Machine *m = opaque;

    pc_fpu_error(m->pc, false);
}

static void hook_reset(void *opaque)
{
    machine_want(opaque, WANT_RESET);
}

static void hook_shutdown(void *opaque)
{
    machine_want(opaque, WANT_SHUTDOWN);
}

static void hook_debug_exit(void *opaque, int status)
{
    machine_exit(opaque, status);
}

static void hook_debug_log(void *opaque, uint8_t byte)
{
    Machine *m = opaque;

    if (m->debugcon)
        chardev_write(&m->debugcon->chr, &byte, 1);
}

const PcHooks machine_pc_hooks = {
    .intr = hook_intr,
    .nmi = hook_nmi,
    .init = hook_init,
    .startup = hook_startup,
    .current_cpu = hook_current_cpu,
    .ignne = hook_ignne,
    .reset_request = hook_reset,
    .shutdown_request = hook_shutdown,
    .debug_exit = hook_debug_exit,
    .debug_log = hook_debug_log,
};
