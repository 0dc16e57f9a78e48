/*
 * walk.c - page walks: 32-bit, PAE and 4-level tables (SDM volume 3, chapter 4).
 *
 * This is the TLB's refill path. Accessed and dirty bits are set only once the access is known to
 * be allowed, each atomically against the entry as it was read; if another processor was faster,
 * the walk starts again.
 */
#include "tcg/debug.h"
#include "tcg/guest/x86/system.h"

#define PTE_NX ((uint64_t)1 << 63)

enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };
enum { MAX_LEVELS = 4 };

typedef struct {
    uint64_t entry[MAX_LEVELS], at[MAX_LEVELS]; /* visited, the leaf last */
    unsigned n;
    bool wide;       /* entries of 8 bytes */
    uint64_t common; /* AND of all entries' W and U, and of the inverse of NX */
    unsigned shift;  /* log2 of the page size */
    uint64_t base;   /* physical address of the page */
} Path;

typedef enum { WALK_OK, WALK_NOT_PRESENT, WALK_RESERVED } WalkResult;

static uint64_t phys_mask(const X86Cpu *x)
{
    return ((uint64_t)1 << x->model.phys_bits) - 1;
}

static void path_add(Path *p, uint64_t at, uint64_t entry)
{
    p->at[p->n] = at;
    p->entry[p->n++] = entry;
    p->common &= entry ^ PTE_NX;
}

/* 8-byte entries, from `level` down. */
static WalkResult descend_wide(X86Cpu *x, uint64_t va, uint64_t table, unsigned level, Path *p)
{
    bool lma = x86_long_mode(x);
    uint64_t addr_mask = phys_mask(x) & ~(uint64_t)0xfff;
    uint64_t top = lma ? (uint64_t)0xfffff << 32 : (uint64_t)0x7fffffff << 32;
    uint64_t reserved = (x->msr.efer & EFER_NXE ? 0 : PTE_NX) | (top & ~phys_mask(x));
    bool gigabyte = x->model.feat_81_edx & 1 << 26;

    for (;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t at = table + (va >> shift & 511) * 8;
        uint64_t e = phys_ld64(x->c.tcg, at);
        bool leaf = level == 1 || (e & PTE_PS);

        if (!(e & PTE_P))
            return WALK_NOT_PRESENT;
        if (e & reserved)
            return WALK_RESERVED;
        path_add(p, at, e);
        if (!leaf) {
            table = e & addr_mask;
            continue;
        }
        if (level == 4 || (level == 3 && !gigabyte))
            return WALK_RESERVED;
        uint64_t offset = ((uint64_t)1 << shift) - 1;
        if (level > 1 && (e & offset & ~(uint64_t)0x1fff)) /* bit 12 is PAT */
            return WALK_RESERVED;
        p->shift = shift;
        p->base = e & addr_mask & ~offset;
        return WALK_OK;
    }
}

/* Two levels of 4-byte entries; 4 MiB pages with CR4.PSE, above 4 GiB with PSE-36. */
static WalkResult descend_narrow(X86Cpu *x, uint64_t va, Path *p)
{
    uint64_t at = (x->cr3 & 0xfffff000) + (va >> 22 & 1023) * 4;
    uint32_t e = phys_ld32(x->c.tcg, at);

    if (!(e & PTE_P))
        return WALK_NOT_PRESENT;
    path_add(p, at, e);
    if ((e & PTE_PS) && (x->cr4 & CR4_PSE)) {
        bool pse36 = x->model.feat_1_edx & 1 << 17;
        uint64_t high = (uint64_t)(e >> 13 & 0xff) << 32;

        if ((e & 1 << 21) || (high && !pse36) || (high & ~phys_mask(x)))
            return WALK_RESERVED;
        p->shift = 22;
        p->base = (e & 0xffc00000) | high;
        return WALK_OK;
    }
    at = (e & 0xfffff000) + (va >> 12 & 1023) * 4;
    e = phys_ld32(x->c.tcg, at);
    if (!(e & PTE_P))
        return WALK_NOT_PRESENT;
    path_add(p, at, e);
    p->shift = 12;
    p->base = e & 0xfffff000;
    return WALK_OK;
}

static WalkResult descend(X86Cpu *x, uint64_t va, Path *p)
{
    *p = (Path) { .common = ~(uint64_t)0 };
    if (!(x->cr4 & CR4_PAE))
        return descend_narrow(x, va, p);
    p->wide = true;
    if (x86_long_mode(x))
        return descend_wide(x, va, x->cr3 & phys_mask(x) & ~(uint64_t)0xfff, 4, p);
    uint64_t pdpte = x->pdpte[va >> 30 & 3];
    if (!(pdpte & PTE_P))
        return WALK_NOT_PRESENT;
    return descend_wide(x, va, pdpte & phys_mask(x) & ~(uint64_t)0xfff, 2, p);
}

typedef struct {
    bool read, write, fetch;
} Rights;

static Rights rights_of(const X86Cpu *x, const Path *p, unsigned mmu)
{
    bool user = p->common & PTE_U, writable = p->common & PTE_W;
    bool executable = !p->wide || (p->common & PTE_NX) || !(x->msr.efer & EFER_NXE);

    if (mmu == MMU_USER)
        return (Rights) { user, user && writable, user && executable };
    bool reach = !user || mmu == MMU_KERNEL_AC || !(x->cr4 & CR4_SMAP);
    return (Rights) { reach, reach && (writable || !(x->cr0 & CR0_WP)),
                      executable && !(user && (x->cr4 & CR4_SMEP)) };
}

static bool allowed(const Rights *r, Access access)
{
    return access == ACCESS_READ ? r->read : access == ACCESS_WRITE ? r->write : r->fetch;
}

/* Set A on the way, and D in the leaf for a write. False: an entry changed, walk again. */
static bool mark(X86Cpu *x, Path *p, bool dirty)
{
    for (unsigned i = 0; i < p->n; i++) {
        uint64_t set = PTE_A | (dirty && i == p->n - 1 ? PTE_D : 0);
        uint64_t old = p->entry[i];

        if ((old & set) == set)
            continue;
        if (!(p->wide ? phys_update64(x->c.tcg, p->at[i], old, set)
                      : phys_update32(x->c.tcg, p->at[i], old, set)))
            return false;
        p->entry[i] = old | set;
    }
    return true;
}

NORETURN static void raise_page_fault(X86Cpu *x, uint64_t va, Access access, unsigned mmu,
                                      WalkResult why)
{
    bool nx = (x->cr4 & CR4_PAE) && (x->msr.efer & EFER_NXE);
    uint32_t error = (why == WALK_NOT_PRESENT ? 0 : PF_P) | (why == WALK_RESERVED ? PF_RSVD : 0) |
                     (access == ACCESS_WRITE ? PF_W : 0) | (mmu == MMU_USER ? PF_U : 0) |
                     (access == ACCESS_FETCH && (nx || (x->cr4 & CR4_SMEP)) ? PF_I : 0);

    x->cr2 = va;
    x86_raise_error(x, EXC_PF, error);
}

static bool walk_fault(X86Cpu *x, uint64_t va, Access access, unsigned mmu, bool raise,
                       WalkResult why)
{
    if (raise)
        raise_page_fault(x, va, access, mmu, why);
    return false;
}

/* A page with a data breakpoint never enters the TLB. */
static void apply_watch(X86Cpu *x, uint64_t va, PageMap *map)
{
    if (unlikely(x->c.watching) &&
        (x86_has_watch(x, va & ~(uint64_t)0xfff) || debug_page_is_watched(x->c.tcg, va)))
        map->read = map->write = false;
}

static bool walk_unpaged(X86Cpu *x, uint64_t va, PageMap *map)
{
    *map = (PageMap) { .gpa = va & 0xfffff000, .read = true, .write = true, .page_size = 4096 };
    apply_watch(x, va, map);
    return true;
}

bool x86_walk(Cpu *cpu, uint64_t va, Access access, unsigned mmu, bool raise, bool peek,
              PageMap *map)
{
    X86Cpu *x = x86(cpu);
    Path p;
    Rights r;

    if (!(x->cr0 & CR0_PG))
        return walk_unpaged(x, va, map);
    if (unlikely(!x86_canonical(va)) && x86_long_mode(x)) {
        if (raise)
            x86_raise_error(x, EXC_GP, 0);
        return false;
    }
    do {
        WalkResult why = descend(x, va, &p);

        if (why != WALK_OK)
            return walk_fault(x, va, access, mmu, raise, why);
        r = rights_of(x, &p, mmu);
        if (!peek && !allowed(&r, access))
            return walk_fault(x, va, access, mmu, raise, WALK_OK);
    } while (!peek && !mark(x, &p, access == ACCESS_WRITE));

    uint64_t offset = ((uint64_t)1 << p.shift) - 1, leaf = p.entry[p.n - 1];
    *map = (PageMap) {
        .gpa = p.base | (va & offset & ~(uint64_t)0xfff),
        .read = r.read,
        .write = r.write && (leaf & PTE_D),
        .global = (leaf & PTE_G) && (x->cr4 & CR4_PGE),
        .page_size = offset + 1,
    };
    apply_watch(x, va, map);
    return true;
}

/* SDM 4.4.1: the four entries are read when CR3 is loaded, and reserved bits refuse the load. */
void x86_load_pdptes(X86Cpu *x, uint64_t cr3)
{
    uint64_t reserved = 0x1e6 | ~phys_mask(x), pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = phys_ld64(x->c.tcg, (cr3 & 0xffffffe0) + 8 * i);
        if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
            x86_raise_error(x, EXC_GP, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        x->pdpte[i] = pdpte[i];
}
