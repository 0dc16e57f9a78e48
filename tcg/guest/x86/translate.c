/*
 * translate.c - the loop that turns guest code into a block, and the layer that every row's
 * function builds IR with (translate.h).
 *
 * Two kinds of mode allow one instruction a block: MODE_TF and MODE_SHADOW. There control never
 * leaves by a jump that could be linked to a block of the same mode: leave_single() calls the
 * single-step trap or goes to the dispatcher.
 */
#include "tcg/guest/x86/translate.h"

#include <string.h>

#include "base/compiler.h"

enum { MAX_BLOCK = 64, PAGE = 4096 };

/* -- operations */

IrOp *tr_op(Trans *t, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef b)
{
    return ir_emit(t->b, op, size, d, a, b, REF_NONE);
}

IrOp *tr_opf(Trans *t, IrOpcode op, IrSize size, IrRef d, IrRef a, IrRef b)
{
    IrOp *o = tr_op(t, op, size, d, a, b);

    o->attr |= IR_SETF;
    return o;
}

void tr_mov(Trans *t, IrSize size, IrRef d, IrRef a)
{
    tr_op(t, IR_mov, size, d, a, REF_NONE);
}

IrRef tr_k(Trans *t, uint64_t value)
{
    return ir_k(t->b, value);
}

IrRef tr_temp(Trans *t)
{
    return ir_temp(t->b);
}

IrRef tr_copy(Trans *t, IrSize size, IrRef a)
{
    IrRef d = tr_temp(t);

    tr_mov(t, size, d, a);
    return d;
}

IrRef tr_call(Trans *t, const IrHelper *h, IrRef a, IrRef b, IrRef c)
{
    IrRef d = tr_temp(t);

    ir_call(t->b, h, d, a, b, c);
    return d;
}

void tr_call0(Trans *t, const IrHelper *h, IrRef a, IrRef b, IrRef c)
{
    ir_call(t->b, h, REF_NONE, a, b, c);
}

/* -- memory */

/* Segment, limit check and class of an access; a flat segment needs nothing. */
static void set_segment(const Trans *t, IrMem *m, unsigned seg)
{
    static const uint32_t flat[SEG_COUNT] = {
        [SEG_ES] = MODE_FLAT_ES,
        [SEG_SS] = MODE_FLAT_SS,
        [SEG_DS] = MODE_FLAT_DS,
    };

    m->mmu = t->mmu;
    m->lsize = t->code64 ? IR_64 : IR_32;
    m->seg = seg;
    if (t->code64)
        m->attr |= seg >= SEG_FS ? MEM_SEG : 0;
    else if (!(t->mode & flat[seg]))
        m->attr |= MEM_SEG | MEM_LIMIT;
}

/* A displacement of more than 32 bits moves into the base. */
static void set_disp(Trans *t, IrMem *m, int64_t disp)
{
    m->disp = (int32_t)disp;
    if (m->disp == disp || m->asize != IR_64)
        return;
    IrRef base = tr_copy(t, IR_64, tr_k(t, disp));
    if (m->pcrel)
        tr_op(t, IR_add, IR_64, base, base, tr_pc(t, 0));
    else if (m->base != REF_NONE)
        tr_op(t, IR_add, IR_64, base, base, m->base);
    m->base = base;
    m->pcrel = false;
    m->disp = 0;
}

IrRef tr_mem_at(Trans *t, unsigned attr, int64_t disp)
{
    const X86Address *a = &t->in.mem;
    IrMem m = { .scale = a->scale, .asize = t->in.asize, .attr = attr, .pcrel = a->pcrel };

    if (a->base != X86_NO_REG)
        m.base = ir_g(a->base);
    if (a->index != X86_NO_REG)
        m.index = ir_g(a->index);
    set_segment(t, &m, t->in.seg);
    set_disp(t, &m, a->disp + disp + (a->pcrel ? t->next : 0));
    return ir_mem(t->b, &m);
}

IrRef tr_mem(Trans *t, unsigned attr)
{
    return tr_mem_at(t, attr, 0);
}

IrRef tr_mem_seg(Trans *t, unsigned seg, IrRef base, int32_t disp, IrSize asize)
{
    IrMem m = { .base = base, .disp = disp, .asize = asize };

    set_segment(t, &m, seg);
    return ir_mem(t->b, &m);
}

IrRef tr_address(Trans *t)
{
    IrRef d = tr_temp(t);

    tr_op(t, IR_lea, t->in.asize, d, tr_mem(t, 0), REF_NONE);
    return d;
}

IrRef tr_ld(Trans *t, IrSize size, IrRef m)
{
    IrRef d = tr_temp(t);

    tr_op(t, IR_ld, size, d, m, REF_NONE);
    return d;
}

void tr_st(Trans *t, IrSize size, IrRef m, IrRef v)
{
    tr_op(t, IR_st, size, REF_NONE, m, v);
}

/* -- operands */

IrSize tr_size(const Trans *t, unsigned n)
{
    return t->in.opd[n].size;
}

bool tr_is_mem(const Trans *t, unsigned n)
{
    return t->in.opd[n].kind == OPD_MEM;
}

IrRef tr_reg(Trans *t, unsigned n)
{
    const X86Opd *o = &t->in.opd[n];

    return o->high ? ir_g_high(o->reg) : ir_g(o->reg);
}

IrRef tr_get(Trans *t, unsigned n)
{
    switch (t->in.opd[n].kind) {
    case OPD_MEM: return tr_ld(t, tr_size(t, n), tr_mem(t, 0));
    case OPD_IMM: return tr_k(t, t->in.imm);
    case OPD_IMM2: return tr_k(t, t->in.imm2);
    default: return tr_reg(t, n);
    }
}

void tr_put(Trans *t, unsigned n, IrRef v)
{
    if (tr_is_mem(t, n))
        tr_st(t, tr_size(t, n), tr_mem(t, 0), v);
    else
        tr_mov(t, tr_size(t, n), tr_reg(t, n), v);
}

/* -- the stack */

static IrRef stack_mem(Trans *t, int32_t disp)
{
    return tr_mem_seg(t, SEG_SS, ir_g(RSP), disp, t->stack_size);
}

void tr_push(Trans *t, IrSize size, IrRef v)
{
    IrRef m = stack_mem(t, -(1 << size));

    tr_st(t, size, m, v);
    tr_op(t, IR_lea, t->stack_size, ir_g(RSP), m, REF_NONE);
}

IrRef tr_pop_peek(Trans *t, IrSize size, int32_t disp)
{
    return tr_ld(t, size, stack_mem(t, disp));
}

void tr_stack_add(Trans *t, int32_t bytes)
{
    tr_op(t, IR_lea, t->stack_size, ir_g(RSP), stack_mem(t, bytes), REF_NONE);
}

/* -- control */

static bool single(const Trans *t)
{
    return t->mode & (MODE_TF | MODE_SHADOW);
}

static IrRef pc_cut(Trans *t, int64_t delta, IrSize size)
{
    IrMem m = { .disp = delta, .asize = size, .lsize = IR_64, .pcrel = true };
    IrRef d = tr_temp(t);

    tr_op(t, IR_lea, size, d, ir_mem(t->b, &m), REF_NONE);
    return d;
}

IrRef tr_pc(Trans *t, int64_t delta)
{
    return pc_cut(t, delta, t->code_size);
}

static void end(Trans *t, IrOpcode op, IrSize size, IrRef a, int64_t imm)
{
    ir_emit(t->b, op, size, REF_NONE, a, REF_NONE, REF_NONE)->imm = imm;
    t->done = true;
}

/* The only instruction of its block is over; `pc` comes next. */
static void leave_single(Trans *t, IrRef pc)
{
    tr_call0(t, t->mode & MODE_TF ? &x86_h_step : &x86_h_set_pc, pc, REF_NONE, REF_NONE);
    end(t, IR_exitr, t->code_size, REF_NONE, 0);
}

/*
 * In 16-bit code a target may lie in the page only because the instruction pointer wrapped. Move
 * such a target out of the page, so that the jump is not taken for one inside it.
 */
static int64_t unwrapped(const Trans *t, int64_t target)
{
    int64_t pc = (int64_t)(uint16_t)(t->pc + t->at) + (target - t->at);

    if (t->code_size != IR_16 || (pc >= 0 && pc <= 0xffff))
        return target;
    return target + (pc < 0 ? 0x10000 : -0x10000);
}

static void jump(Trans *t, int64_t target, IrSize size, unsigned attr)
{
    if (single(t)) {
        leave_single(t, pc_cut(t, target, size));
    } else if (size < t->code_size) {
        tr_jump_reg(t, pc_cut(t, target, size), size, attr);
    } else {
        end(t, IR_jmp, size, REF_NONE, unwrapped(t, target));
        IrOp *op = &t->b->ops[t->b->n_ops - 1];
        op->attr |= attr;
        op->imm2 = t->next;
    }
}

void tr_jump(Trans *t, int64_t target, IrSize size)
{
    jump(t, target, size, 0);
}

void tr_jump_call(Trans *t, int64_t target, IrSize size)
{
    jump(t, target, size, IR_IS_CALL);
}

void tr_jump_reg(Trans *t, IrRef pc, IrSize size, unsigned attr)
{
    if (single(t)) {
        leave_single(t, tr_copy(t, size, pc));
        return;
    }
    end(t, IR_jmpr, size, pc, 0);
    IrOp *op = &t->b->ops[t->b->n_ops - 1];
    op->attr |= attr;
    op->imm2 = t->next;
}

/* Branches that cannot be side exits choose their pc by a helper. */
static void branch_by_value(Trans *t, IrRef cond, int64_t target, IrSize size)
{
    IrRef taken = pc_cut(t, target, size);

    tr_jump_reg(t, tr_call(t, &x86_h_select, cond, taken, tr_pc(t, t->next)), t->code_size, 0);
}

void tr_branch_cc(Trans *t, IrCond cc, int64_t target, IrSize size)
{
    if (single(t) || size < t->code_size) {
        IrRef cond = tr_temp(t);

        tr_op(t, IR_setcc, IR_8, cond, REF_NONE, REF_NONE)->cc = cc;
        branch_by_value(t, cond, target, size);
        return;
    }
    IrOp *op = tr_op(t, IR_jcc, size, REF_NONE, REF_NONE, REF_NONE);
    op->cc = cc;
    op->imm = unwrapped(t, target);
}

void tr_branch_nz(Trans *t, IrRef v, IrSize width, bool nonzero, int64_t target, IrSize size)
{
    if (single(t) || size < t->code_size) {
        IrRef cond = tr_copy(t, width, v);

        if (!nonzero)
            cond = tr_call(t, &x86_h_select, cond, tr_k(t, 0), tr_k(t, 1));
        branch_by_value(t, cond, target, size);
        return;
    }
    IrOp *op = tr_op(t, nonzero ? IR_jnz : IR_jz, size, REF_NONE, v, REF_NONE);
    op->size2 = width;
    op->imm = unwrapped(t, target);
}

bool tr_single(const Trans *t)
{
    return single(t);
}

void tr_exit(Trans *t)
{
    if (single(t))
        leave_single(t, tr_pc(t, t->next));
    else
        end(t, IR_exit, t->code_size, REF_NONE, t->next);
}

void tr_exitr(Trans *t)
{
    if (t->mode & MODE_TF)
        tr_call0(t, &x86_h_step_far, REF_NONE, REF_NONE, REF_NONE);
    end(t, IR_exitr, t->code_size, REF_NONE, 0);
}

/* After a helper that does not return: the block still needs its last operation. */
void tr_no_return(Trans *t)
{
    end(t, IR_exit, t->code_size, REF_NONE, t->next);
}

void tr_raise(Trans *t, unsigned vector)
{
    tr_call0(t, &x86_h_raise, tr_k(t, vector), REF_NONE, REF_NONE);
    tr_no_return(t);
}

void tr_raise_error(Trans *t, unsigned vector, uint32_t error)
{
    tr_call0(t, &x86_h_raise_error, tr_k(t, vector), tr_k(t, error), REF_NONE);
    tr_no_return(t);
}

void tr_ud(Trans *t)
{
    tr_raise(t, EXC_UD);
}

/* -- the loop */

/* False: the instruction crosses the page and is not the block's first. */
static bool decode(Trans *t, CodeWindow *code, X86Decode *status)
{
    size_t avail = PAGE - t->at;
    uint8_t buf[X86_MAX_LENGTH];

    if (avail >= sizeof(buf))
        avail = sizeof(buf);
    *status = x86_decode(code->page + t->at, avail, t->mode, &t->in);
    if (*status != X86_TRUNCATED)
        return true;
    if (t->b->n_insns > 0)
        return false;
    const uint8_t *next = code->next ? code->next : code_next_page(code, true);
    if (!next)
        return false;
    memcpy(buf, code->page + t->at, avail);
    memcpy(buf + avail, next, sizeof(buf) - avail);
    *status = x86_decode(buf, sizeof(buf), t->mode, &t->in);
    return true;
}

static void log_insn(Trans *t)
{
    const TcgBus *bus = tcg_bus(t->x->c.tcg);
    char text[128], line[160];

    if (!bus->log)
        return;
    x86_disas(&t->in, t->pc + t->at, text, sizeof(text));
    snprintf(line, sizeof(line), "0x%016llx:  %s\n", (unsigned long long)(t->pc + t->at), text);
    bus->log(bus->opaque, TCG_LOG_IN_ASM, line);
}

/* #UD or #NM that the mode demands of a floating-point or vector row, or -1. */
static int mode_fault(const Trans *t)
{
    unsigned attr = t->in.row->attr;

    if (!x86_has(&t->x->model, t->in.row->cpuid))
        return EXC_UD;
    if (attr & X86_SSE && t->mode & MODE_NO_SSE)
        return EXC_UD;
    if (attr & X86_MMX && t->mode & MODE_EM)
        return EXC_UD;
    if (attr & (X86_SSE | X86_MMX) && t->mode & MODE_TS)
        return EXC_NM;
    return attr & X86_X87 && t->mode & MODE_NO_X87 ? EXC_NM : -1;
}

/*
 * The CS limit is looked at when code is translated. An instruction beyond it gets a check that
 * looks again when it runs.
 */
static void check_fetch_limit(Trans *t)
{
    if (t->code64 || t->mode & MODE_FLAT_CS)
        return;
    uint64_t pc = t->pc + t->at;
    pc = t->code_size == IR_16 ? (uint16_t)pc : (uint32_t)pc;
    if (pc + t->in.len - 1 > t->x->seg[SEG_CS].limit)
        tr_call0(t, &x86_h_fetch_limit, tr_k(t, t->in.len), REF_NONE, REF_NONE);
}

static void start_insn(Trans *t)
{
    ir_insn(t->b, t->at);
    if (t->mode & MODE_SHADOW)
        tr_call0(t, &x86_h_shadow, tr_k(t, 0), REF_NONE, REF_NONE);
    if (t->mode & MODE_CODE_BP)
        tr_call0(t, &x86_h_code_bp, REF_NONE, REF_NONE, REF_NONE);
    check_fetch_limit(t);
}

static void translate_insn(Trans *t, X86Decode status)
{
    t->next = t->at + t->in.len;
    start_insn(t);
    if (status == X86_TOO_LONG) {
        tr_raise_error(t, EXC_GP, 0);
        return;
    }
    int vector = status == X86_DECODED ? mode_fault(t) : EXC_UD;
    if (vector >= 0) {
        tr_raise(t, vector);
        return;
    }
    t->in.row->emit(t);
    if (t->in.row->attr & X86_END && !t->done)
        tr_exit(t);
}

static void trans_init(Trans *t, Cpu *cpu, IrBlock *b, const CodeWindow *code)
{
    static const uint8_t sizes[4] = { IR_16, IR_32, IR_64, IR_64 };

    *t = (Trans) { .x = x86(cpu), .b = b, .mode = b->mode };
    t->code_size = sizes[t->mode & MODE_CODE];
    t->code64 = t->code_size == IR_64;
    t->stack_size = t->code64 ? IR_64 : t->mode & MODE_SS32 ? IR_32 : IR_16;
    t->mmu = t->mode >> MODE_MMU_SHIFT & 3;
    t->pc = code->pc - code->start;
    t->at = t->next = code->start;
}

void x86_translate(Cpu *cpu, IrBlock *b, CodeWindow *code, unsigned max_insns)
{
    bool log = tcg_log_mask(cpu->tcg) & TCG_LOG_IN_ASM;
    X86Decode status;
    Trans t;

    trans_init(&t, cpu, b, code);
    if (max_insns > MAX_BLOCK)
        max_insns = MAX_BLOCK;
    if (single(&t) || t.mode & MODE_CODE_BP)
        max_insns = 1;
    while (!t.done) {
        if (b->n_insns >= max_insns || !ir_has_room(b) || t.at >= PAGE ||
            !decode(&t, code, &status)) {
            tr_jump(&t, t.at, t.code_size);
            break;
        }
        if (log && status == X86_DECODED)
            log_insn(&t);
        translate_insn(&t, status);
        t.at = t.next;
    }
    b->end = t.at;
}
