/*
 * flags.c - where the guest's flags are, and moving them (FlagState in jit.h).
 *
 * They stay in EFLAGS as long as nothing destroys them. A setter also leaves a recipe where its
 * operands still tell the flags: then losing EFLAGS costs nothing, a fault restores them from the
 * side table, and only an exit or an overwritten operand makes the lazy triple be stored.
 */
#include "tcg/host/x86_64/jit.h"

void flags_entry(Jit *j)
{
    j->f = (FlagState) { .in_cpu = true, .cpu_lazy = -1 };
}

bool flags_needed_after(const Jit *j, uint32_t mask)
{
    return j->need[j->at + 1] & mask & FLAGS_ALL;
}

bool sets_flags(const Jit *j, const IrOp *op)
{
    return op->attr & IR_SETF && flags_needed_after(j, ir_flags_written(j->b, op));
}

/* This operation or a later one looks at the flags as they are before it. */
static bool needed_now(const Jit *j)
{
    return j->need[j->at] & FLAGS_ALL;
}

/* -- to Cpu */

static void set_lazy(Jit *j, int lazy)
{
    if (j->f.cpu_lazy != lazy)
        emit_store_imm(&j->e, IR_32, CPU_RM(cc_lazy), lazy);
    j->f.cpu_lazy = lazy;
    j->f.in_cpu = true;
}

static void pack_host(Jit *j)
{
    emit_pushf(&j->e);
    emit_pop_rm(&j->e, CPU_RM(cc_a));
    set_lazy(j, LAZY(LAZY_PACKED, 0));
}

/* `to` = what the recipe's operand l is; bits beyond its width do not matter */
static void store_operand(Jit *j, Rm to, Loc l)
{
    if (l.kind == L_IMM) {
        emit_store_imm(&j->e, IR_64, to, l.imm);
    } else if (l.kind == L_REG) {
        emit_store(&j->e, l.reg & H_HIGH ? IR_8 : IR_64, to, l.reg);
    } else if (l.kind == L_MEM && l.disp != to.disp) {
        emit_mov(&j->e, IR_64, S1, loc_rm(l));
        emit_store(&j->e, IR_64, to, S1);
    }
}

static void alu_with(Jit *j, unsigned alu, IrSize size, unsigned reg, Loc b)
{
    if (b.kind == L_IMM)
        emit_alu_imm(&j->e, alu, size, rm_reg(reg), b.imm);
    else
        emit_alu(&j->e, alu, size, reg, loc_rm(b));
}

static Loc without_high(Jit *j, Loc l)
{
    if (l.kind != L_REG || !(l.reg & H_HIGH))
        return l;
    emit_store(&j->e, IR_8, SPILL_RM(SLOT_HIGH), l.reg);
    return loc_slot(SLOT_HIGH);
}

static void load_from_cpu(Jit *j);

static bool is_triple(const FlagState *f)
{
    return f->recipe >= R_ADD && f->recipe <= R_LOGIC;
}

static void store_triple(Jit *j)
{
    store_operand(j, CPU_RM(cc_a), j->f.a);
    if (j->f.recipe != R_LOGIC)
        store_operand(j, CPU_RM(cc_b), j->f.b);
    set_lazy(j, LAZY((int)j->f.recipe, j->f.width)); /* R_* and LAZY_* have the same order */
}

/* CF and OF from SLOT_FLAG, the others from Cpu */
static void store_mul(Jit *j)
{
    load_from_cpu(j);
    pack_host(j);
    emit_rm(&j->e, X_IMUL_I32, IR_32, S1, SPILL_RM(SLOT_FLAG));
    emit32(&j->e, FLAGS_CO);
    emit_alu_imm(&j->e, ALU_AND, IR_32, CPU_RM(cc_a), ~FLAGS_CO);
    emit_alu_store(&j->e, ALU_OR, IR_32, CPU_RM(cc_a), S1);
    j->f.host = 0;
}

static void store_test(Jit *j)
{
    load_reg(j, S1, j->f.a, j->f.width);
    alu_with(j, ALU_AND, j->f.width, S1, without_high(j, j->f.b));
    emit_store(&j->e, IR_64, CPU_RM(cc_a), S1);
    set_lazy(j, LAZY(LAZY_LOGIC, j->f.width));
    j->f.host = 0;
}

void flags_to_cpu(Jit *j)
{
    if (j->f.in_cpu)
        return;
    if (is_triple(&j->f)) {
        store_triple(j);
    } else if (j->f.recipe == R_TEST) {
        store_test(j);
    } else if (j->f.recipe == R_MUL) {
        store_mul(j);
    } else {
        if (j->f.recipe)
            flags_to_host(j, FLAGS_ALL);
        pack_host(j);
    }
}

void flags_clobber(Jit *j)
{
    if (j->f.host && needed_now(j) && !j->f.in_cpu && !j->f.recipe)
        pack_host(j);
    j->f.host = 0;
}

static bool overlaps(Loc a, Loc b)
{
    if (a.kind != b.kind)
        return false;
    return a.kind == L_REG ? (a.reg & ~H_HIGH) == (b.reg & ~H_HIGH)
                           : a.kind == L_MEM && a.disp == b.disp;
}

void flags_before_write(Jit *j, Loc d)
{
    if (!j->f.recipe || !(overlaps(j->f.a, d) || overlaps(j->f.b, d)))
        return;
    /* storing a triple now costs less than packing EFLAGS at a check or an exit */
    bool early = is_triple(&j->f) && j->need[j->at] & (NEED_OUT | NEED_FAULT);

    if (needed_now(j) && !j->f.in_cpu && (early || j->f.host != FLAGS_ALL))
        flags_to_cpu(j);
    j->f.recipe = R_NONE;
}

/* -- to EFLAGS; S1 is free */

/* Repeat the instruction that a lazy triple stands for. */
static void redo_triple(Jit *j, Recipe recipe, IrSize w, Loc a, Loc b)
{
    bool direct = a.kind == L_REG && !(a.reg & H_HIGH) && (recipe == R_CMP || recipe == R_LOGIC);
    unsigned reg = direct ? a.reg : S1;

    if (!direct)
        load_reg(j, S1, a, w);
    b = without_high(j, b);
    switch (recipe) {
    case R_ADD:
        alu_with(j, ALU_SUB, w, reg, b);
        alu_with(j, ALU_ADD, w, reg, b);
        break;
    case R_SUB: alu_with(j, ALU_ADD, w, reg, b); __attribute__((fallthrough));
    case R_CMP: alu_with(j, ALU_CMP, w, reg, b); break;
    default: emit_test(&j->e, w, rm_reg(reg), reg); break;
    }
}

/* SAHF does all but OF; 8 + 78h overflows, 0 + 78h does not */
static void unpack(Jit *j)
{
    emit_mov_rr(&j->e, IR_64, S1, H_RAX);
    emit_mov(&j->e, IR_32, H_RAX, CPU_RM(cc_a));
    emit_rm(&j->e, 0x86 | X_BYTE, IR_8, H_RAX, rm_reg(H_HIGH | H_RAX));
    emit_alu_imm(&j->e, ALU_AND, IR_8, rm_reg(H_RAX), FLAG_OF >> 8);
    emit_alu_imm(&j->e, ALU_ADD, IR_8, rm_reg(H_RAX), 0x78);
    emit8(&j->e, 0x9e);
    emit_mov_rr(&j->e, IR_64, H_RAX, S1);
}

static void load_from_cpu(Jit *j)
{
    const Loc a = { .kind = L_MEM, .disp = CPU_DISP(cc_a) };
    const Loc b = { .kind = L_MEM, .disp = CPU_DISP(cc_b) };

    if (j->f.cpu_lazy < 0)
        call_thunk(j, T_LOAD_FLAGS);
    else if (j->f.cpu_lazy >> 2 == LAZY_PACKED)
        unpack(j);
    else
        redo_triple(j, j->f.cpu_lazy >> 2, j->f.cpu_lazy & 3, a, b);
}

static void redo_shift(Jit *j)
{
    static const uint8_t shifts[] = { SH_SHL, SH_SHR, SH_SAR };

    emit_mov(&j->e, IR_64, S1, SPILL_RM(SLOT_FLAG));
    emit_shift_imm(&j->e, shifts[j->f.recipe - R_SHL], j->f.width, rm_reg(S1), j->f.count);
}

/* The carry comes from Cpu, the rest from stepping to the result once more. */
static void redo_inc(Jit *j)
{
    bool dec = j->f.recipe == R_DEC;

    load_from_cpu(j);
    load_reg(j, S1, j->f.a, j->f.width);
    emit_ext(&j->e, X_GRP_FE, j->f.width, !dec, rm_reg(S1));
    emit_ext(&j->e, X_GRP_FE, j->f.width, dec, rm_reg(S1));
}

/* BT changes nothing but the carry. */
static void redo_carry(Jit *j)
{
    load_from_cpu(j);
    emit_rm(&j->e, X_BT_I, IR_32, 4, SPILL_RM(SLOT_FLAG));
    emit8(&j->e, 0);
}

void flags_to_host(Jit *j, uint32_t mask)
{
    mask &= j->need[j->at]; /* nobody keeps the others */
    if ((j->f.host & mask) == mask)
        return;
    if (j->f.recipe == R_MUL) {
        flags_to_cpu(j);
        j->f.recipe = R_NONE;
    }
    if (j->f.recipe == R_TEST) {
        load_reg(j, S1, j->f.a, j->f.width);
        alu_with(j, ALU_AND, j->f.width, S1, without_high(j, j->f.b));
    } else if (is_triple(&j->f))
        redo_triple(j, j->f.recipe, j->f.width, j->f.a, j->f.b);
    else if (j->f.recipe >= R_SHL && j->f.recipe <= R_SAR)
        redo_shift(j);
    else if (j->f.recipe == R_INC || j->f.recipe == R_DEC)
        redo_inc(j);
    else if (j->f.recipe == R_CARRY)
        redo_carry(j);
    else
        load_from_cpu(j);
    j->f.host = FLAGS_ALL;
}

/* Flags that a recipe over Cpu replaces, 0: it is none. */
static uint32_t replaced_by(Recipe r)
{
    return r == R_INC || r == R_DEC ? FLAGS_NO_C
           : r == R_MUL             ? FLAGS_CO
           : r == R_CARRY           ? FLAG_CF
                                    : 0;
}

bool flags_keep_in_cpu(Jit *j, uint32_t kept)
{
    uint32_t replaced = replaced_by(j->f.recipe);
    uint32_t wanted = j->need[j->at + 1] & kept & FLAGS_ALL;

    if ((j->f.host & wanted) == wanted)
        return false;
    if (replaced && !(replaced & j->need[j->at])) { /* what is still needed of them is in Cpu */
        j->f.recipe = R_NONE;
        j->f.in_cpu = true;
    }
    flags_to_cpu(j);
    j->f.recipe = R_NONE;
    return true;
}

/* -- after an operation */

void flags_in_host(Jit *j, uint32_t mask)
{
    j->f.host = mask;
    j->f.in_cpu = false;
    j->f.recipe = R_NONE;
}

void flags_after(Jit *j, const IrOp *op, bool setf, bool maybe)
{
    if (!setf)
        j->f.host = 0;
    else
        flags_in_host(j, j->f.host | (maybe ? 0 : ir_flags_written(j->b, op)));
}

void flags_in_cpu(Jit *j, int lazy)
{
    j->f = (FlagState) { .in_cpu = true, .cpu_lazy = lazy };
}

void flags_store_packed(Jit *j, unsigned reg)
{
    emit_store(&j->e, IR_64, CPU_RM(cc_a), reg);
    set_lazy(j, LAZY(LAZY_PACKED, 0));
    j->f.host = 0;
    j->f.recipe = R_NONE;
}

static bool lasting(Loc *l, IrSize width)
{
    if (l->kind == L_REG)
        return l->reg != S0 && l->reg != S1;
    if (l->kind == L_IMM && width < IR_64)
        l->imm = (int32_t)l->imm;
    return l->kind != L_IMM || fits32(l->imm);
}

void flags_recipe(Jit *j, Recipe r, IrSize width, Loc a, Loc b)
{
    bool uses_b = r == R_ADD || r == R_SUB || r == R_CMP || r == R_TEST;

    if (!lasting(&a, width) || !lasting(&b, width))
        return;
    if ((r == R_ADD || r == R_SUB) && overlaps(a, b)) /* the result replaced the operand */
        return;
    if (!uses_b)
        b = (Loc) { .kind = L_NONE };
    j->f.recipe = r;
    j->f.width = width;
    j->f.a = a;
    j->f.b = b;
}
