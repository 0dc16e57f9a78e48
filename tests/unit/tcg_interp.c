/*
 * tcg_interp.c - the interpreter's operations: arithmetic against the host's own instructions (on
 * an x86-64 host), and parts of registers, moves, flags and memory by cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tcg/host/interp/alu.h"
#include "tcg/host/interp/interp.h"
#include "tests/unit/random.h"
#include "tests/unit/tcg_machine.h"
#include "tcg/vop.h"

/* -- arithmetic against the host */

#ifdef __x86_64__

/* One instruction with the flags in `f`; the stack below the red zone carries them. */
#define RUN(insn)                                                                                  \
    __asm__ volatile("lea -128(%%rsp), %%rsp; push %[f]; popfq; " insn                             \
                     "; pushfq; pop %[f]; lea 128(%%rsp), %%rsp"                                   \
                     : [f] "+&r"(*f), [a] "+&a"(a), "+&d"(c)                                       \
                     : [b] "c"(b), [s] "r"(source)                                                 \
                     : "cc")
#define NATIVE(name, insn8, insn16, insn32, insn64)                                                \
    static uint64_t native_##name(unsigned size, uint64_t a, uint64_t b, uint64_t c, uint64_t *f)  \
    {                                                                                              \
        uint64_t source = c;                                                                       \
                                                                                                   \
        switch (size) {                                                                            \
        case IR_8: RUN(insn8); break;                                                              \
        case IR_16: RUN(insn16); break;                                                            \
        case IR_32: RUN(insn32); break;                                                            \
        default: RUN(insn64); break;                                                               \
        }                                                                                          \
        return a;                                                                                  \
    }
#define BINARY(op)                                                                                 \
    NATIVE(op, #op " %b[b], %b[a]", #op " %w[b], %w[a]", #op " %k[b], %k[a]", #op " %[b], %[a]")
#define UNARY(op) NATIVE(op, #op " %b[a]", #op " %w[a]", #op " %k[a]", #op " %[a]")
#define WIDE(op)  NATIVE(op, "nop", #op " %w[b], %w[a]", #op " %k[b], %k[a]", #op " %[b], %[a]")
#define SHIFT(op)                                                                                  \
    NATIVE(op, #op " %%cl, %b[a]", #op " %%cl, %w[a]", #op " %%cl, %k[a]", #op " %%cl, %[a]")
#define DOUBLE(op)                                                                                 \
    NATIVE(op, "nop", #op " %%cl, %w[s], %w[a]", #op " %%cl, %k[s], %k[a]", #op " %%cl, %[s], %[a]")

BINARY(add)
BINARY(adc)
BINARY(sub)
BINARY(sbb)
BINARY(and)
BINARY(or)
BINARY(xor)
BINARY(cmp)
BINARY(test)
UNARY(neg)
UNARY(not )
UNARY(inc)
UNARY(dec)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)
DOUBLE(shld)
DOUBLE(shrd)
WIDE(bt)
WIDE(bts)
WIDE(btr)
WIDE(btc)
WIDE(imul)

#define SCAN(op) NATIVE(op, "nop", #op " %w[s], %w[a]", #op " %k[s], %k[a]", #op " %[s], %[a]")
SCAN(bsf)
SCAN(bsr)
SCAN(lzcnt)
SCAN(tzcnt)
SCAN(popcnt)

enum { NO_BYTES = 1, COUNTED = 2 };

typedef struct {
    const char *name;
    uint64_t (*native)(unsigned size, uint64_t a, uint64_t b, uint64_t c, uint64_t *f);
    IrOpcode op;
    uint32_t flags; /* that the architecture defines */
    unsigned attr;
} Row;

#define SHIFT_FLAGS (FLAGS_ALL & ~FLAG_AF)

static const Row rows[] = {
    { "add", native_add, IR_add, FLAGS_ALL, 0 },
    { "adc", native_adc, IR_adc, FLAGS_ALL, 0 },
    { "sub", native_sub, IR_sub, FLAGS_ALL, 0 },
    { "sbb", native_sbb, IR_sbb, FLAGS_ALL, 0 },
    { "and", native_and, IR_and, FLAGS_ALL & ~FLAG_AF, 0 },
    { "or", native_or, IR_or, FLAGS_ALL & ~FLAG_AF, 0 },
    { "xor", native_xor, IR_xor, FLAGS_ALL & ~FLAG_AF, 0 },
    { "neg", native_neg, IR_neg, FLAGS_ALL, 0 },
    { "not", native_not, IR_not, FLAGS_ALL, 0 },
    { "inc", native_inc, IR_inc, FLAGS_ALL, 0 },
    { "dec", native_dec, IR_dec, FLAGS_ALL, 0 },
    { "shl", native_shl, IR_shl, SHIFT_FLAGS, COUNTED },
    { "shr", native_shr, IR_shr, SHIFT_FLAGS, COUNTED },
    { "sar", native_sar, IR_sar, SHIFT_FLAGS, COUNTED },
    { "rol", native_rol, IR_rol, FLAGS_ALL, COUNTED },
    { "ror", native_ror, IR_ror, FLAGS_ALL, COUNTED },
    { "rcl", native_rcl, IR_rcl, FLAGS_ALL, COUNTED },
    { "rcr", native_rcr, IR_rcr, FLAGS_ALL, COUNTED },
    { "bt", native_bt, IR_bt, FLAGS_ALL, NO_BYTES },
    { "bts", native_bts, IR_bts, FLAGS_ALL, NO_BYTES },
    { "btr", native_btr, IR_btr, FLAGS_ALL, NO_BYTES },
    { "btc", native_btc, IR_btc, FLAGS_ALL, NO_BYTES },
};

static uint64_t interesting(Random *r)
{
    switch (random_below(r, 6)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return UINT64_C(0x8080000080008080) >> 8 * random_below(r, 8);
    case 3: return random_below(r, 70);
    default: return random_u64(r);
    }
}

/* Flags of a result that the architecture defines for this count. */
static uint32_t defined_flags(const Row *row, unsigned size, uint64_t b)
{
    unsigned n = b & (size == IR_64 ? 63 : 31), bits = 8u << size;
    uint32_t flags = row->flags;

    if (!(row->attr & COUNTED) || n == 0)
        return n == 0 && row->attr & COUNTED ? FLAGS_ALL : flags;
    if (n != 1)
        flags &= ~FLAG_OF;
    if (n >= bits && (row->op == IR_shl || row->op == IR_shr))
        flags &= ~FLAG_CF;
    return flags;
}

static void check_row(const Row *row, Random *r)
{
    unsigned size = random_below(r, 4);
    uint64_t mask = alu_mask(size);
    uint64_t a = interesting(r) & mask, b = interesting(r);
    uint32_t flags = random_u64(r) & FLAGS_ALL, before = flags;
    uint64_t f = flags | 2, want, got;

    if (size == IR_8 && row->attr & NO_BYTES)
        return;
    want = row->native(size, a, b, 0, &f) & mask;
    got = alu_do(row->op, size, a, b & mask, 0, &flags);
    uint32_t check = defined_flags(row, size, b);
    if (got != want || (flags ^ f) & check)
        fail_msg("%s.%u %#lx, %#lx flags %#x: %#lx flags %#x, the host says %#lx flags %#lx",
                 row->name, 8u << size, a, b & mask, before, got, flags & check, want, f & check);
}

static void arithmetic_is_the_hosts(void **state)
{
    Random r = { .state = 3 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned n = 0; n < 4000; n++)
            check_row(&rows[i], &r);
}

static void comparisons_are_the_hosts(void **state)
{
    Random r = { .state = 4 };

    (void)state;
    for (unsigned n = 0; n < 4000; n++) {
        unsigned size = random_below(&r, 4);
        uint64_t a = interesting(&r) & alu_mask(size), b = interesting(&r) & alu_mask(size);
        uint64_t f = 2;
        uint32_t flags = 0;

        native_cmp(size, a, b, 0, &f);
        alu_do(IR_cmp, size, a, b, 0, &flags);
        assert_int_equal(f & FLAGS_ALL, flags);
        native_test(size, a, b, 0, &f);
        alu_do(IR_test, size, a, b, 0, &flags);
        assert_int_equal(f & FLAGS_ALL & ~FLAG_AF, flags & ~FLAG_AF);
    }
}

static void double_shifts_are_the_hosts(void **state)
{
    Random r = { .state = 5 };

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        unsigned size = 1 + random_below(&r, 3), bits = 8u << size;
        uint64_t a = interesting(&r) & alu_mask(size), s = interesting(&r) & alu_mask(size);
        uint64_t count = random_below(&r, 256), f = random_u64(&r) & FLAGS_ALL, g = f | 2, want;
        bool left = random_below(&r, 2);
        uint32_t flags = f;
        unsigned masked = count & (size == IR_64 ? 63 : 31);
        uint32_t check = masked == 0 ? FLAGS_ALL : SHIFT_FLAGS & ~(masked > 1 ? FLAG_OF : 0);

        if (masked > bits)
            continue;
        want = left ? native_shld(size, a, count, s, &g) : native_shrd(size, a, count, s, &g);
        assert_int_equal(alu_do(left ? IR_shld : IR_shrd, size, a, s, count, &flags), want);
        assert_int_equal(flags & check, g & check);
    }
}

static void products_are_the_hosts(void **state)
{
    Random r = { .state = 6 };

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        unsigned size = 1 + random_below(&r, 3);
        uint64_t mask = alu_mask(size), a = interesting(&r) & mask, b = interesting(&r) & mask;
        uint64_t low, high, f = 2;
        uint32_t flags = 0;

        alu_mul(true, size, a, b, &low, &high, &flags);
        assert_int_equal(low, native_imul(size, a, b, 0, &f) & mask);
        assert_int_equal(flags, f & FLAGS_CO);
    }
}

static void scans_are_the_hosts(void **state)
{
    Random r = { .state = 7 };
    const Row scans[] = {
        { "bsf", native_bsf, IR_bsf, FLAG_ZF, 0 },
        { "bsr", native_bsr, IR_bsr, FLAG_ZF, 0 },
        { "popcnt", native_popcnt, IR_popcnt, FLAGS_ALL, __builtin_cpu_supports("popcnt") ? 0 : 1 },
        { "lzcnt", native_lzcnt, IR_lzcnt, FLAG_ZF | FLAG_CF,
          __builtin_cpu_supports("bmi") ? 0 : 1 },
        { "tzcnt", native_tzcnt, IR_tzcnt, FLAG_ZF | FLAG_CF,
          __builtin_cpu_supports("bmi") ? 0 : 1 },
    };

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        const Row *row = &scans[random_below(&r, ARRAY_LEN(scans))];
        unsigned size = 1 + random_below(&r, 3);
        uint64_t mask = alu_mask(size), s = interesting(&r) & mask, old = random_u64(&r) & mask;
        uint64_t f = 2, want;
        uint32_t flags = 0;

        if (row->attr)
            continue;
        want = row->native(size, old, 0, s, &f) & mask;
        assert_int_equal(alu_do(row->op, size, s, 0, old, &flags), want);
        assert_int_equal(flags & row->flags, f & row->flags);
    }
}
#endif

/* -- operations by cases */

typedef struct {
    Machine *m;
    Cpu *cpu;
    IrBlock ir;
    uint64_t temps[IR_MAX_TEMPS];
} Bench;

static Bench bench;

static int set_up(void **state)
{
    (void)state;
    bench.m = machine_new("interp", 4);
    machine_x86(bench.m, "max");
    machine_protected_mode(bench.m, 0, 0);
    bench.cpu = bench.m->cpu;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_free(bench.m);
    return 0;
}

static IrRef mem_at(uint32_t address)
{
    return ir_mem(&bench.ir, &(IrMem) { .disp = address, .asize = IR_32, .lsize = IR_32 });
}

static IrRef k(uint64_t value)
{
    return ir_k(&bench.ir, value);
}

static IrOp *op(IrOpcode opcode, IrSize size, IrRef d, IrRef a, IrRef b, IrRef c)
{
    IrOp *o = ir_emit(&bench.ir, opcode, size, d, a, b, c);

    if (ir_op_info[opcode].flags_written)
        o->attr |= IR_SETF;
    return o;
}

/* Run what op() has put together since the last time. */
static void run(void)
{
    const InterpView view = { bench.ir.mem, bench.ir.k, bench.temps };

    for (unsigned i = 0; i < bench.ir.n_ops; i++)
        interp_op(bench.cpu, &view, &bench.ir.ops[i]);
    ir_reset(&bench.ir, 0, 0);
}

static void writes_to_parts_of_registers(void **state)
{
    uint64_t *g = bench.cpu->gpr;
    static const struct {
        IrRef d;
        IrSize size;
        uint64_t want;
    } cases[] = {
        { REF_G, IR_8, 0x11111111111111ff },  { REF_G | REF_HIGH, IR_8, 0x111111111111ff11 },
        { REF_G, IR_16, 0x111111111111ffff }, { REF_G, IR_32, 0xffffffff },
        { REF_G, IR_64, UINT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        g[0] = 0x1111111111111111;
        op(IR_mov, cases[i].size, cases[i].d, k(UINT64_MAX), 0, 0);
        run();
        assert_int_equal(g[0], cases[i].want);
    }
    g[0] = 0xab00;
    op(IR_add, IR_8, ir_g(1), ir_g_high(0), k(1), 0);
    g[1] = 0;
    run();
    assert_int_equal(g[1], 0xac);
}

static void extensions(void **state)
{
    uint64_t *g = bench.cpu->gpr;

    (void)state;
    g[0] = 0x8899aabbccddeef0;
    op(IR_movzx, IR_32, ir_g(1), ir_g(0), 0, 0)->size2 = IR_8;
    op(IR_movsx, IR_64, ir_g(2), ir_g(0), 0, 0)->size2 = IR_8;
    op(IR_movsx, IR_32, ir_g(3), ir_g(0), 0, 0)->size2 = IR_16;
    op(IR_movsx, IR_64, ir_g(5), ir_g(0), 0, 0)->size2 = IR_32;
    op(IR_movsx, IR_16, ir_g(6), ir_g_high(0), 0, 0)->size2 = IR_8;
    g[6] = 0;
    run();
    assert_int_equal(g[1], 0xf0);
    assert_int_equal(g[2], 0xfffffffffffffff0);
    assert_int_equal(g[3], 0xffffeef0);
    assert_int_equal(g[5], 0xffffffffccddeef0);
    assert_int_equal(g[6], 0xffee);
}

static void products_with_two_halves(void **state)
{
    uint64_t *g = bench.cpu->gpr;

    (void)state;
    g[0] = 0x1122334455667788;
    op(IR_mulu, IR_8, ir_g(0), ir_g(0), k(0xff), REF_NONE);
    run();
    assert_int_equal(g[0], 0x1122334455660000 | 0x88 * 0xff);
    op(IR_muls, IR_32, ir_g(0), k(0xffffffff), k(5), ir_g(2));
    run();
    assert_int_equal(g[0], 0xfffffffb);
    assert_int_equal(g[2], 0xffffffff);
    op(IR_mulu, IR_64, ir_g(0), k(UINT64_MAX), k(UINT64_MAX), ir_g(2));
    run();
    assert_int_equal(g[0], 1);
    assert_int_equal(g[2], UINT64_MAX - 1);
    assert_int_equal(cpu_flags(bench.cpu) & FLAGS_CO, FLAGS_CO);
}

static void addresses(void **state)
{
    uint64_t *g = bench.cpu->gpr;
    IrMem m = { .base = ir_g(1), .index = ir_g(2), .scale = 2, .disp = -1, .lsize = IR_64 };

    (void)state;
    g[1] = 0x1fffffff0;
    g[2] = 8;
    m.asize = IR_16;
    op(IR_lea, IR_64, ir_g(3), ir_mem(&bench.ir, &m), 0, 0);
    m.asize = IR_32;
    op(IR_lea, IR_64, ir_g(4), ir_mem(&bench.ir, &m), 0, 0);
    m.asize = IR_64;
    op(IR_lea, IR_64, ir_g(5), ir_mem(&bench.ir, &m), 0, 0);
    m.pcrel = true;
    bench.cpu->rip_page = 0x5000;
    op(IR_lea, IR_64, ir_g(6), ir_mem(&bench.ir, &m), 0, 0);
    run();
    assert_int_equal(g[3], 0xf);
    assert_int_equal(g[4], 0xf);
    assert_int_equal(g[5], 0x20000000f);
    assert_int_equal(g[6], 0x20000500f);
}

static void flag_operations(void **state)
{
    Cpu *cpu = bench.cpu;

    (void)state;
    cpu_set_flags(cpu, FLAG_ZF | FLAG_OF);
    op(IR_setflags, IR_32, 0, k(FLAG_CF), 0, 0)->imm = FLAG_CF | FLAG_ZF;
    op(IR_getflags, IR_32, ir_g(0), 0, 0, 0);
    op(IR_cmc, IR_32, 0, 0, 0, 0);
    op(IR_getflags, IR_32, ir_g(1), 0, 0, 0);
    run();
    assert_int_equal(cpu->gpr[0], FLAG_CF | FLAG_OF);
    assert_int_equal(cpu->gpr[1], FLAG_OF);
    cpu->gpr[2] = UINT64_MAX;
    op(IR_cmovcc, IR_32, ir_g(2), k(5), 0, 0)->cc = CC_NO; /* not moved, but zero-extended */
    op(IR_setcc, IR_8, ir_g_high(2), 0, 0, 0)->cc = CC_NO;
    run();
    assert_int_equal(cpu->gpr[2], 0xffff00ff);
}

static void conditions(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a += 5) {
        for (unsigned b = 0; b < 256; b += 3) {
            uint32_t f = flags_compute(LAZY(LAZY_CMP, IR_8), a, b);
            bool want[16] = {
                [CC_B] = a<b, [CC_AE] = a >= b, [CC_E] = a == b, [CC_NE] = a != b, [CC_BE] = a <= b,
                           [CC_A] = a>
                    b,
                [CC_L] = (int8_t)a<(int8_t)b, [CC_GE] = (int8_t)a >= (int8_t)b,
                                   [CC_LE] = (int8_t)a <= (int8_t)b, [CC_G] = (int8_t)a>(int8_t) b
            };

            for (unsigned cc = CC_B; cc <= CC_A; cc++)
                assert_int_equal(alu_cond(f, cc), want[cc]);
            for (unsigned cc = CC_L; cc <= CC_G; cc++)
                assert_int_equal(alu_cond(f, cc), want[cc]);
        }
    }
}

static void loads_and_stores(void **state)
{
    uint64_t *g = bench.cpu->gpr;

    (void)state;
    for (unsigned i = 0; i < 16; i++)
        bench.m->ram[0x2000 + i] = 0xf0 + i;
    g[1] = UINT64_MAX;
    op(IR_ld, IR_8, ir_g(1), mem_at(0x2000), 0, 0);
    IrRef t = ir_temp(&bench.ir);
    op(IR_ld, IR_16, t, mem_at(0x2000), 0, 0)->attr |= IR_SIGNED;
    op(IR_mov, IR_64, ir_g(2), t, 0, 0);
    op(IR_ld, IR_32, ir_g(3), mem_at(0x2001), 0, 0);
    op(IR_ld, IR_64, ir_g(5), mem_at(0x2008), 0, 0);
    op(IR_st, IR_16, 0, mem_at(0x2fff), ir_g(5), 0);
    op(IR_ldv, IR_64, ir_v(3), mem_at(0x2000), 0, 0);
    op(IR_stv, IR_128, 0, mem_at(0x3ff8), ir_v(3), 0);
    run();
    assert_int_equal(g[1], 0xfffffffffffffff0);
    assert_int_equal(g[2], 0xfffffffffffff1f0);
    assert_int_equal(g[3], 0xf4f3f2f1);
    assert_int_equal(g[5], 0xfffefdfcfbfaf9f8);
    assert_int_equal(bench.m->ram[0x2fff], 0xf8);
    assert_int_equal(bench.m->ram[0x3000], 0xf9);
    assert_memory_equal(bench.m->ram + 0x3ff8, bench.m->ram + 0x2000, 8);
    assert_int_equal(bench.m->ram[0x4000], 0);
}

static void read_modify_writes(void **state)
{
    static const struct {
        IrRmw rmw;
        uint64_t old, b, new;
        uint32_t flags;
    } cases[] = {
        { RMW_ADD, 0xff, 1, 0, FLAG_CF | FLAG_ZF | FLAG_PF | FLAG_AF },
        { RMW_OR, 0x0f, 0x80, 0x8f, FLAG_SF },
        { RMW_AND, 0x0f, 0x80, 0, FLAG_ZF | FLAG_PF },
        { RMW_SUB, 0, 1, 0xff, FLAG_CF | FLAG_SF | FLAG_PF | FLAG_AF },
        { RMW_XOR, 0xff, 0x0f, 0xf0, FLAG_SF | FLAG_PF },
        { RMW_XCHG, 0x12, 0x34, 0x34, 0 },
        { RMW_INC, 0x7f, 0, 0x80, FLAG_OF | FLAG_SF | FLAG_AF },
        { RMW_DEC, 0, 0, 0xff, FLAG_SF | FLAG_PF | FLAG_AF },
        { RMW_NEG, 1, 0, 0xff, FLAG_CF | FLAG_SF | FLAG_PF | FLAG_AF },
        { RMW_NOT, 0x0f, 0, 0xf0, 0 },
        { RMW_BTS, 0, 3, 8, 0 },
        { RMW_BTR, 8, 3, 0, FLAG_CF },
        { RMW_BTC, 8, 3, 0, FLAG_CF },
        { RMW_ROL, 0x81, 1, 0x03, FLAG_CF | FLAG_OF },
        { RMW_SHR, 1, 1, 0, FLAG_CF | FLAG_ZF | FLAG_PF | FLAG_AF },
    };

    (void)state;
    for (unsigned crossing = 0; crossing < 4; crossing++) {
        uint32_t at = crossing == 3 ? 0x400000 : 0x2fff;

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            cpu_set_flags(bench.cpu, 0);
            bench.m->ram[0x2fff] = bench.m->mmio_answer = cases[i].old;
            IrOp *o = op(IR_rmw, IR_8, ir_g(1), mem_at(at), k(cases[i].b), 0);
            o->cc = cases[i].rmw;
            o->attr |= crossing == 1 ? IR_LOCK : 0;
            run();
            assert_int_equal(bench.cpu->gpr[1] & 0xff, cases[i].old);
            assert_int_equal(crossing == 3 ? bench.m->mmio_value : bench.m->ram[0x2fff],
                             cases[i].new);
            assert_int_equal(cpu_flags(bench.cpu), cases[i].flags);
        }
    }
}

static void compare_and_exchange(void **state)
{
    IrRef t = ir_temp(&bench.ir);
    uint32_t at[] = { 0x2004, 0x2ffe };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        memcpy(bench.m->ram + at[i], &(uint32_t) { 7 }, 4);
        op(IR_cmpxchg, IR_32, t, mem_at(at[i]), k(7), k(9));
        op(IR_mov, IR_32, ir_g(1), t, 0, 0);
        run();
        assert_int_equal(bench.cpu->gpr[1], 7);
        assert_int_equal(bench.m->ram[at[i]], 9);
        assert_true(cpu_flags(bench.cpu) & FLAG_ZF);
        op(IR_cmpxchg, IR_32, t, mem_at(at[i]), k(7), k(11));
        op(IR_mov, IR_32, ir_g(1), t, 0, 0);
        run();
        assert_int_equal(bench.cpu->gpr[1], 9);
        assert_int_equal(bench.m->ram[at[i]], 9);
        assert_int_equal(cpu_flags(bench.cpu), flags_compute(LAZY(LAZY_CMP, IR_32), 7, 9));
    }
}

static uint64_t sum(Cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    (void)cpu;
    return a + b * 10 + c * 100;
}

static void helpers_get_arguments(void **state)
{
    static const IrHelper helper = { "sum", sum, HELPER_PURE };

    (void)state;
    bench.cpu->gpr[5] = 0x0300;
    ir_call(&bench.ir, &helper, ir_g(1), k(1), k(2), ir_g_high(5));
    run();
    assert_int_equal(bench.cpu->gpr[1], 321);
}

static void crc_and_bswap(void **state)
{
    (void)state;
    op(IR_crc32, IR_32, ir_g(1), k(0), k('a'), 0)->size2 = IR_8;
    /* the check value of CRC-32C: "123456789" */
    op(IR_crc32, IR_32, ir_g(2), k(0xffffffff), k(0x3837363534333231), 0)->size2 = IR_64;
    op(IR_crc32, IR_32, ir_g(2), ir_g(2), k('9'), 0)->size2 = IR_8;
    op(IR_bswap, IR_32, ir_g(3), k(0x11223344), 0, 0);
    op(IR_bswap, IR_64, ir_g(5), k(0x1122334455667788), 0, 0);
    run();
    assert_int_equal(bench.cpu->gpr[1], 0x93ad1061);
    assert_int_equal(bench.cpu->gpr[2], 0xe3069283 ^ 0xffffffff);
    assert_int_equal(bench.cpu->gpr[3], 0x44332211);
    assert_int_equal(bench.cpu->gpr[5], 0x8877665544332211);
}

static void vectors(void **state)
{
    Cpu *cpu = bench.cpu;
    IrOp *o;

    (void)state;
    cpu->vec[1] = (VReg) { .q = { 0xff00ff00, 5 } };
    cpu->vec[2] = (VReg) { .q = { 0x0ff00ff0, 6 } };
    o = ir_emit(&bench.ir, IR_vop, IR_128, ir_v(3), ir_v(1), ir_v(2), 0);
    o->imm = VOP_xorps;
    memcpy(bench.m->ram + 0x2000, (uint64_t[]) { 1, 2 }, 16);
    o = ir_emit(&bench.ir, IR_vop, IR_128, ir_v(4), ir_v(1), mem_at(0x2000), 0);
    o->imm = VOP_xorps;
    run();
    assert_int_equal(cpu->vec[3].q[0], 0xf0f0f0f0);
    assert_int_equal(cpu->vec[3].q[1], 3);
    assert_int_equal(cpu->vec[4].q[0], 0xff00ff01);
    assert_int_equal(cpu->vec[4].q[1], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef __x86_64__
        cmocka_unit_test(arithmetic_is_the_hosts),
        cmocka_unit_test(comparisons_are_the_hosts),
        cmocka_unit_test(double_shifts_are_the_hosts),
        cmocka_unit_test(products_are_the_hosts),
        cmocka_unit_test(scans_are_the_hosts),
#endif
        cmocka_unit_test(writes_to_parts_of_registers),
        cmocka_unit_test(extensions),
        cmocka_unit_test(products_with_two_halves),
        cmocka_unit_test(addresses),
        cmocka_unit_test(flag_operations),
        cmocka_unit_test(conditions),
        cmocka_unit_test(loads_and_stores),
        cmocka_unit_test(read_modify_writes),
        cmocka_unit_test(compare_and_exchange),
        cmocka_unit_test(helpers_get_arguments),
        cmocka_unit_test(crc_and_bswap),
        cmocka_unit_test(vectors),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
