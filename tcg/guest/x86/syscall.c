/*
 * syscall.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT (AMD APM volume 2, 6.1; SDM volume 3, 5.8.7).
 *
 * These load fixed flat segments without reading a descriptor table.
 */
#include "tcg/guest/x86/system.h"

enum {
    FLAT_DATA = DESC_P | DESC_S | DESC_W | DESC_A | DESC_G | DESC_B,
    FLAT_CODE = DESC_P | DESC_S | DESC_CODE | DESC_R | DESC_A | DESC_G,
};

static void set_flat(X86Cpu *x, unsigned seg, uint16_t sel, uint32_t attr, unsigned dpl)
{
    X86Seg s = { sel, 0xffffffff, attr | dpl << DESC_DPL_SHIFT, 0 };

    x86_seg_set(x, seg, &s);
}

static void set_flat_pair(X86Cpu *x, uint16_t cs, uint16_t ss, unsigned dpl, bool code64)
{
    set_flat(x, SEG_SS, (ss & ~3) | dpl, FLAT_DATA, dpl);
    set_flat(x, SEG_CS, (cs & ~3) | dpl, FLAT_CODE | (code64 ? DESC_L : DESC_B), dpl);
}

void x86_syscall(X86Cpu *x, uint64_t next)
{
    uint16_t cs = x->msr.star >> 32;

    if (!(x->msr.efer & EFER_SCE) || !x86_protected(x))
        x86_raise(x, EXC_UD);
    if (x86_long_mode(x)) {
        uint64_t flags = x86_get_eflags(x) & ~(uint64_t)EFL_RF;

        x->c.pc = x86_code64(x) ? x->msr.lstar : x->msr.cstar;
        x->c.gpr[RCX] = next;
        x->c.gpr[R11] = flags;
        set_flat_pair(x, cs, cs + 8, 0, true);
        x86_set_eflags(x, flags & ~x->msr.fmask, ~(uint64_t)2);
    } else {
        x->c.pc = (uint32_t)x->msr.star;
        x->c.gpr[RCX] = (uint32_t)next;
        set_flat_pair(x, cs, cs + 8, 0, false);
        x86_set_eflags(x, 0, EFL_IF | EFL_VM | EFL_RF);
    }
}

void x86_sysret(X86Cpu *x, unsigned size)
{
    uint16_t base = x->msr.star >> 48;
    uint64_t pc = x->c.gpr[RCX];

    if (!(x->msr.efer & EFER_SCE))
        x86_raise(x, EXC_UD);
    if (!x86_protected(x) || x86_cpl(x) != 0 || (size == 8 && !x86_canonical(pc)))
        x86_raise_error(x, EXC_GP, 0);
    if (x86_long_mode(x)) {
        uint64_t mask = ~(uint64_t)(EFL_RF | EFL_VM | 2);

        set_flat_pair(x, size == 8 ? base + 16 : base, base + 8, 3, size == 8);
        x86_set_eflags(x, x->c.gpr[R11] & 0x3c7fd7, mask);
    } else {
        set_flat_pair(x, base, base + 8, 3, false);
        x86_set_eflags(x, EFL_IF, EFL_IF);
    }
    x->c.pc = size == 8 ? pc : (uint32_t)pc;
}

void x86_sysenter(X86Cpu *x)
{
    uint16_t cs = x->msr.sysenter_cs;
    bool lma = x86_long_mode(x);

    if (!(x->c.mode & MODE_PE) || sel_null(cs))
        x86_raise_error(x, EXC_GP, 0);
    set_flat_pair(x, cs, cs + 8, 0, lma);
    x->c.gpr[RSP] = lma ? x->msr.sysenter_esp : (uint32_t)x->msr.sysenter_esp;
    x->c.pc = lma ? x->msr.sysenter_eip : (uint32_t)x->msr.sysenter_eip;
    x86_set_eflags(x, 0, EFL_IF | EFL_VM | EFL_RF);
}

void x86_sysexit(X86Cpu *x, unsigned size)
{
    uint16_t cs = x->msr.sysenter_cs;
    uint64_t pc = x->c.gpr[RDX], sp = x->c.gpr[RCX];

    if (!x86_protected(x) || sel_null(cs) || x86_cpl(x) != 0 ||
        (size == 8 && (!x86_canonical(pc) || !x86_canonical(sp))))
        x86_raise_error(x, EXC_GP, 0);
    if (size == 8)
        set_flat_pair(x, cs + 32, cs + 40, 3, true);
    else
        set_flat_pair(x, cs + 16, cs + 24, 3, false);
    x->c.gpr[RSP] = size == 8 ? sp : (uint32_t)sp;
    x->c.pc = size == 8 ? pc : (uint32_t)pc;
    x86_update_mode(x);
}
