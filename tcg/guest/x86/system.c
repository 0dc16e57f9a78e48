/*
 * system.c - instructions whose meaning is a helper of the system part: flags that are not
 * arithmetic, ports, descriptor tables, control registers, MSRs, fast system calls.
 */
#include "tcg/guest/x86/emit.h"

static void call0(Trans *t, const IrHelper *h)
{
    tr_call0(t, h, REF_NONE, REF_NONE, REF_NONE);
}

/* -- flags */

/* Already clear: nothing to do, the common case of CLD. */
void tr_cld(Trans *t)
{
    if (!(t->mode & MODE_DF))
        return;
    call0(t, &x86_h_cld);
    tr_exit(t);
}

void tr_std(Trans *t)
{
    if (t->mode & MODE_DF)
        return;
    call0(t, &x86_h_std);
    tr_exit(t);
}

void tr_cli(Trans *t)
{
    call0(t, t->mode & MODE_IOPL_OK ? &x86_h_cli_fast : &x86_h_cli);
}

/* No operand, no result: the rest is in the row's attributes. */
#define SIMPLE(name)                                                                               \
    void tr_##name(Trans *t)                                                                       \
    {                                                                                              \
        call0(t, &x86_h_##name);                                                                   \
    }
SIMPLE(sti)
SIMPLE(swapgs)
SIMPLE(clts)
SIMPLE(wbinvd)
SIMPLE(rdmsr)
SIMPLE(wrmsr)
SIMPLE(rdpmc)
SIMPLE(cpuid)
SIMPLE(clac)
SIMPLE(stac)

/* XGETBV and XSETBV do not exist before CR4.OSXSAVE is set. */
void tr_xgetbv(Trans *t)
{
    if (t->mode & MODE_OSXSAVE)
        call0(t, &x86_h_xgetbv);
    else
        tr_ud(t);
}

void tr_xsetbv(Trans *t)
{
    if (t->mode & MODE_OSXSAVE)
        call0(t, &x86_h_xsetbv);
    else
        tr_ud(t);
}

void tr_hlt(Trans *t)
{
    tr_call0(t, &x86_h_hlt, tr_k(t, t->next), REF_NONE, REF_NONE);
    tr_no_return(t);
}

void tr_monitor(Trans *t)
{
    IrRef seg = tr_k(t, t->in.seg);

    tr_call0(t, &x86_h_monitor, seg, tr_copy(t, t->in.asize, ir_g(RAX)), REF_NONE);
}

void tr_mwait(Trans *t)
{
    tr_call0(t, &x86_h_mwait, tr_k(t, t->next), REF_NONE, REF_NONE);
}

/* -- time: EDX:EAX = 64 bits */

static void put_edx_eax(Trans *t, IrRef v)
{
    tr_op(t, IR_shr, IR_64, ir_g(RDX), v, tr_k(t, 32));
    tr_mov(t, IR_32, ir_g(RAX), v);
}

void tr_rdtsc(Trans *t)
{
    put_edx_eax(t, tr_call(t, &x86_h_rdtsc, REF_NONE, REF_NONE, REF_NONE));
}

void tr_rdtscp(Trans *t)
{
    IrRef tsc = tr_call(t, &x86_h_rdtscp, REF_NONE, REF_NONE, REF_NONE);
    IrRef aux = tr_call(t, &x86_h_tsc_aux, REF_NONE, REF_NONE, REF_NONE);

    put_edx_eax(t, tsc);
    tr_mov(t, IR_32, ir_g(RCX), aux);
}

void tr_rdpid(Trans *t)
{
    IrRef aux = tr_call(t, &x86_h_tsc_aux, REF_NONE, REF_NONE, REF_NONE);

    tr_mov(t, t->code64 ? IR_64 : IR_32, ir_g(t->in.opd[0].reg), aux);
}

/* -- ports: operands are (accumulator, port) or (port, accumulator) */

void tr_in(Trans *t)
{
    IrSize size = tr_size(t, 0);
    IrRef port = tr_copy(t, IR_16, tr_get(t, 1));

    size = size == IR_64 ? IR_32 : size;
    tr_mov(t, size, ir_g(RAX), tr_call(t, &x86_h_in, port, tr_k(t, 1 << size), REF_NONE));
}

void tr_out(Trans *t)
{
    IrSize size = tr_size(t, 1);
    IrRef port = tr_copy(t, IR_16, tr_get(t, 0));

    size = size == IR_64 ? IR_32 : size;
    tr_call0(t, &x86_h_out, port, tr_copy(t, size, ir_g(RAX)), tr_k(t, 1 << size));
}

/* -- descriptor tables; arg of the row picks the helper */

static bool umip(Trans *t)
{
    if (t->mode & MODE_UMIP)
        tr_raise_error(t, EXC_GP, 0);
    return t->mode & MODE_UMIP;
}

static void table_call(Trans *t, const IrHelper *h)
{
    IrSize size = t->code64 ? IR_64 : t->in.osize;

    tr_call0(t, h, tr_k(t, t->in.seg), tr_address(t), tr_k(t, 1 << size));
}

void tr_store_table(Trans *t)
{
    if (!umip(t))
        table_call(t, t->in.row->arg ? &x86_h_sidt : &x86_h_sgdt);
}

void tr_load_table(Trans *t)
{
    table_call(t, t->in.row->arg ? &x86_h_lidt : &x86_h_lgdt);
}

/* sldt str smsw: memory gets 16 bits, a register the operand size */
static void store_word(Trans *t, const IrHelper *h)
{
    if (umip(t))
        return;
    IrRef v = tr_call(t, h, REF_NONE, REF_NONE, REF_NONE);
    if (tr_is_mem(t, 0))
        tr_st(t, IR_16, tr_mem(t, 0), v);
    else
        tr_put(t, 0, v);
}

void tr_sldt(Trans *t)
{
    store_word(t, &x86_h_sldt);
}

void tr_str(Trans *t)
{
    store_word(t, &x86_h_str);
}

void tr_smsw(Trans *t)
{
    store_word(t, &x86_h_smsw);
}

/* One 16-bit operand. */
#define SELECTOR(name)                                                                             \
    void tr_##name(Trans *t)                                                                       \
    {                                                                                              \
        tr_call0(t, &x86_h_##name, tr_copy(t, IR_16, tr_get(t, 0)), REF_NONE, REF_NONE);           \
    }
SELECTOR(lldt)
SELECTOR(ltr)
SELECTOR(verr)
SELECTOR(verw)
SELECTOR(lmsw)

static void describe_selector(Trans *t, const IrHelper *h)
{
    IrSize size = tr_size(t, 0);
    IrRef selector = tr_copy(t, IR_16, tr_get(t, 1));

    tr_put(t, 0, tr_call(t, h, selector, tr_copy(t, size, tr_reg(t, 0)), REF_NONE));
}

void tr_lar(Trans *t)
{
    describe_selector(t, &x86_h_lar);
}

void tr_lsl(Trans *t)
{
    describe_selector(t, &x86_h_lsl);
}

/* ZF = the privilege level was raised; the store comes before the flag. */
void tr_arpl(Trans *t)
{
    IrRef src = tr_copy(t, IR_16, tr_reg(t, 1)), zf = tr_temp(t), old, new;

    if (tr_is_mem(t, 0)) {
        IrRef m = tr_mem(t, MEM_WRITE);
        old = tr_ld(t, IR_16, m);
        new = tr_call(t, &x86_h_arpl, old, src, REF_NONE);
        tr_st(t, IR_16, m, new);
    } else {
        old = tr_copy(t, IR_16, tr_reg(t, 0));
        new = tr_call(t, &x86_h_arpl, old, src, REF_NONE);
        tr_put(t, 0, new);
    }
    tr_op(t, IR_xor, IR_64, zf, old, new);
    zf = tr_call(t, &x86_h_select, zf, tr_k(t, FLAG_ZF), tr_k(t, 0));
    tr_op(t, IR_setflags, IR_32, REF_NONE, zf, REF_NONE)->imm = FLAG_ZF;
}

void tr_invlpg(Trans *t)
{
    tr_call0(t, &x86_h_invlpg, tr_k(t, t->in.seg), tr_address(t), REF_NONE);
}

void tr_invpcid(Trans *t)
{
    tr_call0(t, &x86_h_invpcid, tr_reg(t, 0), tr_k(t, t->in.seg), tr_address(t));
}

/* -- control and debug registers; LOCK MOV CR0 as CR8 is not offered */

static IrRef number(Trans *t, unsigned opd)
{
    return tr_k(t, t->in.opd[opd].reg);
}

void tr_read_cr(Trans *t)
{
    tr_put(t, 0, tr_call(t, &x86_h_read_cr, number(t, 1), REF_NONE, REF_NONE));
}

void tr_write_cr(Trans *t)
{
    IrRef v = tr_copy(t, tr_size(t, 1), tr_get(t, 1));

    tr_call0(t, &x86_h_write_cr, number(t, 0), v, REF_NONE);
}

void tr_read_dr(Trans *t)
{
    tr_put(t, 0, tr_call(t, &x86_h_read_dr, number(t, 1), REF_NONE, REF_NONE));
}

void tr_write_dr(Trans *t)
{
    IrRef v = tr_copy(t, tr_size(t, 1), tr_get(t, 1));

    tr_call0(t, &x86_h_write_dr, number(t, 0), v, REF_NONE);
}

/* rdfsbase rdgsbase: arg is the segment */
/* -- fast system calls */

void tr_syscall(Trans *t)
{
    tr_call0(t, &x86_h_syscall, tr_k(t, t->next), REF_NONE, REF_NONE);
    tr_exitr(t);
}

static IrRef width_of_return(Trans *t)
{
    return tr_k(t, t->in.rex & 8 ? 8 : 4);
}

void tr_sysret(Trans *t)
{
    tr_call0(t, &x86_h_sysret, width_of_return(t), REF_NONE, REF_NONE);
    tr_exitr(t);
}

void tr_sysenter(Trans *t)
{
    call0(t, &x86_h_sysenter);
    tr_exitr(t);
}

void tr_sysexit(Trans *t)
{
    tr_call0(t, &x86_h_sysexit, width_of_return(t), REF_NONE, REF_NONE);
    tr_exitr(t);
}
