/*
 * rows.c - the one-byte opcode map (SDM volume 2, tables: opcode extensions).
 */
#include "tcg/guest/x86/emit.h"

/* clang-format off */

/* The eight arithmetic rows of one operation: op Eb,Gb .. op rAX,Iz. */
#define ALU(base, name, op)                                                                        \
    [base + 0] = { name, tr_alu, { Eb, Gb }, X86_LOCK, op },                                       \
    [base + 1] = { name, tr_alu, { Ev, Gv }, X86_LOCK, op },                                       \
    [base + 2] = { name, tr_alu, { Gb, Eb }, 0, op },                                              \
    [base + 3] = { name, tr_alu, { Gv, Ev }, 0, op },                                              \
    [base + 4] = { name, tr_alu, { AL, Ib }, 0, op },                                              \
    [base + 5] = { name, tr_alu, { rAX, Iz }, 0, op }

#define GROUP1(name, e, i, attr)                                                                   \
    static const X86Row name[8] = {                                                                \
        { "add", tr_alu, { e, i }, attr, IR_add },                                                 \
        { "or",  tr_alu, { e, i }, attr, IR_or },                                                  \
        { "adc", tr_alu, { e, i }, attr, IR_adc },                                                 \
        { "sbb", tr_alu, { e, i }, attr, IR_sbb },                                                 \
        { "and", tr_alu, { e, i }, attr, IR_and },                                                 \
        { "sub", tr_alu, { e, i }, attr, IR_sub },                                                 \
        { "xor", tr_alu, { e, i }, attr, IR_xor },                                                 \
        { "cmp", tr_compare, { e, i }, (attr) & X86_NO64, IR_cmp },                                             \
    }
GROUP1(group1_80, Eb, Ib, X86_LOCK);
GROUP1(group1_81, Ev, Iz, X86_LOCK);
GROUP1(group1_82, Eb, Ib, X86_LOCK | X86_NO64);
GROUP1(group1_83, Ev, sIb, X86_LOCK);

#define GROUP2(name, e, count)                                                                     \
    static const X86Row name[8] = {                                                                \
        { "rol", tr_alu, { e, count }, 0, IR_rol },                                                \
        { "ror", tr_alu, { e, count }, 0, IR_ror },                                                \
        { "rcl", tr_alu, { e, count }, 0, IR_rcl },                                                \
        { "rcr", tr_alu, { e, count }, 0, IR_rcr },                                                \
        { "shl", tr_alu, { e, count }, 0, IR_shl },                                                \
        { "shr", tr_alu, { e, count }, 0, IR_shr },                                                \
        { "shl", tr_alu, { e, count }, 0, IR_shl },                                                \
        { "sar", tr_alu, { e, count }, 0, IR_sar },                                                \
    }
GROUP2(group2_c0, Eb, Ib);
GROUP2(group2_c1, Ev, Ib);
GROUP2(group2_d0, Eb, One);
GROUP2(group2_d1, Ev, One);
GROUP2(group2_d2, Eb, CL);
GROUP2(group2_d3, Ev, CL);

#define GROUP3(name, e, i)                                                                         \
    static const X86Row name[8] = {                                                                \
        { "test", tr_compare,  { e, i }, 0, IR_test },                                             \
        { "test", tr_compare,  { e, i }, 0, IR_test },                                             \
        { "not",  tr_unary,    { e }, X86_LOCK, IR_not },                                          \
        { "neg",  tr_unary,    { e }, X86_LOCK, IR_neg },                                          \
        { "mul",  tr_mul_wide, { e }, 0, IR_mulu },                                                \
        { "imul", tr_mul_wide, { e }, 0, IR_muls },                                                \
        { "div",  tr_div,      { e }, 0, 0 },                                                      \
        { "idiv", tr_div,      { e }, 0, 1 },                                                      \
    }
GROUP3(group3_f6, Eb, Ib);
GROUP3(group3_f7, Ev, Iz);

static const X86Row group1a[8] = {
    [0] = { "pop", tr_pop_, { Ev }, X86_D64 },
};

static const X86Row group4[8] = {
    [0] = { "inc", tr_unary, { Eb }, X86_LOCK, IR_inc },
    [1] = { "dec", tr_unary, { Eb }, X86_LOCK, IR_dec },
};

static const X86Row group5[8] = {
    [0] = { "inc",  tr_unary, { Ev }, X86_LOCK, IR_inc },
    [1] = { "dec",  tr_unary, { Ev }, X86_LOCK, IR_dec },
    [2] = { "call", tr_call_indirect, { Ev }, X86_F64 },
    [3] = { "call far", tr_call_far, { Mp } },
    [4] = { "jmp",  tr_jmp_indirect, { Ev }, X86_F64 },
    [5] = { "jmp far", tr_jmp_far, { Mp } },
    [6] = { "push", tr_push_, { Ev }, X86_D64 },
};

static const X86Row group11_c6[8] = { [0] = { "mov", tr_mov_, { Eb, Ib } } };
static const X86Row group11_c7[8] = { [0] = { "mov", tr_mov_, { Ev, Iz } } };

static const X86Row row_63[2] = {
    { "arpl",   tr_arpl,  { Ew, Gw }, X86_PE },
    { "movsxd", tr_movsx, { Gv, Ed } },
};

#define ROWS8(base, ...)                                                                           \
    [base] = __VA_ARGS__, [base + 1] = __VA_ARGS__, [base + 2] = __VA_ARGS__,                      \
    [base + 3] = __VA_ARGS__, [base + 4] = __VA_ARGS__, [base + 5] = __VA_ARGS__,                  \
    [base + 6] = __VA_ARGS__, [base + 7] = __VA_ARGS__

#define JCC(n, name) [0x70 + n] = { name, tr_jcc, { Jb }, X86_F64, n }

const X86Row x86_one_byte[256] = {
    ALU(0x00, "add", IR_add),
    [0x06] = { "push", tr_push_seg, { ES }, X86_NO64 },
    [0x07] = { "pop",  tr_pop_seg,  { ES }, X86_NO64 },
    ALU(0x08, "or", IR_or),
    [0x0e] = { "push", tr_push_seg, { CS }, X86_NO64 },
    ALU(0x10, "adc", IR_adc),
    [0x16] = { "push", tr_push_seg, { SS }, X86_NO64 },
    [0x17] = { "pop",  tr_pop_seg,  { SS }, X86_NO64 },
    ALU(0x18, "sbb", IR_sbb),
    [0x1e] = { "push", tr_push_seg, { DS }, X86_NO64 },
    [0x1f] = { "pop",  tr_pop_seg,  { DS }, X86_NO64 },
    ALU(0x20, "and", IR_and),
    [0x27] = { "daa", tr_daa, { 0 }, X86_NO64 },
    ALU(0x28, "sub", IR_sub),
    [0x2f] = { "das", tr_das, { 0 }, X86_NO64 },
    ALU(0x30, "xor", IR_xor),
    [0x37] = { "aaa", tr_aaa, { 0 }, X86_NO64 },
    [0x38] = { "cmp", tr_compare, { Eb, Gb }, 0, IR_cmp },
    [0x39] = { "cmp", tr_compare, { Ev, Gv }, 0, IR_cmp },
    [0x3a] = { "cmp", tr_compare, { Gb, Eb }, 0, IR_cmp },
    [0x3b] = { "cmp", tr_compare, { Gv, Ev }, 0, IR_cmp },
    [0x3c] = { "cmp", tr_compare, { AL, Ib }, 0, IR_cmp },
    [0x3d] = { "cmp", tr_compare, { rAX, Iz }, 0, IR_cmp },
    [0x3f] = { "aas", tr_aas, { 0 }, X86_NO64 },
    ROWS8(0x40, { "inc", tr_unary, { Zv }, X86_NO64, IR_inc }),
    ROWS8(0x48, { "dec", tr_unary, { Zv }, X86_NO64, IR_dec }),
    ROWS8(0x50, { "push", tr_push_, { Zv }, X86_D64 }),
    ROWS8(0x58, { "pop",  tr_pop_,  { Zv }, X86_D64 }),
    [0x60] = { "pushaw|pushad", tr_pusha, { 0 }, X86_NO64 },
    [0x61] = { "popaw|popad", tr_popa, { 0 }, X86_NO64 },
    [0x62] = { "bound", tr_bound, { Gv, Mv }, X86_NO64 },
    [0x63] = { BY_MODE(row_63) },
    [0x68] = { "push", tr_push_, { Iz }, X86_D64 },
    [0x69] = { "imul", tr_imul3, { Gv, Ev, Iz } },
    [0x6a] = { "push", tr_push_, { sIb }, X86_D64 },
    [0x6b] = { "imul", tr_imul3, { Gv, Ev, sIb } },
    [0x6c] = { "ins",  tr_ins,  { Yb, DX } },
    [0x6d] = { "ins",  tr_ins,  { Yz, DX } },
    [0x6e] = { "outs", tr_outs, { DX, Xb } },
    [0x6f] = { "outs", tr_outs, { DX, Xz } },
    JCC(0, "jo"), JCC(1, "jno"), JCC(2, "jb"),  JCC(3, "jae"),
    JCC(4, "je"), JCC(5, "jne"), JCC(6, "jbe"), JCC(7, "ja"),
    JCC(8, "js"), JCC(9, "jns"), JCC(10, "jp"), JCC(11, "jnp"),
    JCC(12, "jl"), JCC(13, "jge"), JCC(14, "jle"), JCC(15, "jg"),
    [0x80] = { BY_REG(group1_80) },
    [0x81] = { BY_REG(group1_81) },
    [0x82] = { BY_REG(group1_82) },
    [0x83] = { BY_REG(group1_83) },
    [0x84] = { "test", tr_compare, { Eb, Gb }, 0, IR_test },
    [0x85] = { "test", tr_compare, { Ev, Gv }, 0, IR_test },
    [0x86] = { "xchg", tr_xchg, { Eb, Gb }, X86_LOCK },
    [0x87] = { "xchg", tr_xchg, { Ev, Gv }, X86_LOCK },
    [0x88] = { "mov",  tr_mov_, { Eb, Gb } },
    [0x89] = { "mov",  tr_mov_, { Ev, Gv } },
    [0x8a] = { "mov",  tr_mov_, { Gb, Eb } },
    [0x8b] = { "mov",  tr_mov_, { Gv, Ev } },
    [0x8c] = { "mov",  tr_mov_from_seg, { Ev, Sw } },
    [0x8d] = { "lea",  tr_lea, { Gv, M } },
    [0x8e] = { "mov",  tr_mov_to_seg, { Sw, Ew } },
    [0x8f] = { BY_REG(group1a) },
    ROWS8(0x90, { "xchg", tr_xchg_acc, { Zv, rAX } }),
    [0x98] = { "cbw|cwde|cdqe", tr_cbw },
    [0x99] = { "cwd|cdq|cqo", tr_cwd },
    [0x9a] = { "call far", tr_call_far, { Ap }, X86_NO64 },
    [0x9c] = { "pushfw|pushfd|pushfq", tr_pushf, { 0 }, X86_D64 },
    [0x9d] = { "popfw|popfd|popfq", tr_popf, { 0 }, X86_D64 | X86_END },
    [0x9e] = { "sahf", tr_sahf },
    [0x9f] = { "lahf", tr_lahf },
    [0xa0] = { "mov", tr_mov_, { AL, Ob } },
    [0xa1] = { "mov", tr_mov_, { rAX, Ov } },
    [0xa2] = { "mov", tr_mov_, { Ob, AL } },
    [0xa3] = { "mov", tr_mov_, { Ov, rAX } },
    [0xa4] = { "movs", tr_movs, { Yb, Xb } },
    [0xa5] = { "movs", tr_movs, { Yv, Xv } },
    [0xa6] = { "cmps", tr_cmps, { Xb, Yb } },
    [0xa7] = { "cmps", tr_cmps, { Xv, Yv } },
    [0xa8] = { "test", tr_compare, { AL, Ib }, 0, IR_test },
    [0xa9] = { "test", tr_compare, { rAX, Iz }, 0, IR_test },
    [0xaa] = { "stos", tr_stos, { Yb, AL } },
    [0xab] = { "stos", tr_stos, { Yv, rAX } },
    [0xac] = { "lods", tr_lods, { AL, Xb } },
    [0xad] = { "lods", tr_lods, { rAX, Xv } },
    [0xae] = { "scas", tr_scas, { AL, Yb } },
    [0xaf] = { "scas", tr_scas, { rAX, Yv } },
    ROWS8(0xb0, { "mov", tr_mov_, { Zb, Ib } }),
    ROWS8(0xb8, { "mov", tr_mov_, { Zv, Iv } }),
    [0xc0] = { BY_REG(group2_c0) },
    [0xc1] = { BY_REG(group2_c1) },
    [0xc2] = { "ret", tr_ret, { Iw }, X86_F64 },
    [0xc3] = { "ret", tr_ret, { 0 }, X86_F64 },
    [0xc4] = { "les", tr_load_far, { Gv, Mp }, X86_NO64, SEG_ES },
    [0xc5] = { "lds", tr_load_far, { Gv, Mp }, X86_NO64, SEG_DS },
    [0xc6] = { BY_REG(group11_c6) },
    [0xc7] = { BY_REG(group11_c7) },
    [0xc8] = { "enter", tr_enter, { Iw, Ib2 }, X86_D64 },
    [0xc9] = { "leave", tr_leave, { 0 }, X86_D64 },
    [0xca] = { "retf", tr_ret_far, { Iw } },
    [0xcb] = { "retf", tr_ret_far },
    [0xcc] = { "int3", tr_int3 },
    [0xcd] = { "int", tr_int, { Ib } },
    [0xce] = { "into", tr_into, { 0 }, X86_NO64 },
    [0xcf] = { "iretw|iretd|iretq", tr_iret },
    [0xd0] = { BY_REG(group2_d0) },
    [0xd1] = { BY_REG(group2_d1) },
    [0xd2] = { BY_REG(group2_d2) },
    [0xd3] = { BY_REG(group2_d3) },
    [0xd4] = { "aam", tr_aam, { Ib }, X86_NO64 },
    [0xd5] = { "aad", tr_aad, { Ib }, X86_NO64 },
    [0xd6] = { "salc", tr_salc, { 0 }, X86_NO64 },
    [0xd7] = { "xlat", tr_xlat },
    [0xe0] = { "loopne", tr_loop_cc, { Jb }, X86_F64, CC_NE },
    [0xe1] = { "loope", tr_loop_cc, { Jb }, X86_F64, CC_E },
    [0xe2] = { "loop", tr_loop, { Jb }, X86_F64 },
    [0xe3] = { "jcxz", tr_jcxz, { Jb }, X86_F64 },
    [0xe4] = { "in",  tr_in,  { AL, Ib } },
    [0xe5] = { "in",  tr_in,  { rAX, Ib } },
    [0xe6] = { "out", tr_out, { Ib, AL }, X86_END },
    [0xe7] = { "out", tr_out, { Ib, rAX }, X86_END },
    [0xe8] = { "call", tr_call_near, { Jz }, X86_F64 },
    [0xe9] = { "jmp", tr_jmp_near, { Jz }, X86_F64 },
    [0xea] = { "jmp far", tr_jmp_far, { Ap }, X86_NO64 },
    [0xeb] = { "jmp", tr_jmp_near, { Jb }, X86_F64 },
    [0xec] = { "in",  tr_in,  { AL, DX } },
    [0xed] = { "in",  tr_in,  { rAX, DX } },
    [0xee] = { "out", tr_out, { DX, AL }, X86_END },
    [0xef] = { "out", tr_out, { DX, rAX }, X86_END },
    [0xf1] = { "int1", tr_icebp },
    [0xf4] = { "hlt", tr_hlt },
    [0xf5] = { "cmc", tr_cmc },
    [0xf6] = { BY_REG(group3_f6) },
    [0xf7] = { BY_REG(group3_f7) },
    [0xf8] = { "clc", tr_carry, { 0 }, 0, 0 },
    [0xf9] = { "stc", tr_carry, { 0 }, 0, FLAG_CF },
    [0xfa] = { "cli", tr_cli },
    [0xfb] = { "sti", tr_sti, { 0 }, X86_END },
    [0xfc] = { "cld", tr_cld },
    [0xfd] = { "std", tr_std },
    [0xfe] = { BY_REG(group4) },
    [0xff] = { BY_REG(group5) },
};
/* clang-format on */
