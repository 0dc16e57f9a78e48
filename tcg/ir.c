/*
 * ir.c - the intermediate representation's builders, facts and flag liveness (ir.h).
 */
#include "tcg/ir.h"

#include <assert.h>
#include <string.h>

enum { /* what one guest instruction may need at most; kept free by ir_has_room() */
       ROOM_OPS = 128,
       ROOM_MEM = 32,
       ROOM_K = 64,
       ROOM_TEMPS = 64,
};

const struct IrOpInfo ir_op_info[IR_OP_COUNT] = {
#define IR_OP(name, sig, fw, fr, attr) { #name, sig, fw, fr, attr },
#include "tcg/ir-ops.def"
#undef IR_OP
};

/* -- builders */

void ir_reset(IrBlock *b, uint32_t mode, uint32_t start)
{
    b->n_ops = b->n_mem = b->n_k = b->n_temps = b->n_insns = 0;
    b->mode = mode;
    b->start = b->end = start;
}

bool ir_has_room(const IrBlock *b)
{
    return b->n_ops + ROOM_OPS <= IR_MAX_OPS && b->n_mem + ROOM_MEM <= IR_MAX_MEM &&
           b->n_k + ROOM_K <= IR_MAX_K && b->n_temps + ROOM_TEMPS <= IR_MAX_TEMPS;
}

IrRef ir_temp(IrBlock *b)
{
    assert(b->n_temps < IR_MAX_TEMPS);
    return REF_T | b->n_temps++;
}

IrRef ir_k(IrBlock *b, uint64_t value)
{
    for (unsigned i = 0; i < b->n_k; i++)
        if (b->k[i] == value)
            return REF_K | i;
    assert(b->n_k < IR_MAX_K);
    b->k[b->n_k] = value;
    return REF_K | b->n_k++;
}

IrRef ir_mem(IrBlock *b, const IrMem *m)
{
    assert(b->n_mem < IR_MAX_MEM);
    b->mem[b->n_mem] = *m;
    return REF_M | b->n_mem++;
}

/* Operations that exist only for their flags carry IR_SETF from the start. */
static bool is_flag_setter(IrOpcode op)
{
    return ir_op_info[op].flags_written && ir_op_info[op].sig[0] == '-';
}

IrOp *ir_emit(IrBlock *b, IrOpcode opcode, IrSize size, IrRef d, IrRef a, IrRef rb, IrRef c)
{
    assert(b->n_ops < IR_MAX_OPS);
    IrOp *op = &b->ops[b->n_ops++];

    *op = (IrOp) { .op = opcode, .size = size, .size2 = size, .d = d, .a = a, .b = rb, .c = c };
    if (is_flag_setter(opcode))
        op->attr = IR_SETF;
    return op;
}

IrOp *ir_call(IrBlock *b, const IrHelper *helper, IrRef d, IrRef a, IrRef rb, IrRef c)
{
    IrOp *op = ir_emit(b, IR_call, IR_64, d, a, rb, c);

    op->imm = (intptr_t)helper;
    return op;
}

void ir_insn(IrBlock *b, int64_t delta)
{
    ir_emit(b, IR_insn, IR_64, REF_NONE, REF_NONE, REF_NONE, REF_NONE)->imm = delta;
    b->n_insns++;
}

/* -- facts */

static uint32_t flags_of_cond(unsigned cc)
{
    static const uint16_t masks[8] = {
        FLAG_OF, FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
        FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF,
    };
    return masks[cc >> 1 & 7];
}

static const IrHelper *helper_of(const IrOp *op)
{
    return (const IrHelper *)(intptr_t)op->imm;
}

IrOpcode ir_rmw_opcode(unsigned rmw)
{
    static const uint8_t opcodes[RMW_COUNT] = {
        [RMW_ADD] = IR_add, [RMW_OR] = IR_or,   [RMW_ADC] = IR_adc, [RMW_SBB] = IR_sbb,
        [RMW_AND] = IR_and, [RMW_SUB] = IR_sub, [RMW_XOR] = IR_xor, [RMW_XCHG] = IR_mov,
        [RMW_INC] = IR_inc, [RMW_DEC] = IR_dec, [RMW_NEG] = IR_neg, [RMW_NOT] = IR_not,
        [RMW_BTS] = IR_bts, [RMW_BTR] = IR_btr, [RMW_BTC] = IR_btc, [RMW_ROL] = IR_rol,
        [RMW_ROR] = IR_ror, [RMW_RCL] = IR_rcl, [RMW_RCR] = IR_rcr, [RMW_SHL] = IR_shl,
        [RMW_SHR] = IR_shr, [RMW_SAR] = IR_sar,
    };
    return opcodes[rmw];
}

static bool is_shift(IrOpcode op)
{
    return op >= IR_shl && op <= IR_shrd;
}

typedef enum { COUNT_ZERO, COUNT_NONZERO, COUNT_UNKNOWN } CountKind;

static CountKind shift_count(const IrBlock *b, const IrOp *op, IrOpcode plain)
{
    IrRef count = plain == IR_shld || plain == IR_shrd ? op->c : op->b;

    if (ref_kind(count) != REF_K)
        return COUNT_UNKNOWN;
    return b->k[ref_index(count)] & (op->size == IR_64 ? 63 : 31) ? COUNT_NONZERO : COUNT_ZERO;
}

uint32_t ir_flags_written(const IrBlock *b, const IrOp *op)
{
    IrOpcode plain = op->op == IR_rmw ? ir_rmw_opcode(op->cc) : op->op;

    if (op->op == IR_call)
        return helper_of(op)->flags & HELPER_FLAGS ? FLAGS_ALL : 0;
    if (!(op->attr & IR_SETF))
        return 0;
    if (op->op == IR_setflags)
        return op->imm & FLAGS_ALL;
    if (is_shift(plain) && shift_count(b, op, plain) == COUNT_ZERO)
        return 0;
    return ir_op_info[plain].flags_written;
}

/* A shift by an unknown count keeps the old flags if the count is zero: it reads them. */
static uint32_t shift_flags_read(const IrBlock *b, const IrOp *op, IrOpcode plain)
{
    CountKind count = shift_count(b, op, plain);
    uint32_t flags = 0;

    if ((plain == IR_rcl || plain == IR_rcr) && count != COUNT_ZERO)
        flags |= FLAG_CF;
    if (count == COUNT_UNKNOWN && (op->attr & IR_SETF))
        flags |= ir_op_info[plain].flags_written;
    return flags;
}

uint32_t ir_flags_read(const IrBlock *b, const IrOp *op)
{
    IrOpcode plain = op->op == IR_rmw ? ir_rmw_opcode(op->cc) : op->op;

    if (op->op == IR_call)
        return helper_of(op)->flags & HELPER_FLAGS ? FLAGS_ALL : 0;
    if (is_shift(plain))
        return shift_flags_read(b, op, plain);
    if (op->op == IR_cmc)
        return op->attr & IR_SETF ? FLAG_CF : 0;
    if (ir_op_info[plain].flags_read & FLAGS_CC)
        return flags_of_cond(op->cc);
    return ir_op_info[plain].flags_read;
}

bool ir_may_fault(const IrOp *op)
{
    if (op->op == IR_call)
        return helper_of(op)->flags & HELPER_FAULTS;
    if (op->op == IR_vop)
        return (op->attr & IR_SLOW) || ref_kind(op->a) == REF_M || ref_kind(op->b) == REF_M;
    return ir_op_info[op->op].attr & IR_FAULTS;
}

/* -- liveness of flags */

typedef struct {
    uint32_t read, out, fault; /* flags that somebody later in the block will look at, and why */
} FlagsLive;

static unsigned flags_needed(const FlagsLive *live, uint32_t written)
{
    return (live->read & written ? FLAGS_LIVE_READ : 0) |
           (live->out & written ? FLAGS_LIVE_OUT : 0) |
           (live->fault & written ? FLAGS_LIVE_FAULT : 0);
}

static void liveness_step(const IrBlock *b, IrOp *op, FlagsLive *live)
{
    uint32_t written = ir_flags_written(b, op);

    op->live = flags_needed(live, written);
    if (!op->live && op->op != IR_call) {
        op->attr &= ~IR_SETF;
        written = 0;
    }
    live->read &= ~written;
    live->out &= ~written;
    live->fault &= ~written;
    live->read |= ir_flags_read(b, op);
    if (ir_op_info[op->op].attr & (IR_END | IR_SIDE_EXIT))
        live->out = FLAGS_ALL;
    if (ir_may_fault(op))
        live->fault = FLAGS_ALL;
}

void ir_liveness(IrBlock *b)
{
    FlagsLive live = { 0 };

    for (unsigned i = b->n_ops; i-- > 0;)
        liveness_step(b, &b->ops[i], &live);
}
