/*
 * msr.c - model-specific registers (SDM volume 4; AMD APM volume 2, appendix A). Those that only
 * store are rows of a table; an unknown one raises #GP.
 */
#include <string.h>

#include "tcg/guest/x86/system.h"

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,

    MSR_MTRR_VAR = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_TSC_DEADLINE = 0x6e0,
    MTRR_CAP = 8 | 1 << 8 | 1 << 10, /* 8 variable ranges, fixed ranges, write combining */
};
#define MSR_EFER    0xc0000080u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define PAT_DEFAULT 0x0007040600070406u

enum { READ_ONLY = 1, CANONICAL = 2, NEEDS_LM = 4, IGNORED = 8 };

typedef struct {
    uint32_t number;
    uint32_t offset; /* in X86Cpu.msr; 0 with IGNORED or READ_ONLY: `value` */
    uint8_t attr;
    uint64_t mask; /* writable bits; others raise #GP */
    uint64_t value;
} MsrRow;

#define KEPT(field) offsetof(X86Cpu, msr.field)
#define ALL         UINT64_MAX

static const MsrRow rows[] = {
    { 0x17, 0, READ_ONLY, 0, 0 },         /* platform ID */
    { 0x2a, 0, IGNORED, ALL, 0 },         /* power-on configuration */
    { 0x34, 0, READ_ONLY, 0, 0 },         /* SMI count */
    { 0x79, 0, IGNORED, ALL, 0 },         /* microcode update */
    { 0x8b, 0, IGNORED, ALL, 0x1000065 }, /* microcode revision */
    { 0xce, 0, READ_ONLY, 0, 0 },         /* platform info */
    { 0xfe, 0, READ_ONLY, 0, MTRR_CAP },
    { 0x174, KEPT(sysenter_cs), 0, 0xffffffff, 0 },
    { 0x175, KEPT(sysenter_esp), CANONICAL, ALL, 0 },
    { 0x176, KEPT(sysenter_eip), CANONICAL, ALL, 0 },
    { 0x179, 0, READ_ONLY, 0, 0 }, /* machine check: no banks */
    { 0x17a, KEPT(mcg_status), 0, 7, 0 },
    { 0x1a0, KEPT(misc_enable), 0, ALL, 0 },
    { 0x1d9, KEPT(debugctl), 0, ALL, 0 },
    { 0x2ff, KEPT(mtrr_def), 0, 0xcff, 0 },
    { 0xc0000081, KEPT(star), 0, ALL, 0 },
    { 0xc0000082, KEPT(lstar), CANONICAL | NEEDS_LM, ALL, 0 },
    { 0xc0000083, KEPT(cstar), CANONICAL | NEEDS_LM, ALL, 0 },
    { 0xc0000084, KEPT(fmask), NEEDS_LM, 0xffffffff, 0 },
    { 0xc0000102, KEPT(kernel_gs_base), CANONICAL | NEEDS_LM, ALL, 0 },
    { 0xc0000103, KEPT(tsc_aux), NEEDS_LM, 0xffffffff, 0 },
    { 0xc0010010, 0, IGNORED, ALL, 0 }, /* SYSCFG */
    { 0xc0010015, 0, IGNORED, ALL, 0 }, /* HWCR */
    { 0xc001001a, 0, IGNORED, ALL, 0 }, /* TOP_MEM */
    { 0xc001001d, 0, IGNORED, ALL, 0 }, /* TOP_MEM2 */
    { 0xc001001f, 0, IGNORED, ALL, 0 }, /* NB_CFG */
    { 0xc0010055, 0, IGNORED, ALL, 0 }, /* interrupt pending message */
    { 0xc0010112, 0, IGNORED, ALL, 0 }, /* SMM TSeg base */
    { 0xc0010113, 0, IGNORED, ALL, 0 }, /* SMM TSeg mask */
};

NORETURN static void gp(X86Cpu *x)
{
    x86_raise_error(x, EXC_GP, 0);
}

static bool has_long_mode(const X86Cpu *x)
{
    return x->model.feat_81_edx & 1 << 29;
}

static const MsrRow *find_row(X86Cpu *x, uint32_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].number == n)
            return (rows[i].attr & NEEDS_LM) && !has_long_mode(x) ? NULL : &rows[i];
    }
    return NULL;
}

static uint64_t *kept(X86Cpu *x, const MsrRow *row)
{
    return (uint64_t *)((char *)x + row->offset);
}

/* The variable and fixed MTRRs; NULL: another register. */
static uint64_t *mtrr_of(X86Cpu *x, uint32_t n)
{
    if (n >= MSR_MTRR_VAR && n < MSR_MTRR_VAR + 16)
        return &x->msr.mtrr_var[n - MSR_MTRR_VAR];
    if (n == MSR_MTRR_FIX64K)
        return &x->msr.mtrr_fixed[0];
    if (n == MSR_MTRR_FIX16K || n == MSR_MTRR_FIX16K + 1)
        return &x->msr.mtrr_fixed[1 + n - MSR_MTRR_FIX16K];
    if (n >= MSR_MTRR_FIX4K && n < MSR_MTRR_FIX4K + 8)
        return &x->msr.mtrr_fixed[3 + n - MSR_MTRR_FIX4K];
    return NULL;
}

static bool valid_pat(uint64_t v)
{
    for (unsigned i = 0; i < 8; i++, v >>= 8) {
        uint8_t type = v;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

uint64_t x86_rdtsc(X86Cpu *x)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    return (bus->tsc ? bus->tsc(bus->opaque) : 0) + x->msr.tsc_offset;
}

void x86_msr_reset(X86Cpu *x)
{
    memset(&x->msr, 0, sizeof(x->msr));
    x->msr.pat = PAT_DEFAULT;
    x->msr.misc_enable = 1;
}

/* -- read */
static uint64_t read_apic_base(X86Cpu *x)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    return bus->apic_base ? bus->apic_base(bus->opaque, x->c.index) : 0xfee00000;
}

static uint64_t read_row(X86Cpu *x, uint32_t n)
{
    const MsrRow *row = find_row(x, n);
    uint64_t *mtrr = mtrr_of(x, n);

    if (mtrr && (x->model.feat_1_edx & 1 << 12))
        return *mtrr;
    if (!row)
        gp(x);
    return row->offset ? *kept(x, row) : row->value;
}

uint64_t x86_rdmsr(X86Cpu *x, uint32_t n)
{
    switch (n) {
    case MSR_TSC: return x86_rdtsc(x);
    case MSR_APIC_BASE: return read_apic_base(x);
    case MSR_PAT: return x->msr.pat;
    case MSR_EFER:
        if (!x->model.feat_81_edx)
            gp(x);
        return x->msr.efer;
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        if (!has_long_mode(x))
            gp(x);
        return x->seg[n == MSR_FS_BASE ? SEG_FS : SEG_GS].base;
    case MSR_TSC_DEADLINE:
        if (!(x->model.feat_1_ecx & 1 << 24))
            gp(x);
        return x->msr.tsc_deadline;
    default: return read_row(x, n);
    }
}

/* -- write */
static void write_base(X86Cpu *x, unsigned seg, uint64_t v)
{
    if (!has_long_mode(x) || !x86_canonical(v))
        gp(x);
    x->seg[seg].base = v;
    x->c.seg[seg].base = v;
}

static void write_apic_base(X86Cpu *x, uint64_t v)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (v >> x->model.phys_bits || (v & 0x6ff & ~(uint64_t)0x100)) /* no x2APIC */
        gp(x);
    if (bus->set_apic_base)
        bus->set_apic_base(bus->opaque, x->c.index, v);
}

static void write_deadline(X86Cpu *x, uint64_t v)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (!(x->model.feat_1_ecx & 1 << 24))
        gp(x);
    x->msr.tsc_deadline = v;
    if (bus->set_tsc_deadline)
        bus->set_tsc_deadline(bus->opaque, x->c.index, v ? v - x->msr.tsc_offset : 0);
}

static void write_row(X86Cpu *x, uint32_t n, uint64_t v)
{
    const MsrRow *row = find_row(x, n);
    uint64_t *mtrr = mtrr_of(x, n);

    if (mtrr && (x->model.feat_1_edx & 1 << 12)) {
        *mtrr = v;
        return;
    }
    if (!row || (row->attr & READ_ONLY) || (v & ~row->mask) ||
        ((row->attr & CANONICAL) && !x86_canonical(v)))
        gp(x);
    if (row->offset)
        *kept(x, row) = v;
}

void x86_wrmsr(X86Cpu *x, uint32_t n, uint64_t v)
{
    switch (n) {
    case MSR_TSC: x->msr.tsc_offset += v - x86_rdtsc(x); break;
    case MSR_APIC_BASE: write_apic_base(x, v); break;
    case MSR_PAT:
        if (!valid_pat(v))
            gp(x);
        x->msr.pat = v;
        break;
    case MSR_EFER:
        if (!x->model.feat_81_edx)
            gp(x);
        x86_write_efer(x, v);
        break;
    case MSR_FS_BASE: write_base(x, SEG_FS, v); break;
    case MSR_GS_BASE: write_base(x, SEG_GS, v); break;
    case MSR_TSC_DEADLINE: write_deadline(x, v); break;
    default: write_row(x, n, v); break;
    }
}
