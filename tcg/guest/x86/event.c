/*
 * event.c - entering a handler: real mode, protected mode, virtual-8086 mode, long mode
 * (SDM volume 3, 6.12 to 6.14 and 20.2 to 20.3; AMD APM volume 2, 8.7 to 8.9).
 *
 * Everything is read and pushed before the first register changes, so a fault on the way finds the
 * interrupted state untouched.
 */
#include "tcg/guest/x86/system.h"

enum { ERR_IDT = 2 };

static uint32_t idt_error(const X86Event *ev)
{
    return ev->vector * 8 + ERR_IDT;
}

/* The flags as they are pushed: RF tells that the instruction was not executed. */
static uint64_t saved_flags(X86Cpu *x, const X86Event *ev)
{
    uint64_t flags = x86_get_eflags(x) & ~(uint64_t)EFL_RF;

    return ev->kind == EVENT_FAULT ? flags | EFL_RF : flags;
}

static void enter(X86Cpu *x, uint64_t clear)
{
    x->eflags &= ~(clear | EFL_TF | EFL_RF | EFL_NT | EFL_VM);
    x->exc_depth = -1;
    x->exc_ext = false;
    x86_end_shadow(x);
    x86_update_mode(x);
}

/* -- real mode; also interrupts of V86 mode redirected to the 8086 program (CR4.VME) */
static void event_real(X86Cpu *x, const X86Event *ev)
{
    unsigned at = ev->vector * 4;
    X86Stack st = x86_stack_current(x);

    if (at + 3 > x->idtr.limit)
        x86_raise_error(x, EXC_GP, idt_error(ev));
    uint32_t vec = cpu_ld32(&x->c, (uint32_t)(x->idtr.base + at), x86_mmu(&x->c));
    x86_stack_push(&st, x86_get_eflags(x), 2);
    x86_stack_push(&st, x->seg[SEG_CS].selector, 2);
    x86_stack_push(&st, ev->pc, 2);
    x86_stack_commit_sp(&st);
    x86_set_cs_real(x, vec >> 16);
    x->c.pc = vec & 0xffff;
    enter(x, EFL_IF | EFL_AC);
}

static void event_redirected(X86Cpu *x, const X86Event *ev)
{
    X86Stack st = x86_stack_current(x);
    uint64_t flags = x86_get_eflags(x);
    uint32_t vec = cpu_ld32(&x->c, ev->vector * 4, x86_mmu(&x->c));

    if (x86_iopl(x) < 3) {
        flags = (flags & ~(uint64_t)EFL_IF) | EFL_IOPL;
        flags |= x->eflags & EFL_VIF ? EFL_IF : 0;
    }
    x86_stack_push(&st, flags, 2);
    x86_stack_push(&st, x->seg[SEG_CS].selector, 2);
    x86_stack_push(&st, ev->pc, 2);
    x86_stack_commit_sp(&st);
    x86_seg_set_v86(x, SEG_CS, vec >> 16);
    x->c.pc = vec & 0xffff;
    x->eflags &= ~(uint64_t)(EFL_TF | EFL_RF | (x86_iopl(x) < 3 ? EFL_VIF : EFL_IF));
    x86_update_mode(x);
}

/* SDM 20.3.3: a clear bit in the TSS's redirection map keeps the interrupt in the 8086 program. */
static bool is_redirected(X86Cpu *x, unsigned vector)
{
    if (!(x->cr4 & CR4_VME) || 0x67 > x->tr.limit)
        return false;
    unsigned map = cpu_ld16(&x->c, (uint32_t)(x->tr.base + 0x66), MMU_KERNEL);
    unsigned at = map - 32 + vector / 8;
    if (map < 32 || at > x->tr.limit)
        return false;
    uint8_t byte = cpu_ld8(&x->c, (uint32_t)(x->tr.base + at), MMU_KERNEL);
    return !(byte >> vector % 8 & 1);
}

/* -- gates */
typedef struct {
    unsigned type, dpl;
    uint16_t selector;
    uint64_t offset;
    unsigned ist;
} Gate;

static Gate read_gate(X86Cpu *x, const X86Event *ev, unsigned size)
{
    unsigned at = ev->vector * size;

    if (at + size - 1 > x->idtr.limit)
        x86_raise_error(x, EXC_GP, idt_error(ev));
    uint64_t va = x->idtr.base + at;
    if (size == 8)
        va = (uint32_t)va;
    uint64_t raw = cpu_ld64(&x->c, va, MMU_KERNEL);
    Gate g = { desc_type(raw), desc_dpl(raw), raw >> 16, (raw & 0xffff) | raw >> 48 << 16, 0 };

    bool wide_only = size == 16 && g.type != SYS_INT32 && g.type != SYS_TRAP32;
    bool known = g.type == SYS_TASK_GATE || (g.type | 9) == SYS_TRAP32;
    if (wide_only || !known || (ev->kind == EVENT_SOFT && g.dpl < x86_cpl(x)))
        x86_raise_error(x, EXC_GP, idt_error(ev));
    if (!(desc_attr(raw) & DESC_P))
        x86_raise_error(x, EXC_NP, idt_error(ev));
    if (size == 16) {
        g.ist = raw >> 32 & 7;
        g.offset |= (uint64_t)cpu_ld32(&x->c, va + 8, MMU_KERNEL) << 32;
    }
    return g;
}

/* The handler's code segment; its level is *cpl. */
static X86Seg handler_cs(X86Cpu *x, const Gate *g, unsigned *cpl)
{
    if (sel_null(g->selector))
        x86_raise_error(x, EXC_GP, 0);
    X86Desc d = x86_desc_need(x, g->selector, EXC_GP);
    uint32_t attr = desc_attr(d.raw);
    bool bad_size = x86_long_mode(x) && (attr & (DESC_L | DESC_B)) != DESC_L;
    if (!attr_is_code(attr) || attr_dpl(attr) > x86_cpl(x) || bad_size)
        x86_raise_error(x, EXC_GP, g->selector & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, g->selector & ~3);
    *cpl = attr_is_conforming(attr) ? x86_cpl(x) : attr_dpl(attr);
    if ((x->c.mode & MODE_VM) && *cpl != 0)
        x86_raise_error(x, EXC_GP, g->selector & ~3);
    x86_desc_touch(x, &d);
    return x86_seg_of_desc(g->selector, d.raw);
}

/* -- protected mode */
static void push_v86_segs(X86Cpu *x, X86Stack *st, unsigned size)
{
    static const uint8_t order[] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        x86_stack_push(st, x->seg[order[i]].selector, size);
}

static void drop_v86_segs(X86Cpu *x)
{
    x86_seg_set_null(x, SEG_GS, 0);
    x86_seg_set_null(x, SEG_FS, 0);
    x86_seg_set_null(x, SEG_DS, 0);
    x86_seg_set_null(x, SEG_ES, 0);
}

static void event_task(X86Cpu *x, const X86Event *ev, const Gate *g)
{
    unsigned size;

    x86_task_enter(x, g->selector, TASK_INT, ev->pc);
    size = x->tr.attr & 8 << DESC_TYPE_SHIFT ? 4 : 2;
    if (ev->has_error) {
        X86Stack st = x86_stack_current(x);

        x86_stack_push(&st, ev->error, size);
        x86_stack_commit_sp(&st);
    }
    x->exc_depth = -1;
    x->exc_ext = false;
    x86_end_shadow(x);
}

static void event_protected(X86Cpu *x, const X86Event *ev)
{
    Gate g = read_gate(x, ev, 8);
    unsigned cpl, size = g.type & 8 ? 4 : 2;
    bool v86 = x->c.mode & MODE_VM;

    if (g.type == SYS_TASK_GATE) {
        event_task(x, ev, &g);
        return;
    }
    X86Seg cs = handler_cs(x, &g, &cpl);
    bool inner = cpl < x86_cpl(x);
    X86Stack st = inner ? x86_stack_inner(x, cpl) : x86_stack_current(x);

    if (v86)
        push_v86_segs(x, &st, size);
    if (inner) {
        x86_stack_push(&st, x->seg[SEG_SS].selector, size);
        x86_stack_push(&st, x->c.gpr[RSP], size);
    }
    x86_stack_push(&st, saved_flags(x, ev), size);
    x86_stack_push(&st, x->seg[SEG_CS].selector, size);
    x86_stack_push(&st, ev->pc, size);
    if (ev->has_error)
        x86_stack_push(&st, ev->error, size);
    uint64_t pc = size == 4 ? (uint32_t)g.offset : (uint16_t)g.offset;
    if (pc > cs.limit)
        x86_raise_error(x, EXC_GP, 0);

    if (v86)
        drop_v86_segs(x);
    if (inner)
        x86_seg_set(x, SEG_SS, &st.ss);
    x->eflags &= ~(uint64_t)EFL_VM;
    x86_stack_commit_sp(&st);
    x86_commit_cs(x, &cs, cpl, pc);
    enter(x, g.type & 1 ? 0 : EFL_IF);
}

/* -- long mode */
static uint64_t long_stack(X86Cpu *x, const Gate *g, unsigned cpl)
{
    uint64_t sp = g->ist             ? x86_tss64_sp(x, 3 + g->ist)
                  : cpl < x86_cpl(x) ? x86_tss64_sp(x, cpl)
                                     : x->c.gpr[RSP];

    return sp & ~(uint64_t)15;
}

static void event_long(X86Cpu *x, const X86Event *ev)
{
    unsigned cpl, old_cpl = x86_cpl(x);
    Gate g = read_gate(x, ev, 16);
    X86Seg cs = handler_cs(x, &g, &cpl);
    uint64_t sp = long_stack(x, &g, cpl);
    uint64_t frame[6] = { ev->error,          ev->pc,        x->seg[SEG_CS].selector,
                          saved_flags(x, ev), x->c.gpr[RSP], x->seg[SEG_SS].selector };
    const uint64_t *from = ev->has_error ? frame : frame + 1;
    unsigned size = ev->has_error ? 48 : 40;

    sp -= size;
    if (!x86_canonical(sp) || !x86_canonical(sp + size - 1))
        x86_raise_error(x, EXC_SS, 0);
    cpu_st_bytes(&x->c, sp, from, size, cpl == 3 ? MMU_USER : MMU_KERNEL);
    if (!x86_canonical(g.offset))
        x86_raise_error(x, EXC_GP, 0);

    x86_commit_cs(x, &cs, cpl, g.offset);
    if (cpl < old_cpl)
        x86_seg_set_null(x, SEG_SS, cpl);
    x->c.gpr[RSP] = sp;
    enter(x, g.type & 1 ? 0 : EFL_IF);
}

void x86_event(X86Cpu *x, const X86Event *ev)
{
    if (unlikely(tcg_log_mask(x->c.tcg) & TCG_LOG_INT))
        x86_log_event(x, ev);
    if (x86_long_mode(x))
        event_long(x, ev);
    else if (x->c.mode & MODE_PE)
        event_protected(x, ev);
    else
        event_real(x, ev);
}

/* INT n, INT3 and INTO. In V86 mode INT n alone is sensitive to IOPL and can be redirected. */
void x86_soft_int(X86Cpu *x, uint8_t n, uint64_t next, bool check_v86)
{
    X86Event ev = { .kind = EVENT_SOFT, .vector = n, .pc = next };

    cpu_restore_state(&x->c);
    if ((x->c.mode & MODE_VM) && check_v86) {
        if (is_redirected(x, n)) {
            event_redirected(x, &ev);
            return;
        }
        if (x86_iopl(x) < 3)
            x86_raise_error(x, EXC_GP, 0);
    }
    x86_event(x, &ev);
}
