/*
 * reader.h - reading a remote file that has ranges: parts in memory, reading ahead, the disk cache.
 */
#ifndef BLOCK_HTTP_READER_H
#define BLOCK_HTTP_READER_H

#include <sys/uio.h>

#include "block/cache-disk.h"
#include "block/http/transfer.h"

typedef struct Reader Reader;

typedef struct ReaderConfig {
    Engine *engine;   /* NULL: there is no server, only the cache */
    uint64_t size;    /* of the file */
    uint64_t ahead;   /* the least that is asked for at a time */
    DiskCache *cache; /* NULL: none; borrowed */
    bool cache_scans; /* long sequential reads go into the cache, too */
} ReaderConfig;

Reader *reader_new(const ReaderConfig *config);

/* No transfer may be running any more: engine_free() first. */
void reader_free(Reader *r);

/* [off, off + len) is within the file. Any thread. `err`: why not. */
int reader_read(Reader *r, const struct iovec *iov, int iovcnt, uint64_t off, size_t len,
                Error **err);

/* These bytes are known already (they came with the first answer). */
void reader_give(Reader *r, uint64_t off, const void *buf, size_t len);

#endif
