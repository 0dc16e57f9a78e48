/*
 * compile.c - one block of IR to host code: a backward pass that learns which flags and
 * temporaries are needed where, a forward pass that emits, then the out-of-line parts.
 *
 * Layout of a block: Block.host expects the pc in S0 (jumps through the jump cache); FAR_ENTRY
 * bytes later is the entry of linked jumps, which stay in the page and test nothing.
 */
#include "tcg/host/x86_64/jit.h"

static LowerFn *const lower[IR_OP_COUNT] = {
#define IR_OP(name, sig, fw, fr, attr) [IR_##name] = lower_##name,
#include "tcg/ir-ops.def"
#undef IR_OP
};

/* -- what is needed where */

static void note_use(Jit *j, IrRef r, unsigned at)
{
    if (ref_kind(r) == REF_T) {
        if (j->last_use[ref_index(r)] < at)
            j->last_use[ref_index(r)] = at;
    } else if (ref_kind(r) == REF_M) {
        note_use(j, j->b->mem[ref_index(r)].base, at);
        note_use(j, j->b->mem[ref_index(r)].index, at);
    }
}

typedef struct {
    uint32_t read, out, fault;
} Needs;

static void need_step(Jit *j, const IrOp *op, Needs *n)
{
    uint32_t written = ir_flags_written(j->b, op);

    n->read &= ~written;
    n->out &= ~written;
    n->fault &= ~written;
    n->read |= ir_flags_read(j->b, op);
    if (ir_op_info[op->op].attr & (IR_END | IR_SIDE_EXIT))
        n->out = FLAGS_ALL;
    if (ir_may_fault(op))
        n->fault = FLAGS_ALL;
}

static void analyse(Jit *j)
{
    Needs n = { 0 };

    memset(j->last_use, 0, j->b->n_temps * sizeof(j->last_use[0]));
    memset(j->home, HOME_NONE, j->b->n_temps);
    j->vectors = false;
    j->need[j->b->n_ops] = 0;
    for (unsigned i = j->b->n_ops; i-- > 0;) {
        const IrOp *op = &j->b->ops[i];

        need_step(j, op, &n);
        j->need[i] = n.read | n.out | n.fault | (n.read ? NEED_READ : 0) | (n.out ? NEED_OUT : 0) |
                     (n.fault ? NEED_FAULT : 0);
        note_use(j, op->d, op->op == IR_cmovcc || op->op == IR_bsf || op->op == IR_bsr ? i : 0);
        note_use(j, op->a, i);
        note_use(j, op->b, i);
        if (op->op != IR_mulu && op->op != IR_muls)
            note_use(j, op->c, i);
        j->vectors |= op_uses_xmm(j->x, op);
    }
}

/* -- stubs and thunks */

static Stub overflow_stub;

Stub *new_stub(Jit *j, void (*emit)(Jit *, const Stub *))
{
    if (j->n_stubs == MAX_STUBS) {
        j->overflow = true;
        return &overflow_stub;
    }
    Stub *s = &j->stubs[j->n_stubs++];

    *s = (Stub) { .emit = emit,
                  .flags = j->f,
                  .pc = j->pc,
                  .pc_size = j->pc_size,
                  .at = j->at,
                  .leads = -1,
                  .groups = groups_active(j) };
    return s;
}

static void emit_stub(Jit *j, const Stub *s)
{
    j->f = s->flags;
    j->pc = s->pc;
    j->pc_size = s->pc_size;
    j->at = s->at;
    patch_rel32(s->from, j->e.p);
    s->emit(j, s);
}

void stub_resume(Jit *j, const Stub *s)
{
    patch_rel32(emit_jmp(&j->e), s->resume);
}

void call_thunk(Jit *j, Thunk t)
{
    patch_rel32(emit_call(&j->e), j->x->thunk[t]);
}

void call_thunk_site(Jit *j, Thunk t)
{
    call_thunk(j, t);
    side_add(j, j->e.p);
    if (j->vectors)
        call_thunk(j, T_ENSURE_VEC);
}

void jump_thunk(Jit *j, Thunk t)
{
    patch_rel32(emit_jmp(&j->e), j->x->thunk[t]);
}

void jcc_thunk(Jit *j, unsigned cc, Thunk t)
{
    patch_rel32(emit_jcc(&j->e, cc), j->x->thunk[t]);
}

/* -- the block */

static void prologue(Jit *j)
{
    static const uint8_t lea_s0[] = { 0x4d, 0x8d, 0xb6 }; /* lea r14, [r14 + disp32] */

    emit_align(&j->e, 16, 0);
    j->start = j->e.p;
    emit_alu_imm(&j->e, ALU_CMP, IR_8, CPU_RM(exit_request), 0);
    jcc_thunk(j, CC_NE, T_EXIT_PC);
    memcpy(j->e.p, lea_s0, sizeof(lea_s0));
    j->e.p += sizeof(lea_s0);
    emit32(&j->e, -j->b->start);
    emit_store(&j->e, IR_64, CPU_RM(rip_page), S0);
    assert(j->e.p == j->start + FAR_ENTRY);
    if (j->vectors)
        vec_entry(j);
}

static bool has_room(const Jit *j)
{
    return !j->overflow && j->e.p + OP_BYTES <= j->x->rw + j->x->size &&
           j->x->n_sites < j->x->max_sites;
}

static bool emit_block(Jit *j)
{
    flags_entry(j);
    groups_end(j);
    if (!has_room(j))
        return false;
    prologue(j);
    for (j->at = 0; j->at < j->b->n_ops; j->at++) {
        const IrOp *op = &j->b->ops[j->at];

        if (!has_room(j))
            return false;
        lower[op->op](j, op);
        free_temps(j, op);
    }
    for (unsigned i = 0; i < j->n_stubs; i++) {
        if (!has_room(j))
            return false;
        emit_stub(j, &j->stubs[i]);
    }
    return has_room(j);
}

bool x64_compile(X64 *x, IrBlock *ir, Block *block)
{
    Jit *j = x->jit;
    size_t sites = x->n_sites;

    j->x = x;
    j->b = ir;
    j->e.p = x->rw + x->used;
    j->n_stubs = 0;
    j->overflow = false;
    analyse(j);
    if (!emit_block(j)) {
        x->n_sites = sites;
        return false;
    }
    block->host = x->rx + (j->start - x->rw);
    block->host_len = j->e.p - j->start;
    x->used = j->e.p - x->rw;
    return true;
}
