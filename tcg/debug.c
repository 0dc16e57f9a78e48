/*
 * debug.c - see debug.h.
 *
 * Code of a page with breakpoints is translated in a mode of its own, where each instruction asks
 * first; other pages run at full speed. While there are watchpoints all code runs in that mode, so
 * that a CPU stops right behind the instruction, and watched pages stay out of the TLB.
 */
#include "tcg/debug.h"

#include <errno.h>
#include <string.h>

#include "tcg/core.h"

typedef struct {
    uint64_t la, len;
    WatchKind kind;
} Watchpoint;

struct TcgDebug {
    uint64_t breakpoints[DEBUG_MAX_BREAKPOINTS];
    unsigned n_breakpoints;
    Watchpoint watchpoints[DEBUG_MAX_WATCHPOINTS];
    unsigned n_watchpoints;
};

/* -- changing them */

static struct TcgDebug *debug_of(Tcg *tcg)
{
    if (!tcg->debug)
        tcg->debug = calloc(1, sizeof(*tcg->debug));
    return tcg->debug;
}

/* Nobody may run into code, or through a TLB entry, that knows nothing of the change. */
static void changed(Tcg *tcg)
{
    for (unsigned i = 0; i < tcg->n_cpus; i++) {
        Cpu *cpu = tcg->cpus[i];

        tlb_flush(cpu);
        jump_forget_all(cpu);
        cpu->guest->debug_changed(cpu);
    }
}

int tcg_breakpoint_set(Tcg *tcg, uint64_t la, bool on)
{
    struct TcgDebug *d = debug_of(tcg);
    unsigned i = 0;

    if (!d)
        return -ENOMEM;
    while (i < d->n_breakpoints && d->breakpoints[i] != la)
        i++;
    if (!on && i == d->n_breakpoints)
        return -ENOENT;
    if (on && i == DEBUG_MAX_BREAKPOINTS)
        return -ENOSPC;
    if (!on)
        d->breakpoints[i] = d->breakpoints[--d->n_breakpoints];
    else if (i == d->n_breakpoints)
        d->breakpoints[d->n_breakpoints++] = la;
    changed(tcg);
    return 0;
}

int tcg_watchpoint_set(Tcg *tcg, uint64_t la, uint64_t len, WatchKind kind, bool on)
{
    struct TcgDebug *d = debug_of(tcg);
    unsigned i = 0;

    if (!d)
        return -ENOMEM;
    if (len == 0 || len > DEBUG_MAX_WATCH_LEN || la + len < la)
        return -EINVAL;
    while (i < d->n_watchpoints && (d->watchpoints[i].la != la || d->watchpoints[i].len != len ||
                                    d->watchpoints[i].kind != kind))
        i++;
    if (!on && i == d->n_watchpoints)
        return -ENOENT;
    if (on && i == DEBUG_MAX_WATCHPOINTS)
        return -ENOSPC;
    if (!on)
        d->watchpoints[i] = d->watchpoints[--d->n_watchpoints];
    else if (i == d->n_watchpoints)
        d->watchpoints[d->n_watchpoints++] = (Watchpoint) { la, len, kind };
    changed(tcg);
    return 0;
}

void tcg_debug_clear(Tcg *tcg)
{
    free(tcg->debug);
    tcg->debug = NULL;
    for (unsigned i = 0; i < tcg->n_cpus; i++) {
        cpu_step_set(tcg->cpus[i], false);
        tcg->cpus[i]->core->debug_stop = DEBUG_NOTHING;
    }
    changed(tcg);
}

void cpu_step_set(Cpu *cpu, bool on)
{
    cpu->core->stepping = on;
}

DebugStop cpu_debug_stop(Cpu *cpu, uint64_t *la, WatchKind *kind)
{
    *la = cpu->core->debug_la;
    *kind = cpu->core->debug_kind;
    return cpu->core->debug_reason;
}

/* -- registers */

size_t cpu_debug_get_reg(Cpu *cpu, unsigned n, uint8_t *buf)
{
    return cpu->guest->debug_get_reg(cpu, n, buf);
}

size_t cpu_debug_set_reg(Cpu *cpu, unsigned n, const uint8_t *buf)
{
    return cpu->guest->debug_set_reg(cpu, n, buf);
}

const char *cpu_debug_target(Cpu *cpu)
{
    return cpu->guest->debug_target(cpu);
}

/* -- asking */

bool debug_has_breakpoint(Tcg *tcg, uint64_t la)
{
    for (unsigned i = 0; tcg->debug && i < tcg->debug->n_breakpoints; i++)
        if (tcg->debug->breakpoints[i] == la)
            return true;
    return false;
}

bool debug_page_has_breakpoint(Tcg *tcg, uint64_t la)
{
    for (unsigned i = 0; tcg->debug && i < tcg->debug->n_breakpoints; i++)
        if (tcg->debug->breakpoints[i] >> PAGE_BITS == la >> PAGE_BITS)
            return true;
    return false;
}

bool debug_watches(Tcg *tcg)
{
    return tcg->debug && tcg->debug->n_watchpoints;
}

bool debug_page_is_watched(Tcg *tcg, uint64_t la)
{
    uint64_t page = la & ~(uint64_t)PAGE_MASK;

    for (unsigned i = 0; tcg->debug && i < tcg->debug->n_watchpoints; i++) {
        const Watchpoint *w = &tcg->debug->watchpoints[i];

        if (w->la <= page + PAGE_MASK && w->la + w->len > page)
            return true;
    }
    return false;
}

static void stop(Cpu *cpu, DebugStop reason, uint64_t la, WatchKind kind)
{
    cpu->core->debug_stop = reason;
    cpu->core->debug_la = la;
    cpu->core->debug_kind = kind;
}

void debug_access(Cpu *cpu, uint64_t la, unsigned len, bool write)
{
    struct TcgDebug *d = cpu->tcg->debug;

    for (unsigned i = 0; d && i < d->n_watchpoints; i++) {
        const Watchpoint *w = &d->watchpoints[i];

        if (w->kind & (write ? WATCH_WRITE : WATCH_READ) && la < w->la + w->len &&
            la + len > w->la && cpu->core->debug_stop == DEBUG_NOTHING)
            stop(cpu, DEBUG_WATCH, MAX(la, w->la), w->kind);
    }
}

void debug_check(Cpu *cpu, uint64_t la)
{
    if (cpu->core->debug_stop == DEBUG_NOTHING && debug_has_breakpoint(cpu->tcg, la))
        stop(cpu, DEBUG_BREAK, la, WATCH_ACCESS);
    if (cpu->core->debug_stop != DEBUG_NOTHING)
        cpu_unwind(cpu);
}
