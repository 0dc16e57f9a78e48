/*
 * mem.c - guest memory: the inline TLB check, loads and stores of general registers.
 *
 * The check leaves a host address and costs seven instructions on a hit. Everything else (misses,
 * devices, page crossings, code pages) is out of line and done completely by C, never retried.
 */
#include "tcg/host/x86_64/jit.h"

static int32_t tlb_disp(unsigned mmu, bool write)
{
    return (int32_t)TLB_AREA(mmu, write) - CPU_BIAS;
}

static Rm tlb_tag(unsigned mmu, bool write)
{
    return rm_index(H_RBP, S1, 0, tlb_disp(mmu, write));
}

static Rm tlb_addend(unsigned mmu, bool write)
{
    return rm_index(H_RBP, S1, 0, tlb_disp(mmu, write) + (int32_t)offsetof(TlbEntry, addend));
}

static Rm seg_field(unsigned seg, size_t field)
{
    return rm_mem(H_RBP, CPU_DISP(seg) + (int32_t)(seg * sizeof(SegWindow) + field));
}

/* -- addresses */

static unsigned address_part(Jit *j, IrRef r, unsigned scratch)
{
    if (r == REF_NONE)
        return H_NONE;
    Loc l = loc_of(j, r);

    if (l.kind == L_REG)
        return l.reg;
    emit_mov(&j->e, IR_64, scratch, loc_rm(l));
    return scratch;
}

/* dst = offset of `m` cut to its address size and to `width`; uses S0 and S1. */
static void mem_offset(Jit *j, const IrMem *m, unsigned dst, IrSize width)
{
    IrSize size = m->asize == IR_64 && width == IR_64 ? IR_64 : IR_32;
    unsigned base = address_part(j, m->base, S0), index = address_part(j, m->index, S1);

    if (m->pcrel) {
        assert(base == H_NONE);
        emit_mov(&j->e, IR_64, S0, CPU_RM(rip_page));
        base = S0;
    }
    if (base == H_NONE && index == H_NONE)
        load_reg(j, dst, loc_imm(m->disp), size);
    else if (index == H_NONE && m->disp == 0)
        emit_mov_rr(&j->e, size, dst, base);
    else
        emit_lea(&j->e, size, dst, rm_index(base, index, m->scale, m->disp));
    if (m->asize == IR_16)
        emit_rm(&j->e, X_MOVZX16, IR_32, dst, rm_reg(dst));
}

static void limit_failed(Jit *j, const Stub *s)
{
    emit_mov_imm(&j->e, S1, s->arg);
    call_thunk_site(j, T_LIMIT);
    stub_resume(j, s);
}

static void check_limit(Jit *j, const IrMem *m, unsigned bytes, bool write)
{
    size_t field = write ? offsetof(SegWindow, write_end) : offsetof(SegWindow, read_end);

    emit_lea(&j->e, IR_64, S1, rm_mem(S0, (int32_t)bytes - 1));
    emit_alu(&j->e, ALU_CMP, IR_64, S1, seg_field(m->seg, field));
    Stub *s = new_stub(j, limit_failed);

    s->from = emit_jcc(&j->e, CC_AE);
    s->resume = j->e.p;
    s->arg = m->seg | bytes << 8 | (unsigned)write << 16;
}

static void misaligned(Jit *j, const Stub *s)
{
    (void)s;
    call_thunk_site(j, T_MISALIGNED);
}

static void check_alignment(Jit *j, unsigned bytes)
{
    emit_test_imm(&j->e, IR_8, rm_reg(S0), (int32_t)bytes - 1);
    new_stub(j, misaligned)->from = emit_jcc(&j->e, CC_NE);
}

/* S0 = linear address of the access, segment checked. */
void linear_address(Jit *j, const IrMem *m, unsigned bytes, bool write)
{
    mem_offset(j, m, S0, IR_64);
    if (m->attr & MEM_LIMIT)
        check_limit(j, m, bytes, write);
    if (m->attr & MEM_SEG)
        emit_alu(&j->e, ALU_ADD, m->lsize, S0, seg_field(m->seg, offsetof(SegWindow, base)));
    else if (m->lsize == IR_32 && m->asize == IR_64)
        emit_mov_rr(&j->e, IR_32, S0, S0);
    if (m->attr & MEM_ALIGN && bytes > 1)
        check_alignment(j, bytes);
}

static void tlb_index(Jit *j, unsigned mmu)
{
    if (j->x->has_bmi2) {
        emit_rorx(&j->e, IR_64, S1, S0, 8);
    } else {
        emit_mov_rr(&j->e, IR_64, S1, S0);
        emit_shift_imm(&j->e, SH_SHR, IR_64, rm_reg(S1), 8);
    }
    emit_alu(&j->e, ALU_AND, IR_32, S1, rm_mem(H_RBP, CPU_DISP(tlb_mask) + 4 * (int32_t)mmu));
}

/* The address is one register plus displacement: it can be an operand with the addend as index. */
static unsigned plain_base(Jit *j, const IrMem *m)
{
    if (m->asize != IR_64 || m->lsize != IR_64 || m->attr & MEM_SEG || m->pcrel ||
        m->index != REF_NONE || m->base == REF_NONE)
        return H_NONE;
    Loc l = loc_of(j, m->base);

    return l.kind == L_REG ? l.reg : H_NONE;
}

/* A free temporary's register to keep the address in during the check. */
static unsigned keep_register(Jit *j, AccessForm form)
{
    int reg = form == ACC_FORM_ANY ? find_temp_reg(j) : -1;

    if (reg < 0 || loc_touches(j->f.a, reg) || loc_touches(j->f.b, reg))
        return H_NONE;
    return reg;
}

static void host_address(Jit *j, const IrMem *m, bool write, AccessForm form, unsigned base,
                         unsigned keep, HostPlace *out)
{
    int32_t disp = base != H_NONE ? m->disp : 0;

    if (base == H_NONE)
        base = keep;
    if (base == H_NONE) {
        emit_alu(&j->e, ALU_ADD, IR_64, S0, tlb_tag(m->mmu, write));
        emit_alu(&j->e, ALU_ADD, IR_64, S0, tlb_addend(m->mmu, write));
        *out = (HostPlace) { rm_mem(S0, 0), S1 };
        return;
    }
    emit_mov(&j->e, IR_64, S1, tlb_addend(m->mmu, write));
    *out = (HostPlace) { rm_index(base, S1, 0, disp), S0 };
    if (form == ACC_FORM_S0) {
        emit_lea(&j->e, IR_64, S0, out->rm);
        *out = (HostPlace) { rm_mem(S0, 0), S1 };
    }
}

static Stub *slow_stub(Jit *j, const IrOp *op, const IrMem *m, bool write, unsigned cc,
                       unsigned base)
{
    Stub *slow = new_stub(j, NULL);

    slow->from = emit_jcc(&j->e, cc);
    slow->op = op;
    slow->arg = m->mmu | (unsigned)write << 8;
    slow->plain = base != H_NONE;
    slow->base = base;
    slow->disp = m->disp;
    return slow;
}

static void compare_tag(Jit *j, unsigned mmu, bool write, unsigned bytes)
{
    emit_alu(&j->e, ALU_SUB, IR_64, S0, tlb_tag(mmu, write));
    emit_alu_imm(&j->e, ALU_CMP, IR_64, rm_reg(S0), 4096 - (int32_t)bytes);
}

/* Not the first access of a group: the addend is in its slot. */
static Stub *check_member(Jit *j, const IrOp *op, const IrMem *m, bool write, unsigned base,
                          unsigned group)
{
    emit_mov(&j->e, IR_64, S1, SPILL_RM(SLOT_GROUP + group));
    emit_test(&j->e, IR_64, rm_reg(S1), S1);
    return slow_stub(j, op, m, write, CC_E, base);
}

static void group_address(Jit *j, const Group *g, unsigned base)
{
    emit_lea(&j->e, IR_64, S0, rm_mem(base, g->lo));
    tlb_index(j, g->mmu);
    compare_tag(j, g->mmu, g->write, (unsigned)(g->hi - g->lo));
}

static Stub *check_leader(Jit *j, const IrOp *op, const IrMem *m, bool write, unsigned base,
                          unsigned group)
{
    group_address(j, &j->groups[group], base);
    Stub *slow = slow_stub(j, op, m, write, CC_A, base);

    slow->leads = group;
    slow->group = j->groups[group];
    emit_mov(&j->e, IR_64, S1, tlb_addend(m->mmu, write));
    emit_store(&j->e, IR_64, SPILL_RM(SLOT_GROUP + group), S1);
    return slow;
}

/* The addend is in S1. */
static Stub *group_place(Jit *j, Stub *slow, unsigned bytes, AccessForm form, HostPlace *out)
{
    slow->bytes = bytes;
    slow->access = j->e.p;
    *out = (HostPlace) { rm_index(slow->base, S1, 0, slow->disp), S0 };
    if (form == ACC_FORM_S0) {
        emit_lea(&j->e, IR_64, S0, out->rm);
        *out = (HostPlace) { rm_mem(S0, 0), S1 };
    }
    return slow;
}

void stub_refill(Jit *j, const Stub *s)
{
    if (s->leads < 0)
        return;
    group_address(j, &s->group, s->base);
    patch_rel32(emit_jcc(&j->e, CC_A), s->resume);
    emit_mov(&j->e, IR_64, S1, tlb_addend(s->group.mmu, s->group.write));
    emit_store(&j->e, IR_64, SPILL_RM(SLOT_GROUP + (unsigned)s->leads), S1);
}

static Stub *check_single(Jit *j, const IrOp *op, const IrMem *m, unsigned bytes, bool write,
                          AccessForm form, unsigned base, HostPlace *out)
{
    unsigned keep = H_NONE;

    linear_address(j, m, bytes, write);
    tlb_index(j, m->mmu);
    if (base == H_NONE && (keep = keep_register(j, form)) != H_NONE)
        emit_mov_rr(&j->e, IR_64, keep, S0);
    compare_tag(j, m->mmu, write, bytes);
    Stub *slow = slow_stub(j, op, m, write, CC_A, base);

    host_address(j, m, write, form, base, keep, out);
    return slow;
}

Stub *mem_check(Jit *j, const IrOp *op, IrRef ref, unsigned bytes, bool write, AccessForm form,
                HostPlace *out)
{
    const IrMem *m = &j->b->mem[ref_index(ref)];
    unsigned base = plain_base(j, m);
    int group;

    flags_clobber(j);
    if ((group = group_find(j, m, bytes, write)) >= 0)
        return group_place(j, check_member(j, op, m, write, base, group), bytes, form, out);
    if ((group = group_start(j, m, bytes, write)) >= 0)
        return group_place(j, check_leader(j, op, m, write, base, group), bytes, form, out);
    return check_single(j, op, m, bytes, write, form, base, out);
}

/* The check of its group failed: this access alone may still hit. */
static void check_alone(Jit *j, const Stub *s)
{
    unsigned mmu = s->arg & 0xff;
    bool write = s->arg >> 8;

    emit_lea(&j->e, IR_64, S0, rm_mem(s->base, s->disp));
    tlb_index(j, mmu);
    compare_tag(j, mmu, write, s->bytes);
    uint8_t *miss = emit_jcc(&j->e, CC_A);

    emit_mov(&j->e, IR_64, S1, tlb_addend(mmu, write));
    patch_rel32(emit_jmp(&j->e), s->access);
    patch_rel32(miss, j->e.p);
}

/* A slow path starts: S0 = linear address. The group it leads has no address yet. */
void stub_address(Jit *j, const Stub *s)
{
    if (s->leads >= 0)
        groups_forget(j, 1u << s->leads);
    if (s->access)
        check_alone(j, s);
    if (s->plain)
        emit_lea(&j->e, IR_64, S0, rm_mem(s->base, s->disp));
    else
        emit_alu(&j->e, ALU_ADD, IR_64, S0, tlb_tag(s->arg & 0xff, s->arg >> 8));
}

/* -- loads */

static void emit_extend(Emit *e, bool sign, IrSize size, unsigned reg, Rm src)
{
    static const uint32_t sign_extend[] = { X_MOVSX8, X_MOVSX16, X_MOVSXD };
    static const uint32_t zero_extend[] = { X_MOVZX8, X_MOVZX16, X_MOV_LOAD, X_MOV_LOAD };

    if (sign && size < IR_64)
        emit_rm(e, sign_extend[size], IR_64, reg, src);
    else
        emit_rm(e, zero_extend[size], size == IR_64 ? IR_64 : IR_32, reg, src);
}

/* d = src; `free` is a register that may be lost */
static void load_value(Jit *j, const IrOp *op, Loc d, Rm src, unsigned free)
{
    bool sign = op->attr & IR_SIGNED && d.temp;

    if (d.kind == L_REG && (d.temp || op->size >= IR_32)) {
        emit_extend(&j->e, sign, op->size, d.reg, src);
    } else if (d.kind == L_REG && !(d.reg & H_HIGH)) {
        emit_mov(&j->e, op->size, d.reg, src);
    } else {
        emit_extend(&j->e, sign, op->size, free, src);
        store_reg(j, d, sign ? IR_64 : op->size, free);
    }
}

static void load_slow(Jit *j, const Stub *s)
{
    bool write = s->arg >> 8;

    stub_address(j, s);
    call_thunk_site(j, (write ? T_LD_WRITE : T_LD) + 4 * (s->arg & 0xff) + s->op->size);
    load_value(j, s->op, s->d, rm_reg(S0), S0);
    stub_refill(j, s);
    stub_resume(j, s);
}

void lower_ld(Jit *j, const IrOp *op)
{
    bool write = j->b->mem[ref_index(op->a)].attr & MEM_WRITE;
    HostPlace acc;

    flags_clobber(j);
    Loc d = dst_of(j, op->d);
    Stub *s = mem_check(j, op, op->a, 1 << op->size, write, ACC_FORM_ANY, &acc);

    load_value(j, op, d, acc.rm, acc.free);
    s->emit = load_slow;
    s->d = d;
    s->resume = j->e.p;
}

/* -- stores */

static void store_slow(Jit *j, const Stub *s)
{
    stub_address(j, s);
    load_reg(j, S1, s->b, s->op->size);
    call_thunk_site(j, T_ST + 4 * (s->arg & 0xff) + s->op->size);
    groups_forget(j, s->groups);
    stub_refill(j, s);
    stub_resume(j, s);
}

void lower_st(Jit *j, const IrOp *op)
{
    HostPlace acc;
    Loc b = loc_of(j, op->b);
    Stub *s = mem_check(j, op, op->a, 1 << op->size, true, ACC_FORM_ANY, &acc);

    s->emit = store_slow;
    s->b = b;
    b = as_operand(j, b, op->size, false, acc.free);
    if (b.kind == L_IMM)
        emit_store_imm(&j->e, op->size, acc.rm, b.imm);
    else
        emit_store(&j->e, op->size, acc.rm, b.reg);
    s->resume = j->e.p;
}

void lower_lea(Jit *j, const IrOp *op)
{
    const IrMem *m = &j->b->mem[ref_index(op->a)];
    Loc d = dst_of(j, op->d);
    bool direct = d.kind == L_REG && op->size >= IR_32;

    mem_offset(j, m, direct ? d.reg : S0, op->size);
    if (!direct)
        store_reg(j, d, op->size, S0);
}
