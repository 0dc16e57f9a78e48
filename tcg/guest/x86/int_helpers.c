/*
 * int_helpers.c - C functions behind integer instructions: division, decimal adjustment, BOUND,
 * ENTER, CMPXCHG16B and small state (helpers.h, part 2).
 */
#include "tcg/guest/x86/helpers.h"

#define HELPER(name, function, attr) const IrHelper x86_h_##name = { #name, function, attr }

/* -- control and small state */

static uint64_t set_pc(Cpu *cpu, uint64_t pc)
{
    cpu->pc = pc;
    return 0;
}
HELPER(set_pc, set_pc, 0);

static uint64_t select_value(Cpu *cpu, uint64_t cond, uint64_t a, uint64_t b)
{
    (void)cpu;
    return cond ? a : b;
}
HELPER(select, select_value, HELPER_PURE);

static uint64_t read_seg(Cpu *cpu, uint64_t seg)
{
    return x86(cpu)->seg[seg].selector;
}
HELPER(read_seg, read_seg, 0);

static uint64_t do_cld(Cpu *cpu)
{
    x86(cpu)->eflags &= ~(uint64_t)EFL_DF;
    x86_update_mode(x86(cpu));
    return 0;
}
HELPER(cld, do_cld, 0);

static uint64_t do_std(Cpu *cpu)
{
    x86(cpu)->eflags |= EFL_DF;
    x86_update_mode(x86(cpu));
    return 0;
}
HELPER(std, do_std, 0);

/* -- division: SDM volume 2, DIV and IDIV; #DE if the quotient does not fit */

static uint64_t divide(Cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t mask = (UINT64_C(1) << bits) - 1;

    b &= mask;
    if (!b || a / b > mask)
        x86_raise(x86(cpu), EXC_DE);
    return (a % b) << bits | a / b;
}

static uint64_t divide_signed(Cpu *cpu, int64_t a, int64_t b, unsigned bits)
{
    uint64_t mask = (UINT64_C(1) << bits) - 1;
    int64_t limit = INT64_C(1) << (bits - 1);

    if (b == 0 || (b == -1 && a == INT64_MIN))
        x86_raise(x86(cpu), EXC_DE);
    int64_t q = a / b;
    if (q < -limit || q >= limit)
        x86_raise(x86(cpu), EXC_DE);
    return ((uint64_t)(a % b) & mask) << bits | ((uint64_t)q & mask);
}

static uint64_t div8(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide(cpu, (uint16_t)a, b, 8);
}

static uint64_t div16(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide(cpu, (uint32_t)a, b, 16);
}

static uint64_t div32(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide(cpu, a, b, 32);
}

static uint64_t idiv8(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide_signed(cpu, (int16_t)a, (int8_t)b, 8);
}

static uint64_t idiv16(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide_signed(cpu, (int32_t)a, (int16_t)b, 16);
}

static uint64_t idiv32(Cpu *cpu, uint64_t a, uint64_t b)
{
    return divide_signed(cpu, (int64_t)a, (int32_t)b, 32);
}

static uint64_t div64(Cpu *cpu, uint64_t low, uint64_t high, uint64_t b)
{
    if (high >= b) /* zero divisor too */
        x86_raise(x86(cpu), EXC_DE);
    if (!high)
        return low / b;
    return (uint64_t)(((unsigned __int128)high << 64 | low) / b);
}

static uint64_t idiv64(Cpu *cpu, uint64_t low, uint64_t high, uint64_t divisor)
{
    __int128 a = (__int128)((unsigned __int128)high << 64 | low);
    int64_t b = (int64_t)divisor;

    if (b == 0 || (b == -1 && a == (__int128)((unsigned __int128)1 << 127)))
        x86_raise(x86(cpu), EXC_DE);
    __int128 q = a / b;
    if (q != (int64_t)q)
        x86_raise(x86(cpu), EXC_DE);
    return (uint64_t)q;
}

HELPER(div8, div8, HELPER_FAULTS);
HELPER(div16, div16, HELPER_FAULTS);
HELPER(div32, div32, HELPER_FAULTS);
HELPER(div64, div64, HELPER_FAULTS);
HELPER(idiv8, idiv8, HELPER_FAULTS);
HELPER(idiv16, idiv16, HELPER_FAULTS);
HELPER(idiv32, idiv32, HELPER_FAULTS);
HELPER(idiv64, idiv64, HELPER_FAULTS);

/* -- decimal adjustment: AX and flags in, AX | flags << 16 out */

static uint32_t result_flags(uint8_t al)
{
    uint32_t flags = __builtin_parity(al) ? 0 : FLAG_PF;

    flags |= al ? 0 : FLAG_ZF;
    return flags | (al & 0x80 ? FLAG_SF : 0);
}

static uint64_t decimal(uint16_t ax, uint32_t flags)
{
    return ax | (uint64_t)flags << 16;
}

/* DAA and DAS differ in the sign of the correction and in the carry of the low digit. */
static uint64_t adjust_packed(uint16_t ax, uint32_t flags, bool subtract)
{
    uint8_t al = ax, fix = 0;
    uint32_t out = 0;

    if ((al & 15) > 9 || flags & FLAG_AF) {
        fix = 6;
        out |= FLAG_AF;
        if (subtract && al < 6)
            out |= FLAG_CF;
    }
    if (al > 0x99 || flags & FLAG_CF) {
        fix += 0x60;
        out |= FLAG_CF;
    }
    al = subtract ? al - fix : al + fix;
    return decimal((ax & 0xff00) | al, out | result_flags(al));
}

static uint64_t daa(Cpu *cpu, uint64_t ax, uint64_t flags)
{
    (void)cpu;
    return adjust_packed(ax, flags, false);
}

static uint64_t das(Cpu *cpu, uint64_t ax, uint64_t flags)
{
    (void)cpu;
    return adjust_packed(ax, flags, true);
}

/* AAA and AAS: the flags that the manual leaves undefined are those of AL. */
static uint64_t adjust_unpacked(uint16_t ax, uint32_t flags, int sign)
{
    uint32_t out = 0;

    if ((ax & 15) > 9 || flags & FLAG_AF) {
        ax += sign * 0x106;
        out = FLAG_AF | FLAG_CF;
    }
    ax &= 0xff0f;
    return decimal(ax, out | result_flags(ax));
}

static uint64_t aaa(Cpu *cpu, uint64_t ax, uint64_t flags)
{
    (void)cpu;
    return adjust_unpacked(ax, flags, 1);
}

static uint64_t aas(Cpu *cpu, uint64_t ax, uint64_t flags)
{
    (void)cpu;
    return adjust_unpacked(ax, flags, -1);
}

static uint64_t aam(Cpu *cpu, uint64_t ax, uint64_t flags, uint64_t base)
{
    uint8_t al = ax;

    (void)flags;
    if (!base)
        x86_raise(x86(cpu), EXC_DE);
    return decimal(al / base << 8 | al % base, result_flags(al % base));
}

static uint64_t aad(Cpu *cpu, uint64_t ax, uint64_t flags, uint64_t base)
{
    uint8_t al = ax + (ax >> 8) * base;

    (void)cpu;
    (void)flags;
    return decimal(al, result_flags(al));
}

HELPER(daa, daa, HELPER_PURE);
HELPER(das, das, HELPER_PURE);
HELPER(aaa, aaa, HELPER_PURE);
HELPER(aas, aas, HELPER_PURE);
HELPER(aam, aam, HELPER_FAULTS);
HELPER(aad, aad, HELPER_PURE);

/* -- others */

static uint64_t bound(Cpu *cpu, uint64_t index, uint64_t lower, uint64_t upper)
{
    if ((int64_t)index < (int64_t)lower || (int64_t)index > (int64_t)upper)
        x86_raise(x86(cpu), EXC_BR);
    return 0;
}
HELPER(bound, bound, HELPER_FAULTS);

static uint64_t arpl(Cpu *cpu, uint64_t dest, uint64_t src)
{
    (void)cpu;
    return (dest & 3) < (src & 3) ? (dest & ~UINT64_C(3)) | (src & 3) : dest;
}
HELPER(arpl, arpl, HELPER_PURE);

static uint64_t cmpxchg16b(Cpu *cpu, uint64_t seg, uint64_t off)
{
    uint64_t expect[2] = { cpu->gpr[RAX], cpu->gpr[RDX] };
    uint64_t desired[2] = { cpu->gpr[RBX], cpu->gpr[RCX] }, old[2];
    uint64_t va = x86_linear(x86(cpu), seg, off, 16, true);

    if (va & 15)
        x86_raise_error(x86(cpu), EXC_GP, 0);
    bool equal = cpu_cmpxchg16(cpu, va, expect, desired, old, x86_mmu(cpu));
    uint32_t flags = cpu_flags(cpu) & ~FLAG_ZF;
    cpu_set_flags(cpu, flags | (equal ? FLAG_ZF : 0));
    if (!equal) {
        cpu->gpr[RAX] = old[0];
        cpu->gpr[RDX] = old[1];
    }
    return 0;
}
HELPER(cmpxchg16b, cmpxchg16b, HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G | HELPER_FLAGS);

/* -- ENTER with nested frames (SDM volume 2, ENTER) */

static uint64_t cut(uint64_t v, unsigned bytes)
{
    return bytes == 8 ? v : v & ((UINT64_C(1) << 8 * bytes) - 1);
}

/* Write the low `bytes` of a register; 4 bytes clear the upper half. */
static void set_part(uint64_t *reg, uint64_t v, unsigned bytes)
{
    *reg = bytes == 2 ? (*reg & ~UINT64_C(0xffff)) | (uint16_t)v : cut(v, bytes);
}

static unsigned stack_bytes(const Cpu *cpu)
{
    return (cpu->mode & MODE_CODE) == MODE_CODE64 ? 8 : cpu->mode & MODE_SS32 ? 4 : 2;
}

static uint64_t stack_at(Cpu *cpu, uint64_t off, unsigned size, bool write)
{
    return x86_linear(x86(cpu), SEG_SS, cut(off, stack_bytes(cpu)), size, write);
}

/* Only pointers are copied: the displays of the enclosing frames, then the new frame's own. */
static uint64_t enter(Cpu *cpu, uint64_t bytes, uint64_t level, uint64_t osize)
{
    unsigned ss = stack_bytes(cpu), mmu = x86_mmu(cpu);
    uint64_t sp = cpu->gpr[RSP] - osize, bp = cpu->gpr[RBP], frame = sp;

    cpu_st_bytes(cpu, stack_at(cpu, sp, osize, true), &cpu->gpr[RBP], osize, mmu);
    for (uint64_t i = 1; i <= level; i++) {
        uint64_t v = frame;

        if (i < level) {
            bp -= osize;
            cpu_ld_bytes(cpu, stack_at(cpu, bp, osize, false), &v, osize, mmu);
        }
        sp -= osize;
        cpu_st_bytes(cpu, stack_at(cpu, sp, osize, true), &v, osize, mmu);
    }
    set_part(&cpu->gpr[RSP], sp - bytes, ss);
    set_part(&cpu->gpr[RBP], cut(frame, ss), osize);
    return 0;
}
HELPER(enter, enter, HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G);
