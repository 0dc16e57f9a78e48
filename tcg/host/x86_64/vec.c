/*
 * vec.c - vector operations: the host's own instruction where it has it, else the C function of the
 * vop (tcg/vop.h).
 */
#include "tcg/host/x86_64/jit.h"

enum { HOST_XMM = 16 };

static void load_vectors(Jit *j, const Stub *s)
{
    call_thunk(j, T_LOAD_VEC);
    stub_resume(j, s);
}

void vec_entry(Jit *j)
{
    emit_alu_imm(&j->e, ALU_CMP, IR_8, CPU_RM(vec_live), 0);
    Stub *s = new_stub(j, load_vectors);

    s->from = emit_jcc(&j->e, CC_E);
    s->resume = j->e.p;
}

static bool in_host(IrRef r)
{
    return ref_kind(r) == REF_V && ref_index(r) < HOST_XMM;
}

static Rm vec_rm(unsigned n)
{
    return n < HOST_XMM ? rm_reg(n) : rm_mem(H_RBP, VEC_DISP(n));
}

static unsigned access_bytes(IrSize size)
{
    return 1u << size;
}

/* -- loads and stores */

static void vec_slow(Jit *j, const Stub *s)
{
    const IrOp *op = s->op;
    unsigned n = ref_index(op->op == IR_ldv ? op->d : op->b);

    stub_address(j, s);
    emit_mov_imm(&j->e, S1, n | access_bytes(op->size) << 8 | (s->arg & 0xff) << 16);
    call_thunk_site(j, op->op == IR_ldv ? T_LDV : T_STV);
    if (op->op == IR_stv)
        groups_forget(j, s->groups);
    stub_refill(j, s);
    stub_resume(j, s);
}

/* Copy through S1; `to` or `from` may be based on S0. The rest of 16 bytes of a register becomes 0.
 */
static void copy_vec(Jit *j, Rm to, Rm from, IrSize size, bool load)
{
    IrSize part = size == IR_32 ? IR_32 : IR_64;

    emit_mov(&j->e, part, S1, from);
    emit_store(&j->e, load ? IR_64 : part, to, S1);
    to.disp += 8;
    from.disp += 8;
    if (size == IR_128) {
        emit_mov(&j->e, IR_64, S1, from);
        emit_store(&j->e, IR_64, to, S1);
    } else if (load) {
        emit_store_imm(&j->e, IR_64, to, 0);
    }
}

static uint32_t mov_of(IrSize size, bool load)
{
    uint32_t x = size == IR_32 ? X_MOVSS_LOAD : size == IR_64 ? X_MOVSD_LOAD : X_MOVUPS_LOAD;

    return load ? x : x + 1;
}

static void transfer(Jit *j, const IrOp *op, IrRef v, bool load)
{
    unsigned n = ref_index(v);
    HostPlace acc;
    Stub *s = mem_check(j, op, op->a, access_bytes(op->size), !load,
                        n < HOST_XMM ? ACC_FORM_ANY : ACC_FORM_S0, &acc);

    if (n < HOST_XMM)
        emit_rm(&j->e, mov_of(op->size, load), IR_32, n, acc.rm);
    else if (load)
        copy_vec(j, vec_rm(n), acc.rm, op->size, true);
    else
        copy_vec(j, acc.rm, vec_rm(n), op->size, false);
    s->emit = vec_slow;
    s->resume = j->e.p;
}

void lower_ldv(Jit *j, const IrOp *op)
{
    transfer(j, op, op->d, true);
}

void lower_stv(Jit *j, const IrOp *op)
{
    transfer(j, op, op->b, false);
}

/* -- vops that the host has */

static const Vop *vop_of(const IrOp *op)
{
    return &vops[op->imm];
}

static bool operand_ok(IrRef r)
{
    return ref_kind(r) != REF_V || ref_index(r) < HOST_XMM;
}

/* x86 has d = a; guest code has it too, so no scratch register is worth keeping for the rest. */
static bool overwrites_b(const IrOp *op)
{
    return ref_kind(op->b) == REF_V && op->d == op->b && ref_kind(op->a) == REF_V && op->a != op->d;
}

bool vop_native(const X64 *x, const IrOp *op)
{
    const Vop *vop = vop_of(op);

    return !(vop->attr & (VOP_NO_HOST | VOP_MMX)) && !(op->attr & IR_SLOW) &&
           !(vop->host_feature & ~x->vop_features) && operand_ok(op->d) && operand_ok(op->a) &&
           operand_ok(op->b) && !(vop->form == V_RM && overwrites_b(op));
}

static void emit_vop(Jit *j, const IrOp *op, IrSize size, unsigned reg, Rm rm)
{
    static const uint32_t maps[] = { 0, X_0F, X_0F38, X_0F3A };
    const Vop *vop = vop_of(op);
    uint32_t prefix = vop->prefix == 0x66   ? X_66
                      : vop->prefix == 0xf3 ? X_F3
                      : vop->prefix == 0xf2 ? X_F2
                                            : 0;

    bool wide = size == IR_64 || vop->attr & VOP_W;

    emit_rm(&j->e, vop->opcode | maps[vop->map] | prefix, wide ? IR_64 : IR_32, reg, rm);
    if (vop->attr & VOP_IMM8 || vop->form == V_IMM)
        emit8(&j->e, op->size2);
}

static void move_xmm(Jit *j, unsigned d, unsigned a)
{
    if (d != a)
        emit_rm(&j->e, X_MOVAPS_LOAD, IR_32, d, rm_reg(a));
}

/* d = a before the instruction */
static void start_in_d(Jit *j, const IrOp *op)
{
    if (ref_kind(op->a) == REF_V)
        move_xmm(j, ref_index(op->d), ref_index(op->a));
}

/* A result in a general register. */
static void emit_to_general(Jit *j, const IrOp *op, Loc d, Rm b, bool d_in_rm)
{
    bool direct = d.kind == L_REG && op->size >= IR_32;
    unsigned reg = direct ? d.reg : S0;

    if (d_in_rm)
        emit_vop(j, op, op->size, b.reg, rm_reg(reg));
    else
        emit_vop(j, op, op->size, reg, b);
    if (!direct)
        store_reg(j, d, op->size, S0);
}

static void emit_form(Jit *j, const IrOp *op, Loc d, Rm b)
{
    switch ((VopForm)vop_of(op)->form) {
    case V_RM:
        start_in_d(j, op);
        emit_vop(j, op, IR_32, ref_index(op->d), b);
        break;
    case V_RM1: emit_vop(j, op, IR_32, ref_index(op->d), b); break;
    case V_RM_G:
        start_in_d(j, op);
        emit_vop(j, op, op->size, ref_index(op->d), b);
        break;
    case G_RM_V: emit_to_general(j, op, d, b, false); break;
    case RM_G_V: emit_to_general(j, op, d, b, true); break;
    case V_IMM:
        move_xmm(j, ref_index(op->d), ref_index(op->a));
        emit_vop(j, op, IR_32, vop_of(op)->ext, rm_reg(ref_index(op->d)));
        break;
    case F_RM:
        emit_vop(j, op, IR_32, ref_index(op->a), b);
        if (sets_flags(j, op))
            flags_in_host(j, FLAGS_ALL);
        break;
    }
}

static void vop_mem_slow(Jit *j, const Stub *s)
{
    unsigned bytes = vop_of(s->op)->mem;

    stub_address(j, s);
    emit_mov_imm(&j->e, S1, bytes << 8 | (s->arg & 0xff) << 16);
    call_thunk_site(j, T_LD_BOUNCE);
    emit_form(j, s->op, s->d, SPILL_RM(SLOT_BOUNCE_B));
    stub_resume(j, s);
}

static Rm general_operand(Jit *j, const IrOp *op, Loc l)
{
    l = as_operand(j, l, op->size, true, S1);
    if (l.kind == L_IMM) {
        load_reg(j, S1, l, op->size);
        l = loc_reg(S1);
    }
    return loc_rm(l);
}

static void native(Jit *j, const IrOp *op)
{
    bool to_general = ref_kind(op->d) == REF_G || ref_kind(op->d) == REF_T;

    if (vop_of(op)->form == F_RM && !sets_flags(j, op))
        flags_clobber(j);
    Loc d = to_general ? dst_of(j, op->d) : (Loc) { 0 };

    if (ref_kind(op->b) == REF_M) {
        HostPlace acc;
        Stub *s = mem_check(j, op, op->b, vop_of(op)->mem, false, ACC_FORM_ANY, &acc);

        s->emit = vop_mem_slow;
        s->d = d;
        emit_form(j, op, d, acc.rm);
        s->resume = j->e.p;
    } else if (ref_kind(op->b) == REF_V) {
        emit_form(j, op, d, rm_reg(ref_index(op->b)));
    } else if (op->b == REF_NONE) {
        emit_form(j, op, d, rm_reg(0));
    } else {
        emit_form(j, op, d, general_operand(j, op, loc_of(j, op->b)));
    }
}

/* -- the others: C */

/* The VReg number that the C function gets for an operand: values go through bounce buffers. */
static unsigned vreg_number(Jit *j, const IrOp *op, IrRef r, unsigned bounce)
{
    static const uint8_t slots[] = { SLOT_BOUNCE_A, SLOT_BOUNCE_B };

    if (ref_kind(r) == REF_V)
        return ref_index(r);
    if (r != REF_NONE && ref_kind(r) != REF_M) {
        load_reg(j, S0, loc_of(j, r), op->size);
        emit_store(&j->e, IR_64, SPILL_RM(slots[bounce]), S0);
    }
    return V_COUNT + bounce;
}

static void load_bounce(Jit *j, const IrOp *op)
{
    const IrMem *m = &j->b->mem[ref_index(op->b)];

    linear_address(j, m, vop_of(op)->mem, false);
    emit_mov_imm(&j->e, S1, (unsigned)vop_of(op)->mem << 8 | (unsigned)m->mmu << 16);
    call_thunk_site(j, T_LD_BOUNCE);
}

static void by_function(Jit *j, const IrOp *op)
{
    flags_clobber(j);
    Loc d = ref_kind(op->d) == REF_G || ref_kind(op->d) == REF_T ? dst_of(j, op->d) : (Loc) { 0 };

    if (ref_kind(op->b) == REF_M)
        load_bounce(j, op);
    uint64_t a = vreg_number(j, op, op->a, 0), b = vreg_number(j, op, op->b, 1);
    uint64_t result = ref_kind(op->d) == REF_V ? ref_index(op->d) : V_COUNT + 2u;

    emit_mov_imm(&j->e, S0,
                 (uint64_t)op->imm | result << 16 | a << 24 | b << 32 | (uint64_t)op->size2 << 40);
    call_thunk_site(j, T_VOP);
    j->f.host = 0;
    if (d.kind != L_NONE || vop_of(op)->form == F_RM)
        emit_mov(&j->e, IR_64, S0, SPILL_RM(SLOT_BOUNCE_D));
    if (d.kind != L_NONE)
        store_reg(j, d, op->size, S0);
    else if (vop_of(op)->form == F_RM && sets_flags(j, op))
        flags_store_packed(j, S0);
}

void lower_vop(Jit *j, const IrOp *op)
{
    if (vop_native(j->x, op))
        native(j, op);
    else
        by_function(j, op);
}

/* The block keeps vectors in host registers. */
bool op_uses_xmm(const X64 *x, const IrOp *op)
{
    if (op->op == IR_vop)
        return vop_native(x, op);
    return (op->op == IR_ldv && in_host(op->d)) || (op->op == IR_stv && in_host(op->b));
}
