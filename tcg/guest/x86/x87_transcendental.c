/*
 * x87_transcendental.c - F2XM1 FYL2X FPTAN FPATAN FYL2XP1 FSINCOS FSIN FCOS: the stack around the
 * functions of x87_host.h.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"
#include "tcg/guest/x86/x87_host.h"

static bool takes_two(unsigned modrm)
{
    return modrm == 0xf1 || modrm == 0xf3 || modrm == 0xf9;
}

static bool pushes(unsigned modrm)
{
    return modrm == 0xf2 || modrm == 0xfb;
}

/* FPTAN FSINCOS FSIN FCOS leave ST(0) alone and set C2 if it is out of range. */
static bool trigonometric(unsigned modrm)
{
    return pushes(modrm) || modrm >= 0xfe;
}

static void put_raw(X86Cpu *x, unsigned i, const Float80 *v)
{
    VReg *r = x87_reg(x, i);

    r->q[0] = v->sig;
    r->w[4] = v->sign_exp;
}

/* A register is missing or in the way: false, and the default NaN where results would be. */
static bool stack_allows(X86Cpu *x, unsigned modrm)
{
    bool empty = x87_empty(x, 0) || (takes_two(modrm) && x87_empty(x, 1));
    bool full = pushes(modrm) && !x87_empty(x, 7);

    if (!empty && !full)
        return true;
    if (!x87_stack_fault(x, !empty))
        return false;
    x87_put(x, takes_two(modrm), fp_default_nan());
    if (takes_two(modrm))
        x87_pop(x);
    if (pushes(modrm))
        x87_push(x, fp_default_nan());
    return false;
}

static void write_results(X86Cpu *x, unsigned modrm, const Float80 a[2])
{
    if (takes_two(modrm))
        x87_pop(x);
    if (pushes(modrm)) {
        put_raw(x, 0, &a[1]);
        x87_push(x, fp_zero(false));
    }
    put_raw(x, 0, &a[0]);
}

void x87_transcendental(X86Cpu *x, unsigned modrm)
{
    FpEnv env = x87_env(x);
    Float80 a[2] = { { x87_reg(x, 0)->q[0], x87_reg(x, 0)->w[4] },
                     { x87_reg(x, 1)->q[0], x87_reg(x, 1)->w[4] } };
    uint16_t sw;

    if (trigonometric(modrm))
        x->fpu.sw &= ~X87_C2;
    if (!stack_allows(x, modrm))
        return;
    if (!takes_two(modrm))
        a[1] = (Float80) { 0 };
    sw = x87_host_run(modrm, x->fpu.cw, a);
    env.flags = sw & FP_ALL;
    env.up = sw & X87_C1;
    if (!x87_end_reg(x, &env))
        return;
    if (trigonometric(modrm))
        x->fpu.sw |= sw & X87_C2;
    if (!trigonometric(modrm) || !(sw & X87_C2))
        write_results(x, modrm, a);
}
