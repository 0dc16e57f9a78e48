/*
 * sse.h - between the decoder rows of MMX and SSE and the functions that translate them.
 */
#ifndef TCG_GUEST_X86_SSE_H
#define TCG_GUEST_X86_SSE_H

#include "tcg/guest/x86/translate.h"
#include "tcg/vop.h"

/* X86Row.arg of a memory form: the access need not be aligned. */
enum { SSE_UNALIGNED = 1 };

void x86_sse_vop(Trans *t);         /* arg: VopId, the first of an encoding */
void x86_sse_load(Trans *t);        /* register or memory into V; arg: SSE_* */
void x86_sse_store(Trans *t);       /* the way back */
void x86_sse_load_scalar(Trans *t); /* arg: the VopId that merges registers */
void x86_sse_store_scalar(Trans *t);
void x86_sse_store_low(Trans *t); /* 8 bytes */
void x86_sse_store_high(Trans *t);
void x86_sse_movq_store(Trans *t);
void x86_sse_maskmov(Trans *t);
void x86_sse_pcmpstr(Trans *t);

void x86_mmx_load(Trans *t);
void x86_mmx_store(Trans *t);
void x86_mmx_convert(Trans *t); /* between MMX and XMM; arg: VopId */
void x86_mmx_emms(Trans *t);

void x86_sse_ldmxcsr(Trans *t);
void x86_sse_stmxcsr(Trans *t);
void x86_sse_fence(Trans *t);
void x86_sse_clflush(Trans *t);
void x86_sse_fsgsbase(Trans *t); /* arg: SEG_*, + 8: write */
void x86_fx_state(Trans *t);     /* arg: FxOp */

typedef enum { FX_SAVE, FX_RESTORE, FX_XSAVE, FX_XRSTOR, FX_XSAVEOPT } FxOp;

/* Operations that other files of this folder share. */
IrOp *x86_vop(Trans *t, VopId id, IrRef d, IrRef a, IrRef b, unsigned imm);
void x86_mmx_enter(Trans *t, unsigned written); /* mask of MMX registers about to be written */

extern const IrHelper x86_h_mmx_check; /* () #MF if an x87 exception is pending */
extern const IrHelper x86_h_mmx_enter; /* (written) the same, then TOP = 0, all tags valid */
extern const IrHelper x86_h_emms;      /* () */
extern const IrHelper x86_h_maskmov;   /* (data | mask << 8, linear base is seg:off) */
extern const IrHelper x86_h_pcmpstr;   /* (imm | V of a << 8 | V of b << 16 | kind << 24) */
extern const IrHelper x86_h_ldmxcsr;   /* (value) */
extern const IrHelper x86_h_stmxcsr;   /* () -> value */
extern const IrHelper x86_h_fxsave;    /* (seg, off, rex.w) */
extern const IrHelper x86_h_fxrstor;   /* (seg, off, rex.w) */
extern const IrHelper x86_h_xsave;     /* (seg, off, rex.w); mask EDX:EAX */
extern const IrHelper x86_h_xrstor;    /* (seg, off, rex.w) */

#endif
