/*
 * x87_arith.c - x87 arithmetic and comparison: opcodes D8, DA, DC, DE, and the comparisons.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"

/* ModRM.reg of D8: what ST(0) = ST(0) op source is. */
enum { OP_ADD, OP_MUL, OP_COM, OP_COMP, OP_SUB, OP_SUBR, OP_DIV, OP_DIVR };

static Fp compute(FpEnv *env, unsigned op, Fp st0, Fp src)
{
    switch (op) {
    case OP_ADD: return fp_add(env, st0, src);
    case OP_MUL: return fp_mul(env, st0, src);
    case OP_SUB: return fp_sub(env, st0, src);
    case OP_SUBR: return fp_sub(env, src, st0);
    case OP_DIV: return fp_div(env, st0, src);
    default: return fp_div(env, src, st0);
    }
}

/* ST(dest) = op; false: unmasked, nothing is written or popped. */
static bool arithmetic(X86Cpu *x, unsigned op, unsigned dest, bool empty, Fp src)
{
    FpEnv env = x87_env(x);
    FpFormat f = x87_precision(x);
    Fp r;

    if (empty) {
        if (!x87_stack_fault(x, false))
            return false;
        x87_put(x, dest, fp_default_nan());
        return true;
    }
    r = fp_round(&env, &f, compute(&env, op, x87_get(x, 0), src));
    if (!x87_end_reg(x, &env))
        return false;
    x87_put(x, dest, r);
    return true;
}

/* -- comparison */
static unsigned order_cc(FpOrder order)
{
    static const uint16_t cc[] = {
        [FP_LESS] = X87_C0, [FP_EQUAL] = X87_C3, [FP_GREATER] = 0, [FP_UNORDERED] = X87_CC
    };

    return cc[order];
}

/*
 * False: unmasked, nothing is popped; but condition codes or flags are set all the same (seen on
 * processors, other than the SDM has it). *order is unordered for an empty register.
 */
static bool compare(X86Cpu *x, bool empty, Fp src, bool quiet, FpOrder *order)
{
    FpEnv env = x87_env(x);

    *order = FP_UNORDERED;
    if (empty)
        return x87_stack_fault(x, false);
    *order = fp_compare(&env, x87_get(x, 0), src, !quiet);
    return x87_end(x, &env);
}

static bool compare_cc(X86Cpu *x, bool empty, Fp src, bool quiet)
{
    FpOrder order;
    bool masked = compare(x, empty, src, quiet, &order);

    x87_set_cc(x, order_cc(order));
    return masked;
}

/* -- with a memory operand: D8 m32, DA m32int, DC m64, DE m16int */
static Fp memory_operand(const FpEnv *env, unsigned opcode, uint64_t value)
{
    switch (opcode) {
    case 0: return fp_unpack32(env, value);
    case 2: return fp_from_int((int32_t)value);
    case 4: return fp_unpack64(env, value);
    default: return fp_from_int((int16_t)value);
    }
}

static uint64_t arith_mem(Cpu *cpu, uint64_t desc, uint64_t value, uint64_t off)
{
    X86Cpu *x = x87_begin(cpu, desc, off);
    unsigned op = x87_reg_field(desc);
    FpEnv env = x87_env(x);
    Fp src = memory_operand(&env, x87_opcode(desc), value);

    if (op != OP_COM && op != OP_COMP)
        arithmetic(x, op, 0, x87_empty(x, 0), src);
    else if (compare_cc(x, x87_empty(x, 0), src, false) && op == OP_COMP)
        x87_pop(x);
    return 0;
}
const IrHelper x86_h_x87_arith_mem = { "x87_arith_mem", arith_mem, HELPER_FAULTS | HELPER_VECTORS };

/* -- between registers: D8 into ST(0), DC into ST(i), DE the same and pop */
static uint64_t arith_reg(Cpu *cpu, uint64_t desc)
{
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned i = desc & 7, opcode = x87_opcode(desc), dest = opcode ? i : 0;
    bool empty = x87_empty(x, 0) || x87_empty(x, i);

    if (arithmetic(x, x87_reg_field(desc), dest, empty, x87_get(x, i)) && opcode == 6)
        x87_pop(x);
    return 0;
}
const IrHelper x86_h_x87_arith_reg = { "x87_arith_reg", arith_reg, HELPER_FAULTS | HELPER_VECTORS };

/* FCOM FCOMP FCOMPP FUCOM FUCOMP FUCOMPP; FCOMPP is DE D9, FUCOMPP DA E9. */
static uint64_t compare_reg(Cpu *cpu, uint64_t desc)
{
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned i = desc & 7, opcode = x87_opcode(desc), modrm = x87_modrm(desc);
    bool quiet = modrm >= 0xe0, twice = (opcode == 6 && modrm == 0xd9) || opcode == 2;
    bool pops = twice || (modrm & 8) || opcode == 6;

    if (!compare_cc(x, x87_empty(x, 0) || x87_empty(x, i), x87_get(x, i), quiet))
        return 0;
    if (pops)
        x87_pop(x);
    if (twice)
        x87_pop(x);
    return 0;
}
const IrHelper x86_h_x87_compare = { "x87_compare", compare_reg, HELPER_FAULTS | HELPER_VECTORS };

/* DB F0 FCOMI, DB E8 FUCOMI; DF: and pop. */
static uint64_t compare_flags(Cpu *cpu, uint64_t desc)
{
    static const uint8_t flags[] = { [FP_LESS] = FLAG_CF,
                                     [FP_EQUAL] = FLAG_ZF,
                                     [FP_GREATER] = 0,
                                     [FP_UNORDERED] = FLAG_ZF | FLAG_PF | FLAG_CF };
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned i = desc & 7;
    bool quiet = x87_modrm(desc) < 0xf0, empty = x87_empty(x, 0) || x87_empty(x, i);
    unsigned c1 = x->fpu.sw & X87_C1; /* stays, but for a stack fault */
    FpOrder order;
    bool masked = compare(x, empty, x87_get(x, i), quiet, &order);

    x->fpu.sw |= empty ? 0 : c1;
    cpu_set_flags(cpu, flags[order]);
    if (masked && x87_opcode(desc) == 7)
        x87_pop(x);
    return 0;
}
const IrHelper x86_h_x87_comi = { "x87_comi", compare_flags,
                                  HELPER_FAULTS | HELPER_VECTORS | HELPER_FLAGS };

/* `taken`: the condition held. */
static uint64_t conditional_move(Cpu *cpu, uint64_t desc, uint64_t taken)
{
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned i = desc & 7;

    if (x87_empty(x, 0) || x87_empty(x, i)) {
        if (x87_stack_fault(x, false))
            x87_put(x, 0, fp_default_nan());
        return 0;
    }
    if (taken & 1)
        *x87_reg(x, 0) = *x87_reg(x, i);
    return 0;
}
const IrHelper x86_h_x87_cmov = { "x87_cmov", conditional_move, HELPER_FAULTS | HELPER_VECTORS };
