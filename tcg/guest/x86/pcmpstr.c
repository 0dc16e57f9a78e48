/*
 * pcmpstr.c - PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM volume 2, 4.1).
 *
 * imm: bits 1..0 element type, 3..2 how elements are aggregated, 5..4 polarity, 6 what is returned.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/sse.h"

enum { WORDS = 1, SIGNED = 2, ANY = 0, RANGES = 1, EACH = 2, ORDERED = 3 };
enum { KIND_INDEX = 1, KIND_IMPLICIT = 2, KIND_WIDE = 4 };

typedef struct {
    const VReg *v;
    unsigned valid; /* elements before the end of the string */
} String;

static int element(const VReg *v, unsigned i, unsigned type)
{
    switch (type) {
    case 0: return v->b[i];
    case WORDS: return v->w[i];
    case SIGNED: return (int8_t)v->b[i];
    default: return (int16_t)v->w[i];
    }
}

/* Length by a register: its absolute value, at most all elements. */
static unsigned explicit_length(const Cpu *cpu, unsigned reg, bool wide, unsigned n)
{
    int64_t len = wide ? (int64_t)cpu->gpr[reg] : (int32_t)cpu->gpr[reg];
    uint64_t magnitude = len < 0 ? -(uint64_t)len : (uint64_t)len;

    return magnitude < n ? magnitude : n;
}

static unsigned implicit_length(const VReg *v, unsigned type, unsigned n)
{
    unsigned i = 0;

    while (i < n && element(v, i, type))
        i++;
    return i;
}

/* Element j of b against a set of characters, or of ranges, in a. */
static bool any_of(String a, String b, unsigned j, unsigned type)
{
    if (j >= b.valid)
        return false;
    for (unsigned i = 0; i < a.valid; i++)
        if (element(a.v, i, type) == element(b.v, j, type))
            return true;
    return false;
}

static bool in_ranges(String a, String b, unsigned j, unsigned type)
{
    int c = element(b.v, j, type);

    if (j >= b.valid)
        return false;
    for (unsigned i = 0; i + 1 < a.valid; i += 2)
        if (c >= element(a.v, i, type) && c <= element(a.v, i + 1, type))
            return true;
    return false;
}

static bool equal_each(String a, String b, unsigned j, unsigned type)
{
    if (j >= a.valid || j >= b.valid)
        return j >= a.valid && j >= b.valid;
    return element(a.v, j, type) == element(b.v, j, type);
}

/* a is found in b at j, as far as b's register goes. */
static bool equal_ordered(String a, String b, unsigned j, unsigned type, unsigned n)
{
    for (unsigned i = 0; i < a.valid && j + i < n; i++)
        if (j + i >= b.valid || element(a.v, i, type) != element(b.v, j + i, type))
            return false;
    return true;
}

static bool aggregate(String a, String b, unsigned j, unsigned imm, unsigned n)
{
    switch (imm >> 2 & 3) {
    case ANY: return any_of(a, b, j, imm & 3);
    case RANGES: return in_ranges(a, b, j, imm & 3);
    case EACH: return equal_each(a, b, j, imm & 3);
    default: return equal_ordered(a, b, j, imm & 3, n);
    }
}

/* Bits 5..4: 1 negates all, 3 those within b. */
static uint32_t polarized(uint32_t bits, unsigned imm, String b, unsigned n)
{
    if (!(imm & 0x10))
        return bits;
    return bits ^ (imm & 0x20 ? (1u << b.valid) - 1 : (1u << n) - 1);
}

static void return_mask(Cpu *cpu, uint32_t bits, unsigned imm, unsigned n)
{
    VReg *d = &cpu->vec[0];

    d->q[0] = imm & 0x40 ? 0 : bits;
    d->q[1] = 0;
    for (unsigned i = 0; i < n && imm & 0x40; i++)
        if (imm & WORDS)
            d->w[i] = bits >> i & 1 ? 0xffff : 0;
        else
            d->b[i] = bits >> i & 1 ? 0xff : 0;
}

static unsigned index_of(uint32_t bits, unsigned imm, unsigned n)
{
    if (!bits)
        return n;
    return imm & 0x40 ? 31 - __builtin_clz(bits) : __builtin_ctz(bits);
}

static uint64_t pcmpstr(Cpu *cpu, uint64_t packed)
{
    unsigned imm = packed & 0xff, kind = packed >> 24, n = imm & WORDS ? 8 : 16;
    VReg x = cpu->vec[packed >> 8 & 0xff], y = cpu->vec[packed >> 16 & 0xff];
    bool implicit = kind & KIND_IMPLICIT, wide = kind & KIND_WIDE;
    String a = { &x,
                 implicit ? implicit_length(&x, imm & 3, n) : explicit_length(cpu, RAX, wide, n) };
    String b = { &y,
                 implicit ? implicit_length(&y, imm & 3, n) : explicit_length(cpu, RDX, wide, n) };
    uint32_t bits = 0;

    for (unsigned j = 0; j < n; j++)
        bits |= (uint32_t)aggregate(a, b, j, imm, n) << j;
    bits = polarized(bits, imm, b, n);
    cpu_set_flags(cpu, (bits ? FLAG_CF : 0) | (b.valid < n ? FLAG_ZF : 0) |
                           (a.valid < n ? FLAG_SF : 0) | (bits & 1 ? FLAG_OF : 0));
    if (kind & KIND_INDEX)
        cpu->gpr[RCX] = index_of(bits, imm, n);
    else
        return_mask(cpu, bits, imm, n);
    return 0;
}
const IrHelper x86_h_pcmpstr = { "pcmpstr", pcmpstr,
                                 HELPER_READS_G | HELPER_WRITES_G | HELPER_VECTORS | HELPER_FLAGS };
