/*
 * irq.c - wired-OR interrupt inputs.
 */
#include "hw/core/irq.h"

void irq_input_init(IrqInput *in, IrqFn *fn, void *opaque, int n)
{
    *in = (IrqInput) { .fn = fn, .opaque = opaque, .n = n };
}

void irq_connect(IrqLine *line, IrqInput *to)
{
    bool level = line->level;

    irq_set(line, false);
    line->to = to;
    irq_set(line, level);
}

void irq_set(IrqLine *line, bool level)
{
    IrqInput *in = line->to;

    if (line->level == level)
        return;
    line->level = level;
    if (!in)
        return;
    in->high += level ? 1 : -1;
    if (in->high == level) /* 0 -> 1 or 1 -> 0: the input as a whole changed */
        in->fn(in->opaque, in->n, level);
}
