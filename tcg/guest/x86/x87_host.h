/*
 * x87_host.h - transcendental functions, by the host's x87 where it has one.
 *
 * Results of these instructions are not exactly rounded and differ between processors: a guest on
 * an x86 host sees what the host computes. Elsewhere libm answers.
 */
#ifndef TCG_GUEST_X86_X87_HOST_H
#define TCG_GUEST_X86_X87_HOST_H

#include <stdint.h>

typedef struct {
    uint64_t sig;
    uint16_t sign_exp;
} Float80;

/*
 * Run D9 `modrm` on a[0] = ST(0) and a[1] = ST(1) under control word `cw`.
 * Returns the status word; a[0] and a[1] become ST(0) and ST(1) after the instruction.
 */
uint16_t x87_host_run(unsigned modrm, uint16_t cw, Float80 a[2]);

#endif
