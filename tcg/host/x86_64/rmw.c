/*
 * rmw.c - read-modify-write of memory, also atomic: the host's own instructions on the checked
 * address.
 *
 * Where the access cannot be made in place (device, page crossing) the slow path reads it into a
 * bounce buffer, the same instructions work there, and the result is written back.
 */
#include "tcg/host/x86_64/jit.h"

typedef void Body(Jit *j, const IrOp *op, Loc d, Loc b, Loc c);

static void after(Jit *j, const IrOp *op)
{
    flags_after(j, op, sets_flags(j, op), false);
}

static uint32_t lock_of(const IrOp *op)
{
    return op->attr & IR_LOCK ? X_LOCK : 0;
}

/* -- bodies of the sub-operations; the address is in S0, S1 is free */

static void body_exchange(Jit *j, const IrOp *op, Loc d, Loc b)
{
    load_reg(j, S1, b, op->size);
    if (op->cc == RMW_XCHG)
        emit_sized(&j->e, X_XCHG, op->size, S1, rm_mem(S0, 0));
    else
        emit_sized(&j->e, X_XADD | lock_of(op), op->size, S1, rm_mem(S0, 0));
    if (d.kind != L_NONE)
        store_reg(j, d, op->size, S1);
    if (op->cc != RMW_XCHG)
        after(j, op);
}

static void body_alu(Jit *j, const IrOp *op, Loc b)
{
    static const uint8_t alu[] = {
        [RMW_ADD] = ALU_ADD, [RMW_OR] = ALU_OR,   [RMW_ADC] = ALU_ADC, [RMW_SBB] = ALU_SBB,
        [RMW_AND] = ALU_AND, [RMW_SUB] = ALU_SUB, [RMW_XOR] = ALU_XOR,
    };

    if (op->cc == RMW_ADC || op->cc == RMW_SBB)
        flags_to_host(j, FLAG_CF);
    b = as_operand(j, b, op->size, false, S1);
    if (b.kind == L_IMM)
        emit_alu_imm(&j->e, alu[op->cc] | lock_of(op), op->size, rm_mem(S0, 0), b.imm);
    else
        emit_alu_store(&j->e, alu[op->cc] | lock_of(op), op->size, rm_mem(S0, 0), b.reg);
    after(j, op);
}

static void body_one(Jit *j, const IrOp *op)
{
    bool step = op->cc == RMW_INC || op->cc == RMW_DEC;
    uint32_t x = (step ? X_GRP_FE : X_GRP_F6) | lock_of(op);
    unsigned ext = step ? op->cc == RMW_DEC : op->cc == RMW_NEG ? GRP_NEG : GRP_NOT;

    if (step && sets_flags(j, op) && flags_needed_after(j, FLAG_CF))
        flags_to_host(j, FLAG_CF);
    emit_ext(&j->e, x, op->size, ext, rm_mem(S0, 0));
    if (op->cc != RMW_NOT)
        after(j, op);
}

static void body_bit(Jit *j, const IrOp *op, Loc b)
{
    unsigned which = op->cc - RMW_BTS + BT_BTS;
    bool keep = sets_flags(j, op) && flags_needed_after(j, FLAGS_NO_C);

    if (b.kind != L_IMM) {
        load_reg(j, S1, b, op->size);
        emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(S1), (8 << op->size) - 1);
        emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE), S1);
    }
    if (keep)
        flags_to_host(j, FLAGS_NO_C);
    if (b.kind != L_IMM) {
        emit_mov(&j->e, IR_64, S1, SPILL_RM(SLOT_SAVE));
        emit_rm(&j->e, (X_BT + 8 * which) | lock_of(op), op->size, S1, rm_mem(S0, 0));
    } else {
        emit_rm(&j->e, X_BT_I | lock_of(op), op->size, 4 + which, rm_mem(S0, 0));
        emit8(&j->e, b.imm & ((8 << op->size) - 1));
    }
    after(j, op);
}

static void body_shift(Jit *j, const IrOp *op, Loc b)
{
    static const uint8_t exts[] = { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR };
    unsigned ext = exts[op->cc - RMW_ROL];
    unsigned count = b.imm & (op->size == IR_64 ? 63 : 31);
    bool borrow = !(b.kind == L_REG && b.reg == H_RCX);
    bool setf = sets_flags(j, op);
    uint32_t read = ir_flags_read(j->b, op);

    if (b.kind == L_IMM && !count)
        return;
    if (setf && flags_needed_after(j, FLAGS_ALL) && (b.kind != L_IMM || op->cc < RMW_SHL))
        read = FLAGS_ALL;
    flags_to_host(j, read);
    if (b.kind == L_IMM) {
        emit_shift_imm(&j->e, ext, op->size, rm_mem(S0, 0), count);
    } else {
        if (borrow) {
            emit_mov_rr(&j->e, IR_64, S1, H_RCX);
            load_reg(j, H_RCX, b, IR_8);
        }
        emit_shift_cl(&j->e, ext, op->size, rm_mem(S0, 0));
        if (borrow)
            emit_mov_rr(&j->e, IR_64, H_RCX, S1);
    }
    flags_after(j, op, setf, b.kind != L_IMM);
}

static void body_plain(Jit *j, const IrOp *op, Loc b)
{
    if (op->cc <= RMW_XOR)
        body_alu(j, op, b);
    else if (op->cc <= RMW_NOT)
        body_one(j, op);
    else if (op->cc <= RMW_BTC)
        body_bit(j, op, b);
    else
        body_shift(j, op, b);
}

static void rmw_body(Jit *j, const IrOp *op, Loc d, Loc b, Loc c)
{
    (void)c;
    if (op->cc == RMW_XCHG || (op->cc == RMW_ADD && d.kind != L_NONE)) {
        body_exchange(j, op, d, b);
        return;
    }
    if (d.kind != L_NONE) { /* no LOCKed instruction gives the old value of the others */
        emit_mov(&j->e, op->size, S1, rm_mem(S0, 0));
        emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE + 1), S1);
    }
    body_plain(j, op, b);
    if (d.kind != L_NONE) {
        load_reg(j, S1, loc_slot(SLOT_SAVE + 1), op->size);
        store_reg(j, d, op->size, S1);
    }
}

static void cmpxchg_body(Jit *j, const IrOp *op, Loc d, Loc b, Loc c)
{
    load_reg(j, S1, c, op->size);
    emit_store(&j->e, IR_64, SPILL_RM(SLOT_SAVE), H_RAX);
    load_reg(j, H_RAX, b, op->size);
    emit_sized(&j->e, X_CMPXCHG | lock_of(op), op->size, S1, rm_mem(S0, 0));
    emit_mov_rr(&j->e, IR_64, S0, H_RAX);
    emit_mov(&j->e, IR_64, H_RAX, SPILL_RM(SLOT_SAVE));
    store_reg(j, d, op->size, S0);
    after(j, op);
}

/* -- slow path */

static void bounced(Jit *j, const Stub *s)
{
    Body *body = s->op->op == IR_rmw ? rmw_body : cmpxchg_body;

    body(j, s->op, s->d, s->b, s->c);
    emit_pushf(&j->e);
    emit_pop_rm(&j->e, SPILL_RM(SLOT_EFLAGS));
    call_thunk_site(j, T_RMW_DONE);
    groups_forget(j, s->groups);
    emit_push_rm(&j->e, SPILL_RM(SLOT_EFLAGS));
    emit_popf(&j->e);
    stub_resume(j, s);
}

/* s->imm: where the body starts that works in place */
static void rmw_slow(Jit *j, const Stub *s)
{
    stub_address(j, s);
    emit_mov_imm(&j->e, S1, 1u << s->op->size | (s->arg & 0xff) << 8);
    call_thunk_site(j, T_RMW);
    emit_lea(&j->e, IR_64, S1, SPILL_RM(SLOT_BOUNCE_D));
    emit_alu(&j->e, ALU_CMP, IR_64, S1, rm_reg(S0));
    patch_rel32(emit_jcc(&j->e, CC_NE), (const uint8_t *)(uintptr_t)s->imm);
    bounced(j, s);
}

static void modify(Jit *j, const IrOp *op, Body *body)
{
    HostPlace acc;

    flags_clobber(j);
    Loc d = op->d == REF_NONE ? (Loc) { 0 } : dst_of(j, op->d);
    Loc b = loc_of(j, op->b), c = loc_of(j, op->c);
    Stub *s = mem_check(j, op, op->a, 1 << op->size, true, ACC_FORM_S0, &acc);

    s->emit = rmw_slow;
    s->d = d;
    s->b = b;
    s->c = c;
    s->imm = (intptr_t)j->e.p;
    body(j, op, d, b, c);
    s->resume = j->e.p;
}

void lower_rmw(Jit *j, const IrOp *op)
{
    modify(j, op, rmw_body);
}

void lower_cmpxchg(Jit *j, const IrOp *op)
{
    modify(j, op, cmpxchg_body);
}

void lower_fence(Jit *j, const IrOp *op)
{
    (void)op;
    emit8(&j->e, 0x0f);
    emit8(&j->e, 0xae);
    emit8(&j->e, 0xf0);
}
