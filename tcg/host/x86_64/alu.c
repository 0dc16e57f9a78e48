/*
 * alu.c - moves and arithmetic. An IR operation has three operands and x86 two: the result's place
 * is used as the working register where it can be, else S0 is.
 */
#include "tcg/host/x86_64/jit.h"

/* Where d = a OP b is computed: `rm` holds a, and becomes d in work_done(). */
typedef struct {
    Rm rm;
    Loc d;
    bool in_place;
} Work;

static bool is_high(Loc l)
{
    return l.kind == L_REG && l.reg & H_HIGH;
}

/* Start computing in d (if it may be: not needed as another operand), or in S0. */
static Work work_start(Jit *j, Loc d, Loc a, IrSize size, bool d_needed, bool mem_ok)
{
    bool whole = size >= IR_32 || d.temp;
    bool same = loc_same(d, a);
    Work w = { .rm = rm_reg(S0), .d = d };

    if (d.kind == L_REG && !is_high(d) && !d_needed && (whole || same)) {
        w.in_place = true;
        w.rm = rm_reg(d.reg);
        if (!same || (d.temp && size < IR_32))
            load_reg(j, d.reg, a, size);
    } else if (d.kind == L_MEM && same && mem_ok && !d_needed && size != IR_32 && !d.temp) {
        w.in_place = true;
        w.rm = loc_rm(d);
    } else {
        load_reg(j, S0, a, size);
    }
    return w;
}

static void work_done(Jit *j, const Work *w, IrSize size)
{
    if (!w->in_place)
        store_reg(j, w->d, size, S0);
}

/* The other operand in a form that goes with the working register; S1 if it must be loaded. */
static Loc other_operand(Jit *j, const Work *w, Loc b, IrSize size)
{
    if (is_high(b) && w->in_place && !w->rm.mem && w->rm.reg < 4 && size == IR_8)
        return b;
    return as_operand(j, b, size, !w->rm.mem, S1);
}

static void alu_op(Jit *j, unsigned alu, IrSize size, Rm dst, Loc b)
{
    if (b.kind == L_IMM)
        emit_alu_imm(&j->e, alu, size, dst, b.imm);
    else if (dst.mem)
        emit_alu_store(&j->e, alu, size, dst, b.reg);
    else
        emit_alu(&j->e, alu, size, dst.reg, loc_rm(b));
}

/* -- moves */

void lower_mov(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);

    move_loc(j, d, op->size, loc_of(j, op->a));
}

static int64_t extend_imm(int64_t v, IrSize from, bool sign)
{
    unsigned shift = 64 - (8u << from);

    return sign ? (int64_t)((uint64_t)v << shift) >> shift
                : (int64_t)((uint64_t)v << shift >> shift);
}

static void extend(Jit *j, const IrOp *op, bool sign)
{
    static const uint32_t insns[2][3] = { { X_MOVZX8, X_MOVZX16, X_MOV_LOAD },
                                          { X_MOVSX8, X_MOVSX16, X_MOVSXD } };
    Loc d = dst_of(j, op->d), a = loc_of(j, op->a);

    if (a.kind == L_IMM) {
        move_loc(j, d, op->size, loc_imm(extend_imm(a.imm, op->size2, sign)));
        return;
    }
    if (op->size2 >= op->size) {
        move_loc(j, d, op->size, a);
        return;
    }
    bool direct = d.kind == L_REG && !is_high(d) && op->size >= IR_32;
    unsigned reg = direct ? d.reg : S0;
    IrSize width = sign && op->size == IR_64 ? IR_64 : IR_32;

    if (is_high(a) && (reg >= 8 || width == IR_64)) {
        load_reg(j, S0, a, IR_8);
        a = loc_reg(S0);
    }
    emit_rm(&j->e, insns[sign][op->size2], width, reg, loc_rm(a));
    if (!direct && sign && op->size < IR_32) /* S0 is zero-extended from the result's size */
        emit_rm(&j->e, op->size == IR_8 ? X_MOVZX8 : X_MOVZX16, IR_32, S0, rm_reg(S0));
    if (!direct)
        store_reg(j, d, op->size, S0);
}

void lower_movzx(Jit *j, const IrOp *op)
{
    extend(j, op, false);
}

void lower_movsx(Jit *j, const IrOp *op)
{
    extend(j, op, true);
}

static void emit_bswap(Emit *e, IrSize size, unsigned reg)
{
    unsigned rex = (size == IR_64 ? 0x48 : 0x40) | (reg >> 3);

    if (rex != 0x40)
        emit8(e, rex);
    emit8(e, 0x0f);
    emit8(e, 0xc8 | (reg & 7));
}

void lower_bswap(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);
    Work w = work_start(j, d, loc_of(j, op->a), op->size, op->size == IR_16, false);

    if (op->size == IR_16) /* undefined for programs; this is what processors do */
        emit_mov_imm(&j->e, S0, 0);
    else
        emit_bswap(&j->e, op->size, w.rm.reg);
    work_done(j, &w, op->size);
}

/* -- addition, subtraction, logic */

/* Without flags: LEA leaves EFLAGS alone and has three operands. */
static bool add_by_lea(Jit *j, const IrOp *op, Loc d, Loc a, Loc b)
{
    bool sub = op->op == IR_sub;

    if ((op->op != IR_add && !sub) || op->size < IR_32 || d.kind != L_REG || a.kind != L_REG)
        return false;
    if (b.kind == L_REG && !sub) {
        emit_lea(&j->e, op->size, d.reg, rm_index(a.reg, b.reg, 0, 0));
    } else if (b.kind == L_IMM) {
        int64_t v = sub ? -(uint64_t)b.imm : (uint64_t)b.imm;

        if (op->size == IR_32)
            v = (int32_t)v;
        if (!fits32(v))
            return false;
        emit_lea(&j->e, op->size, d.reg, rm_mem(a.reg, v));
    } else {
        return false;
    }
    return true;
}

static void note_flags(Jit *j, unsigned alu, IrSize size, Loc d, Loc b)
{
    static const uint8_t recipes[] = {
        [ALU_ADD] = R_ADD,   [ALU_OR] = R_LOGIC, [ALU_AND] = R_LOGIC,
        [ALU_XOR] = R_LOGIC, [ALU_SUB] = R_SUB,  [ALU_CMP] = R_CMP,
    };

    flags_in_host(j, FLAGS_ALL);
    if (recipes[alu])
        flags_recipe(j, recipes[alu], size, d, b);
}

static void compute(Jit *j, const IrOp *op, unsigned alu, Loc d, Loc a, Loc b)
{
    bool commutes = alu != ALU_SUB && alu != ALU_SBB;

    if (loc_same(d, b) && !loc_same(d, a) && commutes) {
        Loc t = a;

        a = b;
        b = t;
    }
    bool d_needed = d.kind == L_REG && loc_touches(b, d.reg & ~H_HIGH) && !loc_same(d, a);
    Work w =
        work_start(j, d, a, op->size, d_needed || (is_high(b) && d.kind == L_REG && d.temp), true);
    Loc operand = other_operand(j, &w, b, op->size);

    alu_op(j, alu, op->size, w.rm, operand);
    work_done(j, &w, op->size);
    if (sets_flags(j, op))
        note_flags(j, alu, op->size, d, b);
    else
        j->f.host = 0;
}

/* a ^ a, a - a: a constant, and so are the flags. */
static bool is_zero_idiom(const IrOp *op)
{
    return (op->op == IR_xor || op->op == IR_sub) && op->a == op->b && op->size >= IR_32 &&
           ref_kind(op->a) != REF_K;
}

static void zero(Jit *j, const IrOp *op)
{
    bool setf = sets_flags(j, op);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d);

    if (d.kind == L_REG) {
        emit_alu(&j->e, ALU_XOR, IR_32, d.reg, rm_reg(d.reg));
    } else {
        emit_alu(&j->e, ALU_XOR, IR_32, S0, rm_reg(S0));
        emit_store(&j->e, IR_64, loc_rm(d), S0);
    }
    if (!setf) {
        j->f.host = 0;
        return;
    }
    flags_in_host(j, FLAGS_ALL);
    flags_recipe(j, R_LOGIC, IR_32, loc_imm(0), (Loc) { 0 });
}

static void binary(Jit *j, const IrOp *op, unsigned alu)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b);
    bool carry = alu == ALU_ADC || alu == ALU_SBB;
    bool setf = sets_flags(j, op);
    if (is_zero_idiom(op)) {
        zero(j, op);
        return;
    }
    bool by_lea_ok = !setf && j->f.host && flags_needed_after(j, FLAGS_ALL);

    if (!setf && (op->op == IR_add || op->op == IR_sub)) {
        Loc d = dst_of(j, op->d);

        if ((by_lea_ok || !loc_same(d, a)) && add_by_lea(j, op, d, a, b))
            return;
    }
    if (carry && !setf && flags_needed_after(j, FLAGS_ALL))
        flags_to_cpu(j);
    if (!setf && !carry)
        flags_clobber(j);
    Loc d = dst_of(j, op->d);

    if (carry)
        flags_to_host(j, FLAG_CF);
    compute(j, op, alu, d, a, b);
}

void lower_add(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_ADD);
}

void lower_adc(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_ADC);
}

void lower_sub(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_SUB);
}

void lower_sbb(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_SBB);
}

void lower_and(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_AND);
}

void lower_or(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_OR);
}

void lower_xor(Jit *j, const IrOp *op)
{
    binary(j, op, ALU_XOR);
}

void lower_andn(Jit *j, const IrOp *op)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b);
    bool setf = sets_flags(j, op);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d);

    load_reg(j, S0, a, op->size);
    b = as_operand(j, b, op->size, true, S1);
    emit_ext(&j->e, X_GRP_F6, op->size, GRP_NOT, rm_reg(S0));
    alu_op(j, ALU_AND, op->size, rm_reg(S0), b);
    store_reg(j, d, op->size, S0);
    if (setf)
        note_flags(j, ALU_AND, op->size, d, b);
    else
        j->f.host = 0;
}

void lower_cmp(Jit *j, const IrOp *op)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b), a0 = a, b0 = b;

    if (!sets_flags(j, op))
        return;
    if (is_high(a) || a.kind == L_IMM) {
        load_reg(j, S0, a, op->size);
        a = loc_reg(S0);
    }
    b = as_operand(j, b, op->size, a.kind == L_REG, S1);
    alu_op(j, ALU_CMP, op->size, loc_rm(a), b);
    note_flags(j, ALU_CMP, op->size, a0, b0);
}

void lower_test(Jit *j, const IrOp *op)
{
    Loc a = loc_of(j, op->a), b = loc_of(j, op->b);
    bool same = loc_same(a, b);

    if (!sets_flags(j, op))
        return;
    if (is_high(a) || a.kind == L_IMM) {
        load_reg(j, S0, a, op->size);
        a = loc_reg(S0);
    }
    b = same ? a : as_operand(j, b, op->size, false, S1);
    if (a.kind == L_MEM && same)
        emit_alu_imm(&j->e, ALU_CMP, op->size, loc_rm(a), 0);
    else if (b.kind == L_IMM)
        emit_test_imm(&j->e, op->size, loc_rm(a), b.imm);
    else
        emit_test(&j->e, op->size, loc_rm(a), b.reg);
    flags_in_host(j, FLAGS_ALL);
    flags_recipe(j, same ? R_LOGIC : R_TEST, op->size, loc_of(j, op->a), loc_of(j, op->b));
}

/* -- one operand */

void lower_neg(Jit *j, const IrOp *op)
{
    bool setf = sets_flags(j, op);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d);
    Work w = work_start(j, d, loc_of(j, op->a), op->size, false, true);

    emit_ext(&j->e, X_GRP_F6, op->size, GRP_NEG, w.rm);
    work_done(j, &w, op->size);
    if (setf)
        flags_in_host(j, FLAGS_ALL);
    else
        j->f.host = 0;
}

void lower_not(Jit *j, const IrOp *op)
{
    Loc d = dst_of(j, op->d);
    Work w = work_start(j, d, loc_of(j, op->a), op->size, false, true);

    emit_ext(&j->e, X_GRP_F6, op->size, GRP_NOT, w.rm);
    work_done(j, &w, op->size);
}

static void step(Jit *j, const IrOp *op, bool dec)
{
    bool setf = sets_flags(j, op);
    bool lazy = setf && flags_keep_in_cpu(j, FLAG_CF);

    if (!setf)
        flags_clobber(j);
    Loc d = dst_of(j, op->d);
    uint16_t carry = lazy ? 0 : j->f.host & FLAG_CF;
    Work w = work_start(j, d, loc_of(j, op->a), op->size, false, true);

    emit_ext(&j->e, X_GRP_FE, op->size, dec, w.rm);
    work_done(j, &w, op->size);
    if (!setf) {
        j->f.host = 0;
        return;
    }
    flags_in_host(j, FLAGS_NO_C | carry);
    if (lazy)
        flags_recipe(j, dec ? R_DEC : R_INC, op->size, d, (Loc) { 0 });
}

void lower_inc(Jit *j, const IrOp *op)
{
    step(j, op, false);
}

void lower_dec(Jit *j, const IrOp *op)
{
    step(j, op, true);
}
