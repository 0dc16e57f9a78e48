/*
 * cpu.h - state of an x86 virtual CPU, its mode bits, and the helpers' common ground.
 *
 * Names follow the Intel SDM and AMD APM. Segment registers in SegWindow (Cpu.seg) hold the base
 * and fast limits that translated code uses; X86Seg below holds the architectural selector and
 * attributes.
 */
#ifndef TCG_GUEST_X86_CPU_H
#define TCG_GUEST_X86_CPU_H

#include "tcg/guest.h"
#include "tcg/tcg.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* Bits of EFLAGS outside the six arithmetic ones; kept in X86Cpu.eflags. */
enum {
    EFL_TF = 1 << 8,
    EFL_IF = 1 << 9,
    EFL_DF = 1 << 10,
    EFL_IOPL = 3 << 12,
    EFL_NT = 1 << 14,
    EFL_RF = 1 << 16,
    EFL_VM = 1 << 17,
    EFL_AC = 1 << 18,
    EFL_VIF = 1 << 19,
    EFL_VIP = 1 << 20,
    EFL_ID = 1 << 21,
};

enum {
    CR0_PE = 1,
    CR0_MP = 2,
    CR0_EM = 4,
    CR0_TS = 8,
    CR0_ET = 16,
    CR0_NE = 32,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
    CR0_PG = (int)(1u << 31),
    CR4_VME = 1,
    CR4_PVI = 2,
    CR4_TSD = 4,
    CR4_DE = 8,
    CR4_PSE = 16,
    CR4_PAE = 32,
    CR4_MCE = 64,
    CR4_PGE = 128,
    CR4_PCE = 256,
    CR4_OSFXSR = 512,
    CR4_OSXMMEXCPT = 1024,
    CR4_UMIP = 2048,
    CR4_LA57 = 4096,
    CR4_FSGSBASE = 1 << 16,
    CR4_PCIDE = 1 << 17,
    CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    EFER_SCE = 1,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    EFER_NXE = 1 << 11,
    EFER_FFXSR = 1 << 14,
};

enum {
    EXC_DE,
    EXC_DB,
    EXC_NMI,
    EXC_BP,
    EXC_OF,
    EXC_BR,
    EXC_UD,
    EXC_NM,
    EXC_DF,
    EXC_TS = 10,
    EXC_NP,
    EXC_SS,
    EXC_GP,
    EXC_PF,
    EXC_MF = 16,
    EXC_AC,
    EXC_MC,
    EXC_XM,
};

/* Descriptor attributes: bits 8..23 of a descriptor's second word, as AMD APM volume 2, 4.7, draws
 * them. */
enum {
    DESC_A = 1 << 8,
    DESC_W = 1 << 9,
    DESC_R = 1 << 9,
    DESC_E = 1 << 10,
    DESC_C = 1 << 10,
    DESC_CODE = 1 << 11,
    DESC_S = 1 << 12,
    DESC_DPL = 3 << 13,
    DESC_P = 1 << 15,
    DESC_L = 1 << 21,
    DESC_B = 1 << 22,
    DESC_G = 1 << 23,
};
enum { DESC_TYPE_SHIFT = 8, DESC_DPL_SHIFT = 13 };

typedef struct {
    uint16_t selector;
    uint32_t limit; /* in bytes, scaled */
    uint32_t attr;  /* DESC_* */
    uint64_t base;
} X86Seg;

/* Block mode (Cpu.mode): everything but the bytes that shapes a translation. x86_update_mode()
 * keeps it. */
enum {
    MODE_CODE16 = 0,
    MODE_CODE32 = 1,
    MODE_CODE64 = 2,
    MODE_CODE = 3,      /* default operand/address size of CS */
    MODE_SS32 = 1 << 2, /* stack pointer is ESP (in 64-bit code: RSP, this bit is 0) */
    MODE_PE = 1 << 3,
    MODE_VM = 1 << 4,
    MODE_CPL3 = 1 << 5,    /* else 0..2: the helpers look at the exact value */
    MODE_FLAT_DS = 1 << 6, /* base 0, 4 GiB, readable and writable */
    MODE_FLAT_ES = 1 << 7,
    MODE_FLAT_SS = 1 << 8,
    MODE_FLAT_CS = 1 << 9, /* base 0, 4 GiB, readable */
    MODE_NO_X87 = 1 << 10, /* CR0.EM or TS: x87 and MMX raise #NM (MMX: #UD if EM) */
    MODE_NO_SSE = 1 << 11, /* CR0.EM, or no CR4.OSFXSR: SSE raises #UD */
    MODE_TS = 1 << 12,     /* CR0.TS: SSE raises #NM; WAIT too if MP (MODE_MP) */
    MODE_EM = 1 << 13,
    MODE_MP = 1 << 14,
    MODE_OSXSAVE = 1 << 15,
    MODE_TF = 1 << 16,     /* single step: one instruction a block, ends with a debug trap */
    MODE_SHADOW = 1 << 17, /* the next instruction is in an interrupt shadow (STI, MOV SS): alone in
                              its block */
    MODE_XM = 1 << 18,   /* MXCSR has an exception unmasked: SSE arithmetic by helpers that check */
    MODE_MMU_SHIFT = 20, /* 2 bits: TLB class of data accesses */
    MODE_MMU = 3 << MODE_MMU_SHIFT,
    MODE_CODE_BP =
        1 << 22, /* a debug-register code breakpoint may be in this page: one instruction a block */
    MODE_UMIP = 1 << 23,    /* CR4.UMIP and CPL > 0 */
    MODE_IOPL_OK = 1 << 24, /* CPL <= IOPL (and not VM): CLI, STI, port I/O need no further check */
    MODE_DF = 1 << 25,      /* EFLAGS.DF: string instructions go down */
};
enum { MMU_KERNEL, MMU_USER, MMU_KERNEL_AC /* SMAP and EFLAGS.AC: may touch user pages */ };

typedef struct {
    uint32_t level, xlevel, model_id, family, model, stepping;
    uint32_t feat_1_ecx, feat_1_edx, feat_7_ebx, feat_7_ecx, feat_7_edx, feat_81_ecx, feat_81_edx,
        feat_d_eax;
    uint8_t phys_bits; /* width of a physical address */
    char vendor[13], brand[49];
} X86Model;

typedef struct {
    Cpu c; /* first */

    uint64_t eflags; /* all but the six arithmetic flags; bit 1 set */
    X86Seg seg[SEG_COUNT], ldtr, tr;
    struct {
        uint64_t base;
        uint16_t limit;
    } gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t dr[8];
    uint64_t xcr0;
    uint64_t pdpte[4]; /* PAE: loaded at mov to CR3 */

    /* the exception to deliver after cpu_unwind(), at c.pc */
    struct {
        bool pending, has_error;
        uint8_t vector;
        uint32_t error;
    } exc;
    int exc_depth;    /* exception being delivered, for double faults; -1: none */
    bool exc_ext;     /* what is being delivered is not the program's doing: error codes say so */
    bool exc_trap;    /* the pending #DB is a trap: RF is not pushed as set */
    uint8_t exc_root; /* exception that started the chain of exc_depth, for the last words */
    uint64_t debug_hits; /* DR6 bits of data breakpoints hit by the current instruction */
    bool nmi_blocked;
    bool wait_sipi; /* after INIT: nothing but SIPI starts the CPU */

    struct { /* x87; the registers are c.vec[V_MM + physical number]: q[0] significand, w[4] sign
                and exponent */
        uint16_t cw, sw; /* sw without TOP */
        uint8_t top;
        uint8_t tags; /* bit i: physical register i is in use (FXSAVE's abridged form) */
        uint16_t opcode;
        uint64_t ip, dp;
        uint16_t cs, ds;
    } fpu;

    struct {
        uint64_t efer, star, lstar, cstar, fmask, kernel_gs_base, tsc_aux, tsc_offset, tsc_deadline;
        uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
        uint64_t pat, misc_enable, mtrr_def, mtrr_fixed[11], mtrr_var[16];
        uint64_t mcg_status, mcg_ctl, smi_count, debugctl;
    } msr;

    X86Model model;
} X86Cpu;

static inline X86Cpu *x86(Cpu *cpu)
{
    return (X86Cpu *)cpu;
}

static inline unsigned x86_cpl(const X86Cpu *x)
{
    return (x->eflags & EFL_VM) ? 3
           : (x->cr0 & CR0_PE)  ? x->seg[SEG_SS].attr >> DESC_DPL_SHIFT & 3
                                : 0;
}

/* Recompute Cpu.mode after a change of CRs, EFLAGS, segments, MSRs, MXCSR masks. */
void x86_update_mode(X86Cpu *x);

/* EFLAGS/RFLAGS whole, and the write of the bits in `mask` (does not check privileges; updates
 * mode). */
uint64_t x86_get_eflags(X86Cpu *x);
void x86_set_eflags(X86Cpu *x, uint64_t value, uint64_t mask);

/* Raise a fault at the current instruction; exact state is restored from the site. */
NORETURN void x86_raise(X86Cpu *x, unsigned vector);
NORETURN void x86_raise_error(X86Cpu *x, unsigned vector, uint32_t error);

/* #UD, #GP etc. as IR, for the translator. */
extern const IrHelper x86_h_raise;       /* (vector) */
extern const IrHelper x86_h_raise_error; /* (vector, error) */

#endif
