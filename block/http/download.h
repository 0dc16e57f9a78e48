/*
 * download.h - a remote file without ranges: it comes once, from the beginning, into a temporary
 * file.
 */
#ifndef BLOCK_HTTP_DOWNLOAD_H
#define BLOCK_HTTP_DOWNLOAD_H

#include <sys/uio.h>

#include "block/cache-disk.h"
#include "block/http/transfer.h"

/* The most that is taken of a file whose size the server does not say. */
#define DOWNLOAD_MAX_UNKNOWN (UINT64_C(1) << 36)

typedef struct Download Download;

Download *download_new(Error **err);

/* The engine is gone, see reader.h. */
void download_free(Download *s);

/* Keep what comes in the disk cache, too. Before or while it comes; borrowed. */
void download_set_cache(Download *s, DiskCache *cache);

/* On the engine's thread: the next bytes; the end. download_end() takes the error. */
int download_put(Download *s, const void *buf, size_t len);
void download_end(Download *s, int ret, Error *err);

/* Wait until `end` bytes are there; UINT64_MAX: until it has ended. */
int download_wait(Download *s, uint64_t end, Error **err);
uint64_t download_have(Download *s);

/* Waits until [off, off + len) has come. */
int download_read(Download *s, const struct iovec *iov, int iovcnt, uint64_t off, size_t len,
                  Error **err);

#endif
