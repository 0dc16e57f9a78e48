/*
 * random.h - random operands for tests of arithmetic: the special values come up often.
 */
#ifndef TESTS_UNIT_RANDOM_H
#define TESTS_UNIT_RANDOM_H

#include "base/compiler.h"
#include "tcg/cpu.h"

typedef struct {
    uint64_t state;
} Random;

/* splitmix64 */
UNUSED static uint64_t random_u64(Random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

UNUSED static unsigned random_below(Random *r, unsigned n)
{
    return (random_u64(r) >> 32) % n;
}

/* A floating-point pattern of 1 sign, `e` exponent and `f` fraction bits. */
UNUSED static uint64_t random_float(Random *r, unsigned e, unsigned f)
{
    uint64_t x = random_u64(r), max = (1ull << e) - 1, bias = max >> 1;
    uint64_t exps[] = { 0,
                        1,
                        max,
                        max - 1,
                        bias,
                        bias + 1,
                        bias - 1,
                        bias + random_below(r, 70),
                        bias - random_below(r, 70),
                        random_below(r, 2 * f),
                        x & max,
                        x & max };
    uint64_t fracs[] = { 0,
                         1,
                         (1ull << f) - 1,
                         1ull << (f - 1),
                         1ull << random_below(r, f),
                         -1ull << random_below(r, f),
                         x >> 8,
                         x >> 8,
                         x >> 8,
                         x >> 8 };
    uint64_t exp = exps[random_below(r, ARRAY_LEN(exps))] & max;
    uint64_t frac = fracs[random_below(r, ARRAY_LEN(fracs))] & ((1ull << f) - 1);

    return (x >> 63) << (e + f) | exp << f | frac;
}

/* An x87 register: bytes 0..7 and 8..9. One in eight has an encoding that the x87 does not support.
 */
UNUSED static VReg random_extended(Random *r)
{
    uint64_t x = random_u64(r), sig = random_u64(r), bit = 1ull << random_below(r, 64);
    uint16_t exps[] = { 0,
                        1,
                        0x7fff,
                        0x7ffe,
                        0x3fff,
                        0x3fff + random_below(r, 70),
                        0x3fff - random_below(r, 70),
                        0x3fff + 63,
                        0x43ff,
                        0x3c00,
                        0x407f,
                        0x3f80,
                        random_below(r, 70),
                        x };
    uint64_t sigs[] = { 0,
                        1,
                        -1ull,
                        bit,
                        -bit,
                        1ull << 62,
                        sig,
                        sig,
                        sig & 0xffffff0000000000,
                        sig & 0xfffffffffffff800,
                        sig };
    VReg v = { .q = { sigs[random_below(r, ARRAY_LEN(sigs))] } };

    v.w[4] = (exps[random_below(r, ARRAY_LEN(exps))] & 0x7fff) | (x >> 48 & 0x8000);
    if (random_below(r, 8))
        v.q[0] = v.w[4] & 0x7fff ? v.q[0] | 1ull << 63 : v.q[0] & ~(1ull << 63);
    return v;
}

/* Floats in all lanes, doubles, or any bits. */
UNUSED static VReg random_vector(Random *r)
{
    unsigned kind = random_below(r, 5);
    VReg v = { .q = { random_u64(r), random_u64(r) } };

    for (unsigned i = 0; i < 4 && kind < 2; i++)
        v.d[i] = random_float(r, 8, 23);
    for (unsigned i = 0; i < 2 && kind >= 2 && kind < 4; i++)
        v.q[i] = random_float(r, 11, 52);
    return v;
}

/* All exceptions masked; any rounding, DAZ, FTZ and sticky flags. */
UNUSED static uint32_t random_mxcsr(Random *r)
{
    uint32_t x = random_u64(r);

    return 0x1f80 | (x & 0x6000) | (x & 0x30000 ? 0 : 0x40) | (x & 0xc0000 ? 0 : 0x8000) |
           (x & 0x300000 ? 0 : x >> 24 & 0x3f);
}

#endif
