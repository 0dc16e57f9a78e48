/*
 * string.c - translation of string instructions. One element without REP is inline, in the
 * direction that MODE_DF says; everything repeated, and port strings, is a helper (string_run.c).
 */
#include "tcg/guest/x86/emit.h"
#include "tcg/guest/x86/string.h"

static IrRef at_si(Trans *t)
{
    return tr_mem_seg(t, t->in.seg, ir_g(RSI), 0, t->in.asize);
}

static IrRef at_di(Trans *t)
{
    return tr_mem_seg(t, SEG_ES, ir_g(RDI), 0, t->in.asize);
}

static void advance(Trans *t, unsigned reg, IrSize size)
{
    IrMem m = { .base = ir_g(reg), .asize = t->in.asize, .lsize = IR_64 };

    m.disp = t->mode & MODE_DF ? -(1 << size) : 1 << size;
    tr_op(t, IR_lea, t->in.asize, ir_g(reg), ir_mem(t->b, &m), REF_NONE);
}

static uint64_t describe(const Trans *t, X86StringKind kind, IrSize size)
{
    uint64_t word =
        kind << STR_KIND | size << STR_SIZE | t->in.asize << STR_ASIZE | t->in.seg << STR_SEG;

    word |= t->in.rep ? STR_REP : 0;
    word |= t->in.rep == 0xf3 ? STR_WHILE_EQUAL : 0;
    word |= t->mode & MODE_DF ? STR_DOWN : 0;
    return word | (tr_single(t) ? STR_ONE : 0);
}

/* The helper does many elements; while it reports more, the block runs the instruction again. */
static void by_helper(Trans *t, X86StringKind kind, IrSize size, const IrHelper *h)
{
    IrRef more = tr_call(t, h, tr_k(t, describe(t, kind, size)), REF_NONE, REF_NONE);

    if (t->in.rep)
        tr_branch_nz(t, more, IR_8, true, t->at, t->code_size);
    if (!t->done)
        tr_jump(t, t->next, t->code_size);
}

void tr_movs(Trans *t)
{
    IrSize size = tr_size(t, 0);

    if (t->in.rep) {
        by_helper(t, STR_MOVS, size, &x86_h_string);
        return;
    }
    IrRef v = tr_ld(t, size, at_si(t));
    tr_st(t, size, at_di(t), v);
    advance(t, RSI, size);
    advance(t, RDI, size);
}

void tr_stos(Trans *t)
{
    IrSize size = tr_size(t, 0);

    if (t->in.rep) {
        by_helper(t, STR_STOS, size, &x86_h_string);
        return;
    }
    tr_st(t, size, at_di(t), ir_g(RAX));
    advance(t, RDI, size);
}

void tr_lods(Trans *t)
{
    IrSize size = tr_size(t, 1);

    if (t->in.rep) {
        by_helper(t, STR_LODS, size, &x86_h_string);
        return;
    }
    tr_op(t, IR_ld, size, ir_g(RAX), at_si(t), REF_NONE);
    advance(t, RSI, size);
}

void tr_scas(Trans *t)
{
    IrSize size = tr_size(t, 1);

    if (t->in.rep) {
        by_helper(t, STR_SCAS, size, &x86_h_string_scan);
        return;
    }
    tr_opf(t, IR_cmp, size, REF_NONE, ir_g(RAX), tr_ld(t, size, at_di(t)));
    advance(t, RDI, size);
}

void tr_cmps(Trans *t)
{
    IrSize size = tr_size(t, 0);

    if (t->in.rep) {
        by_helper(t, STR_CMPS, size, &x86_h_string_scan);
        return;
    }
    IrRef a = tr_ld(t, size, at_si(t));
    tr_opf(t, IR_cmp, size, REF_NONE, a, tr_ld(t, size, at_di(t)));
    advance(t, RSI, size);
    advance(t, RDI, size);
}

void tr_ins(Trans *t)
{
    by_helper(t, STR_INS, tr_size(t, 0), &x86_h_string_io);
}

void tr_outs(Trans *t)
{
    by_helper(t, STR_OUTS, tr_size(t, 1), &x86_h_string_io);
}
