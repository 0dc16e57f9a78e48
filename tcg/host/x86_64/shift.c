/*
 * shift.c - shifts and rotates. x86 keeps the flags if the count is zero, and rotates keep all but
 * CF and OF: where somebody needs the old flags they are brought to EFLAGS first.
 */
#include "tcg/host/x86_64/jit.h"

static const uint8_t shift_ext[] = { SH_SHL, SH_SHR, SH_SAR, SH_ROL, SH_ROR, SH_RCL, SH_RCR };

static unsigned masked_count(const IrOp *op, Loc count)
{
    return count.imm & (op->size == IR_64 ? 63 : 31);
}

/* EFLAGS before the operation: loaded where old flags shine through, saved where they are lost. */
static void flags_before(Jit *j, const IrOp *op, bool setf, bool keeps)
{
    uint32_t read = ir_flags_read(j->b, op);

    if (!setf && flags_needed_after(j, FLAGS_ALL) && read)
        flags_to_cpu(j);
    else if (!setf)
        flags_clobber(j);
    if (setf && keeps && flags_needed_after(j, FLAGS_ALL))
        flags_to_host(j, FLAGS_ALL);
    else if (read)
        flags_to_host(j, read);
}

/* A recipe costs one store; worth it where only a fault or an exit may want these flags. */
static void shift_recipe(Jit *j, const IrOp *op, unsigned count)
{
    static const uint8_t recipes[] = { R_SHL, R_SHR, R_SAR };

    flags_recipe(j, recipes[op->op - IR_shl], op->size, (Loc) { 0 }, (Loc) { 0 });
    j->f.count = count;
}

static void shift_const(Jit *j, const IrOp *op, Loc d, Loc a, unsigned count)
{
    bool setf = sets_flags(j, op), full = op->op <= IR_sar;
    bool recipe = setf && full && j->need[j->at + 1] & NEED_FAULT;
    bool in_place =
        loc_same(d, a) && d.kind == L_REG && !(d.reg & H_HIGH) && !(d.temp && op->size < IR_32);
    unsigned reg = in_place ? d.reg : S0;

    if (!in_place)
        load_reg(j, S0, a, op->size);
    if (recipe)
        emit_store(&j->e, IR_64, SPILL_RM(SLOT_FLAG), reg);
    emit_shift_imm(&j->e, shift_ext[op->op - IR_shl], op->size, rm_reg(reg), count);
    if (!in_place)
        store_reg(j, d, op->size, S0);
    flags_after(j, op, setf, false);
    if (recipe)
        shift_recipe(j, op, count);
}

/* S0 = a shifted by CL, which is lent by the guest's RCX if the count is elsewhere. */
static void shift_variable(Jit *j, const IrOp *op, Loc d, Loc a, Loc count)
{
    bool borrow = !(count.kind == L_REG && count.reg == H_RCX);

    load_reg(j, S0, a, op->size);
    if (borrow) {
        emit_mov_rr(&j->e, IR_64, S1, H_RCX);
        load_reg(j, H_RCX, count, IR_8);
    }
    emit_shift_cl(&j->e, shift_ext[op->op - IR_shl], op->size, rm_reg(S0));
    if (borrow)
        emit_mov_rr(&j->e, IR_64, H_RCX, S1);
    store_reg(j, d, op->size, S0);
}

/* Without flags, BMI2 shifts by any register and leaves EFLAGS alone. */
static bool shift_by_bmi2(Jit *j, const IrOp *op, Loc a, Loc count)
{
    if (!j->x->has_bmi2 || op->op > IR_sar || op->size < IR_32)
        return false;
    Loc d = dst_of(j, op->d);

    if (count.kind != L_REG || count.reg & H_HIGH) {
        load_reg(j, S1, count, IR_8);
        count = loc_reg(S1);
    }
    if (a.kind != L_REG) {
        load_reg(j, S0, a, op->size);
        a = loc_reg(S0);
    }
    unsigned reg = d.kind == L_REG ? d.reg : S0;

    emit_shift_x(&j->e, shift_ext[op->op - IR_shl], op->size, reg, a.reg, count.reg);
    if (d.kind != L_REG)
        store_reg(j, d, op->size, S0);
    return true;
}

static void shift(Jit *j, const IrOp *op)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b);
    bool setf = sets_flags(j, op), constant = b.kind == L_IMM;

    if (constant && masked_count(op, b) == 0) {
        move_loc(j, dst_of(j, op->d), op->size, a);
        return;
    }
    if (!setf && !constant && shift_by_bmi2(j, op, a, b))
        return;
    Loc d = dst_of(j, op->d);

    flags_before(j, op, setf, !constant || op->op > IR_sar);
    if (constant) {
        shift_const(j, op, d, a, masked_count(op, b));
    } else {
        shift_variable(j, op, d, a, b);
        flags_after(j, op, setf, true);
    }
}

void lower_shl(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_shr(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_sar(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_rol(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_ror(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_rcl(Jit *j, const IrOp *op)
{
    shift(j, op);
}

void lower_rcr(Jit *j, const IrOp *op)
{
    shift(j, op);
}

/* -- double shifts */

/* The filling register: not RCX if that holds the count meanwhile. */
static unsigned fill_register(Jit *j, Loc b, IrSize size, bool borrow)
{
    if (b.kind == L_REG && !(borrow && b.reg == H_RCX))
        return b.reg;
    load_reg(j, S1, b, size);
    return S1;
}

static void double_shift(Jit *j, const IrOp *op, uint32_t by_imm, uint32_t by_cl)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b), c = loc_of(j, op->c);
    bool setf = sets_flags(j, op), constant = c.kind == L_IMM;
    bool borrow = !constant && !(c.kind == L_REG && c.reg == H_RCX);

    if (constant && masked_count(op, c) == 0) {
        move_loc(j, dst_of(j, op->d), op->size, a);
        return;
    }
    Loc d = dst_of(j, op->d);

    flags_before(j, op, setf, !constant);
    load_reg(j, S0, a, op->size);
    unsigned fill = fill_register(j, b, op->size, borrow);

    if (borrow) {
        emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE), H_RCX);
        load_reg(j, H_RCX, c, IR_8);
    }
    emit_rm(&j->e, constant ? by_imm : by_cl, op->size, fill, rm_reg(S0));
    if (constant)
        emit8(&j->e, masked_count(op, c));
    if (borrow)
        emit_mov(&j->e, IR_64, H_RCX, SPILL_RM(SLOT_SAVE));
    store_reg(j, d, op->size, S0);
    flags_after(j, op, setf, !constant);
}

void lower_shld(Jit *j, const IrOp *op)
{
    double_shift(j, op, X_SHLD_I, X_SHLD_CL);
}

void lower_shrd(Jit *j, const IrOp *op)
{
    double_shift(j, op, X_SHRD_I, X_SHRD_CL);
}
