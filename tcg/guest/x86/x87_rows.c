/*
 * x87_rows.c - decoder rows of the opcodes D8 to DF and 9B (SDM volume 2, appendix A.5), and their
 * translation: nearly all are one helper call with a description of the instruction (x87.h).
 */
#include "base/compiler.h"
#include "tcg/guest/x86/translate.h"
#include "tcg/guest/x86/x87.h"

/* -- translation */

/* Helpers of rows, by X86Row.arg. */
enum { H_ARITH_REG, H_MOVE, H_COMPARE, H_COMI, H_UNARY };
static const IrHelper *const register_helpers[] = { [H_ARITH_REG] = &x86_h_x87_arith_reg,
                                                    [H_MOVE] = &x86_h_x87_register,
                                                    [H_COMPARE] = &x86_h_x87_compare,
                                                    [H_COMI] = &x86_h_x87_comi,
                                                    [H_UNARY] = &x86_h_x87_unary };

static IrRef description(Trans *t)
{
    uint64_t desc = (t->in.opcode & 7) << 8 | t->in.modrm;

    if (t->in.mod != 3)
        desc |= X87_HAS_MEM | t->in.seg << X87_SEG;
    return tr_k(t, desc | (uint64_t)t->at << X87_AT);
}

static void tr_register(Trans *t)
{
    tr_call0(t, register_helpers[t->in.row->arg], description(t), REF_NONE, REF_NONE);
}

/* Memory of up to 8 bytes is loaded before the call. */
static void loaded(Trans *t, const IrHelper *helper)
{
    IrRef value = tr_get(t, 0);

    tr_call0(t, helper, description(t), value, tr_address(t));
}

static void tr_arith(Trans *t)
{
    loaded(t, &x86_h_x87_arith_mem);
}

static void tr_load(Trans *t)
{
    loaded(t, &x86_h_x87_load);
}

static void tr_load80(Trans *t)
{
    tr_call0(t, &x86_h_x87_load80, description(t), tr_k(t, t->in.seg), tr_address(t));
}

static void tr_store(Trans *t)
{
    tr_call0(t, &x86_h_x87_store, description(t), tr_k(t, t->in.seg), tr_address(t));
}

/* DA: B E BE U; DB: their opposites. */
static void tr_cmov(Trans *t)
{
    static const uint8_t conditions[] = { CC_B, CC_E, CC_BE, CC_P };
    IrRef taken = tr_temp(t);

    tr_op(t, IR_setcc, IR_8, taken, REF_NONE, REF_NONE)->cc =
        conditions[t->in.reg & 3] ^ (t->in.opcode & 1);
    tr_call0(t, &x86_h_x87_cmov, description(t), taken, REF_NONE);
}

static void tr_control(Trans *t)
{
    static const IrHelper *const helpers[] = { &x86_h_fnclex, &x86_h_fninit };

    tr_call0(t, helpers[t->in.row->arg], REF_NONE, REF_NONE, REF_NONE);
}

/* WAIT: #NM only if CR0 has both MP and TS. */
static void tr_fwait(Trans *t)
{
    if (t->mode & MODE_MP && t->mode & MODE_TS)
        tr_raise(t, EXC_NM);
    else
        tr_call0(t, &x86_h_fwait, REF_NONE, REF_NONE, REF_NONE);
}

static void tr_nothing(UNUSED Trans *t)
{
}

static void tr_fnstsw(Trans *t)
{
    tr_put(t, 0, tr_call(t, &x86_h_fnstsw, REF_NONE, REF_NONE, REF_NONE));
}

static void tr_fnstsw_ax(Trans *t)
{
    IrRef value = tr_call(t, &x86_h_fnstsw, REF_NONE, REF_NONE, REF_NONE);

    tr_mov(t, IR_16, ir_g(RAX), value);
}

static void tr_fnstcw(Trans *t)
{
    tr_put(t, 0, tr_call(t, &x86_h_fnstcw, REF_NONE, REF_NONE, REF_NONE));
}

static void tr_fldcw(Trans *t)
{
    tr_call0(t, &x86_h_fldcw, tr_get(t, 0), REF_NONE, REF_NONE);
}

enum { E_LDENV, E_STENV, E_RSTOR, E_SAVE };

static void tr_environment(Trans *t)
{
    static const IrHelper *const helpers[] = { [E_LDENV] = &x86_h_fldenv,
                                               [E_STENV] = &x86_h_fnstenv,
                                               [E_RSTOR] = &x86_h_frstor,
                                               [E_SAVE] = &x86_h_fnsave };

    tr_call0(t, helpers[t->in.row->arg], tr_k(t, t->in.seg), tr_address(t),
             tr_k(t, t->in.osize == IR_16 ? 2 : 4));
}

/* -- rows */
/* clang-format off */
#define ROW(name, fn, a, b, arg) { name, fn, { a, b }, X86_X87, arg, 0, 0, NULL }
#define MEM(name, fn, a)   ROW(name, fn, a, O_NONE, 0)
#define ST(name, helper)   ROW(name, tr_register, STi, O_NONE, helper)
#define ST0_I(name, helper) ROW(name, tr_register, ST0, STi, helper)
#define ST_I0(name, helper) ROW(name, tr_register, STi, ST0, helper)
#define ONE(name)          ROW(name, tr_register, O_NONE, O_NONE, H_UNARY)
#define CMOV(name) { name, tr_cmov, { ST0, STi }, X86_X87, 0, X86_FEATURE(feat_1_edx, 15), 0, NULL }
#define COMI(name) { name, tr_register, { ST0, STi }, X86_X87, H_COMI, X86_FEATURE(feat_1_edx, 15), 0, NULL }
#define TTP(name, a) { name, tr_store, { a }, X86_X87, 0, X86_FEATURE(feat_1_ecx, 0), 0, NULL }

#define ARITH_MEM(i, m)                                                                            \
    { MEM("f" i "add", tr_arith, m), MEM("f" i "mul", tr_arith, m),                                \
      MEM("f" i "com", tr_arith, m), MEM("f" i "comp", tr_arith, m),                               \
      MEM("f" i "sub", tr_arith, m), MEM("f" i "subr", tr_arith, m),                               \
      MEM("f" i "div", tr_arith, m), MEM("f" i "divr", tr_arith, m) }
static const X86Row mem_d8[8] = ARITH_MEM("", Md);
static const X86Row mem_da[8] = ARITH_MEM("i", Md);
static const X86Row mem_dc[8] = ARITH_MEM("", Mq);
static const X86Row mem_de[8] = ARITH_MEM("i", Mw);
static const X86Row mem_d9[8] = {
    [0] = MEM("fld", tr_load, Md),
    [2] = MEM("fst", tr_store, Md),
    [3] = MEM("fstp", tr_store, Md),
    [4] = ROW("fldenv", tr_environment, M, O_NONE, E_LDENV),
    [5] = MEM("fldcw", tr_fldcw, Mw),
    [6] = ROW("fnstenv", tr_environment, M, O_NONE, E_STENV),
    [7] = MEM("fnstcw", tr_fnstcw, Mw),
};
static const X86Row mem_db[8] = {
    [0] = MEM("fild", tr_load, Md),
    [1] = TTP("fisttp", Md),
    [2] = MEM("fist", tr_store, Md),
    [3] = MEM("fistp", tr_store, Md),
    [5] = MEM("fld", tr_load80, Mt),
    [7] = MEM("fstp", tr_store, Mt),
};
static const X86Row mem_dd[8] = {
    [0] = MEM("fld", tr_load, Mq),
    [1] = TTP("fisttp", Mq),
    [2] = MEM("fst", tr_store, Mq),
    [3] = MEM("fstp", tr_store, Mq),
    [4] = ROW("frstor", tr_environment, M, O_NONE, E_RSTOR),
    [6] = ROW("fnsave", tr_environment, M, O_NONE, E_SAVE),
    [7] = MEM("fnstsw", tr_fnstsw, Mw),
};
static const X86Row mem_df[8] = {
    [0] = MEM("fild", tr_load, Mw),
    [1] = TTP("fisttp", Mw),
    [2] = MEM("fist", tr_store, Mw),
    [3] = MEM("fistp", tr_store, Mw),
    [4] = MEM("fbld", tr_load80, Mt),
    [5] = MEM("fild", tr_load, Mq),
    [6] = MEM("fbstp", tr_store, Mt),
    [7] = MEM("fistp", tr_store, Mq),
};

static const X86Row reg_d8[8] = {
    ST0_I("fadd", H_ARITH_REG), ST0_I("fmul", H_ARITH_REG),
    ST0_I("fcom", H_COMPARE),   ST0_I("fcomp", H_COMPARE),
    ST0_I("fsub", H_ARITH_REG), ST0_I("fsubr", H_ARITH_REG),
    ST0_I("fdiv", H_ARITH_REG), ST0_I("fdivr", H_ARITH_REG),
};
static const X86Row d9_d0[8] = { ROW("fnop", tr_register, O_NONE, O_NONE, H_MOVE) };
static const X86Row d9_e0[8] = {
    [0] = ONE("fchs"), [1] = ONE("fabs"), [4] = ONE("ftst"), [5] = ONE("fxam"),
};
static const X86Row d9_e8[8] = {
    ONE("fld1"), ONE("fldl2t"), ONE("fldl2e"), ONE("fldpi"), ONE("fldlg2"), ONE("fldln2"),
    ONE("fldz"),
};
static const X86Row d9_f0[8] = {
    ONE("f2xm1"), ONE("fyl2x"), ONE("fptan"), ONE("fpatan"), ONE("fxtract"), ONE("fprem1"),
    ONE("fdecstp"), ONE("fincstp"),
};
static const X86Row d9_f8[8] = {
    ONE("fprem"), ONE("fyl2xp1"), ONE("fsqrt"), ONE("fsincos"), ONE("frndint"), ONE("fscale"),
    ONE("fsin"), ONE("fcos"),
};
static const X86Row reg_d9[8] = {
    ST("fld", H_MOVE), ST("fxch", H_MOVE), { BY_RM(d9_d0) }, ST("fstpnce", H_MOVE),
    { BY_RM(d9_e0) }, { BY_RM(d9_e8) }, { BY_RM(d9_f0) }, { BY_RM(d9_f8) },
};
static const X86Row da_e8[8] = { [1] = ROW("fucompp", tr_register, O_NONE, O_NONE, H_COMPARE) };
static const X86Row reg_da[8] = {
    CMOV("fcmovb"), CMOV("fcmove"), CMOV("fcmovbe"), CMOV("fcmovu"), [5] = { BY_RM(da_e8) },
};
static const X86Row db_e0[8] = { /* FENI FDISI FSETPM do nothing since the 387 */
    MEM("feni", tr_nothing, O_NONE), MEM("fdisi", tr_nothing, O_NONE),
    ROW("fnclex", tr_control, O_NONE, O_NONE, 0), ROW("fninit", tr_control, O_NONE, O_NONE, 1),
    MEM("fsetpm", tr_nothing, O_NONE),
};
static const X86Row reg_db[8] = {
    CMOV("fcmovnb"), CMOV("fcmovne"), CMOV("fcmovnbe"), CMOV("fcmovnu"),
    { BY_RM(db_e0) }, COMI("fucomi"), COMI("fcomi"),
};
static const X86Row reg_dc[8] = {
    ST_I0("fadd", H_ARITH_REG),  ST_I0("fmul", H_ARITH_REG),
    ST("fcom", H_COMPARE),       ST("fcomp", H_COMPARE),
    ST_I0("fsubr", H_ARITH_REG), ST_I0("fsub", H_ARITH_REG),
    ST_I0("fdivr", H_ARITH_REG), ST_I0("fdiv", H_ARITH_REG),
};
static const X86Row reg_dd[8] = {
    ST("ffree", H_MOVE), ST("fxch", H_MOVE), ST("fst", H_MOVE), ST("fstp", H_MOVE),
    ST("fucom", H_COMPARE), ST("fucomp", H_COMPARE),
};
static const X86Row de_d8[8] = { [1] = ROW("fcompp", tr_register, O_NONE, O_NONE, H_COMPARE) };
static const X86Row reg_de[8] = {
    ST_I0("faddp", H_ARITH_REG),  ST_I0("fmulp", H_ARITH_REG),
    ST("fcomp", H_COMPARE),       { BY_RM(de_d8) },
    ST_I0("fsubrp", H_ARITH_REG), ST_I0("fsubp", H_ARITH_REG),
    ST_I0("fdivrp", H_ARITH_REG), ST_I0("fdivp", H_ARITH_REG),
};
static const X86Row df_e0[8] = { MEM("fnstsw ax", tr_fnstsw_ax, O_NONE) };
static const X86Row reg_df[8] = {
    ST("ffreep", H_MOVE), ST("fxch", H_MOVE), ST("fstp", H_MOVE), ST("fstp", H_MOVE),
    { BY_RM(df_e0) }, COMI("fucomip"), COMI("fcomip"),
};

static const X86Row d8[2] = { { BY_REG(mem_d8) }, { BY_REG(reg_d8) } };
static const X86Row d9[2] = { { BY_REG(mem_d9) }, { BY_REG(reg_d9) } };
static const X86Row da[2] = { { BY_REG(mem_da) }, { BY_REG(reg_da) } };
static const X86Row db[2] = { { BY_REG(mem_db) }, { BY_REG(reg_db) } };
static const X86Row dc[2] = { { BY_REG(mem_dc) }, { BY_REG(reg_dc) } };
static const X86Row dd[2] = { { BY_REG(mem_dd) }, { BY_REG(reg_dd) } };
static const X86Row de[2] = { { BY_REG(mem_de) }, { BY_REG(reg_de) } };
static const X86Row df[2] = { { BY_REG(mem_df) }, { BY_REG(reg_df) } };

const X86Row x86_x87[9] = {
    { BY_MOD(d8) }, { BY_MOD(d9) }, { BY_MOD(da) }, { BY_MOD(db) },
    { BY_MOD(dc) }, { BY_MOD(dd) }, { BY_MOD(de) }, { BY_MOD(df) },
    { "fwait", tr_fwait },
};
/* clang-format on */
