/*
 * host_x86_64_emit.c - encodings of the x86-64 emitter against bytes (checked with objdump).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "tcg/host/x86_64/emit.h"

typedef struct {
    const char *what;
    uint8_t len, bytes[14];
} Expect;

#define E(...)                                                                                     \
    sizeof((uint8_t[]) { __VA_ARGS__ }),                                                           \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static uint8_t buf[32];

static void check(const Expect *x, const Emit *e)
{
    if ((size_t)(e->p - buf) != x->len || memcmp(buf, x->bytes, x->len) != 0)
        print_error("%s:", x->what);
    for (const uint8_t *p = buf; p < e->p && memcmp(buf, x->bytes, x->len) != 0; p++)
        print_error(" %02x", *p);
    assert_int_equal(e->p - buf, x->len);
    assert_memory_equal(buf, x->bytes, x->len);
}

#define CHECK(text, call, ...)                                                                     \
    do {                                                                                           \
        static const Expect x_ = { text, E(__VA_ARGS__) };                                         \
        Emit em = { buf }, *e = &em;                                                               \
        call;                                                                                      \
        check(&x_, e);                                                                             \
    } while (0)

static void registers_and_sizes(void **state)
{
    (void)state;
    CHECK("mov r8, rax", emit_mov_rr(e, IR_64, H_R8, H_RAX), 0x4c, 0x8b, 0xc0);
    CHECK("mov ecx, r15d", emit_mov_rr(e, IR_32, H_RCX, H_R15), 0x41, 0x8b, 0xcf);
    CHECK("mov ax, bx", emit_mov_rr(e, IR_16, H_RAX, H_RBX), 0x66, 0x8b, 0xc3);
    CHECK("mov al, bl", emit_mov_rr(e, IR_8, H_RAX, H_RBX), 0x8a, 0xc3);
    CHECK("mov sil, al needs REX", emit_mov_rr(e, IR_8, H_RSI, H_RAX), 0x40, 0x8a, 0xf0);
    CHECK("mov ah, cl", emit_mov_rr(e, IR_8, H_HIGH | H_RAX, H_RCX), 0x8a, 0xe1);
    CHECK("movzx edx, bh", emit_rm(e, X_MOVZX8, IR_32, H_RDX, rm_reg(H_HIGH | H_RBX)), 0x0f, 0xb6,
          0xd7);
    CHECK("movzx r14d, dil", emit_rm(e, X_MOVZX8, IR_32, H_R14, rm_reg(H_RDI)), 0x44, 0x0f, 0xb6,
          0xf7);
    CHECK("movsxd rax, r12d", emit_rm(e, X_MOVSXD, IR_64, H_RAX, rm_reg(H_R12)), 0x49, 0x63, 0xc4);
}

static void memory_operands(void **state)
{
    (void)state;
    CHECK("[rax]", emit_mov(e, IR_32, H_RCX, rm_mem(H_RAX, 0)), 0x8b, 0x08);
    CHECK("[rbp] has a displacement", emit_mov(e, IR_32, H_RCX, rm_mem(H_RBP, 0)), 0x8b, 0x4d, 0);
    CHECK("[r13] too", emit_mov(e, IR_32, H_RCX, rm_mem(H_R13, 0)), 0x41, 0x8b, 0x4d, 0);
    CHECK("[rsp] has a SIB", emit_mov(e, IR_64, H_RCX, rm_mem(H_RSP, 8)), 0x48, 0x8b, 0x4c, 0x24,
          8);
    CHECK("[r12] too", emit_mov(e, IR_64, H_RCX, rm_mem(H_R12, 0)), 0x49, 0x8b, 0x0c, 0x24);
    CHECK("[rbp - 128]", emit_store(e, IR_64, rm_mem(H_RBP, -128), H_R9), 0x4c, 0x89, 0x4d, 0x80);
    CHECK("[rbp + 128]", emit_store(e, IR_8, rm_mem(H_RBP, 128), H_RDI), 0x40, 0x88, 0xbd, 0x80, 0,
          0, 0);
    CHECK("[r13 + r15*4 + 1]", emit_mov(e, IR_64, H_RAX, rm_index(H_R13, H_R15, 2, 1)), 0x4b, 0x8b,
          0x44, 0xbd, 1);
    CHECK("[rdi*8 + 16] without base", emit_lea(e, IR_64, H_R14, rm_index(H_NONE, H_RDI, 3, 16)),
          0x4c, 0x8d, 0x34, 0xfd, 16, 0, 0, 0);
    CHECK("[r12 as index]", emit_mov(e, IR_64, H_RAX, rm_index(H_RBX, H_R12, 0, 0)), 0x4a, 0x8b,
          0x04, 0x23);
}

static void constants(void **state)
{
    (void)state;
    CHECK("32 bits", emit_mov_imm(e, H_R9, 0xffffffff), 0x41, 0xb9, 0xff, 0xff, 0xff, 0xff);
    CHECK("sign-extended", emit_mov_imm(e, H_RAX, (uint64_t)-2), 0x48, 0xc7, 0xc0, 0xfe, 0xff, 0xff,
          0xff);
    CHECK("64 bits", emit_mov_imm(e, H_R14, 0x123456789a), 0x49, 0xbe, 0x9a, 0x78, 0x56, 0x34, 0x12,
          0, 0, 0);
    CHECK("mov byte [rbx], 5", emit_store_imm(e, IR_8, rm_mem(H_RBX, 0), 5), 0xc6, 0x03, 5);
    CHECK("mov word [rbx], 5", emit_store_imm(e, IR_16, rm_mem(H_RBX, 0), 5), 0x66, 0xc7, 0x03, 5,
          0);
}

static void arithmetic(void **state)
{
    (void)state;
    CHECK("add rax, [rbp + 8]", emit_alu(e, ALU_ADD, IR_64, H_RAX, rm_mem(H_RBP, 8)), 0x48, 0x03,
          0x45, 8);
    CHECK("cmp r14, 4088", emit_alu_imm(e, ALU_CMP, IR_64, rm_reg(H_R14), 4088), 0x49, 0x81, 0xfe,
          0xf8, 0x0f, 0, 0);
    CHECK("sub cl, 1", emit_alu_imm(e, ALU_SUB, IR_8, rm_reg(H_RCX), 1), 0x80, 0xe9, 1);
    CHECK("and ah, 8", emit_alu_imm(e, ALU_AND, IR_8, rm_reg(H_HIGH | H_RAX), 8), 0x80, 0xe4, 8);
    CHECK("lock xor [r14], r11d", emit_alu_store(e, ALU_XOR | X_LOCK, IR_32, rm_mem(H_R14, 0), 11),
          0xf0, 0x45, 0x31, 0x1e);
    CHECK("lock add word [r14], 300",
          emit_alu_imm(e, ALU_ADD | X_LOCK, IR_16, rm_mem(H_R14, 0), 300), 0xf0, 0x66, 0x41, 0x81,
          0x06, 0x2c, 0x01);
    CHECK("lock xadd [r14], r15b", emit_sized(e, X_XADD | X_LOCK, IR_8, H_R15, rm_mem(H_R14, 0)),
          0xf0, 0x45, 0x0f, 0xc0, 0x3e);
    CHECK("test r12, r12", emit_test(e, IR_64, rm_reg(H_R12), H_R12), 0x4d, 0x85, 0xe4);
    CHECK("shl rdx, 1", emit_shift_imm(e, SH_SHL, IR_64, rm_reg(H_RDX), 1), 0x48, 0xd1, 0xe2);
    CHECK("sar si, 3", emit_shift_imm(e, SH_SAR, IR_16, rm_reg(H_RSI), 3), 0x66, 0xc1, 0xfe, 3);
    CHECK("rcr r8b, cl", emit_shift_cl(e, SH_RCR, IR_8, rm_reg(H_R8)), 0x41, 0xd2, 0xd8);
    CHECK("not byte [r14]", emit_ext(e, X_GRP_F6, IR_8, GRP_NOT, rm_mem(H_R14, 0)), 0x41, 0xf6,
          0x16);
    CHECK("bt r9, rax", emit_rm(e, X_BT, IR_64, H_RAX, rm_reg(H_R9)), 0x49, 0x0f, 0xa3, 0xc1);
    CHECK("crc32 eax, r15w", emit_rm(e, X_CRC32, IR_16, H_RAX, rm_reg(H_R15)), 0x66, 0xf2, 0x41,
          0x0f, 0x38, 0xf1, 0xc7);
}

static void without_flags(void **state)
{
    (void)state;
    CHECK("rorx r15, r14, 8", emit_rorx(e, IR_64, H_R15, H_R14, 8), 0xc4, 0x43, 0xfb, 0xf0, 0xfe,
          8);
    CHECK("shlx eax, ebx, ecx", emit_shift_x(e, SH_SHL, IR_32, H_RAX, H_RBX, H_RCX), 0xc4, 0xe2,
          0x71, 0xf7, 0xc3);
    CHECK("shrx r8, r9, r15", emit_shift_x(e, SH_SHR, IR_64, H_R8, H_R9, H_R15), 0xc4, 0x42, 0x83,
          0xf7, 0xc1);
    CHECK("sarx rdx, rsi, r10", emit_shift_x(e, SH_SAR, IR_64, H_RDX, H_RSI, H_R10), 0xc4, 0xe2,
          0xaa, 0xf7, 0xd6);
}

static void vectors(void **state)
{
    (void)state;
    CHECK("movups xmm9, [r13 + r15]",
          emit_rm(e, X_MOVUPS_LOAD, IR_32, 9, rm_index(H_R13, H_R15, 0, 0)), 0x47, 0x0f, 0x10, 0x4c,
          0x3d, 0);
    CHECK("movsd [rax], xmm1", emit_rm(e, X_MOVSD_STORE, IR_32, 1, rm_mem(H_RAX, 0)), 0xf2, 0x0f,
          0x11, 0x08);
    CHECK("cvtsi2sd xmm0, r12", emit_rm(e, 0x2a | X_0F | X_F2, IR_64, 0, rm_reg(H_R12)), 0xf2, 0x49,
          0x0f, 0x2a, 0xc4);
    CHECK("pshufb xmm8, xmm1", emit_rm(e, 0x00 | X_0F38 | X_66, IR_32, 8, rm_reg(1)), 0x66, 0x44,
          0x0f, 0x38, 0x00, 0xc1);
}

static void jumps(void **state)
{
    (void)state;
    CHECK("jne forward", patch_rel32(emit_jcc(e, CC_NE), buf + 16), 0x0f, 0x85, 10, 0, 0, 0);
    CHECK("jmp back", patch_rel32(emit_jmp(e), buf), 0xe9, 0xfb, 0xff, 0xff, 0xff);
    CHECK("jmp [rbp + r13]", emit_jmp_rm(e, rm_index(H_RBP, H_R13, 0, 8)), 0x42, 0xff, 0x64, 0x2d,
          8);
    CHECK("lea r14, [rip - 2]", patch_rel32(emit_lea_rip(e, H_R14), buf + 5), 0x4c, 0x8d, 0x35,
          0xfe, 0xff, 0xff, 0xff);
    CHECK("push r12", emit_push(e, H_R12), 0x41, 0x54);
    CHECK("pop rbx", emit_pop(e, H_RBX), 0x5b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_and_sizes),
        cmocka_unit_test(memory_operands),
        cmocka_unit_test(constants),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(without_flags),
        cmocka_unit_test(vectors),
        cmocka_unit_test(jumps),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
