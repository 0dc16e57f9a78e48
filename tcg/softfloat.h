/*
 * softfloat.h - IEEE 754 arithmetic in integers, for single, double and x87 extended precision.
 *
 * Every operation unpacks its operands into an Fp, computes with 128 bits of significand (the last
 * one sticky), and rounds once to the format of the result. Exceptions, NaN results and tininess
 * (detected after rounding) are those of x86: SDM volume 1, chapters 4.8, 4.9, 8.5 and 11.5.
 */
#ifndef TCG_SOFTFLOAT_H
#define TCG_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

/* Exceptions, at their places in MXCSR and the x87 status word. */
enum {
    FP_IE = 1,
    FP_DE = 2,
    FP_ZE = 4,
    FP_OE = 8,
    FP_UE = 16,
    FP_PE = 32,
    FP_ALL = 63,
    FP_EARLY = FP_IE | FP_DE | FP_ZE, /* known before the result is computed */
};

/* Rounding, in the encoding of MXCSR.RC and the x87 control word. */
typedef enum { FP_NEAREST, FP_DOWN, FP_UP, FP_CHOP } FpRounding;

typedef struct {
    uint8_t rounding; /* FpRounding */
    uint8_t masked;   /* FP_*: these give a default result */
    uint8_t flags;    /* FP_*: raised so far */
    bool daz, ftz;    /* denormal operands are zero; tiny results are zero (if UE is masked) */
    bool x87;         /* which NaN wins; scaled results for unmasked overflow and underflow */
    bool up;          /* the last rounding was away from zero */
} FpEnv;

typedef enum {
    FPC_ZERO,
    FPC_FINITE,
    FPC_INF,
    FPC_QNAN,
    FPC_SNAN,
    FPC_UNSUPPORTED, /* extended precision without its integer bit */
} FpClass;

typedef struct {
    uint64_t
        sig; /* finite: sig * 2^(exp - 63), bit 63 set. NaN: payload, bit 62 quiet, bit 63 set */
    uint64_t low; /* 64 more bits below, the last one sticky; 0 in an operand */
    int32_t exp;
    uint8_t cls; /* FpClass */
    bool sign;
    bool denormal; /* the operand was */
} Fp;

/* A format to round to: bits of significand, least and greatest exponent of a normal number. */
typedef struct {
    int16_t bits, emin, emax;
} FpFormat;

extern const FpFormat fp_single, fp_double, fp_extended;

/* -- between encodings and Fp; packing expects a value rounded to that format */
Fp fp_unpack32(const FpEnv *env, uint32_t bits);
Fp fp_unpack64(const FpEnv *env, uint64_t bits);
Fp fp_unpack80(uint64_t sig, uint16_t sign_exp);
uint32_t fp_pack32(Fp v);
uint64_t fp_pack64(Fp v);
uint64_t fp_pack80(Fp v, uint16_t *sign_exp);

/* Round once; raises OE, UE, PE. Anything but FPC_FINITE passes unchanged. */
Fp fp_round(FpEnv *env, const FpFormat *f, Fp v);

/* -- results that are not finite */
Fp fp_zero(bool sign);
Fp fp_inf(bool sign);
Fp fp_default_nan(void);
Fp fp_invalid(FpEnv *env); /* raises IE: the default NaN */
bool fp_is_nan(Fp v);      /* or unsupported */
Fp fp_nan1(FpEnv *env, Fp a);
Fp fp_nan2(FpEnv *env, Fp a, Fp b); /* one of them is a NaN or unsupported */
void fp_denormal(FpEnv *env, Fp a, Fp b);

/* -- operations; the result is to be rounded */
typedef Fp FpFn(FpEnv *env, Fp a, Fp b);
FpFn fp_add, fp_sub, fp_mul, fp_div;
Fp fp_sqrt(FpEnv *env, Fp a);
Fp fp_convert(FpEnv *env, Fp a); /* to another format */

/* Round to an integral value as `rounding` says; *inexact: it was not. No exceptions. */
Fp fp_integral(Fp a, unsigned rounding, bool *inexact, bool *up);

typedef enum { FP_LESS, FP_EQUAL, FP_GREATER, FP_UNORDERED } FpOrder;

/* Compare; raises IE for a signaling NaN, with `signal_quiet` for every NaN; DE otherwise. */
FpOrder fp_compare(FpEnv *env, Fp a, Fp b, bool signal_quiet);

/* To a signed integer of 16, 32 or 64 bits; raises IE (result: the least integer) or PE. */
int64_t fp_to_int(FpEnv *env, Fp a, unsigned bits, unsigned rounding);
Fp fp_from_int(int64_t v);

#endif
