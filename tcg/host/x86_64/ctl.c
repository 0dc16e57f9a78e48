/*
 * ctl.c - control flow: block exits, jumps through the jump cache, helper calls.
 */
#include "tcg/host/x86_64/jit.h"

void lower_insn(Jit *j, const IrOp *op)
{
    j->pc = op->imm;
    j->pc_size = op->size;
    j->free_regs = 3;
    j->free_slots = (1 << N_SPILL_TEMPS) - 1;
}

/* -- exits */

static void cut_pc(Jit *j, unsigned reg, IrSize size)
{
    if (size < IR_64)
        load_reg(j, reg, loc_reg(reg), size);
}

static void target_pc(Jit *j, unsigned reg, int64_t imm, IrSize size)
{
    emit_mov(&j->e, IR_64, reg, CPU_RM(rip_page));
    emit_lea(&j->e, IR_64, reg, rm_mem(reg, imm));
    cut_pc(j, reg, size);
}

static void set_pc(Jit *j, int64_t imm, IrSize size)
{
    target_pc(j, S1, imm, size);
    emit_store(&j->e, IR_64, CPU_RM(pc), S1);
}

/* To the block at the pc in S0, if the jump cache has it. Temporaries are dead: r13 is free. */
static void jump_to_pc(Jit *j)
{
    const int32_t entry = CPU_DISP(jump_cache);

    emit_mov_rr(&j->e, IR_64, H_R13, S0);
    emit_shift_imm(&j->e, SH_SHR, IR_64, rm_reg(H_R13), 8);
    emit_alu(&j->e, ALU_XOR, IR_32, H_R13, rm_reg(S0));
    emit_alu_imm(&j->e, ALU_AND, IR_32, rm_reg(H_R13), JUMP_CACHE_ENTRIES - 1);
    emit_shift_imm(&j->e, SH_SHL, IR_32, rm_reg(H_R13), 4);
    emit_mov(&j->e, IR_64, S1, CPU_RM(jump_key));
    emit_alu(&j->e, ALU_ADD, IR_64, S1, rm_reg(S0));
    emit_alu(&j->e, ALU_CMP, IR_64, S1,
             rm_index(H_RBP, H_R13, 0, entry + (int32_t)offsetof(JumpEntry, tag)));
    jcc_thunk(j, CC_NE, T_EXIT_PC);
    emit_jmp_rm(&j->e, rm_index(H_RBP, H_R13, 0, entry + (int32_t)offsetof(JumpEntry, host)));
}

/*
 * A jump that can be linked: the rel32 is aligned, so that it is patched by one store. Unlinked it
 * leads to the next instruction.
 */
static void linkable_jump(Jit *j, int64_t imm, IrSize size, bool check)
{
    uint8_t *leave = NULL;

    if (check) {
        emit_alu_imm(&j->e, ALU_CMP, IR_8, CPU_RM(exit_request), 0);
        leave = emit_jcc(&j->e, CC_NE);
    }
    emit_align(&j->e, 4, 3);
    uint8_t *slot = emit_jmp(&j->e);

    patch_rel32(emit_lea_rip(&j->e, S0), slot);
    set_pc(j, imm, size);
    jump_thunk(j, T_EXIT_SLOT);
    if (leave) {
        patch_rel32(leave, j->e.p);
        set_pc(j, imm, size);
        jump_thunk(j, T_EXIT);
    }
}

/* Leave to rip_page + imm. The flags are in Cpu. */
static void exit_to(Jit *j, int64_t imm, IrSize size)
{
    if (imm >= 0 && imm < 4096 && size >= IR_32) {
        linkable_jump(j, imm, size, imm <= j->pc);
        return;
    }
    target_pc(j, S0, imm, size);
    jump_to_pc(j);
}

static void flags_at_exit(Jit *j)
{
    if (j->need[j->at] & FLAGS_ALL)
        flags_to_cpu(j);
}

void lower_jmp(Jit *j, const IrOp *op)
{
    flags_at_exit(j);
    exit_to(j, op->imm, op->size);
}

void lower_jmpr(Jit *j, const IrOp *op)
{
    flags_at_exit(j);
    load_reg(j, S0, loc_of(j, op->a), op->size);
    jump_to_pc(j);
}

void lower_exit(Jit *j, const IrOp *op)
{
    flags_at_exit(j);
    set_pc(j, op->imm, op->size);
    jump_thunk(j, T_EXIT);
}

void lower_exitr(Jit *j, const IrOp *op)
{
    (void)op;
    flags_at_exit(j);
    jump_thunk(j, T_EXIT);
}

/* -- side exits */

static void leave_block(Jit *j, const Stub *s)
{
    flags_to_cpu(j);
    exit_to(j, s->op->imm, s->op->size);
}

static void side_exit(Jit *j, const IrOp *op, unsigned cc)
{
    Stub *s = new_stub(j, leave_block);

    s->op = op;
    s->from = emit_jcc(&j->e, cc);
}

void lower_jcc(Jit *j, const IrOp *op)
{
    flags_to_host(j, ir_flags_read(j->b, op));
    side_exit(j, op, op->cc);
}

static void jump_if(Jit *j, const IrOp *op, unsigned cc)
{
    Loc a = loc_of(j, op->a);

    flags_clobber(j);
    if (a.kind == L_MEM) {
        emit_alu_imm(&j->e, ALU_CMP, op->size2, loc_rm(a), 0);
    } else {
        if (a.kind == L_IMM || a.reg & H_HIGH) {
            load_reg(j, S0, a, op->size2);
            a = loc_reg(S0);
        }
        emit_test(&j->e, op->size2, rm_reg(a.reg), a.reg);
    }
    side_exit(j, op, cc);
}

void lower_jz(Jit *j, const IrOp *op)
{
    jump_if(j, op, CC_E);
}

void lower_jnz(Jit *j, const IrOp *op)
{
    jump_if(j, op, CC_NE);
}

/* -- helpers */

static void argument(Jit *j, unsigned n, IrRef r)
{
    if (r == REF_NONE)
        return;
    Loc l = loc_of(j, r);
    unsigned high = l.kind == L_REG && l.reg & H_HIGH;

    if (l.kind == L_IMM && fits32(l.imm)) {
        emit_store_imm(&j->e, IR_64, SPILL_RM(SLOT_ARG + n), l.imm);
    } else {
        if (l.kind != L_REG || high) {
            load_reg(j, S0, l, high ? IR_8 : IR_64);
            l = loc_reg(S0);
        }
        emit_store(&j->e, IR_64, SPILL_RM(SLOT_ARG + n), l.reg);
    }
}

static void flags_before_call(Jit *j, unsigned flags)
{
    if (flags & HELPER_FLAGS) {
        flags_to_cpu(j);
        j->f.host = 0;
    } else {
        flags_clobber(j);
    }
    if (j->f.recipe && flags & HELPER_WRITES_G) {
        flags_to_cpu(j);
        j->f.recipe = R_NONE;
        j->f.host = 0;
    }
}

void lower_call(Jit *j, const IrOp *op)
{
    const IrHelper *helper = (const IrHelper *)(intptr_t)op->imm;

    flags_before_call(j, helper->flags);
    groups_end(j);
    Loc d = op->d == REF_NONE ? (Loc) { 0 } : dst_of(j, op->d);

    argument(j, 0, op->a);
    argument(j, 1, op->b);
    argument(j, 2, op->c);
    emit_mov_imm(&j->e, S0, (uintptr_t)helper->fn);
    call_thunk_site(j, T_CALL);
    j->f.host = 0; /* dst_of() may have brought them back */
    if (d.kind != L_NONE)
        store_reg(j, d, IR_64, S0);
    if (helper->flags & HELPER_FLAGS)
        flags_in_cpu(j, -1);
}
