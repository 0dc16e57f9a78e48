/*
 * translate.h - what the functions of decoder rows build IR with.
 *
 * A row's function reads t->in (the decoded instruction) and appends IR for it; the loop in
 * translate.c has already emitted IR_insn, and goes on with the next instruction unless the
 * function ended the block (tr_jump, tr_exit, tr_raise ... set t->done).
 *
 * Operand values are refs that may be used directly as operands of an IR operation: a register is
 * its G, an immediate a K, memory a T that was loaded. So a ref got early reads the register late:
 * copy it (tr_copy) where the instruction writes that register in between.
 */
#ifndef TCG_GUEST_X86_TRANSLATE_H
#define TCG_GUEST_X86_TRANSLATE_H

#include "tcg/guest/x86/decode.h"
#include "tcg/guest/x86/helpers.h"

struct Trans {
    X86Cpu *x; /* only what the block's mode and the CPU model fix may be looked at */
    IrBlock *b;
    uint32_t mode;
    bool code64;
    uint8_t code_size;  /* IrSize of instruction pointers: IR_16, IR_32, IR_64 by MODE_CODE */
    uint8_t stack_size; /* IrSize of the stack pointer */
    uint8_t mmu;        /* TLB class of data accesses */
    uint64_t pc;        /* of the block's page as the guest counts now: logs, wrap hints */
    int64_t at, next;   /* this instruction and the one after it, relative to rip_page */
    bool done;          /* the block has its last operation */
    X86Insn in;
};

/* -- operations */

/* d = a op b, without and with the guest's flags */
IrOp *tr_op(Trans *t, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef b);
IrOp *tr_opf(Trans *t, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef b);
void tr_mov(Trans *t, IrSize size, IrRef d, IrRef a);
IrRef tr_k(Trans *t, uint64_t value);
IrRef tr_temp(Trans *t);
IrRef tr_copy(Trans *t, IrSize size, IrRef a); /* a new temporary, zero-extended */
IrRef tr_call(Trans *t, const IrHelper *h, IrRef a, IrRef b, IrRef c); /* its result */
void tr_call0(Trans *t, const IrHelper *h, IrRef a, IrRef b, IrRef c); /* no result */

/* -- operands of t->in, by number */
IrSize tr_size(const Trans *t, unsigned n);
bool tr_is_mem(const Trans *t, unsigned n);
IrRef tr_get(Trans *t, unsigned n);         /* G, K, or a T loaded from memory */
IrRef tr_reg(Trans *t, unsigned n);         /* the G of a register operand, for writing */
void tr_put(Trans *t, unsigned n, IrRef v); /* mov or st */

/* -- memory */

/* The memory operand of t->in; `attr`: MEM_WRITE, MEM_ALIGN. `disp` is added to the address. */
IrRef tr_mem(Trans *t, unsigned attr);
IrRef tr_mem_at(Trans *t, unsigned attr, int64_t disp);
/* seg:[base + disp], cut to `asize` */
IrRef tr_mem_seg(Trans *t, unsigned seg, IrRef base, int32_t disp, IrSize asize);
IrRef tr_address(Trans *t); /* the offset of the memory operand (T), without segment base */
IrRef tr_ld(Trans *t, IrSize size, IrRef m);
void tr_st(Trans *t, IrSize size, IrRef m, IrRef v);

/* -- the stack; nothing is written to rSP until the access has succeeded */
void tr_push(Trans *t, IrSize size, IrRef v);
IrRef tr_pop_peek(Trans *t, IrSize size, int32_t disp); /* load [SS:rSP + disp] */
void tr_stack_add(Trans *t, int32_t bytes);             /* rSP += bytes, no flags */

/* -- control */
IrRef tr_pc(Trans *t, int64_t delta); /* T = rip_page + delta, cut to the code size */
void tr_jump(Trans *t, int64_t target, IrSize size); /* direct; target relative to rip_page */
void tr_jump_call(Trans *t, int64_t target, IrSize size);
/* Go to `target` if cc holds, or if `v` of `width` is (not) zero; else on with the next. */
void tr_branch_cc(Trans *t, IrCond cc, int64_t target, IrSize size);
void tr_branch_nz(Trans *t, IrRef v, IrSize width, bool nonzero, int64_t target, IrSize size);
bool tr_single(const Trans *t); /* the mode allows one instruction (string element) a block */
void tr_jump_reg(Trans *t, IrRef pc, IrSize size, unsigned attr); /* attr: IR_IS_CALL, IR_IS_RET */
void tr_exit(Trans *t);      /* to the dispatcher, next instruction: after a change of mode */
void tr_exitr(Trans *t);     /* to the dispatcher: a helper has set Cpu.pc */
void tr_no_return(Trans *t); /* after a helper that always raises */
void tr_raise(Trans *t, unsigned vector);
void tr_raise_error(Trans *t, unsigned vector, uint32_t error);
void tr_ud(Trans *t); /* a row's function: #UD */

void x86_translate(Cpu *cpu, IrBlock *b, CodeWindow *code, unsigned max_insns);

#endif
