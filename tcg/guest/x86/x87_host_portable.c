/*
 * x87_host_portable.c - transcendental functions on a host without x87, by long double libm.
 *
 * The precision is that of the host's long double; PE is always raised, C1 is 0.
 */
#if !defined(__x86_64__)

#include <math.h>
#include <stdbool.h>

#include "tcg/guest/x86/x87_host.h"
#include "tcg/softfloat.h"

enum { C2 = 1 << 10 };

static long double to_native(Fp v)
{
    long double r = v.cls == FPC_ZERO ? 0 : v.cls == FPC_INF ? INFINITY : NAN;

    if (v.cls == FPC_FINITE)
        r = ldexpl((long double)v.sig, v.exp - 63);
    return v.sign ? -r : r;
}

static Fp from_native(long double r)
{
    int exp;
    long double m = frexpl(fabsl(r), &exp);

    if (isnan(r))
        return fp_default_nan();
    if (isinf(r))
        return fp_inf(signbit(r));
    if (r == 0)
        return fp_zero(signbit(r));
    return (Fp) {
        .cls = FPC_FINITE, .sign = signbit(r), .exp = exp - 1, .sig = (uint64_t)ldexpl(m, 64)
    };
}

static Fp rounded(FpEnv *env, long double r)
{
    return fp_round(env, &fp_extended, from_native(r));
}

static void store(Float80 *a, Fp v)
{
    a->sig = fp_pack80(v, &a->sign_exp);
}

/* SIN, COS and TAN are defined below 2^63. */
static bool trigonometric(unsigned modrm, FpEnv *env, long double x, Float80 a[2])
{
    if (fabsl(x) >= 0x1p63L)
        return false;
    if (modrm == 0xf2 || modrm == 0xfb) { /* FPTAN pushes 1, FSINCOS the cosine */
        store(&a[1], rounded(env, modrm == 0xf2 ? tanl(x) : sinl(x)));
        store(&a[0], rounded(env, modrm == 0xf2 ? 1 : cosl(x)));
    } else {
        store(&a[0], rounded(env, modrm == 0xfe ? sinl(x) : cosl(x)));
    }
    return true;
}

uint16_t x87_host_run(unsigned modrm, uint16_t cw, Float80 a[2])
{
    FpEnv env = { .rounding = cw >> 10 & 3, .masked = FP_ALL, .x87 = true };
    Fp st0 = fp_unpack80(a[0].sig, a[0].sign_exp), st1 = fp_unpack80(a[1].sig, a[1].sign_exp);
    long double x = to_native(fp_convert(&env, st0)), y = to_native(fp_convert(&env, st1));

    switch (modrm) {
    case 0xf0: store(&a[0], rounded(&env, expm1l(x * M_LN2l))); break;
    case 0xf1: store(&a[0], rounded(&env, y * log2l(x))); break;
    case 0xf3: store(&a[0], rounded(&env, atan2l(y, x))); break;
    case 0xf9: store(&a[0], rounded(&env, y * log1pl(x) * M_LOG2El)); break;
    default:
        if (!trigonometric(modrm, &env, x, a))
            return env.flags | C2;
        break;
    }
    return env.flags | FP_PE;
}

#endif
