/*
 * far.c - far JMP, CALL and RET: code segments, call gates, and the ways to a task switch
 * (SDM volume 3, 5.8; AMD APM volume 2, 4.7 and 8.3).
 */
#include "tcg/guest/x86/system.h"

static uint64_t cut(uint64_t v, unsigned size)
{
    return size == 2 ? (uint16_t)v : size == 4 ? (uint32_t)v : v;
}

void x86_set_cs_real(X86Cpu *x, uint16_t sel)
{
    if (x->c.mode & MODE_VM)
        x86_seg_set_v86(x, SEG_CS, sel);
    else
        x86_seg_set_real(x, SEG_CS, sel);
}

/* -- checks */
static void check_present_code(X86Cpu *x, uint16_t sel, uint32_t attr)
{
    if (x86_long_mode(x) && (attr & DESC_L) && (attr & DESC_B))
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
}

X86Seg x86_check_cs(X86Cpu *x, uint16_t sel, X86Desc *desc)
{
    uint32_t attr = desc_attr(desc->raw);
    unsigned cpl = x86_cpl(x), dpl = attr_dpl(attr);
    bool ok = attr_is_conforming(attr) ? dpl <= cpl : dpl == cpl && sel_rpl(sel) <= cpl;

    if (!attr_is_code(attr) || !ok)
        x86_raise_error(x, EXC_GP, sel & ~3);
    check_present_code(x, sel, attr);
    x86_desc_touch(x, desc);
    return x86_seg_of_desc(sel, desc->raw);
}

void x86_check_target(X86Cpu *x, const X86Seg *cs, uint64_t pc)
{
    if (x86_seg_is64(x, cs) ? !x86_canonical(pc) : pc > cs->limit)
        x86_raise_error(x, EXC_GP, 0);
}

void x86_commit_cs(X86Cpu *x, const X86Seg *cs, unsigned cpl, uint64_t pc)
{
    X86Seg s = *cs;

    s.selector = (s.selector & ~3) | cpl;
    x86_seg_set(x, SEG_CS, &s);
    x->c.pc = pc;
}

static void real_target(X86Cpu *x, uint16_t sel, uint64_t off)
{
    if (off > x->seg[SEG_CS].limit)
        x86_raise_error(x, EXC_GP, 0);
    x86_set_cs_real(x, sel);
    x->c.pc = off;
    x86_update_mode(x);
}

/* -- call gates */
typedef struct {
    X86Seg cs;
    uint64_t offset;
    unsigned size; /* of what is pushed */
    unsigned params;
    bool inner; /* a CALL goes to a more privileged level */
} CallGate;

static void check_gate_rights(X86Cpu *x, uint16_t sel, const X86Desc *d)
{
    unsigned dpl = desc_dpl(d->raw);

    if (dpl < x86_cpl(x) || dpl < sel_rpl(sel))
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(desc_attr(d->raw) & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
}

static CallGate read_call_gate(X86Cpu *x, uint16_t sel, const X86Desc *d, bool call)
{
    uint64_t raw = d->raw;
    uint16_t code_sel = raw >> 16;
    CallGate g = {
        .offset = (raw & 0xffff) | raw >> 48 << 16,
        .size = desc_type(raw) == SYS_CALL32 ? 4 : 2,
        .params = raw >> 32 & 31,
    };

    check_gate_rights(x, sel, d);
    if (x86_long_mode(x)) {
        g.offset |= x86_desc_high(x, d, sel, EXC_GP);
        g.size = 8;
    } else if (g.size == 2) {
        g.offset &= 0xffff;
    }
    if (sel_null(code_sel))
        x86_raise_error(x, EXC_GP, 0);
    X86Desc code = x86_desc_need(x, code_sel, EXC_GP);
    uint32_t attr = desc_attr(code.raw);
    bool conforming = attr_is_conforming(attr), is64 = (attr & (DESC_L | DESC_B)) == DESC_L;
    unsigned dpl = attr_dpl(attr), cpl = x86_cpl(x);
    if (!attr_is_code(attr) || dpl > cpl || (!call && !conforming && dpl != cpl) ||
        (x86_long_mode(x) && !is64))
        x86_raise_error(x, EXC_GP, code_sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, code_sel & ~3);
    x86_desc_touch(x, &code);
    g.cs = x86_seg_of_desc(code_sel, code.raw);
    g.inner = call && !conforming && dpl < cpl;
    return g;
}

static void copy_params(X86Cpu *x, X86Stack *to, const CallGate *g)
{
    X86Stack from = x86_stack_current(x);
    uint64_t value[31];

    for (unsigned i = 0; i < g->params; i++)
        value[i] = x86_stack_pop(&from, g->size);
    for (unsigned i = g->params; i > 0; i--)
        x86_stack_push(to, value[i - 1], g->size);
}

/* The stack of a more privileged level; in long mode its SS is null and takes the whole RSP. */
static X86Stack inner_stack(X86Cpu *x, unsigned cpl)
{
    if (!x86_long_mode(x))
        return x86_stack_inner(x, cpl);
    return (X86Stack) {
        .x = x,
        .ss = { .selector = cpl, .attr = cpl << DESC_DPL_SHIFT },
        .sp = x86_tss64_sp(x, cpl),
        .mask = UINT64_MAX,
        .mmu = MMU_KERNEL,
    };
}

static void call_inner(X86Cpu *x, const CallGate *g, uint64_t next)
{
    unsigned cpl = attr_dpl(g->cs.attr);
    X86Stack st = inner_stack(x, cpl);

    x86_stack_push(&st, x->seg[SEG_SS].selector, g->size);
    x86_stack_push(&st, x->c.gpr[RSP], g->size);
    if (g->size != 8)
        copy_params(x, &st, g);
    x86_stack_push(&st, x->seg[SEG_CS].selector, g->size);
    x86_stack_push(&st, next, g->size);
    x86_check_target(x, &g->cs, g->offset);
    x86_seg_set(x, SEG_SS, &st.ss);
    x86_stack_commit_sp(&st);
    x86_commit_cs(x, &g->cs, cpl, g->offset);
    x86_update_mode(x);
}

static void call_same(X86Cpu *x, const X86Seg *cs, uint64_t off, unsigned size, uint64_t next)
{
    X86Stack st = x86_stack_current(x);

    x86_stack_push(&st, x->seg[SEG_CS].selector, size);
    x86_stack_push(&st, next, size);
    x86_check_target(x, cs, off);
    x86_stack_commit_sp(&st);
    x86_commit_cs(x, cs, x86_cpl(x), off);
    x86_update_mode(x);
}

static void jump_same(X86Cpu *x, const X86Seg *cs, uint64_t off)
{
    x86_check_target(x, cs, off);
    x86_commit_cs(x, cs, x86_cpl(x), off);
    x86_update_mode(x);
}

/* -- transfers whose selector names a system descriptor */
static void system_transfer(X86Cpu *x, uint16_t sel, const X86Desc *d, bool call, uint64_t next)
{
    X86TaskCause cause = call ? TASK_CALL : TASK_JUMP;
    unsigned type = desc_type(d->raw);
    bool lma = x86_long_mode(x);

    if (type == SYS_CALL32 || (type == SYS_CALL16 && !lma)) {
        CallGate g = read_call_gate(x, sel, d, call);

        if (g.inner)
            call_inner(x, &g, next);
        else if (call)
            call_same(x, &g.cs, g.offset, g.size, next);
        else
            jump_same(x, &g.cs, g.offset);
    } else if (type == SYS_TASK_GATE && !lma) {
        check_gate_rights(x, sel, d);
        x86_task_enter(x, d->raw >> 16, cause, next);
    } else if ((type == SYS_TSS16 || type == SYS_TSS32) && !lma) {
        check_gate_rights(x, sel, d);
        x86_task_switch(x, sel, d, cause, next);
    } else {
        x86_raise_error(x, EXC_GP, sel & ~3);
    }
}

/* The descriptor of a far pointer: code is checked and returned, all else has been done. */
static bool far_code(X86Cpu *x, uint16_t sel, bool call, uint64_t next, X86Seg *cs)
{
    if (sel_null(sel))
        x86_raise_error(x, EXC_GP, 0);
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    if (!(desc_attr(d.raw) & DESC_S)) {
        system_transfer(x, sel, &d, call, next);
        return false;
    }
    *cs = x86_check_cs(x, sel, &d);
    return true;
}

void x86_far_jump(X86Cpu *x, uint16_t sel, uint64_t off, unsigned size, uint64_t next)
{
    X86Seg cs;

    if (!x86_protected(x))
        real_target(x, sel, cut(off, size));
    else if (far_code(x, sel, false, next, &cs))
        jump_same(x, &cs, cut(off, size));
}

static void call_real(X86Cpu *x, uint16_t sel, uint64_t off, unsigned size, uint64_t next)
{
    X86Stack st = x86_stack_current(x);

    x86_stack_push(&st, x->seg[SEG_CS].selector, size);
    x86_stack_push(&st, next, size);
    real_target(x, sel, off);
    x86_stack_commit_sp(&st);
}

void x86_far_call(X86Cpu *x, uint16_t sel, uint64_t off, unsigned size, uint64_t next)
{
    X86Seg cs;

    if (!x86_protected(x))
        call_real(x, sel, cut(off, size), size, next);
    else if (far_code(x, sel, true, next, &cs))
        call_same(x, &cs, cut(off, size), size, next);
}

/* -- returns */
X86Seg x86_check_return_cs(X86Cpu *x, uint16_t sel)
{
    unsigned rpl = sel_rpl(sel);

    if (sel_null(sel))
        x86_raise_error(x, EXC_GP, 0);
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    uint32_t attr = desc_attr(d.raw);
    bool ok = attr_is_conforming(attr) ? attr_dpl(attr) <= rpl : attr_dpl(attr) == rpl;
    if (rpl < x86_cpl(x) || !attr_is_code(attr) || !ok)
        x86_raise_error(x, EXC_GP, sel & ~3);
    check_present_code(x, sel, attr);
    x86_desc_touch(x, &d);
    return x86_seg_of_desc(sel, d.raw);
}

X86Seg x86_check_return_ss(X86Cpu *x, uint16_t sel, unsigned cpl, bool to64)
{
    if (sel_null(sel) && to64 && cpl < 3 && sel_rpl(sel) == cpl)
        return (X86Seg) { .selector = sel, .attr = cpl << DESC_DPL_SHIFT };
    return x86_check_ss(x, sel, cpl, EXC_GP);
}

/* Data segments that the outer level may not use become null. */
static void drop_segs(X86Cpu *x, unsigned cpl)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
        const X86Seg *s = &x->seg[data[i]];

        if (!sel_null(s->selector) && !attr_is_conforming(s->attr) && attr_dpl(s->attr) < cpl)
            x86_seg_set_null(x, data[i], 0);
    }
}

void x86_commit_outer(X86Cpu *x, const X86Seg *ss, uint64_t sp, unsigned cpl, bool to64)
{
    uint64_t mask = to64 ? UINT64_MAX : ss->attr & DESC_B ? 0xffffffff : 0xffff;
    uint64_t keep = mask == 0xffff ? x->c.gpr[RSP] & ~mask : 0;

    x86_seg_set(x, SEG_SS, ss);
    x->c.gpr[RSP] = keep | (sp & mask);
    drop_segs(x, cpl);
}

static void return_protected(X86Cpu *x, unsigned size, unsigned drop)
{
    X86Stack st = x86_stack_current(x);
    uint64_t pc = x86_stack_pop(&st, size);
    uint16_t sel = x86_stack_pop(&st, size);
    X86Seg cs = x86_check_return_cs(x, sel);
    unsigned rpl = sel_rpl(sel);
    bool to64 = x86_seg_is64(x, &cs);

    st.sp += drop;
    if (rpl == x86_cpl(x)) {
        x86_check_target(x, &cs, pc);
        x86_stack_commit_sp(&st);
    } else {
        uint64_t sp = x86_stack_pop(&st, size);
        X86Seg ss = x86_check_return_ss(x, x86_stack_pop(&st, size), rpl, to64);

        x86_check_target(x, &cs, pc);
        x86_commit_outer(x, &ss, sp + drop, rpl, to64);
    }
    x86_commit_cs(x, &cs, rpl, pc);
    x86_update_mode(x);
}

void x86_far_return(X86Cpu *x, unsigned size, unsigned drop)
{
    if (x86_protected(x)) {
        return_protected(x, size, drop);
        return;
    }
    X86Stack st = x86_stack_current(x);
    uint64_t pc = x86_stack_pop(&st, size);
    uint16_t sel = x86_stack_pop(&st, size);
    st.sp += drop;
    real_target(x, sel, pc);
    x86_stack_commit_sp(&st);
}
