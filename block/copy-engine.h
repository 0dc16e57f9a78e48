/*
 * copy-engine.h - what the parts of the copying engine share: the cursor that hands out pieces,
 * what is done with one piece, and the workers that pass them on (copy.c).
 */
#ifndef BLOCK_COPY_ENGINE_H
#define BLOCK_COPY_ENGINE_H

#include <pthread.h>
#include <time.h>

#include "block/copy.h"

enum { COPY_MAX_PIECES = 2 * COPY_MAX_WORKERS };

/* What becomes of a cluster of a piece: its packed length, or one of these. */
enum { CLUSTER_PLAIN = 0, CLUSTER_ZERO = UINT32_MAX, CLUSTER_KEPT = UINT32_MAX - 1 };

/* A piece of the source on its way, with its buffers. */
typedef struct Piece {
    uint64_t off, len, ticket;
    bool zero, other_zero; /* src, `other` read as zeros all over it */
    Node *file;            /* not NULL: the kernel may copy it from `pos` of this file */
    uint64_t pos;
    uint8_t *data,
        *second;       /* second: what `other` has; or what clusters pack to, each at its place */
    uint32_t *cluster; /* what becomes of each cluster, if they are treated one by one */
    struct Piece *next_free;
} Piece;

/* What the source has from `off` on. */
typedef struct View {
    uint64_t off, len;
    bool skip, zero, other_zero;
    Node *file; /* plain data at `pos` of this file */
    uint64_t pos;
} View;

typedef struct Copy {
    const CopyJob *job;
    uint64_t chunk;
    uint32_t cluster; /* not 0: each cluster of the target is looked at for itself */
    uint64_t sparse;
    Piece pieces[COPY_MAX_PIECES];
    uint8_t *buffers;                      /* the data of all pieces */
    atomic_bool sharing_works, no_sharing; /* learned: the file systems can, cannot */
    pthread_mutex_t lock;                  /* guards all below */
    pthread_cond_t freed;                  /* a piece was given back, or `ret` was set */
    Piece *free;                   /* the last one used first: its buffers are in the cache */
    Piece *ready[COPY_MAX_PIECES]; /* delivered, by ticket modulo their number */
    uint64_t issued, written;      /* tickets */
    bool writing;                  /* somebody writes the piece that is due */
    uint64_t cursor;               /* next byte to hand out */
    View view;                     /* what is known from the cursor on */
    struct timespec begun;
    uint64_t paid; /* bytes that the rate limit has let through */
    int ret;
    Error *err;
} Copy;

/* With the lock held, or by the only thread left. */
void copy_fail(Copy *c, int ret, Error *err);
/* The same without the lock: "NAME: cannot WHAT at offset OFF: ..." */
void copy_fail_at(Copy *c, int ret, const char *what, Node *node, uint64_t off);

/* With the lock held: the next piece that needs work. False: nothing left, or an error. */
bool copy_next_piece(Copy *c, Piece *piece);

/* Read it (and compare, compress). On an error the copy has failed. */
int copy_prepare_piece(Copy *c, Piece *p);
int copy_write_piece(Copy *c, Piece *p);

#endif
