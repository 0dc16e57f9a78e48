/*
 * mmu.h - guest-virtual memory as C code sees it, and the software TLB behind it.
 *
 * Addresses are linear (segment bases already added). Every function that touches memory may raise
 * a guest exception and then does not return (it unwinds to the run loop). Accesses may cross
 * pages; both pages are checked before any byte is written.
 */
#ifndef TCG_MMU_H
#define TCG_MMU_H

#include "tcg/cpu.h"

typedef enum { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH } Access;

/* What a guest's page walk answers. */
typedef struct {
    uint64_t gpa;       /* guest-physical address of the page of `vaddr` (4 KiB aligned) */
    bool read, write;   /* the TLB entry may serve these without another walk (write: D is set) */
    bool global;        /* survives tlb_flush_non_global() */
    uint64_t page_size; /* of the guest's mapping, for large-page accounting of flushes */
} PageMap;

/* -- access by helpers; `mmu` is the TLB class */
uint8_t cpu_ld8(Cpu *cpu, uint64_t va, unsigned mmu);
uint16_t cpu_ld16(Cpu *cpu, uint64_t va, unsigned mmu);
uint32_t cpu_ld32(Cpu *cpu, uint64_t va, unsigned mmu);
uint64_t cpu_ld64(Cpu *cpu, uint64_t va, unsigned mmu);
void cpu_st8(Cpu *cpu, uint64_t va, uint8_t v, unsigned mmu);
void cpu_st16(Cpu *cpu, uint64_t va, uint16_t v, unsigned mmu);
void cpu_st32(Cpu *cpu, uint64_t va, uint32_t v, unsigned mmu);
void cpu_st64(Cpu *cpu, uint64_t va, uint64_t v, unsigned mmu);
void cpu_ld_bytes(Cpu *cpu, uint64_t va, void *buf, size_t len, unsigned mmu);
void cpu_st_bytes(Cpu *cpu, uint64_t va, const void *buf, size_t len, unsigned mmu);

/*
 * Fault now if [va, va+len) may not be accessed so; len <= 4096. For writes it also forgets
 * translations of these bytes; a store that it covered cannot unwind for any reason.
 */
void cpu_probe(Cpu *cpu, uint64_t va, size_t len, Access access, unsigned mmu);

/*
 * Host address of `va` if the rest of its page is plain memory that may be accessed so, else NULL:
 * MMIO, or a write that might hit translated code; use cpu_ld and cpu_st then. May fault. For
 * string instructions.
 */
void *cpu_host_ptr(Cpu *cpu, uint64_t va, Access access, unsigned mmu);

/*
 * Host address for a read-modify-write of `size` bytes now, after all checks of a store; NULL: use
 * mmu_ld_slow() and mmu_st_slow() (a device, or the access crosses pages: both are checked then).
 */
void *mmu_rmw_ptr(Cpu *cpu, uint64_t va, size_t size, unsigned mmu);

/* Atomic compare-and-exchange of 16 bytes (cmpxchg16b); true if stored; *old gets the memory. */
bool cpu_cmpxchg16(Cpu *cpu, uint64_t va, const uint64_t expect[2], const uint64_t desired[2],
                   uint64_t old[2], unsigned mmu);

/* -- the slow path of translated accesses; size 1..8 (16: see _v) */
uint64_t mmu_ld_slow(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu);
void mmu_st_slow(Cpu *cpu, uint64_t va, uint64_t value, unsigned size, unsigned mmu);
void mmu_ldv_slow(Cpu *cpu, uint64_t va, VReg *v, unsigned size, unsigned mmu);
void mmu_stv_slow(Cpu *cpu, uint64_t va, const VReg *v, unsigned size, unsigned mmu);

/* -- guest-physical access, for page walks (never faults; absent memory reads as all ones) */
uint32_t phys_ld32(Tcg *tcg, uint64_t gpa);
uint64_t phys_ld64(Tcg *tcg, uint64_t gpa);
/* Set bits of a page-table entry atomically if it still is `old`. False: it changed, walk again. */
bool phys_update32(Tcg *tcg, uint64_t gpa, uint32_t old, uint32_t set);
bool phys_update64(Tcg *tcg, uint64_t gpa, uint64_t old, uint64_t set);

/* -- flushes of this CPU's TLB (and its jump cache) */
void tlb_flush(Cpu *cpu);            /* everything */
void tlb_flush_non_global(Cpu *cpu); /* may flush more */
void tlb_flush_page(Cpu *cpu,
                    uint64_t va); /* all classes; the whole mapping if it is a large page */

#endif
