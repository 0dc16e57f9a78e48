/*
 * mul.c - multiplication. It sets CF and OF and keeps the other flags, as AMD processors do.
 */
#include "tcg/host/x86_64/jit.h"

/* True: the flags that are kept stay in Cpu. */
static bool mul_flags_before(Jit *j, const IrOp *op)
{
    if (sets_flags(j, op))
        return flags_keep_in_cpu(j, FLAGS_ALL & ~FLAGS_CO);
    flags_clobber(j);
    return false;
}

/* CF and OF are in EFLAGS. */
static void mul_flags(Jit *j, const IrOp *op, bool lazy)
{
    uint32_t kept = lazy ? 0 : j->f.host;

    if (!sets_flags(j, op)) {
        j->f.host = 0;
        return;
    }
    flags_in_host(j, kept | FLAGS_CO);
    if (!lazy)
        return;
    emit_store_imm(&j->e, IR_64, SPILL_RM(SLOT_FLAG), 0);
    emit_rm(&j->e, X_SETCC | CC_O, IR_8, 0, SPILL_RM(SLOT_FLAG));
    flags_recipe(j, R_MUL, IR_64, (Loc) { 0 }, (Loc) { 0 });
}

void lower_mul(Jit *j, const IrOp *op)
{
    bool lazy = mul_flags_before(j, op);
    Loc d = dst_of(j, op->d), a = loc_of(j, op->a), b = loc_of(j, op->b);
    bool direct = d.kind == L_REG && (op->size >= IR_32);
    unsigned reg = direct ? d.reg : S0;

    b = as_operand(j, b, op->size, true, S1);
    if (b.kind == L_IMM) {
        a = as_operand(j, a, op->size, true, S0);
        if (a.kind == L_IMM) {
            load_reg(j, S0, a, op->size);
            a = loc_reg(S0);
        }
        emit_rm(&j->e, fits8(b.imm) ? X_IMUL_I8 : X_IMUL_I32, op->size, reg, loc_rm(a));
        emit_imm(&j->e, fits8(b.imm) ? IR_8 : op->size, b.imm);
    } else {
        if (direct && loc_same(d, b) && !loc_same(d, a)) {
            Loc t = a;

            a = b;
            b = t.kind == L_IMM ? as_operand(j, loc_imm(t.imm), op->size, true, S1) : t;
            if (b.kind == L_IMM) {
                load_reg(j, S1, b, op->size);
                b = loc_reg(S1);
            }
        }
        if (!(direct && loc_same(d, a)))
            load_reg(j, reg, a, op->size);
        emit_rm(&j->e, X_IMUL, op->size, reg, loc_rm(b));
    }
    if (!direct)
        store_reg(j, d, op->size, S0);
    mul_flags(j, op, lazy);
}

/* RAX and RDX of the guest are saved, used, and put back before the results are stored. */
static void wide(Jit *j, const IrOp *op, unsigned ext)
{
    bool lazy = mul_flags_before(j, op);
    bool low = op->d != REF_NONE, high = op->c != REF_NONE;
    Loc d = low ? dst_of(j, op->d) : (Loc) { 0 };
    Loc c = high ? dst_of(j, op->c) : (Loc) { 0 };

    load_reg(j, S1, loc_of(j, op->b), op->size);
    load_reg(j, S0, loc_of(j, op->a), op->size);
    emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE), H_RAX);
    emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE + 1), H_RDX);
    emit_mov_rr(&j->e, IR_64, H_RAX, S0);
    emit_ext(&j->e, X_GRP_F6, op->size, ext, rm_reg(S1));
    load_reg(j, S0, loc_reg(H_RAX), op->size == IR_8 ? IR_16 : op->size);
    load_reg(j, S1, loc_reg(H_RDX), op->size);
    emit_mov(&j->e, IR_64, H_RAX, SPILL_RM(SLOT_SAVE));
    emit_mov(&j->e, IR_64, H_RDX, SPILL_RM(SLOT_SAVE + 1));
    if (low)
        store_reg(j, d, op->size == IR_8 ? IR_16 : op->size, S0);
    if (high)
        store_reg(j, c, op->size, S1);
    mul_flags(j, op, lazy);
}

/* MUL and IMUL of the guest itself: every operand is where the host has it. */
static bool wide_in_place(Jit *j, const IrOp *op, unsigned ext)
{
    if (op->size < IR_32 || op->d != ir_g(0) || op->a != ir_g(0) || op->c != ir_g(2))
        return false;
    bool lazy = mul_flags_before(j, op);

    dst_of(j, op->d);
    dst_of(j, op->c);
    Loc b = as_operand(j, loc_of(j, op->b), op->size, true, S1);

    if (b.kind == L_IMM) {
        load_reg(j, S1, b, op->size);
        b = loc_reg(S1);
    }
    emit_ext(&j->e, X_GRP_F6, op->size, ext, loc_rm(b));
    mul_flags(j, op, lazy);
    return true;
}

void lower_mulu(Jit *j, const IrOp *op)
{
    if (!wide_in_place(j, op, GRP_MUL))
        wide(j, op, GRP_MUL);
}

void lower_muls(Jit *j, const IrOp *op)
{
    if (!wide_in_place(j, op, GRP_IMUL))
        wide(j, op, GRP_IMUL);
}
