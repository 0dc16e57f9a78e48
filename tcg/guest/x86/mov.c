/*
 * mov.c - moves: mov movzx movsx bswap movbe xlat cmov setcc lea, sign extensions, segment
 * registers, flags to and from AH.
 */
#include "tcg/guest/x86/emit.h"

void tr_nop(Trans *t)
{
    (void)t;
}

void tr_mov_(Trans *t)
{
    if (tr_is_mem(t, 1))
        tr_op(t, IR_ld, tr_size(t, 0), tr_reg(t, 0), tr_mem(t, 0), REF_NONE);
    else
        tr_put(t, 0, tr_get(t, 1));
}

void tr_movzx(Trans *t)
{
    if (tr_is_mem(t, 1))
        tr_mov(t, tr_size(t, 0), tr_reg(t, 0), tr_get(t, 1));
    else
        tr_op(t, IR_movzx, tr_size(t, 0), tr_reg(t, 0), tr_reg(t, 1), REF_NONE)->size2 =
            tr_size(t, 1);
}

/* movsx movsxd; ARPL's encoding in 64-bit mode without REX.W is a plain move of 32 bits */
void tr_movsx(Trans *t)
{
    if (tr_size(t, 0) <= tr_size(t, 1)) {
        tr_mov(t, tr_size(t, 0), tr_reg(t, 0), tr_get(t, 1));
    } else if (tr_is_mem(t, 1)) {
        IrRef v = tr_temp(t);
        tr_op(t, IR_ld, tr_size(t, 1), v, tr_mem(t, 0), REF_NONE)->attr |= IR_SIGNED;
        tr_mov(t, tr_size(t, 0), tr_reg(t, 0), v);
    } else {
        tr_op(t, IR_movsx, tr_size(t, 0), tr_reg(t, 0), tr_reg(t, 1), REF_NONE)->size2 =
            tr_size(t, 1);
    }
}

void tr_lea(Trans *t)
{
    tr_op(t, IR_lea, tr_size(t, 0), tr_reg(t, 0), tr_mem(t, 0), REF_NONE);
}

static IrRef swapped(Trans *t, IrSize size, IrRef v)
{
    IrRef d = tr_temp(t);

    if (size == IR_16) { /* rotate: a 16-bit byte swap does not exist in all hosts */
        tr_op(t, IR_rol, IR_16, d, v, tr_k(t, 8));
        return d;
    }
    tr_op(t, IR_bswap, size, d, v, REF_NONE);
    return d;
}

/* With a 16-bit register the result is undefined; processors give 0. */
void tr_bswap(Trans *t)
{
    IrRef d = tr_reg(t, 0);

    if (tr_size(t, 0) == IR_16)
        tr_mov(t, IR_16, d, tr_k(t, 0));
    else
        tr_op(t, IR_bswap, tr_size(t, 0), d, d, REF_NONE);
}

void tr_movbe(Trans *t)
{
    tr_put(t, 0, swapped(t, tr_size(t, 0), tr_get(t, 1)));
}

void tr_xlat(Trans *t)
{
    IrRef al = tr_copy(t, IR_8, ir_g(RAX));

    tr_op(t, IR_add, IR_64, al, al, ir_g(RBX));
    tr_op(t, IR_ld, IR_8, ir_g(RAX), tr_mem_seg(t, t->in.seg, al, 0, t->in.asize), REF_NONE);
}

void tr_cmov(Trans *t)
{
    IrRef v = tr_get(t, 1); /* memory is read, and may fault, whatever the condition */

    tr_op(t, IR_cmovcc, tr_size(t, 0), tr_reg(t, 0), v, REF_NONE)->cc = t->in.row->arg;
}

void tr_setcc(Trans *t)
{
    IrRef d = tr_is_mem(t, 0) ? tr_temp(t) : tr_reg(t, 0);

    tr_op(t, IR_setcc, IR_8, d, REF_NONE, REF_NONE)->cc = t->in.row->arg;
    if (tr_is_mem(t, 0))
        tr_put(t, 0, d);
}

/* AL = CF ? FF : 0 */
void tr_salc(Trans *t)
{
    IrRef v = tr_temp(t);

    tr_op(t, IR_setcc, IR_8, v, REF_NONE, REF_NONE)->cc = CC_B;
    tr_op(t, IR_neg, IR_8, ir_g(RAX), v, REF_NONE);
}

/* cbw cwde cdqe */
void tr_cbw(Trans *t)
{
    IrSize size = t->in.osize;

    tr_op(t, IR_movsx, size, ir_g(RAX), ir_g(RAX), REF_NONE)->size2 = size - 1;
}

/* cwd cdq cqo */
void tr_cwd(Trans *t)
{
    IrSize size = t->in.osize;

    tr_op(t, IR_sar, size, ir_g(RDX), ir_g(RAX), tr_k(t, (8 << size) - 1));
}

void tr_lahf(Trans *t)
{
    IrRef v = tr_temp(t);

    tr_op(t, IR_getflags, IR_32, v, REF_NONE, REF_NONE);
    tr_op(t, IR_or, IR_32, v, v, tr_k(t, 2));
    tr_mov(t, IR_8, ir_g_high(RAX), v);
}

void tr_sahf(Trans *t)
{
    tr_op(t, IR_setflags, IR_8, REF_NONE, tr_copy(t, IR_8, ir_g_high(RAX)), REF_NONE)->imm =
        FLAGS_ALL & 0xff;
}

void tr_cmc(Trans *t)
{
    tr_op(t, IR_cmc, IR_32, REF_NONE, REF_NONE, REF_NONE);
}

/* clc stc: arg is the new CF */
void tr_carry(Trans *t)
{
    tr_op(t, IR_setflags, IR_8, REF_NONE, tr_k(t, t->in.row->arg), REF_NONE)->imm = FLAG_CF;
}

/* -- segment registers */

/* After a load the flat bits of the mode may be others; FS and GS have none. */
static void end_of_load(Trans *t, unsigned seg, bool shadow)
{
    if (seg == SEG_SS && shadow)
        tr_call0(t, &x86_h_shadow, tr_k(t, 1), REF_NONE, REF_NONE);
    if (seg < SEG_FS)
        tr_exit(t);
}

static void emit_load_seg(Trans *t, unsigned seg, IrRef selector)
{
    tr_call0(t, &x86_h_load_seg, tr_k(t, seg), selector, REF_NONE);
}

void tr_mov_to_seg(Trans *t)
{
    unsigned seg = t->in.opd[0].reg;

    if (seg == SEG_CS || seg >= SEG_COUNT) {
        tr_ud(t);
        return;
    }
    emit_load_seg(t, seg, tr_copy(t, IR_16, tr_get(t, 1)));
    end_of_load(t, seg, true);
}

/* A register gets the selector zero-extended to the operand size, memory always 16 bits. */
void tr_mov_from_seg(Trans *t)
{
    if (t->in.opd[1].reg >= SEG_COUNT) {
        tr_ud(t);
        return;
    }
    IrRef v = tr_call(t, &x86_h_read_seg, tr_k(t, t->in.opd[1].reg), REF_NONE, REF_NONE);
    if (tr_is_mem(t, 0))
        tr_st(t, IR_16, tr_mem(t, 0), v);
    else
        tr_put(t, 0, v);
}

/* les lds lss lfs lgs: arg is the segment */
void tr_load_far(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef off = tr_ld(t, size, tr_mem(t, 0));
    IrRef selector = tr_ld(t, IR_16, tr_mem_at(t, 0, 1 << size));

    emit_load_seg(t, t->in.row->arg, selector);
    tr_put(t, 0, off);
    end_of_load(t, t->in.row->arg, false);
}

void tr_push_seg(Trans *t)
{
    unsigned seg = t->in.opd[0].reg;

    tr_push(t, t->in.osize, tr_call(t, &x86_h_read_seg, tr_k(t, seg), REF_NONE, REF_NONE));
}

void tr_pop_seg(Trans *t)
{
    unsigned seg = t->in.opd[0].reg;

    emit_load_seg(t, seg, tr_pop_peek(t, IR_16, 0));
    tr_stack_add(t, 1 << t->in.osize);
    end_of_load(t, seg, true);
}
