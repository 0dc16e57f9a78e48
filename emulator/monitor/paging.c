/*
 * paging.c - what the guest's page tables map (Intel SDM volume 3, chapter 4): `info tlb` lists
 * pages, `info mem` ranges of equal protection.
 *
 * The tables are the guest's: a walk visits at most MAX_LINES pages, and loops end with the levels.
 */
#include <errno.h>
#include <inttypes.h>

#include "emulator/monitor/monitor.h"
#include "tcg/guest/x86/cpu.h"
#include "tcg/mmu.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PS = 0x80, PTE_G = 0x100 };
enum { MAX_LINES = 1 << 16 };
static const uint64_t pte_nx = UINT64_C(1) << 63, pte_addr = UINT64_C(0x000ffffffffff000);

typedef struct {
    Monitor *mon;
    Tcg *tcg;
    bool ranges; /* info mem */
    unsigned lines;
    uint64_t start, end, prot; /* the range that is being collected */
    bool wide;                 /* 8-byte entries */
} Walk;

static const char *prot_name(uint64_t prot)
{
    static const char *const names[] = { "-r-", "-rw", "ur-", "urw" };

    return names[(prot & PTE_U ? 2 : 0) | (prot & PTE_W ? 1 : 0)];
}

static void flush_range(Walk *w)
{
    if (w->end > w->start || (w->end == 0 && w->start))
        monitor_printf(w->mon, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %s%s\n", w->start,
                       w->end, w->end - w->start, prot_name(w->prot), w->prot & pte_nx ? "" : "x");
    w->lines++;
}

static void found_page(Walk *w, uint64_t va, uint64_t size, uint64_t pa, uint64_t prot)
{
    if (!w->ranges) {
        monitor_printf(w->mon, "%016" PRIx64 ": %016" PRIx64 " %s%s%s %s\n", va, pa,
                       prot_name(prot), prot & pte_nx ? "-" : "x", prot & PTE_G ? "g" : "-",
                       size == 0x1000       ? "4K"
                       : size == 0x40000000 ? "1G"
                                            : "large");
        w->lines++;
        return;
    }
    prot &= PTE_W | PTE_U | pte_nx;
    if (va != w->end || prot != w->prot) {
        if (w->end != w->start)
            flush_range(w);
        w->start = va;
        w->prot = prot;
    }
    w->end = va + size;
}

/* `prot` is what the levels above allow: W and U and-ed, NX or-ed. */
static void walk_table(Walk *w, uint64_t table, unsigned level, unsigned shift, uint64_t va,
                       uint64_t prot, unsigned entries)
{
    unsigned bits = w->wide ? 9 : 10;

    for (unsigned i = 0; i < entries && w->lines < MAX_LINES; i++) {
        uint64_t pte =
            w->wide ? phys_ld64(w->tcg, table + 8 * i) : phys_ld32(w->tcg, table + 4 * i);
        uint64_t here = va + ((uint64_t)i << shift);
        bool pdpte = w->wide && entries == 4; /* these have no protection bits */
        uint64_t now =
            pdpte ? prot : (prot & pte & (PTE_W | PTE_U)) | ((prot | pte) & pte_nx) | (pte & PTE_G);

        if (!(pte & PTE_P))
            continue;
        if (level == 1 || (!pdpte && level <= 3 && pte & PTE_PS && shift < 39)) {
            uint64_t size = UINT64_C(1) << shift;

            found_page(w, here, size, pte & pte_addr & ~(size - 1), now);
        } else {
            walk_table(w, pte & pte_addr, level - 1, shift - bits, here, now, 1u << bits);
        }
    }
}

static void walk_all(Walk *w, X86Cpu *x)
{
    uint64_t all = PTE_W | PTE_U;

    w->wide = (x->cr4 & CR4_PAE) != 0;
    if (x->msr.efer & EFER_LMA && x->cr4 & CR4_LA57)
        walk_table(w, x->cr3 & pte_addr, 5, 48, 0, all, 512);
    else if (x->msr.efer & EFER_LMA)
        for (unsigned half = 0; half < 2; half++)
            walk_table(w, (x->cr3 & pte_addr) + half * 2048, 4, 39,
                       half ? UINT64_C(0xffff800000000000) : 0, all, 256);
    else if (w->wide)
        walk_table(w, x->cr3 & 0xffffffe0, 3, 30, 0, all, 4);
    else
        walk_table(w, x->cr3 & 0xfffff000, 2, 22, 0, all, 1024);
}

static int show(Monitor *mon, bool ranges, Error **err)
{
    Machine *m = monitor_machine(mon);
    X86Cpu *x = x86(m->cpus[0].cpu);
    Walk w = { .mon = mon, .tcg = m->tcg, .ranges = ranges };

    vcpus_hold(m);
    bool paging = x->cr0 & (uint32_t)CR0_PG;
    if (paging)
        walk_all(&w, x);
    if (ranges && w.end != w.start)
        flush_range(&w);
    vcpus_release(m);
    return paging ? 0 : error_set(err, -EINVAL, "paging is off");
}

int info_mem(Monitor *mon, char *args, Error **err)
{
    (void)args;
    return show(mon, true, err);
}

int info_tlb(Monitor *mon, char *args, Error **err)
{
    (void)args;
    return show(mon, false, err);
}
