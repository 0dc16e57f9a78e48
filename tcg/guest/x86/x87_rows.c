/*
 * x87_rows.c - decoder rows of the opcodes D8 to DF (SDM volume 2, appendix A.5).
 */
#include "tcg/guest/x86/translate.h"

const X86Row x86_x87[9];
