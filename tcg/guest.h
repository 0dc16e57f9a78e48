/*
 * guest.h - what the translator core needs to know of a guest architecture.
 */
#ifndef TCG_GUEST_H
#define TCG_GUEST_H

#include "base/error.h"
#include "tcg/mmu.h"

/*
 * The bytes a block is translated from. `page` is the page of the first instruction; `next` is the
 * page after it in virtual memory, or NULL: it is fetched only for an instruction that crosses, by
 * calling code_next_page(), which may raise a guest fault (only at a block's first instruction) or
 * fail.
 */
typedef struct {
    Cpu *cpu;
    const uint8_t *page;
    const uint8_t *next;
    uint32_t start; /* offset of the first instruction in `page` */
    uint64_t pc; /* its virtual address as the guest counts (for logs only: code is pc-relative) */
} CodeWindow;

struct GuestArch {
    const char *name;
    size_t state_size;
    unsigned n_globals;

    /* Make the state that of power-on with the named model; -EINVAL for a model that is not there.
     */
    int (*init)(Cpu *cpu, const char *model, Error **err);
    void (*reset)(Cpu *cpu);
    void (*free)(Cpu *cpu);

    /* Linear address of cpu->pc, and in *mmu the TLB class that fetches use. */
    uint64_t (*code_address)(Cpu *cpu, unsigned *mmu);

    /*
     * Translate from code->start into `b` (already reset): at least one instruction, up to
     * max_insns, not past the page's end but for an instruction that crosses it, which must be
     * alone in its block. An instruction that cannot be fetched or decoded becomes a call that
     * raises.
     */
    void (*translate)(Cpu *cpu, IrBlock *b, CodeWindow *code, unsigned max_insns);

    /*
     * Walk the page tables for an access. True: *map is filled. False: no translation; if `raise`,
     * the guest exception is raised instead (does not return). Sets accessed/dirty bits unless
     * `peek`.
     */
    bool (*walk)(Cpu *cpu, uint64_t va, Access access, unsigned mmu, bool raise, bool peek,
                 PageMap *map);

    /* A segment's fast limit failed: raise, or return if the access is allowed after all. */
    void (*limit_slow)(Cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write);
    /* While cpu->watching: an access to a page that walk() keeps out of the TLB (data breakpoints).
     */
    void (*watch)(Cpu *cpu, uint64_t va, unsigned size, bool write);
    /* MEM_ALIGN failed. */
    NORETURN void (*misaligned)(Cpu *cpu, uint64_t va);
    /* A vector operation set a flag in Cpu.mxcsr whose exception is not masked. */
    NORETURN void (*fp_exception)(Cpu *cpu);

    /*
     * Run loop, outside translated code, after every cpu_unwind() and whenever deliverable() says
     * so: deliver what is pending (exception raised before cpu_unwind, interrupts whose CPU_REQ_*
     * bit is set and that are not masked; takes edge requests out of cpu->requests, ends a halt).
     * May raise and unwind again.
     */
    void (*deliver)(Cpu *cpu);
    /* CPU_REQ_* that would be acted on now (wakes a halted CPU). */
    uint32_t (*deliverable)(Cpu *cpu);

    /* For debug.h: what a debugger wants has changed; registers by gdb's numbers. */
    void (*debug_changed)(Cpu *cpu);
    size_t (*debug_get_reg)(Cpu *cpu, unsigned n, uint8_t *buf);
    size_t (*debug_set_reg)(Cpu *cpu, unsigned n, const uint8_t *buf);
    const char *(*debug_target)(Cpu *cpu);
    uint32_t debug_mode; /* of blocks whose instructions each call debug_check() first */

    /* Registers as `info registers` shows them. */
    void (*dump)(Cpu *cpu, FILE *out);
};

/* The second page of an instruction that crosses; see CodeWindow. NULL: not now (end the block
 * before it). */
const uint8_t *code_next_page(CodeWindow *code, bool first_insn);

extern const GuestArch x86_guest;

#endif
