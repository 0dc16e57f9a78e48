/*
 * crs.c - control registers and EFER: which values are refused, and which changes flush the TLB
 * (SDM volume 3, 2.5 and 4.10.4; AMD APM volume 2, 3.1 and 14.6).
 */
#include "tcg/guest/x86/system.h"

static void gp(X86Cpu *x)
{
    x86_raise_error(x, EXC_GP, 0);
}

/* -- CR0 */
static void enter_long_mode(X86Cpu *x)
{
    bool tss16 = (x->tr.attr >> DESC_TYPE_SHIFT & 0xf) == SYS_TSS16_BUSY;

    if (!(x->cr4 & CR4_PAE) || (x->seg[SEG_CS].attr & DESC_L) || tss16)
        gp(x);
    x->msr.efer |= EFER_LMA;
}

static void set_paging(X86Cpu *x, bool on)
{
    if (on && (x->msr.efer & EFER_LME))
        enter_long_mode(x);
    else if (on && (x->cr4 & CR4_PAE))
        x86_load_pdptes(x, x->cr3);
    else if (!on && x86_code64(x))
        gp(x);
    else if (!on)
        x->msr.efer &= ~(uint64_t)EFER_LMA;
}

static void write_cr0(X86Cpu *x, uint64_t v)
{
    uint64_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |
                     CR0_NW | CR0_CD | (uint32_t)CR0_PG;
    uint64_t old = x->cr0;

    if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        gp(x);
    v = (v & known) | CR0_ET;
    if ((old ^ v) & (uint32_t)CR0_PG)
        set_paging(x, v & CR0_PG);
    x->cr0 = v;
    if ((old ^ v) & ((uint32_t)CR0_PG | CR0_WP | CR0_PE))
        tlb_flush(&x->c);
    x86_update_mode(x);
}

/* -- CR3 */
static void write_cr3(X86Cpu *x, uint64_t v)
{
    if (x86_long_mode(x)) {
        if (v >> x->model.phys_bits)
            gp(x);
    } else {
        v = (uint32_t)v;
        if ((x->cr0 & CR0_PG) && (x->cr4 & CR4_PAE))
            x86_load_pdptes(x, v);
    }
    x->cr3 = v;
    if (x->cr4 & CR4_PGE)
        tlb_flush_non_global(&x->c);
    else
        tlb_flush(&x->c);
}

/* -- CR4: a bit is writable if the CPU model has its feature */
static uint64_t cr4_known(const X86Cpu *x)
{
    static const struct {
        uint32_t bit;
        uint16_t feature; /* byte offset of the word in X86Model */
        uint8_t shift;
    } rows[] = {
        { CR4_VME | CR4_PVI, offsetof(X86Model, feat_1_edx), 1 },
        { CR4_TSD, offsetof(X86Model, feat_1_edx), 4 },
        { CR4_DE, offsetof(X86Model, feat_1_edx), 2 },
        { CR4_PSE, offsetof(X86Model, feat_1_edx), 3 },
        { CR4_PAE, offsetof(X86Model, feat_1_edx), 6 },
        { CR4_MCE, offsetof(X86Model, feat_1_edx), 7 },
        { CR4_PGE, offsetof(X86Model, feat_1_edx), 13 },
        { CR4_PCE, offsetof(X86Model, feat_1_edx), 23 },
        { CR4_OSFXSR, offsetof(X86Model, feat_1_edx), 24 },
        { CR4_OSXMMEXCPT, offsetof(X86Model, feat_1_edx), 25 },
        { CR4_UMIP, offsetof(X86Model, feat_7_ecx), 2 },
        { CR4_FSGSBASE, offsetof(X86Model, feat_7_ebx), 0 },
        { CR4_OSXSAVE, offsetof(X86Model, feat_1_ecx), 26 },
        { CR4_SMEP, offsetof(X86Model, feat_7_ebx), 7 },
        { CR4_SMAP, offsetof(X86Model, feat_7_ebx), 20 },
    };
    uint64_t known = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint32_t *word = (const uint32_t *)((const char *)&x->model + rows[i].feature);

        if (*word >> rows[i].shift & 1)
            known |= rows[i].bit;
    }
    return known;
}

static void write_cr4(X86Cpu *x, uint64_t v)
{
    uint64_t changed = x->cr4 ^ v;
    uint64_t paging = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;

    if ((v & ~cr4_known(x)) || (x86_long_mode(x) && !(v & CR4_PAE)))
        gp(x);
    if ((x->cr0 & CR0_PG) && !x86_long_mode(x) && (v & CR4_PAE) && (changed & paging))
        x86_load_pdptes(x, x->cr3);
    x->cr4 = v;
    if (changed & (paging | CR4_SMAP))
        tlb_flush(&x->c);
    x86_update_mode(x);
}

/* -- EFER */
void x86_write_efer(X86Cpu *x, uint64_t v)
{
    uint32_t edx = x->model.feat_81_edx;
    uint64_t known = (edx & 1 << 11 ? EFER_SCE : 0) | (edx & 1 << 29 ? EFER_LME | EFER_LMA : 0) |
                     (edx & 1 << 20 ? EFER_NXE : 0) | (edx & 1 << 25 ? EFER_FFXSR : 0);
    uint64_t changed = x->msr.efer ^ v;

    if ((v & ~known) || ((changed & EFER_LME) && (x->cr0 & CR0_PG)))
        gp(x);
    x->msr.efer = (v & ~(uint64_t)EFER_LMA) | (x->msr.efer & EFER_LMA);
    if (changed & EFER_NXE)
        tlb_flush(&x->c);
}

/* -- access */
uint64_t x86_read_cr(X86Cpu *x, unsigned n)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    switch (n) {
    case 0: return x->cr0;
    case 2: return x->cr2;
    case 3: return x->cr3;
    case 4: return x->cr4;
    case 8: return bus->tpr ? bus->tpr(bus->opaque, x->c.index) : 0;
    default: x86_raise(x, EXC_UD);
    }
}

static void write_cr8(X86Cpu *x, uint64_t v)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (v > 15)
        gp(x);
    if (bus->set_tpr)
        bus->set_tpr(bus->opaque, x->c.index, v);
}

void x86_write_cr(X86Cpu *x, unsigned n, uint64_t v)
{
    switch (n) {
    case 0: write_cr0(x, v); break;
    case 2: x->cr2 = v; break;
    case 3: write_cr3(x, v); break;
    case 4: write_cr4(x, v); break;
    case 8: write_cr8(x, v); break;
    default: x86_raise(x, EXC_UD);
    }
}

/* LMSW sets PE but cannot clear it. */
void x86_lmsw(X86Cpu *x, uint16_t v)
{
    uint64_t low = CR0_MP | CR0_EM | CR0_TS;

    write_cr0(x, (x->cr0 & ~low) | (v & (low | CR0_PE)));
}
