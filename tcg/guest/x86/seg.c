/*
 * seg.c - segment registers: descriptors, their checks, and the fast limits that translated code
 * uses (SDM volume 3, chapters 3 and 5; AMD APM volume 2, chapter 4).
 *
 * A segment's limit and attributes survive a load in real mode, as on hardware ("unreal mode").
 */
#include "tcg/guest/x86/system.h"

X86Seg x86_seg_of_desc(uint16_t sel, uint64_t raw)
{
    uint32_t lo = raw, hi = raw >> 32;
    uint32_t limit = (lo & 0xffff) | (hi & 0xf0000);

    if (hi & DESC_G)
        limit = limit << 12 | 0xfff;
    return (X86Seg) {
        .selector = sel,
        .limit = limit,
        .attr = desc_attr(raw),
        .base = lo >> 16 | (hi & 0xff) << 16 | (hi & 0xff000000),
    };
}

/* -- descriptor tables */
bool x86_desc_read(X86Cpu *x, uint16_t sel, X86Desc *out)
{
    bool local = sel & 4;
    uint64_t base = local ? x->ldtr.base : x->gdtr.base;
    uint32_t limit = local ? x->ldtr.limit : x->gdtr.limit;

    if ((local && sel_null(x->ldtr.selector)) || (sel | 7u) > limit)
        return false;
    out->addr = base + (sel & ~7);
    if (!x86_long_mode(x))
        out->addr = (uint32_t)out->addr;
    out->raw = cpu_ld64(&x->c, out->addr, MMU_KERNEL);
    return true;
}

X86Desc x86_desc_need(X86Cpu *x, uint16_t sel, unsigned vector)
{
    X86Desc d;

    if (!x86_desc_read(x, sel, &d))
        x86_raise_error(x, vector, sel & ~3);
    return d;
}

void x86_desc_touch(X86Cpu *x, X86Desc *desc)
{
    uint64_t accessed = (uint64_t)DESC_A << 32;

    if (desc->raw & accessed)
        return;
    desc->raw |= accessed;
    cpu_st8(&x->c, desc->addr + 5, desc->raw >> 40, MMU_KERNEL);
}

uint64_t x86_desc_high(X86Cpu *x, const X86Desc *desc, uint16_t sel, unsigned vector)
{
    uint32_t limit = sel & 4 ? x->ldtr.limit : x->gdtr.limit;

    if ((sel | 7u) + 8 > limit)
        x86_raise_error(x, vector, sel & ~3);
    uint64_t high = cpu_ld64(&x->c, desc->addr + 8, MMU_KERNEL);
    if (high >> 40 & 0x1f) /* the type field of the second half must be zero */
        x86_raise_error(x, vector, sel & ~3);
    return high << 32;
}

/* -- fast limits */
static void limits_protected(const X86Seg *s, SegWindow *w)
{
    bool code = s->attr & DESC_CODE;
    uint64_t end = (uint64_t)s->limit + 1;

    w->read_end = w->write_end = 0;
    if (!(s->attr & DESC_P) || (!code && (s->attr & DESC_E)))
        return;
    if (!code || (s->attr & DESC_R))
        w->read_end = end;
    if (!code && (s->attr & DESC_W))
        w->write_end = end;
}

static void seg_window(X86Cpu *x, unsigned i)
{
    SegWindow *w = &x->c.seg[i];
    const X86Seg *s = &x->seg[i];

    w->base = s->base;
    if (x86_code64(x)) {
        w->read_end = w->write_end = UINT64_MAX;
        if (i < SEG_FS)
            w->base = 0;
    } else if (x86_protected(x)) {
        limits_protected(s, w);
    } else {
        w->read_end = w->write_end = (uint64_t)s->limit + 1;
    }
}

void x86_seg_windows(X86Cpu *x)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        seg_window(x, i);
}

/* -- commit */
void x86_seg_set(X86Cpu *x, unsigned seg, const X86Seg *s)
{
    x->seg[seg] = *s;
    seg_window(x, seg);
}

/* A null selector: unusable, but in 64-bit mode; SS keeps the privilege level. */
void x86_seg_set_null(X86Cpu *x, unsigned seg, uint16_t sel)
{
    X86Seg s = { .selector = sel };

    if (seg == SEG_SS)
        s.attr = (uint32_t)sel_rpl(sel) << DESC_DPL_SHIFT;
    x86_seg_set(x, seg, &s);
}

void x86_seg_set_real(X86Cpu *x, unsigned seg, uint16_t sel)
{
    X86Seg s = x->seg[seg];

    s.selector = sel;
    s.base = (uint32_t)sel << 4;
    if (!(s.attr & DESC_P)) { /* it was null in protected mode */
        s.attr = DESC_P | DESC_S | DESC_W | DESC_A;
        s.limit = 0xffff;
    }
    x86_seg_set(x, seg, &s);
}

void x86_seg_set_v86(X86Cpu *x, unsigned seg, uint16_t sel)
{
    X86Seg s = { sel, 0xffff, DESC_P | DESC_DPL | DESC_S | DESC_W | DESC_A, (uint32_t)sel << 4 };

    x86_seg_set(x, seg, &s);
}

/* -- loads */
X86Seg x86_check_ss(X86Cpu *x, uint16_t sel, unsigned cpl, unsigned vector)
{
    if (sel_null(sel))
        x86_raise_error(x, vector, 0);
    X86Desc d = x86_desc_need(x, sel, vector);
    uint32_t attr = desc_attr(d.raw);

    if (sel_rpl(sel) != cpl || attr_dpl(attr) != cpl || !attr_is_stack(attr))
        x86_raise_error(x, vector, sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_SS, sel & ~3);
    x86_desc_touch(x, &d);
    return x86_seg_of_desc(sel, d.raw);
}

static void load_ss(X86Cpu *x, uint16_t sel)
{
    unsigned cpl = x86_cpl(x);

    if (sel_null(sel) && x86_code64(x) && cpl < 3 && sel_rpl(sel) == cpl) {
        x86_seg_set_null(x, SEG_SS, sel);
        return;
    }
    X86Seg s = x86_check_ss(x, sel, cpl, EXC_GP);
    x86_seg_set(x, SEG_SS, &s);
}

static bool data_readable(uint32_t attr)
{
    return (attr & DESC_S) && (attr & (DESC_CODE | DESC_R)) != DESC_CODE;
}

static void load_data_seg(X86Cpu *x, unsigned seg, uint16_t sel)
{
    if (sel_null(sel)) {
        x86_seg_set_null(x, seg, sel);
        return;
    }
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    uint32_t attr = desc_attr(d.raw);
    unsigned dpl = attr_dpl(attr);

    if (!data_readable(attr) ||
        (!attr_is_conforming(attr) && (dpl < x86_cpl(x) || dpl < sel_rpl(sel))))
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(attr & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x86_desc_touch(x, &d);
    X86Seg s = x86_seg_of_desc(sel, d.raw);
    x86_seg_set(x, seg, &s);
}

void x86_load_seg(X86Cpu *x, unsigned seg, uint16_t sel)
{
    if (x->c.mode & MODE_VM)
        x86_seg_set_v86(x, seg, sel);
    else if (!(x->c.mode & MODE_PE))
        x86_seg_set_real(x, seg, sel);
    else if (seg == SEG_SS)
        load_ss(x, sel);
    else
        load_data_seg(x, seg, sel);
    if (seg < SEG_FS)
        x86_update_mode(x);
}

/* -- limits, the slow way */
bool x86_seg_allows(const X86Seg *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;

    if ((s->attr & (DESC_CODE | DESC_E)) == DESC_E)
        return offset > s->limit && last <= (s->attr & DESC_B ? 0xffffffff : 0xffff);
    return last <= s->limit;
}

void x86_limit_slow(Cpu *cpu, unsigned seg, uint64_t offset, unsigned size, bool write)
{
    X86Cpu *x = x86(cpu);
    const X86Seg *s = &x->seg[seg];
    bool ok = x86_seg_allows(s, offset, size);

    if (x86_code64(x))
        return;
    if (x86_protected(x)) {
        bool code = s->attr & DESC_CODE;

        ok = ok && (s->attr & DESC_P) && (write ? !code : !code || (s->attr & DESC_R)) &&
             (!write || (s->attr & DESC_W));
    }
    if (!ok)
        x86_raise_error(x, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

uint64_t x86_linear(X86Cpu *x, unsigned seg, uint64_t offset, unsigned size, bool write)
{
    const SegWindow *w = &x->c.seg[seg];

    if (offset + size - 1 >= (write ? w->write_end : w->read_end))
        x86_limit_slow(&x->c, seg, offset, size, write);
    if (!x86_code64(x))
        return (uint32_t)(w->base + offset);
    uint64_t va = w->base + offset;
    if (!x86_canonical(va) || !x86_canonical(va + size - 1))
        x86_raise_error(x, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    return va;
}
