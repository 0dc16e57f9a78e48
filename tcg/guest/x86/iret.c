/*
 * iret.c - IRET in all its forms: real mode, V86 mode, to the same or an outer level, to V86 mode,
 * in 64-bit mode, and out of a nested task (SDM volume 2, IRET; volume 3, 20.2.5 and 20.3.3).
 */
#include "tcg/guest/x86/system.h"

/* The flags that IRET may change at this privilege level. */
static uint64_t flags_mask(X86Cpu *x, unsigned size)
{
    unsigned cpl = x86_cpl(x);
    uint64_t mask = FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT;

    if (size > 2)
        mask |= EFL_RF | EFL_AC | EFL_ID;
    if (cpl == 0)
        mask |= EFL_IOPL | (size > 2 ? EFL_VIF | EFL_VIP : 0);
    if (cpl <= x86_iopl(x))
        mask |= EFL_IF;
    return mask;
}

static void finish(X86Cpu *x, uint64_t flags, uint64_t mask)
{
    x->nmi_blocked = false;
    x86_set_eflags(x, flags, mask);
}

/* V86 mode with IOPL < 3: only the 16-bit form, and only with CR4.VME; IF stands for VIF. */
static uint64_t virtual_flags(X86Cpu *x, uint64_t flags, unsigned size)
{
    bool pending = x->eflags & EFL_VIP;

    if (!(x->cr4 & CR4_VME) || size != 2 || (flags & EFL_TF) || (pending && (flags & EFL_IF)))
        x86_raise_error(x, EXC_GP, 0);
    return flags & EFL_IF ? flags | EFL_VIF : flags & ~(uint64_t)EFL_VIF;
}

static void iret_real(X86Cpu *x, unsigned size)
{
    X86Stack st = x86_stack_current(x);
    uint64_t pc = x86_stack_pop(&st, size);
    uint16_t sel = x86_stack_pop(&st, size);
    uint64_t flags = x86_stack_pop(&st, size);
    uint64_t mask = flags_mask(x, size) & ~(uint64_t)(EFL_VIF | EFL_VIP);

    if ((x->c.mode & MODE_VM) && x86_iopl(x) < 3) {
        flags = virtual_flags(x, flags, size);
        mask |= EFL_VIF;
    }
    if (pc > x->seg[SEG_CS].limit)
        x86_raise_error(x, EXC_GP, 0);
    x86_set_cs_real(x, sel);
    x86_stack_commit_sp(&st);
    x->c.pc = pc;
    finish(x, flags, mask);
}

static void iret_to_v86(X86Cpu *x, X86Stack *st, uint64_t pc, uint16_t cs, uint64_t flags)
{
    static const uint8_t order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint32_t sp = x86_stack_pop(st, 4);
    uint16_t sel[ARRAY_LEN(order)];

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        sel[i] = x86_stack_pop(st, 4);
    if (pc > 0xffff)
        x86_raise_error(x, EXC_GP, 0);
    uint64_t mask = flags_mask(x, 4) | EFL_VM;
    x86_seg_set_v86(x, SEG_CS, cs);
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        x86_seg_set_v86(x, order[i], sel[i]);
    x->c.gpr[RSP] = sp;
    x->c.pc = pc;
    finish(x, flags, mask);
}

typedef struct {
    uint64_t pc, cs, flags, sp, ss;
} Frame;

/* The 64-bit frame, read in one go: the way back from every handler of a 64-bit kernel. */
static Frame long_frame(X86Cpu *x)
{
    uint64_t sp = x->c.gpr[RSP];
    Frame f;

    if (!x86_canonical(sp) || !x86_canonical(sp + sizeof(f) - 1))
        x86_raise_error(x, EXC_SS, 0);
    cpu_ld_bytes(&x->c, sp, &f, sizeof(f), x86_mmu(&x->c));
    return f;
}

static void commit_return(X86Cpu *x, const Frame *f, const X86Seg *cs, unsigned size)
{
    uint64_t mask = flags_mask(x, size);
    unsigned rpl = sel_rpl(f->cs);
    bool to64 = x86_seg_is64(x, cs);
    X86Seg ss = x86_check_return_ss(x, f->ss, rpl, to64);

    x86_check_target(x, cs, f->pc);
    x86_commit_outer(x, &ss, f->sp, rpl, to64);
    x86_commit_cs(x, cs, rpl, f->pc);
    finish(x, f->flags, mask);
}

static void iret_protected(X86Cpu *x, unsigned size)
{
    X86Stack st = x86_stack_current(x);
    Frame f = { 0 };

    f.pc = x86_stack_pop(&st, size);
    f.cs = (uint16_t)x86_stack_pop(&st, size);
    f.flags = x86_stack_pop(&st, size);
    if (size == 4 && (f.flags & EFL_VM) && x86_cpl(x) == 0 && !x86_long_mode(x)) {
        iret_to_v86(x, &st, f.pc, f.cs, f.flags);
        return;
    }
    X86Seg cs = x86_check_return_cs(x, f.cs);
    if (sel_rpl(f.cs) > x86_cpl(x) || x86_code64(x)) {
        f.sp = x86_stack_pop(&st, size);
        f.ss = (uint16_t)x86_stack_pop(&st, size);
        commit_return(x, &f, &cs, size);
        return;
    }
    uint64_t mask = flags_mask(x, size);
    x86_check_target(x, &cs, f.pc);
    x86_stack_commit_sp(&st);
    x86_commit_cs(x, &cs, sel_rpl(f.cs), f.pc);
    finish(x, f.flags, mask);
}

static void iret_long(X86Cpu *x)
{
    Frame f = long_frame(x);
    X86Seg cs = x86_check_return_cs(x, f.cs);

    commit_return(x, &f, &cs, 8);
}

void x86_iret(X86Cpu *x, unsigned size, uint64_t next)
{
    if (!x86_protected(x)) {
        if ((x->c.mode & MODE_VM) && x86_iopl(x) < 3 && !(x->cr4 & CR4_VME))
            x86_raise_error(x, EXC_GP, 0);
        iret_real(x, size);
    } else if (x->eflags & EFL_NT) {
        if (x86_long_mode(x))
            x86_raise_error(x, EXC_GP, 0);
        x86_task_return(x, next);
        x->nmi_blocked = false;
    } else if (size == 8) {
        iret_long(x);
    } else {
        iret_protected(x, size);
    }
}
