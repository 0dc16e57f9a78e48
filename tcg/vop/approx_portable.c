/*
 * approx_portable.c - RCPPS and RSQRTPS on a host that is not x86: the exact value, truncated to 12
 * bits. Denormal operands are zero, denormal results too, no exceptions (SDM, RCPPS).
 */
#if !defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "tcg/vop/approx.h"

enum { KEPT = 12 };

static uint32_t from_float(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, 4);
    if (!(bits & 0x7f800000))
        return bits & 0x80000000;
    return bits & -(1u << (24 - KEPT));
}

/* False: *out is the result already (NaN, or x is zero). */
static int operand(uint32_t x, float *f, uint32_t *out)
{
    uint32_t exp = x & 0x7f800000, fraction = x & 0x7fffff, sign = x & 0x80000000;

    *out = exp ? x | 0x400000 : sign | 0x7f800000;
    memcpy(f, &x, 4);
    return exp && (exp != 0x7f800000 || !fraction);
}

uint32_t approx_rcp(uint32_t x)
{
    uint32_t out;
    float f;

    return operand(x, &f, &out) ? from_float(1.0 / f) : out;
}

uint32_t approx_rsqrt(uint32_t x)
{
    uint32_t out;
    float f;

    if (!operand(x, &f, &out))
        return out;
    return f < 0 ? 0xffc00000 : from_float(1.0 / sqrt(f));
}

#endif
