/*
 * ir-verify.c - checks a block against the rules of ir.h and the signatures of ir-ops.def.
 */
#include "tcg/ir.h"

#include <stdarg.h>
#include <string.h>

typedef struct {
    const IrBlock *b;
    unsigned at;                     /* operation being checked */
    bool written;                    /* a G, V or flags write happened in this instruction */
    bool has_value[IR_MAX_TEMPS];    /* written in this instruction */
    uint16_t last_use[IR_MAX_TEMPS]; /* last operation that reads it */
    unsigned alive;
    char message[160];
} Verify;

static _Thread_local Verify verify;

__attribute__((format(printf, 2, 3))) static bool bad(Verify *v, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(v->message, sizeof(v->message), "op %u (%s): ", v->at,
                     v->at < v->b->n_ops ? ir_op_info[v->b->ops[v->at].op].name : "end");

    va_start(ap, fmt);
    vsnprintf(v->message + n, sizeof(v->message) - n, fmt, ap);
    va_end(ap);
    return false;
}

static bool check_index(Verify *v, IrRef r)
{
    const IrBlock *b = v->b;
    unsigned i = ref_index(r);

    switch (ref_kind(r)) {
    case REF_G: return i < 40 || bad(v, "no global %u", i);
    case REF_T: return i < b->n_temps || bad(v, "no temporary %u", i);
    case REF_K: return i < b->n_k || bad(v, "no constant %u", i);
    case REF_V: return i < V_COUNT || bad(v, "no vector register %u", i);
    case REF_M: return i < b->n_mem || bad(v, "no memory operand %u", i);
    }
    return bad(v, "operand kind %#x", ref_kind(r));
}

static bool check_read(Verify *v, IrRef r)
{
    unsigned i = ref_index(r);

    if (ref_kind(r) != REF_T)
        return true;
    if (!v->has_value[i])
        return bad(v, "t%u is read before it is written in this instruction", i);
    if (v->last_use[i] == v->at) {
        v->alive -= v->has_value[i];
        v->last_use[i] = UINT16_MAX; /* counted once, also if the operation reads it twice */
    }
    return true;
}

static bool check_mem(Verify *v, IrRef r)
{
    const IrMem *m = &v->b->mem[ref_index(r)];

    if (m->scale > 3 || m->asize < IR_16 || m->asize > IR_64 || m->lsize < IR_32 ||
        m->lsize > IR_64 || m->seg > 7 || m->mmu > 3)
        return bad(v, "malformed memory operand");
    const IrRef parts[2] = { m->base, m->index };
    for (unsigned i = 0; i < 2; i++) {
        unsigned kind = ref_kind(parts[i]);

        if (kind != REF_NONE && kind != REF_G && kind != REF_T)
            return bad(v, "address part of kind %#x", kind);
        if (kind != REF_NONE && (!check_index(v, parts[i]) || !check_read(v, parts[i])))
            return false;
    }
    return true;
}

static bool kind_matches(char letter, unsigned kind)
{
    switch (letter) {
    case 'd':
    case 'u': return kind == REF_G || kind == REF_T;
    case 'r': return kind == REF_G || kind == REF_T || kind == REF_K;
    case 'm': return kind == REF_M;
    case 'v': return kind != REF_NONE;
    }
    return false;
}

/* Everything but the result: a, b, c, and a result that is also read. */
static bool check_source(Verify *v, char letter, IrRef r)
{
    if (letter == 'd')
        return true;
    return ref_kind(r) == REF_M ? check_mem(v, r) : check_read(v, r);
}

static void mark_result(Verify *v, IrRef r)
{
    unsigned i = ref_index(r);

    if (ref_kind(r) == REF_V && i >= V_TEMP) {
        return; /* a temporary too */
    } else if (ref_kind(r) != REF_T) {
        v->written = true;
    } else if (!v->has_value[i]) {
        v->has_value[i] = true;
        v->alive += v->last_use[i] != UINT16_MAX && v->last_use[i] > v->at;
    }
}

/* The letter of operand `slot` in a signature such as "d?mr?-"; *optional: it has a question mark.
 */
static char letter_of(const char *sig, unsigned slot, bool *optional)
{
    for (; slot; sig++)
        if (sig[1] != '?')
            slot--;
    *optional = sig[1] == '?';
    return *sig;
}

static bool is_v_result(const IrOp *op, unsigned slot)
{
    return slot == 0 && (op->op == IR_ldv || op->op == IR_vop);
}

static bool check_operand(Verify *v, const IrOp *op, unsigned slot, IrRef r)
{
    bool optional;
    char letter = letter_of(ir_op_info[op->op].sig, slot, &optional);

    /* vectors: the vop's form decides which operands there are; 8-bit products have no high half */
    if (op->op == IR_vop || (slot == 3 && op->size == IR_8))
        optional = true;
    if (r == REF_NONE)
        return letter == '-' || optional || bad(v, "operand %u is missing", slot);
    if (letter == '-' && r != REF_NONE)
        return bad(v, "operand %u must be absent", slot);
    if (!check_index(v, r))
        return false;
    if (!kind_matches(letter, ref_kind(r)))
        return bad(v, "operand %u has kind %#x, not '%c'", slot, ref_kind(r), letter);
    if ((r & REF_HIGH) && (ref_kind(r) != REF_G || (op->size != IR_8 && op->size2 != IR_8)))
        return bad(v, "operand %u: a high part of more than 8 bits", slot);
    return is_v_result(op, slot) || check_source(v, letter, r);
}

static bool is_result(const IrOp *op, unsigned slot)
{
    bool optional;
    char letter = letter_of(ir_op_info[op->op].sig, slot, &optional);

    return letter == 'd' || letter == 'u' || is_v_result(op, slot);
}

static bool check_order(Verify *v, const IrOp *op)
{
    if (v->written && ir_may_fault(op))
        return bad(v, "may fault after a register or flag of the instruction was written");
    if (op->op == IR_call) {
        const IrHelper *helper = (const IrHelper *)(intptr_t)op->imm;

        v->written |= (helper->flags & HELPER_WRITES_G) != 0;
    } else {
        v->written |= ir_flags_written(v->b, op) != 0;
    }
    return true;
}

static bool check_place(Verify *v, const IrOp *op)
{
    bool last = v->at == v->b->n_ops - 1;
    bool end = ir_op_info[op->op].attr & IR_END;

    if (v->at == 0 && op->op != IR_insn)
        return bad(v, "a block starts with insn");
    return end == last || bad(v, last ? "the last operation is no exit" : "an exit in the middle");
}

static void start_insn(Verify *v)
{
    memset(v->has_value, 0, sizeof(v->has_value));
    v->alive = 0;
    v->written = false;
}

static bool check_op(Verify *v, const IrOp *op)
{
    const IrRef refs[4] = { op->d, op->a, op->b, op->c };

    if (op->op >= IR_OP_COUNT || op->size > IR_128)
        return bad(v, "opcode %u, size %u", op->op, op->size);
    if (op->op == IR_insn)
        start_insn(v);
    if (!check_place(v, op))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!check_operand(v, op, i, refs[i]))
            return false;
    if (!check_order(v, op))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (refs[i] != REF_NONE && is_result(op, i))
            mark_result(v, refs[i]);
    return v->alive <= 16 || bad(v, "%u temporaries are alive", v->alive);
}

static void note_use(Verify *v, IrRef r, unsigned at)
{
    if (ref_kind(r) == REF_T && ref_index(r) < IR_MAX_TEMPS) {
        v->last_use[ref_index(r)] = at;
    } else if (ref_kind(r) == REF_M && ref_index(r) < v->b->n_mem) {
        note_use(v, v->b->mem[ref_index(r)].base, at);
        note_use(v, v->b->mem[ref_index(r)].index, at);
    }
}

static void find_last_uses(Verify *v)
{
    memset(v->last_use, 0xff, sizeof(v->last_use));
    for (unsigned i = 0; i < v->b->n_ops; i++) {
        const IrOp *op = &v->b->ops[i];

        note_use(v, op->a, i);
        note_use(v, op->b, i);
        note_use(v, op->c, i);
        if (op->op == IR_cmovcc || op->op == IR_bsf || op->op == IR_bsr)
            note_use(v, op->d, i);
    }
}

const char *ir_verify(const IrBlock *b)
{
    Verify *v = &verify;

    v->b = b;
    v->at = 0;
    start_insn(v);
    find_last_uses(v);
    if (!b->n_ops)
        return "an empty block";
    for (; v->at < b->n_ops; v->at++)
        if (!check_op(v, &b->ops[v->at]))
            return v->message;
    return NULL;
}
