/*
 * host_x86_64.c - the x86-64 back end against the interpreter: random blocks of valid IR run on
 * both from the same state must leave the same registers, flags, vectors, memory and pc, also where
 * they fault in the middle.
 *
 * HOST_SEED in the environment sets the first seed, HOST_ROUNDS the number of programs; HOST_CUT
 * stops them before that instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tcg/vop.h"
#include "tests/unit/random.h"
#include "tests/unit/tcg_machine.h"

enum {
    CODE = 0x40000,   /* the page whose offsets name random blocks */
    STEP = 64,        /* distance of blocks, also the longest in "instructions" */
    LAST = 0x400,     /* from here on the program stops */
    WINDOW = 0x10000, /* addresses that are mapped, but for some pages */
    N_GLOBALS = 18,
};

/* Registers that hold addresses: never written. One is pinned to the same host register, one to
 * another, one in memory. */
static const uint8_t address_regs[] = { 7, 5, 12 };

typedef struct {
    Cpu c;
    uint64_t seed;
    uint32_t cut; /* the program stops before instructions from this one on */
    unsigned faults, helped;
    uint64_t fault_va, fault_pc;
    uint32_t fault_flags;
    bool pending;
} Fake;

static Fake *fake(Cpu *cpu)
{
    return (Fake *)cpu;
}

/* -- the guest */

NORETURN static void raise_fault(Cpu *cpu, uint64_t what)
{
    cpu_restore_state(cpu);
    fake(cpu)->faults++;
    fake(cpu)->fault_va = what;
    fake(cpu)->fault_pc = cpu->pc;
    fake(cpu)->fault_flags = cpu_flags(cpu);
    fake(cpu)->pending = true;
    cpu_unwind(cpu);
}

static int fake_init(Cpu *cpu, const char *model, Error **err)
{
    (void)cpu, (void)model, (void)err;
    return 0;
}

static void fake_reset(Cpu *cpu)
{
    cpu->pc = 0;
}

static uint64_t fake_code_address(Cpu *cpu, unsigned *mmu)
{
    *mmu = 0;
    return cpu->pc;
}

/* Nothing faults in every other program. */
static bool is_calm(Cpu *cpu)
{
    return fake(cpu)->seed & 1;
}

/* Of each 16 pages: one is absent, one read-only, one a device, and two change places. */
static bool fake_walk(Cpu *cpu, uint64_t va, Access access, unsigned mmu, bool raise, bool peek,
                      PageMap *map)
{
    uint64_t page = va >> 12 & 15, gpa = va & ~UINT64_C(0xfff);
    bool ok = va >> 12 == CODE >> 12 || (va < WINDOW + 0x2000 && page != 5);

    (void)mmu, (void)peek;
    if (is_calm(cpu)) {
        page = 0;
        ok = true;
        if (gpa != CODE)
            gpa &= WINDOW - 1;
    }
    if (page == 6 && access == ACCESS_WRITE)
        ok = false;
    if (ok) {
        *map = (PageMap) {
            .gpa = page == 9   ? UINT64_C(0x80000000)
                   : page == 1 ? gpa ^ 0x2000
                               : gpa,
            .read = true,
            .write = page != 6,
            .page_size = 4096,
        };
        return true;
    }
    if (raise)
        raise_fault(cpu, va | (uint64_t)access << 60);
    return false;
}

static void fake_limit_slow(Cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write)
{
    if (offset & 8 && !is_calm(cpu))
        raise_fault(cpu, offset << 16 | seg << 8 | size << 1 | write);
}

NORETURN static void fake_misaligned(Cpu *cpu, uint64_t va)
{
    raise_fault(cpu, ~va);
}

NORETURN static void fake_fp_exception(Cpu *cpu)
{
    raise_fault(cpu, cpu->mxcsr);
}

static uint32_t fake_deliverable(Cpu *cpu)
{
    (void)cpu;
    return 0;
}

static void fake_deliver(Cpu *cpu)
{
    if (fake(cpu)->pending)
        cpu->halted = true;
    fake(cpu)->pending = false;
}

/* -- helpers */

static uint64_t do_halt(Cpu *cpu)
{
    cpu_restore_state(cpu);
    cpu->halted = true;
    cpu_unwind(cpu);
}

static uint64_t do_pure(Cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    (void)cpu;
    return a * 3 + (b ^ c);
}

static uint64_t do_maybe(Cpu *cpu, uint64_t a)
{
    fake(cpu)->helped++;
    if (a % 7 == 3)
        raise_fault(cpu, a);
    return cpu->gpr[1] + cpu->gpr[11] + a;
}

static uint64_t do_write(Cpu *cpu, uint64_t a, uint64_t b)
{
    cpu->gpr[3] += a;
    cpu->gpr[0] ^= b;
    cpu->gpr[13]++;
    return cpu->gpr[2];
}

static uint64_t do_flags(Cpu *cpu, uint64_t a)
{
    uint32_t f = cpu_flags(cpu);

    cpu_set_flags(cpu, f ^ (uint32_t)a);
    return f;
}

static uint64_t do_vectors(Cpu *cpu, uint64_t a)
{
    cpu->vec[a & 15].q[1] ^= cpu->vec[a >> 4 & 15].q[0] + a;
    return cpu->mxcsr;
}

static const IrHelper h_halt = { "halt", do_halt, HELPER_FAULTS | HELPER_FLAGS };
static const IrHelper h_pure = { "pure", do_pure, HELPER_PURE };
static const IrHelper h_maybe = { "maybe", do_maybe, HELPER_FAULTS | HELPER_READS_G };
static const IrHelper h_write = { "write", do_write, HELPER_READS_G | HELPER_WRITES_G };
static const IrHelper h_flags = { "flags", do_flags, HELPER_FLAGS };
static const IrHelper h_vectors = { "vectors", do_vectors, HELPER_VECTORS };

/* -- random IR */

typedef struct {
    IrBlock *b;
    Random r;
    IrRef temps[8]; /* of this instruction */
    unsigned n_temps;
    bool written; /* this instruction wrote something: nothing may fault any more */
} Gen;

static unsigned below(Gen *g, unsigned n)
{
    return random_below(&g->r, n);
}

static bool chance(Gen *g, unsigned percent)
{
    return below(g, 100) < percent;
}

static uint64_t interesting(Gen *g)
{
    static const uint64_t values[] = { 0,          1,
                                       2,          7,
                                       0x7f,       0x80,
                                       0xff,       0x7fff,
                                       0x8000,     0x7fffffff,
                                       0x80000000, 0xffffffff,
                                       INT64_MAX,  (uint64_t)INT64_MIN,
                                       UINT64_MAX, 0xfffffffffffffff0 };

    if (chance(g, 60))
        return values[below(g, ARRAY_LEN(values))];
    return chance(g, 50) ? below(g, 64) : random_u64(&g->r);
}

static bool is_address_reg(unsigned n)
{
    for (unsigned i = 0; i < ARRAY_LEN(address_regs); i++)
        if (address_regs[i] == n)
            return true;
    return false;
}

static IrRef any_value(Gen *g, IrSize size)
{
    if (g->n_temps && chance(g, 30))
        return g->temps[below(g, g->n_temps)];
    if (chance(g, 25))
        return ir_k(g->b, interesting(g));
    if (size == IR_8 && chance(g, 25))
        return ir_g_high(below(g, 4));
    return ir_g(below(g, N_GLOBALS));
}

static IrRef new_temp(Gen *g)
{
    if (g->n_temps == ARRAY_LEN(g->temps))
        return g->temps[below(g, g->n_temps)];
    return g->temps[g->n_temps++] = ir_temp(g->b);
}

static IrRef any_global(Gen *g, IrSize size)
{
    unsigned n;

    g->written = true;
    if (size == IR_8 && chance(g, 25))
        return ir_g_high(below(g, 4));
    do {
        n = below(g, N_GLOBALS);
    } while (is_address_reg(n));
    return ir_g(n);
}

static IrRef any_result(Gen *g, IrSize size)
{
    return chance(g, 30) ? new_temp(g) : any_global(g, size);
}

/* A result that is also read. */
static IrRef any_updated(Gen *g)
{
    if (g->n_temps && chance(g, 30))
        return g->temps[below(g, g->n_temps)];
    return any_global(g, IR_64);
}

static IrOp *emit(Gen *g, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef b, IrRef c)
{
    IrOp *o = ir_emit(g->b, op, size, d, a, b, c);

    if (ir_op_info[op].flags_written && op != IR_vop && chance(g, 70)) {
        o->attr |= IR_SETF;
        g->written = true;
    }
    if (o->attr & IR_SETF)
        g->written = true;
    return o;
}

/* Base and index small enough that the sum is in the window, or nearly. */
static IrRef any_memory(Gen *g, unsigned attr)
{
    IrMem m = { .base = ir_g(address_regs[below(g, 3)]), .asize = IR_64, .lsize = IR_64 };

    m.disp = (int)below(g, 0x3000) - 0x800;
    if (attr & MEM_ALIGN || chance(g, 70))
        m.disp &= ~15;
    m.mmu = below(g, MMU_CLASSES);
    m.attr = attr;
    if (chance(g, 30)) {
        IrRef value = any_value(g, IR_64), t = new_temp(g);

        ir_emit(g->b, IR_and, IR_64, t, value, ir_k(g->b, 0x1ff8), REF_NONE);
        m.index = t;
        m.scale = below(g, 4);
    }
    if (chance(g, 25)) {
        m.asize = IR_16 + below(g, 2);
        m.lsize = IR_32;
        if (m.asize == IR_16 && chance(g, 50))
            m.index = ir_g(below(g, 16));
    }
    if (chance(g, 20)) {
        m.attr |= MEM_SEG | (chance(g, 50) ? MEM_LIMIT : 0);
        m.seg = below(g, 3);
    }
    if (chance(g, 5)) {
        m.base = m.index = REF_NONE;
        m.disp = below(g, WINDOW);
    } else if (m.asize == IR_64 && m.lsize == IR_64 && chance(g, 5)) {
        m.base = m.index = REF_NONE;
        m.pcrel = true;
        m.disp = (int)below(g, WINDOW) - CODE;
    }
    return ir_mem(g->b, &m);
}

static IrSize size_from(Gen *g, IrSize smallest)
{
    return smallest + below(g, IR_64 - smallest + 1);
}

/* -- one operation each */

static void gen_binary(Gen *g)
{
    static const uint8_t ops[] = { IR_add, IR_adc, IR_sub, IR_sbb, IR_and, IR_or, IR_xor, IR_andn };
    IrSize size = size_from(g, IR_8);
    IrRef a = any_value(g, size), b = any_value(g, size);
    IrRef d = any_result(g, size);

    if (chance(g, 50) && ref_kind(d) == REF_G)
        a = d;
    emit(g, ops[below(g, ARRAY_LEN(ops))], size, d, a, b, REF_NONE);
}

static void gen_compare(Gen *g)
{
    IrSize size = size_from(g, IR_8);
    IrRef a = any_value(g, size);

    emit(g, chance(g, 60) ? IR_cmp : IR_test, size, REF_NONE, a,
         chance(g, 20) ? a : any_value(g, size), REF_NONE);
}

static void gen_unary(Gen *g)
{
    static const uint8_t ops[] = { IR_neg, IR_not, IR_inc, IR_dec, IR_inc, IR_dec, IR_mov };
    IrSize size = size_from(g, IR_8);
    IrRef a = any_value(g, size), d = any_result(g, size);

    if (chance(g, 60) && ref_kind(d) == REF_G)
        a = d;
    emit(g, ops[below(g, ARRAY_LEN(ops))], size, d, a, REF_NONE, REF_NONE);
}

static void gen_extend(Gen *g)
{
    IrSize size = size_from(g, IR_16), from = below(g, size);
    IrRef a = any_value(g, from), d = any_result(g, size);

    emit(g, chance(g, 50) ? IR_movzx : IR_movsx, size, d, a, REF_NONE, REF_NONE)->size2 = from;
}

static void gen_lea(Gen *g)
{
    IrRef m = any_memory(g, 0);

    emit(g, IR_lea, size_from(g, IR_16), any_result(g, IR_64), m, REF_NONE, REF_NONE);
}

static void gen_multiply(Gen *g)
{
    IrSize size = size_from(g, IR_16);
    IrRef a = any_value(g, size), b = any_value(g, size);

    if (chance(g, 50)) {
        emit(g, IR_mul, size, any_result(g, size), a, b, REF_NONE);
    } else if (chance(g, 30)) {
        a = any_value(g, IR_8);
        b = any_value(g, IR_8);
        emit(g, chance(g, 50) ? IR_mulu : IR_muls, IR_8, ir_g(0), a, b, REF_NONE);
        g->written = true;
    } else if (chance(g, 50)) {
        emit(g, chance(g, 50) ? IR_mulu : IR_muls, size, ir_g(0), ir_g(0), b, ir_g(2));
        g->written = true;
    } else {
        IrRef d = any_result(g, size), c = any_result(g, size);

        if (d != c)
            emit(g, chance(g, 50) ? IR_mulu : IR_muls, size, d, a, b, c);
        else
            emit(g, IR_mul, size, d, a, b, REF_NONE);
    }
}

static IrRef any_count(Gen *g)
{
    return chance(g, 50) ? ir_k(g->b, below(g, 70)) : chance(g, 50) ? ir_g(1) : any_value(g, IR_64);
}

static void gen_shift(Gen *g)
{
    IrSize size = size_from(g, IR_8);
    IrRef a = any_value(g, size), count = any_count(g), d = any_result(g, size);

    if (chance(g, 60) && ref_kind(d) == REF_G)
        a = d;
    emit(g, IR_shl + below(g, IR_rcr - IR_shl + 1), size, d, a, count, REF_NONE);
}

static void gen_double_shift(Gen *g)
{
    IrSize size = size_from(g, IR_32);
    IrRef a = any_value(g, size), b = any_value(g, size), count = any_count(g);

    emit(g, chance(g, 50) ? IR_shld : IR_shrd, size, any_result(g, size), a, b, count);
}

static void gen_bit(Gen *g)
{
    IrSize size = size_from(g, IR_16);
    IrOpcode op = IR_bt + below(g, 4);
    IrRef a = any_value(g, size), b = any_value(g, size);

    emit(g, op, size, op == IR_bt ? REF_NONE : any_result(g, size), a, b, REF_NONE);
}

static void gen_count(Gen *g)
{
    static const uint8_t ops[] = { IR_lzcnt, IR_tzcnt, IR_popcnt, IR_bswap };
    IrSize size = size_from(g, IR_16);
    IrRef a = any_value(g, size);

    if (chance(g, 40))
        emit(g, chance(g, 50) ? IR_bsf : IR_bsr, size, any_updated(g), a, REF_NONE, REF_NONE);
    else
        emit(g, ops[below(g, ARRAY_LEN(ops))], size, any_result(g, size), a, REF_NONE, REF_NONE);
}

static void gen_crc32(Gen *g)
{
    IrSize from = size_from(g, IR_8);
    IrRef a = any_value(g, IR_32), b = any_value(g, from);

    emit(g, IR_crc32, chance(g, 50) ? IR_32 : IR_64, any_result(g, IR_32), a, b, REF_NONE)->size2 =
        from;
}

static void gen_condition(Gen *g)
{
    IrSize size = size_from(g, IR_16);
    IrRef a = any_value(g, size);

    if (chance(g, 50))
        emit(g, IR_setcc, IR_8, any_result(g, IR_8), REF_NONE, REF_NONE, REF_NONE)->cc =
            below(g, 16);
    else
        emit(g, IR_cmovcc, size, any_updated(g), a, REF_NONE, REF_NONE)->cc = below(g, 16);
}

static void gen_flags(Gen *g)
{
    IrRef a = any_value(g, IR_32);

    switch (below(g, 4)) {
    case 0: emit(g, IR_getflags, IR_64, any_result(g, IR_64), REF_NONE, REF_NONE, REF_NONE); break;
    case 1:
        emit(g, IR_setflags, IR_32, REF_NONE, a, REF_NONE, REF_NONE)->imm =
            random_u64(&g->r) & FLAGS_ALL;
        break;
    case 2:
        emit(g, IR_setflags, IR_32, REF_NONE, ir_k(g->b, below(g, 2)), REF_NONE, REF_NONE)->imm =
            FLAG_CF;
        break;
    default: emit(g, IR_cmc, IR_32, REF_NONE, REF_NONE, REF_NONE, REF_NONE); break;
    }
}

static void gen_load(Gen *g)
{
    IrSize size = size_from(g, IR_8);
    IrRef m = any_memory(g, chance(g, 10) ? MEM_WRITE : chance(g, 5) ? MEM_ALIGN : 0);
    IrRef d = chance(g, 60) ? new_temp(g) : any_global(g, size);
    unsigned attr = ref_kind(d) == REF_T && chance(g, 30) ? IR_SIGNED : 0;

    emit(g, IR_ld, size, d, m, REF_NONE, REF_NONE)->attr |= attr;
}

static void gen_store(Gen *g)
{
    IrSize size = size_from(g, IR_8);
    IrRef m = any_memory(g, 0);

    emit(g, IR_st, size, REF_NONE, m, any_value(g, size), REF_NONE);
}

static void gen_modify(Gen *g)
{
    unsigned sub = below(g, RMW_COUNT);
    bool bit = sub >= RMW_BTS && sub <= RMW_BTC, shift = sub >= RMW_ROL;
    IrSize size = size_from(g, bit ? IR_16 : IR_8);
    IrRef m = any_memory(g, 0);
    IrRef b = shift                              ? any_count(g)
              : sub >= RMW_INC && sub <= RMW_NOT ? REF_NONE
                                                 : any_value(g, size);
    bool old = chance(g, 40);
    bool lock = !shift && (!old || sub == RMW_ADD || sub == RMW_XCHG) && chance(g, 50);
    IrRef d = old ? any_result(g, size) : REF_NONE;
    IrOp *op = emit(g, IR_rmw, size, d, m, b, REF_NONE);

    op->cc = sub;
    op->attr |= lock ? IR_LOCK : 0;
    g->written = true;
}

static void gen_cmpxchg(Gen *g)
{
    IrSize size = size_from(g, IR_8);
    IrRef m = any_memory(g, 0), b = chance(g, 50) ? ir_g(0) : any_value(g, size);
    IrRef c = any_value(g, size);

    emit(g, IR_cmpxchg, size, new_temp(g), m, b, c)->attr |= chance(g, 50) ? IR_LOCK : 0;
    g->written = true;
}

static IrRef any_vector(Gen *g)
{
    return ir_v(chance(g, 85) ? below(g, 6) : chance(g, 50) ? below(g, 16) : V_TEMP + below(g, 4));
}

static void gen_vector_memory(Gen *g)
{
    IrSize size = IR_32 + below(g, 3);
    IrRef m = any_memory(g, chance(g, 20) ? MEM_ALIGN : 0);

    if (chance(g, 50)) {
        emit(g, IR_ldv, size, any_vector(g), m, REF_NONE, REF_NONE);
        g->written = true;
    } else {
        emit(g, IR_stv, size, REF_NONE, m, any_vector(g), REF_NONE);
    }
}

static void gen_vop(Gen *g)
{
    unsigned id = below(g, VOP_COUNT);
    const Vop *v = &vops[id];
    bool general = v->form == V_RM_G || v->form == G_RM_V || v->form == RM_G_V;
    bool mem_ok = !g->written && v->mem > 1 && v->form != V_RM_G && v->form != RM_G_V &&
                  !(v->attr & VOP_NO_HOST) && !strstr(v->name, "hlps") &&
                  !strstr(v->name, "lhps") && strcmp(v->name, "insertps") != 0;
    bool mem = mem_ok && (v->attr & VOP_MEM || chance(g, 40));

    if (v->attr & VOP_MMX || (v->attr & VOP_MEM && !mem) || !strncmp(v->name, "r", 1))
        return; /* RCP and RSQRT are approximations of the host's own */
    IrRef b = mem                 ? any_memory(g, v->mem == 16 ? MEM_ALIGN : 0)
              : v->form == V_RM_G ? any_value(g, IR_64)
              : v->form == V_IMM  ? REF_NONE
                                  : any_vector(g);
    IrRef d = v->form == F_RM ? REF_NONE
              : v->form == G_RM_V || v->form == RM_G_V
                  ? (chance(g, 30) ? new_temp(g) : any_global(g, IR_32))
                  : any_vector(g);
    IrRef a = v->form == G_RM_V || v->form == RM_G_V ? REF_NONE : any_vector(g);

    if (v->form != F_RM && !general && (chance(g, 60) || strstr(v->name, "blendv")))
        a = d; /* BLENDV has its mask in register 0, which must not be overwritten before */
    IrOp *op = ir_emit(g->b, IR_vop, v->attr & VOP_W ? IR_64 : IR_32, d, a, b, REF_NONE);

    op->imm = id;
    op->size2 = below(g, 256);
    op->attr |= v->form == F_RM && chance(g, 80) ? IR_SETF : 0;
    g->written = true;
}

static void gen_call(Gen *g)
{
    static const IrHelper *const helpers[] = { &h_pure, &h_maybe, &h_write, &h_flags, &h_vectors };
    const IrHelper *h = helpers[below(g, ARRAY_LEN(helpers))];
    IrRef args[3];

    if (g->written && h->flags & HELPER_FAULTS)
        return;
    for (unsigned i = 0; i < 3; i++)
        args[i] = any_value(g, IR_64);
    ir_call(g->b, h, chance(g, 70) ? any_result(g, IR_64) : REF_NONE, args[0], args[1], args[2]);
    if (h != &h_pure && h != &h_maybe)
        g->written = true;
}

static void gen_side_exit(Gen *g, uint32_t target)
{
    unsigned kind = below(g, 3);
    IrOpcode op = kind == 0 ? IR_jz : kind == 1 ? IR_jnz : IR_jcc;
    IrSize width = size_from(g, IR_8);
    IrRef a = kind == 2 ? REF_NONE : any_value(g, width);
    IrOp *o = ir_emit(g->b, op, IR_64, REF_NONE, a, REF_NONE, REF_NONE);

    o->imm = target;
    o->size2 = width;
    o->cc = below(g, 16);
}

/* An address register steps on. */
static void gen_step(Gen *g)
{
    IrRef r = ir_g(address_regs[below(g, 3)]);

    emit(g, chance(g, 50) ? IR_add : IR_sub, IR_64, r, r, ir_k(g->b, below(g, 40)), REF_NONE);
    g->written = true;
}

typedef void GenFn(Gen *g);
static GenFn *const anywhere[] = {
    gen_binary, gen_binary, gen_binary,       gen_compare, gen_compare, gen_unary, gen_extend,
    gen_lea,    gen_shift,  gen_multiply,     gen_shift,   gen_bit,     gen_count, gen_condition,
    gen_flags,  gen_call,   gen_double_shift, gen_crc32,   gen_vop,     gen_vop,   gen_step,
};
static GenFn *const faulting[] = {
    gen_load, gen_load, gen_load, gen_store, gen_store, gen_modify, gen_cmpxchg, gen_vector_memory,
};

static void gen_insn(Gen *g, uint32_t at, uint32_t block)
{
    unsigned n = 1 + below(g, 5);

    ir_insn(g->b, at);
    g->n_temps = 0;
    g->written = false;
    for (unsigned i = 0; i < n; i++) {
        if (!g->written && chance(g, 40))
            faulting[below(g, ARRAY_LEN(faulting))](g);
        else
            anywhere[below(g, ARRAY_LEN(anywhere))](g);
    }
    if (chance(g, 15))
        gen_side_exit(g, block + STEP * (1 + below(g, 3)));
}

static void gen_end(Gen *g, uint32_t block)
{
    uint32_t next = block + STEP * (1 + below(g, 3));

    switch (below(g, 4)) {
    case 0:
        ir_emit(g->b, IR_jmpr, IR_64, REF_NONE, ir_k(g->b, CODE + next), REF_NONE, REF_NONE);
        break;
    case 1: ir_emit(g->b, IR_exit, IR_64, 0, 0, 0, 0)->imm = next; break;
    default: ir_emit(g->b, IR_jmp, IR_64, 0, 0, 0, 0)->imm = next; break;
    }
}

static void fake_translate(Cpu *cpu, IrBlock *b, CodeWindow *code, unsigned max_insns)
{
    Gen g = { .b = b, .r.state = fake(cpu)->seed * 1000 + code->start };
    unsigned n = 1 + below(&g, STEP - 1), at = code->start;

    b->end = code->start + STEP;
    if (code->start >= LAST || code->start >= fake(cpu)->cut) {
        ir_insn(b, at);
        ir_call(b, &h_halt, REF_NONE, REF_NONE, REF_NONE, REF_NONE);
        ir_emit(b, IR_exit, IR_64, 0, 0, 0, 0);
        return;
    }
    for (unsigned i = 0; i < n && i < max_insns && ir_has_room(b) && at < fake(cpu)->cut; i++)
        gen_insn(&g, at++, code->start);
    gen_end(&g, code->start);
}

static const GuestArch fake_guest = {
    .name = "random",
    .state_size = sizeof(Fake),
    .n_globals = N_GLOBALS,
    .init = fake_init,
    .reset = fake_reset,
    .code_address = fake_code_address,
    .translate = fake_translate,
    .walk = fake_walk,
    .limit_slow = fake_limit_slow,
    .misaligned = fake_misaligned,
    .fp_exception = fake_fp_exception,
    .deliver = fake_deliver,
    .deliverable = fake_deliverable,
};

/* -- running both */

static void set_state(Machine *m, uint64_t seed, uint32_t cut)
{
    Random r = { seed };
    Cpu *cpu = m->cpu;

    fake(cpu)->seed = seed;
    fake(cpu)->cut = cut;
    fake(cpu)->faults = fake(cpu)->fault_va = fake(cpu)->fault_pc = fake(cpu)->fault_flags = 0;
    m->mmio_writes = m->mmio_value = 0;
    for (unsigned i = 0; i < 40; i++)
        cpu->gpr[i] = random_below(&r, 3) ? random_u64(&r) : random_below(&r, 256);
    for (unsigned i = 0; i < ARRAY_LEN(address_regs); i++)
        cpu->gpr[address_regs[i]] = random_below(&r, WINDOW - 0x4000) & ~15u;
    for (unsigned i = 0; i < V_COUNT; i++)
        cpu->vec[i] = random_vector(&r);
    for (unsigned i = 0; i < 8; i++) {
        cpu->seg[i].base = random_below(&r, 0x800) & ~15u;
        cpu->seg[i].read_end = cpu->seg[i].write_end = random_below(&r, WINDOW);
    }
    cpu->mxcsr = random_mxcsr(&r);
    cpu_set_flags(cpu, random_u64(&r));
    cpu->pc = CODE;
    cpu->halted = false;
    for (unsigned i = 0; i < WINDOW + 0x2000; i += 8)
        memcpy(m->ram + i, &(uint64_t) { random_u64(&r) }, 8);
    m->mmio_answer = random_u64(&r);
    tcg_invalidate(m->tcg, CODE, 0x1000);
    tlb_flush(cpu); /* what faults depends on the seed */
}

static Machine *start(const char *backend)
{
    Machine *m = machine_new_config((TcgConfig) { .backend = backend, .cache_size = 32 << 20 }, 1);

    machine_cpu(m, &fake_guest, NULL);
    return m;
}

static bool tell; /* print what differs */

static bool differ(const char *what, unsigned i, uint64_t want, uint64_t got)
{
    if (want != got && tell)
        print_error("%s %u is %#llx, not %#llx\n", what, i, (unsigned long long)got,
                    (unsigned long long)want);
    return want != got;
}

static unsigned compare(Machine *a, Machine *b)
{
    Cpu *x = a->cpu, *y = b->cpu;
    unsigned bad = 0;

    for (unsigned i = 0; i < 40; i++)
        bad += differ("register", i, x->gpr[i], y->gpr[i]);
    for (unsigned i = 0; i < V_COUNT; i++)
        for (unsigned k = 0; k < 2; k++)
            bad += differ(k ? "high half of vector" : "low half of vector", i, x->vec[i].q[k],
                          y->vec[i].q[k]);
    bad += differ("mxcsr", 0, x->mxcsr, y->mxcsr);
    bad += differ("flags", 0, cpu_flags(x), cpu_flags(y));
    bad += differ("pc", 0, x->pc, y->pc);
    bad += differ("faults", 0, fake(x)->faults, fake(y)->faults);
    bad += differ("fault address", 0, fake(x)->fault_va, fake(y)->fault_va);
    bad += differ("fault pc", 0, fake(x)->fault_pc, fake(y)->fault_pc);
    bad += differ("fault flags", 0, fake(x)->fault_flags, fake(y)->fault_flags);
    bad += differ("device writes", 0, a->mmio_writes, b->mmio_writes);
    bad += differ("device value", 0, a->mmio_value, b->mmio_value);
    bad += differ("memory", 0, 0, memcmp(a->ram, b->ram, WINDOW + 0x2000) != 0);
    return bad;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Run the program as far as `cut`: how much differs? */
static unsigned differences(Machine *a, Machine *b, uint64_t seed, uint32_t cut)
{
    set_state(a, seed, cut);
    set_state(b, seed, cut);
    assert_int_equal(cpu_run(a->cpu), RUN_HALTED);
    assert_int_equal(cpu_run(b->cpu), RUN_HALTED);
    return compare(a, b);
}

/* The shortest beginning of the program that shows it. */
static void report(Machine *a, Machine *b, uint64_t seed)
{
    uint32_t cut = 1;

    while (cut < LAST && !differences(a, b, seed, cut))
        cut++;
    print_error("seed %llu: instruction %#x\n", (unsigned long long)seed, cut - 1);
    tell = true;
    differences(a, b, seed, cut);
    tell = false;
}

static void agrees_with_the_interpreter(void **state)
{
    uint64_t seed = number("HOST_SEED", 1), rounds = number("HOST_ROUNDS", 2000);
    uint32_t cut = number("HOST_CUT", UINT32_MAX);
    Machine *a = start("interp"), *b = start("x86_64");
    unsigned bad = 0, faults = 0;

    (void)state;
    for (uint64_t i = 0; i < rounds && bad < 5; i++, seed++) {
        if (differences(a, b, seed, cut)) {
            report(a, b, seed);
            bad++;
        }
        faults += fake(a->cpu)->faults;
    }
    print_message("# %llu programs, %u ended with a fault\n", (unsigned long long)rounds, faults);
    assert_int_equal(bad, 0);
    machine_free(a);
    machine_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_the_interpreter) };

#ifndef __x86_64__
    puts("1..0 # SKIP not an x86-64 host");
    return 0;
#endif
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
