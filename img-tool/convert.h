/*
 * convert.h - what the parts of `convert` share: the command line and the sources (convert.c), and
 * the target that is made or resumed (convert-target.c).
 */
#ifndef IMG_TOOL_CONVERT_H
#define IMG_TOOL_CONVERT_H

#include "img-tool/cmd.h"
#include "img-tool/part.h"

enum { MAX_SOURCES = 1024 };

typedef struct Convert {
    Common common;
    const Command *cmd;
    const char *target_format, *target, *snapshot;
    const char *backing_file;
    Options *options; /* of the target */
    char *level;      /* of compressing; NULL: the usual one */
    bool bitmaps, skip_broken_bitmaps;
    bool target_image_opts, existing, resume, given_options;
    bool list_options; /* -o help */
    bool target_is_zero, compressed, out_of_order, salvage, offload, sparse_given;
    uint64_t sparse, workers, rate;
    Node *sources[MAX_SOURCES];
    size_t n_sources;
    Node *dst;
    uint64_t total;

    Options *open_options; /* what the target needs to be opened, beside its name */
    PartFile part;
    bool has_part;          /* the target is written beside its name; else in place */
    bool made;              /* in place, by us: not to be left half done */
    bool durable;           /* the target's cache mode has flushes: so they are made */
    uint64_t before, noted; /* bytes of the sources before this one; what the journal says */
} Convert;

/* Make, resume or open the target and put it into c->dst; 1 and a message if that fails. */
int convert_open_target(Convert *c, Progress *progress);

/* The engine's checkpoint: what is in the target now is noted from time to time. */
int convert_checkpoint(void *opaque, uint64_t off, Error **err);

/* The copy is over: close the target and give it its name, or leave nothing (or what can be
 * resumed) of it. Returns the exit code. */
int convert_finish_target(Convert *c, int code);

#endif
