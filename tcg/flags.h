/*
 * flags.h - the six arithmetic flags at their x86 EFLAGS places, and the lazy form they are kept
 * in.
 */
#ifndef TCG_FLAGS_H
#define TCG_FLAGS_H

#include <stdint.h>

enum {
    FLAG_CF = 1 << 0,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_OF = 1 << 11,
    FLAGS_ALL = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
    FLAGS_NO_C = FLAGS_ALL & ~FLAG_CF,
    FLAGS_CO = FLAG_CF | FLAG_OF,
    /* pseudo masks of ir-ops.def, resolved by ir_flags_written() and ir_flags_read() */
    FLAGS_CC = 1 << 16,     /* those of the condition `cc` */
    FLAGS_IMM = 1 << 17,    /* those in `imm` */
    FLAGS_SUB = 1 << 18,    /* those of the sub-operation */
    FLAGS_HELPER = 1 << 19, /* all, if the helper says HELPER_FLAGS */
};

/*
 * Where the flags are between blocks: either packed, or as the operands of the instruction that set
 * them (`a`, `b` in Cpu.cc_a, cc_b; `width` 0..3 as IrSize). Values beyond the width are ignored.
 */
typedef enum {
    LAZY_PACKED, /* cc_a holds the six flags */
    LAZY_ADD,    /* cc_a = result, cc_b = second operand */
    LAZY_SUB,    /* cc_a = result, cc_b = second operand */
    LAZY_CMP,    /* cc_a = first, cc_b = second operand */
    LAZY_LOGIC,  /* cc_a = result: CF OF AF 0 */
} LazyKind;

#define LAZY(kind, width) ((kind) << 2 | (width))

/* The six flags of a lazy triple. Pure. */
uint32_t flags_compute(uint32_t lazy, uint64_t a, uint64_t b);

#endif
