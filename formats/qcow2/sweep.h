/*
 * sweep.h - all L2 tables of a tree, in the order of the disk, read (and written) by several
 * threads ahead of the one that looks at them; and runs of reference counts.
 *
 * Nothing may be dirty in the cache of L2 tables: call commit_settle() first.
 */
#ifndef FORMATS_QCOW2_SWEEP_H
#define FORMATS_QCOW2_SWEEP_H

#include "formats/qcow2/entry.h"

/* One whole table, at `off`. Returns 1 if it was changed and is to be written back, 0, or -errno.
 */
typedef int SweepStep(void *opaque, uint64_t off, uint8_t *table);

/*
 * Calls `step` for each table, one after the other, always in the same order. Tables that are
 * written go to disk in place, in any order, and are not stable on return.
 */
int sweep_tables(Qcow2 *q, const uint64_t *l1, uint32_t size, SweepStep *step, void *opaque);

/* refcount-run.c: the block of counts that is being looked at */
typedef struct CountWindow {
    Qcow2 *q;
    uint64_t index; /* of the block; UINT64_MAX: none */
    uint8_t *block;
    uint32_t from, to; /* bytes changed */
} CountWindow;

void counts_begin(CountWindow *w, Qcow2 *q);
/* No other use of the cache of refcount blocks between the first call below and this one. */
void counts_end(CountWindow *w);
/*
 * Add `delta` (1 or -1) to at most *left counts, whole blocks or not at all; *left goes down by
 * what was done. -ECANCELED: there was not enough of it. -ERANGE: a count is as large as can be.
 */
int counts_add(CountWindow *w, uint64_t first, uint64_t n, int delta, uint64_t *left);
/* One less for each; what is free then may be given out. */
int counts_drop(CountWindow *w, uint64_t first, uint64_t n, FreeReason why);
/* Is the count of `first` 1, and for how many clusters (up to n) is that the answer? */
int counts_one(CountWindow *w, uint64_t first, uint64_t n, bool *one, uint64_t *run);

#endif
