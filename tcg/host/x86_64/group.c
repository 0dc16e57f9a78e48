/*
 * group.c - one TLB check for several accesses off the same unmodified base register.
 *
 * The first access of a group, its leader, checks the whole range of displacements that the block
 * will use, and leaves the addend in a slot of Cpu.spill; the others load it from there. 0 means
 * that the check failed (a miss, a page crossing, a device): then each is checked by itself, out of
 * line. Loads and stores have groups of their own, as they have tables of their own. Whatever may
 * change the translation ends all groups: a helper, or a store that went to C.
 */
#include "tcg/host/x86_64/jit.h"

enum { LOOK_AHEAD = 48, MAX_RANGE = 256 };

/* The memory operand of `op` if it accesses one; *bytes and *write describe the access. */
static IrRef access_of(const IrOp *op, unsigned *bytes, bool *write)
{
    *bytes = 1u << op->size;
    *write = op->op == IR_st || op->op == IR_stv || op->op == IR_rmw || op->op == IR_cmpxchg;
    if (op->op == IR_vop && ref_kind(op->b) == REF_M) {
        *bytes = vops[op->imm].mem;
        return op->b;
    }
    return *write || op->op == IR_ld || op->op == IR_ldv ? op->a : REF_NONE;
}

static bool can_group(const IrMem *m)
{
    return m->asize == IR_64 && m->lsize == IR_64 && !m->attr && !m->pcrel &&
           m->index == REF_NONE && ref_kind(m->base) == REF_G && ref_index(m->base) < N_PINNED;
}

static bool writes_global(IrRef d, IrRef g)
{
    return ref_kind(d) == REF_G && ref_index(d) == ref_index(g);
}

static bool ends_group(const IrOp *op, IrRef base)
{
    return op->op == IR_call || writes_global(op->d, base) ||
           ((op->op == IR_mulu || op->op == IR_muls) && writes_global(op->c, base));
}

/* Extend the range of `g` over the accesses that follow; false: there are none. */
static bool look_ahead(const Jit *j, Group *g)
{
    unsigned end = j->at + LOOK_AHEAD < j->b->n_ops ? j->at + LOOK_AHEAD : j->b->n_ops;
    bool any = false;

    for (unsigned i = j->at + 1; i < end && !ends_group(&j->b->ops[i - 1], g->base); i++) {
        unsigned bytes;
        bool write;
        IrRef r = access_of(&j->b->ops[i], &bytes, &write);
        const IrMem *m = &j->b->mem[ref_index(r)];

        if (r == REF_NONE || write != g->write || !can_group(m) || m->base != g->base ||
            m->mmu != g->mmu)
            continue;
        int32_t lo = m->disp < g->lo ? m->disp : g->lo;
        int32_t hi = m->disp + (int32_t)bytes > g->hi ? m->disp + (int32_t)bytes : g->hi;

        if ((int64_t)hi - lo > MAX_RANGE)
            continue;
        g->lo = lo;
        g->hi = hi;
        any = true;
    }
    return any;
}

int group_find(const Jit *j, const IrMem *m, unsigned bytes, bool write)
{
    if (!can_group(m))
        return -1;
    for (int i = 0; i < N_GROUPS; i++) {
        const Group *g = &j->groups[i];

        if (g->active && g->base == m->base && g->write == write && g->mmu == m->mmu &&
            m->disp >= g->lo && m->disp + (int64_t)bytes <= g->hi)
            return i;
    }
    return -1;
}

int group_start(Jit *j, const IrMem *m, unsigned bytes, bool write)
{
    Group new = {
        .active = true,
        .base = m->base,
        .write = write,
        .mmu = m->mmu,
        .lo = m->disp,
        .hi = m->disp + (int32_t)bytes,
    };

    if (!can_group(m) || m->disp > INT32_MAX - 2 * MAX_RANGE || m->disp < INT32_MIN + 2 * MAX_RANGE)
        return -1;
    for (int i = 0; i < N_GROUPS; i++)
        if (!j->groups[i].active)
            return look_ahead(j, &new) ? j->groups[i] = new, i : -1;
    return -1;
}

void groups_before_write(Jit *j, IrRef d)
{
    for (unsigned i = 0; i < N_GROUPS; i++)
        if (writes_global(d, j->groups[i].base))
            j->groups[i].active = false;
}

void groups_end(Jit *j)
{
    memset(j->groups, 0, sizeof(j->groups));
}

unsigned groups_active(const Jit *j)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < N_GROUPS; i++)
        mask |= (unsigned)j->groups[i].active << i;
    return mask;
}

void groups_forget(Jit *j, unsigned mask)
{
    for (; mask; mask &= mask - 1)
        emit_store_imm(&j->e, IR_64, SPILL_RM(SLOT_GROUP + (unsigned)__builtin_ctz(mask)), 0);
}
