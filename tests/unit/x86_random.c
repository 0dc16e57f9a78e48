/*
 * x86_random.c - random integer code on this CPU and in the translator: registers, defined flags
 * and memory must agree, also where an instruction faults.
 *
 * X86_RANDOM_COUNT: sequences (default 3000); X86_RANDOM_SEED: the first one's seed;
 * X86_RANDOM_BACKEND: only this one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/tcg_machine.h"
#include "tests/unit/x86_generate.h"
#include "tests/unit/x86_native.h"

enum {
    SCRATCH_SIZE = 3 * 4096,
    SCRATCH_END = 0x400000, /* the page directory's next entry is not there */
    SCRATCH = SCRATCH_END - SCRATCH_SIZE,
    COMPARED_FLAGS = FLAGS_ALL | EFL_DF,
};

static const char *const backends[] = { "interp", "x86_64" };

typedef struct {
    bool code32, stepped;
    Machine *machines[ARRAY_LEN(backends)];
    GenTable table;
    uint8_t code[1024], before[SCRATCH_SIZE];
    size_t len;
    uint32_t undefined;
    NativeState start, native;
    char message[4096];
} Test;

static Test test;

/* -- the translator's side */

static bool has_backend(const char *name)
{
    TcgConfig config = { .backend = name };
    TcgBus bus = { 0 };
    Tcg *tcg = tcg_new(&config, &bus, NULL);

    if (tcg)
        tcg_free(tcg);
    return tcg != NULL;
}

/* #DB goes to an IRETQ on a stack of its own, so that single-stepped code sees nothing of it. */
static void install_step_handler(Machine *m)
{
    enum { GDT = 0x112400, IDT = 0x112000, HANDLER = 0x112800, TSS = 0x113000, STACK = 0x114000 };
    static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
    const uint64_t gate[] = { (uint64_t)(HANDLER >> 16) << 48 | UINT64_C(0x8e010008) << 16 |
                              (HANDLER & 0xffff) };
    X86Cpu *x = x86(m->cpu);

    memcpy(m->ram + GDT, gdt, sizeof(gdt));
    memcpy(m->ram + IDT + 16, gate, sizeof(gate));
    memcpy(m->ram + HANDLER, "\x48\xcf", 2);
    memcpy(m->ram + TSS + 36, &(uint64_t) { STACK }, 8);
    x->gdtr.base = GDT;
    x->gdtr.limit = sizeof(gdt) - 1;
    x->idtr.base = IDT;
    x->idtr.limit = 31;
    x->tr = (X86Seg) { .selector = 0x18, .base = TSS, .limit = 0x67, .attr = DESC_P | 11 << 8 };
}

/* The features that the generator uses whatever the model says. */
static void machine_start_test(Machine *m)
{
    X86Cpu *x = x86(m->cpu);
    uint64_t *tables = (uint64_t *)(m->ram + m->ram_size - 0x3000);

    x->model.feat_1_ecx |= 1u << 13 | 1u << 20 | 1u << 22 | 1u << 23;
    x->model.feat_7_ebx |= 1u << 3;
    x->model.feat_81_ecx |= 1u << 5;
    if (test.code32) {
        machine_protected_mode(m, NATIVE_CODE, 0);
    } else {
        machine_long_mode(m, NATIVE_CODE, 0);
        tables[1024 + SCRATCH_END / (2 << 20)] = 0;
    }
    if (test.stepped)
        install_step_handler(m);
    m->ram[NATIVE_EXIT] = m->ram[NATIVE_EXIT32] = 0xf4;
    m->quiet = true; /* every fault ends in a shutdown, which is reported */
}

static RunResult run_translated(Machine *m, const NativeState *start)
{
    X86Cpu *x = x86(m->cpu);

    machine_load(m, start->rip, test.code, test.len);
    machine_load(m, SCRATCH, test.before, SCRATCH_SIZE);
    memcpy(x->c.gpr, start->gpr, sizeof(start->gpr));
    cpu_set_flags(&x->c, (uint32_t)start->flags);
    x->eflags = (start->flags & ~(uint64_t)FLAGS_ALL) | (test.stepped ? EFL_TF : 0);
    x->c.pc = start->rip;
    x->c.halted = x->c.shutdown = x->exc.pending = false;
    x->exc_depth = -1;
    x86_update_mode(x);
    return machine_run(m);
}

/* -- comparing */

static int say(int n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int say(int n, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (n < (int)sizeof(test.message))
        n += vsnprintf(test.message + n, sizeof(test.message) - (size_t)n, fmt, args);
    va_end(args);
    return n;
}

/* The code as text, up to the jump that ends it. */
static void list_code(int n)
{
    uint32_t mode = (test.code32 ? MODE_CODE32 : MODE_CODE64) | MODE_PE;
    char text[128];
    X86Insn in;

    for (size_t at = 0; at < test.len; at += in.len ? in.len : 1) {
        if (x86_decode(test.code + at, 15, mode, &in) != X86_DECODED)
            snprintf(text, sizeof(text), "?");
        else
            x86_disas(&in, test.start.rip + at, text, sizeof(text));
        n = say(n, "  %llx: %s\n", (unsigned long long)(test.start.rip + at), text);
    }
}

static int compare_memory(const Machine *m, int n)
{
    const uint8_t *native = (const uint8_t *)SCRATCH;

    for (unsigned i = 0; i < SCRATCH_SIZE; i++)
        if (m->ram[SCRATCH + i] != native[i])
            return say(n, "[%#x] %02x, not %02x; ", SCRATCH + i, m->ram[SCRATCH + i], native[i]);
    return n;
}

/* Length of the complaint. */
static int compare(const Machine *m, RunResult result)
{
    static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    const NativeState *s = &test.native;
    X86Cpu *x = x86(m->cpu);
    uint64_t rip = x->c.pc - (result == RUN_HALTED);
    uint64_t flags = x86_get_eflags(x), mask = COMPARED_FLAGS & ~(uint64_t)test.undefined;
    int n = 0;

    if (s->signal) /* where the sequence stops, other flags may be undefined */
        mask = 0;
    if ((result == RUN_SHUTDOWN) != (s->signal != 0))
        n = say(n, "signal %d, run result %d; ", s->signal, result);
    if (rip != s->rip)
        n = say(n, "rip %llx, not %llx; ", (unsigned long long)rip, (unsigned long long)s->rip);
    for (unsigned i = 0; i < (test.code32 ? 8 : 16); i++)
        if (x->c.gpr[i] != s->gpr[i])
            n = say(n, "%s %llx, not %llx; ", names[i], (unsigned long long)x->c.gpr[i],
                    (unsigned long long)s->gpr[i]);
    if ((flags ^ s->flags) & mask)
        n = say(n, "flags %llx, not %llx (mask %llx); ", (unsigned long long)flags,
                (unsigned long long)s->flags, (unsigned long long)mask);
    return compare_memory(m, n);
}

/* -- one sequence */

static void make_sequence(uint64_t seed)
{
    Random rnd = { seed };
    Gen g = { .rnd = &rnd,
              .code = test.code,
              .end = test.code + sizeof(test.code),
              .code32 = test.code32,
              .stepped = test.stepped,
              .scratch = SCRATCH,
              .scratch_size = SCRATCH_SIZE };
    unsigned offset = random_below(&rnd, 8) ? 0 : 4096 - random_below(&rnd, 60);

    g.at = NATIVE_CODE + offset;
    gen_sequence(&g, &test.table, 1 + random_below(&rnd, 24),
                 test.code32 ? NATIVE_EXIT32 : NATIVE_EXIT);
    test.len = g.n;
    test.undefined = g.undefined;
    test.start = (NativeState) { .rip = g.at, .flags = 0x202 | (random_u64(&rnd) & FLAGS_ALL) };
    for (unsigned i = 0; i < 16; i++)
        test.start.gpr[i] = test.code32 ? (uint32_t)gen_value(&g) : gen_value(&g);
    test.start.gpr[RSP] = SCRATCH + 2 * 4096 + 2048 + 8 * random_below(&rnd, 64);
    for (unsigned i = 0; i < SCRATCH_SIZE; i += 8)
        memcpy(test.before + i, &(uint64_t) { gen_value(&g) }, 8);
    memcpy(test.start.fx, (uint8_t[2]) { 0x7f, 0x03 }, 2);
    memcpy(test.start.fx + 24, (uint8_t[2]) { 0x80, 0x1f }, 2);
}

static void run_native(void)
{
    test.native = test.start;
    memcpy((void *)(uintptr_t)test.start.rip, test.code, test.len);
    memcpy((void *)SCRATCH, test.before, SCRATCH_SIZE);
    if (test.code32)
        native_run32(&test.native);
    else
        native_run(&test.native);
}

static void check_sequence(uint64_t seed)
{
    make_sequence(seed);
    run_native();
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        Machine *m = test.machines[i];
        if (!m)
            continue;
        int n = compare(m, run_translated(m, &test.start));
        if (n) {
            list_code(say(n, "\n%s, seed %llu:\n", backends[i], (unsigned long long)seed));
            fail_msg("%s", test.message);
        }
    }
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void machines_new(void)
{
    const char *only = getenv("X86_RANDOM_BACKEND");

    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        test.machines[i] = NULL;
        if ((only && strcmp(only, backends[i])) || !has_backend(backends[i]))
            continue;
        test.machines[i] = machine_new(backends[i], 8);
        machine_x86(test.machines[i], "qemu64");
        machine_start_test(test.machines[i]);
    }
}

static void check_sequences(bool code32, bool stepped)
{
    uint64_t seed = number("X86_RANDOM_SEED", 1), count = number("X86_RANDOM_COUNT", 3000);

    if (!native_init(SCRATCH, SCRATCH_SIZE))
        skip();
    test.code32 = code32;
    test.stepped = stepped;
    gen_table_init(&test.table, code32);
    machines_new();
    print_message("# seeds %llu to %llu\n", (unsigned long long)seed,
                  (unsigned long long)(seed + count - 1));
    for (uint64_t i = 0; i < count; i++)
        check_sequence(seed + i);
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        if (!test.machines[i])
            continue;
        assert_int_equal(x86(test.machines[i]->cpu)->dr[6] >> 14 & 1, stepped);
        machine_free(test.machines[i]);
    }
}

static void agrees_in_64_bit_mode(void **state)
{
    (void)state;
    check_sequences(false, false);
}

static void agrees_in_32_bit_mode(void **state)
{
    (void)state;
    check_sequences(true, false);
}

static void agrees_single_stepping(void **state)
{
    (void)state;
    check_sequences(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_in_64_bit_mode),
        cmocka_unit_test(agrees_in_32_bit_mode),
        cmocka_unit_test(agrees_single_stepping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
