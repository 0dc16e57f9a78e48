/*
 * bits.c - single bits, bit counts, and the flags as values.
 */
#include "tcg/host/x86_64/jit.h"

/* -- bt bts btr btc: the flags other than CF are kept */

/* The carry of an operation whose other flags stay in Cpu. */
static void carry_recipe(Jit *j)
{
    emit_store_imm(&j->e, IR_64, SPILL_RM(SLOT_FLAG), 0);
    emit_rm(&j->e, X_SETCC | CC_B, IR_8, 0, SPILL_RM(SLOT_FLAG));
    flags_recipe(j, R_CARRY, IR_64, (Loc) { 0 }, (Loc) { 0 });
}

static void bit_insn(Jit *j, const IrOp *op, unsigned which, Loc d)
{
    Loc a = loc_of(j, op->a), b = as_operand(j, loc_of(j, op->b), op->size, false, S1);
    bool in_place = a.kind == L_REG && (which == BT_BT || loc_same(a, d)) &&
                    (op->size >= IR_32 || !a.temp || which == BT_BT);
    unsigned reg = in_place ? a.reg : S0;

    if (!in_place)
        load_reg(j, S0, a, op->size);
    if (b.kind == L_IMM) {
        emit_rm(&j->e, X_BT_I, op->size, 4 + which, rm_reg(reg));
        emit8(&j->e, b.imm & ((8 << op->size) - 1));
    } else {
        emit_rm(&j->e, X_BT + 8 * which, op->size, b.reg, rm_reg(reg));
    }
    if (which != BT_BT && !in_place)
        store_reg(j, d, op->size, S0);
}

static void bit_op(Jit *j, const IrOp *op, unsigned which)
{
    bool setf = sets_flags(j, op);
    bool lazy = setf && flags_keep_in_cpu(j, FLAGS_NO_C);

    if (!setf)
        flags_clobber(j);
    Loc d = which == BT_BT ? (Loc) { 0 } : dst_of(j, op->d);
    uint32_t kept = lazy ? 0 : j->f.host & FLAGS_NO_C;

    bit_insn(j, op, which, d);
    if (!setf) {
        j->f.host = 0;
        return;
    }
    flags_in_host(j, kept | FLAG_CF);
    if (lazy)
        carry_recipe(j);
}

void lower_bt(Jit *j, const IrOp *op)
{
    bit_op(j, op, BT_BT);
}

void lower_bts(Jit *j, const IrOp *op)
{
    bit_op(j, op, BT_BTS);
}

void lower_btr(Jit *j, const IrOp *op)
{
    bit_op(j, op, BT_BTR);
}

void lower_btc(Jit *j, const IrOp *op)
{
    bit_op(j, op, BT_BTC);
}

/* -- scans and counts: undefined flags are those of AMD processors in the IR, here the host's */

/* The host leaves some flags as they were: they become 0. */
static void zero_others(Jit *j, uint32_t defined)
{
    flags_in_host(j, defined);
    if (!flags_needed_after(j, FLAGS_ALL & ~defined))
        return;
    emit_pushf(&j->e);
    emit_pop(&j->e, S1);
    emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(S1), (int32_t)defined);
    flags_store_packed(j, S1);
}

static void scan(Jit *j, const IrOp *op, uint32_t x)
{
    bool setf = sets_flags(j, op);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d), a = loc_of(j, op->a);

    if (a.kind == L_IMM || op->size == IR_16) {
        load_reg(j, S1, a, op->size);
        a = loc_reg(S1);
    }
    load_reg(j, S0, d, IR_64);
    emit_rm(&j->e, x, op->size == IR_64 ? IR_64 : IR_32, S0, loc_rm(a));
    /* a source of 0 keeps all of d, else a 32-bit result has cleared the upper half */
    store_reg(j, d, op->size == IR_16 && !d.temp ? IR_16 : IR_64, S0);
    flags_after(j, op, setf, false);
}

void lower_bsf(Jit *j, const IrOp *op)
{
    scan(j, op, X_BSF);
}

void lower_bsr(Jit *j, const IrOp *op)
{
    scan(j, op, X_BSR);
}

static void count(Jit *j, const IrOp *op, uint32_t x)
{
    bool setf = sets_flags(j, op);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d), a = loc_of(j, op->a);

    if (a.kind == L_IMM) {
        load_reg(j, S0, a, op->size);
        a = loc_reg(S0);
    }
    emit_rm(&j->e, x, op->size, S0, loc_rm(a));
    store_reg(j, d, op->size, S0);
    if (setf && x != X_POPCNT)
        zero_others(j, FLAG_CF | FLAG_ZF);
    else
        flags_after(j, op, setf, false);
}

void lower_lzcnt(Jit *j, const IrOp *op)
{
    count(j, op, X_LZCNT);
}

void lower_tzcnt(Jit *j, const IrOp *op)
{
    count(j, op, X_TZCNT);
}

void lower_popcnt(Jit *j, const IrOp *op)
{
    count(j, op, X_POPCNT);
}

void lower_crc32(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);

    load_reg(j, S0, loc_of(j, op->a), IR_32);
    load_reg(j, S1, loc_of(j, op->b), op->size2);
    emit_rm(&j->e, op->size2 == IR_8 ? X_CRC32_8 : X_CRC32, op->size2 == IR_8 ? IR_32 : op->size2,
            S0, rm_reg(S1));
    store_reg(j, d, op->size, S0);
}

/* -- conditions */

static uint32_t condition_flags(Jit *j, const IrOp *op)
{
    return ir_flags_read(j->b, op);
}

void lower_setcc(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);
    bool direct = !d.temp && op->size == IR_8;

    flags_to_host(j, condition_flags(j, op));
    if (direct) {
        emit_rm(&j->e, X_SETCC | op->cc, IR_8, 0, loc_rm(d));
        return;
    }
    emit_rm(&j->e, X_SETCC | op->cc, IR_8, 0, rm_reg(S0));
    emit_rm(&j->e, X_MOVZX8, IR_32, S0, rm_reg(S0));
    store_reg(j, d, op->size, S0);
}

void lower_cmovcc(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);

    flags_to_host(j, condition_flags(j, op));
    Loc a = loc_of(j, op->a);

    if (a.kind == L_IMM || (a.kind == L_REG && a.reg & H_HIGH) || op->size == IR_8) {
        load_reg(j, S1, a, op->size);
        a = loc_reg(S1);
    }
    bool direct = d.kind == L_REG && (op->size >= IR_32 || (op->size == IR_16 && !d.temp));
    unsigned reg = direct ? d.reg : S0;

    if (!direct)
        load_reg(j, S0, d, op->size);
    emit_rm(&j->e, X_CMOV | op->cc, op->size == IR_8 ? IR_32 : op->size, reg, loc_rm(a));
    if (!direct)
        store_reg(j, d, op->size, S0);
}

/* -- flags as a value */

void lower_getflags(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);

    flags_to_host(j, FLAGS_ALL);
    emit_pushf(&j->e);
    flags_clobber(j);
    emit_pop(&j->e, S0);
    emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(S0), FLAGS_ALL);
    store_reg(j, d, op->size, S0);
}

static void set_carry(Jit *j, bool value)
{
    if (flags_needed_after(j, FLAGS_NO_C))
        flags_to_host(j, FLAGS_NO_C);
    uint32_t kept = j->f.host & FLAGS_NO_C;

    emit8(&j->e, value ? 0xf9 : 0xf8);
    flags_in_host(j, kept | FLAG_CF);
}

void lower_setflags(Jit *j, const IrOp *op)
{
    uint32_t mask = op->imm & FLAGS_ALL;
    Loc a = loc_of(j, op->a);

    if (!sets_flags(j, op))
        return;
    if (mask == FLAG_CF && a.kind == L_IMM) {
        set_carry(j, a.imm & FLAG_CF);
        return;
    }
    if (flags_needed_after(j, FLAGS_ALL & ~mask)) {
        flags_to_host(j, FLAGS_ALL & ~mask);
        emit_pushf(&j->e);
        emit_pop(&j->e, S1);
        emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(S1), (int32_t)(FLAGS_ALL & ~mask));
        load_reg(j, S0, a, IR_64);
        emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(S0), (int32_t)mask);
        emit_alu(&j->e, ALU_OR, IR_32, S0, rm_reg(S1));
    } else {
        load_reg(j, S0, a, IR_64);
    }
    flags_store_packed(j, S0);
}

void lower_cmc(Jit *j, const IrOp *op)
{
    if (!sets_flags(j, op))
        return;
    flags_to_host(j, FLAG_CF | (j->need[j->at + 1] & FLAGS_ALL));
    uint32_t kept = j->f.host;

    emit8(&j->e, 0xf5);
    flags_in_host(j, kept);
}
