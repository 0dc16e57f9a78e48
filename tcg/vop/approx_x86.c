/*
 * approx_x86.c - RCPPS and RSQRTPS of the host.
 */
#if defined(__x86_64__)

#include "tcg/vop/approx.h"

uint32_t approx_rcp(uint32_t x)
{
    uint32_t r;

    __asm__("movd %1, %%xmm0; rcpss %%xmm0, %%xmm0; movd %%xmm0, %0" : "=r"(r) : "r"(x) : "xmm0");
    return r;
}

uint32_t approx_rsqrt(uint32_t x)
{
    uint32_t r;

    __asm__("movd %1, %%xmm0; rsqrtss %%xmm0, %%xmm0; movd %%xmm0, %0" : "=r"(r) : "r"(x) : "xmm0");
    return r;
}

#endif
