/*
 * interp.h - one IR operation at a time on the state in Cpu: the meaning of the IR, in C.
 */
#ifndef TCG_HOST_INTERP_H
#define TCG_HOST_INTERP_H

#include "tcg/cpu.h"

/* What operands of a block refer to. `temps` has IR_MAX_TEMPS entries (as many as the block uses).
 */
typedef struct {
    const IrMem *mem;
    const uint64_t *k;
    uint64_t *temps;
} InterpView;

/*
 * Execute `op`, which is none of the control operations. Registers, vectors and flags are those in
 * Cpu; flags are left packed if the operation sets them. May raise and then does not return; the
 * caller has seen to it that cpu_restore_state() works.
 */
void interp_op(Cpu *cpu, const InterpView *view, const IrOp *op);

/* Value of a G, T or K operand, cut to `size` (IR_8..IR_64). */
uint64_t interp_read(const Cpu *cpu, const InterpView *view, IrRef r, unsigned size);

#endif
