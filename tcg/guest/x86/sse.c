/*
 * sse.c - translation of MMX and SSE instructions.
 *
 * A 16-byte memory operand must be aligned, but for the moves that say otherwise and PCMPxSTRx.
 * MMX registers are the significands of the x87 registers: before an MMX instruction writes,
 * x86_mmx_enter() makes all of them valid and sets the exponents of those it writes.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/sse.h"

IrOp *x86_vop(Trans *t, VopId id, IrRef d, IrRef a, IrRef b, unsigned imm)
{
    unsigned attr = vops[id].attr;
    IrOp *op = tr_op(t, IR_vop, attr & VOP_W ? IR_64 : IR_32, d, a, b);

    op->imm = id;
    op->size2 = imm;
    if (attr & VOP_FP && t->mode & MODE_XM)
        op->attr |= IR_SLOW;
    return op;
}

void x86_mmx_enter(Trans *t, unsigned written)
{
    tr_call0(t, &x86_h_mmx_enter, tr_k(t, written), REF_NONE, REF_NONE);
}

/* -- operands */
static IrRef vector_reg(const X86Opd *o)
{
    return ir_v(o->kind == OPD_MM ? V_MM + o->reg : o->reg);
}

/* The mask for x86_mmx_enter() of an operand that will be written. */
static unsigned mmx_mask(const X86Opd *o)
{
    return o->kind == OPD_MM ? 1 << o->reg : 0;
}

static IrRef vector_load(Trans *t, IrSize size, unsigned attr)
{
    tr_op(t, IR_ldv, size, ir_v(V_TEMP), tr_mem(t, attr), REF_NONE);
    return ir_v(V_TEMP);
}

/* Memory stays a memory operand for SSE; for MMX it is loaded, as a later check may not fault
 * first. */
static IrRef vector_source(Trans *t, unsigned n, const Vop *v)
{
    if (!tr_is_mem(t, n))
        return vector_reg(&t->in.opd[n]);
    if (v->attr & (VOP_MMX | VOP_NO_HOST))
        return vector_load(t,
                           v->mem == 16  ? IR_128
                           : v->mem == 8 ? IR_64
                                         : IR_32,
                           v->mem == 16 ? MEM_ALIGN : 0);
    return tr_mem(t, v->mem == 16 ? MEM_ALIGN : 0);
}

/* Of the rows of one encoding, the one for this operand. */
static VopId pick(const Trans *t, unsigned rm)
{
    VopId id = t->in.row->arg;
    const Vop *v = &vops[id], *next = &vops[id + 1 < VOP_COUNT ? id + 1 : id];
    unsigned differs = (next->attr ^ v->attr) & (VOP_W | VOP_MEM);

    if (next->opcode != v->opcode || next->prefix != v->prefix || next->map != v->map)
        return id;
    if (differs & VOP_W && t->in.osize == IR_64)
        return id + 1;
    return differs & VOP_MEM && tr_is_mem(t, rm) ? id + 1 : id;
}

static IrSize memory_size(const Vop *v)
{
    return v->mem == 1 ? IR_8 : v->mem == 2 ? IR_16 : v->mem == 4 ? IR_32 : IR_64;
}

/* -- one function a form */
static void emit_rm(Trans *t, VopId id)
{
    const Vop *v = &vops[id];
    IrRef b = vector_source(t, 1, v), d = vector_reg(&t->in.opd[0]);

    if (v->attr & VOP_MMX)
        x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
    x86_vop(t, id, d, d, b, t->in.imm);
}

static void emit_flags(Trans *t, VopId id)
{
    IrRef b = vector_source(t, 1, &vops[id]);

    x86_vop(t, id, REF_NONE, vector_reg(&t->in.opd[0]), b, t->in.imm)->attr |= IR_SETF;
}

static void emit_from_general(Trans *t, VopId id)
{
    const Vop *v = &vops[id];
    IrRef d = vector_reg(&t->in.opd[0]);
    IrRef b = tr_is_mem(t, 1) ? tr_ld(t, memory_size(v), tr_mem(t, 0)) : tr_reg(t, 1);

    if (v->attr & VOP_MMX)
        x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
    x86_vop(t, id, d, d, b, t->in.imm);
}

static void emit_to_general(Trans *t, VopId id)
{
    const Vop *v = &vops[id];
    IrRef b = vector_source(t, 1, v);

    if (v->attr & VOP_MMX)
        x86_mmx_enter(t, 0);
    x86_vop(t, id, tr_reg(t, 0), REF_NONE, b, t->in.imm);
}

static void emit_to_rm(Trans *t, VopId id)
{
    const Vop *v = &vops[id];
    IrRef b = vector_reg(&t->in.opd[1]), d;

    if (v->attr & VOP_MMX)
        tr_call0(t, &x86_h_mmx_check, REF_NONE, REF_NONE, REF_NONE);
    if (tr_is_mem(t, 0)) {
        d = tr_temp(t);
        x86_vop(t, id, d, REF_NONE, b, t->in.imm);
        tr_st(t, memory_size(v), tr_mem(t, 0), d);
    }
    if (v->attr & VOP_MMX)
        x86_mmx_enter(t, 0);
    if (!tr_is_mem(t, 0))
        x86_vop(t, id, tr_reg(t, 0), REF_NONE, b, t->in.imm);
}

static void emit_shift(Trans *t, VopId id)
{
    IrRef d = vector_reg(&t->in.opd[0]);

    if (vops[id].attr & VOP_MMX)
        x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
    x86_vop(t, id, d, d, REF_NONE, t->in.imm);
}

void x86_sse_vop(Trans *t)
{
    static void (*const forms[])(Trans *, VopId) = {
        [V_RM] = emit_rm,
        [V_RM1] = emit_rm,
        [F_RM] = emit_flags,
        [V_IMM] = emit_shift,
        [V_RM_G] = emit_from_general,
        [G_RM_V] = emit_to_general,
        [RM_G_V] = emit_to_rm,
    };
    unsigned form = vops[t->in.row->arg].form;

    forms[form](t, pick(t, form == RM_G_V ? 0 : 1));
}

/* -- moves */
static unsigned alignment(const Trans *t)
{
    return t->in.row->arg == SSE_UNALIGNED ? 0 : MEM_ALIGN;
}

void x86_sse_load(Trans *t)
{
    IrRef d = vector_reg(&t->in.opd[0]);

    if (tr_is_mem(t, 1))
        tr_op(t, IR_ldv, IR_128, d, tr_mem(t, alignment(t)), REF_NONE);
    else
        x86_vop(t, VOP_movdqa, d, d, vector_reg(&t->in.opd[1]), 0);
}

static void store(Trans *t, IrSize size, unsigned attr, IrRef v)
{
    tr_op(t, IR_stv, size, REF_NONE, tr_mem(t, attr), v);
}

void x86_sse_store(Trans *t)
{
    IrRef v = vector_reg(&t->in.opd[1]), d;

    if (tr_is_mem(t, 0)) {
        store(t, IR_128, alignment(t), v);
        return;
    }
    d = vector_reg(&t->in.opd[0]);
    x86_vop(t, VOP_movdqa, d, d, v, 0);
}

/* MOVSS, MOVSD, MOVQ: a load clears the rest, between registers `arg` decides. */
void x86_sse_load_scalar(Trans *t)
{
    IrRef d = vector_reg(&t->in.opd[0]);

    if (tr_is_mem(t, 1))
        tr_op(t, IR_ldv, tr_size(t, 1), d, tr_mem(t, 0), REF_NONE);
    else
        x86_vop(t, t->in.row->arg, d, d, vector_reg(&t->in.opd[1]), 0);
}

void x86_sse_store_scalar(Trans *t)
{
    IrRef v = vector_reg(&t->in.opd[1]), d;

    if (tr_is_mem(t, 0)) {
        store(t, tr_size(t, 0), 0, v);
        return;
    }
    d = vector_reg(&t->in.opd[0]);
    x86_vop(t, t->in.row->arg, d, d, v, 0);
}

void x86_sse_movq_store(Trans *t)
{
    IrRef v = vector_reg(&t->in.opd[1]), d;

    if (tr_is_mem(t, 0)) {
        store(t, IR_64, 0, v);
        return;
    }
    d = vector_reg(&t->in.opd[0]);
    x86_vop(t, VOP_movq, d, d, v, 0);
}

void x86_sse_store_low(Trans *t)
{
    store(t, IR_64, 0, vector_reg(&t->in.opd[1]));
}

void x86_sse_store_high(Trans *t)
{
    IrRef temp = ir_v(V_TEMP);

    x86_vop(t, VOP_pshufd, temp, temp, vector_reg(&t->in.opd[1]), 0xee);
    store(t, IR_64, 0, temp);
}

/* The address is rDI; one call stores the chosen bytes. */
void x86_sse_maskmov(Trans *t)
{
    const X86Opd *data = &t->in.opd[0], *mask = &t->in.opd[1];
    bool mmx = data->kind == OPD_MM;
    unsigned base = mmx ? V_MM : 0;
    IrRef off = tr_copy(t, t->in.asize, ir_g(RDI));

    if (mmx)
        tr_call0(t, &x86_h_mmx_check, REF_NONE, REF_NONE, REF_NONE);
    tr_call0(t, &x86_h_maskmov,
             tr_k(t, (base + data->reg) | (base + mask->reg) << 8 | (mmx ? 8 : 16) << 16),
             tr_k(t, t->in.seg), off);
    if (mmx)
        x86_mmx_enter(t, 0);
}

void x86_sse_pcmpstr(Trans *t)
{
    unsigned b = t->in.opd[1].reg, wide = t->in.osize == IR_64 ? 4 : 0;

    if (tr_is_mem(t, 1)) {
        vector_load(t, IR_128, 0);
        b = V_TEMP;
    }
    tr_call0(t, &x86_h_pcmpstr,
             tr_k(t, (t->in.imm & 0xff) | t->in.opd[0].reg << 8 | b << 16 |
                         (t->in.row->arg | wide) << 24),
             REF_NONE, REF_NONE);
}

/* -- MMX */
void x86_mmx_load(Trans *t)
{
    IrRef d = vector_reg(&t->in.opd[0]), b = vector_source(t, 1, &vops[VOP_m_movq]);

    x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
    x86_vop(t, VOP_m_movq, d, d, b, 0);
}

void x86_mmx_store(Trans *t)
{
    IrRef v = vector_reg(&t->in.opd[1]), d;

    if (tr_is_mem(t, 0)) {
        tr_call0(t, &x86_h_mmx_check, REF_NONE, REF_NONE, REF_NONE);
        store(t, IR_64, 0, v);
        x86_mmx_enter(t, 0);
        return;
    }
    d = vector_reg(&t->in.opd[0]);
    x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
    x86_vop(t, VOP_m_movq, d, d, v, 0);
}

/* One side is an MMX register, or memory instead: that leaves the x87 alone. */
void x86_mmx_convert(Trans *t)
{
    VopId id = t->in.row->arg;
    IrRef d = vector_reg(&t->in.opd[0]), b = vector_source(t, 1, &vops[id]);

    if (mmx_mask(&t->in.opd[0]) || !tr_is_mem(t, 1)) {
        x86_mmx_enter(t, 0); /* also if the conversion then raises */
        x86_vop(t, id, ir_v(V_TEMP + 1), d, b, 0);
        x86_mmx_enter(t, mmx_mask(&t->in.opd[0]));
        b = ir_v(V_TEMP + 1);
        id = mmx_mask(&t->in.opd[0]) ? VOP_m_movq : VOP_movdqa;
    }
    x86_vop(t, id, d, d, b, 0);
}

void x86_mmx_emms(Trans *t)
{
    tr_call0(t, &x86_h_emms, REF_NONE, REF_NONE, REF_NONE);
}

/* -- control and state */
void x86_sse_ldmxcsr(Trans *t)
{
    tr_call0(t, &x86_h_ldmxcsr, tr_get(t, 0), REF_NONE, REF_NONE);
}

void x86_sse_stmxcsr(Trans *t)
{
    tr_put(t, 0, tr_call(t, &x86_h_stmxcsr, REF_NONE, REF_NONE, REF_NONE));
}

void x86_sse_fence(Trans *t)
{
    tr_op(t, IR_fence, IR_8, REF_NONE, REF_NONE, REF_NONE);
}

/* Nothing is cached; the access is checked like a load. */
void x86_sse_clflush(Trans *t)
{
    tr_get(t, 0);
}

void x86_sse_fsgsbase(Trans *t)
{
    IrRef seg = tr_k(t, t->in.row->arg & 7);

    if (t->in.row->arg & 8)
        tr_call0(t, &x86_h_write_base, seg, tr_copy(t, tr_size(t, 0), tr_reg(t, 0)), REF_NONE);
    else
        tr_put(t, 0, tr_call(t, &x86_h_read_base, seg, REF_NONE, REF_NONE));
}

void x86_fx_state(Trans *t)
{
    static const IrHelper *const helpers[] = { [FX_SAVE] = &x86_h_fxsave,
                                               [FX_RESTORE] = &x86_h_fxrstor,
                                               [FX_XSAVE] = &x86_h_xsave,
                                               [FX_XSAVEOPT] = &x86_h_xsave,
                                               [FX_XRSTOR] = &x86_h_xrstor };

    if (t->in.row->arg >= FX_XSAVE && !(t->mode & MODE_OSXSAVE)) {
        tr_ud(t);
        return;
    }
    if (t->mode & MODE_TS) {
        tr_raise(t, EXC_NM);
        return;
    }
    tr_call0(t, helpers[t->in.row->arg], tr_k(t, t->in.seg), tr_address(t),
             tr_k(t, t->in.osize == IR_64));
}
