/*
 * x86.c - the x86 guest as the core sees it: power-on state, mode bits, code addresses.
 */
#include <string.h>

#include "tcg/debug.h"
#include "tcg/guest/x86/system.h"
#include "tcg/guest/x86/translate.h"

enum {
    REAL_DATA = DESC_P | DESC_S | DESC_W | DESC_A,
    REAL_CODE = DESC_P | DESC_S | DESC_CODE | DESC_R | DESC_A,
    MXCSR_MASKS = 0x1f80,
};

/* -- mode */
static bool is_flat(const X86Seg *s, uint32_t mask, uint32_t want)
{
    return s->base == 0 && s->limit == 0xffffffff && (s->attr & mask) == want;
}

/* Outside 64-bit mode; in it all four are flat by definition. */
static uint32_t flat_bits(const X86Cpu *x)
{
    uint32_t data_mask = DESC_P | DESC_S | DESC_CODE | DESC_E | DESC_W;
    uint32_t data = DESC_P | DESC_S | DESC_W;
    uint32_t code = DESC_P | DESC_S | DESC_CODE | DESC_R;

    return (is_flat(&x->seg[SEG_DS], data_mask, data) ? MODE_FLAT_DS : 0) |
           (is_flat(&x->seg[SEG_ES], data_mask, data) ? MODE_FLAT_ES : 0) |
           (is_flat(&x->seg[SEG_SS], data_mask, data) ? MODE_FLAT_SS : 0) |
           (is_flat(&x->seg[SEG_CS], code, code) ? MODE_FLAT_CS : 0);
}

static uint32_t code_bits(const X86Cpu *x)
{
    uint32_t cs = x->seg[SEG_CS].attr;

    if ((x->msr.efer & EFER_LMA) && (cs & DESC_L))
        return MODE_CODE64 | MODE_FLAT_DS | MODE_FLAT_ES | MODE_FLAT_SS | MODE_FLAT_CS;
    return (cs & DESC_B ? MODE_CODE32 : MODE_CODE16) |
           (x->seg[SEG_SS].attr & DESC_B ? MODE_SS32 : 0) | flat_bits(x);
}

static uint32_t fpu_bits(const X86Cpu *x)
{
    uint64_t cr0 = x->cr0;

    return (cr0 & (CR0_EM | CR0_TS) ? MODE_NO_X87 : 0) | (cr0 & CR0_TS ? MODE_TS : 0) |
           (cr0 & CR0_EM ? MODE_EM : 0) | (cr0 & CR0_MP ? MODE_MP : 0) |
           (cr0 & CR0_EM || !(x->cr4 & CR4_OSFXSR) ? MODE_NO_SSE : 0) |
           (x->cr4 & CR4_OSXSAVE ? MODE_OSXSAVE : 0) | (~x->c.mxcsr & MXCSR_MASKS ? MODE_XM : 0);
}

static uint32_t privilege_bits(const X86Cpu *x)
{
    bool vm = x->eflags & EFL_VM;
    unsigned cpl = x86_cpl(x);
    unsigned mmu = cpl == 3                                      ? MMU_USER
                   : (x->cr4 & CR4_SMAP) && (x->eflags & EFL_AC) ? MMU_KERNEL_AC
                                                                 : MMU_KERNEL;

    return (cpl == 3 ? MODE_CPL3 : 0) | mmu << MODE_MMU_SHIFT |
           (cpl > 0 && (x->cr4 & CR4_UMIP) ? MODE_UMIP : 0) |
           (!vm && cpl <= x86_iopl(x) ? MODE_IOPL_OK : 0);
}

void x86_update_mode(X86Cpu *x)
{
    bool watched = debug_watches(x->c.tcg); /* by a debugger */
    uint32_t old = x->c.mode;
    uint32_t mode = (old & MODE_SHADOW) | code_bits(x) | fpu_bits(x) | privilege_bits(x) |
                    (x->cr0 & CR0_PE ? MODE_PE : 0) | (x->eflags & EFL_VM ? MODE_VM : 0) |
                    (x->eflags & EFL_TF ? MODE_TF : 0) | (x->eflags & EFL_DF ? MODE_DF : 0) |
                    (x->dr[7] & 0xff || watched ? MODE_CODE_BP : 0);
    bool was64 = (old & MODE_CODE) == MODE_CODE64, is64 = (mode & MODE_CODE) == MODE_CODE64;

    x->c.mode = mode;
    x->c.watching = (mode & MODE_CODE_BP) && (watched || x86_watches_data(x));
    if (((old ^ mode) & (MODE_PE | MODE_VM)) || was64 != is64)
        x86_seg_windows(x);
}

static uint64_t code_address(Cpu *cpu, unsigned *mmu)
{
    X86Cpu *x = x86(cpu);

    *mmu = cpu->mode & MODE_CPL3 ? MMU_USER : MMU_KERNEL;
    return x86_code64(x) ? cpu->pc : (uint32_t)(x->seg[SEG_CS].base + cpu->pc);
}

/* -- power-on and INIT (SDM volume 3, table 9-1) */
static void reset_segs(X86Cpu *x)
{
    X86Seg data = { 0, 0xffff, REAL_DATA, 0 };
    X86Seg cs = { 0xf000, 0xffff, REAL_CODE, 0xffff0000 };

    for (unsigned i = 0; i < SEG_COUNT; i++)
        x->seg[i] = i == SEG_CS ? cs : data;
    x->ldtr = (X86Seg) { 0, 0xffff, DESC_P | SYS_LDT << DESC_TYPE_SHIFT, 0 };
    x->tr = (X86Seg) { 0, 0xffff, DESC_P | SYS_TSS32_BUSY << DESC_TYPE_SHIFT, 0 };
    x->gdtr.base = x->idtr.base = 0;
    x->gdtr.limit = x->idtr.limit = 0xffff;
}

/* What both power-on and INIT set. */
static void reset_common(X86Cpu *x)
{
    Cpu *cpu = &x->c;

    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[RDX] = x86_signature(&x->model);
    cpu_set_flags(cpu, 0);
    x->eflags = 2;
    x->cr0 = CR0_ET | (x->cr0 & (CR0_CD | CR0_NW));
    x->cr2 = x->cr3 = x->cr4 = 0;
    x->msr.efer = 0;
    memset(x->dr, 0, sizeof(x->dr));
    x->dr[6] = 0xffff0ff0;
    x->dr[7] = 0x400;
    x->debug_hits = 0;
    reset_segs(x);
    x->exc.pending = x->exc_trap = x->exc_ext = false;
    x->exc_depth = -1;
    x->nmi_blocked = false;
    cpu->pc = 0xfff0;
    cpu->mode = 0;
    cpu->shutdown = false;
    cpu->halted = x->wait_sipi = cpu->index != 0; /* application processors wait for SIPI */
    x86_update_mode(x);
    x86_seg_windows(x);
    tlb_flush(cpu);
}

static void reset_fpu(X86Cpu *x)
{
    memset(x->c.vec, 0, sizeof(x->c.vec));
    memset(&x->fpu, 0, sizeof(x->fpu));
    x->fpu.cw = 0x40;
    x->fpu.tags = 0xff;
    x->c.mxcsr = MXCSR_MASKS;
    x->xcr0 = 1;
}

static void reset(Cpu *cpu)
{
    X86Cpu *x = x86(cpu);

    atomic_fetch_and(&cpu->requests, (uint32_t)(CPU_REQ_STOP | CPU_REQ_FLUSH | CPU_REQ_INTR));
    x->cr0 = CR0_CD | CR0_NW;
    reset_fpu(x);
    x86_msr_reset(x);
    reset_common(x);
}

void x86_init_signal(X86Cpu *x)
{
    atomic_fetch_and(&x->c.requests, ~(uint32_t)CPU_REQ_INIT);
    reset_common(x);
}

static int init(Cpu *cpu, const char *model, Error **err)
{
    X86Cpu *x = x86(cpu);
    int ret = x86_model_find(x, model, err);

    if (ret == 0)
        reset(cpu);
    return ret;
}

static void release(UNUSED Cpu *cpu)
{
}

const GuestArch x86_guest = {
    .name = "x86",
    .state_size = sizeof(X86Cpu),
    .n_globals = 16,
    .init = init,
    .reset = reset,
    .free = release,
    .code_address = code_address,
    .translate = x86_translate,
    .walk = x86_walk,
    .limit_slow = x86_limit_slow,
    .watch = x86_watch_data,
    .misaligned = x86_misaligned,
    .fp_exception = x86_fp_exception,
    .deliver = x86_deliver,
    .deliverable = x86_deliverable,
    .debug_changed = x86_debug_changed,
    .debug_get_reg = x86_debug_get_reg,
    .debug_set_reg = x86_debug_set_reg,
    .debug_target = x86_debug_target,
    .debug_mode = MODE_CODE_BP,
    .dump = x86_dump,
};
