/*
 * gdb.c - the registers as gdb numbers them: the features org.gnu.gdb.i386.core, .sse and .segments
 * of its documentation ("i386 Features"), for CPUs with and without long mode.
 */
#include <string.h>

#include "base/endian.h"
#include "tcg/debug.h"
#include "tcg/guest/x86/system.h"
#include "tcg/guest/x86/x87.h"

/* What a register is; `n` counts within its kind. */
typedef enum {
    KIND_GPR,
    KIND_PC,
    KIND_FLAGS,
    KIND_SEG,
    KIND_ST,
    KIND_FPU,
    KIND_XMM,
    KIND_MXCSR,
    KIND_BASE
} Kind;

typedef struct {
    Kind kind;
    uint8_t first, count, bytes; /* the numbers of this row */
} Row;

static const Row rows_64[] = {
    { KIND_GPR, 0, 16, 8 },   { KIND_PC, 16, 1, 8 },    { KIND_FLAGS, 17, 1, 4 },
    { KIND_SEG, 18, 6, 4 },   { KIND_ST, 24, 8, 10 },   { KIND_FPU, 32, 8, 4 },
    { KIND_XMM, 40, 16, 16 }, { KIND_MXCSR, 56, 1, 4 }, { KIND_BASE, 57, 2, 8 },
};
static const Row rows_32[] = {
    { KIND_GPR, 0, 8, 4 },   { KIND_PC, 8, 1, 4 },     { KIND_FLAGS, 9, 1, 4 },
    { KIND_SEG, 10, 6, 4 },  { KIND_ST, 16, 8, 10 },   { KIND_FPU, 24, 8, 4 },
    { KIND_XMM, 32, 8, 16 }, { KIND_MXCSR, 40, 1, 4 },
};

/* gdb's orders */
static const uint8_t gprs_64[16] = { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                     8,   9,   10,  11,  12,  13,  14,  15 };
static const uint8_t gprs_32[8] = { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
static const uint8_t segs[6] = { SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };

static bool is_64(const X86Cpu *x)
{
    return x->model.feat_81_edx >> 29 & 1;
}

static const Row *find_row(const X86Cpu *x, unsigned n)
{
    const Row *rows = is_64(x) ? rows_64 : rows_32;
    size_t count = is_64(x) ? ARRAY_LEN(rows_64) : ARRAY_LEN(rows_32);

    for (size_t i = 0; i < count; i++)
        if (n >= rows[i].first && n < rows[i].first + rows[i].count)
            return &rows[i];
    return NULL;
}

static uint32_t fpu_word(X86Cpu *x, unsigned n)
{
    switch (n) {
    case 0: return x->fpu.cw;
    case 1: return x87_status(x);
    case 2: return x87_tag_word(x);
    case 3: return x->fpu.cs;
    case 4: return (uint32_t)x->fpu.ip;
    case 5: return x->fpu.ds;
    case 6: return (uint32_t)x->fpu.dp;
    default: return x->fpu.opcode;
    }
}

static void set_fpu_word(X86Cpu *x, unsigned n, uint32_t v)
{
    switch (n) {
    case 0: x87_set_control(x, (uint16_t)v); break;
    case 1: x87_set_status(x, (uint16_t)v); break;
    case 2: x87_set_tag_word(x, (uint16_t)v); break;
    case 3: x->fpu.cs = (uint16_t)v; break;
    case 4: x->fpu.ip = v; break;
    case 5: x->fpu.ds = (uint16_t)v; break;
    case 6: x->fpu.dp = v; break;
    default: x->fpu.opcode = v & 0x7ff; break;
    }
}

static uint64_t get_integer(X86Cpu *x, Kind kind, unsigned n)
{
    switch (kind) {
    case KIND_GPR: return x->c.gpr[is_64(x) ? gprs_64[n] : gprs_32[n]];
    case KIND_PC: {
        unsigned mmu;

        /* gdb knows no segments: it gets the address where the code is. */
        return x->c.guest->code_address(&x->c, &mmu);
    }
    case KIND_FLAGS: return x86_get_eflags(x);
    case KIND_SEG: return x->seg[segs[n]].selector;
    case KIND_FPU: return fpu_word(x, n);
    case KIND_MXCSR: return x->c.mxcsr;
    default: return x->seg[n ? SEG_GS : SEG_FS].base;
    }
}

size_t x86_debug_get_reg(Cpu *cpu, unsigned n, uint8_t *buf)
{
    X86Cpu *x = x86(cpu);
    const Row *row = find_row(x, n);
    uint8_t le[8];

    if (!row)
        return 0;
    n -= row->first;
    if (row->kind == KIND_ST) {
        memcpy(buf, x87_reg(x, n), row->bytes);
    } else if (row->kind == KIND_XMM) {
        memcpy(buf, &cpu->vec[n], row->bytes);
    } else {
        put_le64(le, get_integer(x, row->kind, n));
        memcpy(buf, le, row->bytes);
    }
    return row->bytes;
}

/* A selector alone says nothing of the segment: it is loaded by the guest, not from here. */
static void set_integer(X86Cpu *x, Kind kind, unsigned n, uint64_t v)
{
    const uint64_t user_flags =
        EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_RF | EFL_AC | FLAGS_ALL;

    switch (kind) {
    case KIND_GPR: x->c.gpr[is_64(x) ? gprs_64[n] : gprs_32[n]] = v; break;
    case KIND_PC: x->c.pc = x86_code64(x) ? v : (uint32_t)(v - x->seg[SEG_CS].base); break;
    case KIND_FLAGS: x86_set_eflags(x, v, user_flags); break;
    case KIND_FPU: set_fpu_word(x, n, (uint32_t)v); break;
    case KIND_MXCSR: x->c.mxcsr = v & 0xffff; break;
    case KIND_BASE: x->seg[n ? SEG_GS : SEG_FS].base = v; break;
    default: break;
    }
    x86_seg_windows(x);
    x86_update_mode(x);
}

size_t x86_debug_set_reg(Cpu *cpu, unsigned n, const uint8_t *buf)
{
    X86Cpu *x = x86(cpu);
    const Row *row = find_row(x, n);
    uint8_t le[8] = { 0 };

    if (!row)
        return 0;
    n -= row->first;
    if (row->kind == KIND_ST) {
        memcpy(x87_reg(x, n), buf, row->bytes);
    } else if (row->kind == KIND_XMM) {
        memcpy(&cpu->vec[n], buf, row->bytes);
    } else {
        memcpy(le, buf, row->bytes);
        set_integer(x, row->kind, n, get_le64(le));
    }
    return row->bytes;
}

void x86_debug_changed(Cpu *cpu)
{
    x86_update_mode(x86(cpu));
}

/* -- the description; gdb wants every register named */

static const char *const gpr_names_64[] = {
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"
};
static const char *const gpr_names_32[] = {
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"
};
static const char *const seg_names[] = { "cs", "ss", "ds", "es", "fs", "gs" };
static const char *const fpu_names[] = { "fctrl", "fstat", "ftag",  "fiseg",
                                         "fioff", "foseg", "fooff", "fop" };
static const char vector_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
    "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
    "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>";

/* The name of register `n` of its kind; a number for those that are counted. */
static void put_name(FILE *out, Kind kind, unsigned n, bool wide)
{
    switch (kind) {
    case KIND_GPR: fputs(wide ? gpr_names_64[n] : gpr_names_32[n], out); break;
    case KIND_PC: fputs(wide ? "rip" : "eip", out); break;
    case KIND_FLAGS: fputs("eflags", out); break;
    case KIND_SEG: fputs(seg_names[n], out); break;
    case KIND_ST: fprintf(out, "st%u", n); break;
    case KIND_FPU: fputs(fpu_names[n], out); break;
    case KIND_XMM: fprintf(out, "xmm%u", n); break;
    case KIND_MXCSR: fputs("mxcsr", out); break;
    default: fputs(n ? "gs_base" : "fs_base", out); break;
    }
}

static const char *type_of(Kind kind, bool wide)
{
    switch (kind) {
    case KIND_GPR: return wide ? "int64" : "int32";
    case KIND_PC: return "code_ptr";
    case KIND_ST: return "i387_ext";
    case KIND_XMM: return "vec128";
    case KIND_FLAGS:
    case KIND_SEG: return "int32";
    default: return "int";
    }
}

static void put_row(FILE *out, const Row *row, bool wide)
{
    if (row->kind == KIND_XMM)
        fprintf(out, "</feature><feature name=\"org.gnu.gdb.i386.sse\">%s", vector_types);
    if (row->kind == KIND_BASE)
        fputs("</feature><feature name=\"org.gnu.gdb.i386.segments\">", out);
    for (unsigned i = 0; i < row->count; i++) {
        fputs("<reg name=\"", out);
        put_name(out, row->kind, i, wide);
        fprintf(out, "\" bitsize=\"%u\" type=\"%s\"/>", 8u * row->bytes, type_of(row->kind, wide));
    }
}

static char *describe(bool wide)
{
    const Row *rows = wide ? rows_64 : rows_32;
    size_t count = wide ? ARRAY_LEN(rows_64) : ARRAY_LEN(rows_32), size;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    fprintf(out,
            "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
            "<architecture>%s</architecture><feature name=\"org.gnu.gdb.i386.core\">",
            wide ? "i386:x86-64" : "i386");
    for (size_t i = 0; i < count; i++)
        put_row(out, &rows[i], wide);
    fputs("</feature></target>", out);
    return fclose(out) == 0 ? text : NULL;
}

const char *x86_debug_target(Cpu *cpu)
{
    static char *texts[2]; /* made once */
    char **text = &texts[is_64(x86(cpu))];

    if (!*text)
        *text = describe(is_64(x86(cpu)));
    return *text ? *text : "";
}
