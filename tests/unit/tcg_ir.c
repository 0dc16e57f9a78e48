/*
 * tcg_ir.c - the IR's flag liveness and verifier, and lazy flags against a bit-by-bit model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tcg/ir.h"
#include "tests/unit/random.h"

/* -- lazy flags */

/* Ripple-carry addition of a, b and a carry: the sum, and the carry out of each bit. */
static uint64_t ripple(uint64_t a, uint64_t b, bool carry, unsigned bits, uint64_t *carries)
{
    uint64_t sum = 0;

    *carries = 0;
    for (unsigned i = 0; i < bits; i++) {
        unsigned n = (a >> i & 1) + (b >> i & 1) + carry;

        sum |= (uint64_t)(n & 1) << i;
        carry = n >> 1;
        *carries |= (uint64_t)carry << i;
    }
    return sum;
}

static uint32_t model_result(uint64_t r, unsigned bits)
{
    uint32_t flags = r ? 0 : FLAG_ZF;
    unsigned ones = 0;

    for (unsigned i = 0; i < 8; i++)
        ones += r >> i & 1;
    return flags | (ones % 2 ? 0 : FLAG_PF) | (r >> (bits - 1) & 1 ? FLAG_SF : 0);
}

static uint32_t model(uint64_t a, uint64_t b, bool subtract, unsigned bits, uint64_t *result)
{
    uint64_t c;
    uint64_t r = ripple(a, subtract ? ~b : b, subtract, bits, &c);
    bool carry = (c >> (bits - 1) & 1) != subtract;
    bool half = (c >> 3 & 1) != subtract;
    bool overflow = (c >> (bits - 1) & 1) != (c >> (bits - 2) & 1);

    *result = r;
    return model_result(r, bits) | (carry ? FLAG_CF : 0) | (half ? FLAG_AF : 0) |
           (overflow ? FLAG_OF : 0);
}

static void check_pair(uint64_t a, uint64_t b, unsigned width)
{
    unsigned bits = 8u << width;
    uint64_t r, dirt = bits < 64 ? UINT64_C(0xa5a5a5a5a5a5a5a5) << bits : 0;
    uint32_t want = model(a, b, false, bits, &r);

    assert_int_equal(flags_compute(LAZY(LAZY_ADD, width), r | dirt, b | dirt), want);
    want = model(a, b, true, bits, &r);
    assert_int_equal(flags_compute(LAZY(LAZY_SUB, width), r | dirt, b | dirt), want);
    assert_int_equal(flags_compute(LAZY(LAZY_CMP, width), a | dirt, b | dirt), want);
    assert_int_equal(flags_compute(LAZY(LAZY_LOGIC, width), a | dirt, b), model_result(a, bits));
}

static void lazy_flags_of_all_bytes(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            check_pair(a, b, IR_8);
}

static void lazy_flags_of_wide_values(void **state)
{
    Random r = { .state = 1 };

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned width = 1 + random_below(&r, 3);
        uint64_t mask = UINT64_MAX >> (64 - (8u << width));
        uint64_t a = random_u64(&r) >> random_below(&r, 64), b = random_u64(&r);

        check_pair(a & mask, b & mask, width);
        check_pair(a & mask, a & mask, width);
        check_pair(a & mask, (a + 1) & mask, width);
        check_pair((a + 1) & mask, 1, width);
        check_pair(UINT64_C(1) << ((8u << width) - 1), b & 1, width);
    }
}

static void packed_flags_are_the_six(void **state)
{
    (void)state;
    assert_int_equal(flags_compute(LAZY(LAZY_PACKED, 0), UINT64_MAX, 0), FLAGS_ALL);
}

/* -- blocks under construction */

static IrBlock block;

static uint64_t nothing(Cpu *cpu)
{
    (void)cpu;
    return 0;
}

static const IrHelper faulting = { "faulting", nothing, HELPER_FAULTS };
static const IrHelper with_flags = { "with_flags", nothing, HELPER_FLAGS };

static void begin(void)
{
    ir_reset(&block, 0, 0);
    ir_insn(&block, 0);
}

static IrOp *emit(IrOpcode op, IrRef d, IrRef a, IrRef b)
{
    IrOp *o = ir_emit(&block, op, IR_32, d, a, b, REF_NONE);

    if (ir_op_info[op].flags_written)
        o->attr |= IR_SETF;
    return o;
}

static IrRef memory(void)
{
    return ir_mem(&block, &(IrMem) { .base = ir_g(3), .asize = IR_64, .lsize = IR_64 });
}

static void finish(void)
{
    emit(IR_exit, 0, 0, 0);
    assert_null(ir_verify(&block));
    ir_liveness(&block);
}

static unsigned live(unsigned op)
{
    assert_int_equal((block.ops[op].attr & IR_SETF) != 0, block.ops[op].live != 0);
    return block.ops[op].live;
}

static void overwritten_flags_are_dead(void **state)
{
    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1)); /* 1 */
    emit(IR_cmp, 0, ir_g(0), ir_g(1));       /* 2 */
    finish();
    assert_int_equal(live(1), 0);
    assert_int_equal(live(2), FLAGS_LIVE_OUT);
}

static void readers_keep_flags_alive(void **state)
{
    (void)state;
    begin();
    emit(IR_cmp, 0, ir_g(0), ir_g(1)); /* 1 */
    emit(IR_setcc, ir_g(2), 0, 0)->cc = CC_E;
    emit(IR_sub, ir_g(0), ir_g(0), ir_g(1)); /* 3 */
    emit(IR_adc, ir_g(0), ir_g(0), ir_g(1)); /* 4 */
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_READ);
    assert_int_equal(live(3), FLAGS_LIVE_READ);
    assert_int_equal(live(4), FLAGS_LIVE_OUT);
}

static void faults_need_flags(void **state)
{
    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1)); /* 1 */
    ir_insn(&block, 2);
    emit(IR_ld, ir_g(5), memory(), 0);
    emit(IR_sub, ir_g(0), ir_g(0), ir_g(1)); /* 4 */
    ir_insn(&block, 4);
    ir_call(&block, &faulting, 0, 0, 0, 0);
    emit(IR_sub, ir_g(0), ir_g(0), ir_g(1)); /* 7 */
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_FAULT);
    assert_int_equal(live(4), FLAGS_LIVE_FAULT);
    assert_int_equal(live(7), FLAGS_LIVE_OUT);
}

static void inc_lets_carry_through(void **state)
{
    (void)state;
    begin();
    emit(IR_sub, ir_g(0), ir_g(0), ir_g(1)); /* 1: only CF matters */
    emit(IR_inc, ir_g(0), ir_g(0), 0);       /* 2 */
    emit(IR_jcc, 0, 0, 0)->cc = CC_B;
    emit(IR_test, 0, ir_g(0), ir_g(0)); /* 4 */
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_READ | FLAGS_LIVE_OUT);
    assert_int_equal(live(2), FLAGS_LIVE_OUT);
    assert_int_equal(live(4), FLAGS_LIVE_OUT);
}

static void shifts_depend_on_their_count(void **state)
{
    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1)); /* 1: the shift may keep them */
    emit(IR_shl, ir_g(0), ir_g(0), ir_g(1)); /* 2 */
    emit(IR_setcc, ir_g(2), 0, 0)->cc = CC_E;
    emit(IR_shl, ir_g(0), ir_g(0), ir_g(1));         /* 4: dead, so it needs nothing */
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1));         /* 5: dead */
    emit(IR_shl, ir_g(0), ir_g(0), ir_k(&block, 3)); /* 6 */
    emit(IR_shl, ir_g(0), ir_g(0), ir_k(&block, 0)); /* 7: does nothing */
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_READ);
    assert_int_equal(live(2), FLAGS_LIVE_READ);
    assert_int_equal(live(4), 0);
    assert_int_equal(live(5), 0);
    assert_int_equal(live(6), FLAGS_LIVE_OUT);
    assert_int_equal(live(7), 0);
}

static void helpers_see_flags(void **state)
{
    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1)); /* 1 */
    ir_call(&block, &with_flags, 0, 0, 0, 0);
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_READ);
}

static void read_modify_write_sets_its_flags(void **state)
{
    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_g(1)); /* 1 */
    ir_insn(&block, 2);
    emit(IR_rmw, 0, memory(), ir_g(1))->cc = RMW_INC; /* 3: CF of 1 goes out */
    finish();
    assert_int_equal(live(1), FLAGS_LIVE_OUT | FLAGS_LIVE_FAULT);
    assert_int_equal(live(3), FLAGS_LIVE_OUT);
}

/* -- the verifier refuses */

static void broken_no_insn(void)
{
    ir_reset(&block, 0, 0);
}

static void broken_write_before_fault(void)
{
    emit(IR_mov, ir_g(0), ir_g(1), 0);
    emit(IR_ld, ir_g(5), memory(), 0);
}

static void broken_flags_before_fault(void)
{
    emit(IR_cmp, 0, ir_g(0), ir_g(1));
    emit(IR_st, 0, memory(), ir_g(0));
}

static void broken_temp_across_insn(void)
{
    IrRef t = ir_temp(&block);

    emit(IR_mov, t, ir_g(0), 0);
    ir_insn(&block, 1);
    emit(IR_mov, ir_g(0), t, 0);
}

static void broken_temp_in_address(void)
{
    IrRef t = ir_temp(&block);

    emit(IR_ld, ir_g(5), ir_mem(&block, &(IrMem) { .base = t, .asize = IR_64, .lsize = IR_64 }), 0);
}

static void broken_exit_in_middle(void)
{
    emit(IR_exit, 0, 0, 0);
}

static void broken_operand_kind(void)
{
    emit(IR_add, ir_k(&block, 1), ir_g(0), ir_g(0));
}

static void broken_missing_operand(void)
{
    emit(IR_add, ir_g(0), ir_g(0), 0);
}

static void broken_extra_operand(void)
{
    emit(IR_mov, ir_g(0), ir_g(0), ir_g(1));
}

static void broken_high_part(void)
{
    emit(IR_mov, ir_g_high(0), ir_g(1), 0);
}

static void broken_many_temps(void)
{
    IrRef t[17];

    for (unsigned i = 0; i < 17; i++)
        emit(IR_mov, t[i] = ir_temp(&block), ir_g(0), 0);
    for (unsigned i = 0; i < 17; i++)
        emit(IR_add, ir_g(0), ir_g(0), t[i]);
}

static void verifier_names_mistakes(void **state)
{
    static const struct {
        void (*make)(void);
        const char *message;
    } cases[] = {
        { broken_no_insn, "op 0 (exit): a block starts with insn" },
        { broken_write_before_fault, "op 2 (ld): may fault after a register or flag" },
        { broken_flags_before_fault, "op 2 (st): may fault after a register or flag" },
        { broken_temp_across_insn, "op 3 (mov): t0 is read before it is written" },
        { broken_temp_in_address, "op 1 (ld): t0 is read before it is written" },
        { broken_exit_in_middle, "op 1 (exit): an exit in the middle" },
        { broken_operand_kind, "op 1 (add): operand 0 has kind" },
        { broken_missing_operand, "op 1 (add): operand 2 is missing" },
        { broken_extra_operand, "op 1 (mov): operand 2 must be absent" },
        { broken_high_part, "op 1 (mov): operand 0: a high part" },
        { broken_many_temps, "op 17 (mov): 17 temporaries are alive" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *message;

        begin();
        cases[i].make();
        emit(IR_exit, 0, 0, 0);
        message = ir_verify(&block);
        assert_non_null(message);
        if (strncmp(message, cases[i].message, strlen(cases[i].message)))
            assert_string_equal(message, cases[i].message);
    }
}

static void prints(void **state)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    begin();
    emit(IR_add, ir_g(0), ir_g(0), ir_k(&block, 5));
    finish();
    ir_print(&block, out);
    fclose(out);
    assert_string_equal(text, "  +0:\n    add.32 g0, g0, 0x5 setf\n    exit.32\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lazy_flags_of_all_bytes),
        cmocka_unit_test(lazy_flags_of_wide_values),
        cmocka_unit_test(packed_flags_are_the_six),
        cmocka_unit_test(overwritten_flags_are_dead),
        cmocka_unit_test(readers_keep_flags_alive),
        cmocka_unit_test(faults_need_flags),
        cmocka_unit_test(inc_lets_carry_through),
        cmocka_unit_test(shifts_depend_on_their_count),
        cmocka_unit_test(helpers_see_flags),
        cmocka_unit_test(read_modify_write_sets_its_flags),
        cmocka_unit_test(verifier_names_mistakes),
        cmocka_unit_test(prints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
