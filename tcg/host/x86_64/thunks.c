/*
 * thunks.c - code that every block shares: entry, exits, and the way from translated code to C and
 * back. Emitted once, at the start of the code cache.
 *
 * A thunk that calls C leaves all pinned guest registers in Cpu.gpr and the vector registers in
 * Cpu.vec (vec_live = 0), so that C sees exact state and may unwind at any point.
 */
#include "tcg/host/x86_64/jit.h"

static const uint8_t callee_saved[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };
enum { ARG0 = H_RDI, ARG1 = H_RSI, ARG2 = H_RDX, ARG3 = H_RCX, ARG4 = H_R8 };

static Rm gpr_rm(unsigned n)
{
    return rm_mem(H_RBP, CPU_DISP(gpr) + 8 * (int32_t)n);
}

static void save_pinned(Emit *e)
{
    for (unsigned i = 0; i < N_PINNED; i++)
        emit_store(e, IR_64, gpr_rm(i), pinned_host[i]);
}

static void load_pinned(Emit *e)
{
    for (unsigned i = 0; i < N_PINNED; i++)
        emit_mov(e, IR_64, pinned_host[i], gpr_rm(i));
}

static void begin(X64 *x, Emit *e, Thunk t)
{
    emit_align(e, 16, 0);
    x->thunk[t] = e->p;
}

static void save_vectors_if_live(X64 *x, Emit *e)
{
    emit_alu_imm(e, ALU_CMP, IR_8, CPU_RM(vec_live), 0);
    uint8_t *skip = emit_jcc(e, CC_E);

    patch_rel32(emit_call(e), x->thunk[T_SAVE_VEC]);
    patch_rel32(skip, e->p);
}

/* -- calling C: arguments are set between c_begin and c_end */

static void c_begin(X64 *x, Emit *e, Thunk t)
{
    begin(x, e, t);
    save_pinned(e);
    emit_store(e, IR_64, SPILL_RM(SLOT_R12), H_R12);
    emit_store(e, IR_64, SPILL_RM(SLOT_R13), H_R13);
    emit_mov(e, IR_64, H_RAX, rm_mem(H_RSP, 0));
    emit_store(e, IR_64, CPU_RM(site), H_RAX);
    save_vectors_if_live(x, e);
    emit_alu_imm(e, ALU_SUB, IR_64, rm_reg(H_RSP), 8);
    emit_lea(e, IR_64, ARG0, rm_mem(H_RBP, -CPU_BIAS));
}

static void c_end(Emit *e, bool result)
{
    emit_call_rm(e, rm_reg(H_RAX));
    emit_alu_imm(e, ALU_ADD, IR_64, rm_reg(H_RSP), 8);
    if (result)
        emit_mov_rr(e, IR_64, S0, H_RAX);
    load_pinned(e);
    emit_ret(e);
}

/* fn(cpu, S0, (uint32_t)S1) */
static void simple(X64 *x, Emit *e, Thunk t, const void *fn, bool result)
{
    c_begin(x, e, t);
    emit_mov_rr(e, IR_64, ARG1, S0);
    emit_mov_rr(e, IR_32, ARG2, S1);
    emit_mov_imm(e, H_RAX, (uintptr_t)fn);
    c_end(e, result);
}

/* fn(cpu, S0, size, mmu) */
static void load_thunks(X64 *x, Emit *e, Thunk first, const void *fn)
{
    for (unsigned i = 0; i < 4 * MMU_CLASSES; i++) {
        c_begin(x, e, first + i);
        emit_mov_rr(e, IR_64, ARG1, S0);
        emit_mov_imm(e, ARG2, 1 << (i & 3));
        emit_mov_imm(e, ARG3, i >> 2);
        emit_mov_imm(e, H_RAX, (uintptr_t)fn);
        c_end(e, true);
    }
}

/* fn(cpu, S0, S1, size, mmu) */
static void store_thunks(X64 *x, Emit *e)
{
    for (unsigned i = 0; i < 4 * MMU_CLASSES; i++) {
        c_begin(x, e, T_ST + i);
        emit_mov_rr(e, IR_64, ARG1, S0);
        emit_mov_rr(e, IR_64, ARG2, S1);
        emit_mov_imm(e, ARG3, 1 << (i & 3));
        emit_mov_imm(e, ARG4, i >> 2);
        emit_mov_imm(e, H_RAX, (uintptr_t)mmu_st_slow);
        c_end(e, false);
    }
}

static void helper_thunk(X64 *x, Emit *e)
{
    c_begin(x, e, T_CALL);
    emit_mov(e, IR_64, ARG1, SPILL_RM(SLOT_ARG));
    emit_mov(e, IR_64, ARG2, SPILL_RM(SLOT_ARG + 1));
    emit_mov(e, IR_64, ARG3, SPILL_RM(SLOT_ARG + 2));
    emit_mov_rr(e, IR_64, H_RAX, S0);
    c_end(e, true);
}

/* -- vectors */

static Rm vec_rm(unsigned n)
{
    return rm_mem(H_RBP, VEC_DISP(n));
}

static void save_vec(X64 *x, Emit *e)
{
    emit_align(e, 16, 0);
    uint8_t *host_mxcsr = e->p;

    emit32(e, 0x1f80); /* as C code expects it: all masked, round to nearest */
    begin(x, e, T_SAVE_VEC);
    for (unsigned i = 0; i < 16; i++)
        emit_rm(e, X_MOVAPS_STORE, IR_32, i, vec_rm(i));
    emit_rm(e, X_MXCSR, IR_32, 3, CPU_RM(mxcsr));
    emit8(e, 0x0f); /* ldmxcsr [rip + x] */
    emit8(e, 0xae);
    emit8(e, 0x15);
    emit32(e, 0);
    patch_rel32(e->p - 4, host_mxcsr);
    emit_store_imm(e, IR_8, CPU_RM(vec_live), 0);
    emit_ret(e);
}

static void load_vec(X64 *x, Emit *e)
{
    begin(x, e, T_ENSURE_VEC);
    emit_alu_imm(e, ALU_CMP, IR_8, CPU_RM(vec_live), 0);
    uint8_t *live = emit_jcc(e, CC_NE);

    x->thunk[T_LOAD_VEC] = e->p;
    for (unsigned i = 0; i < 16; i++)
        emit_rm(e, X_MOVAPS_LOAD, IR_32, i, vec_rm(i));
    emit_rm(e, X_MXCSR, IR_32, 2, CPU_RM(mxcsr));
    emit_store_imm(e, IR_8, CPU_RM(vec_live), 1);
    patch_rel32(live, e->p);
    emit_ret(e);
}

/* -- flags of unknown kind to EFLAGS: a table of sequences, 64 bytes each, indexed by cc_lazy */

static void packed_flags(Emit *e)
{
    emit_mov_rr(e, IR_64, S1, H_RAX);
    emit_mov(e, IR_32, H_RAX, CPU_RM(cc_a));
    emit_rm(e, 0x86 | X_BYTE, IR_8, H_RAX, rm_reg(H_HIGH | H_RAX));
    emit_alu_imm(e, ALU_AND, IR_8, rm_reg(H_RAX), FLAG_OF >> 8);
    emit_alu_imm(e, ALU_ADD, IR_8, rm_reg(H_RAX), 0x78); /* OF if it was 8 */
    emit8(e, 0x9e);                                      /* sahf: the others */
    emit_mov_rr(e, IR_64, H_RAX, S1);
}

static void triple_flags(Emit *e, LazyKind kind, IrSize width)
{
    const Rm b = CPU_RM(cc_b);

    emit_mov(e, IR_64, S1, CPU_RM(cc_a));
    switch (kind) {
    case LAZY_ADD:
        emit_alu(e, ALU_SUB, width, S1, b);
        emit_alu(e, ALU_ADD, width, S1, b);
        break;
    case LAZY_SUB: emit_alu(e, ALU_ADD, width, S1, b); __attribute__((fallthrough));
    case LAZY_CMP: emit_alu(e, ALU_CMP, width, S1, b); break;
    default: emit_test(e, width, rm_reg(S1), S1); break;
    }
}

static void load_flags(X64 *x, Emit *e)
{
    enum { STEP_LOG2 = 6, KINDS = LAZY_LOGIC + 1 };

    begin(x, e, T_LOAD_FLAGS);
    emit_mov(e, IR_32, S1, CPU_RM(cc_lazy));
    emit_shift_imm(e, SH_SHL, IR_32, rm_reg(S1), STEP_LOG2);
    emit_push(e, H_RAX);
    uint8_t *table = emit_lea_rip(e, H_RAX);

    emit_alu(e, ALU_ADD, IR_64, S1, rm_reg(H_RAX));
    emit_pop(e, H_RAX);
    emit_jmp_rm(e, rm_reg(S1));
    emit_align(e, 1 << STEP_LOG2, 0);
    patch_rel32(table, e->p);
    for (unsigned lazy = 0; lazy < KINDS << 2; lazy++) {
        if (lazy >> 2 == LAZY_PACKED)
            packed_flags(e);
        else
            triple_flags(e, lazy >> 2, lazy & 3);
        emit_ret(e);
        emit_align(e, 1 << STEP_LOG2, 0);
    }
}

/* -- entry and exits */

/* void *enter(Cpu *cpu, void *host, uint64_t pc): the value is what an exit left in S0 */
static void enter(X64 *x, Emit *e)
{
    emit_align(e, 16, 0);
    x->enter = (void *(*)(Cpu *, void *, uint64_t))(uintptr_t)(x->rx + (e->p - x->rw));
    for (unsigned i = 0; i < sizeof(callee_saved); i++)
        emit_push(e, callee_saved[i]);
    emit_alu_imm(e, ALU_SUB, IR_64, rm_reg(H_RSP), 8);
    emit_lea(e, IR_64, H_RBP, rm_mem(ARG0, CPU_BIAS));
    emit_store(e, IR_64, CPU_RM(host_sp), H_RSP);
    emit_mov_rr(e, IR_64, S1, ARG1);
    emit_mov_rr(e, IR_64, S0, ARG2);
    load_pinned(e);
    emit_jmp_rm(e, rm_reg(S1));
}

static void exits(X64 *x, Emit *e)
{
    begin(x, e, T_EXIT_PC);
    emit_store(e, IR_64, CPU_RM(pc), S0);
    x->thunk[T_EXIT] = e->p;
    emit_mov_imm(e, S0, 0);
    x->thunk[T_EXIT_SLOT] = e->p;
    save_pinned(e);
    save_vectors_if_live(x, e);
    emit_mov_rr(e, IR_64, H_RAX, S0);
    emit_mov(e, IR_64, H_RSP, CPU_RM(host_sp));
    emit_alu_imm(e, ALU_ADD, IR_64, rm_reg(H_RSP), 8);
    for (unsigned i = sizeof(callee_saved); i-- > 0;)
        emit_pop(e, callee_saved[i]);
    emit_ret(e);
}

void thunks_emit(X64 *x)
{
    Emit e = { x->rw };

    save_vec(x, &e);
    load_vec(x, &e);
    enter(x, &e);
    exits(x, &e);
    load_flags(x, &e);
    helper_thunk(x, &e);
    simple(x, &e, T_LIMIT, slow_limit, false);
    simple(x, &e, T_MISALIGNED, slow_misaligned, false);
    simple(x, &e, T_LDV, slow_ldv, false);
    simple(x, &e, T_STV, slow_stv, false);
    simple(x, &e, T_LD_BOUNCE, slow_ld_bounce, false);
    simple(x, &e, T_RMW, slow_rmw, true);
    simple(x, &e, T_RMW_DONE, slow_rmw_done, false);
    simple(x, &e, T_VOP, slow_vop, false);
    load_thunks(x, &e, T_LD, mmu_ld_slow);
    load_thunks(x, &e, T_LD_WRITE, slow_ld_write);
    store_thunks(x, &e);
    x->thunks_end = x->used = e.p - x->rw;
}
