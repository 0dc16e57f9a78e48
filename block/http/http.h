/*
 * http.h - the state of an image on a server; between http.c and http-options.c only.
 */
#ifndef BLOCK_HTTP_HTTP_H
#define BLOCK_HTTP_HTTP_H

#include <pthread.h>
#include <time.h>

#include "block/driver.h"
#include "block/http/download.h"
#include "block/http/reader.h"

enum { CACHE_OFF, CACHE_AUTO, CACHE_ON, CACHE_ONLY };

typedef struct Http {
    Source src;
    Engine *engine;
    Reader *reader; /* one of the two */
    Download *download;
    DiskCache *cache;
    int cache_mode;
    bool force_range;
    bool complete;     /* the cache has all of the version that it knows */
    bool cache_serves; /* and the server, which has no ranges, still has that version */
    uint64_t ahead;
    CacheFile *file; /* what the disk cache knows, or will know */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    Transfer first;
    uint8_t *start; /* the first bytes of the file */
    char type[TYPE_MAX];
    bool began_whole, over;
    int ret;
    Error *err;
    int warned; /* the failure that was reported last, and when */
    time_t warned_at;
} Http;

/* Take in `url` and all other options: h->src, and how it is read. */
int http_take_options(Node *node, Options *options, Error **err);

#endif
