/*
 * ir-print.c - the IR as text, for logs and for developers.
 */
#include <inttypes.h>

#include "tcg/ir.h"
#include "base/compiler.h"

static const char *const cond_names[16] = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
};

static const char *const rmw_names[RMW_COUNT] = {
    "add", "or",  "adc", "sbb", "and", "sub", "xor", "xchg", "inc", "dec", "neg",
    "not", "bts", "btr", "btc", "rol", "ror", "rcl", "rcr",  "shl", "shr", "sar",
};

static const char *const vop_names[] = {
#define V_OP(name, form, prefix, map, opcode, ext, mem, attr, feature) #name,
#include "tcg/vop.def"
#undef V_OP
};

static void print_ref(const IrBlock *b, IrRef r, FILE *out);

static void print_mem(const IrBlock *b, const IrMem *m, FILE *out)
{
    fputc('[', out);
    if (m->attr & MEM_SEG)
        fprintf(out, "seg%u: ", m->seg);
    if (m->pcrel)
        fputs("page ", out);
    print_ref(b, m->base, out);
    if (m->index != REF_NONE) {
        fputs(" + ", out);
        print_ref(b, m->index, out);
        fprintf(out, " << %u", m->scale);
    }
    fprintf(out, " %+" PRId32 ", a%u l%u mmu%u%s%s%s]", m->disp, 8u << m->asize, 8u << m->lsize,
            m->mmu, m->attr & MEM_LIMIT ? " limit" : "", m->attr & MEM_ALIGN ? " align" : "",
            m->attr & MEM_WRITE ? " write" : "");
}

static void print_ref(const IrBlock *b, IrRef r, FILE *out)
{
    unsigned i = ref_index(r);

    switch (ref_kind(r)) {
    case REF_NONE: fputc('-', out); break;
    case REF_G: fprintf(out, "g%u%s", i, r & REF_HIGH ? "h" : ""); break;
    case REF_T: fprintf(out, "t%u", i); break;
    case REF_K: fprintf(out, "%#" PRIx64, b->k[i]); break;
    case REF_V: fprintf(out, "v%u", i); break;
    case REF_M: print_mem(b, &b->mem[i], out); break;
    }
}

/* The part of the name that the operation's other fields give: condition, helper, vop. */
static void print_name(const IrOp *op, FILE *out)
{
    fputs(ir_op_info[op->op].name, out);
    if (ir_op_info[op->op].flags_read & FLAGS_CC)
        fprintf(out, ".%s", cond_names[op->cc & 15]);
    if (op->op == IR_rmw)
        fprintf(out, ".%s", rmw_names[op->cc]);
    if (op->op == IR_call)
        fprintf(out, ".%s", ((const IrHelper *)(intptr_t)op->imm)->name);
    if (op->op == IR_vop && (uint64_t)op->imm < ARRAY_LEN(vop_names))
        fprintf(out, ".%s", vop_names[op->imm]);
    fprintf(out, ".%u", 8u << op->size);
}

static void print_op(const IrBlock *b, const IrOp *op, FILE *out)
{
    const IrRef refs[4] = { op->d, op->a, op->b, op->c };
    unsigned last = 4;

    fputs("    ", out);
    print_name(op, out);
    while (last && refs[last - 1] == REF_NONE)
        last--;
    for (unsigned i = 0; i < last; i++) {
        fputs(i ? ", " : " ", out);
        print_ref(b, refs[i], out);
    }
    if (op->size2 != op->size)
        fprintf(out, " size2=%u", op->size2);
    if (op->imm && op->op != IR_call && op->op != IR_vop)
        fprintf(out, " imm=%#" PRIx64, op->imm);
    if (op->attr & (IR_IS_CALL | IR_IS_RET))
        fprintf(out, op->attr & IR_IS_CALL ? " call" : " ret");
    fprintf(out, "%s%s%s%s\n", op->attr & IR_SETF ? " setf" : "",
            op->attr & IR_SIGNED ? " signed" : "", op->attr & IR_LOCK ? " lock" : "",
            op->attr & IR_SLOW ? " slow" : "");
}

void ir_print(const IrBlock *b, FILE *out)
{
    for (unsigned i = 0; i < b->n_ops; i++) {
        if (b->ops[i].op == IR_insn)
            fprintf(out, "  %+" PRId64 ":\n", b->ops[i].imm);
        else
            print_op(b, &b->ops[i], out);
    }
}
