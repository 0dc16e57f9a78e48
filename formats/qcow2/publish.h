/*
 * publish.h - what publish.c and empty.c share: changing the entries of a slice. All with the
 * change lock and the map lock held.
 */
#ifndef FORMATS_QCOW2_PUBLISH_H
#define FORMATS_QCOW2_PUBLISH_H

#include "formats/qcow2/entry.h"

/* The slice for `off` of a table that is ours alone; `n` entries from there on become dirty. */
int slice_for_change(Qcow2 *q, uint64_t off, uint64_t n, uint8_t **slice);

/* What an entry referred to is not referred to any more (by this entry). */
int drop_entry(Qcow2 *q, L2Entry e, FreeReason why);

/* How many clusters the range touches */
uint64_t clusters_of(const Qcow2 *q, uint64_t off, uint64_t len);

/* The units of one cluster that [off, off+len) covers, and where the next cluster starts */
uint32_t units_of(const Qcow2 *q, uint64_t off, uint64_t len, uint64_t *next);

/* Has it a cluster that it may be written to? */
bool owns_space(const Qcow2 *q, L2Entry e);

/* empty.c: the range reads as zeros (ZERO), or is not needed any more (HOLE); flags REQ_*. */
int publish_empty(Qcow2 *q, uint64_t off, uint64_t len, ExtentKind kind, unsigned flags);

#endif
