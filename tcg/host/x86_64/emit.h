/*
 * emit.h - x86-64 instruction encoder (AMD64 APM volume 3, chapter 1: prefixes, REX, ModRM, SIB).
 *
 * An instruction is described by one constant (X_*: opcode, map, mandatory prefix, byte operands),
 * an operand size, a register number and a register-or-memory operand. Nothing here knows the IR.
 */
#ifndef TCG_HOST_X86_64_EMIT_H
#define TCG_HOST_X86_64_EMIT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tcg/ir.h"

typedef struct {
    uint8_t *p; /* next byte, in the writable view */
} Emit;

enum {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0x40, /* no base or index */
    H_HIGH = 0x20, /* AH CH DH BH: H_HIGH | 0..3; only in instructions without REX */
};

/* A register or a memory operand. */
typedef struct {
    bool mem;
    uint8_t reg;   /* register, or base */
    uint8_t index; /* H_NONE: none */
    uint8_t scale;
    int32_t disp;
} Rm;

static inline Rm rm_reg(unsigned reg)
{
    return (Rm) { .reg = reg };
}

static inline Rm rm_mem(unsigned base, int32_t disp)
{
    return (Rm) { .mem = true, .reg = base, .index = H_NONE, .disp = disp };
}

static inline Rm rm_index(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (Rm) { .mem = true, .reg = base, .index = index, .scale = scale, .disp = disp };
}

/* Instruction constants: opcode | map << 8 | prefix << 10 | X_* */
enum {
    X_0F = 1 << 8,
    X_0F38 = 2 << 8,
    X_0F3A = 3 << 8,
    X_66 = 1 << 10,
    X_F3 = 2 << 10,
    X_F2 = 3 << 10,
    X_BYTE_REG = 1 << 12, /* `reg` is a byte register */
    X_BYTE_RM = 1 << 13,  /* a register r/m is one */
    X_LOCK = 1 << 14,
    X_NO_SIZE = 1 << 15, /* `size` shapes nothing: SSE, byte operations */

    X_BYTE = X_BYTE_REG | X_BYTE_RM | X_NO_SIZE,
    X_LEA = 0x8d,
    X_MOV_LOAD = 0x8b,
    X_MOV_STORE = 0x89,
    X_TEST = 0x85,
    X_XCHG = 0x87,
    X_MOVZX8 = 0xb6 | X_0F | X_BYTE_RM,
    X_MOVZX16 = 0xb7 | X_0F,
    X_MOVSX8 = 0xbe | X_0F | X_BYTE_RM,
    X_MOVSX16 = 0xbf | X_0F,
    X_MOVSXD = 0x63,
    X_IMUL = 0xaf | X_0F,
    X_IMUL_I8 = 0x6b,
    X_IMUL_I32 = 0x69,
    X_SHLD_I = 0xa4 | X_0F,
    X_SHLD_CL = 0xa5 | X_0F,
    X_SHRD_I = 0xac | X_0F,
    X_SHRD_CL = 0xad | X_0F,
    X_BT = 0xa3 | X_0F, /* + 8 * n: bt bts btr btc */
    X_BT_I = 0xba | X_0F,
    X_BSF = 0xbc | X_0F,
    X_BSR = 0xbd | X_0F,
    X_TZCNT = 0xbc | X_0F | X_F3,
    X_LZCNT = 0xbd | X_0F | X_F3,
    X_POPCNT = 0xb8 | X_0F | X_F3,
    X_CRC32_8 = 0xf0 | X_0F38 | X_F2 | X_BYTE_RM,
    X_CRC32 = 0xf1 | X_0F38 | X_F2,
    X_CMPXCHG = 0xb1 | X_0F,
    X_XADD = 0xc1 | X_0F,
    X_CMOV = 0x40 | X_0F, /* + condition */
    X_SETCC = 0x90 | X_0F | X_BYTE_RM | X_NO_SIZE,
    X_GRP_F6 = 0xf7, /* /2 not /3 neg /4 mul /5 imul */
    X_GRP_FE = 0xff, /* /0 inc /1 dec */
    X_MOVUPS_LOAD = 0x10 | X_0F | X_NO_SIZE,
    X_MOVUPS_STORE = 0x11 | X_0F | X_NO_SIZE,
    X_MOVAPS_LOAD = 0x28 | X_0F | X_NO_SIZE,
    X_MOVAPS_STORE = 0x29 | X_0F | X_NO_SIZE,
    X_MOVSS_LOAD = 0x10 | X_0F | X_F3 | X_NO_SIZE,
    X_MOVSS_STORE = 0x11 | X_0F | X_F3 | X_NO_SIZE,
    X_MOVSD_LOAD = 0x10 | X_0F | X_F2 | X_NO_SIZE,
    X_MOVSD_STORE = 0x11 | X_0F | X_F2 | X_NO_SIZE,
    X_MXCSR = 0xae | X_0F | X_NO_SIZE, /* /2 load /3 store */
};

enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR = 7 };
enum { BT_BT, BT_BTS, BT_BTR, BT_BTC };
enum { GRP_NOT = 2, GRP_NEG, GRP_MUL, GRP_IMUL };

static inline void emit8(Emit *e, unsigned v)
{
    *e->p++ = v;
}

static inline void emit32(Emit *e, uint32_t v)
{
    memcpy(e->p, &v, 4);
    e->p += 4;
}

static inline void emit64(Emit *e, uint64_t v)
{
    memcpy(e->p, &v, 8);
    e->p += 8;
}

/* An immediate of an operation of `size`: at most four bytes. */
static inline void emit_imm(Emit *e, IrSize size, int64_t v)
{
    unsigned bytes = size == IR_8 ? 1 : size == IR_16 ? 2 : 4;

    memcpy(e->p, &v, bytes);
    e->p += bytes;
}

static inline bool fits8(int64_t v)
{
    return v == (int8_t)v;
}

static inline bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

/* A byte register 4..7 (SPL BPL SIL DIL) exists only with a REX prefix. */
static inline bool needs_rex(unsigned reg)
{
    return !(reg & H_HIGH) && reg >= 4;
}

static inline unsigned reg_code(unsigned reg)
{
    return reg & H_HIGH ? 4 + (reg & 3) : reg & 7;
}

static inline unsigned rex_of(uint32_t x, IrSize size, unsigned reg, Rm rm)
{
    unsigned rex = 0;

    if (size == IR_64 && !(x & X_NO_SIZE))
        rex = 0x48;
    if (!(reg & H_HIGH) && reg & 8)
        rex |= 0x44;
    if (!(rm.reg & (H_HIGH | H_NONE)) && rm.reg & 8)
        rex |= 0x41;
    if (rm.mem && rm.index != H_NONE && rm.index & 8)
        rex |= 0x42;
    if ((x & X_BYTE_REG && needs_rex(reg)) || (x & X_BYTE_RM && !rm.mem && needs_rex(rm.reg)))
        rex |= 0x40;
    assert(!rex || !((reg | (rm.mem ? 0 : rm.reg)) & H_HIGH));
    return rex;
}

/* ModRM, SIB and displacement. */
static inline void emit_modrm(Emit *e, unsigned reg, Rm rm)
{
    unsigned r = reg_code(reg) << 3;

    if (!rm.mem) {
        emit8(e, 0xc0 | r | reg_code(rm.reg));
        return;
    }
    bool no_base = rm.reg == H_NONE;
    bool sib = rm.index != H_NONE || no_base || (rm.reg & 7) == 4;
    unsigned mod = no_base ? 0 : rm.disp == 0 && (rm.reg & 7) != 5 ? 0 : fits8(rm.disp) ? 1 : 2;
    emit8(e, mod << 6 | r | (sib ? 4 : rm.reg & 7));
    if (sib)
        emit8(e, rm.scale << 6 | (rm.index == H_NONE ? 4 : rm.index & 7) << 3 |
                     (no_base ? 5 : rm.reg & 7));
    if (mod == 1)
        emit8(e, rm.disp);
    else if (mod == 2 || no_base)
        emit32(e, rm.disp);
}

/* One instruction without its immediate. */
static inline void emit_rm(Emit *e, uint32_t x, IrSize size, unsigned reg, Rm rm)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = rex_of(x, size, reg, rm), map = x >> 8 & 3;

    if (x & X_LOCK)
        emit8(e, 0xf0);
    if (size == IR_16 && !(x & X_NO_SIZE))
        emit8(e, 0x66);
    if (x >> 10 & 3)
        emit8(e, prefixes[x >> 10 & 3]);
    if (rex)
        emit8(e, rex);
    if (map)
        emit8(e, 0x0f);
    if (map > 1)
        emit8(e, map == 2 ? 0x38 : 0x3a);
    emit8(e, x);
    emit_modrm(e, reg, rm);
}

/* Instructions whose byte form has the opcode one lower. */
static inline void emit_sized(Emit *e, uint32_t x, IrSize size, unsigned reg, Rm rm)
{
    emit_rm(e, size == IR_8 ? (x - 1) | X_BYTE : x, size, reg, rm);
}

/* The same with an opcode extension in place of the register. */
static inline void emit_ext(Emit *e, uint32_t x, IrSize size, unsigned ext, Rm rm)
{
    emit_rm(e, size == IR_8 ? (x - 1) | X_BYTE_RM | X_NO_SIZE : x, size, ext, rm);
}

/* -- moves */

static inline void emit_mov(Emit *e, IrSize size, unsigned dst, Rm src)
{
    emit_sized(e, X_MOV_LOAD, size, dst, src);
}

static inline void emit_store(Emit *e, IrSize size, Rm dst, unsigned src)
{
    emit_sized(e, X_MOV_STORE, size, src, dst);
}

static inline void emit_mov_rr(Emit *e, IrSize size, unsigned dst, unsigned src)
{
    emit_mov(e, size, dst, rm_reg(src));
}

static inline void emit_store_imm(Emit *e, IrSize size, Rm dst, int64_t imm)
{
    emit_ext(e, 0xc7, size, 0, dst);
    emit_imm(e, size, imm);
}

/* A constant into a register, flags untouched. */
static inline void emit_mov_imm(Emit *e, unsigned dst, uint64_t imm)
{
    if (imm <= UINT32_MAX) {
        if (dst & 8)
            emit8(e, 0x41);
        emit8(e, 0xb8 | (dst & 7));
        emit32(e, imm);
    } else if (fits32(imm)) {
        emit_store_imm(e, IR_64, rm_reg(dst), imm);
    } else {
        emit8(e, 0x48 | (dst >> 3));
        emit8(e, 0xb8 | (dst & 7));
        emit64(e, imm);
    }
}

static inline void emit_lea(Emit *e, IrSize size, unsigned dst, Rm mem)
{
    emit_rm(e, X_LEA, size, dst, mem);
}

/* reg = address relative to the instruction's end, for patch_rel32() */
static inline uint8_t *emit_lea_rip(Emit *e, unsigned reg)
{
    emit8(e, 0x48 | (reg >> 3) << 2);
    emit8(e, X_LEA);
    emit8(e, 0x05 | (reg & 7) << 3);
    emit32(e, 0);
    return e->p - 4;
}

/* -- arithmetic */

static inline void emit_alu(Emit *e, unsigned alu, IrSize size, unsigned dst, Rm src)
{
    emit_sized(e, alu << 3 | 3, size, dst, src);
}

static inline void emit_alu_store(Emit *e, uint32_t alu, IrSize size, Rm dst, unsigned src)
{
    emit_sized(e, (alu & 7) << 3 | 1 | (alu & X_LOCK), size, src, dst);
}

static inline void emit_alu_imm(Emit *e, uint32_t alu, IrSize size, Rm dst, int32_t imm)
{
    bool small = size != IR_8 && fits8(imm);

    emit_ext(e, (small ? 0x83 : 0x81) | (alu & X_LOCK), size, alu & 7, dst);
    emit_imm(e, small ? IR_8 : size, imm);
}

static inline void emit_test(Emit *e, IrSize size, Rm a, unsigned b)
{
    emit_sized(e, X_TEST, size, b, a);
}

static inline void emit_test_imm(Emit *e, IrSize size, Rm a, int32_t imm)
{
    emit_ext(e, X_GRP_F6, size, 0, a);
    emit_imm(e, size, imm);
}

static inline void emit_shift_imm(Emit *e, unsigned shift, IrSize size, Rm dst, unsigned count)
{
    emit_ext(e, count == 1 ? 0xd1 : 0xc1, size, shift, dst);
    if (count != 1)
        emit8(e, count);
}

static inline void emit_shift_cl(Emit *e, unsigned shift, IrSize size, Rm dst)
{
    emit_ext(e, 0xd3, size, shift, dst);
}

/* -- BMI2 (VEX encoded, no flags): size is IR_32 or IR_64 */

static inline void emit_vex(Emit *e, unsigned map, unsigned pp, IrSize size, unsigned opcode,
                            unsigned reg, unsigned vvvv, unsigned rm)
{
    emit8(e, 0xc4);
    emit8(e, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
    emit8(e, (size == IR_64 ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
    emit8(e, opcode);
    emit8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline void emit_rorx(Emit *e, IrSize size, unsigned dst, unsigned src, unsigned count)
{
    emit_vex(e, 3, 3, size, 0xf0, dst, 0, src);
    emit8(e, count);
}

/* dst = src shifted by the register `count`: SHLX SHRX SARX for SH_SHL SH_SHR SH_SAR */
static inline void emit_shift_x(Emit *e, unsigned shift, IrSize size, unsigned dst, unsigned src,
                                unsigned count)
{
    emit_vex(e, 2, shift == SH_SHL ? 1 : shift == SH_SHR ? 3 : 2, size, 0xf7, dst, count, src);
}

/* -- control: a rel32 is patched with patch_rel32() */

static inline uint8_t *emit_jcc(Emit *e, unsigned cc)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | cc);
    emit32(e, 0);
    return e->p - 4;
}

static inline uint8_t *emit_jmp(Emit *e)
{
    emit8(e, 0xe9);
    emit32(e, 0);
    return e->p - 4;
}

static inline uint8_t *emit_call(Emit *e)
{
    emit8(e, 0xe8);
    emit32(e, 0);
    return e->p - 4;
}

static inline void patch_rel32(uint8_t *at, const uint8_t *target)
{
    int32_t rel = target - (at + 4);

    memcpy(at, &rel, 4);
}

static inline void emit_jmp_rm(Emit *e, Rm rm)
{
    emit_rm(e, 0xff | X_NO_SIZE, IR_32, 4, rm);
}

static inline void emit_call_rm(Emit *e, Rm rm)
{
    emit_rm(e, 0xff | X_NO_SIZE, IR_32, 2, rm);
}

static inline void emit_push(Emit *e, unsigned reg)
{
    if (reg & 8)
        emit8(e, 0x41);
    emit8(e, 0x50 | (reg & 7));
}

static inline void emit_pop(Emit *e, unsigned reg)
{
    if (reg & 8)
        emit8(e, 0x41);
    emit8(e, 0x58 | (reg & 7));
}

static inline void emit_pushf(Emit *e)
{
    emit8(e, 0x9c);
}

static inline void emit_popf(Emit *e)
{
    emit8(e, 0x9d);
}

static inline void emit_pop_rm(Emit *e, Rm rm)
{
    emit_rm(e, 0x8f | X_NO_SIZE, IR_64, 0, rm);
}

static inline void emit_push_rm(Emit *e, Rm rm)
{
    emit_rm(e, 0xff | X_NO_SIZE, IR_64, 6, rm);
}

static inline void emit_ret(Emit *e)
{
    emit8(e, 0xc3);
}

/* Fill up to a multiple of `align` plus `phase` with NOPs that cost nothing to skip over. */
static inline void emit_align(Emit *e, unsigned align, unsigned phase)
{
    static const uint8_t nops[4][3] = { { 0 }, { 0x90 }, { 0x66, 0x90 }, { 0x0f, 0x1f, 0x00 } };
    unsigned n = (phase - (uintptr_t)e->p) & (align - 1);

    for (; n >= 3; n -= 3, e->p += 3)
        memcpy(e->p, nops[3], 3);
    memcpy(e->p, nops[n], n);
    e->p += n;
}

#endif
