/*
 * sse_helpers.c - helpers of MMX and SSE: state changes, masked stores, string comparison.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/sse.h"
#include "tcg/guest/x86/system.h"
#include "tcg/guest/x86/x87.h"
#include "tcg/softfloat.h"

enum { MXCSR_VALID = 0xffff };

NORETURN void x86_fp_exception(Cpu *cpu)
{
    x86_raise(x86(cpu), x86(cpu)->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* -- MXCSR */
void x86_set_mxcsr(X86Cpu *x, uint32_t value)
{
    if (value & ~MXCSR_VALID)
        x86_raise_error(x, EXC_GP, 0);
    x->c.mxcsr = value;
    x86_update_mode(x);
}

static uint64_t ldmxcsr(Cpu *cpu, uint64_t value)
{
    x86_set_mxcsr(x86(cpu), value);
    return 0;
}
const IrHelper x86_h_ldmxcsr = { "ldmxcsr", ldmxcsr, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t stmxcsr(Cpu *cpu)
{
    return cpu->mxcsr;
}
const IrHelper x86_h_stmxcsr = { "stmxcsr", stmxcsr, HELPER_VECTORS };

/* -- MMX: aliases of the x87 registers (SDM volume 1, 9.2.1 and 9.5) */
static uint64_t mmx_check(Cpu *cpu)
{
    x87_check_pending(x86(cpu));
    return 0;
}
const IrHelper x86_h_mmx_check = { "mmx_check", mmx_check, HELPER_FAULTS };

static uint64_t mmx_enter(Cpu *cpu, uint64_t written)
{
    X86Cpu *x = x86(cpu);

    x87_check_pending(x);
    x->fpu.top = 0;
    x->fpu.tags = 0xff;
    for (unsigned i = 0; i < 8; i++)
        if (written >> i & 1)
            cpu->vec[V_MM + i].w[4] = 0xffff;
    return 0;
}
const IrHelper x86_h_mmx_enter = { "mmx_enter", mmx_enter, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t emms(Cpu *cpu)
{
    x87_check_pending(x86(cpu));
    x86(cpu)->fpu.tags = 0;
    x86(cpu)->fpu.top = 0;
    return 0;
}
const IrHelper x86_h_emms = { "emms", emms, HELPER_FAULTS };

/* -- masked store: `regs` data register, mask register << 8, bytes << 16 */
static uint64_t maskmov(Cpu *cpu, uint64_t regs, uint64_t seg, uint64_t off)
{
    const VReg *data = &cpu->vec[regs & 0xff], *mask = &cpu->vec[regs >> 8 & 0xff];
    unsigned bytes = regs >> 16, mmu = x86_mmu(cpu);
    uint64_t va = x86_linear(x86(cpu), seg, off, bytes, true);

    for (unsigned i = 0; i < bytes; i++)
        if (mask->b[i] & 0x80)
            cpu_probe(cpu, va + i, 1, ACCESS_WRITE, mmu);
    for (unsigned i = 0; i < bytes; i++)
        if (mask->b[i] & 0x80)
            cpu_st8(cpu, va + i, data->b[i], mmu);
    return 0;
}
const IrHelper x86_h_maskmov = { "maskmov", maskmov, HELPER_FAULTS | HELPER_VECTORS };
