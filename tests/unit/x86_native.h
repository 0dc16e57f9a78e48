/*
 * x86_native.h - runs x86-64 code on this machine's own CPU with all registers from a state block,
 * and brings back the registers at the end or at a fault. For tests that compare the translator
 * with it, so code, stub and data lie at fixed low addresses, the same as in the guest.
 *
 *     native_init(scratch_at, scratch_size)     maps everything; false: not possible here
 *     copy code to NATIVE_CODE; let it end with a jump to NATIVE_EXIT
 *     native_run(state)                          state->signal: 0, or what stopped it
 */
#ifndef TESTS_UNIT_X86_NATIVE_H
#define TESTS_UNIT_X86_NATIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/compiler.h"

enum {
    NATIVE_CODE = 0x100000, /* 8 KiB: code may cross a page */
    NATIVE_CODE_SIZE = 0x2000,
    NATIVE_STUB = 0x110000,
    NATIVE_EXIT = 0x110800, /* in the guest: HLT */
    NATIVE_STATE = 0x111000,
};

/* Registers in the CPU's numbering; `fx` is an FXSAVE image. */
typedef struct {
    uint64_t gpr[16];
    uint64_t rip, flags;
    uint64_t host_rsp;
    uint64_t epilogue; /* where a signal handler continues */
    int signal;
    uint8_t fx[512] __attribute__((aligned(64)));
    uint8_t host_fx[512] __attribute__((aligned(64)));
} NativeState;

#ifdef __x86_64__

#define NATIVE_AT ((NativeState *)NATIVE_STATE)

/* -- encoding of the stub */

UNUSED static uint8_t *native_bytes(uint8_t *p, const void *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

/* An opcode with the register field `reg` and the absolute address of state + offset. */
UNUSED static uint8_t *native_abs(uint8_t *p, const char *opcode, size_t n, unsigned reg,
                                  size_t offset)
{
    uint32_t at = NATIVE_STATE + offset;

    p = native_bytes(p, opcode, n);
    *p++ = 4 | (reg & 7) << 3;
    *p++ = 0x25;
    return native_bytes(p, &at, 4);
}

UNUSED static uint8_t *native_move(uint8_t *p, bool store, unsigned reg, size_t offset)
{
    char opcode[2] = { reg & 8 ? 0x4c : 0x48, store ? (char)0x89 : (char)0x8b };

    return native_abs(p, opcode, 2, reg, offset);
}

enum { NATIVE_RSP = 4 };

UNUSED static void native_enter_code(uint8_t *p)
{
    p = native_bytes(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push rbx .. r15 */
    p = native_move(p, true, NATIVE_RSP, offsetof(NativeState, host_rsp));
    p = native_abs(p, "\x0f\xae", 2, 0, offsetof(NativeState, host_fx)); /* fxsave */
    p = native_abs(p, "\x0f\xae", 2, 1, offsetof(NativeState, fx));      /* fxrstor */
    p = native_abs(p, "\xff", 1, 6, offsetof(NativeState, flags));       /* push flags */
    *p++ = 0x9d;                                                         /* popfq */
    for (unsigned i = 0; i < 16; i++)
        p = native_move(p, false, i, 8 * i);
    native_abs(p, "\xff", 1, 4, offsetof(NativeState, rip)); /* jmp */
}

/* Returns the address of the part that a signal handler may continue with. */
UNUSED static uint64_t native_exit_code(uint8_t *p)
{
    p = native_move(p, true, NATIVE_RSP, 8 * NATIVE_RSP);
    p = native_move(p, false, NATIVE_RSP, offsetof(NativeState, host_rsp));
    for (unsigned i = 0; i < 16; i++)
        if (i != NATIVE_RSP)
            p = native_move(p, true, i, 8 * i);
    *p++ = 0x9c;                                                    /* pushfq */
    p = native_abs(p, "\x8f", 1, 0, offsetof(NativeState, flags));  /* pop flags */
    p = native_abs(p, "\x0f\xae", 2, 0, offsetof(NativeState, fx)); /* fxsave */
    uint64_t epilogue = (uintptr_t)p;
    p = native_abs(p, "\x0f\xae", 2, 1, offsetof(NativeState, host_fx)); /* fxrstor */
    native_bytes(p, "\xfc\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 12);
    return epilogue;
}

/* -- faults: the registers of the context are the result */

UNUSED static void native_signal(int sig, siginfo_t *info, void *context)
{
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;

    (void)info;
    for (unsigned i = 0; i < 16; i++)
        NATIVE_AT->gpr[i] = (uint64_t)r[order[i]];
    NATIVE_AT->rip = (uint64_t)r[REG_RIP];
    NATIVE_AT->flags = (uint64_t)r[REG_EFL];
    NATIVE_AT->signal = sig;
    memcpy(NATIVE_AT->fx, uc->uc_mcontext.fpregs, 512);
    r[REG_RIP] = (greg_t)NATIVE_AT->epilogue;
    r[REG_RSP] = (greg_t)NATIVE_AT->host_rsp;
    r[REG_EFL] = 0x202;
}

UNUSED static bool native_map(uint64_t at, size_t size)
{
    int prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

    return mmap((void *)at, size, prot, flags, -1, 0) == (void *)at;
}

UNUSED static bool native_init(uint64_t scratch_at, size_t scratch_size)
{
    static uint8_t stack[64 << 10];
    stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction action = { .sa_sigaction = native_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };

    if (!native_map(NATIVE_CODE, NATIVE_CODE_SIZE) || !native_map(NATIVE_STUB, 0x2000) ||
        !native_map(scratch_at, scratch_size))
        return false;
    native_enter_code((uint8_t *)NATIVE_STUB);
    NATIVE_AT->epilogue = native_exit_code((uint8_t *)NATIVE_EXIT);
    sigaltstack(&alt, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);
    return true;
}

UNUSED static void native_run(NativeState *state)
{
    NativeState *at = NATIVE_AT;

    memcpy(at->gpr, state->gpr, sizeof(at->gpr));
    memcpy(at->fx, state->fx, sizeof(at->fx));
    at->rip = state->rip;
    at->flags = state->flags;
    at->signal = 0;
    ((void (*)(void))NATIVE_STUB)();
    if (!at->signal)
        at->rip = NATIVE_EXIT;
    memcpy(state->gpr, at->gpr, sizeof(at->gpr));
    memcpy(state->fx, at->fx, sizeof(at->fx));
    state->rip = at->rip;
    state->flags = at->flags;
    state->signal = at->signal;
}

#else

UNUSED static bool native_init(uint64_t scratch_at, size_t scratch_size)
{
    (void)scratch_at;
    (void)scratch_size;
    return false;
}

UNUSED static void native_run(NativeState *state)
{
    (void)state;
}

#endif
#endif
