/*
 * alu.h - arithmetic of the IR on plain numbers, with x86's flags.
 */
#ifndef TCG_HOST_INTERP_ALU_H
#define TCG_HOST_INTERP_ALU_H

#include <stdbool.h>

#include "tcg/ir.h"

static inline uint64_t alu_mask(unsigned size) /* IR_8..IR_64 */
{
    return UINT64_MAX >> (64 - (8u << size));
}

static inline int64_t alu_sign_extend(uint64_t v, unsigned size)
{
    unsigned up = 64 - (8u << size);

    return (int64_t)(v << up) >> up;
}

bool alu_cond(uint32_t flags, unsigned cc);

/*
 * Result of a plain operation (IR_add .. IR_btc, IR_lzcnt, ...) on operands cut to `size`; *flags
 * are the six flags before and become those after. `c` is the count of shld and shrd, the
 * destination of bsf and bsr.
 */
uint64_t alu_do(IrOpcode op, unsigned size, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags);

/* Both halves of a product, each cut to `size`. */
void alu_mul(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *high,
             uint32_t *flags);

uint32_t alu_crc32c(uint32_t crc, uint64_t data, unsigned bytes);

#endif
