/*
 * decode.c - bytes to X86Insn (SDM volume 2, chapter 2: instruction format).
 *
 * Legacy prefixes in any order, REX directly before the opcode, opcode of map 0F, 0F 38, 0F 3A or
 * none, ModRM, SIB, displacement, immediates. VEX (C4, C5) and EVEX (62) would branch off in
 * find_row(): today their bytes meet LES, LDS and BOUND, which demand memory and do not exist in
 * 64-bit mode, so that every vector-extension encoding is #UD.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/decode.h"

/* The bytes being read. The first failure sticks; reads after it give 0. */
typedef struct {
    const uint8_t *bytes;
    size_t avail, pos;
    X86Decode status;
    uint32_t mode;
} Cursor;

static uint64_t fetch(Cursor *c, unsigned n)
{
    uint64_t v = 0;

    if (c->status != X86_DECODED)
        return 0;
    for (unsigned i = 0; i < n; i++, c->pos++) {
        if (c->pos >= X86_MAX_LENGTH || c->pos >= c->avail) {
            c->status = c->pos >= X86_MAX_LENGTH ? X86_TOO_LONG : X86_TRUNCATED;
            return 0;
        }
        v |= (uint64_t)c->bytes[c->pos] << 8 * i;
    }
    return v;
}

static int64_t fetch_signed(Cursor *c, unsigned n)
{
    unsigned shift = 64 - 8 * n;

    return (int64_t)(fetch(c, n) << shift) >> shift;
}

static bool code64(const Cursor *c)
{
    return (c->mode & MODE_CODE) == MODE_CODE64;
}

/* -- prefixes and sizes */

/* In 64-bit mode the overrides of ES CS SS DS are there but mean nothing. */
static void segment_prefix(const Cursor *c, X86Insn *in, uint8_t seg)
{
    if (code64(c) && seg < SEG_FS)
        return;
    in->seg = seg;
    in->seg_override = true;
}

static bool legacy_prefix(const Cursor *c, X86Insn *in, uint8_t byte, bool *addr)
{
    switch (byte) {
    case 0x26: segment_prefix(c, in, SEG_ES); return true;
    case 0x2e: segment_prefix(c, in, SEG_CS); return true;
    case 0x36: segment_prefix(c, in, SEG_SS); return true;
    case 0x3e: segment_prefix(c, in, SEG_DS); return true;
    case 0x64: segment_prefix(c, in, SEG_FS); return true;
    case 0x65: segment_prefix(c, in, SEG_GS); return true;
    case 0x66: in->osize_prefix = true; return true;
    case 0x67: *addr = true; return true;
    case 0xf0: in->lock = true; return true;
    case 0xf2:
    case 0xf3: in->rep = byte; return true;
    default: return false;
    }
}

static void set_sizes(const Cursor *c, X86Insn *in, bool addr)
{
    if (code64(c)) {
        in->asize = addr ? IR_32 : IR_64;
        in->osize = in->rex & 8 ? IR_64 : in->osize_prefix ? IR_16 : IR_32;
    } else {
        bool code32 = (c->mode & MODE_CODE) == MODE_CODE32;

        in->asize = addr != code32 ? IR_32 : IR_16;
        in->osize = in->osize_prefix != code32 ? IR_32 : IR_16;
    }
    in->mandatory = in->rep == 0xf3 ? 2 : in->rep == 0xf2 ? 3 : in->osize_prefix;
}

/* Reads all prefixes; returns the opcode's first byte. */
static uint8_t prefixes(Cursor *c, X86Insn *in)
{
    bool addr = false;
    uint8_t byte;

    in->seg = SEG_DS;
    do {
        byte = fetch(c, 1);
    } while (c->status == X86_DECODED && legacy_prefix(c, in, byte, &addr));
    while (code64(c) && (byte & 0xf0) == 0x40 && c->status == X86_DECODED) {
        in->rex = byte;
        byte = fetch(c, 1);
        while (legacy_prefix(c, in, byte, &addr) && c->status == X86_DECODED) {
            in->rex = 0; /* not directly before the opcode: void */
            byte = fetch(c, 1);
        }
    }
    set_sizes(c, in, addr);
    return byte;
}

/* -- the row */

static bool is_row(const X86Row *row)
{
    return row->emit || row->table;
}

static const X86Row *opcode_row(Cursor *c, X86Insn *in, uint8_t byte)
{
    static const X86Row *const integer[] = { x86_one_byte, x86_0f, x86_0f38, x86_0f3a };
    static const X86Row(*const vector[])[256] = { NULL, x86_sse_0f, x86_sse_0f38, x86_sse_0f3a };

    if (byte == 0x0f) {
        in->map = 1;
        byte = fetch(c, 1);
        if (byte == 0x38 || byte == 0x3a) {
            in->map = byte == 0x38 ? 2 : 3;
            byte = fetch(c, 1);
        }
    }
    in->opcode = byte;
    const X86Row *row = &integer[in->map][byte];
    if (is_row(row))
        return row;
    if (in->map > 0)
        return &vector[in->map][in->mandatory][byte];
    if (byte == 0x9b)
        return &x86_x87[8];
    return (byte & 0xf8) == 0xd8 ? &x86_x87[byte & 7] : row;
}

static void need_modrm(Cursor *c, X86Insn *in)
{
    if (in->has_modrm)
        return;
    in->has_modrm = true;
    in->modrm = fetch(c, 1);
    in->mod = in->modrm >> 6;
    in->reg = in->modrm >> 3 & 7;
    in->rm = in->modrm & 7;
}

static const X86Row *select_row(Cursor *c, X86Insn *in, const X86Row *row)
{
    switch (row->select) {
    case BY_REG_: need_modrm(c, in); return &row->table[in->reg];
    case BY_MOD_: need_modrm(c, in); return &row->table[in->mod == 3];
    case BY_RM_: need_modrm(c, in); return &row->table[in->rm];
    case BY_PREFIX_: return &row->table[in->mandatory];
    case BY_OSIZE_: return &row->table[in->osize - IR_16];
    default: return &row->table[code64(c)];
    }
}

/* -- operands */

enum { SZ_V = 8, SZ_Y, SZ_Z, SZ_P, SZ_MODE, SZ_NONE = IR_8 };

typedef enum {
    L_NONE,
    L_RM,     /* ModRM.rm: register or memory, of the kind `opd` */
    L_RM_MEM, /* memory only */
    L_RM_REG, /* register only */
    L_RM_ANY, /* register whatever mod says (MOV CR) */
    L_REG,    /* ModRM.reg */
    L_OPCODE, /* low three opcode bits */
    L_FIXED,  /* register `arg` */
    L_IMM,    /* zero-extended */
    L_SIMM,
    L_IMM2,
    L_ONE,
    L_REL,
    L_OFFSET,
    L_FAR,
    L_STRING,
} Letter;

static const struct LetterInfo {
    uint8_t letter, opd, size, arg;
} letters[O_COUNT] = {
    [Eb] = { L_RM, OPD_REG, IR_8, 0 },           [Ew] = { L_RM, OPD_REG, IR_16, 0 },
    [Ed] = { L_RM, OPD_REG, IR_32, 0 },          [Eq] = { L_RM, OPD_REG, IR_64, 0 },
    [Ev] = { L_RM, OPD_REG, SZ_V, 0 },           [Ey] = { L_RM, OPD_REG, SZ_Y, 0 },
    [Gb] = { L_REG, OPD_REG, IR_8, 0 },          [Gw] = { L_REG, OPD_REG, IR_16, 0 },
    [Gd] = { L_REG, OPD_REG, IR_32, 0 },         [Gq] = { L_REG, OPD_REG, IR_64, 0 },
    [Gv] = { L_REG, OPD_REG, SZ_V, 0 },          [Gy] = { L_REG, OPD_REG, SZ_Y, 0 },
    [Zb] = { L_OPCODE, OPD_REG, IR_8, 0 },       [Zv] = { L_OPCODE, OPD_REG, SZ_V, 0 },
    [Zy] = { L_OPCODE, OPD_REG, SZ_Y, 0 },       [Ib] = { L_IMM, OPD_IMM, IR_8, 0 },
    [Iw] = { L_IMM, OPD_IMM, IR_16, 0 },         [Iz] = { L_SIMM, OPD_IMM, SZ_Z, 0 },
    [Iv] = { L_IMM, OPD_IMM, SZ_V, 0 },          [sIb] = { L_SIMM, OPD_IMM, IR_8, 0 },
    [Ib2] = { L_IMM2, OPD_IMM2, IR_8, 0 },       [Jb] = { L_REL, OPD_REL, IR_8, 0 },
    [Jz] = { L_REL, OPD_REL, SZ_Z, 0 },          [M] = { L_RM_MEM, OPD_MEM, SZ_NONE, 0 },
    [Mb] = { L_RM_MEM, OPD_MEM, IR_8, 0 },       [Mw] = { L_RM_MEM, OPD_MEM, IR_16, 0 },
    [Md] = { L_RM_MEM, OPD_MEM, IR_32, 0 },      [Mq] = { L_RM_MEM, OPD_MEM, IR_64, 0 },
    [Mdq] = { L_RM_MEM, OPD_MEM, IR_128, 0 },    [Mv] = { L_RM_MEM, OPD_MEM, SZ_V, 0 },
    [My] = { L_RM_MEM, OPD_MEM, SZ_Y, 0 },       [Mp] = { L_RM_MEM, OPD_MEM, SZ_V, 0 },
    [Mt] = { L_RM_MEM, OPD_MEM, IR_128, 0 },     [Rd] = { L_RM_ANY, OPD_REG, IR_32, 0 },
    [Rv] = { L_RM_ANY, OPD_REG, SZ_V, 0 },       [Ry] = { L_RM_ANY, OPD_REG, SZ_MODE, 0 },
    [Ob] = { L_OFFSET, OPD_MEM, IR_8, 0 },       [Ov] = { L_OFFSET, OPD_MEM, SZ_V, 0 },
    [Sw] = { L_REG, OPD_SREG, IR_16, 0 },        [Cy] = { L_REG, OPD_CR, SZ_MODE, 0 },
    [Dy] = { L_REG, OPD_DR, SZ_MODE, 0 },        [Xb] = { L_STRING, OPD_SI, IR_8, 0 },
    [Xv] = { L_STRING, OPD_SI, SZ_V, 0 },        [Xz] = { L_STRING, OPD_SI, SZ_Z, 0 },
    [Yb] = { L_STRING, OPD_DI, IR_8, 0 },        [Yv] = { L_STRING, OPD_DI, SZ_V, 0 },
    [Yz] = { L_STRING, OPD_DI, SZ_Z, 0 },        [Ap] = { L_FAR, OPD_FAR, SZ_Z, 0 },
    [One] = { L_ONE, OPD_IMM, IR_8, 0 },         [AL] = { L_FIXED, OPD_REG, IR_8, RAX },
    [CL] = { L_FIXED, OPD_REG, IR_8, RCX },      [DX] = { L_FIXED, OPD_REG, IR_16, RDX },
    [rAX] = { L_FIXED, OPD_REG, SZ_V, RAX },     [ES] = { L_FIXED, OPD_SREG, IR_16, SEG_ES },
    [CS] = { L_FIXED, OPD_SREG, IR_16, SEG_CS }, [SS] = { L_FIXED, OPD_SREG, IR_16, SEG_SS },
    [DS] = { L_FIXED, OPD_SREG, IR_16, SEG_DS }, [FS] = { L_FIXED, OPD_SREG, IR_16, SEG_FS },
    [GS] = { L_FIXED, OPD_SREG, IR_16, SEG_GS }, [Vdq] = { L_REG, OPD_XMM, IR_128, 0 },
    [Wdq] = { L_RM, OPD_XMM, IR_128, 0 },        [Wq] = { L_RM, OPD_XMM, IR_64, 0 },
    [Wd] = { L_RM, OPD_XMM, IR_32, 0 },          [Ww] = { L_RM, OPD_XMM, IR_16, 0 },
    [Udq] = { L_RM_REG, OPD_XMM, IR_128, 0 },    [Uq] = { L_RM_REG, OPD_XMM, IR_64, 0 },
    [Pq] = { L_REG, OPD_MM, IR_64, 0 },          [Qq] = { L_RM, OPD_MM, IR_64, 0 },
    [Qd] = { L_RM, OPD_MM, IR_32, 0 },           [Nq] = { L_RM_REG, OPD_MM, IR_64, 0 },
    [EdMb] = { L_RM, OPD_REG, SZ_Y, 1 + IR_8 },  [EdMw] = { L_RM, OPD_REG, SZ_Y, 1 + IR_16 },
    [ST0] = { L_FIXED, OPD_ST, IR_128, 0 },      [STi] = { L_RM_REG, OPD_ST, IR_128, 0 },
};

static uint8_t operand_size(const Cursor *c, const X86Insn *in, uint8_t size)
{
    switch (size) {
    case SZ_V: return in->osize;
    case SZ_Z: return in->osize == IR_16 ? IR_16 : IR_32;
    case SZ_Y: return in->osize == IR_64 ? IR_64 : IR_32;
    case SZ_MODE: return code64(c) ? IR_64 : IR_32;
    default: return size;
    }
}

/* 16-bit addressing: SDM volume 2, table 2-1. */
static void address16(Cursor *c, X86Insn *in)
{
    static const uint8_t base[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const uint8_t index[8] = { RSI,        RDI,        RSI,        RDI,
                                      X86_NO_REG, X86_NO_REG, X86_NO_REG, X86_NO_REG };

    in->mem.base = base[in->rm];
    in->mem.index = index[in->rm];
    if (in->mod == 0 && in->rm == 6) {
        in->mem.base = X86_NO_REG;
        in->mem.disp = fetch_signed(c, 2);
    } else if (in->mod != 0) {
        in->mem.disp = fetch_signed(c, in->mod);
    }
}

static void sib(Cursor *c, X86Insn *in)
{
    uint8_t byte = fetch(c, 1);
    uint8_t index = (byte >> 3 & 7) | (in->rex & 2) << 2;

    in->mem.scale = byte >> 6;
    if (index != RSP)
        in->mem.index = index;
    in->mem.base = (byte & 7) | (in->rex & 1) << 3;
    if ((byte & 7) == RBP && in->mod == 0) {
        in->mem.base = X86_NO_REG;
        in->mem.disp = fetch_signed(c, 4);
    }
}

static void address32(Cursor *c, X86Insn *in)
{
    if (in->rm == RSP) {
        sib(c, in);
    } else if (in->rm == RBP && in->mod == 0) {
        in->mem.disp = fetch_signed(c, 4);
        in->mem.pcrel = code64(c);
    } else {
        in->mem.base = in->rm | (in->rex & 1) << 3;
    }
    if (in->mod != 0)
        in->mem.disp = fetch_signed(c, in->mod == 1 ? 1 : 4);
}

static void address(Cursor *c, X86Insn *in)
{
    if (in->asize == IR_16)
        address16(c, in);
    else
        address32(c, in);
    if (!in->seg_override && (in->mem.base == RSP || in->mem.base == RBP))
        in->seg = SEG_SS;
}

static void set_register(X86Opd *o, const X86Insn *in, uint8_t kind, uint8_t n, uint8_t rex_bit)
{
    o->kind = kind;
    if (kind == OPD_MM || kind == OPD_SREG || kind == OPD_ST) {
        o->reg = n;
        return;
    }
    o->reg = n | (rex_bit ? 8 : 0);
    if (kind == OPD_REG && o->size == IR_8 && !in->rex && n >= 4) {
        o->reg = n - 4;
        o->high = true;
    }
}

static void rm_operand(Cursor *c, X86Insn *in, X86Opd *o, const struct LetterInfo *l)
{
    bool reg = in->mod == 3;

    if ((l->letter == L_RM_MEM && reg) || (l->letter == L_RM_REG && !reg))
        c->status = X86_INVALID;
    if (reg) {
        set_register(o, in, l->opd, in->rm, in->rex & 1);
        return;
    }
    o->kind = OPD_MEM;
    if (l->arg)
        o->size = l->arg - 1;
}

static void operand(Cursor *c, X86Insn *in, X86Opd *o, uint8_t letter)
{
    const struct LetterInfo *l = &letters[letter];

    o->kind = l->opd;
    o->size = operand_size(c, in, l->size);
    switch (l->letter) {
    case L_RM:
    case L_RM_MEM:
    case L_RM_REG:
    case L_RM_ANY: rm_operand(c, in, o, l); break;
    case L_REG: set_register(o, in, l->opd, in->reg, in->rex & 4); break;
    case L_OPCODE: set_register(o, in, l->opd, in->opcode & 7, in->rex & 1); break;
    case L_FIXED: o->reg = l->arg; break;
    case L_IMM: in->imm = fetch(c, 1 << o->size); break;
    case L_SIMM:
    case L_REL: in->imm = fetch_signed(c, 1 << o->size); break;
    case L_IMM2: in->imm2 = fetch(c, 1); break;
    case L_ONE: in->imm = 1; break;
    case L_OFFSET: in->mem.disp = fetch(c, 1 << in->asize); break;
    case L_FAR:
        in->imm = fetch(c, 1 << o->size);
        in->imm2 = fetch(c, 2);
        break;
    default: break;
    }
    if (letter == sIb || letter == Iz)
        o->size = in->osize;
}

static bool uses_modrm(uint8_t letter)
{
    uint8_t l = letters[letter].letter;

    return l >= L_RM && l <= L_REG;
}

static void operands(Cursor *c, X86Insn *in)
{
    const uint8_t *opd = in->row->opd;

    for (unsigned i = 0; i < 4; i++) {
        if (uses_modrm(opd[i]))
            need_modrm(c, in);
        if (letters[opd[i]].letter == L_RM_ANY)
            in->mod = 3;
    }
    if (in->has_modrm && in->mod != 3)
        address(c, in);
    for (unsigned i = 0; i < 4 && opd[i]; i++)
        operand(c, in, &in->opd[i], opd[i]);
}

/* -- the whole */

static void final_size(const Cursor *c, X86Insn *in)
{
    uint16_t attr = in->row->attr;

    if (!code64(c))
        return;
    if ((attr & X86_F64) || (attr & X86_D64 && !in->osize_prefix))
        in->osize = IR_64;
    if (attr & X86_NO_W && in->osize == IR_64)
        in->osize = IR_32;
}

static bool allowed(const Cursor *c, const X86Insn *in)
{
    uint16_t attr = in->row->attr;

    if (code64(c) ? attr & X86_NO64 : attr & X86_ONLY64)
        return false;
    if (attr & X86_PE && ((c->mode & (MODE_PE | MODE_VM)) != MODE_PE))
        return false;
    if (attr & X86_NO_PREFIX && in->mandatory)
        return false;
    return !in->lock || (attr & X86_LOCK && in->opd[0].kind == OPD_MEM);
}

X86Decode x86_decode(const uint8_t *bytes, size_t avail, uint32_t mode, X86Insn *in)
{
    Cursor c = { bytes, avail, 0, X86_DECODED, mode };

    *in = (X86Insn) { .mem = { .base = X86_NO_REG, .index = X86_NO_REG } };
    in->row = opcode_row(&c, in, prefixes(&c, in));
    while (c.status == X86_DECODED && in->row->table)
        in->row = select_row(&c, in, in->row);
    if (c.status == X86_DECODED && !in->row->emit)
        c.status = X86_INVALID;
    if (c.status == X86_DECODED) {
        final_size(&c, in);
        operands(&c, in);
    }
    if (c.status == X86_DECODED && !allowed(&c, in))
        c.status = X86_INVALID;
    in->len = c.pos;
    return c.status;
}
