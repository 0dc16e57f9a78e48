/*
 * integer.c - vector operations: integer arithmetic, comparison and multiplication.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

/* -- addition and subtraction */
VOP_PAIR(paddb, b, uint8_t, x + y)
VOP_PAIR(paddw, w, uint16_t, x + y)
VOP_PAIR(paddd, d, uint32_t, x + y)
VOP_PAIR(paddq, q, uint64_t, x + y)
VOP_PAIR(psubb, b, uint8_t, x - y)
VOP_PAIR(psubw, w, uint16_t, x - y)
VOP_PAIR(psubd, d, uint32_t, x - y)
VOP_PAIR(psubq, q, uint64_t, x - y)
VOP_PAIR(paddsb, b, int8_t, vop_clamp(x + y, INT8_MIN, INT8_MAX))
VOP_PAIR(paddsw, w, int16_t, vop_clamp(x + y, INT16_MIN, INT16_MAX))
VOP_PAIR(paddusb, b, uint8_t, vop_clamp(x + y, 0, UINT8_MAX))
VOP_PAIR(paddusw, w, uint16_t, vop_clamp(x + y, 0, UINT16_MAX))
VOP_PAIR(psubsb, b, int8_t, vop_clamp(x - y, INT8_MIN, INT8_MAX))
VOP_PAIR(psubsw, w, int16_t, vop_clamp(x - y, INT16_MIN, INT16_MAX))
VOP_PAIR(psubusb, b, uint8_t, vop_clamp(x - y, 0, UINT8_MAX))
VOP_PAIR(psubusw, w, uint16_t, vop_clamp(x - y, 0, UINT16_MAX))
VOP_PAIR(pavgb, b, uint8_t, (x + y + 1) >> 1)
VOP_PAIR(pavgw, w, uint16_t, (x + y + 1) >> 1)

/* -- minimum, maximum, sign */
VOP_PAIR(pminub, b, uint8_t, x < y ? x : y)
VOP_PAIR(pmaxub, b, uint8_t, x > y ? x : y)
VOP_PAIR(pminsw, w, int16_t, x < y ? x : y)
VOP_PAIR(pmaxsw, w, int16_t, x > y ? x : y)
VOP_EACH(pminsb, 16, b, int8_t, x < y ? x : y)
VOP_EACH(pminsd, 16, d, int32_t, x < y ? x : y)
VOP_EACH(pminuw, 16, w, uint16_t, x < y ? x : y)
VOP_EACH(pminud, 16, d, uint32_t, x < y ? x : y)
VOP_EACH(pmaxsb, 16, b, int8_t, x > y ? x : y)
VOP_EACH(pmaxsd, 16, d, int32_t, x > y ? x : y)
VOP_EACH(pmaxuw, 16, w, uint16_t, x > y ? x : y)
VOP_EACH(pmaxud, 16, d, uint32_t, x > y ? x : y)
VOP_PAIR(psignb, b, int8_t, y < 0 ? -x : y ? x : 0)
VOP_PAIR(psignw, w, int16_t, y < 0 ? -x : y ? x : 0)
VOP_PAIR(psignd, d, int32_t, y < 0 ? -x : y ? x : 0)
VOP_PAIR(pabsb, b, int8_t, y < 0 ? -y : y)
VOP_PAIR(pabsw, w, int16_t, y < 0 ? -y : y)
VOP_PAIR(pabsd, d, int32_t, y < 0 ? -y : y)

/* -- comparison: all ones where true */
VOP_PAIR(pcmpeqb, b, uint8_t, -(x == y))
VOP_PAIR(pcmpeqw, w, uint16_t, -(x == y))
VOP_PAIR(pcmpeqd, d, uint32_t, -(x == y))
VOP_EACH(pcmpeqq, 16, q, uint64_t, -(uint64_t)(x == y))
VOP_PAIR(pcmpgtb, b, int8_t, -(x > y))
VOP_PAIR(pcmpgtw, w, int16_t, -(x > y))
VOP_PAIR(pcmpgtd, d, int32_t, -(x > y))
VOP_EACH(pcmpgtq, 16, q, int64_t, -(uint64_t)(x > y))

/* -- multiplication */
VOP_PAIR(pmullw, w, int16_t, x *y)
VOP_PAIR(pmulhw, w, int16_t, x *y >> 16)
VOP_PAIR(pmulhuw, w, uint16_t, (uint32_t)x *y >> 16)
VOP_PAIR(pmuludq, q, uint64_t, (x & UINT32_MAX) * (y & UINT32_MAX))
VOP_PAIR(pmulhrsw, w, int16_t, ((x * y >> 14) + 1) >> 1)
VOP_EACH(pmuldq, 16, q, int64_t, (int64_t)(int32_t)x *(int32_t)y)
VOP_EACH(pmulld, 16, d, uint32_t, x *y)

static void multiply_add(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm, unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 4; i++) {
        uint32_t low = (int16_t)a->w[2 * i] * (int16_t)b->w[2 * i];
        uint32_t high = (int16_t)a->w[2 * i + 1] * (int16_t)b->w[2 * i + 1];

        d->d[i] = low + high;
    }
}
VOP_PAIR_OF(pmaddwd, multiply_add)

/* Unsigned bytes of a, signed bytes of b. */
static void multiply_add_bytes(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,
                               unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 2; i++) {
        int low = a->b[2 * i] * (int8_t)b->b[2 * i];
        int high = a->b[2 * i + 1] * (int8_t)b->b[2 * i + 1];

        d->w[i] = vop_clamp(low + high, INT16_MIN, INT16_MAX);
    }
}
VOP_PAIR_OF(pmaddubsw, multiply_add_bytes)

static unsigned distance(const uint8_t *x, const uint8_t *y, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += x[i] > y[i] ? x[i] - y[i] : y[i] - x[i];
    return sum;
}

static void sum_distances(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,
                          unsigned bytes)
{
    for (unsigned i = 0; i < bytes / 8; i++)
        d->q[i] = distance(a->b + 8 * i, b->b + 8 * i, 8);
}
VOP_PAIR_OF(psadbw, sum_distances)

/* imm: bit 2 chooses the first byte of a, bits 0 and 1 the four bytes of b. */
void vop_mpsadbw(VOP_ARGS)
{
    VReg x = *a, y = *b;

    for (unsigned i = 0; i < 8; i++)
        d->w[i] = distance(x.b + (imm & 4) + i, y.b + 4 * (imm & 3), 4);
}

void vop_phminposuw(VOP_ARGS)
{
    unsigned min = 0;

    for (unsigned i = 1; i < 8; i++)
        if (b->w[i] < b->w[min])
            min = i;
    d->q[0] = b->w[min] | min << 16;
    d->q[1] = 0;
}

/* -- horizontal: pairs of a, then pairs of b */
#define HORIZONTAL(name, lane, type, expr)                                                         \
    static void pairs_##name(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,           \
                             unsigned bytes)                                                       \
    {                                                                                              \
        unsigned n = bytes / sizeof(type);                                                         \
        VReg in[2] = { *a, *b };                                                                   \
                                                                                                   \
        for (unsigned i = 0; i < n; i++) {                                                         \
            const VReg *from = &in[i >= n / 2];                                                    \
            unsigned k = 2 * i % n;                                                                \
            type x = (type)from->lane[k], y = (type)from->lane[k + 1];                             \
                                                                                                   \
            d->lane[i] = (expr);                                                                   \
        }                                                                                          \
    }                                                                                              \
    VOP_PAIR_OF(name, pairs_##name)

HORIZONTAL(phaddw, w, uint16_t, x + y)
HORIZONTAL(phaddd, d, uint32_t, x + y)
HORIZONTAL(phaddsw, w, int16_t, vop_clamp(x + y, INT16_MIN, INT16_MAX))
HORIZONTAL(phsubw, w, uint16_t, x - y)
HORIZONTAL(phsubd, d, uint32_t, x - y)
HORIZONTAL(phsubsw, w, int16_t, vop_clamp(x - y, INT16_MIN, INT16_MAX))
