/*
 * softfloat80.c - extended-precision arithmetic against the x87 of this host: results, exceptions
 * and rounding direction in every rounding and precision mode, masked and unmasked, on operands
 * that are related to each other (cancellation, halfway cases, powers of two apart).
 *
 * SOFTFLOAT_ROUNDS in the environment: operand pairs an operation (default 20000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tcg/softfloat.h"
#include "tests/unit/random.h"

#ifdef __x86_64__

typedef enum { ADD, SUB, MUL, DIV, SQRT, RNDINT, SINGLE, DOUBLE, OPS } Op;
static const char *const names[OPS] = { "add",  "sub",    "mul",    "div",
                                        "sqrt", "rndint", "single", "double" };
static const uint8_t precisions[4] = { 24, 64, 53, 64 };

/* The registers of an FNSAVE image, which does not wait for what is unmasked. */
enum { IMAGE = 108, IMAGE_ST = 28, C1 = 1 << 9 };

#define HOST(insn)                                                                                 \
    __asm__ volatile("fninit\n\tfldt %3\n\tfldt %2\n\tfldcw %4\n\t" insn "\n\tfnstsw %1\n\t"       \
                     "fnsave %0"                                                                   \
                     : "=m"(image), "=m"(*sw)                                                      \
                     : "m"(b), "m"(a), "m"(cw)                                                     \
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)",        \
                       "memory")

/* ST(0) = a op b. */
static VReg host_run(Op op, VReg a, VReg b, uint16_t cw, uint16_t *sw)
{
    uint8_t image[IMAGE];
    VReg r = { 0 };

    switch (op) { /* b is on top */
    case ADD: HOST("fadd %%st(1)"); break;
    case SUB: HOST("fsubr %%st(1)"); break;
    case MUL: HOST("fmul %%st(1)"); break;
    case DIV: HOST("fdivr %%st(1)"); break;
    case SQRT: HOST("fsqrt"); break;
    case RNDINT: HOST("frndint"); break;
    case SINGLE:
        __asm__ volatile("fninit\n\tfldt %2\n\tfldcw %3\n\tfsts %0\n\tfnstsw %1\n\tfninit"
                         : "+m"(r.d[0]), "=m"(*sw)
                         : "m"(b), "m"(cw));
        return r;
    default:
        __asm__ volatile("fninit\n\tfldt %2\n\tfldcw %3\n\tfstl %0\n\tfnstsw %1\n\tfninit"
                         : "+m"(r.q[0]), "=m"(*sw)
                         : "m"(b), "m"(cw));
        return r;
    }
    memcpy(r.b, image + IMAGE_ST, 10);
    return r;
}

static Fp compute(Op op, FpEnv *env, Fp a, Fp b)
{
    static FpFn *const functions[] = {
        [ADD] = fp_add, [SUB] = fp_sub, [MUL] = fp_mul, [DIV] = fp_div
    };
    bool inexact;

    if (op <= DIV)
        return functions[op](env, a, b);
    if (op == SQRT)
        return fp_sqrt(env, b);
    if (op >= SINGLE)
        return fp_is_nan(b) ? fp_nan1(env, b) : b;
    b = fp_integral(fp_convert(env, b), env->rounding, &inexact, &env->up);
    env->flags |= inexact ? FP_PE : 0;
    return b;
}

static VReg our_run(Op op, VReg a, VReg b, FpEnv *env, unsigned bits)
{
    FpFormat f = { bits, fp_extended.emin, fp_extended.emax };
    Fp r = compute(op, env, fp_unpack80(a.q[0], a.w[4]), fp_unpack80(b.q[0], b.w[4]));
    VReg v = { 0 };

    if (op == SINGLE)
        v.d[0] = fp_pack32(fp_round(env, &fp_single, r));
    else if (op == DOUBLE)
        v.q[0] = fp_pack64(fp_round(env, &fp_double, r));
    else
        v.q[0] = fp_pack80(op == RNDINT ? r : fp_round(env, &f, r), &v.w[4]);
    return v;
}

/* What an x87 instruction makes of the outcome: no result for some exceptions that are unmasked. */
static void as_x87(Op op, FpEnv *env, VReg *r, VReg kept)
{
    unsigned unmasked = env->flags & ~env->masked;

    if (unmasked & FP_EARLY)
        env->flags &= FP_EARLY;
    else if (op >= SINGLE && unmasked & (FP_OE | FP_UE))
        env->flags &= ~FP_PE;
    if (unmasked & FP_EARLY || (op >= SINGLE && unmasked & (FP_OE | FP_UE)))
        *r = op >= SINGLE ? (VReg) { 0 } : kept;
}

/* -- operands */
static VReg related(Random *r, VReg a)
{
    VReg b = random_extended(r);

    switch (random_below(r, 6)) {
    case 0: b = a; break;
    case 1: b.q[0] = a.q[0] + random_below(r, 5) - 2; break;
    case 2: b.w[4] = a.w[4] + random_below(r, 5) - 2; break;
    case 3: b.w[4] = a.w[4] + random_below(r, 140) - 70; break;
    default: break;
    }
    if (random_below(r, 2))
        b.w[4] ^= 0x8000;
    return b;
}

static void check_pair(Op op, Random *r)
{
    uint16_t masks = random_below(r, 3) ? FP_ALL : random_u64(r) & FP_ALL, sw = 0;
    uint16_t cw = masks | 0x40 | (random_u64(r) & 0xf00);
    FpEnv env = { .rounding = cw >> 10 & 3, .masked = masks, .x87 = true };
    VReg a = random_extended(r), b = related(r, a), host, ours;

    host = host_run(op, a, b, cw, &sw);
    ours = our_run(op, a, b, &env, precisions[cw >> 8 & 3]);
    as_x87(op, &env, &ours, b);
    if (host.q[0] != ours.q[0] || host.w[4] != ours.w[4] || (sw & FP_ALL) != env.flags ||
        !(sw & C1) == (env.flags & FP_PE && env.up))
        fail_msg("%s cw %04x\n a %04x %016lx\n b %04x %016lx\n host %04x %016lx sw %04x\n"
                 " ours %04x %016lx flags %02x up %d",
                 names[op], cw, a.w[4], a.q[0], b.w[4], b.q[0], host.w[4], host.q[0], sw, ours.w[4],
                 ours.q[0], env.flags, env.up);
}

static void agrees(void **state)
{
    const char *rounds = getenv("SOFTFLOAT_ROUNDS");
    unsigned n = rounds ? strtoul(rounds, NULL, 0) : 20000;
    Op op = *(Op *)*state;
    Random r = { op };

    for (unsigned i = 0; i < n; i++)
        check_pair(op, &r);
}

int main(void)
{
    static Op ops[OPS];
    static struct CMUnitTest tests[OPS];

    for (unsigned i = 0; i < OPS; i++) {
        ops[i] = i;
        tests[i] = (struct CMUnitTest) { names[i], agrees, NULL, NULL, &ops[i] };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 0; /* only an x86 host can tell */
}
#endif
