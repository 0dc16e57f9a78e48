/*
 * system.h - what the parts of the x86 system architecture share (Intel SDM volume 3, AMD APM
 * volume 2): segments, stacks, control transfers, events, control registers.
 *
 * Functions that can raise do so before they change any guest register; where an instruction loads
 * several things, everything is read and checked first and committed last.
 */
#ifndef TCG_GUEST_X86_SYSTEM_H
#define TCG_GUEST_X86_SYSTEM_H

#include "tcg/guest/x86/helpers.h"

static inline bool x86_protected(const X86Cpu *x) /* protected mode proper: not real, not V86 */
{
    return (x->c.mode & (MODE_PE | MODE_VM)) == MODE_PE;
}

static inline bool x86_code64(const X86Cpu *x)
{
    return (x->c.mode & MODE_CODE) == MODE_CODE64;
}

static inline bool x86_long_mode(const X86Cpu *x)
{
    return x->msr.efer & EFER_LMA;
}

static inline bool x86_seg_is64(const X86Cpu *x, const X86Seg *cs)
{
    return x86_long_mode(x) && (cs->attr & DESC_L);
}

static inline unsigned x86_iopl(const X86Cpu *x)
{
    return x->eflags >> 12 & 3;
}

static inline bool x86_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

static inline unsigned sel_rpl(uint16_t sel)
{
    return sel & 3;
}

static inline bool sel_null(uint16_t sel)
{
    return (sel & ~3) == 0;
}

/* -- segments (seg.c) */
typedef struct {
    uint64_t raw;  /* the descriptor's eight bytes */
    uint64_t addr; /* linear address of the descriptor */
} X86Desc;

/* Types of system descriptors (bits 8..12 of the second word, S = 0). */
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK_GATE = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
};

static inline uint32_t desc_attr(uint64_t raw)
{
    return raw >> 32 & 0xf0ff00;
}

static inline unsigned desc_type(uint64_t raw) /* with the S bit as bit 4 */
{
    return raw >> 40 & 0x1f;
}

static inline unsigned desc_dpl(uint64_t raw)
{
    return raw >> 45 & 3;
}

static inline unsigned attr_dpl(uint32_t attr)
{
    return attr >> DESC_DPL_SHIFT & 3;
}

static inline bool attr_is_code(uint32_t attr)
{
    return (attr & (DESC_S | DESC_CODE)) == (DESC_S | DESC_CODE);
}

static inline bool attr_is_conforming(uint32_t attr)
{
    return (attr & (DESC_S | DESC_CODE | DESC_C)) == (DESC_S | DESC_CODE | DESC_C);
}

static inline bool attr_is_data(uint32_t attr)
{
    return (attr & (DESC_S | DESC_CODE)) == DESC_S;
}

static inline bool attr_is_stack(uint32_t attr) /* writable data */
{
    return (attr & (DESC_S | DESC_CODE | DESC_W)) == (DESC_S | DESC_W);
}

X86Seg x86_seg_of_desc(uint16_t sel, uint64_t raw);

/* False: the selector is beyond its table. */
bool x86_desc_read(X86Cpu *x, uint16_t sel, X86Desc *out);
/* The same, raising `vector`(sel). */
X86Desc x86_desc_need(X86Cpu *x, uint16_t sel, unsigned vector);
/* Set the accessed bit in memory if it is clear. */
void x86_desc_touch(X86Cpu *x, X86Desc *desc);
/* The upper half of a 16-byte system descriptor: bits 32..63 of its base or offset. */
uint64_t x86_desc_high(X86Cpu *x, const X86Desc *desc, uint16_t sel, unsigned vector);

/* Commit a segment register: fast limits follow; the caller calls x86_update_mode(). */
void x86_seg_set(X86Cpu *x, unsigned seg, const X86Seg *s);
void x86_seg_set_null(X86Cpu *x, unsigned seg, uint16_t sel);
void x86_seg_set_real(X86Cpu *x, unsigned seg, uint16_t sel);
void x86_seg_set_v86(X86Cpu *x, unsigned seg, uint16_t sel);
/* Recompute all fast limits: the rules changed (mode switch). */
void x86_seg_windows(X86Cpu *x);

/* MOV/POP/Lxx to ES SS DS FS GS, in any mode. */
void x86_load_seg(X86Cpu *x, unsigned seg, uint16_t sel);
/* Check a stack segment for privilege level `cpl`; raises `vector` (#TS, #GP). Not committed. */
X86Seg x86_check_ss(X86Cpu *x, uint16_t sel, unsigned cpl, unsigned vector);

bool x86_seg_allows(const X86Seg *s, uint64_t offset, unsigned size);
void x86_limit_slow(Cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write);

void x86_lldt(X86Cpu *x, uint16_t sel);
void x86_ltr(X86Cpu *x, uint16_t sel);
/* LAR, LSL: false: ZF = 0. VERR, VERW. */
bool x86_lar(X86Cpu *x, uint16_t sel, uint32_t *out);
bool x86_lsl(X86Cpu *x, uint16_t sel, uint32_t *out);
bool x86_ver(X86Cpu *x, uint16_t sel, bool write);

/* -- stacks (sysstack.c): a stack that is not yet, or perhaps never, the CPU's */
typedef struct {
    X86Cpu *x;
    X86Seg ss;
    uint64_t sp, mask;
    unsigned mmu;
    uint32_t error; /* of the #SS for a limit violation */
} X86Stack;

X86Stack x86_stack_current(X86Cpu *x);
X86Stack x86_stack_new(X86Cpu *x, const X86Seg *ss, uint64_t sp, unsigned cpl, uint32_t error);
void x86_stack_push(X86Stack *st, uint64_t value, unsigned size);
uint64_t x86_stack_pop(X86Stack *st, unsigned size);
/* Make the stack pointer the CPU's (not SS). */
void x86_stack_commit_sp(const X86Stack *st);
/* SS:ESP of a more privileged level from the TSS; raises #TS. */
X86Stack x86_stack_inner(X86Cpu *x, unsigned cpl);
/* Long mode: RSP0..2, or IST1..7 as 4 + n - 1. */
uint64_t x86_tss64_sp(X86Cpu *x, unsigned slot);

/* -- control transfers (far.c, iret.c, syscall.c); sizes are operand sizes in bytes */
void x86_set_cs_real(X86Cpu *x, uint16_t sel); /* real or V86 mode */
/* Check a code segment for a transfer without change of level to `sel`; raises. Not committed. */
X86Seg x86_check_cs(X86Cpu *x, uint16_t sel, X86Desc *desc);
/* CS and SS of a return to the level in the selector (RETF, IRET); raise. Not committed. */
X86Seg x86_check_return_cs(X86Cpu *x, uint16_t sel);
X86Seg x86_check_return_ss(X86Cpu *x, uint16_t sel, unsigned cpl, bool to64);
/* Take the outer stack and drop the inner data segments; CS is committed after it. */
void x86_commit_outer(X86Cpu *x, const X86Seg *ss, uint64_t sp, unsigned cpl, bool to64);
void x86_check_target(X86Cpu *x, const X86Seg *cs, uint64_t pc);
void x86_commit_cs(X86Cpu *x, const X86Seg *cs, unsigned cpl, uint64_t pc);
void x86_far_jump(X86Cpu *x, uint16_t sel, uint64_t off, unsigned size, uint64_t next);
void x86_far_call(X86Cpu *x, uint16_t sel, uint64_t off, unsigned size, uint64_t next);
void x86_far_return(X86Cpu *x, unsigned size, unsigned drop);
void x86_iret(X86Cpu *x, unsigned size, uint64_t next);
void x86_syscall(X86Cpu *x, uint64_t next);
void x86_sysret(X86Cpu *x, unsigned size);
void x86_sysenter(X86Cpu *x);
void x86_sysexit(X86Cpu *x, unsigned size);

/* -- events (exception.c, event.c) */
typedef enum {
    EVENT_FAULT, /* the pushed pc is the instruction's, RF is set in the pushed flags */
    EVENT_TRAP,  /* after an instruction */
    EVENT_SOFT,  /* INT n, INT3, INTO: gate privilege is checked */
    EVENT_INTR,  /* from outside */
} X86EventKind;

typedef struct {
    X86EventKind kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t pc; /* to return to */
} X86Event;

void x86_event(X86Cpu *x, const X86Event *ev); /* enter the handler; may raise */
void x86_soft_int(X86Cpu *x, uint8_t n, uint64_t next, bool check_v86);
void x86_log_event(X86Cpu *x, const X86Event *ev); /* -d int */
NORETURN void x86_shutdown(X86Cpu *x, unsigned vector, uint32_t error);
/* #DB after the current instruction, whose effects are complete; `next` is where it goes on. */
NORETURN void x86_trap_after(X86Cpu *x, uint64_t dr6, uint64_t next);
/* The same at the end of a block that leaves to the dispatcher: does not unwind. */
void x86_trap_later(X86Cpu *x, uint64_t dr6, uint64_t next);
void x86_init_signal(X86Cpu *x); /* INIT: a reset that keeps FPU, SSE and MSRs */
void x86_deliver(Cpu *cpu);
uint32_t x86_deliverable(Cpu *cpu);
NORETURN void x86_misaligned(Cpu *cpu, uint64_t va);
/* GuestArch.fp_exception: #XM, or #UD without CR4.OSXMMEXCPT. */
NORETURN void x86_fp_exception(Cpu *cpu);

/* -- tasks (task.c) */
typedef enum { TASK_JUMP, TASK_CALL, TASK_INT, TASK_IRET } X86TaskCause;
/* `desc` is that of a TSS, checked for presence and type by the caller's rules. */
void x86_task_switch(X86Cpu *x, uint16_t sel, const X86Desc *desc, X86TaskCause cause,
                     uint64_t next);
/* Through a task gate or directly: checks the TSS descriptor, raising `vector` errors. */
void x86_task_enter(X86Cpu *x, uint16_t sel, X86TaskCause cause, uint64_t next);
void x86_task_return(X86Cpu *x, uint64_t next);

/* -- paging (walk.c) */
bool x86_walk(Cpu *cpu, uint64_t va, Access access, unsigned mmu, bool raise, bool peek,
              PageMap *map);
void x86_load_pdptes(X86Cpu *x, uint64_t cr3); /* raises #GP for reserved bits */

/* -- control, debug and model-specific registers (crs.c, debug.c, msr.c, cpuid.c, models.c) */
uint64_t x86_read_cr(X86Cpu *x, unsigned n);
void x86_write_cr(X86Cpu *x, unsigned n, uint64_t v);
void x86_write_efer(X86Cpu *x, uint64_t v);
void x86_lmsw(X86Cpu *x, uint16_t v);
uint64_t x86_read_dr(X86Cpu *x, unsigned n);
void x86_write_dr(X86Cpu *x, unsigned n, uint64_t v);
/* Before an instruction under MODE_CODE_BP: code breakpoints, and traps left by the last one. */
void x86_check_breakpoints(X86Cpu *x, uint64_t pc);
/* A breakpoint on an I/O port or on data: the trap comes before the next instruction. */
void x86_watch(X86Cpu *x, uint64_t addr, unsigned len, bool write, bool io);
void x86_watch_data(Cpu *cpu, uint64_t va, unsigned size, bool write);
bool x86_watches_data(const X86Cpu *x);
/* gdb.c */
void x86_debug_changed(Cpu *cpu);
size_t x86_debug_get_reg(Cpu *cpu, unsigned n, uint8_t *buf);
size_t x86_debug_set_reg(Cpu *cpu, unsigned n, const uint8_t *buf);
const char *x86_debug_target(Cpu *cpu);
bool x86_has_watch(const X86Cpu *x, uint64_t page);
uint64_t x86_rdmsr(X86Cpu *x, uint32_t n);
void x86_wrmsr(X86Cpu *x, uint32_t n, uint64_t v);
void x86_msr_reset(X86Cpu *x);
uint64_t x86_rdtsc(X86Cpu *x);
void x86_cpuid(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t out[4]);
int x86_model_find(X86Cpu *x, const char *name, Error **err);
uint32_t x86_signature(const X86Model *m); /* CPUID leaf 1, EAX */
void x86_dump(Cpu *cpu, FILE *out);

/* XCR0 bits of the model: x87 and SSE. */
static inline uint64_t x86_xcr0_allowed(const X86Cpu *x)
{
    return x->model.feat_1_ecx & 1 << 26 ? 3 : 0;
}

/* -- instructions with rules of their own (io.c, eflags.c) */
void x86_cli(X86Cpu *x);
void x86_sti(X86Cpu *x); /* with its shadow */
uint64_t x86_pushf(X86Cpu *x, unsigned size);
void x86_popf(X86Cpu *x, uint64_t value, unsigned size);

static inline void x86_end_shadow(X86Cpu *x)
{
    x->c.mode &= ~MODE_SHADOW;
}

static inline void x86_set_shadow(X86Cpu *x)
{
    x->c.mode |= MODE_SHADOW;
}

#endif
