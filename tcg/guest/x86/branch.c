/*
 * branch.c - near and far jumps, calls and returns, conditional branches, loops, interrupts.
 */
#include "tcg/guest/x86/emit.h"

static int64_t target(const Trans *t)
{
    return t->next + t->in.imm;
}

static IrRef next_osize(Trans *t)
{
    return tr_k(t, X86_PACK_NEXT(t->next, 1u << t->in.osize));
}

void tr_jmp_near(Trans *t)
{
    tr_jump(t, target(t), t->in.osize);
}

void tr_call_near(Trans *t)
{
    tr_push(t, t->in.osize, tr_pc(t, t->next));
    tr_jump_call(t, target(t), t->in.osize);
}

void tr_jmp_indirect(Trans *t)
{
    tr_jump_reg(t, tr_get(t, 0), t->in.osize, 0);
}

void tr_call_indirect(Trans *t)
{
    IrRef to = tr_get(t, 0);

    if (to == ir_g(RSP))
        to = tr_copy(t, IR_64, to);
    tr_push(t, t->in.osize, tr_pc(t, t->next));
    tr_jump_reg(t, to, t->in.osize, IR_IS_CALL);
}

/* imm: bytes to release besides the address */
void tr_ret(Trans *t)
{
    IrRef to = tr_pop_peek(t, t->in.osize, 0);

    tr_stack_add(t, (1 << t->in.osize) + t->in.imm);
    tr_jump_reg(t, to, t->in.osize, IR_IS_RET);
}

void tr_jcc(Trans *t)
{
    tr_branch_cc(t, t->in.row->arg, target(t), t->in.osize);
}

void tr_jcxz(Trans *t)
{
    tr_branch_nz(t, ir_g(RCX), t->in.asize, false, target(t), t->in.osize);
}

void tr_loop(Trans *t)
{
    tr_op(t, IR_sub, t->in.asize, ir_g(RCX), ir_g(RCX), tr_k(t, 1));
    tr_branch_nz(t, ir_g(RCX), t->in.asize, true, target(t), t->in.osize);
}

/* loope loopne: arg is the condition to go on */
void tr_loop_cc(Trans *t)
{
    IrRef count = ir_g(RCX), cond = tr_temp(t);

    tr_op(t, IR_sub, t->in.asize, count, count, tr_k(t, 1));
    tr_op(t, IR_setcc, IR_8, cond, REF_NONE, REF_NONE)->cc = t->in.row->arg;
    cond = tr_call(t, &x86_h_select, tr_copy(t, t->in.asize, count), cond, tr_k(t, 0));
    tr_branch_nz(t, cond, IR_8, true, target(t), t->in.osize);
}

/* -- far */

static void far_operand(Trans *t, IrRef *selector, IrRef *offset)
{
    if (t->in.opd[0].kind == OPD_FAR) {
        *selector = tr_k(t, t->in.imm2);
        *offset = tr_k(t, t->in.imm);
    } else {
        *offset = tr_ld(t, t->in.osize, tr_mem(t, 0));
        *selector = tr_ld(t, IR_16, tr_mem_at(t, 0, 1 << t->in.osize));
    }
}

void tr_jmp_far(Trans *t)
{
    IrRef selector, offset;

    far_operand(t, &selector, &offset);
    tr_call0(t, &x86_h_far_jmp, selector, offset, next_osize(t));
    tr_exitr(t);
}

void tr_call_far(Trans *t)
{
    IrRef selector, offset;

    far_operand(t, &selector, &offset);
    tr_call0(t, &x86_h_far_call, selector, offset, next_osize(t));
    tr_exitr(t);
}

void tr_ret_far(Trans *t)
{
    tr_call0(t, &x86_h_far_ret, tr_k(t, t->in.imm), tr_k(t, 1 << t->in.osize), REF_NONE);
    tr_exitr(t);
}

void tr_iret(Trans *t)
{
    tr_call0(t, &x86_h_iret, next_osize(t), REF_NONE, REF_NONE);
    tr_exitr(t);
}

/* -- interrupts */

void tr_int(Trans *t)
{
    tr_call0(t, &x86_h_int, tr_k(t, t->in.imm), tr_k(t, t->next), REF_NONE);
    tr_no_return(t);
}

void tr_int3(Trans *t)
{
    tr_call0(t, &x86_h_int3, tr_k(t, t->next), REF_NONE, REF_NONE);
    tr_no_return(t);
}

void tr_icebp(Trans *t)
{
    tr_call0(t, &x86_h_icebp, tr_k(t, t->next), REF_NONE, REF_NONE);
    tr_no_return(t);
}

void tr_into(Trans *t)
{
    tr_call0(t, &x86_h_into, tr_k(t, t->next), REF_NONE, REF_NONE);
}

void tr_bound(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef index = tr_temp(t), bounds[2];

    for (int i = 0; i < 2; i++) {
        bounds[i] = tr_temp(t);
        tr_op(t, IR_ld, size, bounds[i], tr_mem_at(t, 0, i << size), REF_NONE)->attr |= IR_SIGNED;
    }
    tr_op(t, IR_movsx, IR_64, index, tr_reg(t, 0), REF_NONE)->size2 = size;
    tr_call0(t, &x86_h_bound, index, bounds[0], bounds[1]);
}
