/*
 * x86_generate.h - random user code for 64-bit and 32-bit mode made from the decoder's own tables:
 * straight units of one instruction and what it needs (pointers set up, counts small), some skipped
 * by a forward Jcc, some in a LOOP. It knows which flags are undefined at each place and never lets
 * code read them.
 */
#ifndef TESTS_UNIT_X86_GENERATE_H
#define TESTS_UNIT_X86_GENERATE_H

#include <stdio.h>
#include <string.h>

#include "tcg/guest/x86/decode.h"
#include "tests/unit/random.h"

typedef struct {
    Random *rnd;
    uint8_t *code, *end; /* being filled, limit */
    uint64_t at;         /* address of code[0] */
    size_t n;            /* bytes so far */
    uint32_t undefined;  /* flags */
    uint64_t scratch;    /* memory operands: from here ... */
    size_t scratch_size; /* ... so many bytes, the last followed by nothing mapped */
    bool in_loop;
    bool code32;
    bool stepped; /* TF is set: no image of the flags in memory */
} Gen;

enum {
    G_C = FLAG_CF,
    G_O = FLAG_OF,
    G_CO = FLAGS_CO,
    G_ALL = FLAGS_ALL,
    G_SZP = FLAG_SF | FLAG_ZF | FLAG_PF,
};

typedef enum { FL_FIXED, FL_SHIFT, FL_ROTATE, FL_CC } FlagKind;

/* What is generated, by name: flags defined, undefined and read. */
typedef struct {
    const char *name;
    uint16_t set, undefine, read;
    uint8_t kind;
} GenRow;

static const GenRow gen_rows[] = {
    { "add", G_ALL, 0, 0, 0 },
    { "adc", G_ALL, 0, G_C, 0 },
    { "sub", G_ALL, 0, 0, 0 },
    { "sbb", G_ALL, 0, G_C, 0 },
    { "cmp", G_ALL, 0, 0, 0 },
    { "neg", G_ALL, 0, 0, 0 },
    { "xadd", G_ALL, 0, 0, 0 },
    { "cmpxchg", G_ALL, 0, 0, 0 },
    { "cmpxchg8b", FLAG_ZF, 0, 0, 0 },
    { "cmpxchg16b", FLAG_ZF, 0, 0, 0 },
    { "and", G_CO | G_SZP, FLAG_AF, 0, 0 },
    { "or", G_CO | G_SZP, FLAG_AF, 0, 0 },
    { "xor", G_CO | G_SZP, FLAG_AF, 0, 0 },
    { "test", G_CO | G_SZP, FLAG_AF, 0, 0 },
    { "inc", FLAGS_NO_C, 0, 0, 0 },
    { "dec", FLAGS_NO_C, 0, 0, 0 },
    { "not", 0, 0, 0, 0 },
    { "mul", G_CO, G_ALL & ~G_CO, 0, 0 },
    { "imul", G_CO, G_ALL & ~G_CO, 0, 0 },
    { "div", 0, G_ALL, 0, 0 },
    { "idiv", 0, G_ALL, 0, 0 },
    { "shl", 0, 0, 0, FL_SHIFT },
    { "shr", 0, 0, 0, FL_SHIFT },
    { "sar", 0, 0, 0, FL_SHIFT },
    { "shld", 0, 0, 0, FL_SHIFT },
    { "shrd", 0, 0, 0, FL_SHIFT },
    { "rol", 0, 0, 0, FL_ROTATE },
    { "ror", 0, 0, 0, FL_ROTATE },
    { "rcl", 0, 0, G_C, FL_ROTATE },
    { "rcr", 0, 0, G_C, FL_ROTATE },
    { "bt", G_C, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "bts", G_C, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "btr", G_C, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "btc", G_C, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "bsf", FLAG_ZF, G_ALL & ~FLAG_ZF, 0, 0 },
    { "bsr", FLAG_ZF, G_ALL & ~FLAG_ZF, 0, 0 },
    { "tzcnt", G_C | FLAG_ZF, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "lzcnt", G_C | FLAG_ZF, G_ALL & ~(G_C | FLAG_ZF), 0, 0 },
    { "popcnt", G_ALL, 0, 0, 0 },
    { "crc32", 0, 0, 0, 0 },
    { "movbe", 0, 0, 0, 0 },
    { "mov", 0, 0, 0, 0 },
    { "movzx", 0, 0, 0, 0 },
    { "movsx", 0, 0, 0, 0 },
    { "movsxd", 0, 0, 0, 0 },
    { "movnti", 0, 0, 0, 0 },
    { "lea", 0, 0, 0, 0 },
    { "xchg", 0, 0, 0, 0 },
    { "bswap", 0, 0, 0, 0 },
    { "nop", 0, 0, 0, 0 },
    { "cbw|cwde|cdqe", 0, 0, 0, 0 },
    { "cwd|cdq|cqo", 0, 0, 0, 0 },
    { "lahf", 0, 0, G_ALL & 0xff, 0 },
    { "sahf", G_ALL & 0xff, 0, 0, 0 },
    { "clc", G_C, 0, 0, 0 },
    { "stc", G_C, 0, 0, 0 },
    { "cmc", 0, 0, G_C, 0 },
    { "push", 0, 0, 0, 0 },
    { "pop", 0, 0, 0, 0 },
    { "xlat", 0, 0, 0, 0 },
    { "movs", 0, 0, 0, 0 },
    { "stos", 0, 0, 0, 0 },
    { "lods", 0, 0, 0, 0 },
    { "scas", G_ALL, 0, 0, 0 },
    { "cmps", G_ALL, 0, 0, 0 },
    { "daa", G_C | FLAG_AF | G_SZP, G_O, G_C | FLAG_AF, 0 },
    { "das", G_C | FLAG_AF | G_SZP, G_O, G_C | FLAG_AF, 0 },
    { "aaa", G_C | FLAG_AF, G_O | G_SZP, FLAG_AF, 0 },
    { "aas", G_C | FLAG_AF, G_O | G_SZP, FLAG_AF, 0 },
    { "aam", G_SZP, G_CO | FLAG_AF, 0, 0 },
    { "aad", G_SZP, G_CO | FLAG_AF, 0, 0 },
    { "salc", 0, 0, G_C, 0 },
    { "pushaw|pushad", 0, 0, 0, 0 },
    { "popaw|popad", 0, 0, 0, 0 },
    { "cmovcc", 0, 0, 0, FL_CC },
    { "setcc", 0, 0, 0, FL_CC },
};

/* One encodable row of the decoder's tables. -1: free. */
typedef struct {
    const X86Row *row;
    const GenRow *gen;
    uint8_t map, opcode;
    int8_t reg, mod, rm, prefix;
} GenPick;

typedef struct {
    GenPick picks[2048];
    size_t n;
    bool code32;
} GenTable;

/* -- collecting rows */

UNUSED static const GenRow *gen_row_of(const X86Row *row)
{
    const char *name = row->name;
    bool seg = false;

    if (!strncmp(name, "cmov", 4))
        name = "cmovcc";
    if (!strncmp(name, "set", 3))
        name = "setcc";
    for (unsigned i = 0; i < 4; i++) /* control, debug and segment registers; absolute addresses */
        seg |= row->opd[i] == Sw || (row->opd[i] >= ES && row->opd[i] <= GS) || row->opd[i] == Cy ||
               row->opd[i] == Dy || row->opd[i] == Ob || row->opd[i] == Ov;
    for (size_t i = 0; i < ARRAY_LEN(gen_rows) && !seg; i++)
        if (!strcmp(name, gen_rows[i].name))
            return &gen_rows[i];
    return NULL;
}

UNUSED static void gen_collect(GenTable *t, const X86Row *row, GenPick p)
{
    static const uint8_t counts[] = { 0, 8, 2, 8, 4, 3, 2 };

    for (unsigned i = 0; row->table && i < counts[row->select]; i++) {
        GenPick q = p;

        if (row->select == BY_REG_)
            q.reg = (int8_t)i;
        else if (row->select == BY_MOD_)
            q.mod = (int8_t)i;
        else if (row->select == BY_RM_)
            q.rm = (int8_t)i;
        else if (row->select == BY_PREFIX_)
            q.prefix = (int8_t)i;
        else if (row->select == BY_MODE_ && i == t->code32)
            continue;
        gen_collect(t, &row->table[i], q);
    }
    if (row->table || !row->emit || row->attr & (t->code32 ? X86_ONLY64 : X86_NO64))
        return;
    p.row = row;
    p.gen = gen_row_of(row);
    if (p.gen && t->n < ARRAY_LEN(t->picks))
        t->picks[t->n++] = p;
}

UNUSED static void gen_table_init(GenTable *t, bool code32)
{
    static const X86Row *const maps[] = { x86_one_byte, x86_0f, x86_0f38 };

    t->n = 0;
    t->code32 = code32;
    for (unsigned map = 0; map < ARRAY_LEN(maps); map++)
        for (unsigned op = 0; op < 256; op++)
            gen_collect(
                t, &maps[map][op],
                (GenPick) {
                    .map = map, .opcode = op, .reg = -1, .mod = -1, .rm = -1, .prefix = -1 });
}

/* -- bytes */

UNUSED static void gen_byte(Gen *g, unsigned v)
{
    g->code[g->n++] = (uint8_t)v;
}

UNUSED static void gen_bytes(Gen *g, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        gen_byte(g, v >> 8 * i & 0xff);
}

UNUSED static bool gen_chance(Gen *g, unsigned one_in)
{
    return random_below(g->rnd, one_in) == 0;
}

/* mov reg, v in the mode's full width */
UNUSED static void gen_set(Gen *g, unsigned reg, uint64_t v)
{
    if (g->code32) {
        gen_byte(g, 0xb8 | reg);
        gen_bytes(g, v, 4);
        return;
    }
    gen_byte(g, 0x48 | reg >> 3);
    gen_byte(g, 0xb8 | (reg & 7));
    gen_bytes(g, v, 8);
}

/* Numbers that arithmetic finds interesting. */
UNUSED static uint64_t gen_value(Gen *g)
{
    uint64_t v = random_u64(g->rnd);

    switch (random_below(g->rnd, 8)) {
    case 0: return v & 0xff;
    case 1: return -(v & 0xff);
    case 2: return UINT64_C(1) << (v & 63);
    case 3: return (UINT64_C(1) << (v & 63)) - 1;
    case 4: return (uint32_t)v;
    case 5: return (v & 1 ? UINT64_C(0x8000000080008080) : UINT64_C(0x7fffffff7fff7f7f));
    default: return v;
    }
}

/* -- encoding one row with random operands; `ins` gets the result as the decoder sees it */

UNUSED static void gen_modrm(Gen *g, const GenPick *p, unsigned *rex)
{
    unsigned mod = p->mod == 0   ? random_below(g->rnd, 3)
                   : p->mod == 1 ? 3
                                 : random_below(g->rnd, 4);
    unsigned reg = p->reg >= 0 ? (unsigned)p->reg : random_below(g->rnd, 8);
    unsigned rm = p->rm >= 0 ? (unsigned)p->rm : random_below(g->rnd, 8);

    (void)rex;
    gen_byte(g, mod << 6 | reg << 3 | rm);
    if (mod != 3 && rm == 4) {
        unsigned sib = random_below(g->rnd, 256);

        gen_byte(g, sib);
        if (mod == 0 && (sib & 7) == 5)
            gen_bytes(g, (uint32_t)random_below(g->rnd, 200), 4);
    } else if (mod == 0 && rm == 5) {
        gen_bytes(g, 0, 4); /* RIP-relative: filled in later */
    }
    if (mod == 1)
        gen_byte(g, random_below(g->rnd, 256));
    if (mod == 2)
        gen_bytes(g, (uint64_t)(int64_t)((int)random_below(g->rnd, 4000) - 2000), 4);
}

UNUSED static void gen_encode(Gen *g, const GenPick *p, const X86Row *row)
{
    static const uint8_t mandatory[4] = { 0, 0x66, 0xf3, 0xf2 };
    static const uint8_t letters_rm[] = { Eb, Ew, Ed, Eq, Ev, Ey, M, Mb, Mw, Md, Mq, Mdq, Mv, My };
    bool modrm = p->reg >= 0 || p->mod >= 0 || p->rm >= 0;
    unsigned rex = !g->code32 && gen_chance(g, 2) ? 0x40 | random_below(g->rnd, 16) : 0;

    if (row->attr & X86_LOCK && gen_chance(g, 6))
        gen_byte(g, 0xf0);
    if (gen_chance(g, 4) && p->prefix <= 0)
        gen_byte(g, 0x66);
    if (gen_chance(g, 24))
        gen_byte(g, 0x67);
    if (p->prefix > 0)
        gen_byte(g, mandatory[p->prefix]);
    if (rex)
        gen_byte(g, rex);
    if (p->map)
        gen_byte(g, 0x0f);
    if (p->map == 2)
        gen_byte(g, 0x38);
    gen_byte(g, p->opcode);
    for (unsigned i = 0; i < ARRAY_LEN(letters_rm); i++)
        modrm |= row->opd[0] == letters_rm[i] || row->opd[1] == letters_rm[i];
    if (modrm)
        gen_modrm(g, p, &rex);
    gen_bytes(g, gen_value(g), 8); /* immediate; the decoder says how much of it counts */
}

/* -- what an instruction needs around it */

UNUSED static bool gen_writes_rsp(const X86Insn *in)
{
    for (unsigned i = 0; i < 2; i++)
        if (in->opd[i].kind == OPD_REG && in->opd[i].reg == RSP && !in->opd[i].high &&
            strcmp(in->row->name, "push") && strcmp(in->row->name, "cmp"))
            return true;
    return false;
}

UNUSED static bool gen_is(const X86Insn *in, const char *name)
{
    return !strcmp(in->row->name, name);
}

UNUSED static bool gen_bit_string(const X86Insn *in)
{
    return !strncmp(in->row->name, "bt", 2) && in->opd[0].kind == OPD_MEM &&
           in->opd[1].kind == OPD_REG;
}

/* An address in the scratch area, often near its pages' ends, now and then beyond or absurd. */
UNUSED static uint64_t gen_address(Gen *g, bool middle)
{
    uint64_t page =
        g->scratch + 4096 * random_below(g->rnd, (unsigned)(g->scratch_size / 4096) - 1);

    if (middle)
        return g->scratch + 2048 + random_below(g->rnd, 4096);
    if (!g->code32 && gen_chance(g, 60))
        return gen_chance(g, 2) ? UINT64_C(0x8000000000001234) : UINT64_C(0x0000123400000000);
    if (!g->code32 && gen_chance(g, 20))
        return g->scratch + g->scratch_size - random_below(g->rnd, 20);
    if (gen_chance(g, 4))
        return page + 4096 - random_below(g->rnd, 16);
    return page + 8 * random_below(g->rnd, 500) + (gen_chance(g, 3) ? random_below(g->rnd, 8) : 0);
}

/* Point base and index at `target`; false: this form cannot be. */
UNUSED static bool gen_point(Gen *g, const X86Insn *in, uint64_t target)
{
    const X86Address *a = &in->mem;
    uint64_t rest = target - (uint64_t)a->disp;

    if (a->base == RSP || a->index == RSP || a->base == a->index)
        return false;
    if (a->index != X86_NO_REG && a->base == X86_NO_REG) {
        gen_set(g, a->index, (rest + (1u << a->scale) - 1) >> a->scale);
        return true;
    }
    if (a->index != X86_NO_REG) {
        uint64_t index = random_below(g->rnd, 129) - UINT64_C(64);
        gen_set(g, a->index, index);
        rest -= index << a->scale;
    }
    gen_set(g, a->base, rest);
    return true;
}

/* Registers, not memory operands, that an instruction addresses with or that must be small. */
UNUSED static void gen_implicit(Gen *g, const X86Insn *in)
{
    if (gen_is(in, "xlat"))
        gen_set(g, RBX, gen_address(g, true));
    if (in->opd[0].kind == OPD_SI || in->opd[1].kind == OPD_SI)
        gen_set(g, RSI, gen_address(g, true));
    if (in->opd[0].kind == OPD_DI || in->opd[1].kind == OPD_DI)
        gen_set(g, RDI, gen_address(g, true));
    if (in->rep)
        gen_set(g, RCX, random_below(g->rnd, 40));
    if (gen_is(in, "div") && gen_chance(g, 2))
        gen_set(g, RDX, 0);
    if (gen_is(in, "idiv") && gen_chance(g, 2))
        gen_bytes(g, g->code32 ? 0x99 : 0x9948, g->code32 ? 1 : 2); /* cqo */
}

/* -- flags */

UNUSED static void gen_flags_of_shift(Gen *g, const X86Insn *in, bool rotate)
{
    unsigned n = in->row->opd[2] ? 2 : 1, width = 8u << in->opd[0].size;
    unsigned count = (unsigned)in->imm & (in->opd[0].size == IR_64 ? 63 : 31);
    uint32_t lost = rotate ? G_O : G_O | FLAG_AF, set = rotate ? G_C : G_C | G_SZP;

    if (in->opd[n].kind == OPD_IMM && count == 0)
        return;
    if (!rotate && (in->opd[n].kind != OPD_IMM || count > width) && width < 32)
        lost |= G_C;
    if (in->opd[n].kind == OPD_IMM && count == 1 && n == 1) {
        lost &= ~(uint32_t)G_O;
        set |= G_O;
    }
    if (in->opd[n].kind == OPD_IMM)
        g->undefined &= ~set;
    g->undefined |= lost;
}

UNUSED static uint32_t gen_cc_reads(unsigned cc)
{
    static const uint16_t masks[8] = {
        FLAG_OF, FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
        FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF,
    };
    return masks[cc >> 1 & 7];
}

UNUSED static uint32_t gen_reads(const GenPick *p)
{
    return p->gen->kind == FL_CC ? gen_cc_reads(p->row->arg) : p->gen->read;
}

UNUSED static void gen_flags_after(Gen *g, const GenPick *p, const X86Insn *in)
{
    bool scan = gen_is(in, "scas") || gen_is(in, "cmps");

    if (p->gen->kind == FL_SHIFT || p->gen->kind == FL_ROTATE) {
        gen_flags_of_shift(g, in, p->gen->kind == FL_ROTATE);
        return;
    }
    if (!scan || !in->rep) /* a count of 0 sets nothing */
        g->undefined &= ~(uint32_t)p->gen->set;
    g->undefined |= p->gen->undefine;
}

/* -- units */

/* Results that the manual leaves open. */
UNUSED static bool gen_open_result(const X86Insn *in)
{
    bool wide = gen_is(in, "shld") || gen_is(in, "shrd");

    if (wide && in->opd[0].size == IR_16)
        return in->opd[2].kind != OPD_IMM || (in->imm & 31) > 16;
    return gen_is(in, "bswap") && in->osize == IR_16;
}

/* Where the displacement of a RIP-relative operand is in the bytes. */
UNUSED static void gen_fix_rip(Gen *g, size_t at, const X86Insn *in, uint64_t target)
{
    unsigned imm = 0;

    for (unsigned i = 0; i < 4; i++)
        if (in->row->opd[i] == Ib || in->row->opd[i] == sIb)
            imm = 1;
        else if (in->row->opd[i] == Iz)
            imm = in->osize == IR_16 ? 2 : 4;
    uint32_t disp = (uint32_t)(target - (g->code32 ? 0 : g->at + at + in->len));
    memcpy(g->code + at + in->len - imm - 4, &disp, 4);
}

/* Try one instruction; false (and nothing written) if the dice gave an unusable one. */
UNUSED static bool gen_try(Gen *g, const GenPick *p)
{
    size_t start = g->n, bytes;
    uint8_t text[32];
    X86Insn in;

    gen_encode(g, p, p->row);
    memcpy(text, g->code + start, sizeof(text));
    g->n = start;
    if (x86_decode(text, 15, (g->code32 ? MODE_CODE32 : MODE_CODE64) | MODE_PE, &in) !=
            X86_DECODED ||
        in.row != p->row)
        return false;
    if (g->in_loop && (!strncmp(in.row->name, "push", 4) || !strncmp(in.row->name, "pop", 3)))
        return false;
    if (gen_writes_rsp(&in) || gen_open_result(&in) || (in.lock && in.opd[0].kind != OPD_MEM))
        return false;
    bool memory = in.has_modrm && in.mod != 3;
    bool far_address = in.asize == IR_32 && memory && gen_bit_string(&in);
    uint64_t target = gen_address(g, gen_bit_string(&in));
    if (far_address || (in.asize == IR_32 && target >> 32))
        return false;
    if (in.asize == IR_16 &&
        (memory || gen_is(&in, "xlat") || in.opd[0].kind >= OPD_SI || in.opd[1].kind >= OPD_SI))
        return false;
    bool absolute = g->code32 && in.mem.base == X86_NO_REG && in.mem.index == X86_NO_REG;
    if (absolute && in.rm == RSP) /* by SIB: the displacement is not last */
        return false;
    if (gen_is(&in, "cmpxchg16b") && !gen_chance(g, 4))
        target &= ~UINT64_C(15);
    if (gen_bit_string(&in)) {
        unsigned r = in.opd[1].reg;
        if (r == in.mem.base || r == in.mem.index)
            return false;
        gen_set(g, r, random_below(g->rnd, 8192) - UINT64_C(4096));
    }
    gen_implicit(g, &in);
    if (memory && !in.mem.pcrel && (in.mem.base != X86_NO_REG || in.mem.index != X86_NO_REG) &&
        !gen_point(g, &in, target)) {
        g->n = start;
        return false;
    }
    if (memory && in.mem.base == X86_NO_REG && in.mem.index == X86_NO_REG && !in.mem.pcrel &&
        !absolute) {
        g->n = start;
        return false;
    }
    bytes = g->n;
    for (unsigned i = 0; i < in.len; i++)
        gen_byte(g, text[i]);
    if ((in.mem.pcrel || absolute) && memory)
        gen_fix_rip(g, bytes, &in, g->scratch + 2048 + 8 * random_below(g->rnd, 256));
    gen_flags_after(g, p, &in);
    return true;
}

UNUSED static void gen_instruction(Gen *g, const GenTable *t)
{
    for (;;) {
        const GenPick *p = &t->picks[random_below(g->rnd, (unsigned)t->n)];

        if (!(gen_reads(p) & g->undefined) && gen_try(g, p))
            return;
    }
}

/* Strings repeated or downwards: std; rep movs ..; cld */
UNUSED static void gen_string(Gen *g)
{
    static const uint8_t ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };
    bool down = gen_chance(g, 3);
    unsigned op = ops[random_below(g->rnd, sizeof(ops))];

    gen_set(g, RSI, gen_address(g, true));
    gen_set(g, RDI, gen_address(g, true));
    gen_set(g, RCX, random_below(g->rnd, 100));
    if (down)
        gen_byte(g, 0xfd);
    if (gen_chance(g, 4))
        gen_byte(g, 0x66);
    gen_byte(g, gen_chance(g, 2) ? 0xf3 : 0xf2);
    if (!g->code32 && gen_chance(g, 3))
        gen_byte(g, 0x48);
    gen_byte(g, op);
    if (down)
        gen_byte(g, 0xfc);
}

/* pushfq; popfq, call over nothing, enter and leave */
UNUSED static void gen_stack(Gen *g)
{
    switch (random_below(g->rnd, g->code32 ? 2 : 4)) {
    case 0:
        if (!g->undefined && !g->stepped)
            gen_bytes(g, 0x9d9c, 2);
        break;
    case 1: /* call +2; jmp +1; ret */
        gen_bytes(g, 0x02e8, 5);
        gen_bytes(g, 0xc301eb, 3);
        break;
    case 2: /* lea rax, [rip + 3]; call rax; jmp +1; ret: the pushed address stays below rSP */
        gen_bytes(g, 0x048d48, 2);
        gen_byte(g, 0x05);
        gen_bytes(g, 4, 4);
        gen_bytes(g, 0xd0ff, 2);
        gen_bytes(g, 0xc301eb, 3);
        break;
    default:
        gen_set(g, RBP, gen_address(g, true));
        gen_byte(g, 0xc8);
        gen_bytes(g, random_below(g->rnd, 64), 2);
        gen_byte(g, random_below(g->rnd, 3));
        gen_byte(g, 0xc9);
        break;
    }
}

UNUSED static void gen_unit(Gen *g, const GenTable *t)
{
    unsigned kind = random_below(g->rnd, 24);

    if (kind == 0)
        gen_string(g);
    else if (kind == 1)
        gen_stack(g);
    else
        gen_instruction(g, t);
}

/* Jcc over a unit: whichever way, the flags that either way leaves undefined are. */
UNUSED static void gen_skipped(Gen *g, const GenTable *t)
{
    unsigned cc = random_below(g->rnd, 16);
    uint32_t before = g->undefined;
    size_t at = g->n;

    if (gen_cc_reads(cc) & before)
        return;
    gen_bytes(g, 0x0070 | cc, 2);
    gen_unit(g, t);
    g->code[at + 1] = (uint8_t)(g->n - at - 2);
    g->undefined |= before;
}

/* mov ecx, n; body; loop body */
UNUSED static void gen_loop(Gen *g, const GenTable *t)
{
    size_t body;

    gen_set(g, RCX, 1 + random_below(g->rnd, 5));
    body = g->n;
    gen_byte(g, 0x51); /* push rcx: the body may use it */
    g->undefined = FLAGS_ALL;
    g->in_loop = true;
    gen_instruction(g, t);
    g->in_loop = false;
    gen_byte(g, 0x59);
    gen_byte(g, 0xe2);
    gen_byte(g, body - g->n - 1);
}

/* A sequence of about `units`, ending with a jump to `exit`. */
UNUSED static void gen_sequence(Gen *g, const GenTable *t, unsigned units, uint64_t exit)
{
    g->n = 0;
    for (unsigned i = 0; i < units && g->code + g->n + 200 < g->end; i++) {
        unsigned kind = random_below(g->rnd, 12);

        if (kind == 0)
            gen_skipped(g, t);
        else if (kind == 1 && gen_chance(g, 3))
            gen_loop(g, t);
        else
            gen_unit(g, t);
    }
    gen_byte(g, 0xe9);
    gen_bytes(g, exit - (g->at + g->n + 4), 4);
}

#endif
