/*
 * alu.c - arithmetic and logic, exchange and compare-exchange, shifts and double shifts.
 *
 * With a memory destination the whole instruction is one IR_rmw, which is atomic under LOCK and
 * writes flags only when the store has succeeded.
 */
#include "tcg/guest/x86/emit.h"

static IrRmw rmw_of(IrOpcode op)
{
    static const uint8_t table[IR_OP_COUNT] = {
        [IR_add] = RMW_ADD, [IR_or] = RMW_OR,   [IR_adc] = RMW_ADC, [IR_sbb] = RMW_SBB,
        [IR_and] = RMW_AND, [IR_sub] = RMW_SUB, [IR_xor] = RMW_XOR, [IR_inc] = RMW_INC,
        [IR_dec] = RMW_DEC, [IR_neg] = RMW_NEG, [IR_not] = RMW_NOT, [IR_bts] = RMW_BTS,
        [IR_btr] = RMW_BTR, [IR_btc] = RMW_BTC, [IR_rol] = RMW_ROL, [IR_ror] = RMW_ROR,
        [IR_rcl] = RMW_RCL, [IR_rcr] = RMW_RCR, [IR_shl] = RMW_SHL, [IR_shr] = RMW_SHR,
        [IR_sar] = RMW_SAR,
    };
    return table[op];
}

/* [m] = [m] op b; `old` may be REF_NONE */
IrOp *emit_rmw(Trans *t, IrRmw sub, IrSize size, IrRef old, IrRef m, IrRef b)
{
    IrOp *op = tr_opf(t, IR_rmw, size, old, m, b);

    op->cc = sub;
    if (t->in.lock)
        op->attr |= IR_LOCK;
    return op;
}

/* add or adc sbb and sub xor; shl shr sar rol ror rcl rcr: dest = dest op source */
void tr_alu(Trans *t)
{
    IrOpcode op = t->in.row->arg;
    IrSize size = tr_size(t, 0);
    IrRef b = tr_get(t, 1);

    if (tr_is_mem(t, 0))
        emit_rmw(t, rmw_of(op), size, REF_NONE, tr_mem(t, 0), b);
    else
        tr_opf(t, op, size, tr_reg(t, 0), tr_reg(t, 0), b);
}

/* inc dec neg not */
void tr_unary(Trans *t)
{
    IrOpcode op = t->in.row->arg;
    IrSize size = tr_size(t, 0);

    if (tr_is_mem(t, 0))
        emit_rmw(t, rmw_of(op), size, REF_NONE, tr_mem(t, 0), REF_NONE);
    else
        tr_opf(t, op, size, tr_reg(t, 0), tr_reg(t, 0), REF_NONE);
}

/* cmp test */
void tr_compare(Trans *t)
{
    IrRef a = tr_get(t, 0);

    tr_opf(t, t->in.row->arg, tr_size(t, 0), REF_NONE, a, tr_get(t, 1));
}

/* -- shld shrd: the memory form stores first and computes the flags after */

void tr_double_shift(Trans *t)
{
    IrOpcode op = t->in.row->arg;
    IrSize size = tr_size(t, 0);
    IrRef fill = tr_reg(t, 1), count = tr_get(t, 2);

    if (!tr_is_mem(t, 0)) {
        IrRef d = tr_reg(t, 0);
        tr_opf(t, op, size, d, d, fill)->c = count;
        return;
    }
    IrRef m = tr_mem(t, MEM_WRITE);
    IrRef old = tr_ld(t, size, m), new = tr_temp(t);
    tr_op(t, op, size, new, old, fill)->c = count;
    tr_st(t, size, m, new);
    tr_opf(t, op, size, new, old, fill)->c = count;
}

/* -- exchanges */

void tr_xchg(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef reg = tr_reg(t, 1), old;

    if (tr_is_mem(t, 0)) {
        old = tr_temp(t);
        emit_rmw(t, RMW_XCHG, size, old, tr_mem(t, 0), reg)->attr = IR_LOCK;
    } else {
        old = tr_copy(t, size, tr_reg(t, 0));
        tr_mov(t, size, tr_reg(t, 0), reg);
    }
    tr_mov(t, size, reg, old);
}

/* 90+r: with rAX itself it is NOP or PAUSE, and does not clear the upper half. */
void tr_xchg_acc(Trans *t)
{
    if (t->in.opd[0].reg != RAX)
        tr_xchg(t);
}

void tr_xadd(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef reg = tr_reg(t, 1);

    if (tr_is_mem(t, 0)) {
        IrRef old = tr_temp(t);
        emit_rmw(t, RMW_ADD, size, old, tr_mem(t, 0), reg);
        tr_mov(t, size, reg, old);
        return;
    }
    IrRef old = tr_copy(t, size, tr_reg(t, 0)), sum = tr_temp(t);
    tr_opf(t, IR_add, size, sum, old, reg);
    tr_mov(t, size, reg, old);
    tr_mov(t, size, tr_reg(t, 0), sum);
}

/* if cc: the register's part = v (zero-extended T); otherwise not a bit of the register changes */
static void move_if(Trans *t, IrCond cc, IrSize size, IrRef reg, IrRef v)
{
    if (size >= IR_32) {
        tr_op(t, IR_cmovcc, IR_64, reg, v, REF_NONE)->cc = cc;
        return;
    }
    IrRef part = tr_copy(t, size, reg);
    tr_op(t, IR_cmovcc, IR_64, part, v, REF_NONE)->cc = cc;
    tr_mov(t, size, reg, part);
}

void tr_cmpxchg(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef old;

    if (tr_is_mem(t, 0)) {
        old = tr_temp(t);
        IrOp *op = tr_opf(t, IR_cmpxchg, size, old, tr_mem(t, 0), ir_g(RAX));
        op->c = tr_reg(t, 1);
        op->attr |= t->in.lock ? IR_LOCK : 0;
    } else {
        IrRef new = tr_copy(t, size, tr_reg(t, 1));
        old = tr_copy(t, size, tr_reg(t, 0));
        tr_opf(t, IR_cmp, size, REF_NONE, ir_g(RAX), old);
        move_if(t, CC_E, size, tr_reg(t, 0), new);
    }
    move_if(t, CC_NE, size, ir_g(RAX), old);
}

/* high:low of two 32-bit registers */
static IrRef pair(Trans *t, unsigned high, unsigned low)
{
    IrRef d = tr_copy(t, IR_32, ir_g(high)), l = tr_copy(t, IR_32, ir_g(low));

    tr_op(t, IR_shl, IR_64, d, d, tr_k(t, 32));
    tr_op(t, IR_or, IR_64, d, d, l);
    return d;
}

/* ZF = (v == 0), other flags stay: the leading zeros of 64 bits are 64, ZF's place, only for 0. */
static void zf_of(Trans *t, IrRef v)
{
    IrRef zeros = tr_temp(t);

    tr_op(t, IR_lzcnt, IR_64, zeros, v, REF_NONE);
    tr_op(t, IR_setflags, IR_32, REF_NONE, zeros, REF_NONE)->imm = FLAG_ZF;
}

void tr_cmpxchg8b(Trans *t)
{
    IrRef expect = pair(t, RDX, RAX), new = pair(t, RCX, RBX);
    IrRef old = tr_temp(t), differs = tr_temp(t), high = tr_temp(t);
    IrOp *op = tr_op(t, IR_cmpxchg, IR_64, old, tr_mem(t, 0), expect);

    op->c = new;
    op->attr |= t->in.lock ? IR_LOCK : 0;
    tr_op(t, IR_xor, IR_64, differs, old, expect);
    zf_of(t, differs);
    tr_op(t, IR_shr, IR_64, high, old, tr_k(t, 32));
    move_if(t, CC_NE, IR_32, ir_g(RAX), tr_copy(t, IR_32, old));
    move_if(t, CC_NE, IR_32, ir_g(RDX), high);
}

void tr_cmpxchg16b(Trans *t)
{
    tr_call0(t, &x86_h_cmpxchg16b, tr_k(t, t->in.seg), tr_address(t), REF_NONE);
}
