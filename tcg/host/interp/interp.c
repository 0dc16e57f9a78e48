/*
 * interp.c - the portable back end: a block is a copy of its IR, run one operation after the other.
 *
 * Cpu.pc and the flags are current at every operation, so there is nothing to restore at a fault.
 * Exits to blocks of the same page are linked through a slot in the copy.
 */
#include <string.h>
#include <sys/mman.h>

#include "tcg/core.h"
#include "tcg/host/interp/alu.h"
#include "tcg/host/interp/interp.h"

enum { DEFAULT_ARENA = 64 << 20, SMALLEST_ARENA = 1 << 20 };

typedef struct {
    uint8_t *base;
    size_t size, used;
} Arena;

/* A jump inside the page; `next` lists those that lead to one block. */
typedef struct Exit {
    Block *to;
    struct Exit *next;
} Exit;

/* Block.host: the arrays follow it. */
typedef struct {
    IrOp *ops; /* of control operations, `c` is the number of the exit */
    IrMem *mem;
    uint64_t *k;
    Exit *exits;
} Code;

/* -- code memory */

static int interp_init(Tcg *tcg, size_t cache_size, Error **err)
{
    Arena *arena = calloc(1, sizeof(*arena));
    void *p;

    if (!arena)
        return error_set(err, -ENOMEM, "no memory for the interpreter");
    tcg->host_data = arena;
    arena->size = MAX(cache_size ? cache_size : DEFAULT_ARENA, (size_t)SMALLEST_ARENA);
    p = mmap(NULL, arena->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
             -1, 0);
    if (p == MAP_FAILED)
        return error_set(err, -errno, "cannot map %zu bytes for translated code", arena->size);
    arena->base = p;
    return 0;
}

static void interp_free(Tcg *tcg)
{
    Arena *arena = tcg->host_data;

    if (arena && arena->base)
        munmap(arena->base, arena->size);
    free(arena);
}

static void interp_flush_all(Tcg *tcg)
{
    ((Arena *)tcg->host_data)->used = 0;
}

static void *arena_take(Arena *arena, size_t size)
{
    void *p = arena->base + arena->used;

    arena->used += align_up(size, 16);
    return p;
}

static void *arena_copy(Arena *arena, const void *from, size_t size)
{
    void *p = arena_take(arena, size);

    memcpy(p, from, size);
    return p;
}

/* -- blocks */

static bool is_control(const IrOp *op)
{
    return ir_op_info[op->op].attr & (IR_END | IR_SIDE_EXIT);
}

static unsigned number_exits(Code *code, unsigned n_ops)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_ops; i++)
        if (is_control(&code->ops[i]))
            code->ops[i].c = n++;
    return n;
}

static bool interp_compile(Tcg *tcg, Cpu *cpu, IrBlock *ir, Block *block)
{
    Arena *arena = tcg->host_data;
    size_t ops = ir->n_ops * sizeof(IrOp), mem = ir->n_mem * sizeof(IrMem),
           k = ir->n_k * sizeof(uint64_t);
    size_t worst = sizeof(Code) + ops + mem + k + ir->n_ops * sizeof(Exit) + 5 * 16;
    Code *code;
    unsigned n_exits;

    (void)cpu;
    if (arena->size - arena->used < worst)
        return false;
    code = arena_take(arena, sizeof(*code));
    code->ops = arena_copy(arena, ir->ops, ops);
    code->mem = arena_copy(arena, ir->mem, mem);
    code->k = arena_copy(arena, ir->k, k);
    n_exits = number_exits(code, ir->n_ops);
    code->exits = arena_take(arena, n_exits * sizeof(Exit));
    memset(code->exits, 0, n_exits * sizeof(Exit));
    block->host = code;
    return true;
}

static void interp_link(Tcg *tcg, void *slot, Block *to)
{
    Exit *exit = slot;

    (void)tcg;
    if (exit->to)
        return;
    exit->next = to->links;
    to->links = exit;
    __atomic_store_n(&exit->to, to, __ATOMIC_RELEASE);
}

static void interp_unlink(Tcg *tcg, Block *block)
{
    (void)tcg;
    for (Exit *e = block->links, *next; e; e = next) {
        next = e->next;
        __atomic_store_n(&e->to, NULL, __ATOMIC_RELEASE);
    }
    block->links = NULL;
}

/* -- running */

static bool takes_exit(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    switch (op->op) {
    case IR_jcc: return alu_cond(cpu_flags(cpu), op->cc);
    case IR_jz: return interp_read(cpu, v, op->a, op->size2) == 0;
    case IR_jnz: return interp_read(cpu, v, op->a, op->size2) != 0;
    default: return true;
    }
}

/* Set the next pc; the exit's slot if it stays in the page. */
static Exit *leave(Cpu *cpu, const InterpView *v, const Code *code, const IrOp *op)
{
    uint64_t flat = cpu->rip_page + op->imm;

    if (op->op == IR_exitr)
        return NULL;
    if (op->op == IR_jmpr) {
        cpu->pc = interp_read(cpu, v, op->a, op->size);
        return NULL;
    }
    cpu->pc = flat & alu_mask(op->size);
    if (op->op == IR_exit || cpu->pc != flat || op->imm < 0 || op->imm >= PAGE_SIZE)
        return NULL;
    return &code->exits[op->c];
}

static Exit *run_block(Cpu *cpu, const Code *code)
{
    uint64_t temps[IR_MAX_TEMPS];
    const InterpView view = { .mem = code->mem, .k = code->k, .temps = temps };

    for (const IrOp *op = code->ops;; op++) {
        if (op->op == IR_insn)
            cpu->pc = (cpu->rip_page + op->imm) & alu_mask(op->size);
        else if (!is_control(op))
            interp_op(cpu, &view, op);
        else if (takes_exit(cpu, &view, op))
            return leave(cpu, &view, code, op);
    }
}

static void *interp_enter(Cpu *cpu, Block *block)
{
    for (;;) {
        Exit *exit = run_block(cpu, block->host);

        if (!exit || atomic_load_explicit(&cpu->exit_request, memory_order_relaxed))
            return exit;
        block = __atomic_load_n(&exit->to, __ATOMIC_ACQUIRE);
        if (!block)
            return exit;
        cpu->current = block;
        cpu->insns += block->n_insns;
    }
}

static void interp_restore(Cpu *cpu)
{
    (void)cpu; /* always exact */
}

const HostBackend host_interp = {
    .name = "interp",
    .init = interp_init,
    .free = interp_free,
    .compile = interp_compile,
    .enter = interp_enter,
    .link = interp_link,
    .unlink = interp_unlink,
    .restore = interp_restore,
    .flush_all = interp_flush_all,
};
