/*
 * dump.c - registers in the layout that `info registers` has made customary.
 */
#include <inttypes.h>

#include "tcg/guest/x86/system.h"

static void dump_gprs64(const X86Cpu *x, FILE *out)
{
    static const struct {
        const char *name;
        uint8_t reg;
    } order[] = { { "RAX", RAX }, { "RBX", RBX }, { "RCX", RCX }, { "RDX", RDX },
                  { "RSI", RSI }, { "RDI", RDI }, { "RBP", RBP }, { "RSP", RSP },
                  { "R8 ", R8 },  { "R9 ", R9 },  { "R10", R10 }, { "R11", R11 },
                  { "R12", R12 }, { "R13", R13 }, { "R14", R14 }, { "R15", R15 } };

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        fprintf(out, "%s=%016" PRIx64 "%c", order[i].name, x->c.gpr[order[i].reg],
                i % 4 == 3 ? '\n' : ' ');
}

static void dump_gprs32(const X86Cpu *x, FILE *out)
{
    static const uint8_t order[] = { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP };
    static const char names[][4] = { "EAX", "EBX", "ECX", "EDX", "ESI", "EDI", "EBP", "ESP" };

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        fprintf(out, "%s=%08x%c", names[i], (uint32_t)x->c.gpr[order[i]], i % 4 == 3 ? '\n' : ' ');
}

static void dump_status(X86Cpu *x, FILE *out, bool wide)
{
    uint64_t fl = x86_get_eflags(x);

    fprintf(out, wide ? "RIP=%016" PRIx64 " RFL=%08" PRIx64 : "EIP=%08" PRIx64 " EFL=%08" PRIx64,
            x->c.pc, fl);
    fprintf(out, " [%c%c%c%c%c%c%c] CPL=%u II=%d A20=1 SMM=0 HLT=%d\n", fl & EFL_DF ? 'D' : '-',
            fl & FLAG_OF ? 'O' : '-', fl & FLAG_SF ? 'S' : '-', fl & FLAG_ZF ? 'Z' : '-',
            fl & FLAG_AF ? 'A' : '-', fl & FLAG_PF ? 'P' : '-', fl & FLAG_CF ? 'C' : '-',
            x86_cpl(x), (x->c.mode & MODE_SHADOW) != 0, x->c.halted);
}

static void dump_seg(const char *name, const X86Seg *s, FILE *out, int width)
{
    fprintf(out, "%-3s=%04x %0*" PRIx64 " %08x %08x\n", name, s->selector, width, s->base, s->limit,
            s->attr);
}

static void dump_system(X86Cpu *x, FILE *out, int width)
{
    static const char names[][3] = { "ES", "CS", "SS", "DS", "FS", "GS" };

    for (unsigned i = 0; i < SEG_COUNT; i++)
        dump_seg(names[i], &x->seg[i], out, width);
    dump_seg("LDT", &x->ldtr, out, width);
    dump_seg("TR", &x->tr, out, width);
    fprintf(out, "GDT=     %0*" PRIx64 " %08x\n", width, x->gdtr.base, x->gdtr.limit);
    fprintf(out, "IDT=     %0*" PRIx64 " %08x\n", width, x->idtr.base, x->idtr.limit);
    fprintf(out, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x\n", (uint32_t)x->cr0, width,
            x->cr2, width, x->cr3, (uint32_t)x->cr4);
    for (unsigned i = 0; i < 4; i++)
        fprintf(out, "DR%u=%016" PRIx64 "%c", i, x->dr[i], i == 3 ? '\n' : ' ');
    fprintf(out, "DR6=%016" PRIx64 " DR7=%016" PRIx64 "\n", x->dr[6], x->dr[7]);
    fprintf(out, "EFER=%016" PRIx64 "\n", x->msr.efer);
}

static void dump_fpu(const X86Cpu *x, FILE *out, unsigned n_xmm)
{
    unsigned sw = x->fpu.sw | x->fpu.top << 11;

    fprintf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", x->fpu.cw, sw, x->fpu.top,
            x->fpu.tags, x->c.mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        const VReg *r = &x->c.vec[V_MM + i];

        fprintf(out, "FPR%u=%016" PRIx64 " %04x%c", i, r->q[0], r->w[4], i % 2 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < n_xmm; i++)
        fprintf(out, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i, x->c.vec[i].q[1],
                x->c.vec[i].q[0], i % 2 ? '\n' : ' ');
}

void x86_dump(Cpu *cpu, FILE *out)
{
    X86Cpu *x = x86(cpu);
    bool wide = x86_long_mode(x);

    if (wide)
        dump_gprs64(x, out);
    else
        dump_gprs32(x, out);
    dump_status(x, out, wide);
    dump_system(x, out, wide ? 16 : 8);
    dump_fpu(x, out, wide ? 16 : 8);
}
