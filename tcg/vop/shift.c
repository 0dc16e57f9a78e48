/*
 * shift.c - vector operations: shifts. A count of the lane's width or more gives zeros, or for
 * arithmetic shifts the sign. The count is the low 64 bits of b, or the immediate.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

#define SHIFT_BY(name, bytes, lane, type, count, expr)                                             \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        const unsigned bits = 8 * sizeof(type);                                                    \
        uint64_t n = (count);                                                                      \
                                                                                                   \
        for (unsigned i = 0; i < (bytes) / sizeof(type); i++) {                                    \
            type x = (type)a->lane[i];                                                             \
            d->lane[i] = (expr);                                                                   \
        }                                                                                          \
    }

#define SHIFT(name, lane, type, expr)                                                              \
    SHIFT_BY(name, 16, lane, type, b->q[0], expr)                                                  \
    SHIFT_BY(m_##name, 8, lane, type, b->q[0], expr)                                               \
    SHIFT_BY(name##_i, 16, lane, type, imm, expr)                                                  \
    SHIFT_BY(m_##name##_i, 8, lane, type, imm, expr)

SHIFT(psrlw, w, uint16_t, n < bits ? x >> n : 0)
SHIFT(psrld, d, uint32_t, n < bits ? x >> n : 0)
SHIFT(psrlq, q, uint64_t, n < bits ? x >> n : 0)
SHIFT(psraw, w, int16_t, x >> (n < bits ? n : bits - 1))
SHIFT(psrad, d, int32_t, x >> (n < bits ? n : bits - 1))
SHIFT(psllw, w, uint16_t, n < bits ? x << n : 0)
SHIFT(pslld, d, uint32_t, n < bits ? x << n : 0)
SHIFT(psllq, q, uint64_t, n < bits ? x << n : 0)

/* The 16 bytes from byte `n` on of low:high, read as 32 bytes followed by zeros. */
static void align_bytes(VReg *d, const VReg *high, const VReg *low, unsigned n, unsigned bytes)
{
    uint8_t all[64] = { 0 };

    for (unsigned i = 0; i < bytes; i++) {
        all[i] = low->b[i];
        all[bytes + i] = high->b[i];
    }
    for (unsigned i = 0; i < bytes; i++)
        d->b[i] = n < 2 * bytes ? all[n + i] : 0;
}
VOP_PAIR_OF(palignr, align_bytes)

void vop_psrldq(VOP_ARGS)
{
    align_bytes(d, &(VReg) { 0 }, a, imm, 16);
}

void vop_pslldq(VOP_ARGS)
{
    align_bytes(d, a, &(VReg) { 0 }, imm < 16 ? 16 - imm : 32, 16);
}
