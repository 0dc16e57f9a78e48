/*
 * fxsave.c - FXSAVE, FXRSTOR, XSAVE, XRSTOR: images of x87 and SSE state.
 *
 * Layout: SDM volume 1, 10.5.1 (legacy region) and 13.4 (XSAVE header, standard form). XSAVEOPT
 * writes what XSAVE does: both may.
 */
#include <string.h>

#include "base/endian.h"
#include "base/compiler.h"
#include "tcg/guest/x86/sse.h"
#include "tcg/guest/x86/x87.h"

enum {
    AT_MXCSR = 24,
    AT_ST = 32,
    AT_XMM = 160,
    FX_USED = 416, /* the rest of 512 belongs to software */
    AT_BV = 512,   /* XSTATE_BV, XCOMP_BV, zeros */
    XSAVE_SIZE = 576,
    XSTATE_X87 = 1,
    XSTATE_SSE = 2,
    XSTATE_KNOWN = 3,
};

static bool code64(const Cpu *cpu)
{
    return (cpu->mode & MODE_CODE) == MODE_CODE64;
}

static unsigned xmm_count(const Cpu *cpu)
{
    return code64(cpu) ? 16 : 8;
}

static uint64_t address(X86Cpu *x, unsigned seg, uint64_t off, unsigned len, unsigned align,
                        bool write)
{
    uint64_t va = x86_linear(x, seg, off, len, write);

    if (va & (align - 1))
        x86_raise_error(x, EXC_GP, 0);
    return va;
}

/* -- x87 part: bytes 0..23 and 32..159 */

/* AMD's processors save the pointers of an exception that is pending, else zeros. */
static bool saves_pointers(const X86Cpu *x)
{
    return x->fpu.sw & X87_ES || memcmp(x->model.vendor, "AuthenticAMD", 12);
}

static void put_pointers(X86Cpu *x, uint8_t *p, bool wide)
{
    memset(p + 6, 0, AT_MXCSR - 6);
    if (!saves_pointers(x))
        return;
    put_le16(p + 6, x->fpu.opcode);
    if (wide) {
        put_le64(p + 8, x->fpu.ip);
        put_le64(p + 16, x->fpu.dp);
    } else {
        put_le32(p + 8, x->fpu.ip);
        put_le32(p + 12, x->fpu.cs);
        put_le32(p + 16, x->fpu.dp);
        put_le32(p + 20, x->fpu.ds);
    }
}

static void put_x87(X86Cpu *x, uint8_t *p, bool wide)
{
    put_le16(p, x->fpu.cw);
    put_le16(p + 2, x87_status(x));
    put_le16(p + 4, x->fpu.tags);
    put_pointers(x, p, wide);
    for (unsigned i = 0; i < 8; i++) {
        memset(p + AT_ST + 16 * i, 0, 16);
        memcpy(p + AT_ST + 16 * i, x87_reg(x, i)->b, 10);
    }
}

static void get_x87(X86Cpu *x, const uint8_t *p, bool wide)
{
    x->fpu.cw = (get_le16(p) & X87_CW_VALID) | X87_CW_ONE;
    x87_set_status(x, get_le16(p + 2));
    x->fpu.tags = p[4];
    x->fpu.opcode = get_le16(p + 6) & 0x7ff;
    x->fpu.ip = wide ? get_le64(p + 8) : get_le32(p + 8);
    x->fpu.dp = wide ? get_le64(p + 16) : get_le32(p + 16);
    x->fpu.cs = wide ? 0 : get_le16(p + 12);
    x->fpu.ds = wide ? 0 : get_le16(p + 20);
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87_reg(x, i)->b, p + AT_ST + 16 * i, 10);
}

static void init_x87(X86Cpu *x)
{
    x87_init(x);
    for (unsigned i = 0; i < 8; i++) {
        x->c.vec[V_MM + i].q[0] = 0;
        x->c.vec[V_MM + i].w[4] = 0;
    }
}

static void put_mxcsr(X86Cpu *x, uint8_t *p)
{
    put_le32(p + AT_MXCSR, x->c.mxcsr);
    put_le32(p + AT_MXCSR + 4, 0xffff); /* MXCSR_MASK */
}

static void put_xmm(X86Cpu *x, uint8_t *p)
{
    for (unsigned i = 0; i < xmm_count(&x->c); i++)
        memcpy(p + AT_XMM + 16 * i, x->c.vec[i].b, 16);
}

static void get_xmm(X86Cpu *x, const uint8_t *p)
{
    for (unsigned i = 0; i < xmm_count(&x->c); i++)
        memcpy(x->c.vec[i].b, p + AT_XMM + 16 * i, 16);
}

/* EFER.FFXSR: the kernel's FXSAVE leaves XMM registers out. */
static bool skips_xmm(X86Cpu *x)
{
    return x->msr.efer & EFER_FFXSR && code64(&x->c) && x86_cpl(x) == 0;
}

static uint64_t fxsave(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t wide)
{
    X86Cpu *x = x86(cpu);
    uint64_t va = address(x, seg, off, 512, 16, true);
    unsigned len = skips_xmm(x) ? AT_XMM : AT_XMM + 16 * xmm_count(cpu);
    uint8_t image[FX_USED];

    put_x87(x, image, wide);
    put_mxcsr(x, image);
    put_xmm(x, image);
    cpu_st_bytes(cpu, va, image, len, x86_mmu(cpu));
    return 0;
}
const IrHelper x86_h_fxsave = { "fxsave", fxsave, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t fxrstor(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t wide)
{
    X86Cpu *x = x86(cpu);
    uint64_t va = address(x, seg, off, 512, 16, false);
    uint8_t image[512];

    cpu_ld_bytes(cpu, va, image, sizeof(image), x86_mmu(cpu));
    x86_set_mxcsr(x, get_le32(image + AT_MXCSR));
    get_x87(x, image, wide);
    if (!skips_xmm(x))
        get_xmm(x, image);
    return 0;
}
const IrHelper x86_h_fxrstor = { "fxrstor", fxrstor, HELPER_FAULTS | HELPER_VECTORS };

/* -- XSAVE, XRSTOR: the components in EDX:EAX that XCR0 has */
static uint64_t requested(const X86Cpu *x)
{
    uint64_t mask = (uint32_t)x->c.gpr[RAX] | x->c.gpr[RDX] << 32;

    return mask & x->xcr0 & XSTATE_KNOWN;
}

static uint64_t xsave(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t wide)
{
    X86Cpu *x = x86(cpu);
    uint64_t va = address(x, seg, off, XSAVE_SIZE, 64, true), mask = requested(x), bv;
    unsigned mmu = x86_mmu(cpu);
    uint8_t image[FX_USED];

    cpu_probe(cpu, va, XSAVE_SIZE, ACCESS_WRITE, mmu);
    bv = (cpu_ld64(cpu, va + AT_BV, mmu) & ~mask) | mask;
    put_x87(x, image, wide);
    put_mxcsr(x, image);
    put_xmm(x, image);
    if (mask & XSTATE_X87) {
        cpu_st_bytes(cpu, va, image, AT_MXCSR, mmu);
        cpu_st_bytes(cpu, va + AT_ST, image + AT_ST, AT_XMM - AT_ST, mmu);
    }
    if (mask & XSTATE_SSE) {
        cpu_st_bytes(cpu, va + AT_MXCSR, image + AT_MXCSR, 8, mmu);
        cpu_st_bytes(cpu, va + AT_XMM, image + AT_XMM, 16 * xmm_count(cpu), mmu);
    }
    cpu_st64(cpu, va + AT_BV, bv, mmu);
    return 0;
}
const IrHelper x86_h_xsave = { "xsave", xsave, HELPER_FAULTS | HELPER_VECTORS | HELPER_READS_G };

/* XSTATE_BV names only what XCR0 has, the form is the standard one, the rest is zero. */
static void check_header(X86Cpu *x, const uint8_t *header)
{
    if (get_le64(header) & ~x->xcr0 || get_le64(header + 8) || get_le64(header + 16))
        x86_raise_error(x, EXC_GP, 0);
}

static uint64_t xrstor(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t wide)
{
    X86Cpu *x = x86(cpu);
    uint64_t va = address(x, seg, off, XSAVE_SIZE, 64, false), mask = requested(x), bv;
    uint8_t image[XSAVE_SIZE];

    cpu_ld_bytes(cpu, va, image, sizeof(image), x86_mmu(cpu));
    check_header(x, image + AT_BV);
    bv = get_le64(image + AT_BV);
    if (mask & XSTATE_SSE) {
        x86_set_mxcsr(x, get_le32(image + AT_MXCSR));
        if (!(bv & XSTATE_SSE))
            memset(image + AT_XMM, 0, FX_USED - AT_XMM);
        get_xmm(x, image);
    }
    if (mask & XSTATE_X87) {
        if (bv & XSTATE_X87)
            get_x87(x, image, wide);
        else
            init_x87(x);
    }
    return 0;
}
const IrHelper x86_h_xrstor = { "xrstor", xrstor, HELPER_FAULTS | HELPER_VECTORS | HELPER_READS_G };
