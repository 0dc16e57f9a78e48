/*
 * x87_state.c - the register stack, status, and the exceptions of an instruction.
 *
 * SDM volume 1, chapter 8. An unmasked exception sets ES; the next waiting instruction reports it.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"

/* -- words */
uint16_t x87_status(const X86Cpu *x)
{
    return x->fpu.sw | x->fpu.top << 11;
}

static void update_summary(X86Cpu *x)
{
    bool pending = x->fpu.sw & ~x->fpu.cw & FP_ALL;

    x->fpu.sw &= ~(X87_ES | X87_B);
    x->fpu.sw |= pending ? X87_ES | X87_B : 0;
}

void x87_set_status(X86Cpu *x, uint16_t sw)
{
    x->fpu.top = sw >> 11 & 7;
    x->fpu.sw = sw & ~(7 << 11);
    update_summary(x);
}

void x87_set_control(X86Cpu *x, uint16_t cw)
{
    x->fpu.cw = (cw & X87_CW_VALID) | X87_CW_ONE;
    update_summary(x);
}

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const VReg *r)
{
    unsigned exp = r->w[4] & 0x7fff;

    if (exp == 0 && r->q[0] == 0)
        return TAG_ZERO;
    return exp == 0 || exp == 0x7fff || !(r->q[0] >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t x87_tag_word(const X86Cpu *x)
{
    uint16_t word = 0;

    for (unsigned i = 0; i < 8; i++)
        word |= (x->fpu.tags >> i & 1 ? tag_of(&x->c.vec[V_MM + i]) : TAG_EMPTY) << 2 * i;
    return word;
}

void x87_set_tag_word(X86Cpu *x, uint16_t tags)
{
    x->fpu.tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & 3) != TAG_EMPTY)
            x->fpu.tags |= 1 << i;
}

void x87_init(X86Cpu *x)
{
    x->fpu.cw = X87_CW_INIT;
    x->fpu.sw = x->fpu.top = x->fpu.tags = 0;
    x->fpu.opcode = x->fpu.cs = x->fpu.ds = 0;
    x->fpu.ip = x->fpu.dp = 0;
}

/* -- the stack */
VReg *x87_reg(X86Cpu *x, unsigned i)
{
    return &x->c.vec[V_MM + ((x->fpu.top + i) & 7)];
}

bool x87_empty(const X86Cpu *x, unsigned i)
{
    return !(x->fpu.tags >> ((x->fpu.top + i) & 7) & 1);
}

Fp x87_get(X86Cpu *x, unsigned i)
{
    const VReg *r = x87_reg(x, i);

    return fp_unpack80(r->q[0], r->w[4]);
}

void x87_put(X86Cpu *x, unsigned i, Fp v)
{
    VReg *r = x87_reg(x, i);

    r->q[0] = fp_pack80(v, &r->w[4]);
    x->fpu.tags |= 1 << ((x->fpu.top + i) & 7);
}

void x87_push(X86Cpu *x, Fp v)
{
    x->fpu.top = (x->fpu.top - 1) & 7;
    x87_put(x, 0, v);
}

void x87_free(X86Cpu *x, unsigned i)
{
    x->fpu.tags &= ~(1 << ((x->fpu.top + i) & 7));
}

void x87_pop(X86Cpu *x)
{
    x87_free(x, 0);
    x->fpu.top = (x->fpu.top + 1) & 7;
}

/* -- one instruction */

/* Without CR0.NE the error leaves the CPU as FERR#, which a PC makes interrupt 13. */
static void assert_ferr(X86Cpu *x)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (!(x->cr0 & CR0_NE) && bus->ferr)
        bus->ferr(bus->opaque);
}

void x87_check_pending(X86Cpu *x)
{
    if (likely(!(x->fpu.sw & X87_ES)))
        return;
    if (x->cr0 & CR0_NE)
        x86_raise(x, EXC_MF);
    assert_ferr(x);
}

static void report(X86Cpu *x)
{
    x->fpu.sw |= X87_ES | X87_B;
    assert_ferr(x);
}

X86Cpu *x87_begin(Cpu *cpu, uint64_t desc, uint64_t off)
{
    X86Cpu *x = x86(cpu);

    x87_check_pending(x);
    x->fpu.opcode = desc & 0x7ff;
    x->fpu.ip = x86_pc_at(cpu, (int64_t)desc >> X87_AT);
    x->fpu.cs = x->seg[SEG_CS].selector;
    if (desc & X87_HAS_MEM) {
        x->fpu.dp = off;
        x->fpu.ds = x->seg[desc >> X87_SEG & 7].selector;
    }
    return x;
}

FpEnv x87_env(const X86Cpu *x)
{
    return (FpEnv) { .rounding = x->fpu.cw >> 10 & 3, .masked = x->fpu.cw & FP_ALL, .x87 = true };
}

FpFormat x87_precision(const X86Cpu *x)
{
    static const uint8_t bits[4] = { 24, 64, 53, 64 };

    return (FpFormat) { bits[x->fpu.cw >> 8 & 3], fp_extended.emin, fp_extended.emax };
}

/* The sticky flags and C1; which of them are unmasked. */
static unsigned take_flags(X86Cpu *x, const FpEnv *env)
{
    unsigned flags = env->flags, unmasked = flags & ~x->fpu.cw;

    if (unmasked & FP_EARLY)
        flags &= FP_EARLY;
    x->fpu.sw &= ~X87_C1;
    x->fpu.sw |= flags | (flags & FP_PE && env->up ? X87_C1 : 0);
    if (unmasked)
        report(x);
    return unmasked;
}

/* What is not stored is not inexact. */
bool x87_end(X86Cpu *x, const FpEnv *env)
{
    FpEnv e = *env;

    if (e.flags & ~e.masked & (FP_OE | FP_UE))
        e.flags &= ~FP_PE;
    return !(take_flags(x, &e) & ~FP_PE);
}

bool x87_end_reg(X86Cpu *x, const FpEnv *env)
{
    return !(take_flags(x, env) & FP_EARLY);
}

bool x87_stack_fault(X86Cpu *x, bool overflow)
{
    x->fpu.sw &= ~X87_C1;
    x->fpu.sw |= FP_IE | X87_SF | (overflow ? X87_C1 : 0);
    if (x->fpu.cw & FP_IE)
        return true;
    report(x);
    return false;
}

void x87_set_cc(X86Cpu *x, unsigned cc)
{
    x->fpu.sw = (x->fpu.sw & ~X87_CC) | cc;
}
