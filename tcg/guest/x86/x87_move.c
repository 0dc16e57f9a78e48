/*
 * x87_move.c - x87 loads, stores and moves between registers.
 */
#include <string.h>

#include "base/compiler.h"
#include "tcg/guest/x86/x87.h"

/* -- loads */
static void load(X86Cpu *x, Fp v)
{
    if (x87_empty(x, 7)) {
        x->fpu.sw &= ~X87_C1;
        x87_push(x, v);
    } else if (x87_stack_fault(x, true)) {
        x87_push(x, fp_default_nan());
    }
}

/* Single and double precision are converted; a denormal is loaded even if DE is unmasked. */
static void load_converted(X86Cpu *x, FpEnv *env, Fp v)
{
    if (!x87_empty(x, 7)) {
        load(x, v);
        return;
    }
    v = fp_convert(env, v);
    x87_end(x, env);
    if (!(env->flags & ~env->masked & FP_IE))
        load(x, v);
}

/* D9 m32, DB m32int, DD m64, DF m16int, DF /5 m64int */
static uint64_t load_mem(Cpu *cpu, uint64_t desc, uint64_t value, uint64_t off)
{
    X86Cpu *x = x87_begin(cpu, desc, off);
    FpEnv env = x87_env(x);

    switch (x87_opcode(desc)) {
    case 1: load_converted(x, &env, fp_unpack32(&env, value)); break;
    case 3: load(x, fp_from_int((int32_t)value)); break;
    case 5: load_converted(x, &env, fp_unpack64(&env, value)); break;
    default:
        load(x, fp_from_int(x87_reg_field(desc) == 5 ? (int64_t)value : (int16_t)value));
        break;
    }
    return 0;
}
const IrHelper x86_h_x87_load = { "x87_load", load_mem, HELPER_FAULTS | HELPER_VECTORS };

/* A pattern of 80 bits as it is, invalid encodings too. */
static void load_raw(X86Cpu *x, const VReg *r)
{
    if (!x87_empty(x, 7)) {
        load(x, fp_default_nan());
        return;
    }
    x->fpu.sw &= ~X87_C1;
    x87_push(x, fp_zero(false));
    x87_reg(x, 0)->q[0] = r->q[0];
    x87_reg(x, 0)->w[4] = r->w[4];
}

/* 18 decimal digits, least first, and a sign byte. */
static Fp from_decimal(const uint8_t *bytes)
{
    uint64_t value = 0;
    Fp v;

    for (int i = 8; i >= 0; i--)
        value = 100 * value + 10 * (bytes[i] >> 4) + (bytes[i] & 15);
    v = fp_from_int(value);
    v.sign = bytes[9] >> 7;
    return v;
}

/* FLD m80, FBLD */
static uint64_t load_80(Cpu *cpu, uint64_t desc, uint64_t seg, uint64_t off)
{
    X86Cpu *x = x86(cpu);
    VReg v;

    x87_check_pending(x);
    cpu_ld_bytes(cpu, x86_linear(x, seg, off, 10, false), v.b, 10, x86_mmu(cpu));
    x87_begin(cpu, desc, off);
    if (x87_opcode(desc) == 7)
        load(x, from_decimal(v.b));
    else
        load_raw(x, &v);
    return 0;
}
const IrHelper x86_h_x87_load80 = { "x87_load80", load_80, HELPER_FAULTS | HELPER_VECTORS };

/* -- stores: each makes the bytes of ST(0), or of the NaN for an empty register */
typedef enum { STORE_F32, STORE_F64, STORE_F80, STORE_INT, STORE_DECIMAL } StoreKind;

typedef struct {
    uint8_t kind, size; /* StoreKind, bytes */
    bool chop, pop;
} Store;

static Store store_of(uint64_t desc)
{
    unsigned reg = x87_reg_field(desc);

    switch (x87_opcode(desc)) {
    case 1: return (Store) { STORE_F32, 4, false, reg == 3 };
    case 3:
        return reg == 7 ? (Store) { STORE_F80, 10, false, true }
                        : (Store) { STORE_INT, 4, reg == 1, reg != 2 };
    case 5:
        return reg == 1 ? (Store) { STORE_INT, 8, true, true }
                        : (Store) { STORE_F64, 8, false, reg == 3 };
    default: break;
    }
    if (reg == 6)
        return (Store) { STORE_DECIMAL, 10, false, true };
    return (Store) { STORE_INT, reg == 7 ? 8 : 2, reg == 1, reg != 2 };
}

/* FBSTP: 10^18 and more is invalid; that stores FFFF C000 0000 0000 0000. */
static void to_decimal(FpEnv *env, Fp v, uint8_t *out)
{
    static const uint8_t indefinite[10] = { 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff };
    int64_t value = fp_to_int(env, v, 64, env->rounding);
    uint64_t digits = value < 0 ? -(uint64_t)value : (uint64_t)value;

    if (digits >= UINT64_C(1000000000000000000)) {
        env->flags = FP_IE;
        env->up = false;
        memcpy(out, indefinite, 10);
        return;
    }
    for (unsigned i = 0; i < 9; i++, digits /= 100)
        out[i] = digits / 10 % 10 << 4 | digits % 10;
    out[9] = v.sign ? 0x80 : 0;
}

static Fp narrowed(FpEnv *env, const FpFormat *f, Fp v)
{
    return fp_is_nan(v) ? fp_nan1(env, v) : fp_round(env, f, v);
}

static void convert(FpEnv *env, Store s, Fp v, VReg *out)
{
    switch (s.kind) {
    case STORE_F32: out->d[0] = fp_pack32(narrowed(env, &fp_single, v)); break;
    case STORE_F64: out->q[0] = fp_pack64(narrowed(env, &fp_double, v)); break;
    case STORE_INT:
        out->q[0] = fp_to_int(env, v, 8 * s.size, s.chop ? FP_CHOP : env->rounding);
        break;
    default: to_decimal(env, v, out->b); break;
    }
}

/* False: nothing is stored. */
static bool store_value(X86Cpu *x, Store s, VReg *out)
{
    FpEnv env = x87_env(x), scratch = env;

    if (x87_empty(x, 0)) {
        convert(&scratch, s, fp_default_nan(), out);
        if (s.kind == STORE_F80)
            out->q[0] = fp_pack80(fp_default_nan(), &out->w[4]);
        return x87_stack_fault(x, false);
    }
    if (s.kind == STORE_F80) {
        *out = *x87_reg(x, 0);
        x->fpu.sw &= ~X87_C1;
        return true;
    }
    convert(&env, s, x87_get(x, 0), out);
    return x87_end(x, &env);
}

static uint64_t store_mem(Cpu *cpu, uint64_t desc, uint64_t seg, uint64_t off)
{
    X86Cpu *x = x86(cpu);
    Store s = store_of(desc);
    uint64_t va;
    VReg v;

    x87_check_pending(x);
    va = x86_linear(x, seg, off, s.size, true);
    cpu_probe(cpu, va, s.size, ACCESS_WRITE, x86_mmu(cpu));
    x87_begin(cpu, desc, off);
    if (!store_value(x, s, &v))
        return 0;
    cpu_st_bytes(cpu, va, v.b, s.size, x86_mmu(cpu));
    if (s.pop)
        x87_pop(x);
    return 0;
}
const IrHelper x86_h_x87_store = { "x87_store", store_mem, HELPER_FAULTS | HELPER_VECTORS };

/* -- between registers */
static void load_register(X86Cpu *x, unsigned i)
{
    VReg v = *x87_reg(x, i);

    if (x87_empty(x, i)) {
        if (x87_stack_fault(x, false))
            x87_push(x, fp_default_nan());
        return;
    }
    load_raw(x, &v);
}

static void exchange(X86Cpu *x, unsigned i)
{
    bool empty0 = x87_empty(x, 0), empty = x87_empty(x, i);
    VReg v;

    x->fpu.sw &= ~X87_C1;
    if ((empty0 || empty) && !x87_stack_fault(x, false))
        return;
    if (empty0)
        x87_put(x, 0, fp_default_nan());
    if (empty)
        x87_put(x, i, fp_default_nan());
    v = *x87_reg(x, 0);
    *x87_reg(x, 0) = *x87_reg(x, i);
    *x87_reg(x, i) = v;
}

static void store_raw(X86Cpu *x, unsigned i)
{
    VReg v = *x87_reg(x, 0);

    x->fpu.sw &= ~X87_C1;
    x87_put(x, i, fp_zero(false));
    *x87_reg(x, i) = v;
}

static void store_register(X86Cpu *x, unsigned i, bool pop)
{
    if (x87_empty(x, 0)) {
        if (!x87_stack_fault(x, false))
            return;
        x87_put(x, i, fp_default_nan());
    } else {
        store_raw(x, i);
    }
    if (pop)
        x87_pop(x);
}

/* D9 D8, "no check for empty": an empty ST(0) is copied as such. */
static void store_unchecked(X86Cpu *x, unsigned i)
{
    bool empty = x87_empty(x, 0);

    store_raw(x, i);
    if (empty)
        x87_free(x, i);
    x87_pop(x);
}

/*
 * By ModRM.reg: D9 FLD FXCH FNOP FSTP, DD FFREE FXCH FST FSTP, DF FFREEP FXCH FSTP FSTP. The
 * second FXCH and the later FSTPs are aliases that every x87 has.
 */
static uint64_t move_register(Cpu *cpu, uint64_t desc)
{
    X86Cpu *x = x87_begin(cpu, desc, 0);
    unsigned i = desc & 7, reg = x87_reg_field(desc), opcode = x87_opcode(desc);

    if (reg == 1)
        exchange(x, i);
    else if (reg == 0 && opcode == 1)
        load_register(x, i);
    else if (reg == 0) {
        x87_free(x, i);
        x->fpu.sw &= ~X87_C1;
        if (opcode == 7)
            x87_pop(x);
    } else if (opcode == 1 && reg == 3)
        store_unchecked(x, i);
    else if (opcode != 1)
        store_register(x, i, opcode != 5 || reg == 3);
    return 0;
}
const IrHelper x86_h_x87_register = { "x87_register", move_register,
                                      HELPER_FAULTS | HELPER_VECTORS };
