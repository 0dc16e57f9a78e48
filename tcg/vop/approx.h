/*
 * approx.h - the approximate reciprocals of RCPPS and RSQRTPS, from and to single precision.
 *
 * Their error bound is architectural (1.5 * 2^-12), their bits are not: each vendor's differ. An
 * x86 host's own instructions answer there, so that translated and interpreted code agree.
 */
#ifndef TCG_VOP_APPROX_H
#define TCG_VOP_APPROX_H

#include <stdint.h>

uint32_t approx_rcp(uint32_t x);
uint32_t approx_rsqrt(uint32_t x);

#endif
