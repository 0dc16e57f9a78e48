/*
 * fp.h - MXCSR around softfloat: what the floating-point vector operations share.
 *
 * An operation computes all lanes into a copy, then calls vop_fp_end(), which raises if it must,
 * and only then writes its destination.
 */
#ifndef TCG_VOP_FP_H
#define TCG_VOP_FP_H

#include "tcg/guest.h"
#include "tcg/softfloat.h"
#include "tcg/vop/vops.h"

enum { MXCSR_DAZ = 1 << 6, MXCSR_MASKS = 7, MXCSR_RC = 13, MXCSR_FTZ = 1 << 15 };

static inline FpEnv vop_fp_begin(const Cpu *cpu)
{
    return (FpEnv) {
        .rounding = cpu->mxcsr >> MXCSR_RC & 3,
        .masked = cpu->mxcsr >> MXCSR_MASKS & FP_ALL,
        .daz = cpu->mxcsr & MXCSR_DAZ,
        .ftz = cpu->mxcsr & MXCSR_FTZ,
    };
}

/* Make the exceptions sticky; an unmasked early one of any lane hides all late ones. */
static inline void vop_fp_end(Cpu *cpu, const FpEnv *env)
{
    unsigned flags = env->flags, unmasked = flags & ~env->masked;

    if (unmasked & FP_EARLY)
        flags &= FP_EARLY;
    cpu->mxcsr |= flags;
    if (unmasked)
        cpu->guest->fp_exception(cpu);
}

/* Between the stages of an operation that rounds more than once. */
static inline void vop_fp_stage(Cpu *cpu, FpEnv *env)
{
    vop_fp_end(cpu, env);
    env->flags = 0;
}

static inline void vop_store(VReg *d, const VReg *v)
{
    d->q[0] = v->q[0];
    d->q[1] = v->q[1];
}

static inline uint32_t vop_round32(FpEnv *env, Fp v)
{
    return fp_pack32(fp_round(env, &fp_single, v));
}

static inline uint64_t vop_round64(FpEnv *env, Fp v)
{
    return fp_pack64(fp_round(env, &fp_double, v));
}

#endif
