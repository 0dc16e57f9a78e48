/*
 * fp.c - vector operations: floating-point arithmetic, minimum and maximum, comparison.
 */
#include "base/compiler.h"
#include "tcg/vop/fp.h"

/* A function of two lanes in one format; both widths of it make one operation. */
typedef uint32_t Lane32(FpEnv *env, uint32_t a, uint32_t b, unsigned imm);
typedef uint64_t Lane64(FpEnv *env, uint64_t a, uint64_t b, unsigned imm);

static void lanes32(Cpu *cpu, VReg *d, const VReg *a, const VReg *b, unsigned imm, Lane32 *fn,
                    unsigned n)
{
    FpEnv env = vop_fp_begin(cpu);
    VReg r = *a;

    for (unsigned i = 0; i < n; i++)
        r.d[i] = fn(&env, a->d[i], b->d[i], imm);
    vop_fp_end(cpu, &env);
    vop_store(d, &r);
}

static void lanes64(Cpu *cpu, VReg *d, const VReg *a, const VReg *b, unsigned imm, Lane64 *fn,
                    unsigned n)
{
    FpEnv env = vop_fp_begin(cpu);
    VReg r = *a;

    for (unsigned i = 0; i < n; i++)
        r.q[i] = fn(&env, a->q[i], b->q[i], imm);
    vop_fp_end(cpu, &env);
    vop_store(d, &r);
}

/* NAMEps, NAMEss, NAMEpd, NAMEsd from the lane functions name_32 and name_64. */
#define FP_VOPS(name)                                                                              \
    void vop_##name##ps(VOP_ARGS)                                                                  \
    {                                                                                              \
        lanes32(cpu, d, a, b, imm, name##_32, 4);                                                  \
    }                                                                                              \
    void vop_##name##ss(VOP_ARGS)                                                                  \
    {                                                                                              \
        lanes32(cpu, d, a, b, imm, name##_32, 1);                                                  \
    }                                                                                              \
    void vop_##name##pd(VOP_ARGS)                                                                  \
    {                                                                                              \
        lanes64(cpu, d, a, b, imm, name##_64, 2);                                                  \
    }                                                                                              \
    void vop_##name##sd(VOP_ARGS)                                                                  \
    {                                                                                              \
        lanes64(cpu, d, a, b, imm, name##_64, 1);                                                  \
    }

/* -- arithmetic: x and y are unpacked, the expression is rounded */
#define ARITHMETIC(name, expr)                                                                     \
    static uint32_t name##_32(FpEnv *env, uint32_t a, uint32_t b, UNUSED unsigned imm)             \
    {                                                                                              \
        UNUSED Fp x = fp_unpack32(env, a), y = fp_unpack32(env, b);                                \
                                                                                                   \
        return vop_round32(env, expr);                                                             \
    }                                                                                              \
    static uint64_t name##_64(FpEnv *env, uint64_t a, uint64_t b, UNUSED unsigned imm)             \
    {                                                                                              \
        UNUSED Fp x = fp_unpack64(env, a), y = fp_unpack64(env, b);                                \
                                                                                                   \
        return vop_round64(env, expr);                                                             \
    }                                                                                              \
    FP_VOPS(name)

ARITHMETIC(add, fp_add(env, x, y))
ARITHMETIC(sub, fp_sub(env, x, y))
ARITHMETIC(mul, fp_mul(env, x, y))
ARITHMETIC(div, fp_div(env, x, y))
ARITHMETIC(sqrt, fp_sqrt(env, y))

/* imm of ROUNDxx: 1..0 rounding, 2: take MXCSR's instead, 3: do not raise PE */
static Fp rounded_integral(FpEnv *env, Fp v, unsigned imm)
{
    bool inexact, up;
    Fp r;

    if (fp_is_nan(v))
        return fp_nan1(env, v);
    r = fp_integral(v, imm & 4 ? env->rounding : imm & 3, &inexact, &up);
    if (inexact && !(imm & 8))
        env->flags |= FP_PE;
    return r;
}

static uint32_t round_32(FpEnv *env, UNUSED uint32_t a, uint32_t b, unsigned imm)
{
    return fp_pack32(rounded_integral(env, fp_unpack32(env, b), imm));
}

static uint64_t round_64(FpEnv *env, UNUSED uint64_t a, uint64_t b, unsigned imm)
{
    return fp_pack64(rounded_integral(env, fp_unpack64(env, b), imm));
}
FP_VOPS(round)

/* -- minimum, maximum: the second operand for NaNs and two zeros, unchanged (but for DAZ) */
#define SELECT(name, order)                                                                        \
    static uint32_t name##_32(FpEnv *env, uint32_t a, uint32_t b, UNUSED unsigned imm)             \
    {                                                                                              \
        Fp x = fp_unpack32(env, a), y = fp_unpack32(env, b);                                       \
                                                                                                   \
        return fp_pack32(fp_compare(env, x, y, true) == (order) ? x : y);                          \
    }                                                                                              \
    static uint64_t name##_64(FpEnv *env, uint64_t a, uint64_t b, UNUSED unsigned imm)             \
    {                                                                                              \
        Fp x = fp_unpack64(env, a), y = fp_unpack64(env, b);                                       \
                                                                                                   \
        return fp_pack64(fp_compare(env, x, y, true) == (order) ? x : y);                          \
    }                                                                                              \
    FP_VOPS(name)

SELECT(min, FP_LESS)
SELECT(max, FP_GREATER)

/* -- comparison by predicate (SDM, CMPPD): 0 eq, 1 lt, 2 le, 3 unord, +4: not */
static bool compares(FpEnv *env, Fp a, Fp b, unsigned predicate)
{
    unsigned base = predicate & 3;
    FpOrder order = fp_compare(env, a, b, base == 1 || base == 2);
    bool yes[] = { order == FP_EQUAL, order == FP_LESS, order == FP_LESS || order == FP_EQUAL,
                   order == FP_UNORDERED };

    return yes[base] != (predicate >> 2 & 1);
}

static uint32_t cmp_32(FpEnv *env, uint32_t a, uint32_t b, unsigned imm)
{
    return compares(env, fp_unpack32(env, a), fp_unpack32(env, b), imm) ? UINT32_MAX : 0;
}

static uint64_t cmp_64(FpEnv *env, uint64_t a, uint64_t b, unsigned imm)
{
    return compares(env, fp_unpack64(env, a), fp_unpack64(env, b), imm) ? UINT64_MAX : 0;
}
FP_VOPS(cmp)

/* -- comparison into flags */
static void compare_flags(Cpu *cpu, VReg *d, FpEnv *env, Fp a, Fp b, bool signal_quiet)
{
    static const uint8_t flags[] = { [FP_LESS] = FLAG_CF,
                                     [FP_EQUAL] = FLAG_ZF,
                                     [FP_GREATER] = 0,
                                     [FP_UNORDERED] = FLAG_ZF | FLAG_PF | FLAG_CF };
    FpOrder order = fp_compare(env, a, b, signal_quiet);

    vop_fp_end(cpu, env);
    d->q[0] = flags[order];
}

#define COMPARE(name, bits, lane, signal_quiet)                                                    \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        FpEnv env = vop_fp_begin(cpu);                                                             \
        Fp x = fp_unpack##bits(&env, a->lane[0]), y = fp_unpack##bits(&env, b->lane[0]);           \
                                                                                                   \
        compare_flags(cpu, d, &env, x, y, signal_quiet);                                           \
    }

COMPARE(comiss, 32, d, true)
COMPARE(comisd, 64, q, true)
COMPARE(ucomiss, 32, d, false)
COMPARE(ucomisd, 64, q, false)

/* -- across lanes */
static void addsub(Cpu *cpu, VReg *d, const VReg *x, const VReg *y, unsigned subtract, bool single)
{
    FpEnv env = vop_fp_begin(cpu);
    VReg r;

    for (unsigned i = 0; i < (single ? 4 : 2); i++)
        if (single)
            r.d[i] = (subtract >> i & 1 ? sub_32 : add_32)(&env, x->d[i], y->d[i], 0);
        else
            r.q[i] = (subtract >> i & 1 ? sub_64 : add_64)(&env, x->q[i], y->q[i], 0);
    vop_fp_end(cpu, &env);
    vop_store(d, &r);
}

void vop_addsubps(VOP_ARGS)
{
    addsub(cpu, d, a, b, 5, true);
}

void vop_addsubpd(VOP_ARGS)
{
    addsub(cpu, d, a, b, 1, false);
}

static void horizontal(Cpu *cpu, VReg *d, const VReg *a, const VReg *b, unsigned subtract,
                       bool single)
{
    VReg even, odd;

    for (unsigned i = 0; i < 4; i++) {
        even.d[i] = (i < 2 ? a : b)->d[2 * i % 4];
        odd.d[i] = (i < 2 ? a : b)->d[2 * i % 4 + 1];
    }
    if (!single) {
        even = (VReg) { .q = { a->q[0], b->q[0] } };
        odd = (VReg) { .q = { a->q[1], b->q[1] } };
    }
    addsub(cpu, d, &even, &odd, subtract, single);
}

void vop_haddps(VOP_ARGS)
{
    horizontal(cpu, d, a, b, 0, true);
}

void vop_haddpd(VOP_ARGS)
{
    horizontal(cpu, d, a, b, 0, false);
}

void vop_hsubps(VOP_ARGS)
{
    horizontal(cpu, d, a, b, 15, true);
}

void vop_hsubpd(VOP_ARGS)
{
    horizontal(cpu, d, a, b, 15, false);
}

/* imm: 7..4 products that count, 3..0 lanes that get the sum */
void vop_dpps(VOP_ARGS)
{
    FpEnv env = vop_fp_begin(cpu);
    uint32_t p[4], sum;
    VReg r;

    for (unsigned i = 0; i < 4; i++)
        p[i] = imm >> (4 + i) & 1 ? mul_32(&env, a->d[i], b->d[i], 0) : 0;
    vop_fp_stage(cpu, &env);
    p[0] = add_32(&env, p[0], p[1], 0);
    p[2] = add_32(&env, p[2], p[3], 0);
    vop_fp_stage(cpu, &env);
    sum = add_32(&env, p[0], p[2], 0);
    for (unsigned i = 0; i < 4; i++)
        r.d[i] = imm >> i & 1 ? sum : 0;
    vop_fp_end(cpu, &env);
    vop_store(d, &r);
}

void vop_dppd(VOP_ARGS)
{
    FpEnv env = vop_fp_begin(cpu);
    uint64_t p[2], sum;
    VReg r;

    for (unsigned i = 0; i < 2; i++)
        p[i] = imm >> (4 + i) & 1 ? mul_64(&env, a->q[i], b->q[i], 0) : 0;
    vop_fp_stage(cpu, &env);
    sum = add_64(&env, p[0], p[1], 0);
    for (unsigned i = 0; i < 2; i++)
        r.q[i] = imm >> i & 1 ? sum : 0;
    vop_fp_end(cpu, &env);
    vop_store(d, &r);
}
