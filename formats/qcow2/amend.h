/*
 * amend.h - what the files of `amend` share: amend.c (options, their order), expand.c (zero
 * clusters, for version 2), rewidth.c (width of the reference counts).
 *
 * All run with the change lock held and nothing dirty: commit_settle() before.
 */
#ifndef FORMATS_QCOW2_AMEND_H
#define FORMATS_QCOW2_AMEND_H

#include "formats/qcow2/qcow2.h"

/* No L2 entry of any tree has the zero flag afterwards; the content stays. */
int expand_zeros(Qcow2 *q, Progress *progress, Error **err);
/* How many steps of progress that takes */
uint64_t expand_steps(const Qcow2 *q);

/* Change the counts over to 2^order bits. */
int refcounts_rewidth(Qcow2 *q, unsigned order, Progress *progress, Error **err);
uint64_t rewidth_steps(const Qcow2 *q, unsigned order);

#endif
