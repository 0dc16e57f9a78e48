/*
 * x87_control.c - x87 control words, environments and state images (SDM volume 1, 8.1.10).
 */
#include <string.h>

#include "base/endian.h"
#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"

enum { ENV16 = 14, ENV32 = 28, REGISTERS = 80 };

static uint64_t fwait(Cpu *cpu)
{
    x87_check_pending(x86(cpu));
    return 0;
}
const IrHelper x86_h_fwait = { "fwait", fwait, HELPER_FAULTS };

static uint64_t fninit(Cpu *cpu)
{
    x87_init(x86(cpu));
    return 0;
}
const IrHelper x86_h_fninit = { "fninit", fninit, 0 };

static uint64_t fnclex(Cpu *cpu)
{
    x86(cpu)->fpu.sw &= ~(FP_ALL | X87_SF | X87_ES | X87_B);
    return 0;
}
const IrHelper x86_h_fnclex = { "fnclex", fnclex, 0 };

static uint64_t fnstsw(Cpu *cpu)
{
    return x87_status(x86(cpu));
}
const IrHelper x86_h_fnstsw = { "fnstsw", fnstsw, 0 };

static uint64_t fnstcw(Cpu *cpu)
{
    return x86(cpu)->fpu.cw;
}
const IrHelper x86_h_fnstcw = { "fnstcw", fnstcw, 0 };

static uint64_t fldcw(Cpu *cpu, uint64_t value)
{
    x87_check_pending(x86(cpu));
    x87_set_control(x86(cpu), value);
    return 0;
}
const IrHelper x86_h_fldcw = { "fldcw", fldcw, HELPER_FAULTS };

/* -- the environment in its four layouts */
static bool real_layout(const X86Cpu *x)
{
    return !(x->cr0 & CR0_PE) || x->eflags & EFL_VM;
}

static uint32_t linear(uint16_t selector, uint64_t offset)
{
    return ((uint32_t)selector << 4) + (uint32_t)offset;
}

static void put_env32(X86Cpu *x, uint8_t *p)
{
    uint32_t high = 0xffff0000, ip = linear(x->fpu.cs, x->fpu.ip);
    uint32_t dp = linear(x->fpu.ds, x->fpu.dp), fop = x->fpu.opcode;

    put_le32(p, high | x->fpu.cw);
    put_le32(p + 4, high | x87_status(x));
    put_le32(p + 8, high | x87_tag_word(x));
    if (real_layout(x)) {
        put_le32(p + 12, high | (ip & 0xffff));
        put_le32(p + 16, (ip >> 16 & 0xffff) << 12 | fop);
        put_le32(p + 20, high | (dp & 0xffff));
        put_le32(p + 24, (dp >> 16 & 0xffff) << 12);
    } else {
        put_le32(p + 12, x->fpu.ip);
        put_le32(p + 16, x->fpu.cs | fop << 16);
        put_le32(p + 20, x->fpu.dp);
        put_le32(p + 24, high | x->fpu.ds);
    }
}

static void put_env16(X86Cpu *x, uint8_t *p)
{
    uint32_t ip = linear(x->fpu.cs, x->fpu.ip), dp = linear(x->fpu.ds, x->fpu.dp);
    bool real = real_layout(x);

    put_le16(p, x->fpu.cw);
    put_le16(p + 2, x87_status(x));
    put_le16(p + 4, x87_tag_word(x));
    put_le16(p + 6, real ? ip : x->fpu.ip);
    put_le16(p + 8, real ? (ip >> 16 & 15) << 12 | x->fpu.opcode : x->fpu.cs);
    put_le16(p + 10, real ? dp : x->fpu.dp);
    put_le16(p + 12, real ? (dp >> 16 & 15) << 12 : x->fpu.ds);
}

/* Pointers of a real-mode image are linear: they come back with selector 0. */
static void get_pointers32(X86Cpu *x, const uint8_t *p)
{
    uint32_t second = get_le32(p + 16);

    if (real_layout(x)) {
        x->fpu.ip = get_le16(p + 12) | (second >> 12 & 0xffff) << 16;
        x->fpu.dp = get_le16(p + 20) | (get_le32(p + 24) >> 12 & 0xffff) << 16;
        x->fpu.cs = x->fpu.ds = 0;
        x->fpu.opcode = second & 0x7ff;
    } else {
        x->fpu.ip = get_le32(p + 12);
        x->fpu.dp = get_le32(p + 20);
        x->fpu.cs = second;
        x->fpu.ds = get_le16(p + 24);
        x->fpu.opcode = second >> 16 & 0x7ff;
    }
}

static void get_pointers16(X86Cpu *x, const uint8_t *p)
{
    uint16_t second = get_le16(p + 8), fourth = get_le16(p + 12);

    x->fpu.ip = get_le16(p + 6);
    x->fpu.dp = get_le16(p + 10);
    x->fpu.cs = second;
    x->fpu.ds = fourth;
    if (real_layout(x)) {
        x->fpu.ip |= (uint32_t)(second >> 12) << 16;
        x->fpu.dp |= (uint32_t)(fourth >> 12) << 16;
        x->fpu.cs = x->fpu.ds = 0;
        x->fpu.opcode = second & 0x7ff;
    }
}

static unsigned put_env(X86Cpu *x, uint8_t *p, unsigned osize)
{
    if (osize == 2)
        put_env16(x, p);
    else
        put_env32(x, p);
    return osize == 2 ? ENV16 : ENV32;
}

static void get_env(X86Cpu *x, const uint8_t *p, unsigned osize)
{
    unsigned step = osize == 2 ? 2 : 4;

    if (osize == 2)
        get_pointers16(x, p);
    else
        get_pointers32(x, p);
    x->fpu.cw = (get_le16(p) & X87_CW_VALID) | X87_CW_ONE;
    x87_set_status(x, get_le16(p + step));
    x87_set_tag_word(x, get_le16(p + 2 * step));
}

/* -- FNSTENV, FLDENV, FNSAVE, FRSTOR: (segment, offset, operand size) */
static uint64_t fnstenv(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    X86Cpu *x = x86(cpu);
    uint8_t image[ENV32];
    unsigned len = put_env(x, image, osize);

    cpu_st_bytes(cpu, x86_linear(x, seg, off, len, true), image, len, x86_mmu(cpu));
    x87_set_control(x, x->fpu.cw | FP_ALL);
    return 0;
}
const IrHelper x86_h_fnstenv = { "fnstenv", fnstenv, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t fldenv(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    X86Cpu *x = x86(cpu);
    unsigned len = osize == 2 ? ENV16 : ENV32;
    uint8_t image[ENV32];

    x87_check_pending(x);
    cpu_ld_bytes(cpu, x86_linear(x, seg, off, len, false), image, len, x86_mmu(cpu));
    get_env(x, image, osize);
    return 0;
}
const IrHelper x86_h_fldenv = { "fldenv", fldenv, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t fnsave(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    X86Cpu *x = x86(cpu);
    uint8_t image[ENV32 + REGISTERS];
    unsigned len = put_env(x, image, osize);

    for (unsigned i = 0; i < 8; i++, len += 10)
        memcpy(image + len, x87_reg(x, i)->b, 10);
    cpu_st_bytes(cpu, x86_linear(x, seg, off, len, true), image, len, x86_mmu(cpu));
    x87_init(x);
    return 0;
}
const IrHelper x86_h_fnsave = { "fnsave", fnsave, HELPER_FAULTS | HELPER_VECTORS };

static uint64_t frstor(Cpu *cpu, uint64_t seg, uint64_t off, uint64_t osize)
{
    X86Cpu *x = x86(cpu);
    unsigned env = osize == 2 ? ENV16 : ENV32, len = env + REGISTERS;
    uint8_t image[ENV32 + REGISTERS];

    x87_check_pending(x);
    cpu_ld_bytes(cpu, x86_linear(x, seg, off, len, false), image, len, x86_mmu(cpu));
    get_env(x, image, osize);
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87_reg(x, i)->b, image + env + 10 * i, 10);
    return 0;
}
const IrHelper x86_h_frstor = { "frstor", frstor, HELPER_FAULTS | HELPER_VECTORS };
