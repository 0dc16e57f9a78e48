/*
 * x86_fpu_state.c - which exception x87, MMX and SSE instructions raise in which mode, the four
 * layouts of the x87 environment, and XSAVE with XRSTOR, on every back end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/endian.h"
#include "tcg/guest/x86/x87.h"
#include "tests/unit/tcg_machine.h"

enum { CODE = 0x1000, HANDLERS = 0x800, DATA = 0x4000, NOTHING = 0xaa };

static Machine *start_machine(const char *backend)
{
    Machine *m = machine_new(backend, 2);

    machine_x86(m, "qemu64");
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t handler[] = { 0xb0, i, 0xf4 }; /* mov al, i; hlt */

        put_le32(m->ram + 4 * i, HANDLERS + 4 * i);
        machine_load(m, HANDLERS + 4 * i, handler, sizeof(handler));
    }
    return m;
}

/* -- exceptions, in real mode */
static const struct {
    const char *what, *code; /* hexadecimal; HLT follows */
    uint32_t cr0, cr4;
    uint16_t cw;
    uint32_t mxcsr;
    int vector; /* NOTHING: none */
} faults[] = {
    { "x87 runs", "d9e8", CR0_NE, 0, 0x37f, 0x1f80, NOTHING },
    { "x87 with TS", "d9e8", CR0_TS, 0, 0x37f, 0x1f80, EXC_NM },
    { "x87 with EM", "d9e8", CR0_EM, 0, 0x37f, 0x1f80, EXC_NM },
    { "WAIT with TS alone", "9b", CR0_TS, 0, 0x37f, 0x1f80, NOTHING },
    { "WAIT with TS and MP", "9b", CR0_TS | CR0_MP, 0, 0x37f, 0x1f80, EXC_NM },
    { "MMX with EM", "0fefc0", CR0_EM, 0, 0x37f, 0x1f80, EXC_UD },
    { "MMX with TS", "0fefc0", CR0_TS, 0, 0x37f, 0x1f80, EXC_NM },
    { "SSE runs", "0f57c0", 0, CR4_OSFXSR, 0x37f, 0x1f80, NOTHING },
    { "SSE without OSFXSR", "0f57c0", 0, 0, 0x37f, 0x1f80, EXC_UD },
    { "SSE with EM", "0f57c0", CR0_EM, CR4_OSFXSR, 0x37f, 0x1f80, EXC_UD },
    { "SSE with TS", "0f57c0", CR0_TS, CR4_OSFXSR, 0x37f, 0x1f80, EXC_NM },
    { "0 / 0 waits for WAIT", "d9eed9eedef99b", CR0_NE, 0, 0x37e, 0x1f80, EXC_MF },
    { "0 / 0 waits for MMX", "d9eed9eedef90fefc0", CR0_NE, 0, 0x37e, 0x1f80, EXC_MF },
    { "0 / 0 waits for EMMS", "d9eed9eedef90f77", CR0_NE, 0, 0x37e, 0x1f80, EXC_MF },
    { "0 / 0 is not noticed", "d9eed9eedef9dbe2", CR0_NE, 0, 0x37e, 0x1f80, NOTHING },
    { "0 / 0 is forgotten by FNINIT", "d9eed9eedef9dbe39b", CR0_NE, 0, 0x37e, 0x1f80, NOTHING },
    { "0 / 0 masked", "d9eed9eedef99b", CR0_NE, 0, 0x37f, 0x1f80, NOTHING },
    { "1 / 0 in SSE", "0f57c9f30f5ec1", 0, CR4_OSFXSR | CR4_OSXMMEXCPT, 0x37f, 0x1d80, EXC_XM },
    { "1 / 0 without OSXMMEXCPT", "0f57c9f30f5ec1", 0, CR4_OSFXSR, 0x37f, 0x1d80, EXC_UD },
    { "1 / 0 masked", "0f57c9f30f5ec1", 0, CR4_OSFXSR, 0x37f, 0x1f80, NOTHING },
    { "MOVAPS that is misaligned", "0f28060140", 0, CR4_OSFXSR, 0x37f, 0x1f80, EXC_GP },
    { "MOVUPS that is misaligned", "0f10060140", 0, CR4_OSFXSR, 0x37f, 0x1f80, NOTHING },
    { "LDMXCSR of a reserved bit", "0fae160040", 0, CR4_OSFXSR, 0x37f, 0x1f80, EXC_GP },
    { "XSAVE without OSXSAVE", "0fae260040", 0, CR4_OSFXSR, 0x37f, 0x1f80, EXC_UD },
};

static size_t parse(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned v;

    for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
        out[n++] = v;
    return n;
}

static void check_fault(Machine *m, size_t i)
{
    X86Cpu *x = x86(m->cpu);
    uint8_t code[32];
    size_t len = parse(faults[i].code, code);

    code[len++] = 0xf4;
    machine_load(m, CODE, code, len);
    put_le32(m->ram + DATA, 0xffffffff);
    machine_real_mode(m, 0, CODE);
    x87_init(x);
    x->fpu.cw = faults[i].cw;
    x->c.mxcsr = faults[i].mxcsr;
    x->c.vec[0] = (VReg) { .d = { 0x3f800000 } };
    x->c.gpr[RAX] = NOTHING;
    x->cr0 |= faults[i].cr0;
    x->cr4 = faults[i].cr4;
    x86_update_mode(x);
    if (machine_run(m) != RUN_HALTED || (x->c.gpr[RAX] & 0xff) != (unsigned)faults[i].vector)
        fail_msg("%s: exception %u, not %u", faults[i].what, (unsigned)x->c.gpr[RAX] & 0xff,
                 faults[i].vector);
}

static void raises(void **state)
{
    Machine *m = start_machine(*state);

    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        check_fault(m, i);
    machine_free(m);
}

/* Without CR0.NE an exception is FERR#, and FLDCW that unmasks an old one makes the next WAIT tell.
 */
static void ferr(void **state)
{
    Machine *m = start_machine(*state);
    const uint8_t code[] = { 0xd9, 0xee, 0xd9, 0xee, 0xde, 0xf9, /* 0 / 0, masked */
                             0xd9, 0x2e, 0x00, 0x40,             /* fldcw [DATA] */
                             0x9b, 0xf4 };

    machine_load(m, CODE, code, sizeof(code));
    put_le16(m->ram + DATA, 0x37e);
    machine_real_mode(m, 0, CODE);
    x87_init(x86(m->cpu));
    x86(m->cpu)->c.gpr[RAX] = NOTHING;
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(x86(m->cpu)->c.gpr[RAX], NOTHING);
    assert_true(m->ferrs > 0);
    machine_free(m);
}

/* -- environments: FNSTENV [DATA], then FLDENV from there */
static const struct {
    const char *what;
    bool protected, wide;
    uint32_t words[7];
} layouts[] = {
    { "real, 16 bits", false, false, { 0x27f, 0x6900, 0xd3ff, 0x79b8, 0x15a7, 0x42, 0x2000 } },
    { "real, 32 bits",
      false,
      true,
      { 0xffff027f, 0xffff6900, 0xffffd3ff, 0xffff79b8, 0x15a7, 0xffff0042, 0x2000 } },
    { "protected, 16 bits", true, false, { 0x27f, 0x6900, 0xd3ff, 0x5678, 0x1234, 0x42, 0x2000 } },
    { "protected, 32 bits",
      true,
      true,
      { 0xffff027f, 0xffff6900, 0xffffd3ff, 0x5678, 0x5a71234, 0x42, 0xffff2000 } },
};

static void set_environment(X86Cpu *x)
{
    x87_init(x);
    x87_set_control(x, 0x27f);
    x87_set_status(x, 0x6900);
    x->fpu.tags = 0x60; /* 5: one, 6: zero */
    x->c.vec[V_MM + 5] = (VReg) { .w = { 0, 0, 0, 0x8000, 0x3fff } };
    x->c.vec[V_MM + 6] = (VReg) { 0 };
    x->fpu.opcode = 0x5a7;
    x->fpu.ip = 0x5678;
    x->fpu.cs = 0x1234;
    x->fpu.dp = 0x42;
    x->fpu.ds = 0x2000;
}

/* FNSTENV [DATA] or FLDENV, in the code size of the mode. */
static void run_environment(Machine *m, size_t i, bool load)
{
    bool prefix = layouts[i].protected != layouts[i].wide;
    uint8_t code[16], *p = code;

    if (prefix)
        *p++ = 0x66;
    *p++ = 0xd9;
    *p++ = (load ? 0x20 : 0x30) | (layouts[i].protected ? 5 : 6);
    put_le32(p, DATA);
    p += layouts[i].protected ? 4 : 2;
    *p++ = 0xf4;
    machine_load(m, CODE, code, sizeof(code));
    if (layouts[i].protected)
        machine_protected_mode(m, CODE, 0);
    else
        machine_real_mode(m, 0, CODE);
    assert_int_equal(machine_run(m), RUN_HALTED);
}

static void environments(void **state)
{
    Machine *m = start_machine(*state);
    X86Cpu *x = x86(m->cpu);

    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        unsigned size = layouts[i].wide ? 4 : 2;

        set_environment(x);
        run_environment(m, i, false);
        assert_int_equal(x->fpu.cw, 0x27f | 0x3f);
        for (unsigned k = 0; k < 7; k++) {
            uint8_t *at = m->ram + DATA + k * size;

            assert_int_equal(size == 4 ? get_le32(at) : get_le16(at), layouts[i].words[k]);
        }
        x87_init(x);
        run_environment(m, i, true);
        assert_int_equal(x->fpu.cw, 0x27f);
        assert_int_equal(x87_status(x), 0x6900);
        assert_int_equal(x87_tag_word(x), 0xd3ff);
        assert_int_equal(x->fpu.opcode, layouts[i].protected && !layouts[i].wide ? 0 : 0x5a7);
        assert_int_equal((x->fpu.cs << 4) + x->fpu.ip, 0x179b8);
        assert_int_equal((x->fpu.ds << 4) + x->fpu.dp, 0x20042);
    }
    machine_free(m);
}

/* -- XSAVE [DATA], state destroyed, XRSTOR [DATA]; then XRSTOR of what is not there */
static void run_long(Machine *m, const char *hex)
{
    uint8_t code[32];
    size_t len = parse(hex, code);

    code[len++] = 0xf4;
    machine_load(m, CODE, code, len);
    machine_long_mode(m, CODE, 0);
    assert_int_equal(machine_run(m), RUN_HALTED);
}

static void xsaves(void **state)
{
    Machine *m = start_machine(*state);
    X86Cpu *x = x86(m->cpu);

    x->model.feat_1_ecx |= 1u << 26;
    x->cr4 |= CR4_OSXSAVE;
    x->xcr0 = 3;
    set_environment(x);
    x->c.vec[3] = (VReg) { .q = { 0x1122334455667788, 0x99aabbccddeeff00 } };
    x->c.mxcsr = 0x3f80;
    x->c.gpr[RAX] = 3;
    x->c.gpr[RDX] = 0;
    x->c.gpr[RBX] = DATA;
    run_long(m, "480fae23"); /* xsave64 [rbx] */
    assert_int_equal(get_le64(m->ram + DATA + 512), 3);
    x->c.vec[3] = (VReg) { 0 };
    x->c.mxcsr = 0x1f80;
    x87_init(x);
    run_long(m, "480fae2b"); /* xrstor64 [rbx] */
    assert_true(x->c.vec[3].q[0] == 0x1122334455667788 && x->c.mxcsr == 0x3f80);
    assert_int_equal(x87_status(x), 0x6900);
    assert_int_equal(x->fpu.tags, 0x60);
    put_le64(m->ram + DATA + 512, 1);
    run_long(m, "480fae2b");
    assert_true(x->c.vec[3].q[0] == 0 && x->fpu.tags == 0x60);
    machine_free(m);
}

static void *has_backend(const char *name)
{
    TcgConfig config = { .backend = name };
    TcgBus bus = { 0 };
    Tcg *tcg = tcg_new(&config, &bus, NULL);

    tcg_free(tcg);
    return tcg ? (void *)(uintptr_t)name : NULL;
}

int main(void)
{
    void *interp = has_backend("interp"), *native = has_backend("x86_64");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(raises, interp),       cmocka_unit_test_prestate(ferr, interp),
        cmocka_unit_test_prestate(environments, interp), cmocka_unit_test_prestate(xsaves, interp),
        cmocka_unit_test_prestate(raises, native),       cmocka_unit_test_prestate(ferr, native),
        cmocka_unit_test_prestate(environments, native), cmocka_unit_test_prestate(xsaves, native),
    };

    return _cmocka_run_group_tests("x86_fpu_state", tests, native ? 8 : 4, NULL, NULL);
}
