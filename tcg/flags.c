/*
 * flags.c - the six flags of a lazy triple (flags.h).
 *
 * Everything follows from an addition's or subtraction's result and one operand: the other operand
 * is recovered first, then the carry into each bit is a ^ b ^ result.
 */
#include "tcg/flags.h"

/* ZF, SF and PF depend on the result alone. */
static uint32_t flags_of_result(uint64_t result, unsigned bits)
{
    uint64_t top = UINT64_C(1) << (bits - 1);
    uint64_t mask = top | (top - 1);
    uint32_t flags = 0;

    if (!(result & mask))
        flags |= FLAG_ZF;
    if (result & top)
        flags |= FLAG_SF;
    if (!__builtin_parity(result & 0xff))
        flags |= FLAG_PF;
    return flags;
}

static uint32_t flags_of_sub(uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t top = UINT64_C(1) << (bits - 1);
    uint64_t mask = top | (top - 1);
    uint64_t result = a - b;
    uint32_t flags = flags_of_result(result, bits);

    if ((a & mask) < (b & mask))
        flags |= FLAG_CF;
    if ((a ^ b ^ result) & 0x10)
        flags |= FLAG_AF;
    if ((a ^ b) & (a ^ result) & top)
        flags |= FLAG_OF;
    return flags;
}

static uint32_t flags_of_add(uint64_t result, uint64_t b, unsigned bits)
{
    uint64_t top = UINT64_C(1) << (bits - 1);
    uint64_t mask = top | (top - 1);
    uint64_t a = result - b;
    uint32_t flags = flags_of_result(result, bits);

    if ((result & mask) < (b & mask))
        flags |= FLAG_CF;
    if ((a ^ b ^ result) & 0x10)
        flags |= FLAG_AF;
    if (~(a ^ b) & (a ^ result) & top)
        flags |= FLAG_OF;
    return flags;
}

uint32_t flags_compute(uint32_t lazy, uint64_t a, uint64_t b)
{
    unsigned bits = 8u << (lazy & 3);

    switch ((LazyKind)(lazy >> 2)) {
    case LAZY_PACKED: return a & FLAGS_ALL;
    case LAZY_ADD: return flags_of_add(a, b, bits);
    case LAZY_SUB: return flags_of_sub(a + b, b, bits);
    case LAZY_CMP: return flags_of_sub(a, b, bits);
    case LAZY_LOGIC: return flags_of_result(a, bits);
    }
    return 0;
}
