/*
 * irq.h - interrupt lines: who drives, who listens, and wired-OR in between.
 *
 * A device embeds an IrqLine and drives it with irq_set() from one function of its state. The
 * board connects the line to an IrqInput, the receiving end: an input is high while at least one
 * connected line is, so devices share an interrupt without knowing of each other. The handler
 * runs only when the input's level changes. An unconnected line may be driven; nobody hears it.
 */
#ifndef HW_CORE_IRQ_H
#define HW_CORE_IRQ_H

#include <stdbool.h>

typedef void IrqFn(void *opaque, int n, bool level);

typedef struct IrqInput {
    IrqFn *fn;
    void *opaque;
    int n;         /* handed to fn: which input of the receiver this is */
    unsigned high; /* how many connected lines are high */
} IrqInput;

typedef struct IrqLine {
    IrqInput *to;
    bool level;
} IrqLine;

void irq_input_init(IrqInput *in, IrqFn *fn, void *opaque, int n);
void irq_connect(IrqLine *line, IrqInput *to);

void irq_set(IrqLine *line, bool level);

#endif
