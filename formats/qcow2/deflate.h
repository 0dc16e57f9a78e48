/*
 * deflate.h - a deflate encoder (RFC 1951) whose distances never exceed 4 KiB, for readers that
 * open the stream with that window, as those of qcow2 clusters do.
 */
#ifndef QCOW2_DEFLATE_H
#define QCOW2_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct Deflater Deflater;

enum { DEFLATE_LEVEL_MAX = 9 };

/* NULL: no memory. For one thread at a time; free() it. */
Deflater *deflate_new(void);

/*
 * Compress `len` bytes (at most 2 MiB) into at most `room`. Level 1 is the fastest, 9 the smallest.
 * The stream's length; 0 if it would not fit.
 */
size_t deflate_pack(Deflater *d, const uint8_t *in, size_t len, uint8_t *out, size_t room,
                    int level);

#endif
