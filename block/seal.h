/*
 * seal.h - mapped data on its way between a request's buffers and the file below, encrypted if the
 * node is; inside block/ only.
 *
 * A sealed node's data changes in sectors of SEAL_SECTOR bytes: part of one is written by reading
 * it first, so the caller holds such a range exclusively.
 */
#ifndef BLOCK_SEAL_H
#define BLOCK_SEAL_H

#include "block/driver.h"

/* Move what is at `off` of the node and stored at `pos` of `file`. */
int seal_read(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t off,
              uint64_t pos);
int seal_write(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t off,
               uint64_t pos);

/* Would a write of this range change part of a sector? Never if the node is not sealed. */
bool seal_splits(const Node *node, uint64_t off, uint64_t len);

#endif
