/*
 * x87.h - the x87 register stack, its exceptions, and the helpers of its instructions.
 *
 * Registers are Cpu.vec[V_MM + physical]: q[0] significand, w[4] sign and exponent. Instructions
 * are helper calls (description, value or segment, offset of the memory operand).
 */
#ifndef TCG_GUEST_X86_X87_H
#define TCG_GUEST_X86_X87_H

#include "tcg/guest/x86/helpers.h"
#include "tcg/softfloat.h"

/* Status word; the exceptions are FP_*. */
enum {
    X87_SF = 1 << 6, /* stack fault */
    X87_ES = 1 << 7,
    X87_C0 = 1 << 8,
    X87_C1 = 1 << 9,
    X87_C2 = 1 << 10,
    X87_C3 = 1 << 14,
    X87_B = 1 << 15,
    X87_CC = X87_C0 | X87_C2 | X87_C3,
    X87_CW_INIT = 0x37f,
    X87_CW_ONE = 0x40, /* always set */
    X87_CW_VALID = 0x1f3f,
};

/*
 * What an instruction says of itself: bits 10..0 FOP (low opcode bits, ModRM), 11 memory operand,
 * 14..12 its segment, from 16 on the instruction's place relative to Cpu.rip_page, signed.
 */
enum { X87_HAS_MEM = 1 << 11, X87_SEG = 12, X87_AT = 16 };

static inline unsigned x87_modrm(uint64_t desc)
{
    return desc & 0xff;
}

static inline unsigned x87_reg_field(uint64_t desc) /* ModRM.reg */
{
    return desc >> 3 & 7;
}

static inline unsigned x87_opcode(uint64_t desc) /* 0..7: D8..DF */
{
    return desc >> 8 & 7;
}

/* -- state */
uint16_t x87_status(const X86Cpu *x);         /* with TOP */
void x87_set_status(X86Cpu *x, uint16_t sw);  /* with TOP; ES follows the masks */
void x87_set_control(X86Cpu *x, uint16_t cw); /* ES too */
uint16_t x87_tag_word(const X86Cpu *x);       /* two bits a register */
void x87_set_tag_word(X86Cpu *x, uint16_t tags);
void x87_init(X86Cpu *x);             /* FNINIT */
void x87_check_pending(X86Cpu *x);    /* #MF, or FERR# without CR0.NE */
VReg *x87_reg(X86Cpu *x, unsigned i); /* ST(i) */
bool x87_empty(const X86Cpu *x, unsigned i);

/* -- one instruction: begin, compute with the environment, end */
X86Cpu *x87_begin(Cpu *cpu, uint64_t desc, uint64_t off); /* waits, notes FIP, FOP, FDP */
FpEnv x87_env(const X86Cpu *x);
FpFormat x87_precision(const X86Cpu *x);

/* Take over the flags of `env`, C1 too; false: unmasked, and nothing may be written. */
bool x87_end(X86Cpu *x, const FpEnv *env);
/* The same for a result that goes to a register: late exceptions do not prevent it. */
bool x87_end_reg(X86Cpu *x, const FpEnv *env);
/* A register that is empty (C1 = 0) or in the way (C1 = 1); true: masked, go on with a NaN. */
bool x87_stack_fault(X86Cpu *x, bool overflow);
void x87_set_cc(X86Cpu *x, unsigned cc); /* C0 C2 C3 */

Fp x87_get(X86Cpu *x, unsigned i);
void x87_put(X86Cpu *x, unsigned i, Fp v);
void x87_push(X86Cpu *x, Fp v);
void x87_pop(X86Cpu *x);
void x87_free(X86Cpu *x, unsigned i);

/* MXCSR from memory: #GP for reserved bits; updates the mode. */
void x86_set_mxcsr(X86Cpu *x, uint32_t value);

/* The D9 E0..FF instructions that push, pop or reduce; see x87_unary.c. */
void x87_transcendental(X86Cpu *x, unsigned modrm);
void x87_remainder(X86Cpu *x, bool nearest);
void x87_scale(X86Cpu *x);
void x87_extract(X86Cpu *x);

/* -- helpers: (description, value, offset), or with a memory operand not loaded yet
 * (description, segment, offset) */
extern const IrHelper x86_h_x87_arith_mem, x86_h_x87_arith_reg, x86_h_x87_load, x86_h_x87_load80,
    x86_h_x87_store, x86_h_x87_register, x86_h_x87_compare, x86_h_x87_comi, x86_h_x87_cmov,
    x86_h_x87_unary;
/* Control: these do not wait or note FIP, but FLDCW, FLDENV and FRSTOR wait. */
extern const IrHelper x86_h_fwait;  /* () */
extern const IrHelper x86_h_fninit; /* () */
extern const IrHelper x86_h_fnclex; /* () */
extern const IrHelper x86_h_fnstsw; /* () -> value */
extern const IrHelper x86_h_fnstcw; /* () -> value */
extern const IrHelper x86_h_fldcw;  /* (value) */
/* (segment, offset, operand size 2 or 4) */
extern const IrHelper x86_h_fnstenv, x86_h_fldenv, x86_h_fnsave, x86_h_frstor;

#endif
