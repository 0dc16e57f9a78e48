/*
 * convert.c - vector operations: conversions between floating-point formats and integers.
 *
 * To an integer: NaN, infinity and what does not fit give the least integer and IE; a denormal
 * operand raises no DE. (SDM volume 1, 4.8.3.7 and 11.5.2.1.)
 */
#include "base/compiler.h"
#include "tcg/vop/fp.h"

/* d = a's lanes with r's first `bytes` bytes. */
static void store_low(VReg *d, const VReg *a, const VReg *r, unsigned bytes)
{
    VReg v = *a;

    for (unsigned i = 0; i < bytes; i++)
        v.b[i] = r->b[i];
    vop_store(d, &v);
}

/* `n` lanes of b, converted by `expr` of x into d; the rest of `bytes` bytes becomes 0, more is
 * a's.
 */
#define CONVERT(name, to, from, type, n, bytes, expr)                                              \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        FpEnv e = vop_fp_begin(cpu), *env = &e;                                                    \
        VReg r = { 0 };                                                                            \
                                                                                                   \
        for (unsigned i = 0; i < (n); i++) {                                                       \
            type x = (type)b->from[i];                                                             \
            r.to[i] = (expr);                                                                      \
        }                                                                                          \
        vop_fp_end(cpu, env);                                                                      \
        store_low(d, (bytes) == 16 ? &r : a, &r, bytes);                                           \
    }

/* -- one precision to the other */
CONVERT(cvtps2pd, q, d, uint32_t, 2, 16, fp_pack64(fp_convert(env, fp_unpack32(env, x))))
CONVERT(cvtss2sd, q, d, uint32_t, 1, 8, fp_pack64(fp_convert(env, fp_unpack32(env, x))))
CONVERT(cvtpd2ps, d, q, uint64_t, 2, 16, vop_round32(env, fp_convert(env, fp_unpack64(env, x))))
CONVERT(cvtsd2ss, d, q, uint64_t, 1, 4, vop_round32(env, fp_convert(env, fp_unpack64(env, x))))

/* -- from integers */
CONVERT(cvtdq2ps, d, d, int32_t, 4, 16, vop_round32(env, fp_from_int(x)))
CONVERT(cvtdq2pd, q, d, int32_t, 2, 16, fp_pack64(fp_from_int(x)))
CONVERT(cvtpi2ps, d, d, int32_t, 2, 8, vop_round32(env, fp_from_int(x)))
CONVERT(cvtpi2pd, q, d, int32_t, 2, 16, fp_pack64(fp_from_int(x)))
CONVERT(cvtsi2ss, d, d, int32_t, 1, 4, vop_round32(env, fp_from_int(x)))
CONVERT(cvtsi2ssq, d, q, int64_t, 1, 4, vop_round32(env, fp_from_int(x)))
CONVERT(cvtsi2sd, q, d, int32_t, 1, 8, fp_pack64(fp_from_int(x)))
CONVERT(cvtsi2sdq, q, q, int64_t, 1, 8, vop_round64(env, fp_from_int(x)))

/* -- to integers: as MXCSR rounds, or truncating */
#define TO_INT(name, to, from, type, bits, n, bytes)                                               \
    CONVERT(cvt##name, to, from, type, n, bytes,                                                   \
            fp_to_int(env, fp_unpack_##from(env, x), bits, env->rounding))                         \
    CONVERT(cvtt##name, to, from, type, n, bytes,                                                  \
            fp_to_int(env, fp_unpack_##from(env, x), bits, FP_CHOP))
#define fp_unpack_d fp_unpack32
#define fp_unpack_q fp_unpack64

TO_INT(ps2dq, d, d, uint32_t, 32, 4, 16)
TO_INT(pd2dq, d, q, uint64_t, 32, 2, 16)
TO_INT(ps2pi, d, d, uint32_t, 32, 2, 8)
TO_INT(pd2pi, d, q, uint64_t, 32, 2, 8)

/* To a general register: all of q[0] is the result. */
#define TO_GENERAL(name, from, bits, cast)                                                         \
    void vop_cvt##name(VOP_ARGS)                                                                   \
    {                                                                                              \
        FpEnv env = vop_fp_begin(cpu);                                                             \
        Fp x = fp_unpack_##from(&env, b->from[0]);                                                 \
        int64_t r = fp_to_int(&env, x, bits, env.rounding);                                        \
                                                                                                   \
        vop_fp_end(cpu, &env);                                                                     \
        d->q[0] = (cast)r;                                                                         \
    }                                                                                              \
    void vop_cvtt##name(VOP_ARGS)                                                                  \
    {                                                                                              \
        FpEnv env = vop_fp_begin(cpu);                                                             \
        Fp x = fp_unpack_##from(&env, b->from[0]);                                                 \
        int64_t r = fp_to_int(&env, x, bits, FP_CHOP);                                             \
                                                                                                   \
        vop_fp_end(cpu, &env);                                                                     \
        d->q[0] = (cast)r;                                                                         \
    }

TO_GENERAL(ss2si, d, 32, uint32_t)
TO_GENERAL(ss2siq, d, 64, uint64_t)
TO_GENERAL(sd2si, q, 32, uint32_t)
TO_GENERAL(sd2siq, q, 64, uint64_t)
