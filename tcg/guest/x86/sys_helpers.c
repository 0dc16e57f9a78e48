/*
 * sys_helpers.c - the system instructions as translated code calls them (helpers.h, part 1): decode
 * arguments, check privilege, call the function that does it.
 */
#include "tcg/guest/x86/system.h"

enum {
    FAULTS = HELPER_FAULTS,
    REGS = HELPER_READS_G | HELPER_WRITES_G,
    ALL_STATE = HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G | HELPER_FLAGS,
};

#define HELPER(name, flags) const IrHelper x86_h_##name = { #name, (void *)name, flags }

static void gp(X86Cpu *x)
{
    x86_raise_error(x, EXC_GP, 0);
}

static void need_cpl0(X86Cpu *x)
{
    if (x86_cpl(x) != 0)
        gp(x);
}

/* Unwind with the state that C code has left: pc, registers and flags are exact. */
NORETURN static void leave(X86Cpu *x)
{
    x->c.in_code = false;
    cpu_unwind(&x->c);
}

/* -- exceptions and interrupts */
static void raise(Cpu *cpu, uint64_t vector)
{
    x86_raise(x86(cpu), vector);
}
HELPER(raise, FAULTS);

static void raise_error(Cpu *cpu, uint64_t vector, uint64_t error)
{
    x86_raise_error(x86(cpu), vector, error);
}
HELPER(raise_error, FAULTS);

NORETURN static void software_interrupt(Cpu *cpu, unsigned n, int64_t next, bool is_int_n)
{
    x86_soft_int(x86(cpu), n, x86_pc_at(cpu, next), is_int_n);
    leave(x86(cpu));
}

static void int_(Cpu *cpu, uint64_t n, uint64_t next)
{
    software_interrupt(cpu, n, next, true);
}
const IrHelper x86_h_int = { "int", (void *)int_, ALL_STATE };

static void int3(Cpu *cpu, uint64_t next)
{
    software_interrupt(cpu, EXC_BP, next, false);
}
HELPER(int3, ALL_STATE);

static void into(Cpu *cpu, uint64_t next)
{
    if (cpu_flags(cpu) & FLAG_OF)
        software_interrupt(cpu, EXC_OF, next, false);
}
HELPER(into, ALL_STATE);

static void icebp(Cpu *cpu, uint64_t next)
{
    x86_trap_after(x86(cpu), 0, x86_pc_at(cpu, next));
}
HELPER(icebp, ALL_STATE);

static void hlt(Cpu *cpu, uint64_t next)
{
    X86Cpu *x = x86(cpu);

    need_cpl0(x);
    cpu_restore_state(cpu);
    cpu->pc = x86_pc_at(cpu, next);
    cpu->halted = true;
    leave(x);
}
HELPER(hlt, ALL_STATE | HELPER_IO);

static void need_monitor(X86Cpu *x)
{
    if (!(x->model.feat_1_ecx & 1 << 3) || x86_cpl(x) != 0)
        x86_raise(x, EXC_UD);
}

static void monitor(Cpu *cpu, uint64_t seg, uint64_t off)
{
    need_monitor(x86(cpu));
    cpu_ld8(cpu, x86_linear(x86(cpu), seg, off, 1, false), x86_mmu(cpu));
}
HELPER(monitor, FAULTS);

/* A wake-up without a reason is always allowed. */
static void mwait(Cpu *cpu, UNUSED uint64_t next)
{
    need_monitor(x86(cpu));
}
HELPER(mwait, FAULTS);

static void shadow(Cpu *cpu, uint64_t on)
{
    if (on)
        x86_set_shadow(x86(cpu));
    else
        x86_end_shadow(x86(cpu));
}
HELPER(shadow, 0);

enum { DR6_BS = 1 << 14 };

static void step(Cpu *cpu, uint64_t pc)
{
    x86_trap_later(x86(cpu), DR6_BS, pc);
}
HELPER(step, 0);

static void step_far(Cpu *cpu)
{
    x86_trap_later(x86(cpu), DR6_BS, cpu->pc);
}
HELPER(step_far, 0);

static void code_bp(Cpu *cpu)
{
    cpu_restore_state(cpu);
    x86_check_breakpoints(x86(cpu), cpu->pc);
}
HELPER(code_bp, FAULTS);

static void fetch_limit(Cpu *cpu, uint64_t length)
{
    X86Cpu *x = x86(cpu);

    cpu_restore_state(cpu);
    if (cpu->pc + length - 1 > x->seg[SEG_CS].limit)
        gp(x);
}
HELPER(fetch_limit, FAULTS);

/* -- flags */
static void cli_fast(Cpu *cpu)
{
    x86(cpu)->eflags &= ~(uint64_t)EFL_IF;
}
HELPER(cli_fast, 0);

static void cli(Cpu *cpu)
{
    x86_cli(x86(cpu));
}
HELPER(cli, FAULTS);

static void sti(Cpu *cpu)
{
    x86_sti(x86(cpu));
}
HELPER(sti, FAULTS);

static uint64_t pushf(Cpu *cpu, uint64_t size)
{
    return x86_pushf(x86(cpu), size);
}
HELPER(pushf, FAULTS | HELPER_FLAGS);

static void popf(Cpu *cpu, uint64_t image, uint64_t size)
{
    x86_popf(x86(cpu), image, size);
}
HELPER(popf, FAULTS | HELPER_FLAGS);

/* -- ports */
static uint64_t in(Cpu *cpu, uint64_t port, uint64_t size)
{
    x86_check_io(x86(cpu), port, size);
    return x86_io_read(x86(cpu), port, size);
}
HELPER(in, FAULTS | HELPER_IO);

static void out(Cpu *cpu, uint64_t port, uint64_t value, uint64_t size)
{
    x86_check_io(x86(cpu), port, size);
    x86_io_write(x86(cpu), port, value, size);
}
HELPER(out, FAULTS | HELPER_IO);

/* -- segments and far transfers */
static void load_seg(Cpu *cpu, uint64_t seg, uint64_t sel)
{
    x86_load_seg(x86(cpu), seg, sel);
}
HELPER(load_seg, FAULTS);

static void far_jmp(Cpu *cpu, uint64_t sel, uint64_t off, uint64_t packed)
{
    x86_far_jump(x86(cpu), sel, off, x86_packed_osize(packed),
                 x86_pc_at(cpu, x86_packed_next(packed)));
}
HELPER(far_jmp, ALL_STATE);

static void far_call(Cpu *cpu, uint64_t sel, uint64_t off, uint64_t packed)
{
    x86_far_call(x86(cpu), sel, off, x86_packed_osize(packed),
                 x86_pc_at(cpu, x86_packed_next(packed)));
}
HELPER(far_call, ALL_STATE);

static void far_ret(Cpu *cpu, uint64_t drop, uint64_t size)
{
    x86_far_return(x86(cpu), size, drop);
}
HELPER(far_ret, ALL_STATE);

static void iret(Cpu *cpu, uint64_t packed)
{
    x86_iret(x86(cpu), x86_packed_osize(packed), x86_pc_at(cpu, x86_packed_next(packed)));
}
HELPER(iret, ALL_STATE);

static void syscall_(Cpu *cpu, uint64_t next)
{
    x86_syscall(x86(cpu), x86_pc_at(cpu, next));
}
const IrHelper x86_h_syscall = { "syscall", (void *)syscall_, ALL_STATE };

static void sysret(Cpu *cpu, uint64_t size)
{
    x86_sysret(x86(cpu), size);
}
HELPER(sysret, ALL_STATE);

static void sysenter(Cpu *cpu)
{
    x86_sysenter(x86(cpu));
}
HELPER(sysenter, ALL_STATE);

static void sysexit(Cpu *cpu, uint64_t size)
{
    x86_sysexit(x86(cpu), size);
}
HELPER(sysexit, ALL_STATE);

static void put_zf(Cpu *cpu, bool zf)
{
    cpu_set_flags(cpu, (cpu_flags(cpu) & ~(uint32_t)FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

static uint64_t lar(Cpu *cpu, uint64_t sel, uint64_t old)
{
    uint32_t value = 0;
    bool ok = x86_lar(x86(cpu), sel, &value);

    put_zf(cpu, ok);
    return ok ? value : old;
}
HELPER(lar, FAULTS | HELPER_FLAGS);

static uint64_t lsl(Cpu *cpu, uint64_t sel, uint64_t old)
{
    uint32_t value = 0;
    bool ok = x86_lsl(x86(cpu), sel, &value);

    put_zf(cpu, ok);
    return ok ? value : old;
}
HELPER(lsl, FAULTS | HELPER_FLAGS);

static void verr(Cpu *cpu, uint64_t sel)
{
    put_zf(cpu, x86_ver(x86(cpu), sel, false));
}
HELPER(verr, FAULTS | HELPER_FLAGS);

static void verw(Cpu *cpu, uint64_t sel)
{
    put_zf(cpu, x86_ver(x86(cpu), sel, true));
}
HELPER(verw, FAULTS | HELPER_FLAGS);

/* -- descriptor tables */
static void lldt(Cpu *cpu, uint64_t sel)
{
    need_cpl0(x86(cpu));
    x86_lldt(x86(cpu), sel);
}
HELPER(lldt, FAULTS);

static void ltr(Cpu *cpu, uint64_t sel)
{
    need_cpl0(x86(cpu));
    x86_ltr(x86(cpu), sel);
}
HELPER(ltr, FAULTS);

static uint64_t sldt(Cpu *cpu)
{
    return x86(cpu)->ldtr.selector;
}
HELPER(sldt, 0);

static uint64_t str(Cpu *cpu)
{
    return x86(cpu)->tr.selector;
}
HELPER(str, 0);

static void store_table(Cpu *cpu, unsigned seg, uint64_t off, uint64_t base, uint16_t limit)
{
    X86Cpu *x = x86(cpu);
    unsigned size = x86_code64(x) ? 10 : 6;
    uint64_t va = x86_linear(x, seg, off, size, true);
    uint8_t image[10];

    for (unsigned i = 0; i < size; i++)
        image[i] = i < 2 ? (uint64_t)limit >> 8 * i : base >> 8 * (i - 2);
    cpu_st_bytes(cpu, va, image, size, x86_mmu(cpu));
}

static void sgdt(Cpu *cpu, uint64_t seg, uint64_t off)
{
    store_table(cpu, seg, off, x86(cpu)->gdtr.base, x86(cpu)->gdtr.limit);
}
HELPER(sgdt, FAULTS);

static void sidt(Cpu *cpu, uint64_t seg, uint64_t off)
{
    store_table(cpu, seg, off, x86(cpu)->idtr.base, x86(cpu)->idtr.limit);
}
HELPER(sidt, FAULTS);

/* The base of a table image: 24 bits with a 16-bit operand size. */
static uint64_t load_table(Cpu *cpu, unsigned seg, uint64_t off, unsigned osize, uint16_t *limit)
{
    X86Cpu *x = x86(cpu);
    unsigned size = x86_code64(x) ? 10 : 6;
    uint8_t image[10];
    uint64_t base = 0;

    need_cpl0(x);
    cpu_ld_bytes(cpu, x86_linear(x, seg, off, size, false), image, size, x86_mmu(cpu));
    for (unsigned i = size; i > 2; i--)
        base = base << 8 | image[i - 1];
    if (size == 10 && !x86_canonical(base))
        gp(x);
    *limit = image[0] | image[1] << 8;
    return osize == 2 && size == 6 ? base & 0xffffff : base;
}

static void lgdt(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    uint16_t limit;
    uint64_t base = load_table(cpu, seg, off, osize, &limit);

    x86(cpu)->gdtr.base = base;
    x86(cpu)->gdtr.limit = limit;
}
HELPER(lgdt, FAULTS);

static void lidt(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    uint16_t limit;
    uint64_t base = load_table(cpu, seg, off, osize, &limit);

    x86(cpu)->idtr.base = base;
    x86(cpu)->idtr.limit = limit;
}
HELPER(lidt, FAULTS);

/* -- FS and GS bases */
static void set_base(X86Cpu *x, unsigned seg, uint64_t base)
{
    x->seg[seg].base = base;
    x->c.seg[seg].base = base;
}

static void swapgs(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);
    uint64_t base = x->seg[SEG_GS].base;

    need_cpl0(x);
    set_base(x, SEG_GS, x->msr.kernel_gs_base);
    x->msr.kernel_gs_base = base;
}
HELPER(swapgs, FAULTS);

static uint64_t read_base(Cpu *cpu, uint64_t seg)
{
    if (!(x86(cpu)->cr4 & CR4_FSGSBASE))
        x86_raise(x86(cpu), EXC_UD);
    return x86(cpu)->seg[seg].base;
}
HELPER(read_base, FAULTS);

static void write_base(Cpu *cpu, uint64_t seg, uint64_t base)
{
    if (!(x86(cpu)->cr4 & CR4_FSGSBASE))
        x86_raise(x86(cpu), EXC_UD);
    if (!x86_canonical(base))
        gp(x86(cpu));
    set_base(x86(cpu), seg, base);
}
HELPER(write_base, FAULTS);

/* -- control and debug registers */
static uint64_t read_cr(Cpu *cpu, uint64_t n)
{
    need_cpl0(x86(cpu));
    return x86_read_cr(x86(cpu), n);
}
HELPER(read_cr, FAULTS);

static void write_cr(Cpu *cpu, uint64_t n, uint64_t v)
{
    need_cpl0(x86(cpu));
    x86_write_cr(x86(cpu), n, v);
}
HELPER(write_cr, FAULTS);

static uint64_t read_dr(Cpu *cpu, uint64_t n)
{
    need_cpl0(x86(cpu));
    return x86_read_dr(x86(cpu), n);
}
HELPER(read_dr, FAULTS);

static void write_dr(Cpu *cpu, uint64_t n, uint64_t v)
{
    need_cpl0(x86(cpu));
    x86_write_dr(x86(cpu), n, v);
}
HELPER(write_dr, FAULTS);

static uint64_t smsw(Cpu *cpu)
{
    return x86(cpu)->cr0;
}
HELPER(smsw, 0);

static void lmsw(Cpu *cpu, uint64_t v)
{
    need_cpl0(x86(cpu));
    x86_lmsw(x86(cpu), v);
}
HELPER(lmsw, FAULTS);

static void clts(Cpu *cpu)
{
    need_cpl0(x86(cpu));
    x86(cpu)->cr0 &= ~(uint64_t)CR0_TS;
    x86_update_mode(x86(cpu));
}
HELPER(clts, FAULTS);

/* -- TLB and caches */
static void invlpg(Cpu *cpu, uint64_t seg, uint64_t off)
{
    X86Cpu *x = x86(cpu);
    uint64_t va = cpu->seg[seg].base + off;

    need_cpl0(x);
    tlb_flush_page(cpu, x86_code64(x) ? va : (uint32_t)va);
}
HELPER(invlpg, FAULTS);

/* CPUID has no INVPCID feature, so CR4.PCIDE is never set and every type may flush all. */
static void invpcid(Cpu *cpu, UNUSED uint64_t type, UNUSED uint64_t seg, UNUSED uint64_t off)
{
    x86_raise(x86(cpu), EXC_UD);
}
HELPER(invpcid, FAULTS);

static void wbinvd(Cpu *cpu)
{
    need_cpl0(x86(cpu));
}
HELPER(wbinvd, FAULTS);

/* -- MSRs, counters, identification */
static uint64_t edx_eax(const Cpu *cpu)
{
    return cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
}

static void put_edx_eax(Cpu *cpu, uint64_t v)
{
    cpu->gpr[RAX] = (uint32_t)v;
    cpu->gpr[RDX] = v >> 32;
}

static void rdmsr(Cpu *cpu)
{
    need_cpl0(x86(cpu));
    put_edx_eax(cpu, x86_rdmsr(x86(cpu), cpu->gpr[RCX]));
}
HELPER(rdmsr, FAULTS | REGS | HELPER_IO);

static void wrmsr(Cpu *cpu)
{
    need_cpl0(x86(cpu));
    x86_wrmsr(x86(cpu), cpu->gpr[RCX], edx_eax(cpu));
}
HELPER(wrmsr, FAULTS | REGS | HELPER_IO);

static uint64_t rdtsc(Cpu *cpu)
{
    if ((x86(cpu)->cr4 & CR4_TSD) && x86_cpl(x86(cpu)) != 0)
        gp(x86(cpu));
    return x86_rdtsc(x86(cpu));
}
HELPER(rdtsc, FAULTS | HELPER_IO);

const IrHelper x86_h_rdtscp = { "rdtscp", (void *)rdtsc, FAULTS | HELPER_IO };

static uint64_t tsc_aux(Cpu *cpu)
{
    return x86(cpu)->msr.tsc_aux;
}
HELPER(tsc_aux, 0);

/* No model has performance counters: every index is out of range. */
static void rdpmc(Cpu *cpu)
{
    gp(x86(cpu));
}
HELPER(rdpmc, FAULTS | REGS);

static void cpuid(Cpu *cpu)
{
    uint32_t out[4];

    x86_cpuid(x86(cpu), cpu->gpr[RAX], cpu->gpr[RCX], out);
    cpu->gpr[RAX] = out[0];
    cpu->gpr[RBX] = out[1];
    cpu->gpr[RCX] = out[2];
    cpu->gpr[RDX] = out[3];
}
HELPER(cpuid, FAULTS | REGS);

static void need_xsave(X86Cpu *x)
{
    if (!(x->cr4 & CR4_OSXSAVE))
        x86_raise(x, EXC_UD);
}

static void xgetbv(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);

    need_xsave(x);
    if ((uint32_t)cpu->gpr[RCX] != 0)
        gp(x);
    put_edx_eax(cpu, x->xcr0);
}
HELPER(xgetbv, FAULTS | REGS);

static void xsetbv(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);
    uint64_t v = edx_eax(cpu);

    need_xsave(x);
    if (x86_cpl(x) != 0 || (uint32_t)cpu->gpr[RCX] != 0 || !(v & 1) || (v & ~x86_xcr0_allowed(x)))
        gp(x);
    x->xcr0 = v;
}
HELPER(xsetbv, FAULTS | REGS);

static void set_ac(Cpu *cpu, bool on)
{
    X86Cpu *x = x86(cpu);

    if (!(x->model.feat_7_ebx & 1 << 20) || x86_cpl(x) != 0)
        x86_raise(x, EXC_UD);
    x86_set_eflags(x, on ? EFL_AC : 0, EFL_AC);
}

static void clac(Cpu *cpu)
{
    set_ac(cpu, false);
}
HELPER(clac, FAULTS);

static void stac(Cpu *cpu)
{
    set_ac(cpu, true);
}
HELPER(stac, FAULTS);
