/*
 * disas.c - text of decoded instructions, Intel syntax, from the decoder's own tables.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tcg/guest/x86/decode.h"

typedef struct {
    char *at;
    size_t left;
} Text;

__attribute__((format(printf, 2, 3))) static void put(Text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(t->at, t->left, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += used;
    t->left -= used;
}

static void put_register(Text *t, unsigned n, unsigned size, bool high)
{
    static const char *const names[3][8] = {
        { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" },
        { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil" },
        { "ah", "ch", "dh", "bh", "", "", "", "" },
    };

    if (n >= 8)
        put(t, "r%u%s", n, size == IR_8 ? "b" : size == IR_16 ? "w" : size == IR_32 ? "d" : "");
    else if (size == IR_8)
        put(t, "%s", names[high ? 2 : 1][n & 7]);
    else
        put(t, "%s%s", size == IR_64 ? "r" : size == IR_32 ? "e" : "", names[0][n]);
}

static const char *const segments[8] = { "es", "cs", "ss", "ds", "fs", "gs", "s6", "s7" };

static void put_hex(Text *t, int64_t v, bool sign)
{
    if (v < 0 && sign)
        put(t, "-0x%" PRIx64, -(uint64_t)v);
    else
        put(t, "%s0x%" PRIx64, sign ? "+" : "", (uint64_t)v);
}

static uint64_t cut(int64_t v, unsigned size)
{
    return size >= IR_64 ? (uint64_t)v : (uint64_t)v & ((UINT64_C(1) << (8 << size)) - 1);
}

static void put_address(Text *t, const X86Insn *in)
{
    const X86Address *a = &in->mem;
    bool any = a->pcrel || a->base != X86_NO_REG || a->index != X86_NO_REG;

    if (in->seg_override)
        put(t, "%s:", segments[in->seg]);
    put(t, "[");
    if (a->pcrel)
        put(t, "rip");
    if (a->base != X86_NO_REG)
        put_register(t, a->base, in->asize, false);
    if (a->index != X86_NO_REG) {
        if (a->base != X86_NO_REG)
            put(t, "+");
        put_register(t, a->index, in->asize, false);
        if (in->asize != IR_16)
            put(t, "*%u", 1u << a->scale);
    }
    if (!any)
        put_hex(t, (int64_t)cut(a->disp, in->asize), false);
    else if (a->disp)
        put_hex(t, a->disp, true);
    put(t, "]");
}

static const char *size_name(unsigned size)
{
    static const char *const names[] = { "byte ", "word ", "dword ", "qword ", "xmmword " };

    return names[size <= IR_128 ? size : 0];
}

static void put_string(Text *t, const X86Insn *in, const X86Opd *o)
{
    put(t, "%s%s:[", size_name(o->size), segments[o->kind == OPD_DI ? SEG_ES : in->seg]);
    put_register(t, o->kind == OPD_DI ? RDI : RSI, in->asize, false);
    put(t, "]");
}

static void put_operand(Text *t, const X86Insn *in, const X86Opd *o, uint64_t next)
{
    switch (o->kind) {
    case OPD_REG: put_register(t, o->reg, o->size, o->high); break;
    case OPD_MEM:
        put(t, "%s", in->row->opd[0] == M || in->row->opd[1] == M ? "" : size_name(o->size));
        put_address(t, in);
        break;
    case OPD_IMM: put_hex(t, (int64_t)cut(in->imm, o->size), false); break;
    case OPD_IMM2: put_hex(t, in->imm2, false); break;
    case OPD_REL: put_hex(t, (int64_t)cut((int64_t)next + in->imm, in->osize), false); break;
    case OPD_FAR: put(t, "0x%x:0x%x", (unsigned)in->imm2, (unsigned)in->imm); break;
    case OPD_SREG: put(t, "%s", segments[o->reg & 7]); break;
    case OPD_CR: put(t, "cr%u", o->reg); break;
    case OPD_DR: put(t, "dr%u", o->reg); break;
    case OPD_XMM: put(t, "xmm%u", o->reg); break;
    case OPD_MM: put(t, "mm%u", o->reg); break;
    case OPD_ST: put(t, "st(%u)", o->reg); break;
    default: put_string(t, in, o); break;
    }
}

/* "a|b|c": by operand size */
static void put_name(Text *t, const X86Insn *in)
{
    const char *name = in->row->name;

    for (unsigned size = IR_16; size < in->osize && strchr(name, '|'); size++)
        name = strchr(name, '|') + 1;
    put(t, "%.*s", (int)strcspn(name, "|"), name);
}

static bool is_string(const X86Insn *in)
{
    return in->opd[0].kind >= OPD_SI || in->opd[1].kind >= OPD_SI;
}

void x86_disas(const X86Insn *in, uint64_t pc, char *out, size_t len)
{
    Text t = { out, len };

    if (in->lock)
        put(&t, "lock ");
    if (is_string(in) && in->rep)
        put(&t, in->rep == 0xf3 ? "rep " : "repne ");
    put_name(&t, in);
    for (unsigned i = 0; i < 4 && in->opd[i].kind != OPD_NONE; i++) {
        put(&t, i ? ", " : " ");
        put_operand(&t, in, &in->opd[i], pc + in->len);
    }
}
