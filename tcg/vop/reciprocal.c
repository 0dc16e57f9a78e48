/*
 * reciprocal.c - vector operations: RCPPS, RSQRTPS and their scalar forms.
 */
#include "base/compiler.h"
#include "tcg/vop/approx.h"
#include "tcg/vop/fp.h"

static void approximate(VReg *d, const VReg *a, const VReg *b, uint32_t (*fn)(uint32_t), unsigned n)
{
    VReg r = *a;

    for (unsigned i = 0; i < n; i++)
        r.d[i] = fn(b->d[i]);
    vop_store(d, &r);
}

void vop_rcpps(VOP_ARGS)
{
    approximate(d, a, b, approx_rcp, 4);
}

void vop_rcpss(VOP_ARGS)
{
    approximate(d, a, b, approx_rcp, 1);
}

void vop_rsqrtps(VOP_ARGS)
{
    approximate(d, a, b, approx_rsqrt, 4);
}

void vop_rsqrtss(VOP_ARGS)
{
    approximate(d, a, b, approx_rsqrt, 1);
}
