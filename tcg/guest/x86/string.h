/*
 * string.h - how the translator tells x86_h_string what to do: one word.
 */
#ifndef TCG_GUEST_X86_STRING_H
#define TCG_GUEST_X86_STRING_H

#include <stdint.h>

typedef enum { STR_MOVS, STR_STOS, STR_LODS, STR_SCAS, STR_CMPS, STR_INS, STR_OUTS } X86StringKind;

/* Fields of the word: kind, log2 of the element's bytes, IrSize of addresses, segment of rSI ... */
enum {
    STR_KIND = 0,  /* 4 bits */
    STR_SIZE = 4,  /* 4 bits */
    STR_ASIZE = 8, /* 4 bits */
    STR_SEG = 12,  /* 4 bits */
    STR_REP = 1 << 16,
    STR_WHILE_EQUAL = 1 << 17, /* SCAS, CMPS: REPE; without it REPNE */
    STR_DOWN = 1 << 18,        /* DF */
    STR_ONE = 1 << 19,         /* at most one element, then report */
};

#endif
