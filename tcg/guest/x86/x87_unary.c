/*
 * x87_unary.c - the instructions D9 E0 to D9 FF: sign, examination, constants, square root,
 * rounding, scaling, partial remainder; the transcendental ones are in x87_transcendental.c.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"

/* An instruction on ST(0) alone: false, if it is empty and the default NaN is its result (or not).
 */
static bool has_operand(X86Cpu *x)
{
    if (!x87_empty(x, 0))
        return true;
    if (x87_stack_fault(x, false))
        x87_put(x, 0, fp_default_nan());
    return false;
}

static bool has_operands(X86Cpu *x)
{
    if (!x87_empty(x, 1))
        return has_operand(x);
    if (x87_stack_fault(x, false))
        x87_put(x, 0, fp_default_nan());
    return false;
}

static void set_sign(X86Cpu *x, bool flip)
{
    VReg *r = x87_reg(x, 0);

    if (!has_operand(x))
        return;
    x->fpu.sw &= ~X87_C1;
    r->w[4] = flip ? r->w[4] ^ 0x8000 : r->w[4] & 0x7fff;
}

static void test(X86Cpu *x)
{
    static const uint16_t cc[] = {
        [FP_LESS] = X87_C0, [FP_EQUAL] = X87_C3, [FP_GREATER] = 0, [FP_UNORDERED] = X87_CC
    };
    FpEnv env = x87_env(x);
    FpOrder order = FP_UNORDERED;

    if (x87_empty(x, 0)) {
        x87_stack_fault(x, false);
    } else {
        order = fp_compare(&env, x87_get(x, 0), fp_zero(false), true);
        x87_end(x, &env);
    }
    x87_set_cc(x, cc[order]);
}

/* C3 C2 C0 name the class, C1 the sign (SDM volume 2, FXAM). */
static void examine(X86Cpu *x)
{
    static const uint16_t cc[] = {
        [FPC_ZERO] = X87_C3, [FPC_FINITE] = X87_C2, [FPC_INF] = X87_C2 | X87_C0,
        [FPC_QNAN] = X87_C0, [FPC_SNAN] = X87_C0,   [FPC_UNSUPPORTED] = 0
    };
    Fp v = x87_get(x, 0);

    x->fpu.sw &= ~X87_C1;
    x->fpu.sw |= x87_reg(x, 0)->w[4] >> 15 ? X87_C1 : 0;
    if (x87_empty(x, 0))
        x87_set_cc(x, X87_C3 | X87_C0);
    else
        x87_set_cc(x, v.denormal ? X87_C3 | X87_C2 : cc[v.cls]);
}

/* FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ: significand rounded to nearest, up, and down. */
static void load_constant(X86Cpu *x, unsigned n)
{
    static const struct {
        uint64_t nearest;
        int8_t up, down;
        int8_t exp;
    } table[] = {
        { 0x8000000000000000, 0, 0, 0 },   { 0xd49a784bcd1b8afe, 1, 0, 1 },
        { 0xb8aa3b295c17f0bc, 0, -1, 0 },  { 0xc90fdaa22168c235, 0, -1, 1 },
        { 0x9a209a84fbcff799, 0, -1, -2 }, { 0xb17217f7d1cf79ac, 0, -1, -1 },
    };
    unsigned rounding = x->fpu.cw >> 10 & 3;
    Fp v = fp_zero(false);

    if (n < ARRAY_LEN(table)) {
        int adjust = rounding == FP_NEAREST ? 0 : rounding == FP_UP ? table[n].up : table[n].down;

        v = (Fp) { .cls = FPC_FINITE, .exp = table[n].exp, .sig = table[n].nearest + adjust };
    }
    if (x87_empty(x, 7)) {
        x->fpu.sw &= ~X87_C1;
        x87_push(x, v);
    } else if (x87_stack_fault(x, true)) {
        x87_push(x, fp_default_nan());
    }
}

static void square_root(X86Cpu *x)
{
    FpEnv env = x87_env(x);
    FpFormat f = x87_precision(x);
    Fp r;

    if (!has_operand(x))
        return;
    r = fp_round(&env, &f, fp_sqrt(&env, x87_get(x, 0)));
    if (x87_end_reg(x, &env))
        x87_put(x, 0, r);
}

static void round_to_integer(X86Cpu *x)
{
    FpEnv env = x87_env(x);
    bool inexact;
    Fp r;

    if (!has_operand(x))
        return;
    r = fp_convert(&env, x87_get(x, 0));
    r = fp_integral(r, env.rounding, &inexact, &env.up);
    env.flags |= inexact ? FP_PE : 0;
    if (x87_end_reg(x, &env))
        x87_put(x, 0, r);
}

/* -- scaling */

/* ST(1) cut to an integer; more than any exponent can need becomes that. */
static int scale_amount(Fp v)
{
    enum { LIMIT = 1 << 17 };
    FpEnv env = { 0 };

    if (v.cls == FPC_ZERO)
        return 0;
    if (v.exp >= 17)
        return v.sign ? -LIMIT : LIMIT;
    return fp_to_int(&env, v, 32, FP_CHOP);
}

static Fp scaled(FpEnv *env, Fp a, Fp b)
{
    if (fp_is_nan(a) || fp_is_nan(b))
        return fp_nan2(env, a, b);
    if (b.cls == FPC_INF && a.cls == (b.sign ? FPC_INF : FPC_ZERO))
        return fp_invalid(env);
    fp_denormal(env, a, b);
    if (b.cls == FPC_INF && a.cls != FPC_INF && a.cls != FPC_ZERO)
        return b.sign ? fp_zero(a.sign) : fp_inf(a.sign);
    if (a.cls == FPC_FINITE)
        a.exp += scale_amount(b);
    return a;
}

void x87_scale(X86Cpu *x)
{
    FpEnv env = x87_env(x);
    Fp r;

    if (!has_operands(x))
        return;
    r = fp_round(&env, &fp_extended, scaled(&env, x87_get(x, 0), x87_get(x, 1)));
    if (x87_end_reg(x, &env))
        x87_put(x, 0, r);
}

/* ST(0) becomes its exponent, then its significand is pushed. */
void x87_extract(X86Cpu *x)
{
    FpEnv env = x87_env(x);
    Fp v = x87_get(x, 0), exp, sig;

    if (x87_empty(x, 0) || !x87_empty(x, 7)) {
        if (!x87_stack_fault(x, !x87_empty(x, 0)))
            return;
        exp = sig = fp_default_nan();
    } else {
        exp = sig = fp_convert(&env, v);
        if (v.cls == FPC_ZERO) {
            env.flags |= FP_ZE;
            exp = fp_inf(true);
        } else if (v.cls == FPC_INF) {
            exp.sign = false;
        } else if (v.cls == FPC_FINITE) {
            exp = fp_from_int(v.exp);
            sig.exp = 0;
        }
        if (!x87_end_reg(x, &env))
            return;
    }
    x87_put(x, 0, exp);
    x87_push(x, sig);
}

/* -- partial remainder */
typedef unsigned __int128 Wide;

/* |a| mod |b| of finite numbers with exponents at most 63 apart; *quotient: its low bits. */
static Fp reduce(Fp a, Fp b, uint64_t *quotient)
{
    uint64_t q = a.sig >= b.sig;
    Wide r = q ? a.sig - b.sig : a.sig;
    int shift;

    for (int n = a.exp - b.exp; n > 0; n--) {
        r <<= 1;
        q <<= 1;
        if (r >= b.sig) {
            r -= b.sig;
            q |= 1;
        }
    }
    *quotient = q;
    if (!r)
        return fp_zero(a.sign);
    shift = __builtin_clzll(r);
    return (Fp) {
        .cls = FPC_FINITE, .sign = a.sign, .exp = b.exp - shift, .sig = (uint64_t)r << shift
    };
}

/* Is 2 * |r| more (1), equal (0), less (-1) than |b|? */
static int against_half(Fp r, Fp b)
{
    if (r.cls == FPC_ZERO || r.exp + 1 < b.exp)
        return -1;
    if (r.exp + 1 > b.exp)
        return 1;
    return r.sig > b.sig ? 1 : r.sig == b.sig ? 0 : -1;
}

/* To the nearest multiple instead: step over b if the rest is more than half of it. */
static Fp reduce_nearest(FpEnv *env, Fp r, Fp b, uint64_t *quotient)
{
    int half = against_half(r, b);

    if (half < 0 || (half == 0 && !(*quotient & 1)))
        return r;
    ++*quotient;
    b.sign = r.sign;
    return fp_sub(env, r, b);
}

/* Both finite. *partial: reduced by fewer bits than needed, C2 says so. */
static Fp remainder_finite(FpEnv *env, Fp a, Fp b, bool nearest, uint64_t *quotient, bool *partial)
{
    int distance = a.exp - b.exp;

    *quotient = 0;
    *partial = distance >= 64;
    if (*partial) { /* by a multiple of b * 2^(distance - n) */
        b.exp = a.exp - (32 + distance % 32);
        return reduce(a, b, quotient);
    }
    if (distance >= 0)
        a = reduce(a, b, quotient);
    return nearest ? reduce_nearest(env, a, b, quotient) : a;
}

/* C0 C3 C1: bits 2, 1, 0 of the quotient. */
static void set_quotient(X86Cpu *x, uint64_t q, bool partial)
{
    x->fpu.sw &= ~(X87_CC | X87_C1);
    x->fpu.sw |=
        partial ? X87_C2 : (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0) | (q & 1 ? X87_C1 : 0);
}

void x87_remainder(X86Cpu *x, bool nearest)
{
    FpEnv env = x87_env(x);
    Fp a = x87_get(x, 0), b = x87_get(x, 1), r = a;
    uint64_t quotient = 0;
    bool partial = false;

    x->fpu.sw &= ~X87_C2;
    if (!has_operands(x))
        return;
    if (fp_is_nan(a) || fp_is_nan(b)) {
        r = fp_nan2(&env, a, b);
    } else if (a.cls == FPC_INF || b.cls == FPC_ZERO) {
        r = fp_invalid(&env);
    } else {
        fp_denormal(&env, a, b);
        if (a.cls == FPC_FINITE && b.cls == FPC_FINITE)
            r = remainder_finite(&env, a, b, nearest, &quotient, &partial);
    }
    r = fp_round(&env, &fp_extended, r);
    if (!x87_end_reg(x, &env))
        return;
    x87_put(x, 0, r);
    if (r.cls != FPC_QNAN)
        set_quotient(x, quotient, partial);
}

static uint64_t unary(Cpu *cpu, uint64_t desc)
{
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned modrm = x87_modrm(desc);

    switch (modrm) {
    case 0xe0: set_sign(x, true); break;
    case 0xe1: set_sign(x, false); break;
    case 0xe4: test(x); break;
    case 0xe5: examine(x); break;
    case 0xf4: x87_extract(x); break;
    case 0xf5: x87_remainder(x, true); break;
    case 0xf6: /* FDECSTP */
    case 0xf7: /* FINCSTP */
        x->fpu.top = (x->fpu.top + (modrm & 1 ? 1 : -1)) & 7;
        x->fpu.sw &= ~X87_C1;
        break;
    case 0xf8: x87_remainder(x, false); break;
    case 0xfa: square_root(x); break;
    case 0xfc: round_to_integer(x); break;
    case 0xfd: x87_scale(x); break;
    default:
        if (modrm >= 0xe8 && modrm <= 0xee)
            load_constant(x, modrm - 0xe8);
        else
            x87_transcendental(x, modrm);
        break;
    }
    return 0;
}
const IrHelper x86_h_x87_unary = { "x87_unary", unary, HELPER_FAULTS | HELPER_VECTORS };
