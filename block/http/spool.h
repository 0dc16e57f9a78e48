/*
 * spool.h - a remote file without ranges: it comes once, from the beginning, into a temporary file.
 */
#ifndef BLOCK_HTTP_SPOOL_H
#define BLOCK_HTTP_SPOOL_H

#include <sys/uio.h>

#include "block/cache-disk.h"
#include "block/http/transfer.h"

/* The most that is taken of a file whose size the server does not say. */
#define SPOOL_MAX_UNKNOWN (UINT64_C(1) << 36)

typedef struct Spool Spool;

Spool *spool_new(Error **err);

/* The engine is gone, see reader.h. */
void spool_free(Spool *s);

/* Keep what comes in the disk cache, too. Before or while it comes; borrowed. */
void spool_set_cache(Spool *s, DiskCache *cache);

/* On the engine's thread: the next bytes; the end. spool_end() takes the error. */
int spool_put(Spool *s, const void *buf, size_t len);
void spool_end(Spool *s, int ret, Error *err);

/* Wait until `end` bytes are there; UINT64_MAX: until it has ended. */
int spool_wait(Spool *s, uint64_t end, Error **err);
uint64_t spool_have(Spool *s);

/* Waits until [off, off + len) has come. */
int spool_read(Spool *s, const struct iovec *iov, int iovcnt, uint64_t off, size_t len,
               Error **err);

#endif
