/*
 * muldiv.c - multiplication, division and decimal adjustments.
 */
#include "tcg/guest/x86/emit.h"

/* mul imul with one operand: arg is IR_mulu or IR_muls */
void tr_mul_wide(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef b = tr_get(t, 0);

    if (size == IR_8) {
        IrRef product = tr_temp(t);
        tr_opf(t, t->in.row->arg, size, product, ir_g(RAX), b);
        tr_mov(t, IR_16, ir_g(RAX), product);
        return;
    }
    tr_opf(t, t->in.row->arg, size, ir_g(RAX), ir_g(RAX), b)->c = ir_g(RDX);
}

void tr_imul2(Trans *t)
{
    IrRef b = tr_get(t, 1);

    tr_opf(t, IR_mul, tr_size(t, 0), tr_reg(t, 0), tr_reg(t, 0), b);
}

void tr_imul3(Trans *t)
{
    IrRef a = tr_get(t, 1);

    tr_opf(t, IR_mul, tr_size(t, 0), tr_reg(t, 0), a, tr_get(t, 2));
}

/* -- division */

/* DX:AX or EDX:EAX */
static IrRef dividend(Trans *t, IrSize size)
{
    IrRef d = tr_copy(t, size, ir_g(RDX)), low = tr_copy(t, size, ir_g(RAX));

    tr_op(t, IR_shl, IR_64, d, d, tr_k(t, 8 << size));
    tr_op(t, IR_or, IR_64, d, d, low);
    return d;
}

static void divide(Trans *t, IrSize size, IrRef a, const IrHelper *h)
{
    IrRef r = tr_call(t, h, a, tr_copy(t, size, tr_get(t, 0)), REF_NONE);
    IrRef high = tr_temp(t);

    tr_op(t, IR_shr, IR_64, high, r, tr_k(t, 8 << size));
    tr_mov(t, size, ir_g(RAX), r);
    tr_mov(t, size, size == IR_8 ? ir_g_high(RAX) : ir_g(RDX), high);
}

/* The remainder follows from the quotient. */
static void divide64(Trans *t, const IrHelper *h)
{
    IrRef divisor = tr_copy(t, IR_64, tr_get(t, 0)), rest = tr_temp(t);
    IrRef q = tr_call(t, h, ir_g(RAX), ir_g(RDX), divisor);

    tr_op(t, IR_mul, IR_64, rest, q, divisor);
    tr_op(t, IR_sub, IR_64, ir_g(RDX), ir_g(RAX), rest);
    tr_mov(t, IR_64, ir_g(RAX), q);
}

/* arg: 1 for IDIV */
void tr_div(Trans *t)
{
    static const IrHelper *const helpers[2][4] = {
        { &x86_h_div8, &x86_h_div16, &x86_h_div32, &x86_h_div64 },
        { &x86_h_idiv8, &x86_h_idiv16, &x86_h_idiv32, &x86_h_idiv64 },
    };
    IrSize size = tr_size(t, 0);
    const IrHelper *h = helpers[t->in.row->arg][size];

    if (size == IR_64)
        divide64(t, h);
    else
        divide(t, size, size == IR_8 ? ir_g(RAX) : dividend(t, size), h);
}

/* -- decimal: the helper computes AX and flags from both */

static void decimal(Trans *t, const IrHelper *h, IrSize size)
{
    IrRef flags = tr_temp(t);

    tr_op(t, IR_getflags, IR_32, flags, REF_NONE, REF_NONE);
    IrRef r = tr_call(t, h, tr_copy(t, IR_16, ir_g(RAX)), flags, tr_k(t, t->in.imm));
    IrRef new = tr_temp(t);
    tr_op(t, IR_shr, IR_64, new, r, tr_k(t, 16));
    tr_op(t, IR_setflags, IR_32, REF_NONE, new, REF_NONE)->imm = FLAGS_ALL;
    tr_mov(t, size, ir_g(RAX), r);
}

void tr_daa(Trans *t)
{
    decimal(t, &x86_h_daa, IR_8);
}

void tr_das(Trans *t)
{
    decimal(t, &x86_h_das, IR_8);
}

void tr_aaa(Trans *t)
{
    decimal(t, &x86_h_aaa, IR_16);
}

void tr_aas(Trans *t)
{
    decimal(t, &x86_h_aas, IR_16);
}

void tr_aam(Trans *t)
{
    decimal(t, &x86_h_aam, IR_16);
}

void tr_aad(Trans *t)
{
    decimal(t, &x86_h_aad, IR_16);
}
