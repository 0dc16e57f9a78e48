/*
 * regs.c - where operands of the IR are, and moves between such places. Nothing here changes
 * EFLAGS.
 */
#include "tcg/host/x86_64/jit.h"

/* Host registers of guest globals 0..9; the others stay in Cpu. */
const uint8_t pinned_host[N_PINNED] = {
    H_RAX, H_RCX, H_RDX, H_RBX, H_R10, H_R11, H_RSI, H_RDI, H_R8, H_R9,
};

Loc loc_reg(unsigned reg)
{
    return (Loc) { .kind = L_REG, .reg = reg };
}

Loc loc_slot(unsigned slot)
{
    return (Loc) { .kind = L_MEM, .disp = SPILL_DISP(slot) };
}

Loc loc_imm(int64_t imm)
{
    return (Loc) { .kind = L_IMM, .imm = imm };
}

static Loc loc_of_global(IrRef r)
{
    unsigned n = ref_index(r);

    if (n < N_PINNED)
        return loc_reg(pinned_host[n] | (r & REF_HIGH ? H_HIGH : 0));
    return (Loc) { .kind = L_MEM, .disp = CPU_DISP(gpr) + 8 * (int32_t)n };
}

static Loc loc_of_home(unsigned home)
{
    Loc l = home < HOME_SLOT ? loc_reg(H_R12 + home) : loc_slot(home - HOME_SLOT);

    l.temp = true;
    return l;
}

Loc loc_of(Jit *j, IrRef r)
{
    switch (ref_kind(r)) {
    case REF_G: return loc_of_global(r);
    case REF_T: return loc_of_home(j->home[ref_index(r)]);
    case REF_K: return loc_imm(j->b->k[ref_index(r)]);
    }
    return (Loc) { .kind = L_NONE };
}

bool loc_same(Loc a, Loc b)
{
    if (a.kind != b.kind)
        return false;
    return a.kind == L_REG ? a.reg == b.reg : a.kind == L_MEM && a.disp == b.disp;
}

bool loc_touches(Loc a, unsigned reg)
{
    return a.kind == L_REG && (a.reg & ~H_HIGH) == reg;
}

Rm loc_rm(Loc l)
{
    assert(l.kind == L_REG || l.kind == L_MEM);
    return l.kind == L_REG ? rm_reg(l.reg) : rm_mem(H_RBP, l.disp);
}

/* -- temporaries */

static unsigned alloc_home(Jit *j)
{
    unsigned home;

    if (j->free_regs) {
        home = __builtin_ctz(j->free_regs);
        j->free_regs &= ~(1 << home);
    } else {
        assert(j->free_slots);
        home = __builtin_ctz(j->free_slots);
        j->free_slots &= ~(1 << home);
        home += HOME_SLOT;
    }
    return home;
}

Loc dst_of(Jit *j, IrRef r)
{
    if (ref_kind(r) == REF_T && j->home[ref_index(r)] == HOME_NONE)
        j->home[ref_index(r)] = alloc_home(j);
    Loc d = loc_of(j, r);

    groups_before_write(j, r);
    flags_before_write(j, d);
    return d;
}

static void free_home(Jit *j, IrRef r)
{
    if (ref_kind(r) != REF_T || j->last_use[ref_index(r)] > j->at)
        return;
    unsigned home = j->home[ref_index(r)];

    if (home < HOME_SLOT)
        j->free_regs |= 1 << home;
    else if (home != HOME_NONE)
        j->free_slots |= 1 << (home - HOME_SLOT);
    j->home[ref_index(r)] = HOME_NONE;
}

static void free_homes_of(Jit *j, IrRef r)
{
    if (ref_kind(r) == REF_M) {
        const IrMem *m = &j->b->mem[ref_index(r)];

        free_home(j, m->base);
        free_home(j, m->index);
    } else {
        free_home(j, r);
    }
}

void free_temps(Jit *j, const IrOp *op)
{
    free_homes_of(j, op->d);
    free_homes_of(j, op->a);
    free_homes_of(j, op->b);
    free_homes_of(j, op->c);
}

int find_temp_reg(Jit *j)
{
    return j->free_regs & 2 ? H_R13 : j->free_regs & 1 ? H_R12 : -1;
}

/* -- moves */

static int64_t cut(int64_t v, IrSize size)
{
    return size == IR_8    ? (uint8_t)v
           : size == IR_16 ? (uint16_t)v
           : size == IR_32 ? (uint32_t)v
                           : v;
}

static int64_t extend(int64_t v, IrSize size)
{
    return size == IR_8 ? (int8_t)v : size == IR_16 ? (int16_t)v : size == IR_32 ? (int32_t)v : v;
}

static void emit_zero_extend(Emit *e, unsigned reg, IrSize size, Rm src)
{
    if (size == IR_8)
        emit_rm(e, X_MOVZX8, IR_32, reg, src);
    else if (size == IR_16)
        emit_rm(e, X_MOVZX16, IR_32, reg, src);
    else
        emit_mov(e, size, reg, src);
}

void load_reg(Jit *j, unsigned reg, Loc l, IrSize size)
{
    if (l.kind == L_IMM) {
        emit_mov_imm(&j->e, reg, cut(l.imm, size));
        return;
    }
    Rm rm = loc_rm(l);

    if (l.kind == L_REG && l.reg == reg && size == IR_64)
        return;
    if (l.kind == L_REG && l.reg & H_HIGH && reg >= 8) {
        emit_store(&j->e, IR_8, SPILL_RM(SLOT_HIGH), l.reg);
        rm = SPILL_RM(SLOT_HIGH);
    }
    emit_zero_extend(&j->e, reg, size, rm);
}

static void store_high(Jit *j, unsigned high, unsigned reg)
{
    if (!needs_rex(reg)) {
        emit_mov_rr(&j->e, IR_8, high, reg);
        return;
    }
    emit_store(&j->e, IR_8, SPILL_RM(SLOT_HIGH), reg);
    emit_mov(&j->e, IR_8, high, SPILL_RM(SLOT_HIGH));
}

void store_reg(Jit *j, Loc d, IrSize size, unsigned reg)
{
    if (d.kind == L_REG && d.reg & H_HIGH) {
        store_high(j, d.reg, reg);
    } else if (d.kind == L_REG) {
        if (d.temp && (d.reg != reg || size < IR_32))
            emit_zero_extend(&j->e, d.reg, size, rm_reg(reg));
        else if (d.reg != reg)
            emit_mov_rr(&j->e, size, d.reg, reg);
    } else {
        if (d.temp && size < IR_32)
            emit_zero_extend(&j->e, reg, size, rm_reg(reg));
        emit_store(&j->e, d.temp || size >= IR_32 ? IR_64 : size, loc_rm(d), reg);
    }
}

/* A constant, where one instruction does it. */
static bool move_imm(Jit *j, Loc d, IrSize size, int64_t imm)
{
    bool whole = d.temp || size >= IR_32;
    int64_t v = whole ? cut(imm, size) : extend(imm, size);

    if (d.kind == L_REG && whole)
        emit_mov_imm(&j->e, d.reg, v);
    else if (!whole || fits32(v))
        emit_store_imm(&j->e, whole ? IR_64 : size, loc_rm(d), v);
    else
        return false;
    return true;
}

static bool high_conflict(Loc a, Loc b)
{
    bool a_high = a.kind == L_REG && a.reg & H_HIGH, b_high = b.kind == L_REG && b.reg & H_HIGH;

    return (a_high && b.kind == L_REG && needs_rex(b.reg)) ||
           (b_high && a.kind == L_REG && needs_rex(a.reg));
}

void move_loc(Jit *j, Loc d, IrSize size, Loc src)
{
    bool whole = d.temp || size >= IR_32;

    if (src.kind == L_IMM && move_imm(j, d, size, src.imm))
        return;
    if (loc_same(d, src) && (!whole || size == IR_64))
        return;
    if (d.kind == L_REG && whole) {
        load_reg(j, d.reg, src, size);
    } else if (d.kind == L_REG && !high_conflict(d, src)) {
        emit_mov(&j->e, size, d.reg, loc_rm(src));
    } else if (d.kind == L_MEM && src.kind == L_REG && (!whole || size == IR_64)) {
        emit_store(&j->e, size, loc_rm(d), src.reg);
    } else {
        load_reg(j, S0, src, size);
        store_reg(j, d, size, S0);
    }
}

Loc as_operand(Jit *j, Loc l, IrSize size, bool mem_ok, unsigned scratch)
{
    if (l.kind == L_IMM) {
        l.imm = extend(l.imm, size);
        if (fits32(l.imm))
            return l;
    } else if ((l.kind == L_REG && !(l.reg & H_HIGH)) || (l.kind == L_MEM && mem_ok)) {
        return l;
    }
    load_reg(j, scratch, l, size);
    return loc_reg(scratch);
}
