/*
 * ir.h - the intermediate representation: one linear list of operations a block (docs/TCG.md).
 *
 * A guest front end appends operations with the ir_* builders; a back end walks the list once or
 * twice and emits host code, or interprets it. The IR is shaped like x86: operands have a width and
 * may be a part of a register, arithmetic sets six flags at once, memory operands are
 * base + index * scale + disp.
 *
 * Rules a front end keeps, and every back end relies on:
 *   1. Each guest instruction starts with IR_insn. Temporaries do not live across IR_insn.
 *   2. Within an instruction no G, V, or flags write precedes an operation that can fault
 * (IR_FAULTS, a helper with HELPER_FAULTS): at a fault the registers are those before the
 * instruction.
 *   3. The last operation, and only the last, is IR_END class.
 *   4. A temporary is written before it is read, at most 16 are alive at once.
 */
#ifndef TCG_IR_H
#define TCG_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tcg/flags.h"

typedef struct Cpu Cpu;

/* Width of an operation: log2 of its bytes. */
typedef enum { IR_8, IR_16, IR_32, IR_64, IR_128 } IrSize;

/*
 * An operand. G: guest global (general register), T: temporary, K: constant of the block's pool,
 * V: vector register, M: memory operand of the block.
 * Writing G with width 8 or 16 replaces that part of the register; 32 clears the upper half; a part
 * with REF_HIGH is bits 8..15 (AH). Writing T always sets all 64 bits, zero-extended.
 */
typedef uint16_t IrRef;
enum {
    REF_NONE = 0,
    REF_G = 1 << 12,
    REF_T = 2 << 12,
    REF_K = 3 << 12,
    REF_V = 4 << 12,
    REF_M = 5 << 12,
    REF_HIGH = 1 << 11,
    REF_KIND = 0xf << 12,
    REF_INDEX = REF_HIGH - 1,
};

static inline unsigned ref_kind(IrRef r)
{
    return r & REF_KIND;
}

static inline unsigned ref_index(IrRef r)
{
    return r & REF_INDEX;
}

/* Vector registers: 0..31 architectural, 32..39 x87/MMX physical registers, 40..47 temporaries. */
enum { V_MM = 32, V_TEMP = 40, V_COUNT = 48 };

/* offset = (base + (index << scale) + disp) cut to `asize`; linear = (seg base + offset) cut to
 * `lsize` */
typedef struct {
    IrRef base, index; /* G or T (64-bit values, cut by asize), or REF_NONE */
    int32_t disp;
    uint8_t scale; /* 0..3 */
    uint8_t asize; /* IR_16, IR_32, IR_64 */
    uint8_t lsize; /* IR_32 outside 64-bit mode, IR_64 within */
    uint8_t seg;   /* 0..7 when MEM_SEG is set: index into cpu->seg */
    uint8_t attr;  /* MEM_* */
    uint8_t mmu;   /* TLB class, 0..MMU_CLASSES-1 */
    bool
        pcrel; /* add cpu->rip_page (RIP-relative; disp is then relative to the page of the code) */
} IrMem;

enum {
    MEM_SEG = 1,   /* add the base of `seg` */
    MEM_LIMIT = 2, /* check offset..offset+size-1 against the limits of `seg` (else: known flat) */
    MEM_ALIGN = 4, /* the access must be aligned to its size (SSE), or raises guest->misaligned */
    MEM_WRITE = 8, /* check a load for writing too (it will be stored to) */
};

/* x86 condition codes, in the encoding of Jcc. */
typedef enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G,
} IrCond;

/* Sub-operations of IR_rmw; each sets the flags of the IR operation of its name. */
typedef enum {
    RMW_ADD,
    RMW_OR,
    RMW_ADC,
    RMW_SBB,
    RMW_AND,
    RMW_SUB,
    RMW_XOR,
    RMW_XCHG,
    RMW_INC,
    RMW_DEC,
    RMW_NEG,
    RMW_NOT,
    RMW_BTS,
    RMW_BTR,
    RMW_BTC,
    RMW_ROL,
    RMW_ROR,
    RMW_RCL,
    RMW_RCR,
    RMW_SHL,
    RMW_SHR,
    RMW_SAR,
    RMW_COUNT,
} IrRmw;

/* Attributes of one operation (IrOp.attr). */
enum {
    IR_SETF = 1,    /* sets the guest's flags */
    IR_SIGNED = 2,  /* ld: sign-extend */
    IR_LOCK = 4,    /* rmw, cmpxchg: atomic */
    IR_IS_CALL = 8, /* jmp, jmpr: a call (imm2 = return pc - rip_page), for return prediction */
    IR_IS_RET = 16, /* jmpr: a return */
    IR_SLOW = 32,   /* vop: call the C function, it may raise (an MXCSR exception is unmasked) */
};

/* Classes of operations (last column of ir-ops.def). */
enum { IR_FAULTS = 1, IR_HELPER = 2, IR_SIDE_EXIT = 4, IR_END = 8 };

typedef enum {
#define IR_OP(name, sig, fw, fr, attr) IR_##name,
#include "tcg/ir-ops.def"
#undef IR_OP
    IR_OP_COUNT,
} IrOpcode;

typedef struct {
    uint8_t op;    /* IrOpcode */
    uint8_t size;  /* IrSize */
    uint8_t size2; /* source width (movzx, movsx, crc32, jz), imm8 of a vop */
    uint8_t cc;    /* IrCond, IrRmw */
    uint8_t attr;
    uint8_t live; /* scratch of passes: FLAGS_LIVE_* (see ir_liveness) */
    int16_t imm2;
    IrRef d, a, b, c;
    int64_t imm; /* displacement, mask, vop number, or the address of an IrHelper */
} IrOp;

/* What a C function called from translated code does; a back end saves and restores accordingly. */
enum {
    HELPER_PURE = 1,     /* touches no guest state at all, cannot fault */
    HELPER_FAULTS = 2,   /* may raise a guest exception (does not return then) */
    HELPER_READS_G = 4,  /* reads guest registers in Cpu */
    HELPER_WRITES_G = 8, /* writes them */
    HELPER_FLAGS = 16,   /* reads or writes the flags in Cpu (cpu_flags / cpu_set_flags) */
    HELPER_VECTORS = 32, /* reads or writes vector registers or MXCSR in Cpu */
    HELPER_IO = 64,      /* device access or time: exact instruction counting ends the block */
};

typedef struct {
    const char *name;
    void *fn; /* uint64_t (*)(Cpu *, uint64_t, uint64_t, uint64_t), trailing arguments may be left
                 out */
    unsigned flags;
} IrHelper;

enum { IR_MAX_OPS = 2048, IR_MAX_MEM = 512, IR_MAX_K = 512, IR_MAX_TEMPS = 512 };

/* One block under construction. Reused by the translator: ir_reset() empties it. */
typedef struct {
    IrOp ops[IR_MAX_OPS];
    IrMem mem[IR_MAX_MEM];
    uint64_t k[IR_MAX_K];
    unsigned n_ops, n_mem, n_k, n_temps;
    uint32_t mode; /* guest mode bits that shaped it */
    unsigned n_insns;
    uint32_t start,
        end; /* offset in its page of the first byte; and one past the last (may pass 4096) */
} IrBlock;

void ir_reset(IrBlock *b, uint32_t mode, uint32_t start);

/* True while at least one more guest instruction surely fits. */
bool ir_has_room(const IrBlock *b);

/* -- operands */
static inline IrRef ir_g(unsigned n)
{
    return REF_G | n;
}

static inline IrRef ir_g_high(unsigned n) /* AH CH DH BH: bits 8..15 of G n */
{
    return REF_G | REF_HIGH | n;
}

static inline IrRef ir_v(unsigned n)
{
    return REF_V | n;
}

IrRef ir_temp(IrBlock *b);
IrRef ir_k(IrBlock *b, uint64_t value);
IrRef ir_mem(IrBlock *b, const IrMem *m);

/*
 * -- operations: append one; the returned pointer is valid until the next append. `size2` starts as
 * `size`. Operations without a result (cmp, test, bt, setflags, cmc) carry IR_SETF from the start.
 */
IrOp *ir_emit(IrBlock *b, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef rb, IrRef c);
IrOp *ir_call(IrBlock *b, const IrHelper *helper, IrRef d, IrRef a, IrRef rb, IrRef c);
void ir_insn(IrBlock *b, int64_t delta);

/* -- facts about operations */
extern const struct IrOpInfo {
    const char *name, *sig;
    uint32_t flags_written, flags_read;
    uint8_t attr;
} ir_op_info[IR_OP_COUNT];

/*
 * The flags that `op` writes (0 without IR_SETF) and reads, with pseudo masks resolved. A shift
 * with IR_SETF by an unknown count reads what it writes; by a constant of zero it does neither.
 */
uint32_t ir_flags_written(const IrBlock *b, const IrOp *op);
uint32_t ir_flags_read(const IrBlock *b, const IrOp *op);
bool ir_may_fault(const IrOp *op);

/* The plain operation that an IrRmw does: IR_mov for an exchange. */
IrOpcode ir_rmw_opcode(unsigned rmw);

/*
 * Backward pass. Clears IR_SETF where nobody can see the flags and sets IrOp.live of the others:
 * FLAGS_LIVE_READ: an operation of this block reads them; FLAGS_LIVE_OUT: they may leave the block
 * at an exit; FLAGS_LIVE_FAULT: only the state at a possible fault needs them.
 */
enum { FLAGS_LIVE_READ = 1, FLAGS_LIVE_OUT = 2, FLAGS_LIVE_FAULT = 4 };
void ir_liveness(IrBlock *b);

/* Check the rules above; NULL, or a message (a buffer of this thread) for the developer. */
const char *ir_verify(const IrBlock *b);
void ir_print(const IrBlock *b, FILE *out);

#endif
