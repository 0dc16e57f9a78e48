/*
 * exec.c - running a virtual CPU: from block to block, requests from other threads, unwinding.
 */
#include <string.h>

#include "tcg/core.h"

_Thread_local Cpu *tcg_running_cpu;

/* -- requests */

void cpu_request(Cpu *cpu, uint32_t req)
{
    atomic_fetch_or(&cpu->requests, req);
    atomic_store(&cpu->exit_request, 1);
}

void cpu_unrequest(Cpu *cpu, uint32_t req)
{
    atomic_fetch_and(&cpu->requests, ~req);
}

bool cpu_has_work(Cpu *cpu)
{
    return !cpu->halted || atomic_load(&cpu->requests) & (CPU_REQ_STOP | CPU_REQ_RESET) ||
           cpu->guest->deliverable(cpu);
}

void tcg_map_changed(Tcg *tcg)
{
    atomic_fetch_add(&tcg->map_generation, 1);
    for (unsigned i = 0; i < tcg->n_cpus; i++) {
        if (tcg->cpus[i] == tcg_running_cpu)
            tlb_flush(tcg->cpus[i]); /* the next access must see it */
        else
            cpu_request(tcg->cpus[i], CPU_REQ_FLUSH);
    }
}

/* -- leaving */

void cpu_restore_state(Cpu *cpu)
{
    if (!cpu->in_code || !cpu->site)
        return;
    cpu->tcg->host->restore(cpu);
    cpu->site = 0;
}

void cpu_unwind(Cpu *cpu)
{
    longjmp(cpu->unwind, 1);
}

/* -- finding the next block */

/* An instruction that crosses must still have its second half where it was. */
static bool second_page_matches(Cpu *cpu, const Block *b, uint64_t la, unsigned mmu)
{
    return b->gpa2 == UINT64_MAX ||
           fetch_page(cpu, (la & ~(uint64_t)PAGE_MASK) + PAGE_SIZE, mmu)->gpa == b->gpa2;
}

static Block *look_up(Cpu *cpu, uint64_t la, unsigned mmu, uint32_t mode)
{
    Tcg *tcg = cpu->tcg;
    const FetchEntry *e = fetch_page(cpu, la, mmu);
    Block *b;

    if (unlikely(tcg->debug) && !cpu->core->stepping && debug_page_has_breakpoint(tcg, la))
        mode |= cpu->guest->debug_mode;
    pthread_mutex_lock(&tcg->lock);
    b = code_cache_find(tcg, e->gpa | (la & PAGE_MASK), mode);
    pthread_mutex_unlock(&tcg->lock);
    if (b && second_page_matches(cpu, b, la, mmu))
        return b;
    if (b) { /* another second page: the block of the old one makes way */
        PhysPage *page = phys_page(tcg, b->gpa);

        code_cache_invalidate(tcg, page, b->gpa, 1);
    }
    return translate_block(cpu, la, mmu, mode);
}

static Block *next_block(Cpu *cpu)
{
    CpuCore *core = cpu->core;
    unsigned mmu, i = jump_index(cpu->pc);
    uint64_t la = cpu->guest->code_address(cpu, &mmu);

    if (la - cpu->pc != core->key_base || cpu->mode != core->key_mode)
        jump_select_key(cpu, la - cpu->pc, cpu->mode);
    cpu->rip_page = cpu->pc - (la & PAGE_MASK);
    if (unlikely(core->want_alone))
        return look_up(cpu, la, mmu, cpu->mode | MODE_ALONE);
    if (cpu->jump_cache[i].tag == cpu->pc + cpu->jump_key && cpu->jump_cache[i].host)
        return cpu->jump_block[i];
    Block *b = look_up(cpu, la, mmu, cpu->mode);
    if (!b->dead && !(cpu->tcg->config.log_mask & (TCG_LOG_EXEC | TCG_LOG_CPU)))
        jump_remember(cpu, b);
    return b;
}

/* -- running */

static void log_block(Cpu *cpu, const Block *b)
{
    unsigned mask = cpu->tcg->config.log_mask;
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out;

    if (!(mask & (TCG_LOG_EXEC | TCG_LOG_CPU)) || !(out = open_memstream(&text, &size)))
        return;
    if (mask & TCG_LOG_EXEC)
        fprintf(out, "Trace %u: [%016llx/%012llx/%08x]\n", cpu->index, (unsigned long long)cpu->pc,
                (unsigned long long)b->gpa, b->mode);
    if (mask & TCG_LOG_CPU)
        cpu->guest->dump(cpu, out);
    fclose(out);
    cpu->tcg->bus.log(cpu->tcg->bus.opaque, mask & (TCG_LOG_EXEC | TCG_LOG_CPU), text);
}

static bool may_link(const Cpu *cpu, const Block *from, const Block *to)
{
    return !from->dead && !to->dead && to->gpa2 == UINT64_MAX && from->mode == to->mode &&
           !(to->mode & MODE_ALONE) && from->gpa >> PAGE_BITS == to->gpa >> PAGE_BITS &&
           !(cpu->tcg->config.log_mask & (TCG_LOG_EXEC | TCG_LOG_CPU));
}

static void *enter(Cpu *cpu, Block *b)
{
    void *slot;

    cpu->current = b;
    cpu->insns += b->n_insns;
    cpu->site = 0;
    cpu->in_code = true;
    slot = cpu->tcg->host->enter(cpu, b);
    cpu->in_code = false;
    return slot;
}

/* One instruction, then back: no jump leads past a raised exit_request without testing it. */
static void run_alone(Cpu *cpu)
{
    Block *b = next_block(cpu);

    cpu->core->want_alone = false;
    log_block(cpu, b);
    atomic_store(&cpu->exit_request, 1);
    cpu->core->running_alone = true;
    enter(cpu, b);
    cpu->core->running_alone = false;
}

/* Requests that are masked now do not stop a CPU; what unmasks them leaves its block. */
static bool wants_attention(Cpu *cpu)
{
    uint32_t req = atomic_load_explicit(&cpu->requests, memory_order_relaxed);

    if (unlikely(atomic_load_explicit(&cpu->exit_request, memory_order_relaxed)))
        return true;
    return unlikely(req) &&
           (req & (CPU_REQ_FLUSH | CPU_REQ_FORGET | CPU_REQ_STOP) || cpu->guest->deliverable(cpu));
}

static void link_blocks(Cpu *cpu, const Block *from, void *slot, Block *to)
{
    Tcg *tcg = cpu->tcg;

    pthread_mutex_lock(&tcg->lock);
    if (may_link(cpu, from, to))
        tcg->host->link(tcg, slot, to);
    pthread_mutex_unlock(&tcg->lock);
}

static void run_blocks(Cpu *cpu)
{
    Tcg *tcg = cpu->tcg;
    Block *from = NULL;
    void *slot = NULL;

    while (!wants_attention(cpu)) {
        uint32_t flushes = atomic_load_explicit(&tcg->flush_generation, memory_order_relaxed);
        Block *b = next_block(cpu);

        if (slot && flushes == atomic_load(&tcg->flush_generation))
            link_blocks(cpu, from, slot, b);
        log_block(cpu, b);
        slot = enter(cpu, b);
        from = b;
    }
}

static bool take_core_requests(Cpu *cpu)
{
    uint32_t req = atomic_load(&cpu->requests);

    if (req & CPU_REQ_FLUSH) {
        cpu_unrequest(cpu, CPU_REQ_FLUSH);
        tlb_flush(cpu);
    }
    if (req & CPU_REQ_FORGET) {
        cpu_unrequest(cpu, CPU_REQ_FORGET);
        jump_forget_all(cpu);
    }
    if (req & CPU_REQ_STOP)
        cpu_unrequest(cpu, CPU_REQ_STOP);
    return req & CPU_REQ_STOP;
}

static bool leave_for_debugger(Cpu *cpu, RunResult *result)
{
    CpuCore *core = cpu->core;

    if (likely(core->debug_stop == DEBUG_NOTHING))
        return false;
    core->debug_reason = core->debug_stop;
    core->debug_stop = DEBUG_NOTHING;
    core->unwound = false;
    *result = RUN_DEBUG;
    return true;
}

/* True: *result says why cpu_run() returns. */
static bool attend(Cpu *cpu, RunResult *result)
{
    atomic_store(&cpu->exit_request, 0);
    if (unlikely(cpu->core->n_stores))
        code_cache_look_again(cpu);
    world_safe_point(cpu);
    if (take_core_requests(cpu)) {
        *result = RUN_STOPPED;
        return true;
    }
    if (leave_for_debugger(cpu, result))
        return true;
    if (cpu->core->unwound || (!cpu->core->stepping && cpu->guest->deliverable(cpu))) {
        bool stepped = cpu->core->stepping && !cpu->core->want_alone;

        cpu->core->unwound = false;
        cpu->guest->deliver(cpu);
        if (unlikely(stepped)) /* into the handler of the instruction's exception */
            cpu->core->debug_stop = DEBUG_STEP;
    }
    if (leave_for_debugger(cpu, result))
        return true;
    if (!cpu->shutdown && !cpu->halted)
        return false;
    *result = cpu->shutdown ? RUN_SHUTDOWN : RUN_HALTED;
    return true;
}

static void step(Cpu *cpu)
{
    cpu->core->want_alone = true;
    run_alone(cpu);
    if (cpu->core->debug_stop == DEBUG_NOTHING)
        cpu->core->debug_stop = DEBUG_STEP;
}

static RunResult run(Cpu *cpu)
{
    RunResult result;

    if (setjmp(cpu->unwind)) {
        code_cache_unguard(cpu);
        cpu->core->running_alone = false;
        cpu->core->unwound = true;
        cpu->in_code = false;
    }
    while (!attend(cpu, &result)) {
        if (unlikely(cpu->core->stepping))
            step(cpu);
        else if (unlikely(cpu->core->want_alone))
            run_alone(cpu);
        else
            run_blocks(cpu);
    }
    return result;
}

RunResult cpu_run(Cpu *cpu)
{
    Cpu *outer = tcg_running_cpu;
    RunResult result;

    tcg_running_cpu = cpu;
    world_enter(cpu);
    result = run(cpu);
    world_leave(cpu);
    tcg_running_cpu = outer;
    return result;
}
