/*
 * x86_native.h - runs x86-64 code on this machine's own CPU with all registers from a state block,
 * and brings back the registers at the end or at a fault. For tests that compare the translator
 * with it, so code, stub and data lie at fixed low addresses, the same as in the guest.
 *
 *     native_init(scratch_at, scratch_size)     maps everything, and takes the signals (again in
 * each test: cmocka puts its own back); false: not possible copy code to NATIVE_CODE; let it end
 * with a jump to NATIVE_EXIT native_run(state)                          state->signal: 0, or what
 * stopped it
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
    NATIVE_ENTER32 = 0x110400,
    NATIVE_EXIT = 0x110800,   /* in the guest: HLT */
    NATIVE_EXIT32 = 0x110c00, /* the same for 32-bit code */
    NATIVE_STATE = 0x111000,
};

/* Registers in the CPU's numbering; `fx` is an FXSAVE image. */
typedef struct {
    uint64_t gpr[16];
    uint64_t rip, flags;
    uint64_t host_rsp;
    uint64_t epilogue; /* where a signal handler continues */
    struct {           /* 32-bit code: offset and selector */
        uint32_t offset;
        uint16_t selector;
    } far;
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

enum { NATIVE_RSP = 4, NATIVE_CS64 = 0x33, NATIVE_CS32 = 0x23 }; /* Linux's selectors */

UNUSED static void native_enter_code(uint8_t *p, bool code32)
{
    p = native_bytes(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10); /* push rbx .. r15 */
    p = native_move(p, true, NATIVE_RSP, offsetof(NativeState, host_rsp));
    p = native_abs(p, "\x0f\xae", 2, 0, offsetof(NativeState, host_fx)); /* fxsave */
    p = native_abs(p, "\x0f\xae", 2, 1, offsetof(NativeState, fx));      /* fxrstor */
    p = native_abs(p, "\xff", 1, 6, offsetof(NativeState, flags));       /* push flags */
    *p++ = 0x9d;                                                         /* popfq */
    if (code32) /* mov eax, 2bh; mov ds, eax; mov es, eax */
        p = native_bytes(p, "\xb8\x2b\0\0\0\x8e\xd8\x8e\xc0", 9);
    for (unsigned i = 0; i < 16; i++)
        p = native_move(p, false, i, 8 * i);
    if (code32)
        native_abs(p, "\xff", 1, 5, offsetof(NativeState, far)); /* jmp far */
    else
        native_abs(p, "\xff", 1, 4, offsetof(NativeState, rip)); /* jmp */
}

/* jmp far to the 64-bit exit */
UNUSED static void native_exit32_code(uint8_t *p)
{
    uint32_t to = NATIVE_EXIT;

    *p++ = 0xea;
    p = native_bytes(p, &to, 4);
    native_bytes(p, &(uint16_t) { NATIVE_CS64 }, 2);
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
    r[REG_CSGSFS] = (r[REG_CSGSFS] & ~(greg_t)0xffff) | NATIVE_CS64;
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

    static bool mapped;

    if (!mapped)
        mapped = native_map(NATIVE_CODE, NATIVE_CODE_SIZE) && native_map(NATIVE_STUB, 0x2000) &&
                 native_map(scratch_at, scratch_size);
    if (!mapped)
        return false;
    native_enter_code((uint8_t *)NATIVE_STUB, false);
    native_enter_code((uint8_t *)NATIVE_ENTER32, true);
    native_exit32_code((uint8_t *)NATIVE_EXIT32);
    NATIVE_AT->epilogue = native_exit_code((uint8_t *)NATIVE_EXIT);
    sigaltstack(&alt, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i], &action, NULL);
    return true;
}

UNUSED static void native_run_at(NativeState *state, uint64_t enter, uint64_t exit)
{
    NativeState *at = NATIVE_AT;

    memcpy(at->gpr, state->gpr, sizeof(at->gpr));
    memcpy(at->fx, state->fx, sizeof(at->fx));
    at->rip = state->rip;
    at->flags = state->flags;
    at->far.offset = (uint32_t)state->rip;
    at->far.selector = NATIVE_CS32;
    at->signal = 0;
    ((void (*)(void))enter)();
    if (!at->signal)
        at->rip = exit;
    memcpy(state->gpr, at->gpr, sizeof(at->gpr));
    memcpy(state->fx, at->fx, sizeof(at->fx));
    state->rip = at->rip;
    state->flags = at->flags;
    state->signal = at->signal;
}

UNUSED static void native_run(NativeState *state)
{
    native_run_at(state, NATIVE_STUB, NATIVE_EXIT);
}

/* 32-bit code, which ends with a jump to NATIVE_EXIT32; needs a kernel with compatibility mode. */
UNUSED static void native_run32(NativeState *state)
{
    native_run_at(state, NATIVE_ENTER32, NATIVE_EXIT32);
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

UNUSED static void native_run32(NativeState *state)
{
    (void)state;
}

#endif
#endif
