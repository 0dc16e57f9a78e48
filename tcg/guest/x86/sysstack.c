/*
 * sysstack.c - pushes and pops on a stack that becomes the CPU's only when everything has
 * succeeded.
 */
#include "tcg/guest/x86/system.h"

static uint64_t stack_mask(const X86Cpu *x, const X86Seg *ss)
{
    return x86_code64(x) ? UINT64_MAX : ss->attr & DESC_B ? 0xffffffff : 0xffff;
}

X86Stack x86_stack_current(X86Cpu *x)
{
    return (X86Stack) {
        .x = x,
        .ss = x->seg[SEG_SS],
        .sp = x->c.gpr[RSP],
        .mask = stack_mask(x, &x->seg[SEG_SS]),
        .mmu = x86_mmu(&x->c),
    };
}

X86Stack x86_stack_new(X86Cpu *x, const X86Seg *ss, uint64_t sp, unsigned cpl, uint32_t error)
{
    return (X86Stack) {
        .x = x,
        .ss = *ss,
        .sp = sp,
        .mask = ss->attr & DESC_B ? 0xffffffff : 0xffff,
        .mmu = cpl == 3 ? MMU_USER : MMU_KERNEL,
        .error = error,
    };
}

static uint64_t stack_address(X86Stack *st, uint64_t offset, unsigned size)
{
    X86Cpu *x = st->x;

    if (st->mask == UINT64_MAX) {
        if (!x86_canonical(offset) || !x86_canonical(offset + size - 1))
            x86_raise_error(x, EXC_SS, st->error);
        return offset;
    }
    if (!x86_seg_allows(&st->ss, offset, size))
        x86_raise_error(x, EXC_SS, st->error);
    return (uint32_t)(st->ss.base + offset);
}

void x86_stack_push(X86Stack *st, uint64_t value, unsigned size)
{
    Cpu *cpu = &st->x->c;
    uint64_t sp = (st->sp - size) & st->mask;
    uint64_t va = stack_address(st, sp, size);

    if (size == 2)
        cpu_st16(cpu, va, value, st->mmu);
    else if (size == 4)
        cpu_st32(cpu, va, value, st->mmu);
    else
        cpu_st64(cpu, va, value, st->mmu);
    st->sp = (st->sp & ~st->mask) | sp;
}

uint64_t x86_stack_pop(X86Stack *st, unsigned size)
{
    Cpu *cpu = &st->x->c;
    uint64_t va = stack_address(st, st->sp & st->mask, size), v;

    if (size == 2)
        v = cpu_ld16(cpu, va, st->mmu);
    else if (size == 4)
        v = cpu_ld32(cpu, va, st->mmu);
    else
        v = cpu_ld64(cpu, va, st->mmu);
    st->sp = (st->sp & ~st->mask) | ((st->sp + size) & st->mask);
    return v;
}

void x86_stack_commit_sp(const X86Stack *st)
{
    uint64_t *rsp = &st->x->c.gpr[RSP];

    if (st->mask == 0xffff)
        *rsp = (*rsp & ~st->mask) | (st->sp & st->mask);
    else
        *rsp = st->sp & st->mask;
}

/* SDM volume 3, 7.2.1: SS0..2:ESP0..2 of a 32-bit TSS, or of a 16-bit one. */
X86Stack x86_stack_inner(X86Cpu *x, unsigned cpl)
{
    bool wide = x->tr.attr & 8 << DESC_TYPE_SHIFT;
    unsigned at = wide ? 4 + 8 * cpl : 2 + 4 * cpl, size = wide ? 4 : 2;
    uint64_t va = (uint32_t)(x->tr.base + at);

    if (at + 2 * size - 1 > x->tr.limit)
        x86_raise_error(x, EXC_TS, x->tr.selector & ~3);
    uint32_t sp = wide ? cpu_ld32(&x->c, va, MMU_KERNEL) : cpu_ld16(&x->c, va, MMU_KERNEL);
    uint16_t sel = cpu_ld16(&x->c, (uint32_t)(va + size), MMU_KERNEL);
    X86Seg ss = x86_check_ss(x, sel, cpl, EXC_TS);
    return x86_stack_new(x, &ss, sp, cpl, sel & ~3);
}

uint64_t x86_tss64_sp(X86Cpu *x, unsigned slot)
{
    unsigned at = 4 + 8 * slot;

    if (at + 7 > x->tr.limit)
        x86_raise_error(x, EXC_TS, x->tr.selector & ~3);
    uint64_t sp = cpu_ld64(&x->c, x->tr.base + at, MMU_KERNEL);
    if (!x86_canonical(sp))
        x86_raise_error(x, EXC_SS, 0);
    return sp;
}
