/*
 * crypto.c - vector operations: AES rounds (FIPS 197) and carry-less multiplication.
 *
 * The state is 4 columns of 4 bytes, column-major, as FIPS 197 section 3.4 draws it. The S-box is
 * computed (inverse in GF(2^8) and an affine map, section 5.1.1): only the interpreter and hosts
 * without AES instructions come here.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

/* Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
static uint8_t gf_mul(uint8_t x, uint8_t y)
{
    uint8_t product = 0;

    for (; y; y >>= 1) {
        product ^= y & 1 ? x : 0;
        x = x << 1 ^ (x & 0x80 ? 0x1b : 0);
    }
    return product;
}

/* x^254: the inverse, and 0 for 0. */
static uint8_t gf_inverse(uint8_t x)
{
    uint8_t result = 1;

    for (unsigned bit = 0; bit < 7; bit++) {
        x = gf_mul(x, x);
        result = gf_mul(result, x);
    }
    return result;
}

static uint8_t rotate8(uint8_t x, unsigned n)
{
    return x << n | x >> (8 - n);
}

static uint8_t sub_byte(uint8_t x)
{
    x = gf_inverse(x);
    return x ^ rotate8(x, 1) ^ rotate8(x, 2) ^ rotate8(x, 3) ^ rotate8(x, 4) ^ 0x63;
}

static uint8_t inv_sub_byte(uint8_t x)
{
    return gf_inverse(rotate8(x, 1) ^ rotate8(x, 3) ^ rotate8(x, 6) ^ 0x05);
}

/* SubBytes and ShiftRows: row r moves r columns to the left. */
static VReg sub_shift(const VReg *s)
{
    VReg r;

    for (unsigned i = 0; i < 16; i++)
        r.b[i] = sub_byte(s->b[(i + 4 * (i % 4)) % 16]);
    return r;
}

static VReg inv_sub_shift(const VReg *s)
{
    VReg r;

    for (unsigned i = 0; i < 16; i++)
        r.b[i] = inv_sub_byte(s->b[(i + 12 * (i % 4)) % 16]);
    return r;
}

/* MixColumns with the first row `m` of the circulant matrix. */
static VReg mix_columns(const VReg *s, const uint8_t m[4])
{
    VReg r;

    for (unsigned i = 0; i < 16; i++) {
        r.b[i] = 0;
        for (unsigned k = 0; k < 4; k++)
            r.b[i] ^= gf_mul(s->b[i / 4 * 4 + k], m[(k - i) & 3]);
    }
    return r;
}

static const uint8_t mix[4] = { 2, 3, 1, 1 }, inv_mix[4] = { 14, 11, 13, 9 };

static void add_key(VReg *d, const VReg *state, const VReg *key)
{
    d->q[0] = state->q[0] ^ key->q[0];
    d->q[1] = state->q[1] ^ key->q[1];
}

void vop_aesenc(VOP_ARGS)
{
    VReg s = sub_shift(a);

    s = mix_columns(&s, mix);
    add_key(d, &s, b);
}

void vop_aesenclast(VOP_ARGS)
{
    VReg s = sub_shift(a);

    add_key(d, &s, b);
}

void vop_aesdec(VOP_ARGS)
{
    VReg s = inv_sub_shift(a);

    s = mix_columns(&s, inv_mix);
    add_key(d, &s, b);
}

void vop_aesdeclast(VOP_ARGS)
{
    VReg s = inv_sub_shift(a);

    add_key(d, &s, b);
}

void vop_aesimc(VOP_ARGS)
{
    VReg s = mix_columns(b, inv_mix);

    d->q[0] = s.q[0];
    d->q[1] = s.q[1];
}

/* SubWord of the odd dwords; beside each, that rotated and with the round constant. */
void vop_aeskeygenassist(VOP_ARGS)
{
    VReg x = *b;

    for (unsigned i = 0; i < 2; i++) {
        uint32_t word = 0;

        for (unsigned k = 0; k < 4; k++)
            word |= (uint32_t)sub_byte(x.b[8 * i + 4 + k]) << 8 * k;
        d->d[2 * i] = word;
        d->d[2 * i + 1] = (word >> 8 | word << 24) ^ imm;
    }
}

void vop_pclmulqdq(VOP_ARGS)
{
    uint64_t x = a->q[imm & 1], y = b->q[imm >> 4 & 1], low = 0, high = 0;

    for (unsigned i = 0; i < 64; i++) {
        if (!(y >> i & 1))
            continue;
        low ^= x << i;
        high ^= i ? x >> (64 - i) : 0;
    }
    d->q[0] = low;
    d->q[1] = high;
}
