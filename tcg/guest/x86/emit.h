/*
 * emit.h - the functions of integer rows, one an instruction (or family), and what they share.
 */
#ifndef TCG_GUEST_X86_EMIT_H
#define TCG_GUEST_X86_EMIT_H

#include "tcg/guest/x86/translate.h"

/* [m] = [m] op b with flags, atomic under LOCK; `old` may be REF_NONE */
IrOp *emit_rmw(Trans *t, IrRmw sub, IrSize size, IrRef old, IrRef m, IrRef b);

/* alu.c */
void tr_alu(Trans *t), tr_unary(Trans *t), tr_compare(Trans *t), tr_double_shift(Trans *t),
    tr_xchg(Trans *t), tr_xchg_acc(Trans *t), tr_xadd(Trans *t), tr_cmpxchg(Trans *t),
    tr_cmpxchg8b(Trans *t), tr_cmpxchg16b(Trans *t);
/* mov.c */
void tr_nop(Trans *t), tr_mov_(Trans *t), tr_movzx(Trans *t), tr_movsx(Trans *t), tr_lea(Trans *t),
    tr_bswap(Trans *t), tr_movbe(Trans *t), tr_xlat(Trans *t), tr_cmov(Trans *t),
    tr_setcc(Trans *t), tr_salc(Trans *t), tr_cbw(Trans *t), tr_cwd(Trans *t), tr_lahf(Trans *t),
    tr_sahf(Trans *t), tr_cmc(Trans *t), tr_carry(Trans *t), tr_mov_to_seg(Trans *t),
    tr_mov_from_seg(Trans *t), tr_load_far(Trans *t), tr_push_seg(Trans *t), tr_pop_seg(Trans *t);
/* bits.c */
void tr_bit(Trans *t), tr_count_bits(Trans *t), tr_tzcnt(Trans *t), tr_lzcnt(Trans *t),
    tr_crc32(Trans *t);
/* muldiv.c */
void tr_mul_wide(Trans *t), tr_imul2(Trans *t), tr_imul3(Trans *t), tr_div(Trans *t),
    tr_daa(Trans *t), tr_das(Trans *t), tr_aaa(Trans *t), tr_aas(Trans *t), tr_aam(Trans *t),
    tr_aad(Trans *t);
/* stack.c */
void tr_push_(Trans *t), tr_pop_(Trans *t), tr_pusha(Trans *t), tr_popa(Trans *t),
    tr_enter(Trans *t), tr_leave(Trans *t), tr_pushf(Trans *t), tr_popf(Trans *t);
/* branch.c */
void tr_jmp_near(Trans *t), tr_call_near(Trans *t), tr_jmp_indirect(Trans *t),
    tr_call_indirect(Trans *t), tr_ret(Trans *t), tr_jcc(Trans *t), tr_jcxz(Trans *t),
    tr_loop(Trans *t), tr_loop_cc(Trans *t), tr_jmp_far(Trans *t), tr_call_far(Trans *t),
    tr_ret_far(Trans *t), tr_iret(Trans *t), tr_int(Trans *t), tr_int3(Trans *t),
    tr_icebp(Trans *t), tr_into(Trans *t), tr_bound(Trans *t);
/* string.c */
void tr_movs(Trans *t), tr_stos(Trans *t), tr_lods(Trans *t), tr_scas(Trans *t), tr_cmps(Trans *t),
    tr_ins(Trans *t), tr_outs(Trans *t);
/* system.c */
void tr_cld(Trans *t), tr_std(Trans *t), tr_cli(Trans *t), tr_xgetbv(Trans *t), tr_xsetbv(Trans *t),
    tr_hlt(Trans *t), tr_monitor(Trans *t), tr_mwait(Trans *t), tr_rdtsc(Trans *t),
    tr_rdtscp(Trans *t), tr_rdpid(Trans *t), tr_in(Trans *t), tr_out(Trans *t),
    tr_store_table(Trans *t), tr_load_table(Trans *t), tr_sldt(Trans *t), tr_str(Trans *t),
    tr_smsw(Trans *t), tr_lar(Trans *t), tr_lsl(Trans *t), tr_arpl(Trans *t), tr_invlpg(Trans *t),
    tr_invpcid(Trans *t), tr_read_cr(Trans *t), tr_write_cr(Trans *t), tr_read_dr(Trans *t),
    tr_write_dr(Trans *t), tr_syscall(Trans *t), tr_sysret(Trans *t), tr_sysenter(Trans *t),
    tr_sysexit(Trans *t), tr_sti(Trans *t), tr_swapgs(Trans *t), tr_clts(Trans *t),
    tr_wbinvd(Trans *t), tr_rdmsr(Trans *t), tr_wrmsr(Trans *t), tr_rdpmc(Trans *t),
    tr_cpuid(Trans *t), tr_clac(Trans *t), tr_stac(Trans *t), tr_lldt(Trans *t), tr_ltr(Trans *t),
    tr_verr(Trans *t), tr_verw(Trans *t), tr_lmsw(Trans *t);

#endif
