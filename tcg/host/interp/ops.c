/*
 * ops.c - the operations of ir-ops.def, except control flow.
 */
#include <string.h>

#include "base/math.h"
#include "tcg/guest.h"
#include "tcg/host/interp/alu.h"
#include "tcg/host/interp/interp.h"
#include "tcg/vop.h"

typedef void OpFn(Cpu *cpu, const InterpView *v, const IrOp *op);

/* -- operands */

uint64_t interp_read(const Cpu *cpu, const InterpView *v, IrRef r, unsigned size)
{
    uint64_t value = 0;

    switch (ref_kind(r)) {
    case REF_G: value = cpu->gpr[ref_index(r)]; break;
    case REF_T: value = v->temps[ref_index(r)]; break;
    case REF_K: value = v->k[ref_index(r)]; break;
    }
    if (r & REF_HIGH)
        value = value >> 8 & 0xff;
    return value & alu_mask(size);
}

static void write_global(uint64_t *g, uint64_t value, unsigned size, bool high)
{
    if (high)
        *g = (*g & ~UINT64_C(0xff00)) | (value & 0xff) << 8;
    else if (size < IR_32)
        *g = (*g & ~alu_mask(size)) | (value & alu_mask(size));
    else
        *g = value & alu_mask(size);
}

static void write_ref(Cpu *cpu, const InterpView *v, IrRef r, uint64_t value, unsigned size)
{
    if (ref_kind(r) == REF_T)
        v->temps[ref_index(r)] = value & alu_mask(size);
    else if (ref_kind(r) == REF_G)
        write_global(&cpu->gpr[ref_index(r)], value, size, r & REF_HIGH);
}

static void put_flags(Cpu *cpu, const IrOp *op, uint32_t flags)
{
    if (op->attr & IR_SETF)
        cpu_set_flags(cpu, flags);
}

/* -- memory operands */

static uint64_t mem_offset(const Cpu *cpu, const InterpView *v, const IrMem *m)
{
    uint64_t off = (int64_t)m->disp;

    off += interp_read(cpu, v, m->base, IR_64);
    off += interp_read(cpu, v, m->index, IR_64) << m->scale;
    if (m->pcrel)
        off += cpu->rip_page;
    return off & alu_mask(m->asize);
}

/* The linear address, after the checks of the segment and of alignment. */
static uint64_t mem_address(Cpu *cpu, const InterpView *v, const IrMem *m, unsigned bytes,
                            bool write)
{
    uint64_t va = mem_offset(cpu, v, m);

    if (m->attr & MEM_LIMIT) {
        const SegWindow *seg = &cpu->seg[m->seg];

        if (va + bytes - 1 >= (write ? seg->write_end : seg->read_end))
            cpu->guest->limit_slow(cpu, m->seg, va, bytes, write);
    }
    if (m->attr & MEM_SEG)
        va += cpu->seg[m->seg].base;
    va &= alu_mask(m->lsize);
    if ((m->attr & MEM_ALIGN) && va & (bytes - 1))
        cpu->guest->misaligned(cpu, va);
    return va;
}

static const IrMem *mem_of(const InterpView *v, IrRef r)
{
    return &v->mem[ref_index(r)];
}

static uint64_t ld_sized(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu)
{
    switch (size) {
    case IR_8: return cpu_ld8(cpu, va, mmu);
    case IR_16: return cpu_ld16(cpu, va, mmu);
    case IR_32: return cpu_ld32(cpu, va, mmu);
    default: return cpu_ld64(cpu, va, mmu);
    }
}

static void st_sized(Cpu *cpu, uint64_t va, uint64_t value, unsigned size, unsigned mmu)
{
    switch (size) {
    case IR_8: cpu_st8(cpu, va, value, mmu); break;
    case IR_16: cpu_st16(cpu, va, value, mmu); break;
    case IR_32: cpu_st32(cpu, va, value, mmu); break;
    default: cpu_st64(cpu, va, value, mmu); break;
    }
}

/* -- moves and arithmetic */

static void op_alu(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint32_t flags = cpu_flags(cpu);
    uint64_t a = interp_read(cpu, v, op->a, op->size);
    uint64_t b = interp_read(cpu, v, op->b, op->size);
    uint64_t c = interp_read(cpu, v, op->c, op->size);

    write_ref(cpu, v, op->d, alu_do(op->op, op->size, a, b, c, &flags), op->size);
    put_flags(cpu, op, flags);
}

static void op_mov(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    write_ref(cpu, v, op->d, interp_read(cpu, v, op->a, op->size), op->size);
}

static void op_movzx(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    write_ref(cpu, v, op->d, interp_read(cpu, v, op->a, op->size2), op->size);
}

static void op_movsx(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint64_t a = interp_read(cpu, v, op->a, op->size2);

    write_ref(cpu, v, op->d, alu_sign_extend(a, op->size2), op->size);
}

static void op_lea(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    write_ref(cpu, v, op->d, mem_offset(cpu, v, mem_of(v, op->a)), op->size);
}

/* With a zero source the destination is not even zero-extended. */
static void op_scan(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint32_t flags = cpu_flags(cpu);
    uint64_t a = interp_read(cpu, v, op->a, op->size);
    uint64_t r = alu_do(op->op, op->size, a, 0, 0, &flags);

    if (a)
        write_ref(cpu, v, op->d, r, op->size);
    put_flags(cpu, op, flags);
}

static void op_mul(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint32_t flags = cpu_flags(cpu);
    uint64_t a = interp_read(cpu, v, op->a, op->size);
    uint64_t b = interp_read(cpu, v, op->b, op->size);
    uint64_t low, high;

    alu_mul(op->op != IR_mulu, op->size, a, b, &low, &high, &flags);
    if (op->op != IR_mul && op->size == IR_8) {
        write_ref(cpu, v, op->d, high << 8 | low, IR_16);
    } else {
        write_ref(cpu, v, op->d, low, op->size);
        if (op->op != IR_mul)
            write_ref(cpu, v, op->c, high, op->size);
    }
    put_flags(cpu, op, flags);
}

static void op_crc32(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint64_t data = interp_read(cpu, v, op->b, op->size2);
    uint32_t crc = alu_crc32c(interp_read(cpu, v, op->a, IR_32), data, 1u << op->size2);

    write_ref(cpu, v, op->d, crc, op->size);
}

/* -- flags */

static void op_setcc(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    write_ref(cpu, v, op->d, alu_cond(cpu_flags(cpu), op->cc), op->size);
}

static void op_cmovcc(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    IrRef from = alu_cond(cpu_flags(cpu), op->cc) ? op->a : op->d;

    write_ref(cpu, v, op->d, interp_read(cpu, v, from, op->size), op->size);
}

static void op_getflags(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    write_ref(cpu, v, op->d, cpu_flags(cpu), op->size);
}

static void op_setflags(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    uint32_t mask = op->imm & FLAGS_ALL;
    uint32_t value = interp_read(cpu, v, op->a, IR_32);

    put_flags(cpu, op, (cpu_flags(cpu) & ~mask) | (value & mask));
}

static void op_cmc(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    (void)v;
    put_flags(cpu, op, cpu_flags(cpu) ^ FLAG_CF);
}

/* -- memory */

static void op_ld(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    bool write = m->attr & MEM_WRITE;
    uint64_t va = mem_address(cpu, v, m, 1u << op->size, write);

    if (write)
        cpu_probe(cpu, va, 1u << op->size, ACCESS_WRITE, m->mmu);
    uint64_t value = ld_sized(cpu, va, op->size, m->mmu);
    if (op->attr & IR_SIGNED)
        write_ref(cpu, v, op->d, alu_sign_extend(value, op->size), IR_64);
    else
        write_ref(cpu, v, op->d, value, op->size);
}

static void op_st(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    uint64_t va = mem_address(cpu, v, m, 1u << op->size, true);

    st_sized(cpu, va, interp_read(cpu, v, op->b, op->size), op->size, m->mmu);
}

static void op_ldv(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    uint64_t va = mem_address(cpu, v, m, 1u << op->size, m->attr & MEM_WRITE);

    if (m->attr & MEM_WRITE)
        cpu_probe(cpu, va, 1u << op->size, ACCESS_WRITE, m->mmu);
    mmu_ldv_slow(cpu, va, &cpu->vec[ref_index(op->d)], 1u << op->size, m->mmu);
}

static void op_stv(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    uint64_t va = mem_address(cpu, v, m, 1u << op->size, true);

    mmu_stv_slow(cpu, va, &cpu->vec[ref_index(op->b)], 1u << op->size, m->mmu);
}

/* Host atomics at any alignment: an x86 host allows it, and others are given aligned guests. */
__attribute__((no_sanitize("alignment"))) static bool replace(void *p, unsigned size, uint64_t old,
                                                              uint64_t new)
{
    switch (size) {
    case IR_8: return __sync_bool_compare_and_swap((uint8_t *)p, (uint8_t)old, (uint8_t) new);
    case IR_16: return __sync_bool_compare_and_swap((uint16_t *)p, (uint16_t)old, (uint16_t) new);
    case IR_32: return __sync_bool_compare_and_swap((uint32_t *)p, (uint32_t)old, (uint32_t) new);
    default: return __sync_bool_compare_and_swap((uint64_t *)p, old, new);
    }
}

static uint64_t load_host(const void *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, (size_t)1 << size);
    return v;
}

static void op_rmw(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    unsigned bytes = 1u << op->size;
    IrOpcode plain = ir_rmw_opcode(op->cc);
    uint64_t va = mem_address(cpu, v, m, bytes, true);
    uint64_t b = interp_read(cpu, v, op->b, op->size);
    void *p = mmu_rmw_ptr(cpu, va, bytes, m->mmu);
    uint64_t old, new;
    uint32_t flags;

    do {
        flags = cpu_flags(cpu);
        old = p ? load_host(p, op->size) : mmu_ld_slow(cpu, va, bytes, m->mmu);
        new = plain == IR_mov ? b : alu_do(plain, op->size, old, b, 0, &flags);
    } while (p && !replace(p, op->size, old, new));
    if (!p)
        mmu_st_slow(cpu, va, new, bytes, m->mmu);
    if (op->d != REF_NONE)
        write_ref(cpu, v, op->d, old, op->size);
    put_flags(cpu, op, flags);
}

static void op_cmpxchg(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrMem *m = mem_of(v, op->a);
    unsigned bytes = 1u << op->size;
    uint64_t va = mem_address(cpu, v, m, bytes, true);
    uint64_t expect = interp_read(cpu, v, op->b, op->size);
    uint64_t desired = interp_read(cpu, v, op->c, op->size);
    void *p = mmu_rmw_ptr(cpu, va, bytes, m->mmu);
    uint64_t old, new;
    uint32_t flags;

    do {
        old = p ? load_host(p, op->size) : mmu_ld_slow(cpu, va, bytes, m->mmu);
        new = old == expect ? desired : old;
    } while (p && !replace(p, op->size, old, new));
    if (!p)
        mmu_st_slow(cpu, va, new, bytes, m->mmu);
    flags = cpu_flags(cpu);
    alu_do(IR_sub, op->size, expect, old, 0, &flags);
    write_ref(cpu, v, op->d, old, op->size);
    put_flags(cpu, op, flags);
}

static void op_fence(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    (void)cpu, (void)v, (void)op;
    atomic_thread_fence(memory_order_seq_cst);
}

/* -- vectors */

/* An operand as a register: itself, or *copy of a value or of memory. */
static const VReg *vop_source(Cpu *cpu, const InterpView *v, const IrOp *op, IrRef r, VReg *copy)
{
    if (ref_kind(r) == REF_V)
        return &cpu->vec[ref_index(r)];
    *copy = (VReg) { 0 };
    if (ref_kind(r) == REF_M) {
        const IrMem *m = mem_of(v, r);
        unsigned bytes = vops[op->imm].mem;

        mmu_ldv_slow(cpu, mem_address(cpu, v, m, bytes, false), copy, bytes, m->mmu);
    } else {
        copy->q[0] = interp_read(cpu, v, r, MIN(op->size, (uint8_t)IR_64));
    }
    return copy;
}

static void op_vop(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    VReg a, b, d = { 0 };
    const VReg *pa = vop_source(cpu, v, op, op->a, &a);
    const VReg *pb = vop_source(cpu, v, op, op->b, &b);
    bool to_vector = ref_kind(op->d) == REF_V;

    vops[op->imm].fn(cpu, to_vector ? &cpu->vec[ref_index(op->d)] : &d, pa, pb, op->size2);
    if (!to_vector && op->d != REF_NONE)
        write_ref(cpu, v, op->d, d.q[0], MIN(op->size, (uint8_t)IR_64));
    if (vops[op->imm].form == F_RM)
        put_flags(cpu, op, d.q[0]);
}

/* -- helpers */

static void op_call(Cpu *cpu, const InterpView *v, const IrOp *op)
{
    const IrHelper *helper = (const IrHelper *)(intptr_t)op->imm;
    uint64_t (*fn)(Cpu *, uint64_t, uint64_t, uint64_t) = helper->fn;
    uint64_t a = interp_read(cpu, v, op->a, IR_64);
    uint64_t b = interp_read(cpu, v, op->b, IR_64);
    uint64_t c = interp_read(cpu, v, op->c, IR_64);
    uint64_t value = fn(cpu, a, b, c);

    if (op->d != REF_NONE)
        write_ref(cpu, v, op->d, value, IR_64);
}

static OpFn *const functions[IR_OP_COUNT] = {
    [IR_mov] = op_mov,
    [IR_movzx] = op_movzx,
    [IR_movsx] = op_movsx,
    [IR_lea] = op_lea,
    [IR_bswap] = op_alu,
    [IR_add] = op_alu,
    [IR_adc] = op_alu,
    [IR_sub] = op_alu,
    [IR_sbb] = op_alu,
    [IR_and] = op_alu,
    [IR_or] = op_alu,
    [IR_xor] = op_alu,
    [IR_andn] = op_alu,
    [IR_cmp] = op_alu,
    [IR_test] = op_alu,
    [IR_neg] = op_alu,
    [IR_not] = op_alu,
    [IR_inc] = op_alu,
    [IR_dec] = op_alu,
    [IR_mul] = op_mul,
    [IR_mulu] = op_mul,
    [IR_muls] = op_mul,
    [IR_shl] = op_alu,
    [IR_shr] = op_alu,
    [IR_sar] = op_alu,
    [IR_rol] = op_alu,
    [IR_ror] = op_alu,
    [IR_rcl] = op_alu,
    [IR_rcr] = op_alu,
    [IR_shld] = op_alu,
    [IR_shrd] = op_alu,
    [IR_bt] = op_alu,
    [IR_bts] = op_alu,
    [IR_btr] = op_alu,
    [IR_btc] = op_alu,
    [IR_bsf] = op_scan,
    [IR_bsr] = op_scan,
    [IR_lzcnt] = op_alu,
    [IR_tzcnt] = op_alu,
    [IR_popcnt] = op_alu,
    [IR_crc32] = op_crc32,
    [IR_setcc] = op_setcc,
    [IR_cmovcc] = op_cmovcc,
    [IR_getflags] = op_getflags,
    [IR_setflags] = op_setflags,
    [IR_cmc] = op_cmc,
    [IR_ld] = op_ld,
    [IR_st] = op_st,
    [IR_ldv] = op_ldv,
    [IR_stv] = op_stv,
    [IR_rmw] = op_rmw,
    [IR_cmpxchg] = op_cmpxchg,
    [IR_fence] = op_fence,
    [IR_vop] = op_vop,
    [IR_call] = op_call,
};

void interp_op(Cpu *cpu, const InterpView *view, const IrOp *op)
{
    functions[op->op](cpu, view, op);
}
