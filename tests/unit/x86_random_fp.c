/*
 * x86_random_fp.c - random x87, MMX and SSE code on this CPU and in the translator: vector and x87
 * registers, MXCSR, status and tags, flags, and memory must agree, also at a fault.
 *
 * X86_FP_COUNT: sequences (default 10000); X86_FP_SEED: the first one's seed; X86_FP_ONLY: one
 * hexadecimal opcode byte after 0F, or D8 to DF, to look at alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/endian.h"
#include "tcg/guest/x86/decode.h"
#include "tcg/guest/x86/x87.h"
#include "tcg/vop.h"
#include "tests/unit/random.h"
#include "tests/unit/tcg_machine.h"
#include "tests/unit/x86_native.h"

enum {
    SCRATCH = 0x300000,
    SCRATCH_SIZE = 4096,
    OPERANDS = 1024, /* bytes of scratch memory that are read */
    USED = 2048,     /* or written */
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
};

static const char *const backends[] = { "interp", "x86_64" };

typedef struct {
    Machine *machines[ARRAY_LEN(backends)];
    bool code32;
    unsigned failures;
    unsigned only; /* X86_FP_ONLY, or 0 */
    uint8_t code[512], before[SCRATCH_SIZE];
    size_t len;
    NativeState start, native;
    char message[4096];
} Test;

static Test test;

/* -- code */
static void byte(unsigned v)
{
    test.code[test.len++] = v;
}

/* ModRM with a register, or [rbx + disp] aligned to `align` (nearly always). */
static void modrm(Random *r, unsigned reg, unsigned rm, bool mem, unsigned align)
{
    unsigned disp = random_below(r, OPERANDS - 512);

    if (!mem) {
        byte(0xc0 | (reg & 7) << 3 | (rm & 7));
        return;
    }
    if (random_below(r, 100))
        disp &= ~(align - 1);
    byte(0x83 | (reg & 7) << 3);
    for (unsigned i = 0; i < 4; i++)
        byte(disp >> 8 * i);
}

static void opcode(unsigned prefix, unsigned rex, unsigned map, unsigned op)
{
    if (prefix)
        byte(prefix);
    if (rex && !test.code32)
        byte(0x40 | rex);
    byte(0x0f);
    if (map > 1)
        byte(map == 2 ? 0x38 : 0x3a);
    byte(op);
}

static unsigned general(Random *r)
{
    static const uint8_t regs[] = { RAX, RCX, RDX, RBP, RSI, R8, R9, R12, R15 };

    return regs[random_below(r, test.code32 ? 5 : ARRAY_LEN(regs))];
}

/* A register for the reg or r/m field: general, MMX, or XMM. */
static unsigned any_register(Random *r, bool is_general, bool mmx)
{
    return is_general ? general(r) : random_below(r, mmx || test.code32 ? 8 : 16);
}

static void generate_vop(Random *r, VopId id)
{
    const Vop *v = &vops[id];
    bool mmx = v->attr & VOP_MMX;
    bool mem = v->attr & VOP_MEM || (v->mem && random_below(r, 2));
    unsigned reg = v->form == V_IMM ? v->ext : any_register(r, v->form == G_RM_V, mmx);
    unsigned rm = any_register(r, v->form == V_RM_G || v->form == RM_G_V, mmx);

    if (mem)
        rm = RBX;
    opcode(v->prefix, (v->attr & VOP_W ? 8 : 0) | (reg & 8) >> 1 | (rm & 8) >> 3, v->map,
           v->opcode);
    modrm(r, reg, rm, mem, mmx || v->mem < 16 ? 1 : 16);
    if (v->attr & VOP_IMM8)
        byte(random_below(r, 2) ? random_u64(r) : random_below(r, 70));
}

/* What has rows by hand: moves, conversions of MMX, string comparison. */
static const struct {
    uint8_t prefix, map, op;
    uint8_t mem; /* 0 register, 1 either, 2 memory */
    uint8_t align;
    bool imm;
} others[] = {
    { 0, 1, 0x10, 1, 1, 0 },     { 0, 1, 0x11, 1, 1, 0 },     { 0, 1, 0x13, 2, 1, 0 },
    { 0, 1, 0x17, 2, 1, 0 },     { 0, 1, 0x28, 1, 16, 0 },    { 0, 1, 0x29, 1, 16, 0 },
    { 0, 1, 0x2a, 1, 1, 0 },     { 0, 1, 0x2b, 2, 16, 0 },    { 0, 1, 0x2c, 1, 1, 0 },
    { 0, 1, 0x2d, 1, 1, 0 },     { 0, 1, 0x6f, 1, 1, 0 },     { 0, 1, 0x7f, 1, 1, 0 },
    { 0, 1, 0xe7, 2, 1, 0 },     { 0, 1, 0x77, 0, 1, 0 },     { 0x66, 1, 0x10, 1, 1, 0 },
    { 0x66, 1, 0x11, 1, 1, 0 },  { 0x66, 1, 0x13, 2, 1, 0 },  { 0x66, 1, 0x17, 2, 1, 0 },
    { 0x66, 1, 0x28, 1, 16, 0 }, { 0x66, 1, 0x29, 1, 16, 0 }, { 0x66, 1, 0x2a, 1, 1, 0 },
    { 0x66, 1, 0x2b, 2, 16, 0 }, { 0x66, 1, 0x2c, 1, 16, 0 }, { 0x66, 1, 0x2d, 1, 16, 0 },
    { 0x66, 1, 0x6f, 1, 16, 0 }, { 0x66, 1, 0x7f, 1, 16, 0 }, { 0x66, 1, 0xd6, 1, 1, 0 },
    { 0x66, 1, 0xe7, 2, 16, 0 }, { 0x66, 1, 0xf7, 0, 1, 0 },  { 0, 1, 0xf7, 0, 1, 0 },
    { 0xf3, 1, 0x10, 1, 1, 0 },  { 0xf3, 1, 0x11, 1, 1, 0 },  { 0xf3, 1, 0x6f, 1, 1, 0 },
    { 0xf3, 1, 0x7e, 1, 1, 0 },  { 0xf3, 1, 0x7f, 1, 1, 0 },  { 0xf3, 1, 0xd6, 0, 1, 0 },
    { 0xf2, 1, 0x10, 1, 1, 0 },  { 0xf2, 1, 0x11, 1, 1, 0 },  { 0xf2, 1, 0xd6, 0, 1, 0 },
    { 0xf2, 1, 0xf0, 2, 1, 0 },  { 0x66, 2, 0x2a, 2, 16, 0 }, { 0x66, 3, 0x60, 1, 1, 1 },
    { 0x66, 3, 0x61, 1, 1, 1 },  { 0x66, 3, 0x62, 1, 1, 1 },  { 0x66, 3, 0x63, 1, 1, 1 },
};

static void generate_other(Random *r, unsigned i)
{
    bool mem = others[i].mem == 2 || (others[i].mem == 1 && random_below(r, 2));
    unsigned reg = random_below(r, 8), rm = mem ? RBX : random_below(r, 8);

    opcode(others[i].prefix, random_below(r, 4) ? 0 : 8, others[i].map, others[i].op);
    if (others[i].op == 0x77)
        return;
    modrm(r, reg, rm, mem, others[i].align);
    if (others[i].imm)
        byte(random_u64(r) & 0x7f);
}

/* FXSAVE FXRSTOR LDMXCSR STMXCSR; pointers of 64 bits are made canonical by some hosts only. */
static void generate_state(Random *r)
{
    unsigned reg = random_below(r, 4);

    opcode(0, reg == 0 && random_below(r, 2) ? 8 : 0, 1, 0xae);
    modrm(r, reg, RBX, true, reg < 2 ? 16 : 4);
    if (reg == 0) /* FXSAVE beyond the operands: the host's MXCSR_MASK may have more bits */
        test.code[test.len - 3] |= OPERANDS >> 8;
}

static void generate_x87(Random *r)
{
    unsigned op = test.only ? test.only & 7 : random_below(r, 8), reg = random_below(r, 8);
    bool mem = random_below(r, 2);

    if (!mem && op == 1 && reg == 3)
        reg = 0; /* FSTPNCE copies an empty register: what of it, is not architectural */
    byte(0xd8 | op);
    modrm(r, reg, mem ? RBX : random_below(r, 8), mem, 1);
}

static void generate_insn(Random *r)
{
    if (test.only ? test.only >= 0xd8 && test.only <= 0xdf : random_below(r, 3) == 0)
        generate_x87(r);
    else if (test.only ? test.only == 0xae : random_below(r, 20) == 0)
        generate_state(r);
    else if (random_below(r, 4) == 0)
        generate_other(r, random_below(r, ARRAY_LEN(others)));
    else {
        VopId id;

        do
            id = random_below(r, VOP_COUNT);
        while (vops[id].attr & VOP_NO_HOST || (test.only && vops[id].opcode != test.only));
        generate_vop(r, id);
    }
}

/* -- state */
static uint16_t random_control(Random *r)
{
    uint16_t masks = random_below(r, 4) ? 0x3f : random_u64(r) & 0x3f;

    return 0x40 | masks | (random_u64(r) & 0xf00);
}

/* Flags that are set already must be masked: nothing is pending at the start. */
static void random_fx(Random *r, uint8_t *fx)
{
    uint16_t cw = random_control(r);
    uint32_t mxcsr = random_mxcsr(r), masks = random_below(r, 6) ? 0x3f : random_u64(r) & 0x3f;

    mxcsr = (mxcsr & ~0x1f80u) | masks << 7;
    mxcsr &= ~(~masks & 0x3f);
    memset(fx, 0, 512);
    put_le16(fx, cw);
    put_le16(fx + 2, (random_u64(r) & 0x7f00) | (random_u64(r) & cw & 0x3f));
    fx[4] = random_below(r, 3) ? random_u64(r) : random_below(r, 2) ? 0xff : 0;
    put_le32(fx + FX_MXCSR, mxcsr);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, random_extended(r).b, 10);
    for (unsigned i = 0; i < 16; i++)
        memcpy(fx + FX_XMM + 16 * i, random_vector(r).b, 16);
}

static void random_memory(Random *r)
{
    for (unsigned i = 0; i < OPERANDS; i += 16) {
        VReg v = random_below(r, 2) ? random_vector(r) : random_extended(r);

        if (random_below(r, 4) == 0)
            v.q[1] = random_u64(r) >> random_below(r, 64);
        memcpy(test.before + i, v.b, 16);
    }
    for (unsigned i = 0; i + 4 <= OPERANDS; i++) /* no MXCSR that only some hosts accept */
        if (get_le32(test.before + i) >> 16 == 2)
            test.before[i + 2] = 0;
}

static void make_sequence(uint64_t seed)
{
    Random r = { seed * 0x9e3779b97f4a7c15 };
    unsigned n = random_below(&r, 2) ? 1 : 1 + random_below(&r, 8);
    uint32_t jump;

    test.len = 0;
    for (unsigned i = 0; i < n; i++)
        generate_insn(&r);
    jump = (test.code32 ? NATIVE_EXIT32 : NATIVE_EXIT) - (NATIVE_CODE + test.len + 5);
    byte(0xe9);
    for (unsigned i = 0; i < 4; i++)
        byte(jump >> 8 * i);
    test.start = (NativeState) { .rip = NATIVE_CODE, .flags = 0x202 };
    for (unsigned i = 0; i < 16; i++)
        test.start.gpr[i] = random_u64(&r) >> random_below(&r, 64);
    for (unsigned i = 0; i < 16 && test.code32; i++)
        test.start.gpr[i] = (uint32_t)test.start.gpr[i];
    test.start.gpr[RBX] = SCRATCH;
    test.start.gpr[RDI] = SCRATCH + random_below(&r, OPERANDS - 16); /* MASKMOVQ */
    test.start.gpr[RSP] = SCRATCH + SCRATCH_SIZE - 64;
    random_fx(&r, test.start.fx);
    random_memory(&r);
}

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

static void load_fx(X86Cpu *x, const uint8_t *fx)
{
    x->fpu.cw = get_le16(fx);
    x87_set_status(x, get_le16(fx + 2));
    x->fpu.tags = fx[4];
    x->c.mxcsr = get_le32(fx + FX_MXCSR);
    x->fpu.opcode = x->fpu.ip = x->fpu.dp = x->fpu.cs = x->fpu.ds = 0;
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87_reg(x, i)->b, fx + FX_ST + 16 * i, 10);
    for (unsigned i = 0; i < 16; i++)
        memcpy(x->c.vec[i].b, fx + FX_XMM + 16 * i, 16);
}

static void store_fx(X86Cpu *x, uint8_t *fx)
{
    memset(fx, 0, 512);
    put_le16(fx, x->fpu.cw);
    put_le16(fx + 2, x87_status(x));
    fx[4] = x->fpu.tags;
    put_le16(fx + 6, x->fpu.opcode);
    put_le32(fx + 8, x->fpu.ip);
    put_le32(fx + 16, x->fpu.dp);
    put_le32(fx + FX_MXCSR, x->c.mxcsr);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, x87_reg(x, i)->b, 10);
    for (unsigned i = 0; i < 16; i++)
        memcpy(fx + FX_XMM + 16 * i, x->c.vec[i].b, 16);
}

static void machine_start_test(Machine *m)
{
    X86Cpu *x = x86(m->cpu);

    x->model.feat_1_ecx |= 1u << 0 | 1u << 1 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 25;
    if (test.code32)
        machine_protected_mode(m, NATIVE_CODE, 0);
    else
        machine_long_mode(m, NATIVE_CODE, 0);
    for (unsigned i = 0; i < SEG_COUNT; i++) /* as Linux has them: FNSAVE stores selectors */
        x->seg[i].selector = i == SEG_SS || test.code32 ? 0x2b : 0;
    x->seg[SEG_CS].selector = test.code32 ? NATIVE_CS32 : NATIVE_CS64;
    m->ram[NATIVE_EXIT] = m->ram[NATIVE_EXIT32] = 0xf4;
    m->quiet = true; /* every fault ends in a shutdown, which is reported */
}

static RunResult run_translated(Machine *m, const NativeState *start)
{
    X86Cpu *x = x86(m->cpu);

    machine_load(m, start->rip, test.code, test.len);
    memcpy(m->ram + SCRATCH, test.before, SCRATCH_SIZE);
    memcpy(x->c.gpr, start->gpr, sizeof(start->gpr));
    cpu_set_flags(&x->c, (uint32_t)start->flags);
    load_fx(x, start->fx);
    x->eflags = start->flags & ~(uint64_t)FLAGS_ALL;
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
        n = say(n, "  %llx: %02x %02x %02x %02x %02x %02x  %s\n",
                (unsigned long long)(test.start.rip + at), test.code[at], test.code[at + 1],
                test.code[at + 2], test.code[at + 3], test.code[at + 4], test.code[at + 5], text);
    }
}

static int say_bytes(int n, const uint8_t *p, unsigned len)
{
    while (len--)
        n = say(n, "%02x", p[len]);
    return n;
}

static int compare_part(int n, const char *what, unsigned i, const uint8_t *was, const uint8_t *is,
                        const uint8_t *should, unsigned len)
{
    if (!memcmp(is, should, len))
        return n;
    n = say(n, "\n  %s%u was ", what, i);
    n = say_bytes(n, was, len);
    n = say(n, ", is ");
    n = say_bytes(n, is, len);
    n = say(n, ", should be ");
    return say_bytes(n, should, len);
}

static int compare_fx(X86Cpu *x, int n)
{
    const uint8_t *was = test.start.fx, *should = test.native.fx;
    uint8_t is[512];

    store_fx(x, is);
    n = compare_part(n, "cw", 0, was, is, should, 2);
    n = compare_part(n, "sw", 0, was + 2, is + 2, should + 2, 2);
    n = compare_part(n, "tags", 0, was + 4, is + 4, should + 4, 1);
    if (get_le16(should + 2) & X87_ES) { /* else AMD's processors store zeros */
        n = compare_part(n, "fop", 0, was + 6, is + 6, should + 6, 2);
        n = compare_part(n, "fip", 0, was + 8, is + 8, should + 8, 4);
        n = compare_part(n, "fdp", 0, was + 16, is + 16, should + 16, 4);
    }
    n = compare_part(n, "mxcsr", 0, was + FX_MXCSR, is + FX_MXCSR, should + FX_MXCSR, 4);
    for (unsigned i = 0; i < 8; i++)
        n = compare_part(n, "st", i, was + FX_ST + 16 * i, is + FX_ST + 16 * i,
                         should + FX_ST + 16 * i, 10);
    for (unsigned i = 0; i < 16; i++)
        n = compare_part(n, "xmm", i, was + FX_XMM + 16 * i, is + FX_XMM + 16 * i,
                         should + FX_XMM + 16 * i, 16);
    return n;
}

/* MXCSR_MASK of a host that has misaligned SSE mode, which the guest's model has not. */
static void forget_mask(uint8_t *memory)
{
    for (unsigned i = OPERANDS + 12; i < USED; i += 16)
        if (get_le32(memory + i) == 0x2ffff)
            put_le32(memory + i, 0xffff);
}

/* The host took a value into MXCSR that is #GP for the guest's model: what follows says nothing. */
static bool host_only_mxcsr(void)
{
    return !test.native.signal && get_le32(test.native.fx + FX_MXCSR) & ~0xffffu;
}

/* Length of the complaint. */
static int compare(const Machine *m, RunResult result)
{
    const NativeState *s = &test.native;
    X86Cpu *x = x86(m->cpu);
    uint64_t rip = x->c.pc - (result == RUN_HALTED), flags = cpu_flags(&x->c);
    int n = 0;

    if (host_only_mxcsr())
        return 0;
    if ((result == RUN_SHUTDOWN) != (s->signal != 0))
        n = say(n, "signal %d, run result %d; ", s->signal, result);
    if (rip != s->rip)
        n = say(n, "rip %llx, not %llx; ", (unsigned long long)rip, (unsigned long long)s->rip);
    for (unsigned i = 0; i < (test.code32 ? 8 : 16); i++)
        if (x->c.gpr[i] != s->gpr[i])
            n = say(n, "r%u %llx, not %llx; ", i, (unsigned long long)x->c.gpr[i],
                    (unsigned long long)s->gpr[i]);
    if ((flags ^ s->flags) & FLAGS_ALL)
        n = say(n, "flags %llx, not %llx; ", (unsigned long long)flags,
                (unsigned long long)s->flags);
    n = compare_fx(x, n);
    forget_mask((uint8_t *)SCRATCH);
    for (unsigned i = 0; i < USED; i += 16)
        n = compare_part(n, "memory ", i, test.before + i, m->ram + SCRATCH + i,
                         (uint8_t *)(uintptr_t)(SCRATCH + i), 16);
    return n;
}

static void run_native(void)
{
    test.native = test.start;
    memcpy((void *)NATIVE_CODE, test.code, test.len);
    memcpy((void *)SCRATCH, test.before, SCRATCH_SIZE);
    if (test.code32)
        native_run32(&test.native);
    else
        native_run(&test.native);
}

/*
 * A second look when they differ: if the kernel switches tasks in the middle of a sequence, some
 * processors forget the x87's instruction pointer.
 */
static int compare_twice(Machine *m)
{
    int n = compare(m, run_translated(m, &test.start));

    if (n) {
        run_native();
        n = compare(m, run_translated(m, &test.start));
    }
    return n;
}

static void check_sequence(uint64_t seed)
{
    make_sequence(seed);
    run_native();
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        int n = test.machines[i] ? compare_twice(test.machines[i]) : 0;

        if (n) {
            list_code(say(n, "\n%s, seed %llu, cw %04x sw %04x tags %02x mxcsr %04x:\n",
                          backends[i], (unsigned long long)seed, get_le16(test.start.fx),
                          get_le16(test.start.fx + 2), test.start.fx[4],
                          get_le32(test.start.fx + FX_MXCSR)));
            if (++test.failures >= 8)
                fail_msg("%s", test.message);
            print_message("%s", test.message);
        }
    }
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void check_sequences(bool code32)
{
    uint64_t seed = number("X86_FP_SEED", 1), count = number("X86_FP_COUNT", 10000);

    if (!native_init(SCRATCH, SCRATCH_SIZE))
        skip();
    test.only = number("X86_FP_ONLY", 0);
    test.code32 = code32;
    test.failures = 0;
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        test.machines[i] = NULL;
        if (!has_backend(backends[i]))
            continue;
        test.machines[i] = machine_new(backends[i], 8);
        machine_x86(test.machines[i], "qemu64");
        machine_start_test(test.machines[i]);
    }
    for (uint64_t i = 0; i < count; i++)
        check_sequence(seed + i);
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (test.machines[i])
            machine_free(test.machines[i]);
    assert_int_equal(test.failures, 0);
}

static void agrees_in_64_bit_mode(void **state)
{
    (void)state;
    check_sequences(false);
}

static void agrees_in_32_bit_mode(void **state)
{
    (void)state;
    check_sequences(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_in_64_bit_mode),
                                        cmocka_unit_test(agrees_in_32_bit_mode) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
