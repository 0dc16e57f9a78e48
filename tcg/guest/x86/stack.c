/*
 * stack.c - push pop pusha popa enter leave pushf popf.
 */
#include "tcg/guest/x86/emit.h"

void tr_push_(Trans *t)
{
    tr_push(t, t->in.osize, tr_get(t, 0));
}

/* An address formed with rSP uses its value after the pop; rSP itself moves after the store. */
void tr_pop_(Trans *t)
{
    IrSize size = t->in.osize;
    IrRef top = tr_mem_seg(t, SEG_SS, ir_g(RSP), 0, t->stack_size);

    if (tr_is_mem(t, 0)) {
        IrRef v = tr_ld(t, size, top);
        tr_st(t, size, tr_mem_at(t, 0, t->in.mem.base == RSP ? 1 << size : 0), v);
        tr_stack_add(t, 1 << size);
    } else if (t->in.opd[0].reg == RSP) {
        IrRef v = tr_ld(t, size, top);
        tr_stack_add(t, 1 << size);
        tr_mov(t, size, ir_g(RSP), v);
    } else {
        tr_op(t, IR_ld, size, tr_reg(t, 0), top, REF_NONE);
        tr_stack_add(t, 1 << size);
    }
}

void tr_pusha(Trans *t)
{
    IrSize size = t->in.osize;
    int bytes = 1 << size;

    for (int i = 0; i < 8; i++)
        tr_st(t, size, tr_mem_seg(t, SEG_SS, ir_g(RSP), -bytes * (i + 1), t->stack_size), ir_g(i));
    tr_stack_add(t, -bytes * 8);
}

void tr_popa(Trans *t)
{
    IrSize size = t->in.osize;
    IrRef v[8];

    for (int i = 0; i < 8; i++)
        if (7 - i != RSP)
            v[7 - i] = tr_pop_peek(t, size, i << size);
    for (int n = 0; n < 8; n++)
        if (n != RSP)
            tr_mov(t, size, ir_g(n), v[n]);
    tr_stack_add(t, 8 << size);
}

void tr_enter(Trans *t)
{
    IrSize size = t->in.osize;
    unsigned level = t->in.imm2 & 31;

    if (level) {
        tr_call0(t, &x86_h_enter, tr_k(t, t->in.imm), tr_k(t, level), tr_k(t, 1 << size));
        return;
    }
    IrRef m = tr_mem_seg(t, SEG_SS, ir_g(RSP), -(1 << size), t->stack_size);
    IrRef frame = tr_temp(t);
    tr_st(t, size, m, ir_g(RBP));
    tr_op(t, IR_lea, t->stack_size, frame, m, REF_NONE);
    tr_op(t, IR_sub, t->stack_size, ir_g(RSP), frame, tr_k(t, t->in.imm));
    tr_mov(t, size, ir_g(RBP), frame);
}

void tr_leave(Trans *t)
{
    IrSize size = t->in.osize;
    IrRef v = tr_ld(t, size, tr_mem_seg(t, SEG_SS, ir_g(RBP), 0, t->stack_size));
    IrRef above = tr_mem_seg(t, SEG_SS, ir_g(RBP), 1 << size, t->stack_size);

    tr_op(t, IR_lea, t->stack_size, ir_g(RSP), above, REF_NONE);
    tr_mov(t, size, ir_g(RBP), v);
}

void tr_pushf(Trans *t)
{
    IrRef osize = tr_k(t, 1 << t->in.osize);

    tr_push(t, t->in.osize, tr_call(t, &x86_h_pushf, osize, REF_NONE, REF_NONE));
}

void tr_popf(Trans *t)
{
    IrRef image = tr_pop_peek(t, t->in.osize, 0);

    tr_call0(t, &x86_h_popf, image, tr_k(t, 1 << t->in.osize), REF_NONE);
    tr_stack_add(t, 1 << t->in.osize);
}
