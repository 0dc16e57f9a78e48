/*
 * copy.h - the copying engine under convert, commit and rebase: extents, workers, large requests.
 *
 * The source's allocation decides what is read at all; what reads as zeros is never read. Workers
 * read in parallel; unless `out_of_order`, writes are made in the order of offsets, so that a
 * target that allocates as it is written comes out the same every time and unfragmented.
 */
#ifndef BLOCK_COPY_H
#define BLOCK_COPY_H

#include "block/node.h"

typedef struct CopyJob {
    Node *src, *dst;  /* src NULL: zeros (with `differences` only) */
    uint64_t src_off; /* from here in src ... */
    uint64_t len;     /* ... so many bytes ... */
    uint64_t dst_off; /* ... to here in dst */

    /* --- what is copied --- */
    Node *base;          /* only what src's chain holds above this node; NULL: everything */
    bool only_above;     /* with base NULL, too: leave holes of the whole chain alone */
    bool target_is_zero; /* the target reads as zeros: zeros need not be written */
    bool differences;    /* only clusters that dst itself has not, and that src and `other`, ... */
    Node *other;         /* ... which is NULL for zeros, show differently */

    /* --- how --- */
    bool full;             /* zeros are written as data, too: the target becomes fully allocated */
    bool compressed;       /* target clusters are stored compressed */
    bool out_of_order;     /* write each piece as soon as it is there: chance makes the layout */
    bool salvage;          /* what cannot be read becomes zeros, and a report */
    bool share;            /* let files share space (reflink) where the file system can */
    bool offload;          /* let the kernel copy, even where that saves no space */
    uint64_t sparse;       /* shortest run of zeros in data that is not written as data; 0: none */
    unsigned workers;      /* 0: a sensible number */
    uint64_t rate;         /* bytes a second at most; 0: no limit */
    uint64_t request_size; /* bytes a request; 0: copy_chunk_size() */

    Progress *progress;                             /* steps are bytes of src; may be NULL */
    void (*report)(void *opaque, const char *line); /* with salvage; may be NULL */
    /*
     * Called in between, unless out_of_order: all below `off` of src is written, and nothing is
     * being written meanwhile. May be NULL; an error ends the copy.
     */
    int (*checkpoint)(void *opaque, uint64_t off, Error **err);
    void *opaque;
} CopyJob;

/* -ECANCELED if the progress was cancelled; else the first error, with the offset in *err. */
int copy_run(const CopyJob *job, Error **err);

/* A size for requests that suits both nodes: a multiple of the target's cluster, about 1 MiB. */
uint64_t copy_chunk_size(Node *dst);

/* The largest number of workers that is of use. */
enum { COPY_MAX_WORKERS = 16 };

#endif
