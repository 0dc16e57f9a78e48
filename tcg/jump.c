/*
 * jump.c - the jump cache: from a virtual pc to host code, for one address space and mode at a
 * time.
 *
 * Entries carry pc + jump_key. A key is a number above bit 48, given to each pair of mode and code
 * base since the last flush; forgetting everything costs no more than taking new numbers. When they
 * run out, the table is cleared. A key under which only code of global pages was found survives
 * changes of the address space: that of a kernel.
 *
 * Translated code compares only the tag. So an unused entry has the tag of a pc whose index is
 * another: 0, and in entry 0 it is 1 (a key does not change the bits that make the index).
 */
#include <string.h>

#include "tcg/core.h"

static void clear_entry(Cpu *cpu, unsigned i)
{
    cpu->jump_cache[i] = (JumpEntry) { .tag = i == 0 };
}

void jump_clear(Cpu *cpu)
{
    for (unsigned i = 0; i < JUMP_CACHE_ENTRIES; i++)
        clear_entry(cpu, i);
    memset(cpu->core->fetch, 0, sizeof(cpu->core->fetch));
}

static uint64_t new_key(Cpu *cpu)
{
    CpuCore *core = cpu->core;

    if (++core->last_key >> 16) {
        jump_clear(cpu);
        memset(core->keys, 0, sizeof(core->keys));
        core->last_key = 1;
    }
    return core->last_key << 48;
}

void jump_select_key(Cpu *cpu, uint64_t base, uint32_t mode)
{
    CpuCore *core = cpu->core;
    unsigned i = (base ^ (uint64_t)mode << 32) * 0x9e3779b97f4a7c15 >> (64 - KEY_BITS);
    JumpKey *k = &core->keys[i];

    if (!k->valid || k->base != base || k->mode != mode) {
        uint64_t key = new_key(cpu);

        *k = (JumpKey) { .base = base, .key = key, .mode = mode, .valid = true };
    }
    cpu->jump_key = k->key;
    core->key = k;
    core->key_base = base;
    core->key_mode = mode;
}

void jump_forget_all(Cpu *cpu)
{
    memset(cpu->core->keys, 0, sizeof(cpu->core->keys));
    memset(cpu->core->exec_pages, 0, sizeof(cpu->core->exec_pages));
    jump_select_key(cpu, cpu->core->key_base, cpu->core->key_mode);
}

void jump_forget_local(Cpu *cpu)
{
    CpuCore *core = cpu->core;

    for (unsigned i = 0; i < 1 << KEY_BITS; i++)
        if (core->keys[i].local)
            core->keys[i] = (JumpKey) { 0 };
    memset(core->exec_pages[0], 0, sizeof(core->exec_pages[0]));
    jump_select_key(cpu, core->key_base, core->key_mode);
}

static unsigned page_hash(uint64_t va)
{
    return (va >> PAGE_BITS) * 0x9e3779b97f4a7c15 >> (64 - EXEC_PAGE_BITS);
}

void jump_note_page(Cpu *cpu, uint64_t va, bool global)
{
    unsigned h = page_hash(va);

    cpu->core->exec_pages[global][h >> 6] |= UINT64_C(1) << (h & 63);
    if (!global)
        cpu->core->key->local = true;
}

void jump_forget_page(Cpu *cpu, uint64_t va)
{
    unsigned h = page_hash(va);
    bool local = cpu->core->exec_pages[0][h >> 6] >> (h & 63) & 1;
    bool global = cpu->core->exec_pages[1][h >> 6] >> (h & 63) & 1;

    if (global)
        jump_forget_all(cpu);
    else if (local)
        jump_forget_local(cpu);
}

/* -- entries. A block knows where it was put, up to a few times; then all entries are searched. */

void jump_remember(Cpu *cpu, Block *block)
{
    unsigned i = jump_index(cpu->pc);

    cpu->jump_cache[i] = (JumpEntry) { .tag = cpu->pc + cpu->jump_key, .host = block->host };
    cpu->jump_block[i] = block;
    if (tcg_is_smp(cpu->tcg))
        return; /* the list is one CPU's */
    for (unsigned n = 0; n < MIN(block->n_jump_slots, ARRAY_LEN(block->jump_slots)); n++)
        if (block->jump_slots[n] == i)
            return;
    if (block->n_jump_slots < ARRAY_LEN(block->jump_slots))
        block->jump_slots[block->n_jump_slots] = i;
    if (block->n_jump_slots <= ARRAY_LEN(block->jump_slots))
        block->n_jump_slots++;
}

static void forget_entry(Cpu *cpu, unsigned i, const Block *block)
{
    if (cpu->jump_block[i] == block)
        clear_entry(cpu, i);
}

void jump_forget_block(Cpu *cpu, const Block *block)
{
    if (!tcg_is_smp(cpu->tcg) && block->n_jump_slots <= ARRAY_LEN(block->jump_slots)) {
        for (unsigned n = 0; n < block->n_jump_slots; n++)
            forget_entry(cpu, block->jump_slots[n], block);
        return;
    }
    for (unsigned i = 0; i < JUMP_CACHE_ENTRIES; i++)
        forget_entry(cpu, i, block);
}
