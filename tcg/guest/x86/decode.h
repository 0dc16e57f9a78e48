/*
 * decode.h - x86 instructions as data: rows in the notation of the SDM (volume 2, appendix A), and
 * the decoder that turns bytes into one X86Insn.
 *
 * A row has a name, the function that translates it, and up to four operand letters. Where one
 * opcode is several instructions, `select` says what picks the row from `table`; tables nest.
 *
 * How an extension (x87, MMX, SSE) plugs in its rows: it defines the tables named below under
 * "tables of extensions" in a file of its own. The decoder looks there when the integer table of
 * the map has no row. Rows of x86_sse_* are chosen by mandatory prefix already; x86_x87[n] is the
 * row of opcode D8+n, usually { BY_MOD(..) } with { BY_REG(..) } and { BY_RM(..) } inside. The
 * attributes X86_X87, X86_MMX and X86_SSE make the translator raise #UD or #NM as the mode demands
 * before the row's function is called; `cpuid` makes a row that the CPU model does not have #UD.
 */
#ifndef TCG_GUEST_X86_DECODE_H
#define TCG_GUEST_X86_DECODE_H

#include "tcg/guest/x86/cpu.h"

typedef struct Trans Trans; /* translate.h */
typedef struct X86Row X86Row;

/*
 * Operand letters. First letter, as in the SDM: E r/m general, G reg general, Z register in the low
 * three opcode bits, I immediate, J relative target, M memory only, R r/m register only, O absolute
 * offset, S C D segment, control and debug register in reg, X DS:rSI, Y ES:rDI, A far pointer, V
 * reg XMM, W r/m XMM, U r/m XMM register only, P reg MMX, Q r/m MMX, N r/m MMX register only.
 * Second: b w d q dq bytes 1 2 4 8 16; v operand size 2 4 8; z 2 or 4 (immediates sign-extended to
 * the operand size); y 4 or 8; p far pointer.
 */
/* clang-format off */
enum {
    O_NONE,
    Eb, Ew, Ed, Eq, Ev, Ey,
    Gb, Gw, Gd, Gq, Gv, Gy,
    Zb, Zv, Zy,
    Ib, Iw, Iz, Iv,
    sIb,                    /* a byte, sign-extended */
    Ib2,                    /* the second immediate byte of ENTER, EXTRQ */
    Jb, Jz,
    M,                      /* not accessed by its size: LEA, FXSAVE */
    Mb, Mw, Md, Mq, Mdq, Mv, My, Mp,
    Mt,                     /* 10 bytes */
    Rd, Rv, Ry,
    Ob, Ov,
    Sw, Cy, Dy,
    Xb, Xv, Xz, Yb, Yv, Yz,
    Ap,
    One, AL, CL, DX, rAX,   /* the constant 1; fixed registers; rAX has the operand size */
    ES, CS, SS, DS, FS, GS,
    Vdq, Wdq, Wq, Wd, Ww,   /* W: 16, 8, 4, 2 bytes if memory */
    Udq, Uq,
    Pq, Qq, Qd, Nq,
    EdMb, EdMw,             /* r32 (r64 with REX.W) or m8, m16: PINSRB, PEXTRW */
    ST0, STi,
    O_COUNT,
};
/* clang-format on */

/* Row attributes. */
enum {
    X86_LOCK = 1,        /* LOCK is allowed if the destination is memory */
    X86_NO64 = 2,        /* #UD in 64-bit mode */
    X86_ONLY64 = 4,      /* #UD outside it */
    X86_D64 = 8,         /* operand size is 64 by default in 64-bit mode (32 is not encodable) */
    X86_F64 = 16,        /* operand size is 64 in 64-bit mode whatever the prefixes */
    X86_PE = 32,         /* #UD in real and virtual-8086 mode */
    X86_X87 = 64,        /* #NM if CR0.EM or TS */
    X86_MMX = 128,       /* #UD if CR0.EM, #NM if TS */
    X86_SSE = 256,       /* #UD if EM or no OSFXSR, #NM if TS */
    X86_NO_PREFIX = 512, /* #UD with 66, F2 or F3 */
    X86_END = 1024,      /* the block ends after it (IR_exit to the next instruction) */
    X86_NO_W = 2048,     /* the operand size is 32 even with REX.W */
};

/* What picks a row from `table`. */
enum {
    BY_NOTHING,
    BY_REG_,    /* ModRM.reg: 8 rows */
    BY_MOD_,    /* 2 rows: memory, register */
    BY_RM_,     /* ModRM.rm: 8 rows */
    BY_PREFIX_, /* mandatory prefix: 4 rows: none, 66, F3, F2 */
    BY_OSIZE_,  /* operand size: 3 rows: 16, 32, 64 */
    BY_MODE_,   /* 2 rows: not 64-bit mode, 64-bit mode */
};
#define BY_REG(t)    .table = (t), .select = BY_REG_
#define BY_MOD(t)    .table = (t), .select = BY_MOD_
#define BY_RM(t)     .table = (t), .select = BY_RM_
#define BY_PREFIX(t) .table = (t), .select = BY_PREFIX_
#define BY_OSIZE(t)  .table = (t), .select = BY_OSIZE_
#define BY_MODE(t)   .table = (t), .select = BY_MODE_

/* A CPUID feature bit: X86_FEATURE(feat_1_ecx, 23). 0: no requirement. */
#define X86_FEATURE(word, bit)                                                                     \
    (((offsetof(X86Model, word) - offsetof(X86Model, feat_1_ecx)) / 4 + 1) << 5 | (bit))

/* A row says only what it needs to. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct X86Row {
    const char *name; /* "a|b|c": by operand size 16, 32, 64 */
    void (*emit)(Trans *t);
    uint8_t opd[4];
    uint16_t attr;  /* X86_* */
    uint16_t arg;   /* for `emit`: IrOpcode, VopId, IrCond ... */
    uint16_t cpuid; /* X86_FEATURE */
    uint8_t select;
    const X86Row *table;
};

typedef enum {
    OPD_NONE,
    OPD_REG,  /* general register `reg`; `high`: AH CH DH BH of reg 0..3 */
    OPD_MEM,  /* X86Insn.mem */
    OPD_IMM,  /* X86Insn.imm */
    OPD_IMM2, /* X86Insn.imm2 */
    OPD_REL,  /* branch target: X86Insn.imm, relative to the next instruction */
    OPD_FAR,  /* imm2:imm */
    OPD_SREG,
    OPD_CR,
    OPD_DR,
    OPD_XMM, /* ir_v(reg) */
    OPD_MM,  /* MMX register `reg` */
    OPD_ST,
    OPD_SI, /* DS:rSI (seg overridable) */
    OPD_DI, /* ES:rDI */
} X86OpdKind;

typedef struct {
    uint8_t kind; /* X86OpdKind */
    uint8_t size; /* IrSize */
    uint8_t reg;
    bool high;
} X86Opd;

/* The address of the memory operand: registers are numbers, 0xff: none. */
typedef struct {
    uint8_t base, index, scale;
    bool pcrel;   /* relative to the next instruction */
    int64_t disp; /* sign-extended; MOV's absolute offset may have 64 bits */
} X86Address;

enum { X86_NO_REG = 0xff, X86_MAX_LENGTH = 15 };

typedef struct {
    const X86Row *row;
    uint8_t len;
    uint8_t map, opcode;         /* map 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
    uint8_t modrm, mod, reg, rm; /* reg and rm without REX bits; mod 3: register */
    bool has_modrm;
    uint8_t rex; /* the byte, or 0 */
    uint8_t rep; /* 0xf2, 0xf3, or 0 */
    bool osize_prefix, lock;
    uint8_t mandatory; /* 0: none, 1: 66, 2: F3, 3: F2 */
    uint8_t seg;       /* SEG_* of the memory operand (also of X), overrides applied */
    bool seg_override;
    uint8_t osize, asize; /* IR_16, IR_32, IR_64 */
    X86Opd opd[4];
    X86Address mem;
    int64_t imm; /* extended as the operand letter says */
    int64_t imm2;
} X86Insn;

typedef enum {
    X86_DECODED,
    X86_TRUNCATED, /* `avail` bytes are a prefix of an instruction */
    X86_INVALID,   /* #UD */
    X86_TOO_LONG,  /* #GP */
} X86Decode;

/* Decode one instruction for the mode bits MODE_CODE, MODE_PE, MODE_VM of `mode`. */
X86Decode x86_decode(const uint8_t *bytes, size_t avail, uint32_t mode, X86Insn *in);

/* Text of a decoded instruction at `pc`, Intel syntax. */
void x86_disas(const X86Insn *in, uint64_t pc, char *out, size_t len);

/* Integer tables (rows-*.c). */
extern const X86Row x86_one_byte[256], x86_0f[256], x86_0f38[256], x86_0f3a[256];

/* Tables of extensions; first index: mandatory prefix none, 66, F3, F2. */
extern const X86Row x86_x87[9]; /* opcodes D8 to DF, and 9B (WAIT) last */
extern const X86Row x86_sse_0f[4][256], x86_sse_0f38[4][256], x86_sse_0f3a[4][256];

/* True if the model has the feature of a row. */
static inline bool x86_has(const X86Model *m, unsigned feature)
{
    return !feature || ((&m->feat_1_ecx)[(feature >> 5) - 1] >> (feature & 31) & 1);
}

#endif
