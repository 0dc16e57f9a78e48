/*
 * host.h - what the translator core needs to know of a host back end.
 */
#ifndef TCG_HOST_H
#define TCG_HOST_H

#include "base/error.h"
#include "tcg/cpu.h"

/* A translated block. Its host code and side table belong to the back end. */
struct Block {
    uint64_t gpa;  /* guest-physical address of the first byte */
    uint64_t gpa2; /* of the second page if an instruction crosses, else UINT64_MAX */
    uint32_t mode;
    uint16_t len; /* bytes of guest code */
    uint16_t n_insns;
    void *host; /* entry (x86_64: code; interp: its own ops) */
    uint32_t host_len;
    void *side; /* fault sites: host offset -> guest pc delta, flags recipe */
    Block *hash_next;
    Block *page_next[2]; /* blocks of the same guest-physical page */
    void *links;         /* jumps linked to this block, for unlinking (back end's) */
    bool dead;
    uint8_t n_jump_slots; /* entries of the jump cache that had it: core's */
    uint16_t jump_slots[3];
};

typedef struct {
    const char *name; /* "x86_64", "interp" */
    int (*init)(Tcg *tcg, size_t cache_size, Error **err);
    void (*free)(Tcg *tcg);
    void (*cpu_init)(Cpu *cpu);

    /* Make host code of `ir`; false: the code cache is full (the core then flushes everything and
     * retries). */
    bool (*compile)(Tcg *tcg, Cpu *cpu, IrBlock *ir, Block *block);

    /*
     * Run from `block` (cpu->rip_page set by the core) until an exit to the dispatcher. On return
     * cpu->pc is exact. Faults unwind by cpu_unwind() instead. Returns the jump slot to link to the
     * next block, or NULL.
     */
    void *(*enter)(Cpu *cpu, Block *block);

    /* The exit `slot` of an earlier block goes straight to `to` from now on (same page, same mode).
     */
    void (*link)(Tcg *tcg, void *slot, Block *to);
    /* Nobody may jump to `block` any more. */
    void (*unlink)(Tcg *tcg, Block *block);

    /* Set cpu->pc and flags of the site in cpu->site (cpu_restore_state). */
    void (*restore)(Cpu *cpu);
    void (*flush_all)(Tcg *tcg); /* the whole code cache is empty again */
} HostBackend;

extern const HostBackend host_interp;
extern const HostBackend host_x86_64;

#endif
