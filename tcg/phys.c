/*
 * phys.c - guest-physical memory: a flat cache of what the machine answers for each page, and
 * accesses by physical address (page walks, device access).
 */
#include <string.h>

#include "tcg/core.h"

static PhysPage *leaf_of(Tcg *tcg, uint64_t gpa)
{
    PhysPage *_Atomic *slot = &tcg->leaves[gpa >> (PAGE_BITS + PHYS_LEAF_BITS)];
    PhysPage *leaf = atomic_load_explicit(slot, memory_order_acquire);

    if (leaf)
        return leaf;
    PhysPage *fresh = calloc((size_t)1 << PHYS_LEAF_BITS, sizeof(*fresh));
    if (!fresh)
        abort(); /* no way to tell a guest that the host is out of memory */
    if (atomic_compare_exchange_strong(slot, &leaf, fresh))
        return fresh;
    free(fresh);
    return leaf;
}

static void ask_machine(Tcg *tcg, PhysPage *page, uint64_t gpa)
{
    uint32_t generation = atomic_load(&tcg->map_generation);
    TcgPage answer = { 0 };

    tcg->bus.page(tcg->bus.opaque, gpa & ~(uint64_t)PAGE_MASK, &answer);
    page->host = answer.host;
    if (answer.writable)
        atomic_fetch_or(&page->flags, PAGE_WRITABLE);
    else
        atomic_fetch_and(&page->flags, ~PAGE_WRITABLE);
    if (answer.log_dirty)
        atomic_fetch_or(&page->flags, PAGE_LOG_DIRTY);
    else
        atomic_fetch_and(&page->flags, ~PAGE_LOG_DIRTY);
    atomic_store_explicit(&page->generation, generation, memory_order_release);
}

PhysPage *phys_page(Tcg *tcg, uint64_t gpa)
{
    if (unlikely(gpa >> PHYS_BITS))
        return &tcg->beyond;
    PhysPage *page = leaf_of(tcg, gpa) + (gpa >> PAGE_BITS & ((1 << PHYS_LEAF_BITS) - 1));
    if (unlikely(atomic_load_explicit(&page->generation, memory_order_acquire) !=
                 atomic_load_explicit(&tcg->map_generation, memory_order_relaxed)))
        ask_machine(tcg, page, gpa);
    return page;
}

PhysPage *phys_page_if_known(Tcg *tcg, uint64_t gpa)
{
    if (gpa >> PHYS_BITS)
        return NULL;
    PhysPage *leaf = atomic_load_explicit(&tcg->leaves[gpa >> (PAGE_BITS + PHYS_LEAF_BITS)],
                                          memory_order_acquire);
    return leaf ? leaf + (gpa >> PAGE_BITS & ((1 << PHYS_LEAF_BITS) - 1)) : NULL;
}

void phys_free(Tcg *tcg)
{
    for (size_t i = 0; i < PHYS_LEAVES; i++)
        free(tcg->leaves[i]);
}

/* -- devices; sizes that no bus has are cut into bytes */

static bool bus_size(unsigned size)
{
    return size == 1 || size == 2 || size == 4 || size == 8;
}

uint64_t phys_io_read(Tcg *tcg, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    if (bus_size(size))
        return tcg->bus.mmio_read(tcg->bus.opaque, gpa, size);
    for (unsigned i = 0; i < size; i++)
        value |= (tcg->bus.mmio_read(tcg->bus.opaque, gpa + i, 1) & 0xff) << 8 * i;
    return value;
}

void phys_io_write(Tcg *tcg, uint64_t gpa, uint64_t value, unsigned size)
{
    if (bus_size(size)) {
        tcg->bus.mmio_write(tcg->bus.opaque, gpa, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        tcg->bus.mmio_write(tcg->bus.opaque, gpa + i, value >> 8 * i & 0xff, 1);
}

/* -- page walks */

static void *walk_ptr(Tcg *tcg, uint64_t gpa, PhysPage **page)
{
    *page = phys_page(tcg, gpa);
    return (*page)->host ? (*page)->host + (gpa & PAGE_MASK) : NULL;
}

uint32_t phys_ld32(Tcg *tcg, uint64_t gpa)
{
    PhysPage *page;
    uint32_t *p = walk_ptr(tcg, gpa & ~UINT64_C(3), &page);

    return p ? __atomic_load_n(p, __ATOMIC_RELAXED) : UINT32_MAX;
}

uint64_t phys_ld64(Tcg *tcg, uint64_t gpa)
{
    PhysPage *page;
    uint64_t *p = walk_ptr(tcg, gpa & ~UINT64_C(7), &page);

    return p ? __atomic_load_n(p, __ATOMIC_RELAXED) : UINT64_MAX;
}

/* Page tables in ROM keep what they have; the walk goes on as if the bits were set. */
bool phys_update32(Tcg *tcg, uint64_t gpa, uint32_t old, uint32_t set)
{
    PhysPage *page;
    uint32_t *p = walk_ptr(tcg, gpa & ~UINT64_C(3), &page);

    if (!p || !(page->flags & PAGE_WRITABLE))
        return true;
    if (unlikely(code_cache_may_hit(page, gpa, 4)))
        code_cache_invalidate(tcg, page, gpa, 4);
    return __atomic_compare_exchange_n(p, &old, old | set, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

bool phys_update64(Tcg *tcg, uint64_t gpa, uint64_t old, uint64_t set)
{
    PhysPage *page;
    uint64_t *p = walk_ptr(tcg, gpa & ~UINT64_C(7), &page);

    if (!p || !(page->flags & PAGE_WRITABLE))
        return true;
    if (unlikely(code_cache_may_hit(page, gpa, 8)))
        code_cache_invalidate(tcg, page, gpa, 8);
    return __atomic_compare_exchange_n(p, &old, old | set, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}
