/*
 * writelog.h - a filter that records every change of its child, for replay after a "crash".
 *
 * The log is a file (option `log`): entries of a header and, for writes, the data. A test applies
 * any prefix of it to a copy of the image, and between two flushes any subset in any order.
 */
#ifndef BLOCK_WRITELOG_H
#define BLOCK_WRITELOG_H

#include <stdint.h>

typedef enum {
    WRITELOG_WRITE,
    WRITELOG_ZEROES,
    WRITELOG_DISCARD,
    WRITELOG_FLUSH,
    WRITELOG_RESIZE
} WritelogKind;

/* Host byte order: the log does not outlive the test. */
typedef struct WritelogEntry {
    uint64_t kind, off, len; /* len bytes follow a WRITE; RESIZE has the size in off */
} WritelogEntry;

#endif
