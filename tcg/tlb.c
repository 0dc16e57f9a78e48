/*
 * tlb.c - the software TLB's tables: filling, flushing, sizing.
 *
 * An unused slot holds the address of a page that belongs to another slot: 0, and in slot 0 that of
 * page 1. A flush clears the slots in the list of touched ones, or the whole table if they are many
 * or (for a full flush) global ones are among them.
 */
#include <string.h>

#include "tcg/core.h"

static TlbEntry *table_of(Cpu *cpu, unsigned mmu, bool write)
{
    return (TlbEntry *)((char *)cpu + TLB_AREA(mmu, write));
}

static unsigned table_entries(const Cpu *cpu, unsigned mmu)
{
    return cpu->tlb_mask[mmu] / sizeof(TlbEntry) + 1;
}

static void clear_slot(TlbEntry *table, unsigned slot)
{
    table[slot] = (TlbEntry) { .tag = slot ? 0 : PAGE_SIZE };
}

static bool slot_is_used(const TlbEntry *table, const TlbEntry *e)
{
    return e->tag != (e == table ? (uint64_t)PAGE_SIZE : 0);
}

static void clear_class(Cpu *cpu, unsigned mmu)
{
    TlbClass *c = &cpu->core->tlb[mmu];

    for (unsigned write = 0; write < 2; write++) {
        TlbEntry *table = table_of(cpu, mmu, write);

        memset(table, 0, (size_t)cpu->tlb_mask[mmu] + sizeof(TlbEntry));
        clear_slot(table, 0);
    }
    c->n_touched = 0;
    c->any_global = false;
}

static void set_size(Cpu *cpu, unsigned mmu, unsigned entries)
{
    TlbClass *c = &cpu->core->tlb[mmu];

    cpu->tlb_mask[mmu] = (entries - 1) * sizeof(TlbEntry);
    clear_class(cpu, mmu);
    c->evictions = 0;
    c->small_count = 0;
}

void tlb_init(Cpu *cpu)
{
    for (unsigned mmu = 0; mmu < MMU_CLASSES; mmu++)
        set_size(cpu, mmu, TLB_MIN_ENTRIES);
}

/* -- filling */

static void count_eviction(Cpu *cpu, unsigned mmu)
{
    unsigned entries = table_entries(cpu, mmu);

    if (++cpu->core->tlb[mmu].evictions > 2 * entries && entries < TLB_MAX_ENTRIES)
        set_size(cpu, mmu, 2 * entries);
}

void tlb_set(Cpu *cpu, unsigned mmu, bool write, uint64_t va_page, uint8_t *host, bool global)
{
    TlbClass *c = &cpu->core->tlb[mmu];
    TlbEntry *table = table_of(cpu, mmu, write);
    TlbEntry *e = tlb_slot(cpu, mmu, write, va_page);

    if (slot_is_used(table, e) && e->tag != va_page) {
        count_eviction(cpu, mmu);
        e = tlb_slot(cpu, mmu, write, va_page); /* the table may have grown */
    }
    e->tag = va_page;
    e->addend = (uintptr_t)host - va_page;
    c->fills++;
    if (global)
        c->any_global = true;
    else if (c->n_touched < TLB_TOUCHED_MAX)
        c->touched[c->n_touched++] = (e - table) << 1 | write;
    else
        c->n_touched = TLB_TOUCHED_MAX + 1;
}

/* -- large pages: one INVLPG must drop every 4 KiB piece of them */

static const uint8_t large_shifts[] = { 21, 22, 30 };

static unsigned large_hash(uint64_t va, unsigned shift)
{
    return (((va >> shift) + ((uint64_t)shift << 48)) * 0x9e3779b97f4a7c15) >>
           (64 - LARGE_PAGE_BITS);
}

void tlb_note_large(Cpu *cpu, uint64_t va, uint64_t page_size)
{
    unsigned h = large_hash(va, __builtin_ctzll(page_size));

    cpu->core->large_pages[h >> 6] |= UINT64_C(1) << (h & 63);
}

static bool may_be_large(Cpu *cpu, uint64_t va)
{
    for (unsigned i = 0; i < ARRAY_LEN(large_shifts); i++) {
        unsigned h = large_hash(va, large_shifts[i]);

        if (cpu->core->large_pages[h >> 6] >> (h & 63) & 1)
            return true;
    }
    return false;
}

/* -- flushing */

/* A table that stays nearly empty between many flushes is too big to be cleared quickly. */
static bool should_shrink(Cpu *cpu, unsigned mmu)
{
    TlbClass *c = &cpu->core->tlb[mmu];
    bool small = c->fills < table_entries(cpu, mmu) / 16;

    c->fills = 0;
    c->small_count = small ? c->small_count + 1 : 0;
    return c->small_count > 64 && cpu->tlb_mask[mmu] >= TLB_MIN_ENTRIES * sizeof(TlbEntry);
}

static void clear_touched(Cpu *cpu, unsigned mmu)
{
    TlbClass *c = &cpu->core->tlb[mmu];

    for (unsigned i = 0; i < c->n_touched; i++)
        clear_slot(table_of(cpu, mmu, c->touched[i] & 1), c->touched[i] >> 1);
    c->n_touched = 0;
}

static void flush_class(Cpu *cpu, unsigned mmu, bool with_global)
{
    TlbClass *c = &cpu->core->tlb[mmu];

    if (should_shrink(cpu, mmu))
        set_size(cpu, mmu, table_entries(cpu, mmu) / 2);
    else if (c->n_touched > TLB_TOUCHED_MAX || (with_global && c->any_global))
        clear_class(cpu, mmu);
    else
        clear_touched(cpu, mmu);
}

static void flush(Cpu *cpu, bool with_global)
{
    for (unsigned mmu = 0; mmu < MMU_CLASSES; mmu++)
        flush_class(cpu, mmu, with_global);
    cpu->core->tlb_epoch++;
    if (with_global)
        jump_forget_all(cpu);
    else
        jump_forget_local(cpu);
}

void tlb_flush(Cpu *cpu)
{
    flush(cpu, true);
    memset(cpu->core->large_pages, 0, sizeof(cpu->core->large_pages));
}

void tlb_flush_non_global(Cpu *cpu)
{
    flush(cpu, false);
}

void tlb_flush_page(Cpu *cpu, uint64_t va)
{
    uint64_t page = va & ~(uint64_t)PAGE_MASK;

    if (may_be_large(cpu, va)) {
        tlb_flush(cpu);
        return;
    }
    for (unsigned mmu = 0; mmu < MMU_CLASSES; mmu++) {
        for (unsigned write = 0; write < 2; write++) {
            TlbEntry *table = table_of(cpu, mmu, write);
            TlbEntry *e = tlb_slot(cpu, mmu, write, page);

            if (e->tag == page)
                clear_slot(table, e - table);
        }
    }
    cpu->core->tlb_epoch++;
    jump_forget_page(cpu, page);
}

void tlb_drop_writes(Cpu *cpu, const uint8_t *host)
{
    for (unsigned mmu = 0; mmu < MMU_CLASSES; mmu++) {
        TlbEntry *table = table_of(cpu, mmu, true);
        unsigned n = table_entries(cpu, mmu);

        for (unsigned i = 0; i < n; i++)
            if (table[i].tag + table[i].addend == (uintptr_t)host)
                clear_slot(table, i);
    }
}
