/*
 * mmu.c - guest-virtual memory for C code and the slow path of translated code (mmu.h).
 *
 * A TLB miss walks the guest's page tables and puts the page into the TLB if plain accesses may go
 * there directly. Everything else (devices, ROM, logged video memory, pages with translated code)
 * comes here each time, and is remembered in a small cache of its own.
 */
#include <string.h>

#include "tcg/core.h"

/* -- translation */

typedef struct {
    PhysPage *page;
    uint64_t gpa; /* of the byte */
} Place;

static void fill_tlb(Cpu *cpu, uint64_t va_page, unsigned mmu, const PageMap *map, PhysPage *page)
{
    if (!page->host)
        return;
    if (map->read)
        tlb_set(cpu, mmu, false, va_page, page->host, map->global);
    if (!map->write || page_has_code(page) ||
        (page->flags & (PAGE_WRITABLE | PAGE_LOG_DIRTY)) != PAGE_WRITABLE)
        return;
    if (!(page->flags & PAGE_WRITE_TLB)) {
        atomic_fetch_or(&page->flags, PAGE_WRITE_TLB);
        if (page_has_code(page)) /* another CPU has just begun to translate from it */
            return;
    }
    tlb_set(cpu, mmu, true, va_page, page->host, map->global);
}

static SlowEntry *slow_entry(Cpu *cpu, uint64_t va, unsigned mmu, bool write, uint64_t *key)
{
    *key = (va >> PAGE_BITS) << 3 | mmu << 1 | write;
    return &cpu->core->slow[(*key ^ *key >> 6) & (SLOW_ENTRIES - 1)];
}

/* Where `va` is; raises if it may not be accessed. Fills the TLB if it can. */
static Place find_place(Cpu *cpu, uint64_t va, bool write, unsigned mmu)
{
    uint64_t key;
    SlowEntry *slow = slow_entry(cpu, va, mmu, write, &key);
    PageMap map = { 0 };

    if (slow->key == key && slow->epoch == cpu->core->tlb_epoch && slow->page &&
        !(write && slow->page->host && !page_has_code(slow->page) &&
          (slow->page->flags & (PAGE_WRITABLE | PAGE_LOG_DIRTY)) == PAGE_WRITABLE))
        return (Place) { slow->page, slow->gpa | (va & PAGE_MASK) };
    cpu->guest->walk(cpu, va, write ? ACCESS_WRITE : ACCESS_READ, mmu, true, false, &map);
    PhysPage *page = phys_page(cpu->tcg, map.gpa);
    if (map.page_size > PAGE_SIZE)
        tlb_note_large(cpu, va, map.page_size);
    fill_tlb(cpu, va & ~(uint64_t)PAGE_MASK, mmu, &map, page);
    *slow = (SlowEntry) { .key = key, .epoch = cpu->core->tlb_epoch, .gpa = map.gpa, .page = page };
    return (Place) { page, map.gpa | (va & PAGE_MASK) };
}

static bool crosses(uint64_t va, size_t size)
{
    return (va & PAGE_MASK) + size > PAGE_SIZE;
}

/* -- self-modifying code */

NORETURN static void run_again_alone(Cpu *cpu)
{
    cpu_restore_state(cpu);
    cpu->core->want_alone = true;
    cpu_unwind(cpu);
}

/*
 * A store is about to change translated code. The blocks go; if translated code does the store, its
 * own block may be one of them, so the instruction is undone and run again alone.
 */
void mmu_code_written(Cpu *cpu, PhysPage *page, uint64_t gpa, size_t len)
{
    bool hit =
        code_cache_may_hit(page, gpa, len) && code_cache_invalidate(cpu->tcg, page, gpa, len);

    if (!hit || !cpu->in_code || cpu->core->running_alone) {
        code_cache_note_store(cpu, page, gpa, len);
        return;
    }
    run_again_alone(cpu);
}

/* -- one access inside a page */

/* Host memory that a store to `at` may go to now, after whatever must be told; NULL: a device. */
static uint8_t *store_ptr(Cpu *cpu, Place at, size_t size)
{
    PhysPage *page = at.page;

    if (!page->host || !(page->flags & PAGE_WRITABLE))
        return NULL;
    if (page->flags & PAGE_LOG_DIRTY)
        cpu->tcg->bus.dirty(cpu->tcg->bus.opaque, at.gpa, size);
    if (page_has_code(page))
        mmu_code_written(cpu, page, at.gpa, size);
    return page->host + (at.gpa & PAGE_MASK);
}

static uint64_t ld_place(Cpu *cpu, Place at, unsigned size)
{
    if (likely(at.page->host))
        return host_ld(at.page->host + (at.gpa & PAGE_MASK), size);
    return phys_io_read(cpu->tcg, at.gpa, size);
}

/* Beside other CPUs: none of them translates the old bytes once a later store can be seen. */
static void st_code_page(Cpu *cpu, Place at, uint64_t value, unsigned size)
{
    bool undo = cpu->in_code && !cpu->core->running_alone;

    if (at.page->flags & PAGE_LOG_DIRTY)
        cpu->tcg->bus.dirty(cpu->tcg->bus.opaque, at.gpa, size);
    if (code_cache_store(cpu->tcg, at.page, at.gpa, value, size, undo) && undo)
        run_again_alone(cpu);
}

static void st_place(Cpu *cpu, Place at, uint64_t value, unsigned size)
{
    if (at.page->host && at.page->flags & PAGE_WRITABLE && page_has_code(at.page) &&
        tcg_is_smp(cpu->tcg)) {
        st_code_page(cpu, at, value, size);
        return;
    }
    uint8_t *p = store_ptr(cpu, at, size);

    if (likely(p != NULL)) {
        host_st(p, value, size);
        return;
    }
    if (unlikely(cpu->core->n_stores)) /* this may tell another CPU to run what was written */
        code_cache_look_again(cpu);
    phys_io_write(cpu->tcg, at.gpa, value, size);
}

/* -- accesses of 1..8 bytes; a crossing one finds both places before it touches either */

static void watch(Cpu *cpu, uint64_t va, unsigned size, bool write)
{
    if (unlikely(cpu->watching))
        cpu->guest->watch(cpu, va, size, write);
}

uint64_t mmu_ld_slow(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu)
{
    watch(cpu, va, size, false);
    if (likely(!crosses(va, size)))
        return ld_place(cpu, find_place(cpu, va, false, mmu), size);

    unsigned n = PAGE_SIZE - (va & PAGE_MASK);
    Place first = find_place(cpu, va, false, mmu);
    Place second = find_place(cpu, va + n, false, mmu);
    uint64_t low = ld_place(cpu, first, n);
    return low | ld_place(cpu, second, size - n) << 8 * n;
}

static uint64_t low_bytes(uint64_t v, unsigned n)
{
    return n < 8 ? v & ((UINT64_C(1) << 8 * n) - 1) : v;
}

/* Blocks under any part of a crossing store go before its first byte is written. */
static void forget_code_at(Cpu *cpu, Place at, size_t len)
{
    if (at.page->host && (at.page->flags & PAGE_WRITABLE) && page_has_code(at.page))
        mmu_code_written(cpu, at.page, at.gpa, len);
}

void mmu_st_slow(Cpu *cpu, uint64_t va, uint64_t value, unsigned size, unsigned mmu)
{
    watch(cpu, va, size, true);
    if (likely(!crosses(va, size))) {
        st_place(cpu, find_place(cpu, va, true, mmu), value, size);
        return;
    }
    unsigned n = PAGE_SIZE - (va & PAGE_MASK);
    Place first = find_place(cpu, va, true, mmu);
    Place second = find_place(cpu, va + n, true, mmu);
    forget_code_at(cpu, second, size - n);
    st_place(cpu, first, low_bytes(value, n), n);
    st_place(cpu, second, value >> 8 * n, size - n);
}

static uint64_t ld(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu)
{
    const void *p = tlb_hit(cpu, va, size, mmu, false);

    return likely(p != NULL) ? host_ld(p, size) : mmu_ld_slow(cpu, va, size, mmu);
}

static void st(Cpu *cpu, uint64_t va, uint64_t v, unsigned size, unsigned mmu)
{
    void *p = tlb_hit(cpu, va, size, mmu, true);

    if (likely(p != NULL))
        host_st(p, v, size);
    else
        mmu_st_slow(cpu, va, v, size, mmu);
}

uint8_t cpu_ld8(Cpu *cpu, uint64_t va, unsigned mmu)
{
    return ld(cpu, va, 1, mmu);
}

uint16_t cpu_ld16(Cpu *cpu, uint64_t va, unsigned mmu)
{
    return ld(cpu, va, 2, mmu);
}

uint32_t cpu_ld32(Cpu *cpu, uint64_t va, unsigned mmu)
{
    return ld(cpu, va, 4, mmu);
}

uint64_t cpu_ld64(Cpu *cpu, uint64_t va, unsigned mmu)
{
    return ld(cpu, va, 8, mmu);
}

void cpu_st8(Cpu *cpu, uint64_t va, uint8_t v, unsigned mmu)
{
    st(cpu, va, v, 1, mmu);
}

void cpu_st16(Cpu *cpu, uint64_t va, uint16_t v, unsigned mmu)
{
    st(cpu, va, v, 2, mmu);
}

void cpu_st32(Cpu *cpu, uint64_t va, uint32_t v, unsigned mmu)
{
    st(cpu, va, v, 4, mmu);
}

void cpu_st64(Cpu *cpu, uint64_t va, uint64_t v, unsigned mmu)
{
    st(cpu, va, v, 8, mmu);
}

/* -- vectors: 4, 8 or 16 bytes into the low part of a register, the rest of 16 becomes 0 */

void mmu_ldv_slow(Cpu *cpu, uint64_t va, VReg *v, unsigned size, unsigned mmu)
{
    uint64_t low, high = 0;

    if (size == 16) {
        if (crosses(va, size)) /* a fault on either page comes before a device is read */
            cpu_probe(cpu, va, size, ACCESS_READ, mmu);
        low = ld(cpu, va, 8, mmu);
        high = ld(cpu, va + 8, 8, mmu);
    } else {
        low = ld(cpu, va, size, mmu);
    }
    v->q[0] = low;
    v->q[1] = high;
}

void mmu_stv_slow(Cpu *cpu, uint64_t va, const VReg *v, unsigned size, unsigned mmu)
{
    uint64_t low = v->q[0], high = v->q[1];

    if (size < 16) {
        st(cpu, va, low, size, mmu);
        return;
    }
    cpu_probe(cpu, va, size, ACCESS_WRITE, mmu);
    st(cpu, va, low, 8, mmu);
    st(cpu, va + 8, high, 8, mmu);
}

/* -- longer pieces */

static void probe_page(Cpu *cpu, uint64_t va, size_t len, Access access, unsigned mmu)
{
    bool write = access == ACCESS_WRITE;

    if (!tlb_hit(cpu, va, len, mmu, write)) {
        Place at = find_place(cpu, va, write, mmu);

        if (write)
            forget_code_at(cpu, at, len);
    }
}

void cpu_probe(Cpu *cpu, uint64_t va, size_t len, Access access, unsigned mmu)
{
    size_t n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));

    if (!len)
        return;
    if (len > n) { /* a fault in the second page before code is forgotten in the first */
        find_place(cpu, va, access == ACCESS_WRITE, mmu);
        probe_page(cpu, va + n, len - n, access, mmu);
    }
    probe_page(cpu, va, n, access, mmu);
}

void cpu_ld_bytes(Cpu *cpu, uint64_t va, void *buf, size_t len, unsigned mmu)
{
    uint8_t *out = buf;

    while (len) {
        size_t n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));
        const void *p = cpu_host_ptr(cpu, va, ACCESS_READ, mmu);

        if (p)
            memcpy(out, p, n);
        for (size_t i = 0; !p && i < n; i++)
            out[i] = cpu_ld8(cpu, va + i, mmu);
        out += n;
        va += n;
        len -= n;
    }
}

void cpu_st_bytes(Cpu *cpu, uint64_t va, const void *buf, size_t len, unsigned mmu)
{
    const uint8_t *in = buf;

    for (size_t at = 0; at < len; at += PAGE_SIZE) /* all pages before the first byte */
        cpu_probe(cpu, va + at, MIN(len - at, (size_t)PAGE_SIZE), ACCESS_WRITE, mmu);
    while (len) {
        size_t n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));
        void *p = tlb_hit(cpu, va, n, mmu, true);

        if (p)
            memcpy(p, in, n);
        for (size_t i = 0; !p && i < n; i++)
            cpu_st8(cpu, va + i, in[i], mmu);
        in += n;
        va += n;
        len -= n;
    }
}

void *cpu_host_ptr(Cpu *cpu, uint64_t va, Access access, unsigned mmu)
{
    bool write = access == ACCESS_WRITE;
    void *p = tlb_hit(cpu, va, 1, mmu, write);

    if (p)
        return p;
    Place at = find_place(cpu, va, write, mmu);
    if (!at.page->host || cpu->watching)
        return NULL;
    if (write && ((at.page->flags & (PAGE_WRITABLE | PAGE_LOG_DIRTY)) != PAGE_WRITABLE ||
                  code_cache_may_hit(at.page, at.gpa, PAGE_SIZE - (at.gpa & PAGE_MASK)) ||
                  (page_has_code(at.page) && tcg_is_smp(cpu->tcg))))
        return NULL;
    return at.page->host + (at.gpa & PAGE_MASK);
}

void *mmu_rmw_ptr(Cpu *cpu, uint64_t va, size_t size, unsigned mmu)
{
    void *p = tlb_hit(cpu, va, size, mmu, true);

    if (likely(p != NULL))
        return p;
    watch(cpu, va, size, false);
    watch(cpu, va, size, true);
    if (crosses(va, size)) {
        cpu_probe(cpu, va, size, ACCESS_WRITE, mmu);
        return NULL;
    }
    return store_ptr(cpu, find_place(cpu, va, true, mmu), size);
}

typedef unsigned __int128 u128;

static u128 swap_128(u128 *p, u128 want, u128 desired)
{
#if defined(__x86_64__) /* clang calls a library for the built-in unless all is built for cx16 */
    uint64_t low = (uint64_t)want, high = (uint64_t)(want >> 64);

    asm volatile("lock cmpxchg16b %0"
                 : "+m"(*p), "+a"(low), "+d"(high)
                 : "b"((uint64_t)desired), "c"((uint64_t)(desired >> 64))
                 : "memory", "cc");
    return (u128)high << 64 | low;
#else
    return __sync_val_compare_and_swap(p, want, desired);
#endif
}

static u128 join_128(const uint64_t v[2])
{
    return (u128)v[1] << 64 | v[0];
}

bool cpu_cmpxchg16(Cpu *cpu, uint64_t va, const uint64_t expect[2], const uint64_t desired[2],
                   uint64_t old[2], unsigned mmu)
{
    u128 *p = mmu_rmw_ptr(cpu, va, 16, mmu);
    u128 want = join_128(expect), now;

    if (p && !((uintptr_t)p & 15)) {
        now = swap_128(p, want, join_128(desired));
    } else { /* a device, or not aligned: no guest may rely on that being atomic */
        now = ld(cpu, va, 8, mmu);
        now |= (u128)ld(cpu, va + 8, 8, mmu) << 64;
        if (now == want) {
            st(cpu, va, desired[0], 8, mmu);
            st(cpu, va + 8, desired[1], 8, mmu);
        }
    }
    old[0] = now;
    old[1] = now >> 64;
    return now == want;
}
