/*
 * cpu.h - the part of a virtual CPU that every guest shares and that translated code addresses.
 *
 * A guest's own state struct begins with a Cpu. It is allocated by tcg_cpu_new() at the start of
 * one large mapping; the TLB tables follow at fixed distances (TLB_AREA), so that host code reaches
 * everything from one base register.
 */
#ifndef TCG_CPU_H
#define TCG_CPU_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tcg/ir.h"

typedef struct Tcg Tcg;
typedef struct GuestArch GuestArch;
typedef struct Block Block;

typedef union {
    uint8_t b[32];
    uint16_t w[16];
    uint32_t d[8];
    uint64_t q[4];
    float f[8];
    double g[4];
} VReg __attribute__((aligned(32)));

/* TLB: direct mapped, one table a class and direction. A hit: address - tag <= 4096 - access size.
 */
typedef struct {
    uint64_t tag; /* guest-virtual page address; an unused entry holds an address of another slot */
    uint64_t addend; /* host address - guest-virtual address */
} TlbEntry;

enum {
    MMU_CLASSES = 4,
    TLB_MAX_ENTRIES = 1 << 16,
    TLB_TABLE_SIZE = TLB_MAX_ENTRIES * sizeof(TlbEntry),
    CPU_STATE_MAX = 1 << 20, /* the guest's state struct fits in this; the tables start here */
    JUMP_CACHE_ENTRIES = 16384,
};
#define TLB_AREA(mmu, write) (CPU_STATE_MAX + (2 * (size_t)(mmu) + (write)) * TLB_TABLE_SIZE)

/*
 * Indirect jumps: tag = pc + cpu->jump_key, at index jump_index(pc); 0 host: unused. The core fills
 * it; host is Block.host.
 */
typedef struct {
    uint64_t tag;
    void *host;
} JumpEntry;

static inline unsigned jump_index(uint64_t pc)
{
    return (pc ^ pc >> 8) & (JUMP_CACHE_ENTRIES - 1);
}

/*
 * What translated code knows of a segment. A MEM_LIMIT access of n bytes passes if
 * offset + n - 1 < end, in 64 bits. 0: only guest->limit_slow() can tell (null, expand-down,
 * unreadable).
 */
typedef struct {
    uint64_t base;
    uint64_t read_end, write_end;
} SegWindow;

struct Cpu {
    /* -- hot: translated code reaches what comes before gpr[22] with a short displacement */
    uint64_t cc_a, cc_b;
    uint32_t cc_lazy;  /* LAZY(kind, width) */
    uint32_t mode;     /* guest mode bits of the next block; kept up to date by the guest's code */
    uint64_t rip_page; /* pc = rip_page + offset in page, while translated code runs */
    uint64_t jump_key;
    _Atomic uint8_t exit_request; /* tested at back edges and indirect jumps, not at entry */
    uint8_t vec_live;             /* vector registers are in host registers now (back end's) */
    uint32_t mxcsr;
    uint32_t tlb_mask[MMU_CLASSES]; /* (entries - 1) * sizeof(TlbEntry) */
    void *host_sp;                  /* host stack pointer of the running enter() */
    uint64_t site;    /* return address of the running helper, identifies the faulting site */
    uint64_t gpr[40]; /* guest globals */
    SegWindow seg[8];
    uint64_t spill[64] __attribute__((aligned(32))); /* temporaries and scratch of the back end */

    /* -- cool */
    VReg vec[V_COUNT];
    uint64_t pc; /* exact whenever C code other than a helper runs */
    const GuestArch *guest;
    Tcg *tcg;
    unsigned index;
    bool halted;   /* set by HLT, cleared by guest->deliver(): the run loop returns RUN_HALTED */
    bool shutdown; /* set by a triple fault, cleared by reset: RUN_SHUTDOWN */
    bool in_code;  /* between enter() and exit: pc and flags must be restored from `site` */
    bool watching; /* set by the guest: guest->watch() is told of accesses outside the TLB */
    struct CpuCore *core;
    jmp_buf unwind;             /* the run loop: cpu_unwind() goes there */
    _Atomic uint32_t requests;  /* CPU_REQ_* */
    _Atomic uint8_t start_page; /* CPU_REQ_SIPI: the 4 KiB page where the CPU starts */
    uint64_t insns;             /* executed, approximate (exact under icount) */
    Block *current;
    JumpEntry jump_cache[JUMP_CACHE_ENTRIES];
    Block *jump_block[JUMP_CACHE_ENTRIES]; /* whose Block.host the entry beside has */
};

/* -- flags */
static inline uint32_t cpu_flags(const Cpu *cpu)
{
    return flags_compute(cpu->cc_lazy, cpu->cc_a, cpu->cc_b);
}

static inline void cpu_set_flags(Cpu *cpu, uint32_t packed)
{
    cpu->cc_lazy = LAZY(LAZY_PACKED, 0);
    cpu->cc_a = packed & FLAGS_ALL;
}

/*
 * Make cpu->pc and the flags those of the start of the instruction being executed; call it from a
 * helper or slow path before looking at them for an exception. Cheap when already done.
 */
void cpu_restore_state(Cpu *cpu);

/* Leave whatever runs and go back to the run loop, which looks at requests and the guest's pending
 * event. */
NORETURN void cpu_unwind(Cpu *cpu);

#endif
