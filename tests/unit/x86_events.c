/*
 * x86_events.c - what reaches an x86 CPU from outside: interrupts and their masks, the shadow of
 * STI, NMI blocking, HLT, INIT and SIPI, the TSC, CR8, and the answers of MSRs and CPUID models.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/tcg_machine.h"

static const char *const backends[] = { "interp", "x86_64" };

/* Real mode code at 0x1000 with the IVT at 0; each vector given jumps to 0:0x2000 + 16 * vector. */
static Machine *real_machine(const char *backend, const void *code, size_t size)
{
    Machine *m = machine_new(backend, 4);

    machine_x86(m, "qemu64");
    machine_load(m, 0x1000, code, size);
    for (unsigned v = 0; v < 256; v++) {
        uint16_t vec[2] = { 0x2000 + 16 * v, 0 };

        machine_load(m, 4 * v, vec, sizeof(vec));
    }
    machine_real_mode(m, 0, 0x1000);
    return m;
}

static void handler(Machine *m, unsigned vector, const void *code, size_t size)
{
    machine_load(m, 0x2000 + 16 * vector, code, size);
}

static void raise_irq(Machine *m, unsigned vector)
{
    m->vector = vector;
    cpu_request(m->cpu, CPU_REQ_INTR);
}

static void irq_wakes_hlt(const char *backend)
{
    static const uint8_t code[] = { 0xfb, 0xf4, 0x43, 0xfa, 0xf4 }; /* sti; hlt; inc bx; cli; hlt */
    static const uint8_t isr[] = { 0x41, 0xcf };                    /* inc cx; iret */
    Machine *m = real_machine(backend, code, sizeof(code));

    handler(m, 0x40, isr, sizeof(isr));
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->cpu->pc, 0x1002);
    assert_false(cpu_has_work(m->cpu));
    raise_irq(m, 0x40);
    assert_true(cpu_has_work(m->cpu));
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->cpu->gpr[RBX], 1);
    assert_int_equal(m->cpu->gpr[RCX], 1);
    raise_irq(m, 0x40); /* IF is clear now: still halted */
    assert_false(cpu_has_work(m->cpu));
    machine_free(m);
}

static void sti_has_a_shadow(const char *backend)
{
    /* sti; inc bx; inc bx; cli; hlt with the request already there: taken after the first INC */
    static const uint8_t code[] = { 0xfb, 0x43, 0x43, 0xfa, 0xf4 };
    static const uint8_t isr[] = { 0x89, 0xda, 0xcf }; /* mov dx, bx; iret */
    Machine *m = real_machine(backend, code, sizeof(code));

    handler(m, 0x40, isr, sizeof(isr));
    raise_irq(m, 0x40);
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal((uint16_t)m->cpu->gpr[RDX], 1);
    assert_int_equal(m->cpu->gpr[RBX], 2);
    machine_free(m);
}

static void sti_cli_lets_nothing_in(const char *backend)
{
    static const uint8_t code[] = { 0xfb, 0xfa, 0xf4 };
    Machine *m = real_machine(backend, code, sizeof(code));

    raise_irq(m, 0x40);
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->vector, 0x40); /* nobody took it */
    assert_int_equal(m->cpu->pc, 0x1003);
    machine_free(m);
}

static void mov_ss_has_a_shadow(const char *backend)
{
    /* mov ss, ax; inc bx; inc bx; cli; hlt */
    static const uint8_t code[] = { 0x8e, 0xd0, 0x43, 0x43, 0xfa, 0xf4 };
    static const uint8_t isr[] = { 0x89, 0xda, 0xcf };
    Machine *m = real_machine(backend, code, sizeof(code));
    X86Cpu *x = x86(m->cpu);

    handler(m, 0x40, isr, sizeof(isr));
    x86_set_eflags(x, EFL_IF, EFL_IF);
    x->c.mode |= MODE_SHADOW; /* as after an STI: MOV SS runs first, and protects the INC */
    raise_irq(m, 0x40);
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal((uint16_t)m->cpu->gpr[RDX], 1);
    machine_free(m);
}

static void nmi_is_blocked_until_iret(const char *backend)
{
    static const uint8_t code[] = { 0x43, 0xf4 };            /* inc bx; hlt */
    static const uint8_t isr[] = { 0x41, 0xe6, 0x10, 0xcf }; /* inc cx; out 0x10, al; iret */
    Machine *m = real_machine(backend, code, sizeof(code));

    handler(m, 2, isr, sizeof(isr));
    cpu_request(m->cpu, CPU_REQ_NMI);
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->cpu->gpr[RCX], 1);
    assert_int_equal(m->cpu->gpr[RBX], 1);
    cpu_request(m->cpu, CPU_REQ_NMI); /* wakes HLT although IF is clear */
    assert_true(cpu_has_work(m->cpu));
    x86(m->cpu)->nmi_blocked = true;
    assert_false(cpu_has_work(m->cpu));
    machine_free(m);
}

static void init_and_sipi(const char *backend)
{
    static const uint8_t code[] = { 0x43, 0xf4 };
    Machine *m = real_machine(backend, code, sizeof(code));
    X86Cpu *x = x86(m->cpu);

    machine_load(m, 0x9000, code, sizeof(code));
    x->wait_sipi = m->cpu->halted = true;
    raise_irq(m, 0x40);
    x86_set_eflags(x, EFL_IF, EFL_IF);
    assert_false(cpu_has_work(m->cpu));
    m->cpu->start_page = 9;
    cpu_request(m->cpu, CPU_REQ_SIPI);
    assert_true(cpu_has_work(m->cpu));
    x86_set_eflags(x, 0, EFL_IF);
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(x->seg[SEG_CS].base, 0x9000);
    assert_int_equal(m->cpu->pc, 2);
    assert_int_equal(m->cpu->gpr[RBX], 1);
    machine_free(m);
}

static void power_on(const char *backend)
{
    Machine *m = machine_new(backend, 4);
    X86Cpu *x;

    machine_x86(m, "pentium3");
    x = x86(m->cpu);
    assert_int_equal(m->cpu->pc, 0xfff0);
    assert_int_equal(x->seg[SEG_CS].base, 0xffff0000);
    assert_int_equal(m->cpu->gpr[RDX], 0x683);
    assert_int_equal(x86_get_eflags(x), 2);
    assert_int_equal(x->cr0, CR0_CD | CR0_NW | CR0_ET);
    machine_free(m);
}

/* 64-bit code at 0x1000 that ends with HLT, at CPL 0, all vectors shut down. */
static Machine *long_run(const char *backend, const char *model, const void *code, size_t size,
                         RunResult want)
{
    Machine *m = machine_new(backend, 4);

    machine_x86(m, model);
    machine_long_mode(m, 0x1000, 0);
    x86(m->cpu)->idtr.limit = 0;
    machine_load(m, 0x1000, code, size);
    m->cpu->gpr[RCX] = m->cpu->gpr[RAX] = m->cpu->gpr[RDX] = 0;
    assert_int_equal(machine_run(m), want);
    return m;
}

static void cr8_is_the_tpr(const char *backend)
{
    /* mov al, 9; mov cr8, rax; mov rbx, cr8; hlt */
    static const uint8_t code[] = { 0xb0, 9, 0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc3, 0xf4 };
    Machine *m = long_run(backend, "qemu64", code, sizeof(code), RUN_HALTED);

    assert_int_equal(m->tpr, 9);
    assert_int_equal(m->cpu->gpr[RBX], 9);
    machine_free(m);
}

static void unknown_msr_faults(const char *backend)
{
    static const uint8_t code[] = { 0xb9, 0x78, 0x56, 0x34, 0x12, 0x0f, 0x32, 0xf4 };

    machine_free(long_run(backend, "qemu64", code, sizeof(code), RUN_SHUTDOWN));
}

static void cpuid_leaves(const char *backend)
{
    /* mov eax, 0x80000008; cpuid; hlt */
    static const uint8_t code[] = { 0xb8, 8, 0, 0, 0x80, 0x0f, 0xa2, 0xf4 };
    Machine *m = long_run(backend, "qemu64", code, sizeof(code), RUN_HALTED);

    assert_int_equal(m->cpu->gpr[RAX], 40 | 48 << 8);
    machine_free(m);
}

static void features_guard_cr4(const char *backend)
{
    /* mov rax, cr4; or eax, 1 << 11; mov cr4, rax; hlt: UMIP is not in qemu64 */
    static const uint8_t code[] = { 0x0f, 0x20, 0xe0, 0x0d, 0, 8, 0, 0, 0x0f, 0x22, 0xe0, 0xf4 };

    machine_free(long_run(backend, "qemu64", code, sizeof(code), RUN_SHUTDOWN));
    machine_free(long_run(backend, "max", code, sizeof(code), RUN_HALTED));
}

static void unknown_model_is_refused(UNUSED const char *backend)
{
    Machine *m = machine_new("interp", 1);
    AUTO_ERROR Error *err = NULL;

    assert_null(tcg_cpu_new(m->tcg, &x86_guest, "pentium9", 0, &err));
    assert_non_null(strstr(error_message(err, 0), "pentium9"));
    machine_free(m);
}

static void on_both(void **state)
{
    void (*test)(const char *backend) = *state;

    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        test(backends[i]);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, on_both, NULL, NULL, name                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(irq_wakes_hlt),
        CASE(sti_has_a_shadow),
        CASE(sti_cli_lets_nothing_in),
        CASE(mov_ss_has_a_shadow),
        CASE(nmi_is_blocked_until_iret),
        CASE(init_and_sipi),
        CASE(power_on),
        CASE(cr8_is_the_tpr),
        CASE(unknown_msr_faults),
        CASE(cpuid_leaves),
        CASE(features_guard_cr4),
        CASE(unknown_model_is_refused),
    };

    return cmocka_run_group_tests_name("x86_events", tests, NULL, NULL);
}
