/*
 * vops.h - declares the function of every row of vop.def, and the loops they share.
 */
#ifndef TCG_VOP_VOPS_H
#define TCG_VOP_VOPS_H

#include "tcg/vop.h"

#define V_OP(name, form, prefix, map, opcode, ext, mem, attr, feature) VopFn vop_##name;
#include "tcg/vop.def"
#undef V_OP

#define VOP_ARGS                                                                                   \
    UNUSED Cpu *cpu, VReg *d, UNUSED const VReg *a, UNUSED const VReg *b, UNUSED unsigned imm

/* d[i] = expr(x, y) for the lanes of `bytes` bytes, x from a and y from b read as `type`. */
#define VOP_EACH(name, bytes, lane, type, expr)                                                    \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        for (unsigned i = 0; i < (bytes) / sizeof(type); i++) {                                    \
            type x = (type)a->lane[i], y = (type)b->lane[i];                                       \
            (void)x;                                                                               \
            d->lane[i] = (expr);                                                                   \
        }                                                                                          \
    }

/* The same for an XMM operation and its MMX sister. */
#define VOP_PAIR(name, lane, type, expr)                                                           \
    VOP_EACH(name, 16, lane, type, expr)                                                           \
    VOP_EACH(m_##name, 8, lane, type, expr)

/* An XMM operation and its MMX sister over a function of (d, a, b, imm, bytes). */
#define VOP_PAIR_OF(name, fn)                                                                      \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        fn(d, a, b, imm, 16);                                                                      \
    }                                                                                              \
    void vop_m_##name(VOP_ARGS)                                                                    \
    {                                                                                              \
        fn(d, a, b, imm, 8);                                                                       \
    }

static inline int64_t vop_clamp(int64_t v, int64_t min, int64_t max)
{
    return v < min ? min : v > max ? max : v;
}

#endif
