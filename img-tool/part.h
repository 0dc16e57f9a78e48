/*
 * part.h - a new file that is not there under its name before it is whole.
 *
 * It is written as NAME.part beside NAME (symbolic links followed) and renamed at the end, so
 * what was there before stays until then. Beside it, NAME.part.journal says from what it is being
 * made and how far that has got, so that an interrupted job can be resumed. The journal is
 * made first and removed last: a NAME.part without one is somebody else's and left alone.
 *
 * Devices, pipes, names that reach a file through /proc (/dev/stdout), and folders that take no
 * new files do not allow this: part_begin() then says that the target has to be written in place.
 */
#ifndef IMG_TOOL_PART_H
#define IMG_TOOL_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "block/node.h"

typedef struct PartFile {
    char *name; /* of the finished file */
    char *path; /* of what is written meanwhile */
    char *journal_path;
    int journal;     /* descriptor plus one */
    Node *old;       /* what will be replaced, locked; NULL: nothing */
    uint64_t resume; /* bytes of the job that an earlier run has done */
} PartFile;

/*
 * Prepare to make `target`. 1: it has to be written in place. `identity` is one line that says
 * from what it is made, NULL: that cannot be told. With `resume`, a part that was begun from the
 * same is kept and p->resume says how far it is; *why is then NULL, or else the reason why
 * there is nothing to resume (static; NULL too if there is simply no part).
 */
int part_begin(PartFile *p, const char *target, const char *identity, bool resume, const char **why,
               Error **err);

/* Forget what the part has: it is made anew. */
int part_restart(PartFile *p, const char *identity, Error **err);

/* `done` bytes of the job are in the file; `durable`: even if the machine stops. */
int part_note(PartFile *p, uint64_t done, bool durable, Error **err);

/* It is whole: give it its name. `durable`: and wait until the disk knows. */
int part_finish(PartFile *p, bool durable, Error **err);

/* Remove the part and the journal. */
void part_drop(PartFile *p);

/* Free; what is on disk stays as it is. */
void part_free(PartFile *p);

#endif
