/*
 * x87_host_x86.c - transcendental functions by the host's own x87.
 */
#if defined(__x86_64__)

#include <string.h>

#include "tcg/guest/x86/x87_host.h"

enum { IMAGE = 108, IMAGE_ST = 28 }; /* FNSAVE, 32-bit form */

typedef struct {
    uint8_t bytes[10];
} Packed80;

static Packed80 packed(const Float80 *v)
{
    Packed80 p;

    memcpy(p.bytes, &v->sig, 8);
    memcpy(p.bytes + 8, &v->sign_exp, 2);
    return p;
}

static Float80 unpacked(const uint8_t *p)
{
    Float80 v;

    memcpy(&v.sig, p, 8);
    memcpy(&v.sign_exp, p + 8, 2);
    return v;
}

/* FNSAVE does not wait: what is unmasked raises no exception here. */
#define X87_RUN(insn)                                                                              \
    __asm__ volatile("fninit\n\tfldt %3\n\tfldt %2\n\tfldcw %4\n\t" insn "\n\tfnstsw %1\n\t"       \
                     "fnsave %0"                                                                   \
                     : "=m"(image), "=m"(sw)                                                       \
                     : "m"(p[0]), "m"(p[1]), "m"(cw)                                               \
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

uint16_t x87_host_run(unsigned modrm, uint16_t cw, Float80 a[2])
{
    const Packed80 p[2] = { packed(&a[0]), packed(&a[1]) };
    uint8_t image[IMAGE];
    uint16_t sw = 0;

    switch (modrm) {
    case 0xf0: X87_RUN("f2xm1"); break;
    case 0xf1: X87_RUN("fyl2x"); break;
    case 0xf2: X87_RUN("fptan"); break;
    case 0xf3: X87_RUN("fpatan"); break;
    case 0xf9: X87_RUN("fyl2xp1"); break;
    case 0xfb: X87_RUN("fsincos"); break;
    case 0xfe: X87_RUN("fsin"); break;
    default: X87_RUN("fcos"); break;
    }
    a[0] = unpacked(image + IMAGE_ST);
    a[1] = unpacked(image + IMAGE_ST + 10);
    return sw;
}

#endif
