/*
 * x86_decode.c - the decoder: length and text of encodings in each mode, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "tcg/guest/x86/decode.h"

enum {
    REAL = MODE_CODE16,
    P16 = MODE_CODE16 | MODE_PE,
    P32 = MODE_CODE32 | MODE_PE,
    L64 = MODE_CODE64 | MODE_PE,
    V86 = MODE_CODE16 | MODE_PE | MODE_VM,
};

/* text NULL: #UD; "long": more than 15 bytes; "short": not all there. Code is at 1000h. */
static const struct {
    const char *what;
    uint32_t mode;
    const char *bytes; /* hex */
    const char *text;
} cases[] = {
    { "register form", L64, "01d8", "add eax, ebx" },
    { "REX.W widens", L64, "4801d8", "add rax, rbx" },
    { "66 narrows", L64, "6601d8", "add ax, bx" },
    { "REX.W beats 66", L64, "664801d8", "add rax, rbx" },
    { "REX before another prefix is void", L64, "486601d8", "add ax, bx" },
    { "16-bit code has 16-bit operands", P16, "01d8", "add ax, bx" },
    { "66 widens in 16-bit code", P16, "6601d8", "add eax, ebx" },
    { "40 is INC outside 64-bit mode", P32, "40", "inc eax" },
    { "high byte register", L64, "00e1", "add cl, ah" },
    { "REX turns AH into SPL", L64, "4000e1", "add cl, spl" },
    { "16-bit address", P16, "8b42fe", "mov ax, word [bp+si-0x2]" },
    { "16-bit absolute address", P16, "8b0e3412", "mov cx, word [0x1234]" },
    { "32-bit address in 16-bit code", P16, "678b4424fe", "mov ax, word [esp-0x2]" },
    { "16-bit address in 32-bit code", P32, "678b07", "mov eax, dword [bx]" },
    { "32-bit absolute address", P32, "8b0d78563412", "mov ecx, dword [0x12345678]" },
    { "RIP-relative", L64, "8b0d10000000", "mov ecx, dword [rip+0x10]" },
    { "SIB without base or index is absolute", L64, "8b0c2510000000", "mov ecx, dword [0x10]" },
    { "R12 as base needs SIB", L64, "418b0c24", "mov ecx, dword [r12]" },
    { "R12 as index", L64, "428b0c60", "mov ecx, dword [rax+r12*2]" },
    { "R13 as base needs a displacement", L64, "418b4d00", "mov ecx, dword [r13]" },
    { "index with scale and disp32", L64, "8b8cb9f0ffffff", "mov ecx, dword [rcx+rdi*4-0x10]" },
    { "segment override", P32, "658b07", "mov eax, dword gs:[edi]" },
    { "ES override means nothing in 64-bit mode", L64, "268b07", "mov eax, dword [rdi]" },
    { "FS override in 64-bit mode", L64, "648b07", "mov eax, dword fs:[rdi]" },
    { "immediate of 64 bits", L64, "48b88877665544332211", "mov rax, 0x1122334455667788" },
    { "immediate is sign-extended", L64, "4883c0ff", "add rax, 0xffffffffffffffff" },
    { "absolute offset of 64 bits", L64, "a18877665544332211",
      "mov eax, dword [0x1122334455667788]" },
    { "absolute offset with 67", L64, "67a144332211", "mov eax, dword [0x11223344]" },
    { "near call in 64-bit mode ignores 66", L64, "66e810000000", "call 0x1016" },
    { "near call in 32-bit mode obeys 66", P32, "66e81000", "call 0x1014" },
    { "push is 64 bits wide", L64, "50", "push rax" },
    { "push with 66 is 16 bits wide", L64, "6650", "push ax" },
    { "push R8", L64, "4150", "push r8" },
    { "conversions take their name by size", L64, "4898", "cdqe" },
    { "far pointer", P32, "ea785634123412", "jmp far 0x1234:0x12345678" },
    { "enter", P32, "c8100003", "enter 0x10, 0x3" },
    { "string with segment", P32, "f364a4", "rep movs byte es:[edi], byte fs:[esi]" },
    { "group by ModRM.reg", L64, "f7d8", "neg eax" },
    { "test has an immediate in its group", L64, "f6c107", "test cl, 0x7" },
    { "popcnt needs F3", L64, "f30fb8c8", "popcnt ecx, eax" },
    { "crc32 with F2", L64, "f20f38f0c1", "crc32 eax, cl" },
    { "movbe without F2", L64, "0f38f007", "movbe eax, dword [rdi]" },
    { "control register", L64, "440f20c0", "mov rax, cr8" },
    { "mod of MOV CR is ignored", P32, "0f2000", "mov eax, cr0" },
    { "63 is MOVSXD in 64-bit mode", L64, "4863c1", "movsxd rax, ecx" },
    { "63 is ARPL in protected mode", P32, "63c1", "arpl cx, ax" },
    { "bound takes memory", P32, "6207", "bound eax, dword [edi]" },
    { "les takes memory", P32, "c407", "les eax, dword [edi]" },
    { "15 bytes", L64, "66666666666666666666666666666601d8", "long" },
    { "14 prefixes and an opcode", L64, "666666666666666666666666666690", "xchg ax, ax" },
    { "LOCK with memory", L64, "f00107", "lock add dword [rdi], eax" },
    { "cut opcode", L64, "0f", "short" },
    { "cut displacement", L64, "8b8cb9f0ffff", "short" },
    { "cut immediate", L64, "b8000000", "short" },

    { "LOCK with a register", L64, "f001c0", NULL },
    { "LOCK with a memory source", L64, "f00307", NULL },
    { "LOCK CMP", L64, "f03907", NULL },
    { "LOCK MOV", L64, "f08907", NULL },
    { "PUSH ES in 64-bit mode", L64, "06", NULL },
    { "PUSHA in 64-bit mode", L64, "60", NULL },
    { "far call pointer in 64-bit mode", L64, "9a000000000000", NULL },
    { "82 in 64-bit mode", L64, "82c001", NULL },
    { "AAM in 64-bit mode", L64, "d40a", NULL },
    { "SYSCALL outside 64-bit mode", P32, "0f05", NULL },
    { "SWAPGS outside 64-bit mode", P32, "0f01f8", NULL },
    { "LEA of a register", L64, "8dc0", NULL },
    { "CMPXCHG8B of a register", L64, "0fc7c8", NULL },
    { "popcnt without F3", L64, "0fb8c8", NULL },
    { "POP with reg 1", L64, "8fc8", NULL },
    { "group 5 reg 7", L64, "fff8", NULL },
    { "ARPL in real mode", REAL, "63c1", NULL },
    { "LLDT in virtual-8086 mode", V86, "0f00d0", NULL },
    { "LES of a register is the place of VEX", P32, "c4c1", NULL },
    { "VEX in 64-bit mode", L64, "c5f877", NULL },
    { "EVEX", L64, "62f17c48", NULL },
    { "UD2 decodes: its function raises", L64, "0f0b", "ud2" },
};

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    return n;
}

static void decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[32] = { 0 };
        size_t n = from_hex(cases[i].bytes, bytes);
        char text[128] = "#UD";
        X86Insn in;
        X86Decode got = x86_decode(bytes, n, cases[i].mode, &in);

        if (got == X86_DECODED)
            x86_disas(&in, 0x1000, text, sizeof(text));
        else if (got != X86_INVALID)
            strcpy(text, got == X86_TRUNCATED ? "short" : "long");
        if (strcmp(text, cases[i].text ? cases[i].text : "#UD"))
            fail_msg("%s: %s, not %s", cases[i].what, text, cases[i].text);
        if (got == X86_DECODED && in.len != n)
            fail_msg("%s: length %u, not %zu", cases[i].what, in.len, n);
    }
}

/* Any bytes in any mode: an answer, and never more bytes than there are. */
static void survives_anything(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        uint8_t bytes[16];
        char text[128];
        X86Insn in;

        for (unsigned k = 0; k < sizeof(bytes); k++, seed = seed * 6364136223846793005u + 1)
            bytes[k] = seed >> 56;
        size_t n = seed >> 40 & 15;
        if (x86_decode(bytes, n, i % 3 | MODE_PE, &in) == X86_DECODED)
            x86_disas(&in, 0, text, sizeof(text));
        assert_true(in.len <= n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes),
        cmocka_unit_test(survives_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
