/*
 * x86_garbage.c - a hostile guest: random system instructions over random descriptor tables, TSSs
 * and page tables. Whatever it does to itself, the translator survives and can be stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "tests/unit/tcg_machine.h"

enum {
    CODE = 0x10000,
    CODE_SIZE = 512,
    TABLES = 0x20000, /* GDT, IDT, TSS, LDT and page tables overlap here */
    TABLES_SIZE = 0x4000,
    ROUNDS = 120,
    MILLISECONDS = 4,
};

/* Instructions worth meeting often; the operands that follow are random. */
static const struct {
    uint8_t bytes[4], length;
} templates[] = {
    { { 0xcd }, 1 },             /* int n */
    { { 0xcf }, 1 },             /* iret */
    { { 0xcb }, 1 },             /* retf */
    { { 0x9a }, 1 },             /* call far */
    { { 0xea }, 1 },             /* jmp far */
    { { 0x8e, 0xd0 }, 2 },       /* mov ss, ax */
    { { 0x8e, 0xd8 }, 2 },       /* mov ds, ax */
    { { 0x8e, 0xe8 }, 2 },       /* mov gs, ax */
    { { 0x0f, 0x00, 0xd8 }, 3 }, /* ltr ax */
    { { 0x0f, 0x00, 0xd0 }, 3 }, /* lldt ax */
    { { 0x0f, 0x22, 0xc0 }, 3 }, /* mov cr0, eax */
    { { 0x0f, 0x22, 0xd8 }, 3 }, /* mov cr3, eax */
    { { 0x0f, 0x22, 0xe0 }, 3 }, /* mov cr4, eax */
    { { 0x0f, 0x23, 0xf8 }, 3 }, /* mov dr7, eax */
    { { 0x0f, 0x01, 0xf8 }, 3 }, /* swapgs */
    { { 0x0f, 0x05 }, 2 },       /* syscall */
    { { 0x0f, 0x07 }, 2 },       /* sysret */
    { { 0x0f, 0x34 }, 2 },       /* sysenter */
    { { 0x0f, 0x35 }, 2 },       /* sysexit */
    { { 0x0f, 0x30 }, 2 },       /* wrmsr */
    { { 0x0f, 0x32 }, 2 },       /* rdmsr */
    { { 0x0f, 0xa2 }, 2 },       /* cpuid */
    { { 0x9d }, 1 },             /* popf */
    { { 0xfb }, 1 },             /* sti */
    { { 0xb8 }, 1 },             /* mov eax, imm */
    { { 0xb9 }, 1 },             /* mov ecx, imm */
    { { 0x0f, 0x02, 0xc0 }, 3 }, /* lar eax, eax */
    { { 0x0f, 0x01, 0x10 }, 3 }, /* lgdt [eax] */
    { { 0x0f, 0x01, 0x38 }, 3 }, /* invlpg [eax] */
};

static void random_code(Random *r, uint8_t *code)
{
    for (unsigned i = 0; i < CODE_SIZE; i++)
        code[i] = random_u64(r);
    for (unsigned i = 0; i + 8 < CODE_SIZE; i += random_below(r, 7)) {
        unsigned n = random_below(r, ARRAY_LEN(templates));

        memcpy(code + i, templates[n].bytes, templates[n].length);
        i += templates[n].length;
    }
}

/* Descriptors and page-table entries that are half right: present, of any type, based in RAM. */
static void random_tables(Random *r, uint8_t *tables)
{
    for (unsigned i = 0; i < TABLES_SIZE; i += 8) {
        uint64_t v = random_u64(r);

        if (random_below(r, 2))
            v = 0x00cf800000000000 | (v & 0x00007f000000ffff) | (uint64_t)(v >> 60) << 16;
        else if (random_below(r, 2))
            v = (TABLES & 0xff0000) | (v & 0x3fff) | 7;
        memcpy(tables + i, &v, sizeof(v));
    }
}

static void random_system(Random *r, X86Cpu *x)
{
    static const uint8_t tss_types[] = { 3, 11 };

    x->gdtr.base = x->idtr.base = x->tr.base = x->ldtr.base = TABLES;
    x->gdtr.limit = x->idtr.limit = random_u64(r) & (TABLES_SIZE - 1);
    x->tr.limit = x->ldtr.limit = random_u64(r) & 0xfff;
    x->tr.attr = DESC_P | tss_types[random_below(r, 2)] << DESC_TYPE_SHIFT;
    x->ldtr.selector = 8;
    for (unsigned i = 0; i < 16; i++)
        x->c.gpr[i] = random_below(r, 3) ? random_u64(r) & 0x3ffff : random_u64(r);
    x->c.gpr[RSP] = TABLES + 0x800;
    x->msr.star = random_u64(r);
    x->msr.lstar = x->msr.sysenter_eip = CODE;
    x->msr.sysenter_cs = 8;
}

static void one_round(const char *backend, uint64_t seed)
{
    Machine *m = machine_new(backend, 1);
    Random r = { seed };

    random_code(&r, m->ram + CODE);
    random_tables(&r, m->ram + TABLES);
    machine_x86(m, "max");
    switch (seed % 4) {
    case 0: machine_real_mode(m, CODE >> 4, 0); break;
    case 1: machine_protected_mode(m, CODE, 0); break;
    case 2: machine_protected_mode(m, CODE, 3); break;
    case 3: machine_long_mode(m, CODE, seed >> 2 & 3); break;
    }
    random_system(&r, x86(m->cpu));
    cpu_request(m->cpu, CPU_REQ_INTR);
    m->vector = random_below(&r, 256);
    machine_run_ms(m, MILLISECONDS);
    machine_free(m);
}

static void survives(void **state)
{
    const char *base = getenv("SEED");
    uint64_t first = base ? strtoull(base, NULL, 0) : 1;

    for (uint64_t seed = first; seed < first + ROUNDS; seed++)
        one_round(*state, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "interpreter", survives, NULL, NULL, "interp" },
        { "x86_64", survives, NULL, NULL, "x86_64" },
    };

    return cmocka_run_group_tests_name("x86_garbage", tests, NULL, NULL);
}
