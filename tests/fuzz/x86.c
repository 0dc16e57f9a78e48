/*
 * x86.c - fuzz target: any bytes as x86 code in one of three modes, translated (the IR is checked),
 * run for a moment by one back end or the other, and disassembled.
 */
#include "tests/unit/tcg_machine.h"

#include "base/math.h"
#include "tcg/guest/x86/decode.h"

enum { CODE = 0x10000, CODE_MAX = 0x1000, MILLISECONDS = 2 };

static void start(Machine *m, unsigned mode)
{
    switch (mode % 3) {
    case 0: machine_real_mode(m, CODE >> 4, 0); break;
    case 1: machine_protected_mode(m, CODE, mode & 4 ? 3 : 0); break;
    case 2: machine_long_mode(m, CODE, mode & 4 ? 3 : 0); break;
    }
}

static void disassemble(const uint8_t *bytes, size_t size, uint32_t mode)
{
    X86Insn in;
    char text[128];

    for (size_t at = 0; at < size; at += in.len) {
        if (x86_decode(bytes + at, size - at, mode, &in) != X86_DECODED)
            break;
        x86_disas(&in, CODE + at, text, sizeof(text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const backends[] = { "interp", "x86_64" };

    if (size < 2)
        return 0;
    Machine *m = machine_new(backends[data[0] >> 7], 1);
    machine_x86(m, "max");
    m->quiet = true;
    machine_load(m, CODE, data + 1, MIN(size - 1, (size_t)CODE_MAX));
    start(m, data[0] & 0x7f);
    disassemble(data + 1, size - 1, m->cpu->mode);
    machine_run_ms(m, MILLISECONDS);
    machine_free(m);
    return 0;
}
