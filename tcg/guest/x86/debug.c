/*
 * debug.c - debug registers and breakpoints (SDM volume 3, chapter 17).
 *
 * While a breakpoint is enabled the mode has MODE_CODE_BP: a block is one instruction and asks
 * x86_check_breakpoints() first. A data or I/O breakpoint hit is left in debug_hits and trapped
 * there, before the next instruction.
 */
#include "tcg/debug.h"
#include "tcg/guest/x86/system.h"

enum { DR6_FIXED = (int)0xffff0ff0, DR6_BD = 1 << 13, DR7_FIXED = 1 << 10, DR7_GD = 1 << 13 };
enum { BP_EXEC, BP_WRITE, BP_IO, BP_ACCESS };

static bool bp_enabled(const X86Cpu *x, unsigned n)
{
    return x->dr[7] >> 2 * n & 3;
}

static unsigned bp_kind(const X86Cpu *x, unsigned n)
{
    return x->dr[7] >> (16 + 4 * n) & 3;
}

static unsigned bp_length(const X86Cpu *x, unsigned n)
{
    static const uint8_t length[] = { 1, 2, 8, 4 };

    return length[x->dr[7] >> (18 + 4 * n) & 3];
}

/* -- registers */
static unsigned real_number(X86Cpu *x, unsigned n)
{
    if (n == 4 || n == 5) { /* aliases of DR6, DR7 unless CR4.DE */
        if (x->cr4 & CR4_DE)
            x86_raise(x, EXC_UD);
        n += 2;
    }
    if (x->dr[7] & DR7_GD) {
        x->dr[6] |= DR6_BD;
        x->dr[7] &= ~(uint64_t)DR7_GD;
        x86_raise(x, EXC_DB);
    }
    return n;
}

uint64_t x86_read_dr(X86Cpu *x, unsigned n)
{
    return x->dr[real_number(x, n)];
}

void x86_write_dr(X86Cpu *x, unsigned n, uint64_t v)
{
    n = real_number(x, n);
    if (n >= 6 && v >> 32)
        x86_raise_error(x, EXC_GP, 0);
    if (n == 6)
        v = (v & 0xe00f) | (uint32_t)DR6_FIXED;
    if (n == 7)
        v = (v & 0xffff2bff) | DR7_FIXED;
    x->dr[n] = v;
    tlb_flush(&x->c); /* pages with data breakpoints stay out of the TLB */
    x->eflags &= ~(uint64_t)EFL_RF;
    x86_update_mode(x);
}

/* -- hits */
void x86_check_breakpoints(X86Cpu *x, uint64_t pc)
{
    uint64_t linear = x86_code64(x) ? pc : (uint32_t)(x->seg[SEG_CS].base + pc);
    uint64_t hits = 0;

    debug_check(&x->c, linear);
    if (x->debug_hits) {
        hits = x->debug_hits;
        x->debug_hits = 0;
        x86_trap_after(x, hits, pc);
    }
    if (x->eflags & EFL_RF) { /* this instruction was resumed after its breakpoint */
        x->eflags &= ~(uint64_t)EFL_RF;
        return;
    }
    for (unsigned n = 0; n < 4; n++) {
        if (bp_enabled(x, n) && bp_kind(x, n) == BP_EXEC && x->dr[n] == linear)
            hits |= (uint64_t)1 << n;
    }
    if (hits) {
        x->dr[6] |= hits;
        x86_raise(x, EXC_DB);
    }
}

void x86_watch(X86Cpu *x, uint64_t addr, unsigned len, bool write, bool io)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned kind = bp_kind(x, n), size = bp_length(x, n);
        uint64_t at = x->dr[n] & ~(uint64_t)(size - 1);
        bool wanted = io ? kind == BP_IO && (x->cr4 & CR4_DE)
                         : kind == BP_ACCESS || (kind == BP_WRITE && write);

        if (bp_enabled(x, n) && wanted && addr < at + size && at < addr + len)
            x->debug_hits |= (uint64_t)1 << n;
    }
}

void x86_watch_data(Cpu *cpu, uint64_t va, unsigned size, bool write)
{
    x86_watch(x86(cpu), va, size, write, false);
    debug_access(cpu, va, size, write);
}

bool x86_watches_data(const X86Cpu *x)
{
    for (unsigned n = 0; n < 4; n++) {
        if (bp_enabled(x, n) && (bp_kind(x, n) == BP_WRITE || bp_kind(x, n) == BP_ACCESS))
            return true;
    }
    return false;
}

bool x86_has_watch(const X86Cpu *x, uint64_t page)
{
    for (unsigned n = 0; n < 4; n++) {
        bool data = bp_kind(x, n) == BP_WRITE || bp_kind(x, n) == BP_ACCESS;

        if (bp_enabled(x, n) && data && (x->dr[n] & ~(uint64_t)0xfff) == page)
            return true;
    }
    return false;
}
