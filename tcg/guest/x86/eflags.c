/*
 * eflags.c - EFLAGS as a whole, and the instructions that change IF with rules of their own:
 * CLI, STI, PUSHF, POPF with CR4.VME and CR4.PVI (SDM volume 3, 20.3 and 20.4).
 */
#include "tcg/guest/x86/system.h"

uint64_t x86_get_eflags(X86Cpu *x)
{
    return x->eflags | cpu_flags(&x->c) | 2;
}

void x86_set_eflags(X86Cpu *x, uint64_t value, uint64_t mask)
{
    uint32_t arith = mask & FLAGS_ALL;
    uint64_t known = EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_RF | EFL_VM | EFL_AC |
                     EFL_VIF | EFL_VIP | EFL_ID;

    if (arith)
        cpu_set_flags(&x->c, (cpu_flags(&x->c) & ~arith) | (value & arith));
    mask &= known;
    x->eflags = (x->eflags & ~mask) | (value & mask);
    x86_update_mode(x);
}

/* CPL 3 with CR4.PVI, or V86 mode with CR4.VME: IOPL < 3 makes VIF stand in for IF. */
static bool virtual_if(const X86Cpu *x)
{
    if (x->c.mode & MODE_VM)
        return x->cr4 & CR4_VME;
    return (x->c.mode & MODE_PE) && (x->cr4 & CR4_PVI) && x86_cpl(x) == 3;
}

static bool may_change_if(const X86Cpu *x)
{
    return !(x->c.mode & MODE_PE) || x86_cpl(x) <= x86_iopl(x);
}

void x86_cli(X86Cpu *x)
{
    if (may_change_if(x))
        x->eflags &= ~(uint64_t)EFL_IF;
    else if (virtual_if(x))
        x->eflags &= ~(uint64_t)EFL_VIF;
    else
        x86_raise_error(x, EXC_GP, 0);
}

void x86_sti(X86Cpu *x)
{
    if (may_change_if(x)) {
        if (!(x->eflags & EFL_IF))
            x86_set_shadow(x);
        x->eflags |= EFL_IF;
    } else if (virtual_if(x) && !(x->eflags & EFL_VIP)) {
        x->eflags |= EFL_VIF;
    } else {
        x86_raise_error(x, EXC_GP, 0);
    }
}

uint64_t x86_pushf(X86Cpu *x, unsigned size)
{
    uint64_t flags = x86_get_eflags(x) & ~(uint64_t)(EFL_RF | EFL_VM);

    if (!(x->c.mode & MODE_VM) || x86_iopl(x) == 3)
        return flags;
    if (!(x->cr4 & CR4_VME) || size != 2)
        x86_raise_error(x, EXC_GP, 0);
    flags = (flags & ~(uint64_t)EFL_IF) | EFL_IOPL;
    return x->eflags & EFL_VIF ? flags | EFL_IF : flags;
}

static void popf_virtual(X86Cpu *x, uint64_t v, unsigned size)
{
    uint64_t mask = FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT | EFL_VIF;

    if (!(x->cr4 & CR4_VME) || size != 2 || (v & EFL_TF) || ((v & EFL_IF) && (x->eflags & EFL_VIP)))
        x86_raise_error(x, EXC_GP, 0);
    x86_set_eflags(x, (v & ~(uint64_t)EFL_VIF) | (v & EFL_IF ? EFL_VIF : 0), mask);
}

void x86_popf(X86Cpu *x, uint64_t v, unsigned size)
{
    unsigned cpl = x86_cpl(x);
    uint64_t mask =
        FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT | (size > 2 ? EFL_AC | EFL_ID | EFL_RF : 0);

    if ((x->c.mode & MODE_VM) && x86_iopl(x) < 3) {
        popf_virtual(x, v, size);
        return;
    }
    if (cpl == 0)
        mask |= EFL_IOPL;
    if (cpl <= x86_iopl(x))
        mask |= EFL_IF;
    x86_set_eflags(x, v & ~(uint64_t)EFL_RF, mask);
}
