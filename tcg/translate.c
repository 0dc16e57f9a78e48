/*
 * translate.c - from a guest address to a block: fetching the bytes, making IR and host code.
 */
#include <string.h>

#include "tcg/core.h"

enum { DEFAULT_MAX_INSNS = 64, LONGEST_INSN = 16 };

/* -- fetching */

const FetchEntry *fetch_page(Cpu *cpu, uint64_t la, unsigned mmu)
{
    uint64_t va = la & ~(uint64_t)PAGE_MASK;
    FetchEntry *e = &cpu->core->fetch[va >> PAGE_BITS & (FETCH_ENTRIES - 1)];
    PageMap map = { 0 };

    if (likely(e->tag == va + cpu->jump_key && e->page))
        return e;
    cpu->guest->walk(cpu, va, ACCESS_FETCH, mmu, true, false, &map);
    e->tag = va + cpu->jump_key;
    e->gpa = map.gpa;
    e->page = phys_page(cpu->tcg, map.gpa);
    if (e->page->host)
        code_cache_prepare_page(cpu, e->page, map.gpa);
    if (map.page_size > PAGE_SIZE)
        tlb_note_large(cpu, va, map.page_size);
    jump_note_page(cpu, va, map.global);
    return e;
}

/* Code from a device: read the few bytes that one instruction may have. */
static const uint8_t *fetch_from_device(Cpu *cpu, uint8_t *bounce, uint64_t gpa, unsigned from)
{
    for (unsigned i = from; i < MIN(from + LONGEST_INSN, (unsigned)PAGE_SIZE); i++)
        bounce[i] = phys_io_read(cpu->tcg, gpa + i, 1);
    cpu->core->window_transient = true;
    return bounce;
}

const uint8_t *code_next_page(CodeWindow *code, bool first_insn)
{
    CpuCore *core = code->cpu->core;

    if (code->next || !first_insn)
        return code->next;
    const FetchEntry *e = fetch_page(code->cpu, core->window_la + PAGE_SIZE, core->window_mmu);
    core->window_gpa2 = e->gpa;
    code->next = e->page->host;
    if (code->next && e->page->code != core->guards[0])
        code_cache_guard(code->cpu, e->page);
    if (!code->next)
        code->next = fetch_from_device(code->cpu, core->bounce[1], e->gpa, 0);
    return code->next;
}

/* -- making a block */

static void log_ir(Cpu *cpu, const IrBlock *ir, const CodeWindow *code)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    fprintf(out, "OP: pc %#llx mode %#x\n", (unsigned long long)code->pc, ir->mode);
    ir_print(ir, out);
    fputc('\n', out);
    fclose(out);
    cpu->tcg->bus.log(cpu->tcg->bus.opaque, TCG_LOG_OP, text);
}

static void log_bytes(Cpu *cpu, const IrBlock *ir, const CodeWindow *code)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    fprintf(out, "IN: pc %#llx mode %#x, %u instructions\n   ", (unsigned long long)code->pc,
            ir->mode, ir->n_insns);
    for (uint32_t i = ir->start; i < ir->end; i++)
        fprintf(out, " %02x", i < PAGE_SIZE ? code->page[i] : code->next[i - PAGE_SIZE]);
    fputs("\n\n", out);
    fclose(out);
    cpu->tcg->bus.log(cpu->tcg->bus.opaque, TCG_LOG_IN_ASM, text);
}

/* A front end that breaks the rules of the IR is our own mistake; say which one. */
static void check_ir(Cpu *cpu, const IrBlock *ir, const CodeWindow *code)
{
    const char *message = ir_verify(ir);

    if (!message)
        return;
    log_bytes(cpu, ir, code);
    log_ir(cpu, ir, code);
    cpu->tcg->bus.log(cpu->tcg->bus.opaque, TCG_LOG_GUEST_ERRORS, message);
    abort();
}

static void make_ir(Cpu *cpu, CodeWindow *code, uint32_t mode, unsigned max_insns)
{
    Tcg *tcg = cpu->tcg;
    IrBlock *ir = &cpu->core->ir;

    ir_reset(ir, mode & ~MODE_ALONE, code->start);
    cpu->core->window_gpa2 = UINT64_MAX;
    cpu->guest->translate(cpu, ir, code, max_insns);
    if (tcg->config.log_mask & TCG_LOG_IN_ASM)
        log_bytes(cpu, ir, code);
    if (tcg->config.verify)
        check_ir(cpu, ir, code);
    ir_liveness(ir);
    if (tcg->config.log_mask & TCG_LOG_OP)
        log_ir(cpu, ir, code);
}

static unsigned max_insns_of(const Tcg *tcg, uint32_t mode, bool transient)
{
    if ((mode & MODE_ALONE) || transient)
        return 1;
    return tcg->config.max_insns ? tcg->config.max_insns : DEFAULT_MAX_INSNS;
}

/* NULL: there is no room. */
static Block *compile(Cpu *cpu, uint64_t gpa, uint32_t mode)
{
    Tcg *tcg = cpu->tcg;
    IrBlock *ir = &cpu->core->ir;
    Block *b = code_cache_new_block(tcg);

    *b = (Block) { .gpa = gpa, .gpa2 = UINT64_MAX, .mode = mode, .n_insns = ir->n_insns };
    b->len = MAX(ir->end - ir->start, 1u);
    if (ir->end > PAGE_SIZE)
        b->gpa2 = cpu->core->window_gpa2;
    return tcg->host->compile(tcg, cpu, ir, b) ? b : NULL;
}

/* Code from devices, and an instruction whose halves share one physical page, are not kept. */
static bool is_transient(const Cpu *cpu, const Block *b)
{
    return cpu->core->window_transient || b->gpa2 == (b->gpa & ~(uint64_t)PAGE_MASK);
}

/* NULL: the bytes may have changed while they were translated, or there was no room. */
static Block *publish(Cpu *cpu, const FetchEntry *e, uint64_t gpa, uint32_t mode,
                      uint32_t generation)
{
    Tcg *tcg = cpu->tcg;
    Block *b = NULL;
    bool full = false;

    pthread_mutex_lock(&tcg->lock);
    if (atomic_load(&tcg->code_generation) == generation) {
        b = compile(cpu, gpa, mode);
        if (!b)
            full = true; /* a block always fits into an empty cache: SMALLEST_CACHE */
        else if (is_transient(cpu, b))
            b->dead = true; /* nobody links or remembers it */
        else
            code_cache_insert(tcg, b, e->page,
                              b->gpa2 == UINT64_MAX ? NULL : phys_page_if_known(tcg, b->gpa2));
    }
    pthread_mutex_unlock(&tcg->lock);
    code_cache_unguard(cpu);
    if (full)
        code_cache_make_room(cpu);
    return b;
}

Block *translate_block(Cpu *cpu, uint64_t la, unsigned mmu, uint32_t mode)
{
    CpuCore *core = cpu->core;
    Block *b = NULL;

    while (!b) {
        const FetchEntry e = *fetch_page(cpu, la, mmu);
        if (e.page->host)
            code_cache_guard(cpu, e.page);
        uint32_t generation = atomic_load(&cpu->tcg->code_generation);
        CodeWindow code = {
            .cpu = cpu, .page = e.page->host, .start = la & PAGE_MASK, .pc = cpu->pc
        };

        core->window_la = la & ~(uint64_t)PAGE_MASK;
        core->window_mmu = mmu;
        core->window_transient = false;
        if (!code.page)
            code.page = fetch_from_device(cpu, core->bounce[0], e.gpa, code.start);
        make_ir(cpu, &code, mode, max_insns_of(cpu->tcg, mode, core->window_transient));
        b = publish(cpu, &e, e.gpa | code.start, mode, generation);
    }
    return b;
}
