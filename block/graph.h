/*
 * graph.h - building nodes; inside block/ only.
 */
#ifndef BLOCK_GRAPH_H
#define BLOCK_GRAPH_H

#include "block/driver.h"

/* A node with its locks and zeroed state, not yet opened. */
Node *node_alloc(const BlockDriver *driver, unsigned flags);

/* Resolve node->backing_file into full_backing_file. */
int node_resolve_backing(Node *node, Error **err);

/* "proto" of "proto:rest" (the caller frees it), or NULL for a path. */
char *path_protocol(const char *name);

#endif
