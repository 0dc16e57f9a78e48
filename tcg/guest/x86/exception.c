/*
 * exception.c - raising exceptions, double and triple faults, and what the run loop has to deliver
 * (SDM volume 3, 6.6 to 6.9 and 6.15).
 *
 * An exception is recorded in X86Cpu.exc and delivered by the run loop, so that a fault on the way
 * to a handler is simply raised again: exc_depth tells which exception was being delivered.
 */
#include <inttypes.h>
#include <stdarg.h>

#include "tcg/guest/x86/system.h"

static const char *const names[] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack fault",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
};

static const char *event_name(unsigned vector)
{
    return vector < ARRAY_LEN(names) ? names[vector] : "interrupt";
}

/* -- log */
static void log_line(X86Cpu *x, unsigned mask, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void log_line(X86Cpu *x, unsigned mask, const char *fmt, ...)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);
    char text[512];
    va_list ap;

    if (!bus->log)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    bus->log(bus->opaque, mask, text);
}

void x86_log_event(X86Cpu *x, const X86Event *ev)
{
    static const char *const kinds[] = { "fault", "trap", "soft", "intr" };

    log_line(x, TCG_LOG_INT,
             "cpu %u: v=%02x e=%04x %s cpl=%u ip=%04x:%016" PRIx64 " sp=%04x:%016" PRIx64
             " cr2=%016" PRIx64 " (%s)\n",
             x->c.index, ev->vector, ev->has_error ? ev->error : 0, kinds[ev->kind], x86_cpl(x),
             x->seg[SEG_CS].selector, x->c.pc, x->seg[SEG_SS].selector, x->c.gpr[RSP], x->cr2,
             ev->kind == EVENT_FAULT || ev->kind == EVENT_TRAP ? event_name(ev->vector)
                                                               : "interrupt");
}

/* -- raise */
void x86_shutdown(X86Cpu *x, unsigned vector, uint32_t error)
{
    log_line(x, TCG_LOG_INT | TCG_LOG_GUEST_ERRORS,
             "cpu %u: triple fault at %04x:%016" PRIx64
             ": neither the handler of %s nor that of #DF could be entered, the last try caused %s "
             "(error code %04x, CR2 %016" PRIx64 "); IDT at %016" PRIx64
             " limit %04x, SS:SP %04x:%016" PRIx64 ", CR3 %016" PRIx64 ". The CPU has shut down.\n",
             x->c.index, x->seg[SEG_CS].selector, x->c.pc, event_name(x->exc_root),
             event_name(vector), error, x->cr2, x->idtr.base, x->idtr.limit,
             x->seg[SEG_SS].selector, x->c.gpr[RSP], x->cr3);
    x->exc.pending = false;
    x->exc_depth = -1;
    x->c.shutdown = true;
    cpu_unwind(&x->c);
}

static bool contributory(unsigned vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* SDM table 6-5: which second exception makes a double fault. */
static bool doubles(unsigned first, unsigned second)
{
    if (first == EXC_PF)
        return contributory(second) || second == EXC_PF;
    return contributory(first) && contributory(second);
}

NORETURN static void raise_event(X86Cpu *x, unsigned vector, bool has_error, uint32_t error)
{
    cpu_restore_state(&x->c);
    if (x->exc_ext && vector >= EXC_TS && vector <= EXC_GP)
        error |= 1;
    if (x->exc_depth < 0)
        x->exc_root = vector;
    if (x->exc_depth == EXC_DF)
        x86_shutdown(x, vector, error);
    if (x->exc_depth >= 0 && doubles(x->exc_depth, vector)) {
        vector = EXC_DF;
        has_error = true;
        error = 0;
    }
    x->debug_hits = 0; /* the instruction has not happened */
    x->exc.pending = true;
    x->exc.vector = vector;
    x->exc.has_error = has_error;
    x->exc.error = error;
    cpu_unwind(&x->c);
}

void x86_raise(X86Cpu *x, unsigned vector)
{
    raise_event(x, vector, false, 0);
}

void x86_raise_error(X86Cpu *x, unsigned vector, uint32_t error)
{
    raise_event(x, vector, true, error);
}

void x86_trap_after(X86Cpu *x, uint64_t dr6, uint64_t next)
{
    x->dr[6] |= dr6;
    x->c.pc = next;
    x->c.in_code = false; /* pc and flags are those after the instruction: nothing to restore */
    x->exc_trap = true;
    raise_event(x, EXC_DB, false, 0);
}

void x86_trap_later(X86Cpu *x, uint64_t dr6, uint64_t next)
{
    x->dr[6] |= dr6;
    x->c.pc = next;
    x->exc_trap = x->exc.pending = true;
    x->exc.vector = EXC_DB;
    x->exc.has_error = false;
    atomic_store(&x->c.exit_request, 1);
}

/* CR0.AM alignment checks are not modelled; this is SSE's MEM_ALIGN: #GP whatever the segment. */
void x86_misaligned(Cpu *cpu, UNUSED uint64_t va)
{
    x86_raise_error(x86(cpu), EXC_GP, 0);
}

/* -- deliver */
static void deliver_exception(X86Cpu *x)
{
    X86Event ev = {
        .kind = x->exc_trap ? EVENT_TRAP : EVENT_FAULT,
        .vector = x->exc.vector,
        .has_error = x->exc.has_error,
        .error = x->exc.error,
        .pc = x->c.pc,
    };

    x->exc.pending = x->exc_trap = false;
    x->exc_depth = ev.vector;
    x->exc_ext = true;
    x86_event(x, &ev);
}

static void deliver_nmi(X86Cpu *x)
{
    atomic_fetch_and(&x->c.requests, ~(uint32_t)CPU_REQ_NMI);
    x->c.halted = false;
    x->nmi_blocked = true;
    x->exc_ext = true;
    x86_event(x, &(X86Event) { .kind = EVENT_INTR, .vector = EXC_NMI, .pc = x->c.pc });
}

static void deliver_interrupt(X86Cpu *x)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);
    int vector = bus->irq_acknowledge(bus->opaque, x->c.index);

    if (vector < 0)
        return;
    x->c.halted = false;
    x->exc_ext = true;
    x86_event(x, &(X86Event) { .kind = EVENT_INTR, .vector = vector, .pc = x->c.pc });
}

static void deliver_sipi(X86Cpu *x)
{
    uint8_t page = x->c.start_page;
    X86Seg cs = x->seg[SEG_CS];

    atomic_fetch_and(&x->c.requests, ~(uint32_t)CPU_REQ_SIPI);
    if (!x->wait_sipi)
        return;
    x->wait_sipi = x->c.halted = false;
    cs.selector = page << 8;
    cs.base = (uint32_t)page << 12;
    x86_seg_set(x, SEG_CS, &cs);
    x->c.pc = 0;
    x86_update_mode(x);
}

uint32_t x86_deliverable(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);
    uint32_t mask = CPU_REQ_INIT | CPU_REQ_SIPI | CPU_REQ_RESET | CPU_REQ_SMI;

    if (x->exc.pending) /* a trap that the last instruction left behind */
        return CPU_REQ_INTR;
    if (!x->wait_sipi && !(cpu->mode & MODE_SHADOW)) {
        mask |= x->nmi_blocked ? 0 : CPU_REQ_NMI;
        mask |= x->eflags & EFL_IF ? CPU_REQ_INTR : 0;
    }
    return atomic_load(&cpu->requests) & mask;
}

void x86_deliver(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);

    if (x->exc.pending) {
        deliver_exception(x);
        return;
    }
    x->exc_depth = -1; /* an earlier delivery gave up its event for a higher one */
    x->exc_ext = false;
    if (x->debug_hits) { /* breakpoints of the last instruction come before interrupts */
        uint64_t hits = x->debug_hits;

        x->debug_hits = 0;
        x86_trap_after(x, hits, cpu->pc);
    }
    uint32_t req = x86_deliverable(cpu);
    if (req & CPU_REQ_RESET)
        cpu->guest->reset(cpu);
    else if (req & CPU_REQ_INIT)
        x86_init_signal(x);
    else if (req & CPU_REQ_SIPI)
        deliver_sipi(x);
    else if (req & CPU_REQ_NMI)
        deliver_nmi(x);
    else if (req & CPU_REQ_INTR)
        deliver_interrupt(x);
    else if (req & CPU_REQ_SMI) /* there is no SMM to enter */
        atomic_fetch_and(&cpu->requests, ~(uint32_t)CPU_REQ_SMI);
}
