/*
 * softfloat.c - packing, unpacking and rounding.
 */
#include "tcg/softfloat.h"

const FpFormat fp_single = { 24, -126, 127 };
const FpFormat fp_double = { 53, -1022, 1023 };
const FpFormat fp_extended = { 64, -16382, 16383 };

enum { SCALE_UNMASKED = 24576 }; /* SDM 8.5.4, 8.5.5: added to or taken from the exponent */

static const uint64_t integer_bit = UINT64_C(1) << 63, quiet_bit = UINT64_C(1) << 62;

/* -- results that are not finite */
Fp fp_zero(bool sign)
{
    return (Fp) { .cls = FPC_ZERO, .sign = sign };
}

Fp fp_inf(bool sign)
{
    return (Fp) { .cls = FPC_INF, .sign = sign, .sig = integer_bit };
}

Fp fp_default_nan(void)
{
    return (Fp) { .cls = FPC_QNAN, .sign = true, .sig = integer_bit | quiet_bit };
}

Fp fp_invalid(FpEnv *env)
{
    env->flags |= FP_IE;
    return fp_default_nan();
}

bool fp_is_nan(Fp v)
{
    return v.cls >= FPC_QNAN;
}

static Fp quieted(Fp a)
{
    a.cls = FPC_QNAN;
    a.sig |= quiet_bit;
    return a;
}

Fp fp_nan1(FpEnv *env, Fp a)
{
    if (a.cls == FPC_UNSUPPORTED)
        return fp_invalid(env);
    if (a.cls == FPC_SNAN)
        env->flags |= FP_IE;
    return quieted(a);
}

/* x87: a quiet NaN before a signaling one, then the larger significand, then the positive one. */
static Fp x87_nan2(Fp a, Fp b)
{
    if (!fp_is_nan(b) || (fp_is_nan(a) && a.cls < b.cls))
        return quieted(a);
    if (!fp_is_nan(a) || b.cls < a.cls)
        return quieted(b);
    if (a.sig != b.sig)
        return quieted(a.sig > b.sig ? a : b);
    return quieted(a.sign ? b : a);
}

Fp fp_nan2(FpEnv *env, Fp a, Fp b)
{
    if (a.cls == FPC_UNSUPPORTED || b.cls == FPC_UNSUPPORTED)
        return fp_invalid(env);
    if (a.cls == FPC_SNAN || b.cls == FPC_SNAN)
        env->flags |= FP_IE;
    if (env->x87)
        return x87_nan2(a, b);
    return quieted(fp_is_nan(a) ? a : b);
}

void fp_denormal(FpEnv *env, Fp a, Fp b)
{
    if (a.denormal || b.denormal)
        env->flags |= FP_DE;
}

/* -- unpacking */

/* A finite number whose significand may have leading zeros. */
static Fp normalized(bool sign, int exp, uint64_t sig)
{
    int shift = __builtin_clzll(sig);

    return (Fp) { .cls = FPC_FINITE, .sign = sign, .exp = exp - shift, .sig = sig << shift };
}

static Fp denormal(const FpEnv *env, bool sign, int emin, uint64_t sig)
{
    Fp v;

    if (!sig || env->daz)
        return fp_zero(sign);
    v = normalized(sign, emin, sig);
    v.denormal = true;
    return v;
}

static Fp nan_or_inf(bool sign, uint64_t fraction) /* fraction: bit 62 is its first */
{
    if (!fraction)
        return fp_inf(sign);
    return (Fp) { .cls = fraction & quiet_bit ? FPC_QNAN : FPC_SNAN,
                  .sign = sign,
                  .sig = integer_bit | fraction };
}

/* `bits`: the encoding, its sign in bit 63; `width` of the exponent. */
static Fp unpack(const FpEnv *env, uint64_t bits, unsigned width)
{
    bool sign = bits >> 63;
    int max = (1 << width) - 1, bias = max >> 1, exp = bits >> (63 - width) & max;
    uint64_t fraction = bits << (width + 1) >> 1;

    if (exp == max)
        return nan_or_inf(sign, fraction);
    if (exp == 0)
        return denormal(env, sign, 1 - bias, fraction);
    return (
        Fp) { .cls = FPC_FINITE, .sign = sign, .exp = exp - bias, .sig = integer_bit | fraction };
}

Fp fp_unpack32(const FpEnv *env, uint32_t bits)
{
    return unpack(env, (uint64_t)bits << 32, 8);
}

Fp fp_unpack64(const FpEnv *env, uint64_t bits)
{
    return unpack(env, bits, 11);
}

Fp fp_unpack80(uint64_t sig, uint16_t sign_exp)
{
    bool sign = sign_exp >> 15;
    int exp = sign_exp & 0x7fff;

    if (exp == 0) /* a pseudo-denormal has the integer bit, and the value it would have at exp 1 */
        return denormal(&(FpEnv) { 0 }, sign, fp_extended.emin, sig);
    if (!(sig & integer_bit))
        return (Fp) { .cls = FPC_UNSUPPORTED, .sign = sign, .sig = sig };
    if (exp == 0x7fff)
        return nan_or_inf(sign, sig & ~integer_bit);
    return (Fp) { .cls = FPC_FINITE, .sign = sign, .exp = exp - 16383, .sig = sig };
}

/* -- packing; a result that an unmasked exception discards may have any exponent */
static uint64_t denormal_bits(Fp v, const FpFormat *f)
{
    return f->emin - v.exp < 64 ? v.sig >> (f->emin - v.exp) : 0;
}

static uint64_t pack(Fp v, const FpFormat *f, unsigned width)
{
    uint64_t sign = (uint64_t)v.sign << 63, max = (1 << width) - 1;

    if (v.cls == FPC_ZERO)
        return sign;
    if (v.cls != FPC_FINITE)
        return sign | max << (63 - width) | v.sig << 1 >> (width + 1);
    if (v.exp < f->emin)
        return sign | denormal_bits(v, f) >> width;
    return sign | (uint64_t)(v.exp + f->emax) << (63 - width) | v.sig << 1 >> (width + 1);
}

uint32_t fp_pack32(Fp v)
{
    return pack(v, &fp_single, 8) >> 32;
}

uint64_t fp_pack64(Fp v)
{
    return pack(v, &fp_double, 11);
}

uint64_t fp_pack80(Fp v, uint16_t *sign_exp)
{
    *sign_exp = v.sign << 15;
    if (v.cls == FPC_ZERO)
        return 0;
    if (v.cls == FPC_FINITE && v.exp < fp_extended.emin)
        return denormal_bits(v, &fp_extended);
    *sign_exp |= v.cls == FPC_FINITE ? v.exp + 16383 : 0x7fff;
    return v.sig;
}

/* -- rounding */

/* Keep the first `bits` (1..64) bits of a significand that need not be normalized. */
static bool round_at(FpEnv *env, Fp *v, unsigned bits)
{
    uint64_t unit = UINT64_C(1) << (64 - bits), rest = v->sig & (unit - 1);
    uint64_t half = unit >> 1, below = v->low;
    bool inexact = rest | below, more;

    if (!half) { /* all of `sig` is kept */
        rest = below;
        half = integer_bit;
        below = 0;
    }
    if (env->rounding == FP_NEAREST)
        more = rest > half || (rest == half && (below || v->sig & unit));
    else
        more = inexact && env->rounding == (v->sign ? FP_DOWN : FP_UP);
    env->up = more;
    v->sig &= ~(unit - 1);
    v->low = 0;
    if (more && (v->sig += unit) < unit) {
        v->sig = integer_bit;
        v->exp++;
    }
    return inexact;
}

/* Shift the significand right; what falls out stays as the sticky bit. */
static void shift_right(Fp *v, unsigned n)
{
    unsigned __int128 all = (unsigned __int128)v->sig << 64 | v->low, lost;

    if (n >= 128) {
        all = all != 0;
    } else if (n) {
        lost = all << (128 - n);
        all = all >> n | (lost != 0);
    }
    v->sig = all >> 64;
    v->low = all;
}

/* Below the least normal number: gradual underflow. */
static Fp round_denormal(FpEnv *env, const FpFormat *f, Fp v)
{
    shift_right(&v, f->emin - v.exp);
    v.exp = f->emin;
    if (round_at(env, &v, f->bits))
        env->flags |= FP_UE | FP_PE;
    if (!v.sig)
        return fp_zero(v.sign);
    return normalized(v.sign, v.exp, v.sig);
}

/* Even the scaled exponent does not fit (FSCALE). */
static Fp beyond(FpEnv *env, Fp v)
{
    env->flags |= FP_PE;
    env->up = v.cls == FPC_INF;
    return v;
}

/* `rounded` is `v` rounded as if exponents had no bound. */
static Fp underflow(FpEnv *env, const FpFormat *f, Fp v, Fp rounded, bool inexact)
{
    if (!(env->masked & FP_UE)) {
        env->flags |= FP_UE | (inexact ? FP_PE : 0);
        rounded.exp += SCALE_UNMASKED;
        return rounded.exp < f->emin ? beyond(env, fp_zero(v.sign)) : rounded;
    }
    if (env->ftz) {
        env->flags |= FP_UE | FP_PE;
        return fp_zero(v.sign);
    }
    return round_denormal(env, f, v);
}

static Fp overflow(FpEnv *env, const FpFormat *f, Fp rounded, bool inexact)
{
    env->flags |= FP_OE;
    if (!(env->masked & FP_OE)) {
        env->flags |= inexact ? FP_PE : 0;
        rounded.exp -= SCALE_UNMASKED;
        return rounded.exp > f->emax ? beyond(env, fp_inf(rounded.sign)) : rounded;
    }
    env->flags |= FP_PE;
    env->up = env->rounding == FP_NEAREST || env->rounding == (rounded.sign ? FP_DOWN : FP_UP);
    if (env->up)
        return fp_inf(rounded.sign);
    rounded.sig = UINT64_MAX << (64 - f->bits);
    rounded.exp = f->emax;
    return rounded;
}

Fp fp_round(FpEnv *env, const FpFormat *f, Fp v)
{
    Fp rounded = v;
    bool inexact;

    env->up = false;
    if (v.cls != FPC_FINITE)
        return v;
    inexact = round_at(env, &rounded, f->bits);
    if (rounded.exp < f->emin)
        return underflow(env, f, v, rounded, inexact);
    if (rounded.exp > f->emax)
        return overflow(env, f, rounded, inexact);
    env->flags |= inexact ? FP_PE : 0;
    return rounded;
}

Fp fp_integral(Fp a, unsigned rounding, bool *inexact, bool *up)
{
    FpEnv env = { .rounding = rounding };

    *inexact = *up = false;
    if (a.cls != FPC_FINITE || a.exp >= 63)
        return a;
    if (a.exp < 0) { /* 0 or 1: bring the unit to bit 63 */
        shift_right(&a, -a.exp < 128 ? -a.exp : 128);
        a.exp = 0;
    }
    *inexact = round_at(&env, &a, a.exp + 1);
    *up = env.up;
    return a.sig ? normalized(a.sign, a.exp, a.sig) : fp_zero(a.sign);
}
