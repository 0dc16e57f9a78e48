/*
 * logic.c - vector operations: moves, transfers to and from general registers, bitwise logic.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

/* -- moves */
void vop_movdqa(VOP_ARGS)
{
    uint64_t low = b->q[0], high = b->q[1];

    d->q[0] = low;
    d->q[1] = high;
}

void vop_movss(VOP_ARGS)
{
    uint32_t low = b->d[0];

    vop_movdqa(cpu, d, a, a, imm);
    d->d[0] = low;
}

void vop_movsd(VOP_ARGS)
{
    uint64_t low = b->q[0], high = a->q[1];

    d->q[0] = low;
    d->q[1] = high;
}

void vop_movq(VOP_ARGS)
{
    d->q[0] = b->q[0];
    d->q[1] = 0;
}

void vop_movhlps(VOP_ARGS)
{
    uint64_t low = b->q[1], high = a->q[1];

    d->q[0] = low;
    d->q[1] = high;
}

void vop_movlhps(VOP_ARGS)
{
    uint64_t low = a->q[0], high = b->q[0];

    d->q[0] = low;
    d->q[1] = high;
}

void vop_movlps_m(VOP_ARGS)
{
    vop_movsd(cpu, d, a, b, imm);
}

void vop_movlpd_m(VOP_ARGS)
{
    vop_movsd(cpu, d, a, b, imm);
}

void vop_movhps_m(VOP_ARGS)
{
    vop_movlhps(cpu, d, a, b, imm);
}

void vop_movhpd_m(VOP_ARGS)
{
    vop_movlhps(cpu, d, a, b, imm);
}

void vop_movddup(VOP_ARGS)
{
    d->q[1] = d->q[0] = b->q[0];
}

void vop_movsldup(VOP_ARGS)
{
    uint32_t x = b->d[0], y = b->d[2];

    d->d[0] = d->d[1] = x;
    d->d[2] = d->d[3] = y;
}

void vop_movshdup(VOP_ARGS)
{
    uint32_t x = b->d[1], y = b->d[3];

    d->d[0] = d->d[1] = x;
    d->d[2] = d->d[3] = y;
}

void vop_m_movq(VOP_ARGS)
{
    d->q[0] = b->q[0];
}

void vop_movq2dq(VOP_ARGS)
{
    vop_movq(cpu, d, a, b, imm);
}

void vop_movdq2q(VOP_ARGS)
{
    d->q[0] = b->q[0];
}

/* -- general registers */
void vop_movd_vg(VOP_ARGS)
{
    d->q[0] = b->d[0];
    d->q[1] = 0;
}

void vop_movq_vg(VOP_ARGS)
{
    vop_movq(cpu, d, a, b, imm);
}

void vop_movd_gv(VOP_ARGS)
{
    d->q[0] = b->d[0];
}

void vop_movq_gv(VOP_ARGS)
{
    d->q[0] = b->q[0];
}

void vop_m_movd_vg(VOP_ARGS)
{
    d->q[0] = b->d[0];
}

void vop_m_movq_vg(VOP_ARGS)
{
    d->q[0] = b->q[0];
}

void vop_m_movd_gv(VOP_ARGS)
{
    d->q[0] = b->d[0];
}

void vop_m_movq_gv(VOP_ARGS)
{
    d->q[0] = b->q[0];
}

/* The top bits of the bytes, dwords or qwords as an integer. */
static uint64_t sign_mask(const VReg *v, unsigned bytes, unsigned lane)
{
    uint64_t mask = 0;

    for (unsigned i = 0; i < bytes / lane; i++)
        mask |= (uint64_t)(v->b[(i + 1) * lane - 1] >> 7) << i;
    return mask;
}

void vop_movmskps(VOP_ARGS)
{
    d->q[0] = sign_mask(b, 16, 4);
}

void vop_movmskpd(VOP_ARGS)
{
    d->q[0] = sign_mask(b, 16, 8);
}

void vop_pmovmskb(VOP_ARGS)
{
    d->q[0] = sign_mask(b, 16, 1);
}

void vop_m_pmovmskb(VOP_ARGS)
{
    d->q[0] = sign_mask(b, 8, 1);
}

/* One lane of b's value goes into a. */
#define INSERT(name, lane, mask)                                                                   \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        uint64_t value = b->q[0];                                                                  \
                                                                                                   \
        vop_movdqa(cpu, d, a, a, imm);                                                             \
        d->lane[imm & (mask)] = value;                                                             \
    }

INSERT(pinsrb, b, 15)
INSERT(pinsrw, w, 7)
INSERT(pinsrd, d, 3)
INSERT(pinsrq, q, 1)

void vop_m_pinsrw(VOP_ARGS)
{
    uint16_t value = b->w[0];

    d->q[0] = a->q[0];
    d->w[imm & 3] = value;
}

/* One lane becomes an integer. */
#define EXTRACT(name, lane, mask)                                                                  \
    void vop_##name(VOP_ARGS)                                                                      \
    {                                                                                              \
        d->q[0] = b->lane[imm & (mask)];                                                           \
    }

EXTRACT(pextrb, b, 15)
EXTRACT(pextrw, w, 7)
EXTRACT(pextrw_x, w, 7)
EXTRACT(pextrd, d, 3)
EXTRACT(pextrq, q, 1)
EXTRACT(extractps, d, 3)
EXTRACT(m_pextrw, w, 3)

/* -- logic */
VOP_EACH(andps, 16, q, uint64_t, x &y)
VOP_EACH(andpd, 16, q, uint64_t, x &y)
VOP_EACH(andnps, 16, q, uint64_t, ~x &y)
VOP_EACH(andnpd, 16, q, uint64_t, ~x &y)
VOP_EACH(orps, 16, q, uint64_t, x | y)
VOP_EACH(orpd, 16, q, uint64_t, x | y)
VOP_EACH(xorps, 16, q, uint64_t, x ^ y)
VOP_EACH(xorpd, 16, q, uint64_t, x ^ y)
VOP_PAIR(pand, q, uint64_t, x &y)
VOP_PAIR(pandn, q, uint64_t, ~x &y)
VOP_PAIR(por, q, uint64_t, x | y)
VOP_PAIR(pxor, q, uint64_t, x ^ y)

void vop_ptest(VOP_ARGS)
{
    bool zero = !(a->q[0] & b->q[0]) && !(a->q[1] & b->q[1]);
    bool carry = !(~a->q[0] & b->q[0]) && !(~a->q[1] & b->q[1]);

    d->q[0] = (zero ? FLAG_ZF : 0) | (carry ? FLAG_CF : 0);
}
