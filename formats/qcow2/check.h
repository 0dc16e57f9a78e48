/*
 * check.h - what the files of the check share: check.c (counts), check-tree.c (L1 and L2 entries).
 */
#ifndef FORMATS_QCOW2_CHECK_H
#define FORMATS_QCOW2_CHECK_H

#include "formats/qcow2/qcow2.h"

/* What a cluster of the file is known to be; guest data may lie only in CLUSTER_OTHER. */
enum { CLUSTER_OTHER, CLUSTER_FIXED, CLUSTER_L2 };

typedef struct {
    Qcow2 *q;
    unsigned fix;
    CheckReport *report;
    void *opaque;
    CheckResult *r;
    uint32_t *refs; /* what is really referred to, by cluster */
    uint8_t *kinds; /* CLUSTER_*, by cluster */
    uint64_t clusters;
    uint8_t *table;       /* one cluster, read from disk */
    uint8_t *bad_blocks;  /* by index in the refcount table: not usable, and not repaired */
    uint64_t block_count; /* entries of the refcount table when the check began */
    bool header_changed, snapshots_changed; /* to be written at the end of the repair */
    uint8_t *directory; /* of dirty bitmaps, to be written then; NULL: the image's stays */
    uint64_t directory_bytes;
    uint32_t directory_count;
    bool bitmaps_marked; /* some are in use on disk that are not in memory */
    bool l1_doubtful;    /* the header names other tables at the place of the L1 table */
    uint64_t next_data;  /* where the next guest cluster would not be a fragment */
} Check;

void check_say(Check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Say and count a corruption, as repaired if errors are to be repaired: then the caller does it. */
bool check_found(Check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool check_in_file(const Check *c, uint64_t off, uint64_t bytes);
/* One reference to each cluster; they must lie in the file. */
void check_refer(Check *c, uint64_t off, uint64_t bytes);
/* The count that the image has */
int check_stored(Check *c, uint64_t cluster, uint64_t *count);
/* New tables go behind all that the image may still name: a crash must find that as it was. */
void check_keep_clear(Check *c);

/* check-fixed.c: what the header and the snapshot table name */
void check_fixed_tables(Check *c);
/* Is there, as the header says, something else where the L1 table should be? */
bool check_l1_doubtful(const Check *c);
/* check-bitmap.c */
int check_dirty_bitmaps(Check *c);
/* What is left of the directory goes to new space; the header changes over to it. */
int check_write_directory(Check *c);

/* check-tree.c: count what all L1 tables refer to, repairing entries on the way */
int check_trees(Check *c, Error **err);
/* The "copied" flags of the active tree against the image's counts */
int check_copied(Check *c);

#endif
