/*
 * sysseg.c - LDTR and TR, and the instructions that only look at descriptors: LAR, LSL, VERR, VERW.
 */
#include "tcg/guest/x86/system.h"

/* In long mode system descriptors have 16 bytes and a 64-bit base. */
static X86Seg system_seg(X86Cpu *x, uint16_t sel, const X86Desc *d)
{
    X86Seg s = x86_seg_of_desc(sel, d->raw);

    if (x86_long_mode(x)) {
        s.base |= x86_desc_high(x, d, sel, EXC_GP);
        if (!x86_canonical(s.base))
            x86_raise_error(x, EXC_GP, sel & ~3);
    }
    return s;
}

void x86_lldt(X86Cpu *x, uint16_t sel)
{
    if (sel_null(sel)) {
        x->ldtr = (X86Seg) { .selector = sel };
        return;
    }
    if (sel & 4)
        x86_raise_error(x, EXC_GP, sel & ~3);
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    if (desc_type(d.raw) != SYS_LDT)
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(desc_attr(d.raw) & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    x->ldtr = system_seg(x, sel, &d);
}

void x86_ltr(X86Cpu *x, uint16_t sel)
{
    if (sel_null(sel) || (sel & 4))
        x86_raise_error(x, EXC_GP, sel & ~3);
    X86Desc d = x86_desc_need(x, sel, EXC_GP);
    unsigned type = desc_type(d.raw);
    if (type != SYS_TSS32 && (type != SYS_TSS16 || x86_long_mode(x)))
        x86_raise_error(x, EXC_GP, sel & ~3);
    if (!(desc_attr(d.raw) & DESC_P))
        x86_raise_error(x, EXC_NP, sel & ~3);
    X86Seg s = system_seg(x, sel, &d);
    s.attr |= 2 << DESC_TYPE_SHIFT;
    cpu_st8(&x->c, d.addr + 5, d.raw >> 40 | 2, MMU_KERNEL);
    x->tr = s;
}

/* May the current privilege level and the selector's see this descriptor at all? */
static bool visible(X86Cpu *x, uint16_t sel, uint32_t attr)
{
    unsigned dpl = attr_dpl(attr);

    return attr_is_conforming(attr) || (dpl >= x86_cpl(x) && dpl >= sel_rpl(sel));
}

static bool has_bit(unsigned mask, unsigned bit)
{
    return mask >> bit & 1;
}

/* SDM volume 2, tables of LAR and LSL: the system types that they accept. */
static bool lar_type(X86Cpu *x, uint64_t raw)
{
    unsigned legacy = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_CALL16 |
                      1 << SYS_TASK_GATE | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY | 1 << SYS_CALL32;
    unsigned wide = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY | 1 << SYS_CALL32;

    return desc_type(raw) >= 16 || has_bit(x86_long_mode(x) ? wide : legacy, desc_type(raw));
}

static bool lsl_type(X86Cpu *x, uint64_t raw)
{
    unsigned legacy =
        1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY;
    unsigned wide = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY;

    return desc_type(raw) >= 16 || has_bit(x86_long_mode(x) ? wide : legacy, desc_type(raw));
}

bool x86_lar(X86Cpu *x, uint16_t sel, uint32_t *out)
{
    X86Desc d;

    if (sel_null(sel) || !x86_desc_read(x, sel, &d) || !lar_type(x, d.raw) ||
        !visible(x, sel, desc_attr(d.raw)))
        return false;
    *out = d.raw >> 32 & 0xf0ff00;
    return true;
}

bool x86_lsl(X86Cpu *x, uint16_t sel, uint32_t *out)
{
    X86Desc d;

    if (sel_null(sel) || !x86_desc_read(x, sel, &d) || !lsl_type(x, d.raw) ||
        !visible(x, sel, desc_attr(d.raw)))
        return false;
    *out = x86_seg_of_desc(sel, d.raw).limit;
    return true;
}

bool x86_ver(X86Cpu *x, uint16_t sel, bool write)
{
    X86Desc d;

    if (sel_null(sel) || !x86_desc_read(x, sel, &d))
        return false;
    uint32_t attr = desc_attr(d.raw);
    if (!(attr & DESC_S) || !visible(x, sel, attr))
        return false;
    if (write)
        return attr_is_stack(attr);
    return attr_is_data(attr) || (attr & DESC_R);
}
