/*
 * shuffle.c - vector operations: interleave, pack, widen, shuffle, blend.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

/* -- interleave the low or high halves of a and b */
#define UNPACK(name, lane, high)                                                                   \
    static void interleave_##name(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,      \
                                  unsigned bytes)                                                  \
    {                                                                                              \
        VReg x = *a, y = *b;                                                                       \
        unsigned n = bytes / sizeof(x.lane[0]) / 2;                                                \
                                                                                                   \
        for (unsigned i = 0; i < n; i++) {                                                         \
            d->lane[2 * i] = x.lane[i + (high)*n];                                                 \
            d->lane[2 * i + 1] = y.lane[i + (high)*n];                                             \
        }                                                                                          \
    }                                                                                              \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        interleave_##name(d, a, b, imm, 16);                                                       \
    }

#define UNPACK_PAIR(name, lane, high)                                                              \
    UNPACK(name, lane, high)                                                                       \
    void vop_m_##name(VOP_ARGS)                                                                    \
    {                                                                                              \
        interleave_##name(d, a, b, imm, 8);                                                        \
    }

UNPACK_PAIR(punpcklbw, b, 0)
UNPACK_PAIR(punpcklwd, w, 0)
UNPACK_PAIR(punpckldq, d, 0)
UNPACK_PAIR(punpckhbw, b, 1)
UNPACK_PAIR(punpckhwd, w, 1)
UNPACK_PAIR(punpckhdq, d, 1)
UNPACK(punpcklqdq, q, 0)
UNPACK(punpckhqdq, q, 1)
UNPACK(unpcklps, d, 0)
UNPACK(unpckhps, d, 1)
UNPACK(unpcklpd, q, 0)
UNPACK(unpckhpd, q, 1)

/* -- narrow with saturation: lanes of a, then of b */
#define PACK(name, to, from, type, min, max)                                                       \
    static void narrow_##name(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,          \
                              unsigned bytes)                                                      \
    {                                                                                              \
        VReg x = *a, y = *b;                                                                       \
        unsigned n = bytes / sizeof(type);                                                         \
                                                                                                   \
        for (unsigned i = 0; i < n; i++) {                                                         \
            d->to[i] = vop_clamp((type)x.from[i], min, max);                                       \
            d->to[n + i] = vop_clamp((type)y.from[i], min, max);                                   \
        }                                                                                          \
    }

PACK(packsswb, b, w, int16_t, INT8_MIN, INT8_MAX)
PACK(packuswb, b, w, int16_t, 0, UINT8_MAX)
PACK(packssdw, w, d, int32_t, INT16_MIN, INT16_MAX)
PACK(packusdw, w, d, int32_t, 0, UINT16_MAX)
VOP_PAIR_OF(packsswb, narrow_packsswb)
VOP_PAIR_OF(packuswb, narrow_packuswb)
VOP_PAIR_OF(packssdw, narrow_packssdw)

void vop_packusdw(VOP_ARGS)
{
    narrow_packusdw(d, a, b, imm, 16);
}

/* -- widen the low lanes */
#define WIDEN(name, to, from, type)                                                                \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        VReg x = *b;                                                                               \
                                                                                                   \
        for (unsigned i = 0; i < 16 / sizeof(x.to[0]); i++)                                        \
            d->to[i] = (type)x.from[i];                                                            \
    }

WIDEN(pmovsxbw, w, b, int8_t)
WIDEN(pmovsxbd, d, b, int8_t)
WIDEN(pmovsxbq, q, b, int8_t)
WIDEN(pmovsxwd, d, w, int16_t)
WIDEN(pmovsxwq, q, w, int16_t)
WIDEN(pmovsxdq, q, d, int32_t)
WIDEN(pmovzxbw, w, b, uint8_t)
WIDEN(pmovzxbd, d, b, uint8_t)
WIDEN(pmovzxbq, q, b, uint8_t)
WIDEN(pmovzxwd, d, w, uint16_t)
WIDEN(pmovzxwq, q, w, uint16_t)
WIDEN(pmovzxdq, q, d, uint32_t)

/* -- shuffle by an immediate */
void vop_shufps(VOP_ARGS)
{
    VReg x = *a, y = *b;

    for (unsigned i = 0; i < 4; i++)
        d->d[i] = (i < 2 ? &x : &y)->d[imm >> 2 * i & 3];
}

void vop_shufpd(VOP_ARGS)
{
    uint64_t low = a->q[imm & 1], high = b->q[imm >> 1 & 1];

    d->q[0] = low;
    d->q[1] = high;
}

void vop_pshufd(VOP_ARGS)
{
    vop_shufps(cpu, d, b, b, imm);
}

/* Four words from `first` on, in the order that the immediate gives. */
static void shuffle_words(VReg *d, const VReg *b, unsigned first, unsigned imm)
{
    VReg x = *b;

    for (unsigned i = 0; i < 4; i++)
        d->w[first + i] = x.w[first + (imm >> 2 * i & 3)];
}

void vop_pshuflw(VOP_ARGS)
{
    shuffle_words(d, b, 0, imm);
    d->q[1] = b->q[1];
}

void vop_pshufhw(VOP_ARGS)
{
    shuffle_words(d, b, 4, imm);
    d->q[0] = b->q[0];
}

void vop_m_pshufw(VOP_ARGS)
{
    shuffle_words(d, b, 0, imm);
}

static void shuffle_bytes(VReg *d, const VReg *a, const VReg *b, UNUSED unsigned imm,
                          unsigned bytes)
{
    VReg x = *a, y = *b;

    for (unsigned i = 0; i < bytes; i++)
        d->b[i] = y.b[i] & 0x80 ? 0 : x.b[y.b[i] & (bytes - 1)];
}
VOP_PAIR_OF(pshufb, shuffle_bytes)

/* -- blend: b where the mask says so, else a */
#define BLEND(name, lane, type, condition)                                                         \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        VReg mask = cpu->vec[0];                                                                   \
                                                                                                   \
        (void)mask;                                                                                \
        for (unsigned i = 0; i < 16 / sizeof(type); i++)                                           \
            d->lane[i] = (condition) ? b->lane[i] : a->lane[i];                                    \
    }

BLEND(blendps, d, uint32_t, imm >> i & 1)
BLEND(blendpd, q, uint64_t, imm >> i & 1)
BLEND(pblendw, w, uint16_t, imm >> i & 1)
BLEND(pblendvb, b, int8_t, (int8_t)mask.b[i] < 0)
BLEND(blendvps, d, int32_t, (int32_t)mask.d[i] < 0)
BLEND(blendvpd, q, int64_t, (int64_t)mask.q[i] < 0)

/* imm: 7..6 lane of b, 5..4 lane of the result, 3..0 lanes that become zero. */
static void insert_ps(VReg *d, const VReg *a, uint32_t value, unsigned imm)
{
    VReg x = *a;

    x.d[imm >> 4 & 3] = value;
    for (unsigned i = 0; i < 4; i++)
        d->d[i] = imm >> i & 1 ? 0 : x.d[i];
}

void vop_insertps(VOP_ARGS)
{
    insert_ps(d, a, b->d[imm >> 6 & 3], imm);
}

void vop_insertps_m(VOP_ARGS)
{
    insert_ps(d, a, b->d[0], imm);
}
