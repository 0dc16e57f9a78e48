/*
 * sse_rows.c - decoder rows of MMX and SSE (SDM volume 2, appendix A.3).
 */
#include "tcg/guest/x86/translate.h"

const X86Row x86_sse_0f[4][256];
const X86Row x86_sse_0f38[4][256];
const X86Row x86_sse_0f3a[4][256];
