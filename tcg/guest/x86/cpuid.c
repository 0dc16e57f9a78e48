/*
 * cpuid.c - CPUID leaves (SDM volume 2, CPUID; AMD APM volume 3, appendix E).
 */
#include <string.h>

#include "base/math.h"
#include "tcg/guest/x86/system.h"

enum { EAX, EBX, ECX, EDX };
enum { XSAVE_LEGACY = 512 + 64 };

static void put_text(uint32_t *out, const char *text, size_t len)
{
    char buf[48] = { 0 };

    memcpy(buf, text, strnlen(text, len));
    memcpy(out, buf, len);
}

static void vendor_leaf(const X86Model *m, uint32_t top, uint32_t out[4])
{
    uint32_t text[3];

    put_text(text, m->vendor, 12);
    out[EAX] = top;
    out[EBX] = text[0];
    out[EDX] = text[1];
    out[ECX] = text[2];
}

uint32_t x86_signature(const X86Model *m)
{
    unsigned family = m->family > 15 ? 15 : m->family;

    return (m->family - family) << 20 | (m->model >> 4) << 16 | family << 8 | (m->model & 15) << 4 |
           m->stepping;
}

/* How many of the low bits of an APIC ID number `n` things. */
static unsigned id_bits(unsigned n)
{
    return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static unsigned threads_of(X86Cpu *x)
{
    return MAX(tcg_config(x->c.tcg)->threads, 1u);
}

static unsigned cores_of(X86Cpu *x)
{
    return MAX(tcg_config(x->c.tcg)->cores, 1u);
}

static void feature_leaf(X86Cpu *x, uint32_t out[4])
{
    const X86Model *m = &x->model;
    bool clflush = m->feat_1_edx & 1 << 19;
    const uint64_t apic_on = 1 << 11;
    unsigned package = cores_of(x) * threads_of(x);

    out[EAX] = x86_signature(m);
    out[EBX] = x->c.index << 24 | package << 16 | (clflush ? 8 << 8 : 0);
    out[ECX] = m->feat_1_ecx | (x->cr4 & CR4_OSXSAVE ? 1 << 27 : 0);
    out[EDX] = m->feat_1_edx | (package > 1 ? 1 << 28 : 0);
    if ((out[EDX] & 1 << 9) && !(x86_rdmsr(x, 0x1b) & apic_on))
        out[EDX] &= ~(1u << 9);
}

/* Deterministic cache parameters: 32 KiB L1 data and code, 1 MiB L2, 64-byte lines. */
static void cache_leaf(X86Cpu *x, uint32_t sub, uint32_t out[4])
{
    unsigned core_ids = (1u << id_bits(cores_of(x))) - 1,
             thread_ids = (1u << id_bits(threads_of(x))) - 1;
    static const uint32_t rows[][3] = {
        { 1 | 1 << 5 | 1 << 8, 7u << 22 | 63, 63 },
        { 2 | 1 << 5 | 1 << 8, 7u << 22 | 63, 63 },
        { 3 | 2 << 5 | 1 << 8, 15u << 22 | 63, 1023 },
    };

    if (sub < ARRAY_LEN(rows))
        memcpy(out, rows[sub], sizeof(rows[sub]));
    if (out[EAX])
        out[EAX] |= core_ids << 26 | thread_ids << 14;
}

/* Level 0 are the threads of a core, level 1 all those of a package. */
static void topology_leaf(X86Cpu *x, uint32_t sub, uint32_t out[4])
{
    unsigned thread_bits = id_bits(threads_of(x));

    out[ECX] = (sub & 0xff) | (sub < 2 ? (sub + 1) << 8 : 0);
    out[EDX] = x->c.index;
    if (sub < 2) {
        out[EAX] = sub == 0 ? thread_bits : thread_bits + id_bits(cores_of(x));
        out[EBX] = sub == 0 ? threads_of(x) : threads_of(x) * cores_of(x);
    }
}

static void xsave_leaf(X86Cpu *x, uint32_t sub, uint32_t out[4])
{
    if (!(x->model.feat_1_ecx & 1 << 26) || sub > 1)
        return;
    if (sub == 0) {
        out[EAX] = x86_xcr0_allowed(x);
        out[EBX] = out[ECX] = XSAVE_LEGACY;
    } else {
        out[EAX] = x->model.feat_d_eax;
    }
}

static void basic_leaf(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const X86Model *m = &x->model;

    switch (leaf) {
    case 0: vendor_leaf(m, m->level, out); break;
    case 1: feature_leaf(x, out); break;
    case 2:
        out[EAX] = 1;
        out[EDX] = 0x2c307d;
        break;
    case 4: cache_leaf(x, sub, out); break;
    case 6: out[EAX] = 1 << 2; break; /* the APIC timer does not stop */
    case 7:
        if (sub == 0) {
            out[EBX] = m->feat_7_ebx;
            out[ECX] = m->feat_7_ecx;
            out[EDX] = m->feat_7_edx;
        }
        break;
    case 0xb: topology_leaf(x, sub, out); break;
    case 0xd: xsave_leaf(x, sub, out); break;
    default: break;
    }
}

static void extended_leaf(X86Cpu *x, uint32_t leaf, uint32_t out[4])
{
    const X86Model *m = &x->model;

    switch (leaf) {
    case 0x80000000: vendor_leaf(m, m->xlevel, out); break;
    case 0x80000001:
        out[EAX] = x86_signature(m);
        out[ECX] = m->feat_81_ecx;
        out[EDX] = m->feat_81_edx;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
        uint32_t text[12];

        put_text(text, m->brand, sizeof(text));
        memcpy(out, text + 4 * (leaf - 0x80000002), 16);
        break;
    }
    case 0x80000005: /* L1: 255 TLB entries, 64 KiB 2-way data and code */
        out[EAX] = out[EBX] = 0x01ff01ff;
        out[ECX] = out[EDX] = 0x40020140;
        break;
    case 0x80000006: /* L2: 512 KiB, 16-way */
        out[EBX] = 0x42004200;
        out[ECX] = 0x02008140;
        break;
    case 0x80000007: out[EDX] = 1 << 8; break; /* the TSC has one rate and never stops */
    case 0x80000008:
        out[EAX] = m->phys_bits | 48 << 8;
        out[ECX] = cores_of(x) * threads_of(x) - 1;
        break;
    default: break;
    }
}

void x86_cpuid(X86Cpu *x, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    const X86Model *m = &x->model;

    memset(out, 0, 4 * sizeof(*out));
    if (leaf >= 0x40000000 && leaf < 0x40000100 && (m->feat_1_ecx & 1u << 31)) {
        if (leaf == 0x40000000) {
            out[EAX] = 0x40000000;
            put_text(out + 1, "OnionskinTCG", 12);
        }
    } else if (leaf >= 0x80000000) {
        if (leaf <= m->xlevel)
            extended_leaf(x, leaf, out);
    } else {
        basic_leaf(x, leaf > m->level ? m->level : leaf, sub, out);
    }
}
