/*
 * helpers.h - C functions called from translated x86 code. The integer front end emits the calls;
 * the system part (segments, exceptions, tasks, control registers, MSRs) implements those of the
 * first part, string.c, muldiv.c .. those of the second.
 *
 * Each is `const IrHelper x86_h_NAME` over a function (Cpu *cpu, uint64_t a, b, c). "-> pc" means
 * that it sets Cpu.pc and the mode and the block then ends with IR_exitr; "exits" that the
 * translator ends the block after it with IR_exit to the next instruction; "no return" that it
 * always unwinds. Everything else leaves the mode alone. All may raise unless "cannot fault" is
 * written, and check privilege and mode themselves unless the comment says who does.
 *
 * Arguments: `next` is the next instruction's pc relative to Cpu.rip_page: x86_pc_at(). `osize` is
 * 2, 4 or 8 bytes. `seg, off` is a memory operand before segmentation: x86_linear(). A packed
 * `next_osize` is X86_PACK_NEXT(next, osize).
 */
#ifndef TCG_GUEST_X86_HELPERS_H
#define TCG_GUEST_X86_HELPERS_H

#include "tcg/guest/x86/cpu.h"

#define X86_PACK_NEXT(next, osize) ((uint64_t)(next) << 8 | (osize))

static inline int64_t x86_packed_next(uint64_t packed)
{
    return (int64_t)packed >> 8;
}

static inline unsigned x86_packed_osize(uint64_t packed)
{
    return packed & 0xff;
}

/* The pc at `delta` from the page of the running code, cut to the code segment's size. */
static inline uint64_t x86_pc_at(const Cpu *cpu, int64_t delta)
{
    uint64_t pc = cpu->rip_page + (uint64_t)delta;

    switch (cpu->mode & MODE_CODE) {
    case MODE_CODE16: return (uint16_t)pc;
    case MODE_CODE32: return (uint32_t)pc;
    default: return pc;
    }
}

/* -- part 1: the system side ------------------------------------------------------------------ */

/*
 * C functions that helpers of every part use. x86_linear: the linear address of seg:off after
 * limit, type and canonical checks (raises #GP or #SS); in 64-bit mode only FS and GS have a base.
 */
uint64_t x86_linear(X86Cpu *x, unsigned seg, uint64_t off, unsigned size, bool write);
static inline unsigned x86_mmu(const Cpu *cpu)
{
    return cpu->mode >> MODE_MMU_SHIFT & 3;
}
void x86_check_io(X86Cpu *x, uint16_t port, unsigned size); /* #GP unless port I/O is allowed */
uint64_t x86_io_read(X86Cpu *x, uint16_t port, unsigned size);
void x86_io_write(X86Cpu *x, uint16_t port, uint64_t value, unsigned size);

/* interrupts and the life of an instruction */
extern const IrHelper x86_h_int;      /* (vector, next) INT n; no return */
extern const IrHelper x86_h_int3;     /* (next) no return */
extern const IrHelper x86_h_into;     /* (next) returns if OF is clear */
extern const IrHelper x86_h_icebp;    /* (next) INT1; no return */
extern const IrHelper x86_h_hlt;      /* (next) halts with pc = next; no return */
extern const IrHelper x86_h_mwait;    /* (next) as HLT, or a nop; no return, or exits */
extern const IrHelper x86_h_monitor;  /* (seg, off) */
extern const IrHelper x86_h_shadow;   /* (on) set or clear MODE_SHADOW; cannot fault */
extern const IrHelper x86_h_step;     /* (pc) TF trap: instruction done, execution goes on at pc */
extern const IrHelper x86_h_step_far; /* () the same, the instruction has set Cpu.pc already */
extern const IrHelper x86_h_code_bp;  /* () #DB if a debug register breaks on this instruction */
extern const IrHelper x86_h_fetch_limit; /* (length) #GP if this instruction passes the CS limit */

/* flags */
extern const IrHelper x86_h_cli_fast; /* () MODE_IOPL_OK: clear IF; cannot fault */
extern const IrHelper x86_h_cli;      /* () with all checks, VME and PVI */
extern const IrHelper x86_h_sti;      /* () all checks; MODE_SHADOW if IF was clear; exits */
extern const IrHelper x86_h_pushf;    /* (osize) -> image to push; #GP in V86 mode with IOPL < 3 */
extern const IrHelper x86_h_popf;     /* (image, osize) #GP as PUSHF; exits */

/* ports */
extern const IrHelper x86_h_in;  /* (port, size) -> value */
extern const IrHelper x86_h_out; /* (port, value, size); exits */

/* segments and far transfers */
extern const IrHelper x86_h_load_seg;   /* (seg, selector) ES SS DS FS GS; exits unless FS, GS */
extern const IrHelper x86_h_far_jmp;    /* (selector, offset, next_osize) -> pc */
extern const IrHelper x86_h_far_call;   /* (selector, offset, next_osize) -> pc */
extern const IrHelper x86_h_far_ret;    /* (bytes to release, osize) -> pc */
extern const IrHelper x86_h_iret;       /* (next_osize) -> pc */
extern const IrHelper x86_h_syscall;    /* (next) -> pc */
extern const IrHelper x86_h_sysret;     /* (osize: 8 with REX.W, else 4) -> pc */
extern const IrHelper x86_h_sysenter;   /* () -> pc */
extern const IrHelper x86_h_sysexit;    /* (osize: 8 with REX.W, else 4) -> pc */
extern const IrHelper x86_h_lar;        /* (selector, old) -> new destination; sets ZF */
extern const IrHelper x86_h_lsl;        /* (selector, old) -> new destination; sets ZF */
extern const IrHelper x86_h_verr;       /* (selector) sets ZF */
extern const IrHelper x86_h_verw;       /* (selector) sets ZF */
extern const IrHelper x86_h_lldt;       /* (selector) */
extern const IrHelper x86_h_ltr;        /* (selector) */
extern const IrHelper x86_h_sldt;       /* () -> selector; UMIP is checked by the translator */
extern const IrHelper x86_h_str;        /* () -> selector; UMIP as above */
extern const IrHelper x86_h_sgdt;       /* (seg, off, osize) stores; UMIP as above */
extern const IrHelper x86_h_sidt;       /* (seg, off, osize) */
extern const IrHelper x86_h_lgdt;       /* (seg, off, osize) */
extern const IrHelper x86_h_lidt;       /* (seg, off, osize) */
extern const IrHelper x86_h_swapgs;     /* () CPL 0; 64-bit mode by the decoder */
extern const IrHelper x86_h_read_base;  /* (seg) -> base; RDFSBASE, RDGSBASE */
extern const IrHelper x86_h_write_base; /* (seg, base) WRFSBASE, WRGSBASE */

/* control registers, MSRs, caches */
extern const IrHelper x86_h_read_cr;  /* (n) -> value; SMSW reads Cpu.cr0 by x86_h_smsw */
extern const IrHelper x86_h_write_cr; /* (n, value); exits */
extern const IrHelper x86_h_read_dr;  /* (n) -> value */
extern const IrHelper x86_h_write_dr; /* (n, value); exits */
extern const IrHelper x86_h_smsw;     /* () -> CR0; cannot fault, UMIP by the translator */
extern const IrHelper x86_h_lmsw;     /* (value); exits */
extern const IrHelper x86_h_clts;     /* (); exits */
extern const IrHelper x86_h_invlpg;   /* (seg, off); exits */
extern const IrHelper x86_h_invpcid;  /* (type, seg, off); exits */
extern const IrHelper x86_h_wbinvd;   /* () also INVD: only the privilege check matters */
extern const IrHelper x86_h_rdmsr;    /* () registers EAX ECX EDX */
extern const IrHelper x86_h_wrmsr;    /* () registers EAX ECX EDX; exits */
extern const IrHelper x86_h_rdtsc;    /* () -> 64 bits */
extern const IrHelper x86_h_rdtscp;   /* () -> TSC, writes nothing; see x86_h_tsc_aux */
extern const IrHelper x86_h_tsc_aux;  /* () -> IA32_TSC_AUX; cannot fault (RDPID, RDTSCP) */
extern const IrHelper x86_h_rdpmc;    /* () registers EAX ECX EDX */
extern const IrHelper x86_h_cpuid;    /* () registers EAX EBX ECX EDX */
extern const IrHelper x86_h_xgetbv;   /* () registers EAX ECX EDX */
extern const IrHelper x86_h_xsetbv;   /* () registers EAX ECX EDX; exits */
extern const IrHelper x86_h_clac;     /* () CPL 0; exits */
extern const IrHelper x86_h_stac;     /* () CPL 0; exits */

/* -- part 2: the integer front end ------------------------------------------------------------ */

extern const IrHelper x86_h_set_pc;   /* (pc) Cpu.pc = pc, for IR_exitr; cannot fault */
extern const IrHelper x86_h_select;   /* (condition, a, b) -> a if condition, else b; pure */
extern const IrHelper x86_h_read_seg; /* (seg) -> selector; cannot fault */
extern const IrHelper x86_h_cld;      /* () exits */
extern const IrHelper x86_h_std;      /* () exits */

/* (dividend AX, DX:AX or EDX:EAX, divisor) -> remainder << width | quotient; #DE */
extern const IrHelper x86_h_div8, x86_h_div16, x86_h_div32;
extern const IrHelper x86_h_idiv8, x86_h_idiv16, x86_h_idiv32;
extern const IrHelper x86_h_div64, x86_h_idiv64; /* (low, high, divisor) -> quotient; #DE */

/* (AX, packed flags, imm8) -> AX | packed flags << 16; AAM raises #DE */
extern const IrHelper x86_h_daa, x86_h_das, x86_h_aaa, x86_h_aas, x86_h_aam, x86_h_aad;

extern const IrHelper x86_h_bound;       /* (index, lower, upper) sign-extended; #BR */
extern const IrHelper x86_h_arpl;        /* (destination, source) -> new destination; pure */
extern const IrHelper x86_h_cmpxchg16b;  /* (seg, off); sets ZF */
extern const IrHelper x86_h_enter;       /* (bytes, level, osize) with level > 0 */
extern const IrHelper x86_h_string;      /* (X86String) -> nonzero: not finished, run it again */
extern const IrHelper x86_h_string_scan; /* the same for CMPS and SCAS; sets flags */
extern const IrHelper x86_h_string_io;   /* the same for INS and OUTS */

#endif
