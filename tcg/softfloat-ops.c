/*
 * softfloat-ops.c - arithmetic, comparison and conversion to and from integers.
 */
#include "tcg/softfloat.h"

typedef unsigned __int128 Wide;

static Wide wide(Fp v)
{
    return (Wide)v.sig << 64 | v.low;
}

/* A finite result from a significand with any number of leading zeros. */
static Fp make_finite(bool sign, int exp, Wide sig)
{
    uint64_t high = sig >> 64;
    int shift = high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)sig);

    sig <<= shift;
    return (
        Fp) { .cls = FPC_FINITE, .sign = sign, .exp = exp - shift, .sig = sig >> 64, .low = sig };
}

static Wide shifted_right(Wide v, unsigned n)
{
    if (n == 0)
        return v;
    if (n >= 128)
        return v != 0;
    return v >> n | (v << (128 - n) != 0);
}

/* -- addition */
static Fp add_magnitudes(Fp a, Fp b) /* same sign, |a| >= |b| in exponent */
{
    Wide x = wide(a), y = shifted_right(wide(b), a.exp - b.exp), sum = x + y;

    if (sum < x)
        return make_finite(a.sign, a.exp + 1, shifted_right(sum, 1) | (Wide)1 << 127);
    return make_finite(a.sign, a.exp, sum);
}

static Fp sub_magnitudes(FpEnv *env, Fp a, Fp b) /* a.exp >= b.exp */
{
    Wide x = wide(a), y = shifted_right(wide(b), a.exp - b.exp);

    if (x == y)
        return fp_zero(env->rounding == FP_DOWN);
    return x > y ? make_finite(a.sign, a.exp, x - y) : make_finite(!a.sign, a.exp, y - x);
}

static Fp add_finite(FpEnv *env, Fp a, Fp b)
{
    if (a.cls == FPC_ZERO && b.cls == FPC_ZERO)
        return fp_zero(a.sign == b.sign ? a.sign : env->rounding == FP_DOWN);
    if (a.cls == FPC_ZERO)
        return b;
    if (b.cls == FPC_ZERO)
        return a;
    if (a.exp < b.exp) {
        Fp t = a;

        a = b;
        b = t;
    }
    return a.sign == b.sign ? add_magnitudes(a, b) : sub_magnitudes(env, a, b);
}

Fp fp_add(FpEnv *env, Fp a, Fp b)
{
    if (fp_is_nan(a) || fp_is_nan(b))
        return fp_nan2(env, a, b);
    if (a.cls == FPC_INF && b.cls == FPC_INF && a.sign != b.sign)
        return fp_invalid(env);
    fp_denormal(env, a, b);
    if (a.cls == FPC_INF || b.cls == FPC_INF)
        return a.cls == FPC_INF ? a : b;
    return add_finite(env, a, b);
}

Fp fp_sub(FpEnv *env, Fp a, Fp b)
{
    if (!fp_is_nan(b))
        b.sign = !b.sign;
    return fp_add(env, a, b);
}

/* -- multiplication and division */
Fp fp_mul(FpEnv *env, Fp a, Fp b)
{
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b))
        return fp_nan2(env, a, b);
    if ((a.cls == FPC_INF && b.cls == FPC_ZERO) || (a.cls == FPC_ZERO && b.cls == FPC_INF))
        return fp_invalid(env);
    fp_denormal(env, a, b);
    if (a.cls == FPC_INF || b.cls == FPC_INF)
        return fp_inf(sign);
    if (a.cls == FPC_ZERO || b.cls == FPC_ZERO)
        return fp_zero(sign);
    return make_finite(sign, a.exp + b.exp + 1, (Wide)a.sig * b.sig);
}

/* 128 bits of quotient, the last one sticky. */
static Fp divide_finite(Fp a, Fp b)
{
    int exp = a.exp - b.exp - (a.sig < b.sig);
    Wide num = (Wide)a.sig << (a.sig < b.sig ? 64 : 63), rest = num % b.sig;
    uint64_t high = num / b.sig, low;

    rest <<= 64;
    low = rest / b.sig;
    low |= rest % b.sig != 0;
    return make_finite(a.sign != b.sign, exp, (Wide)high << 64 | low);
}

Fp fp_div(FpEnv *env, Fp a, Fp b)
{
    bool sign = a.sign != b.sign;

    if (fp_is_nan(a) || fp_is_nan(b))
        return fp_nan2(env, a, b);
    if (a.cls == b.cls && a.cls != FPC_FINITE) /* 0 / 0, inf / inf */
        return fp_invalid(env);
    if (b.cls == FPC_ZERO && a.cls == FPC_FINITE) {
        env->flags |= FP_ZE;
        return fp_inf(sign);
    }
    fp_denormal(env, a, b);
    if (a.cls == FPC_INF)
        return fp_inf(sign);
    if (a.cls == FPC_ZERO || b.cls == FPC_INF)
        return fp_zero(sign);
    return divide_finite(a, b);
}

/* 66 bits of root, digit by digit, and a sticky bit. */
static Fp sqrt_finite(Fp a)
{
    Wide root = 0, rest = 0, radicand = (Wide)a.sig << (a.exp & 1 ? 64 : 63);

    for (unsigned i = 0; i < 66; i++) {
        rest = rest << 2 | radicand >> 126;
        radicand <<= 2;
        root <<= 1;
        if (rest > root << 1) {
            rest -= root << 1 | 1;
            root |= 1;
        }
    }
    return make_finite(false, a.exp >> 1, root << 62 | (rest != 0));
}

Fp fp_sqrt(FpEnv *env, Fp a)
{
    if (fp_is_nan(a))
        return fp_nan1(env, a);
    if (a.cls == FPC_ZERO)
        return a;
    if (a.sign)
        return fp_invalid(env);
    fp_denormal(env, a, a);
    return a.cls == FPC_INF ? a : sqrt_finite(a);
}

Fp fp_convert(FpEnv *env, Fp a)
{
    if (fp_is_nan(a))
        return fp_nan1(env, a);
    fp_denormal(env, a, a);
    return a;
}

/* -- comparison */
static FpOrder compare_magnitudes(Fp a, Fp b)
{
    if (a.cls != b.cls)
        return a.cls < b.cls ? FP_LESS : FP_GREATER;
    if (a.cls != FPC_FINITE)
        return FP_EQUAL;
    if (a.exp != b.exp)
        return a.exp < b.exp ? FP_LESS : FP_GREATER;
    return a.sig < b.sig ? FP_LESS : a.sig > b.sig ? FP_GREATER : FP_EQUAL;
}

FpOrder fp_compare(FpEnv *env, Fp a, Fp b, bool signal_quiet)
{
    FpOrder order;

    if (fp_is_nan(a) || fp_is_nan(b)) {
        if (signal_quiet || a.cls >= FPC_SNAN || b.cls >= FPC_SNAN)
            env->flags |= FP_IE;
        return FP_UNORDERED;
    }
    fp_denormal(env, a, b);
    if (a.cls == FPC_ZERO && b.cls == FPC_ZERO)
        return FP_EQUAL;
    if (a.sign != b.sign)
        return a.sign ? FP_LESS : FP_GREATER;
    order = compare_magnitudes(a, b);
    if (order == FP_EQUAL || !a.sign)
        return order;
    return order == FP_LESS ? FP_GREATER : FP_LESS;
}

/* -- integers */
int64_t fp_to_int(FpEnv *env, Fp a, unsigned bits, unsigned rounding)
{
    uint64_t least = UINT64_C(1) << (bits - 1), magnitude;
    bool inexact, up;
    Fp v = fp_integral(a, rounding, &inexact, &up);

    env->up = false;
    if (v.cls == FPC_ZERO) {
        magnitude = 0;
    } else {
        magnitude = v.cls == FPC_FINITE && v.exp < 64 ? v.sig >> (63 - v.exp) : UINT64_MAX;
        if (magnitude > least - 1 + v.sign || v.cls != FPC_FINITE) {
            env->flags |= FP_IE;
            return -least;
        }
    }
    env->up = up;
    env->flags |= inexact ? FP_PE : 0;
    return v.sign ? -magnitude : magnitude;
}

Fp fp_from_int(int64_t v)
{
    if (!v)
        return fp_zero(false);
    return make_finite(v < 0, 63, (Wide)(v < 0 ? -(uint64_t)v : (uint64_t)v) << 64);
}
