/*
 * slow.c - the C side of the slow paths: what translated code calls when an access is not a TLB hit
 * in plain memory, or a vop is not the host's. All may raise a guest exception.
 */
#include "tcg/host/x86_64/jit.h"

static VReg *bounce(Cpu *cpu, unsigned slot)
{
    return (VReg *)(void *)&cpu->spill[slot];
}

uint64_t slow_ld_write(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu)
{
    cpu_probe(cpu, va, size, ACCESS_WRITE, mmu);
    return mmu_ld_slow(cpu, va, size, mmu);
}

void slow_limit(Cpu *cpu, uint64_t offset, uint32_t what)
{
    cpu->guest->limit_slow(cpu, what & 0xff, offset, what >> 8 & 0xff, what >> 16);
}

void slow_misaligned(Cpu *cpu, uint64_t va)
{
    cpu->guest->misaligned(cpu, va);
}

static void load_vreg(Cpu *cpu, uint64_t va, VReg *v, uint32_t what)
{
    unsigned size = what >> 8 & 0xff, mmu = what >> 16;

    *v = (VReg) { 0 };
    if (size <= 8)
        v->q[0] = mmu_ld_slow(cpu, va, size, mmu);
    else
        mmu_ldv_slow(cpu, va, v, size, mmu);
}

void slow_ldv(Cpu *cpu, uint64_t va, uint32_t what)
{
    VReg v, *d = &cpu->vec[what & 0xff];

    load_vreg(cpu, va, &v, what);
    d->q[0] = v.q[0];
    d->q[1] = v.q[1];
}

void slow_stv(Cpu *cpu, uint64_t va, uint32_t what)
{
    const VReg *v = &cpu->vec[what & 0xff];
    unsigned size = what >> 8 & 0xff, mmu = what >> 16;

    if (size <= 8)
        mmu_st_slow(cpu, va, v->q[0], size, mmu);
    else
        mmu_stv_slow(cpu, va, v, size, mmu);
}

void slow_ld_bounce(Cpu *cpu, uint64_t va, uint32_t what)
{
    load_vreg(cpu, va, bounce(cpu, SLOT_BOUNCE_B), what);
}

/* Plain memory in one page is worked on in place: an atomic operation stays atomic. */
void *slow_rmw(Cpu *cpu, uint64_t va, uint32_t what)
{
    unsigned size = what & 0xff, mmu = what >> 8;
    VReg *v = bounce(cpu, SLOT_BOUNCE_D);
    void *host = mmu_rmw_ptr(cpu, va, size, mmu);

    if (host)
        return host;
    v->q[0] = mmu_ld_slow(cpu, va, size, mmu);
    cpu->spill[SLOT_RMW_VA] = va;
    cpu->spill[SLOT_RMW_VA + 1] = what;
    return v;
}

void slow_rmw_done(Cpu *cpu)
{
    uint64_t what = cpu->spill[SLOT_RMW_VA + 1];

    mmu_st_slow(cpu, cpu->spill[SLOT_RMW_VA], bounce(cpu, SLOT_BOUNCE_D)->q[0], what & 0xff,
                what >> 8);
}

static VReg *vop_operand(Cpu *cpu, unsigned n)
{
    static const uint8_t slots[] = { SLOT_BOUNCE_A, SLOT_BOUNCE_B, SLOT_BOUNCE_D };

    return n < V_COUNT ? &cpu->vec[n] : bounce(cpu, slots[n - V_COUNT]);
}

/* what: vop number, then the operands d, a, b and the immediate, a byte each from bit 16 */
void slow_vop(Cpu *cpu, uint64_t what)
{
    vops[what & 0xffff].fn(cpu, vop_operand(cpu, what >> 16 & 0xff),
                           vop_operand(cpu, what >> 24 & 0xff), vop_operand(cpu, what >> 32 & 0xff),
                           what >> 40);
}
