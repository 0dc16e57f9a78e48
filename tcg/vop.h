/*
 * vop.h - vector operations: each has a portable C function and an x86 encoding.
 *
 * The interpreter calls the function; an x86 host emits the instruction itself. A G, T or K operand
 * reaches the function as a VReg whose q[0] is its value; a G or T result is taken from d->q[0].
 */
#ifndef TCG_VOP_H
#define TCG_VOP_H

#include "tcg/cpu.h"

/*
 * d may be the same register as a or b. Writes at most the low 16 bytes of d. FP functions obey
 * cpu->mxcsr (rounding, DAZ, FTZ), add sticky flags to it, and raise the guest's exception before d
 * changes if unmasked.
 */
typedef void VopFn(Cpu *cpu, VReg *d, const VReg *a, const VReg *b, unsigned imm);

/* Where the x86 encoding has the operands. */
typedef enum {
    V_RM,   /* d = a in ModRM.reg, b (V or M) in r/m */
    V_RM1,  /* d (written only) in reg, b (V or M) in r/m; a unused: shuffles, moves, conversions */
    V_RM_G, /* d = a in reg, b (G, T or M; width `size`) in r/m: movd, cvtsi2sd, pinsr */
    G_RM_V, /* d (G or T, width `size`) in reg, b (V or M) in r/m: cvttsd2si, pmovmskb */
    RM_G_V, /* d (G or T, width `size`) in r/m, b (V) in reg: movd, pextr */
    V_IMM,  /* d = a in r/m, ModRM.reg = `ext`, imm8: shifts by a constant */
    F_RM,   /* no d: the op has IR_SETF, flags of a (V, reg) against b (V or M); d->q[0] of the
               function = flags */
} VopForm;

enum {
    VOP_IMM8 = 1,    /* an immediate byte follows */
    VOP_FP = 2,      /* depends on MXCSR */
    VOP_MMX = 4,     /* works on the 64-bit MMX registers (V_MM + n) */
    VOP_NO_HOST = 8, /* never emitted as itself: always the function */
    VOP_SSE = 16,    /* came with SSE */
    VOP_SSE2 = 32,   /* came with SSE2; neither: MMX, or what `host_feature` says */
    VOP_MEM = 64,    /* b must be memory */
    VOP_W = 128,     /* the 64-bit form of a G operand */
};

typedef struct {
    const char *name;
    VopFn *fn;
    uint8_t form, prefix, map, opcode,
        ext;               /* prefix 0, 0x66, 0xf3, 0xf2; map 1: 0F, 2: 0F 38, 3: 0F 3A */
    uint8_t mem;           /* bytes read if b is memory */
    uint8_t attr;          /* VOP_* */
    uint32_t host_feature; /* HOST_* the host must have, else the function is called */
} Vop;

enum {
    HOST_SSE3 = 1,
    HOST_SSSE3 = 2,
    HOST_SSE41 = 4,
    HOST_SSE42 = 8,
    HOST_AES = 16,
    HOST_PCLMUL = 32
};

typedef enum {
#define V_OP(name, form, prefix, map, opcode, ext, mem, attr, feature) VOP_##name,
#include "tcg/vop.def"
#undef V_OP
    VOP_COUNT,
} VopId;

extern const Vop vops[VOP_COUNT];

#endif
