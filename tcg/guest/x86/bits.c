/*
 * bits.c - bt bts btr btc, bit scans and counts, CRC-32C.
 */
#include "tcg/guest/x86/emit.h"

/*
 * A bit string in memory: the register's value is a signed bit offset from the operand's address,
 * and the word that holds the bit is accessed.
 */
static IrRef bit_string(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef offset = tr_temp(t);

    if (t->in.opd[1].kind == OPD_IMM)
        return tr_mem(t, 0);
    tr_op(t, IR_movsx, IR_64, offset, tr_reg(t, 1), REF_NONE)->size2 = size;
    tr_op(t, IR_sar, IR_64, offset, offset, tr_k(t, 3 + size));
    tr_op(t, IR_shl, IR_64, offset, offset, tr_k(t, size));
    tr_op(t, IR_add, IR_64, offset, offset, tr_address(t));
    return tr_mem_seg(t, t->in.seg, offset, 0, t->in.asize);
}

/* arg: IR_bt IR_bts IR_btr IR_btc */
void tr_bit(Trans *t)
{
    static const uint8_t rmw[] = { RMW_BTS, RMW_BTR, RMW_BTC };
    IrOpcode op = t->in.row->arg;
    IrSize size = tr_size(t, 0);
    IrRef n = tr_get(t, 1);

    if (t->in.opd[1].kind == OPD_IMM)
        n = tr_k(t, t->in.imm & ((8 << size) - 1));
    if (op == IR_bt) {
        IrRef a = tr_is_mem(t, 0) ? tr_ld(t, size, bit_string(t)) : tr_reg(t, 0);
        tr_opf(t, IR_bt, size, REF_NONE, a, n);
    } else if (tr_is_mem(t, 0)) {
        emit_rmw(t, rmw[op - IR_bts], size, REF_NONE, bit_string(t), n);
    } else {
        tr_opf(t, op, size, tr_reg(t, 0), tr_reg(t, 0), n);
    }
}

/* bsf bsr popcnt lzcnt tzcnt */
void tr_count_bits(Trans *t)
{
    IrRef v = tr_get(t, 1);

    tr_opf(t, t->in.row->arg, tr_size(t, 0), tr_reg(t, 0), v, REF_NONE);
}

static void count_or_scan(Trans *t, unsigned feature, IrOpcode count, IrOpcode scan)
{
    IrRef v = tr_get(t, 1);
    IrOpcode op = x86_has(&t->x->model, feature) ? count : scan;

    tr_opf(t, op, tr_size(t, 0), tr_reg(t, 0), v, REF_NONE);
}

/* F3 in front of BSF and BSR is ignored by CPUs that have no TZCNT and LZCNT. */
void tr_tzcnt(Trans *t)
{
    count_or_scan(t, X86_FEATURE(feat_7_ebx, 3), IR_tzcnt, IR_bsf);
}

void tr_lzcnt(Trans *t)
{
    count_or_scan(t, X86_FEATURE(feat_81_ecx, 5), IR_lzcnt, IR_bsr);
}

void tr_crc32(Trans *t)
{
    IrRef v = tr_get(t, 1), d = tr_reg(t, 0);

    tr_op(t, IR_crc32, IR_32, d, d, v)->size2 = tr_size(t, 1);
}
