/*
 * task.c - hardware task switches with 16- and 32-bit TSSs (SDM volume 3, chapter 7).
 *
 * Up to the commit point in x86_task_switch() a fault belongs to the old task, whose state is
 * untouched; after it, to the new one, whose registers are loaded already (SDM 7.3).
 */
#include "tcg/guest/x86/system.h"

typedef struct {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t seg[SEG_COUNT], ldt;
    bool trap, wide;
} TaskState;

/* Offsets in a TSS. */
typedef struct {
    unsigned size, limit, eip, seg, n_segs, seg_step, ldt;
} TssLayout;

static const TssLayout tss16 = { 2, 0x2b, 0x0e, 0x22, 4, 2, 0x2a };
static const TssLayout tss32 = { 4, 0x67, 0x20, 0x48, 6, 4, 0x60 };
enum { TSS_CR3 = 0x1c, TSS_TRAP = 0x64, BUSY = 2 };

static const TssLayout *layout_of(uint32_t attr)
{
    return attr & 8 << DESC_TYPE_SHIFT ? &tss32 : &tss16;
}

static uint32_t tss_ld(X86Cpu *x, uint64_t base, unsigned at, unsigned size)
{
    uint64_t va = (uint32_t)(base + at);

    return size == 4 ? cpu_ld32(&x->c, va, MMU_KERNEL) : cpu_ld16(&x->c, va, MMU_KERNEL);
}

static void tss_st(X86Cpu *x, uint64_t base, unsigned at, uint32_t v, unsigned size)
{
    uint64_t va = (uint32_t)(base + at);

    if (size == 4)
        cpu_st32(&x->c, va, v, MMU_KERNEL);
    else
        cpu_st16(&x->c, va, v, MMU_KERNEL);
}

static TaskState load_state(X86Cpu *x, uint64_t base, const TssLayout *l)
{
    unsigned n = l->size;
    TaskState t = { .wide = n == 4 };

    t.eip = tss_ld(x, base, l->eip, n);
    t.eflags = tss_ld(x, base, l->eip + n, n);
    for (unsigned i = 0; i < 8; i++)
        t.gpr[i] = tss_ld(x, base, l->eip + (2 + i) * n, n) | (n == 2 ? 0xffff0000 : 0);
    for (unsigned i = 0; i < l->n_segs; i++)
        t.seg[i] = tss_ld(x, base, l->seg + i * l->seg_step, 2);
    t.ldt = tss_ld(x, base, l->ldt, 2);
    if (t.wide) {
        t.cr3 = tss_ld(x, base, TSS_CR3, 4);
        t.trap = tss_ld(x, base, TSS_TRAP, 2) & 1;
    }
    return t;
}

static void save_state(X86Cpu *x, X86TaskCause cause, uint64_t next)
{
    const TssLayout *l = layout_of(x->tr.attr);
    uint64_t base = x->tr.base, flags = x86_get_eflags(x);
    unsigned n = l->size;

    if (cause == TASK_IRET)
        flags &= ~(uint64_t)EFL_NT;
    tss_st(x, base, l->eip, next, n);
    tss_st(x, base, l->eip + n, flags, n);
    for (unsigned i = 0; i < 8; i++)
        tss_st(x, base, l->eip + (2 + i) * n, x->c.gpr[i], n);
    for (unsigned i = 0; i < l->n_segs; i++)
        tss_st(x, base, l->seg + i * l->seg_step, x->seg[i].selector, 2);
}

static void set_busy(X86Cpu *x, uint64_t desc_addr, bool busy)
{
    uint8_t access = cpu_ld8(&x->c, desc_addr + 5, MMU_KERNEL);

    cpu_st8(&x->c, desc_addr + 5, busy ? access | BUSY : access & ~BUSY, MMU_KERNEL);
}

/* -- the new task's segments: faults are #TS in the new task */
static void load_ldt(X86Cpu *x, uint16_t sel)
{
    x->ldtr = (X86Seg) { .selector = sel };
    if (sel_null(sel))
        return;
    if (sel & 4)
        x86_raise_error(x, EXC_TS, sel & ~3);
    X86Desc d = x86_desc_need(x, sel, EXC_TS);
    if (desc_type(d.raw) != SYS_LDT || !(desc_attr(d.raw) & DESC_P))
        x86_raise_error(x, EXC_TS, sel & ~3);
    x->ldtr = x86_seg_of_desc(sel, d.raw);
}

static void load_cs(X86Cpu *x, uint16_t sel)
{
    if (sel_null(sel))
        x86_raise_error(x, EXC_TS, 0);
    X86Desc d = x86_desc_need(x, sel, EXC_TS);
    uint32_t attr = desc_attr(d.raw);
    unsigned dpl = attr_dpl(attr), rpl = sel_rpl(sel);
    if (!attr_is_code(attr) || (attr_is_conforming(attr) ? dpl > rpl : dpl != rpl))
        x86_raise_error(x, EXC_TS, sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x86_desc_touch(x, &d);
    X86Seg s = x86_seg_of_desc(sel, d.raw);
    x86_seg_set(x, SEG_CS, &s);
}

static void load_data(X86Cpu *x, unsigned seg, uint16_t sel, unsigned cpl)
{
    if (sel_null(sel))
        return;
    X86Desc d = x86_desc_need(x, sel, EXC_TS);
    uint32_t attr = desc_attr(d.raw);
    unsigned dpl = attr_dpl(attr);
    bool readable = (attr & DESC_S) && (!(attr & DESC_CODE) || (attr & DESC_R));
    if (!readable || (!attr_is_conforming(attr) && (dpl < cpl || dpl < sel_rpl(sel))))
        x86_raise_error(x, EXC_TS, sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x86_desc_touch(x, &d);
    X86Seg s = x86_seg_of_desc(sel, d.raw);
    x86_seg_set(x, seg, &s);
}

static void load_segs(X86Cpu *x, const TaskState *t)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    unsigned cpl = sel_rpl(t->seg[SEG_CS]);

    load_ldt(x, t->ldt);
    if (x->eflags & EFL_VM)
        return;
    load_cs(x, t->seg[SEG_CS]);
    X86Seg ss = x86_check_ss(x, t->seg[SEG_SS], cpl, EXC_TS);
    x86_seg_set(x, SEG_SS, &ss);
    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        load_data(x, data[i], t->seg[data[i]], cpl);
}

/* Selectors without their descriptors: what a fault handler finds if one of them is bad. */
static void blank_segs(X86Cpu *x, const TaskState *t)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (t->eflags & EFL_VM && t->wide)
            x86_seg_set_v86(x, i, t->seg[i]);
        else
            x86_seg_set_null(x, i, t->seg[i]);
    }
    if (!(t->eflags & EFL_VM)) {
        x->seg[SEG_SS].attr = (uint32_t)sel_rpl(t->seg[SEG_CS]) << DESC_DPL_SHIFT;
        x->seg[SEG_CS].attr = DESC_P | DESC_S | DESC_CODE | (t->wide ? DESC_B : 0);
    }
}

static void commit(X86Cpu *x, const TaskState *t, X86TaskCause cause)
{
    uint64_t flags = t->eflags | (cause == TASK_CALL || cause == TASK_INT ? EFL_NT : 0);

    x->c.in_code = false; /* from here on pc and flags are the new task's */
    x->cr0 |= CR0_TS;
    x->dr[7] &= ~(uint64_t)0x155; /* local breakpoints belong to the old task */
    if (t->wide && (x->cr0 & CR0_PG))
        x86_write_cr(x, 3, t->cr3);
    for (unsigned i = 0; i < 8; i++)
        x->c.gpr[i] = t->gpr[i];
    x->c.pc = t->eip;
    blank_segs(x, t);
    x86_set_eflags(x, flags, t->wide ? ~(uint64_t)2 : 0xfffd);
}

void x86_task_switch(X86Cpu *x, uint16_t sel, const X86Desc *desc, X86TaskCause cause,
                     uint64_t next)
{
    X86Seg tr = x86_seg_of_desc(sel, desc->raw);
    const TssLayout *l = layout_of(tr.attr), *old = layout_of(x->tr.attr);
    uint64_t old_desc = x->gdtr.base + (x->tr.selector & ~7);

    cpu_restore_state(&x->c);
    if (sel & 4)
        x86_raise_error(x, cause == TASK_IRET ? EXC_TS : EXC_GP, sel & ~3);
    if (tr.limit < l->limit || x->tr.limit < old->limit)
        x86_raise_error(x, EXC_TS, sel & ~3);
    TaskState t = load_state(x, tr.base, l);
    cpu_probe(&x->c, (uint32_t)x->tr.base, old->limit + 1, ACCESS_WRITE, MMU_KERNEL);
    cpu_probe(&x->c, (uint32_t)tr.base, 2, ACCESS_WRITE, MMU_KERNEL);
    cpu_probe(&x->c, old_desc, 8, ACCESS_WRITE, MMU_KERNEL);
    cpu_probe(&x->c, desc->addr, 8, ACCESS_WRITE, MMU_KERNEL);

    if (cause == TASK_JUMP || cause == TASK_IRET)
        set_busy(x, old_desc, false);
    save_state(x, cause, next);
    if (cause == TASK_CALL || cause == TASK_INT)
        tss_st(x, tr.base, 0, x->tr.selector, 2);
    if (cause != TASK_IRET)
        set_busy(x, desc->addr, true);
    tr.attr |= BUSY << DESC_TYPE_SHIFT;
    x->tr = tr;

    commit(x, &t, cause);
    load_segs(x, &t);
    x86_update_mode(x);
    x86_check_target(x, &x->seg[SEG_CS], x->c.pc);
    if (t.trap)
        x86_trap_after(x, 1 << 15, x->c.pc);
}

static bool is_tss(uint64_t raw, bool busy)
{
    unsigned type = desc_type(raw);

    return (type | 8) == (busy ? SYS_TSS32_BUSY : SYS_TSS32);
}

void x86_task_enter(X86Cpu *x, uint16_t sel, X86TaskCause cause, uint64_t next)
{
    if (sel_null(sel) || (sel & 4))
        x86_raise_error(x, EXC_GP, sel & ~3);
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    if (!is_tss(d.raw, false))
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(desc_attr(d.raw) & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x86_task_switch(x, sel, &d, cause, next);
}

void x86_task_return(X86Cpu *x, uint64_t next)
{
    uint16_t sel = cpu_ld16(&x->c, (uint32_t)x->tr.base, MMU_KERNEL);

    if (sel_null(sel) || (sel & 4))
        x86_raise_error(x, EXC_TS, sel & ~3);
    X86Desc d = x86_desc_need(x, sel, EXC_TS);
    if (!is_tss(d.raw, true))
        x86_raise_error(x, EXC_TS, sel & ~3);
    if (!(desc_attr(d.raw) & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x86_task_switch(x, sel, &d, TASK_IRET, next);
}
