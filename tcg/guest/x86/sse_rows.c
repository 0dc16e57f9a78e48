/*
 * sse_rows.c - decoder rows of MMX and SSE (SDM volume 2, appendix A.3).
 *
 * Most rows are made from vop.def: encoding, operands and CPUID feature are there. The rest, moves
 * from and to memory above all, is written by hand below.
 */
#include "base/compiler.h"
#include "tcg/guest/x86/sse.h"

enum { PREFIX_0x00, PREFIX_0x66, PREFIX_0xf3, PREFIX_0xf2 }; /* first index of the tables */

#define CPUID_MMX   X86_FEATURE(feat_1_edx, 23)
#define CPUID_FXSR  X86_FEATURE(feat_1_edx, 24)
#define CPUID_SSE   X86_FEATURE(feat_1_edx, 25)
#define CPUID_SSE2  X86_FEATURE(feat_1_edx, 26)
#define CPUID_SSE3  X86_FEATURE(feat_1_ecx, 0)
#define CPUID_SSSE3 X86_FEATURE(feat_1_ecx, 9)
#define CPUID_SSE41 X86_FEATURE(feat_1_ecx, 19)
#define CPUID_SSE42 X86_FEATURE(feat_1_ecx, 20)

/* -- rows from vop.def */
#define ROW_CPUID(attr, feature)                                                                   \
    ((feature) == HOST_SSE3     ? CPUID_SSE3                                                       \
     : (feature) == HOST_SSSE3  ? CPUID_SSSE3                                                      \
     : (feature) == HOST_SSE41  ? CPUID_SSE41                                                      \
     : (feature) == HOST_SSE42  ? CPUID_SSE42                                                      \
     : (feature) == HOST_AES    ? X86_FEATURE(feat_1_ecx, 25)                                      \
     : (feature) == HOST_PCLMUL ? X86_FEATURE(feat_1_ecx, 1)                                       \
     : (attr)&VOP_SSE2          ? CPUID_SSE2                                                       \
     : (attr)&VOP_SSE           ? CPUID_SSE                                                        \
                                : CPUID_MMX)
#define ROW_REG(attr) ((attr)&VOP_MMX ? Pq : Vdq)
#define ROW_RM(attr, mem)                                                                          \
    ((attr)&VOP_MMX   ? ((mem) == 0   ? Nq                                                         \
                         : (mem) == 4 ? Qd                                                         \
                                      : Qq)                                                        \
     : (attr)&VOP_MEM ? Mq                                                                         \
     : (mem) == 0     ? Udq                                                                        \
     : (mem) == 2     ? Ww                                                                         \
     : (mem) == 4     ? Wd                                                                         \
     : (mem) == 8     ? Wq                                                                         \
                      : Wdq)
#define ROW_G(mem)    ((mem) == 1 ? EdMb : (mem) == 2 ? EdMw : Ey)
#define ROW_IMM(attr) ((attr)&VOP_IMM8 ? Ib : O_NONE)

#define OPERANDS_V_RM(attr, mem)                                                                   \
    {                                                                                              \
        ROW_REG(attr), ROW_RM(attr, mem), ROW_IMM(attr)                                            \
    }
#define OPERANDS_V_RM1 OPERANDS_V_RM
#define OPERANDS_F_RM  OPERANDS_V_RM
#define OPERANDS_V_RM_G(attr, mem)                                                                 \
    {                                                                                              \
        ROW_REG(attr), ROW_G(mem), ROW_IMM(attr)                                                   \
    }
#define OPERANDS_G_RM_V(attr, mem)                                                                 \
    {                                                                                              \
        Gy, ROW_RM(attr, mem), ROW_IMM(attr)                                                       \
    }
#define OPERANDS_RM_G_V(attr, mem)                                                                 \
    {                                                                                              \
        ROW_G(mem), ROW_REG(attr), ROW_IMM(attr)                                                   \
    }

#define ROW_BODY(row_name, form, mem, row_attr, feature)                                           \
    {                                                                                              \
        .name = #row_name, .emit = x86_sse_vop, .opd = OPERANDS_##form(row_attr, mem),             \
        .attr = (row_attr)&VOP_MMX ? X86_MMX : X86_SSE, .arg = VOP_##row_name,                     \
        .cpuid = ROW_CPUID(row_attr, feature)                                                      \
    }

/* An entry of the table of its map; shifts by an immediate are in groups below. */
#define ENTRY_V_RM(name, form, prefix, opcode, mem, attr, feature)                                 \
    [PREFIX_##prefix][opcode] = ROW_BODY(name, form, mem, attr, feature),
#define ENTRY_V_RM1  ENTRY_V_RM
#define ENTRY_V_RM_G ENTRY_V_RM
#define ENTRY_G_RM_V ENTRY_V_RM
#define ENTRY_RM_G_V ENTRY_V_RM
#define ENTRY_F_RM   ENTRY_V_RM
#define ENTRY_V_IMM(name, form, prefix, opcode, mem, attr, feature)

#define V_OP_ALT(name, form, prefix, map, opcode, ext, mem, attr, feature)
#define V_OP(name, form, prefix, map, opcode, ext, mem, attr, feature)                             \
    IN_MAP_##map(ENTRY_##form(name, form, prefix, opcode, mem, attr, feature))

/* -- groups: shifts by an immediate */
#define SHIFT(vop)                                                                                 \
    {                                                                                              \
        .name = #vop, .emit = x86_sse_vop, .opd = { Udq, Ib }, .attr = X86_SSE, .arg = VOP_##vop,  \
        .cpuid = CPUID_SSE2                                                                        \
    }
#define M_SHIFT(vop)                                                                               \
    {                                                                                              \
        .name = #vop, .emit = x86_sse_vop, .opd = { Nq, Ib }, .attr = X86_MMX, .arg = VOP_m_##vop, \
        .cpuid = CPUID_MMX                                                                         \
    }

static const X86Row shift_w[8] = {
    [2] = SHIFT(psrlw_i), [4] = SHIFT(psraw_i), [6] = SHIFT(psllw_i)
};
static const X86Row shift_d[8] = {
    [2] = SHIFT(psrld_i), [4] = SHIFT(psrad_i), [6] = SHIFT(pslld_i)
};
static const X86Row shift_q[8] = {
    [2] = SHIFT(psrlq_i), [3] = SHIFT(psrldq), [6] = SHIFT(psllq_i), [7] = SHIFT(pslldq)
};
static const X86Row m_shift_w[8] = {
    [2] = M_SHIFT(psrlw_i), [4] = M_SHIFT(psraw_i), [6] = M_SHIFT(psllw_i)
};
static const X86Row m_shift_d[8] = {
    [2] = M_SHIFT(psrld_i), [4] = M_SHIFT(psrad_i), [6] = M_SHIFT(pslld_i)
};
static const X86Row m_shift_q[8] = { [2] = M_SHIFT(psrlq_i), [6] = M_SHIFT(psllq_i) };

/* -- group 15: state, fences, caches */
/* clang-format off */
#define XSAVE X86_FEATURE(feat_1_ecx, 26)
static const X86Row group15_mem[8] = {
    { "fxsave",   x86_fx_state,    { M },  X86_MMX,           FX_SAVE,     CPUID_FXSR, 0, NULL },
    { "fxrstor",  x86_fx_state,    { M },  X86_MMX | X86_END, FX_RESTORE,  CPUID_FXSR, 0, NULL },
    { "ldmxcsr",  x86_sse_ldmxcsr, { Md }, X86_SSE | X86_END, 0,           CPUID_SSE,  0, NULL },
    { "stmxcsr",  x86_sse_stmxcsr, { Md }, X86_SSE,           0,           CPUID_SSE,  0, NULL },
    { "xsave",    x86_fx_state,    { M },  0,                 FX_XSAVE,    XSAVE,      0, NULL },
    { "xrstor",   x86_fx_state,    { M },  X86_END,           FX_XRSTOR,   XSAVE,      0, NULL },
    { "xsaveopt", x86_fx_state,    { M },  0,                 FX_XSAVEOPT,
      X86_FEATURE(feat_d_eax, 0), 0, NULL },
    { "clflush",  x86_sse_clflush, { Mb }, 0, 0, X86_FEATURE(feat_1_edx, 19), 0, NULL },
};
static const X86Row group15_reg[8] = {
    [5] = { "lfence", x86_sse_fence, { O_NONE }, 0, 0, CPUID_SSE2, 0, NULL },
    [6] = { "mfence", x86_sse_fence, { O_NONE }, 0, 0, CPUID_SSE2, 0, NULL },
    [7] = { "sfence", x86_sse_fence, { O_NONE }, 0, 0, CPUID_SSE,  0, NULL },
};
static const X86Row group15[2] = { { BY_REG(group15_mem) }, { BY_REG(group15_reg) } };
static const X86Row clflushopt[8] = {
    [6] = { "clwb",       x86_sse_clflush, { Mb }, 0, 0, X86_FEATURE(feat_7_ebx, 24), 0, NULL },
    [7] = { "clflushopt", x86_sse_clflush, { Mb }, 0, 0, X86_FEATURE(feat_7_ebx, 23), 0, NULL },
};
#define BASES X86_FEATURE(feat_7_ebx, 0)
static const X86Row fsgsbase_reg[8] = {
    { "rdfsbase", x86_sse_fsgsbase, { Ey }, X86_ONLY64, SEG_FS,     BASES, 0, NULL },
    { "rdgsbase", x86_sse_fsgsbase, { Ey }, X86_ONLY64, SEG_GS,     BASES, 0, NULL },
    { "wrfsbase", x86_sse_fsgsbase, { Ey }, X86_ONLY64, SEG_FS + 8, BASES, 0, NULL },
    { "wrgsbase", x86_sse_fsgsbase, { Ey }, X86_ONLY64, SEG_GS + 8, BASES, 0, NULL },
};
static const X86Row fsgsbase[2] = { [1] = { BY_REG(fsgsbase_reg) } };

/* -- the tables; rows by hand: name, function, operands, attribute, arg, CPUID feature */
#define ROW(name, fn, a, b, attr, arg, cpuid) { name, fn, { a, b }, attr, arg, cpuid, 0, NULL }
#define ALIGNED(name, fn, a, b, cpuid) ROW(name, fn, a, b, X86_SSE, 0, cpuid)
#define ANY(name, fn, a, b, cpuid) ROW(name, fn, a, b, X86_SSE, SSE_UNALIGNED, cpuid)

const X86Row x86_sse_0f[4][256] = {
#define IN_MAP_1(row) row
#define IN_MAP_2(row)
#define IN_MAP_3(row)
#include "tcg/vop.def"
    [0][0x10] = ANY("movups", x86_sse_load, Vdq, Wdq, CPUID_SSE),
    [0][0x11] = ANY("movups", x86_sse_store, Wdq, Vdq, CPUID_SSE),
    [0][0x13] = ROW("movlps", x86_sse_store_low, Mq, Vdq, X86_SSE, 0, CPUID_SSE),
    [0][0x17] = ROW("movhps", x86_sse_store_high, Mq, Vdq, X86_SSE, 0, CPUID_SSE),
    [0][0x28] = ALIGNED("movaps", x86_sse_load, Vdq, Wdq, CPUID_SSE),
    [0][0x29] = ALIGNED("movaps", x86_sse_store, Wdq, Vdq, CPUID_SSE),
    [0][0x2a] = ROW("cvtpi2ps", x86_mmx_convert, Vdq, Qq, X86_SSE, VOP_cvtpi2ps, CPUID_SSE),
    [0][0x2b] = ALIGNED("movntps", x86_sse_store, Mdq, Vdq, CPUID_SSE),
    [0][0x2c] = ROW("cvttps2pi", x86_mmx_convert, Pq, Wq, X86_SSE, VOP_cvttps2pi, CPUID_SSE),
    [0][0x2d] = ROW("cvtps2pi", x86_mmx_convert, Pq, Wq, X86_SSE, VOP_cvtps2pi, CPUID_SSE),
    [0][0x6f] = ROW("movq", x86_mmx_load, Pq, Qq, X86_MMX, 0, CPUID_MMX),
    [0][0x71] = { BY_REG(m_shift_w) },
    [0][0x72] = { BY_REG(m_shift_d) },
    [0][0x73] = { BY_REG(m_shift_q) },
    [0][0x77] = ROW("emms", x86_mmx_emms, O_NONE, O_NONE, X86_MMX, 0, CPUID_MMX),
    [0][0x7f] = ROW("movq", x86_mmx_store, Qq, Pq, X86_MMX, 0, CPUID_MMX),
    [0][0xae] = { BY_MOD(group15) },
    [0][0xe7] = ROW("movntq", x86_mmx_store, Mq, Pq, X86_MMX, 0, CPUID_SSE),
    [0][0xf7] = ROW("maskmovq", x86_sse_maskmov, Pq, Nq, X86_MMX, 0, CPUID_SSE),

    [1][0x10] = ANY("movupd", x86_sse_load, Vdq, Wdq, CPUID_SSE2),
    [1][0x11] = ANY("movupd", x86_sse_store, Wdq, Vdq, CPUID_SSE2),
    [1][0x13] = ROW("movlpd", x86_sse_store_low, Mq, Vdq, X86_SSE, 0, CPUID_SSE2),
    [1][0x17] = ROW("movhpd", x86_sse_store_high, Mq, Vdq, X86_SSE, 0, CPUID_SSE2),
    [1][0x28] = ALIGNED("movapd", x86_sse_load, Vdq, Wdq, CPUID_SSE2),
    [1][0x29] = ALIGNED("movapd", x86_sse_store, Wdq, Vdq, CPUID_SSE2),
    [1][0x2a] = ROW("cvtpi2pd", x86_mmx_convert, Vdq, Qq, X86_SSE, VOP_cvtpi2pd, CPUID_SSE2),
    [1][0x2b] = ALIGNED("movntpd", x86_sse_store, Mdq, Vdq, CPUID_SSE2),
    [1][0x2c] = ROW("cvttpd2pi", x86_mmx_convert, Pq, Wdq, X86_SSE, VOP_cvttpd2pi, CPUID_SSE2),
    [1][0x2d] = ROW("cvtpd2pi", x86_mmx_convert, Pq, Wdq, X86_SSE, VOP_cvtpd2pi, CPUID_SSE2),
    [1][0x6f] = ALIGNED("movdqa", x86_sse_load, Vdq, Wdq, CPUID_SSE2),
    [1][0x71] = { BY_REG(shift_w) },
    [1][0x72] = { BY_REG(shift_d) },
    [1][0x73] = { BY_REG(shift_q) },
    [1][0x7f] = ALIGNED("movdqa", x86_sse_store, Wdq, Vdq, CPUID_SSE2),
    [1][0xae] = { BY_REG(clflushopt) },
    [1][0xd6] = ROW("movq", x86_sse_movq_store, Wq, Vdq, X86_SSE, 0, CPUID_SSE2),
    [1][0xe7] = ALIGNED("movntdq", x86_sse_store, Mdq, Vdq, CPUID_SSE2),
    [1][0xf7] = ROW("maskmovdqu", x86_sse_maskmov, Vdq, Udq, X86_SSE, 0, CPUID_SSE2),

    [2][0x10] = ROW("movss", x86_sse_load_scalar, Vdq, Wd, X86_SSE, VOP_movss, CPUID_SSE),
    [2][0x11] = ROW("movss", x86_sse_store_scalar, Wd, Vdq, X86_SSE, VOP_movss, CPUID_SSE),
    [2][0x6f] = ANY("movdqu", x86_sse_load, Vdq, Wdq, CPUID_SSE2),
    [2][0x7e] = ROW("movq", x86_sse_load_scalar, Vdq, Wq, X86_SSE, VOP_movq, CPUID_SSE2),
    [2][0x7f] = ANY("movdqu", x86_sse_store, Wdq, Vdq, CPUID_SSE2),
    [2][0xae] = { BY_MOD(fsgsbase) },
    [2][0xd6] = ROW("movq2dq", x86_mmx_convert, Vdq, Nq, X86_SSE, VOP_movq2dq, CPUID_SSE2),

    [3][0x10] = ROW("movsd", x86_sse_load_scalar, Vdq, Wq, X86_SSE, VOP_movsd, CPUID_SSE2),
    [3][0x11] = ROW("movsd", x86_sse_store_scalar, Wq, Vdq, X86_SSE, VOP_movsd, CPUID_SSE2),
    [3][0xd6] = ROW("movdq2q", x86_mmx_convert, Pq, Udq, X86_SSE, VOP_movdq2q, CPUID_SSE2),
    [3][0xf0] = ANY("lddqu", x86_sse_load, Vdq, Mdq, CPUID_SSE3),
#undef IN_MAP_1
#undef IN_MAP_2
#undef IN_MAP_3
};

const X86Row x86_sse_0f38[4][256] = {
#define V_OP_ALT(name, form, prefix, map, opcode, ext, mem, attr, feature)
#define IN_MAP_1(row)
#define IN_MAP_2(row) row
#define IN_MAP_3(row)
#include "tcg/vop.def"
    [1][0x2a] = ALIGNED("movntdqa", x86_sse_load, Vdq, Mdq, CPUID_SSE41),
#undef IN_MAP_1
#undef IN_MAP_2
#undef IN_MAP_3
};

#define PCMPSTR(name, n)                                                                           \
    { name, x86_sse_pcmpstr, { Vdq, Wdq, Ib }, X86_SSE, n, CPUID_SSE42, 0, NULL }

const X86Row x86_sse_0f3a[4][256] = {
#define V_OP_ALT(name, form, prefix, map, opcode, ext, mem, attr, feature)
#define IN_MAP_1(row)
#define IN_MAP_2(row)
#define IN_MAP_3(row) row
#include "tcg/vop.def"
    [1][0x60] = PCMPSTR("pcmpestrm", 0),
    [1][0x61] = PCMPSTR("pcmpestri", 1),
    [1][0x62] = PCMPSTR("pcmpistrm", 2),
    [1][0x63] = PCMPSTR("pcmpistri", 3),
#undef IN_MAP_1
#undef IN_MAP_2
#undef IN_MAP_3
};
/* clang-format on */
