/*
 * rows_0f.c - integer and system instructions of the opcode maps 0F, 0F 38 and 0F 3A (SDM volume 2,
 * tables ).
 */
#include "tcg/guest/x86/emit.h"

/* clang-format off */

static const X86Row group6[8] = {
    { "sldt", tr_sldt, { Ev }, X86_PE },
    { "str",  tr_str,  { Ev }, X86_PE },
    { "lldt", tr_lldt, { Ew }, X86_PE },
    { "ltr",  tr_ltr,  { Ew }, X86_PE | X86_END },
    { "verr", tr_verr, { Ew }, X86_PE },
    { "verw", tr_verw, { Ew }, X86_PE },
};

static const X86Row group7_mem[8] = {
    { "sgdt", tr_store_table, { M }, 0, 0 },
    { "sidt", tr_store_table, { M }, 0, 1 },
    { "lgdt", tr_load_table,  { M }, 0, 0 },
    { "lidt", tr_load_table,  { M }, 0, 1 },
    { "smsw", tr_smsw, { Ev } },
    [6] = { "lmsw", tr_lmsw, { Ew }, X86_END },
    [7] = { "invlpg", tr_invlpg, { M }, X86_END },
};

static const X86Row group7_c8[8] = {
    [0] = { "monitor", tr_monitor, .cpuid = X86_FEATURE(feat_1_ecx, 3) },
    [1] = { "mwait", tr_mwait, { 0 }, X86_END, .cpuid = X86_FEATURE(feat_1_ecx, 3) },
    [2] = { "clac", tr_clac, { 0 }, X86_END | X86_NO_PREFIX, .cpuid = X86_FEATURE(feat_7_ebx, 20) },
    [3] = { "stac", tr_stac, { 0 }, X86_END | X86_NO_PREFIX, .cpuid = X86_FEATURE(feat_7_ebx, 20) },
};

static const X86Row group7_d0[8] = {
    [0] = { "xgetbv", tr_xgetbv, { 0 }, X86_NO_PREFIX },
    [1] = { "xsetbv", tr_xsetbv, { 0 }, X86_END | X86_NO_PREFIX },
};

static const X86Row group7_f8[8] = {
    [0] = { "swapgs", tr_swapgs, { 0 }, X86_ONLY64 },
    [1] = { "rdtscp", tr_rdtscp, .cpuid = X86_FEATURE(feat_81_edx, 27) },
};

static const X86Row group7_reg[8] = {
    [1] = { BY_RM(group7_c8) },
    [2] = { BY_RM(group7_d0) },
    [4] = { "smsw", tr_smsw, { Ev } },
    [6] = { "lmsw", tr_lmsw, { Ew }, X86_END },
    [7] = { BY_RM(group7_f8) },
};

static const X86Row group7_mod[2] = { { BY_REG(group7_mem) }, { BY_REG(group7_reg) } };

static const X86Row group8[8] = {
    [4] = { "bt",  tr_bit, { Ev, Ib }, 0, IR_bt },
    [5] = { "bts", tr_bit, { Ev, Ib }, X86_LOCK, IR_bts },
    [6] = { "btr", tr_bit, { Ev, Ib }, X86_LOCK, IR_btr },
    [7] = { "btc", tr_bit, { Ev, Ib }, X86_LOCK, IR_btc },
};

static const X86Row cmpxchg8b_size[3] = {
    { "cmpxchg8b",  tr_cmpxchg8b,  { Mq }, X86_LOCK },
    { "cmpxchg8b",  tr_cmpxchg8b,  { Mq }, X86_LOCK },
    { "cmpxchg16b", tr_cmpxchg16b, { Mdq }, X86_LOCK, .cpuid = X86_FEATURE(feat_1_ecx, 13) },
};

static const X86Row rdpid_prefix[4] = {
    [2] = { "rdpid", tr_rdpid, { Ry }, .cpuid = X86_FEATURE(feat_7_ecx, 22) },
};
static const X86Row group9_7[2] = { [1] = { BY_PREFIX(rdpid_prefix) } };
static const X86Row group9[8] = {
    [1] = { BY_OSIZE(cmpxchg8b_size) },
    [7] = { BY_MOD(group9_7) },
};

static const X86Row b8_prefix[4] = {
    [2] = { "popcnt", tr_count_bits, { Gv, Ev }, 0, IR_popcnt, X86_FEATURE(feat_1_ecx, 23) },
};
static const X86Row bc_prefix[4] = {
    { "bsf", tr_count_bits, { Gv, Ev }, 0, IR_bsf },
    { "bsf", tr_count_bits, { Gv, Ev }, 0, IR_bsf },
    { "tzcnt", tr_tzcnt, { Gv, Ev } },
    { "bsf", tr_count_bits, { Gv, Ev }, 0, IR_bsf },
};
static const X86Row bd_prefix[4] = {
    { "bsr", tr_count_bits, { Gv, Ev }, 0, IR_bsr },
    { "bsr", tr_count_bits, { Gv, Ev }, 0, IR_bsr },
    { "lzcnt", tr_lzcnt, { Gv, Ev } },
    { "bsr", tr_count_bits, { Gv, Ev }, 0, IR_bsr },
};

#define ROWS8(base, ...)                                                                           \
    [base] = __VA_ARGS__, [base + 1] = __VA_ARGS__, [base + 2] = __VA_ARGS__,                      \
    [base + 3] = __VA_ARGS__, [base + 4] = __VA_ARGS__, [base + 5] = __VA_ARGS__,                  \
    [base + 6] = __VA_ARGS__, [base + 7] = __VA_ARGS__

#define COND(n, cc)                                                                                \
    [0x40 + n] = { "cmov" cc, tr_cmov, { Gv, Ev }, 0, n, X86_FEATURE(feat_1_edx, 15) },            \
    [0x80 + n] = { "j" cc, tr_jcc, { Jz }, X86_F64, n },                                           \
    [0x90 + n] = { "set" cc, tr_setcc, { Eb }, 0, n }

#define NOP { "nop", tr_nop, { Ev } }

const X86Row x86_0f[256] = {
    [0x00] = { BY_REG(group6) },
    [0x01] = { BY_MOD(group7_mod) },
    [0x02] = { "lar", tr_lar, { Gv, Ew }, X86_PE },
    [0x03] = { "lsl", tr_lsl, { Gv, Ew }, X86_PE },
    [0x05] = { "syscall", tr_syscall, { 0 }, X86_ONLY64, .cpuid = X86_FEATURE(feat_81_edx, 11) },
    [0x06] = { "clts", tr_clts, { 0 }, X86_END },
    [0x07] = { "sysret", tr_sysret, { 0 }, X86_ONLY64, .cpuid = X86_FEATURE(feat_81_edx, 11) },
    [0x08] = { "invd", tr_wbinvd },
    [0x09] = { "wbinvd", tr_wbinvd },
    [0x0b] = { "ud2", tr_ud },
    [0x0d] = { "prefetchw", tr_nop, { Ev } },
    ROWS8(0x18, NOP),
    [0x20] = { "mov", tr_read_cr, { Ry, Cy } },
    [0x21] = { "mov", tr_read_dr, { Ry, Dy } },
    [0x22] = { "mov", tr_write_cr, { Cy, Ry }, X86_END },
    [0x23] = { "mov", tr_write_dr, { Dy, Ry }, X86_END },
    [0x30] = { "wrmsr", tr_wrmsr, { 0 }, X86_END },
    [0x31] = { "rdtsc", tr_rdtsc },
    [0x32] = { "rdmsr", tr_rdmsr },
    [0x33] = { "rdpmc", tr_rdpmc },
    [0x34] = { "sysenter", tr_sysenter, { 0 }, X86_PE, .cpuid = X86_FEATURE(feat_1_edx, 11) },
    [0x35] = { "sysexit", tr_sysexit, { 0 }, X86_PE, .cpuid = X86_FEATURE(feat_1_edx, 11) },
    COND(0, "o"), COND(1, "no"), COND(2, "b"),  COND(3, "ae"),
    COND(4, "e"), COND(5, "ne"), COND(6, "be"), COND(7, "a"),
    COND(8, "s"), COND(9, "ns"), COND(10, "p"), COND(11, "np"),
    COND(12, "l"), COND(13, "ge"), COND(14, "le"), COND(15, "g"),
    [0xa0] = { "push", tr_push_seg, { FS }, X86_D64 },
    [0xa1] = { "pop",  tr_pop_seg,  { FS }, X86_D64 },
    [0xa2] = { "cpuid", tr_cpuid },
    [0xa3] = { "bt", tr_bit, { Ev, Gv }, 0, IR_bt },
    [0xa4] = { "shld", tr_double_shift, { Ev, Gv, Ib }, 0, IR_shld },
    [0xa5] = { "shld", tr_double_shift, { Ev, Gv, CL }, 0, IR_shld },
    [0xa8] = { "push", tr_push_seg, { GS }, X86_D64 },
    [0xa9] = { "pop",  tr_pop_seg,  { GS }, X86_D64 },
    [0xaa] = { "rsm", tr_ud },
    [0xab] = { "bts", tr_bit, { Ev, Gv }, X86_LOCK, IR_bts },
    [0xac] = { "shrd", tr_double_shift, { Ev, Gv, Ib }, 0, IR_shrd },
    [0xad] = { "shrd", tr_double_shift, { Ev, Gv, CL }, 0, IR_shrd },
    [0xaf] = { "imul", tr_imul2, { Gv, Ev } },
    [0xb0] = { "cmpxchg", tr_cmpxchg, { Eb, Gb }, X86_LOCK },
    [0xb1] = { "cmpxchg", tr_cmpxchg, { Ev, Gv }, X86_LOCK },
    [0xb2] = { "lss", tr_load_far, { Gv, Mp }, 0, SEG_SS },
    [0xb3] = { "btr", tr_bit, { Ev, Gv }, X86_LOCK, IR_btr },
    [0xb4] = { "lfs", tr_load_far, { Gv, Mp }, 0, SEG_FS },
    [0xb5] = { "lgs", tr_load_far, { Gv, Mp }, 0, SEG_GS },
    [0xb6] = { "movzx", tr_movzx, { Gv, Eb } },
    [0xb7] = { "movzx", tr_movzx, { Gv, Ew } },
    [0xb8] = { BY_PREFIX(b8_prefix) },
    [0xb9] = { "ud1", tr_ud, { Gv, Ev } },
    [0xba] = { BY_REG(group8) },
    [0xbb] = { "btc", tr_bit, { Ev, Gv }, X86_LOCK, IR_btc },
    [0xbc] = { BY_PREFIX(bc_prefix) },
    [0xbd] = { BY_PREFIX(bd_prefix) },
    [0xbe] = { "movsx", tr_movsx, { Gv, Eb } },
    [0xbf] = { "movsx", tr_movsx, { Gv, Ew } },
    [0xc0] = { "xadd", tr_xadd, { Eb, Gb }, X86_LOCK },
    [0xc1] = { "xadd", tr_xadd, { Ev, Gv }, X86_LOCK },
    [0xc3] = { "movnti", tr_mov_, { My, Gy }, X86_NO_PREFIX },
    [0xc7] = { BY_REG(group9) },
    ROWS8(0xc8, { "bswap", tr_bswap, { Zv } }),
    [0xff] = { "ud0", tr_ud, { Gv, Ev } },
};

/* 66 does not change what these are: it makes the operand 16 bits. */
#define MOVBE(a, b) { "movbe", tr_movbe, { a, b }, .cpuid = X86_FEATURE(feat_1_ecx, 22) }
#define CRC32(e) { "crc32", tr_crc32, { Gy, e }, .cpuid = X86_FEATURE(feat_1_ecx, 20) }
static const X86Row f0_prefix[4] = { MOVBE(Gv, Mv), MOVBE(Gv, Mv), { 0 }, CRC32(Eb) };
static const X86Row f1_prefix[4] = { MOVBE(Mv, Gv), MOVBE(Mv, Gv), { 0 }, CRC32(Ev) };
static const X86Row x82_prefix[4] = {
    [1] = { "invpcid", tr_invpcid, { Gq, Mdq }, X86_END, .cpuid = X86_FEATURE(feat_7_ebx, 10) },
};

const X86Row x86_0f38[256] = {
    [0x82] = { BY_PREFIX(x82_prefix) },
    [0xf0] = { BY_PREFIX(f0_prefix) },
    [0xf1] = { BY_PREFIX(f1_prefix) },
};

const X86Row x86_0f3a[256];
/* clang-format on */
