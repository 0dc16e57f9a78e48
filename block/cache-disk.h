/*
 * cache-disk.h - blocks of remote files kept on disk, for later runs and other processes.
 *
 * A file of the cache belongs to one version of one remote file. Any block may vanish at any time
 * (another process makes room) and any may be damaged (a crash): disk_cache_read() notices both,
 * and the caller asks the server. So nothing here ever needs to be synchronised or repaired.
 *
 * The folder is $ONIONSKIN_CACHE, or `onionskin` in $XDG_CACHE_HOME or ~/.cache;
 * ONIONSKIN_CACHE=off means no cache. ONIONSKIN_CACHE_SIZE bounds it (default 8G).
 */
#ifndef BLOCK_CACHE_DISK_H
#define BLOCK_CACHE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { CACHE_BLOCK = 65536, CACHE_NAME_MAX = 4096, CACHE_VALIDATOR_MAX = 512, CACHE_KEY = 40 };

typedef struct DiskCache DiskCache;

/* What a file of the cache says of itself. */
typedef struct CacheFile {
    char key[CACHE_KEY + 1];
    char name[CACHE_NAME_MAX];           /* for people: the URL without secrets */
    char validator[CACHE_VALIDATOR_MAX]; /* which version of the file; never empty */
    uint64_t size;                       /* of the remote file */
    uint64_t checked;                    /* seconds since 1970: the server was last asked */
    uint64_t cached, disk;               /* bytes of the file, and on disk; by cache_list() only */
    uint64_t used;                       /* seconds since 1970, within half an hour */
} CacheFile;

/* The key of what `text` names (a URL, and who asks for it). */
void cache_key(const char *text, char key[CACHE_KEY + 1]);

/* Fill in what is known of file->key; -ENOENT: nothing. */
int cache_find(CacheFile *file);

/*
 * Open the blocks of this version (file->key, name, validator, size), or begin with none; those of
 * another version are dropped. The time of the check becomes now if `checked`. No cache at all
 * (switched off, no place, a read-only disk) is an error that a caller may ignore.
 */
int disk_cache_open(const CacheFile *file, bool checked, DiskCache **out, Error **err);
void disk_cache_close(DiskCache *c);

/* Is there something for the block at `off`? A guess that costs nothing; no lock. */
bool disk_cache_has(const DiskCache *c, uint64_t off);

/* One whole block (the last one may be short): 0 and good data, or -ENOENT. */
int disk_cache_read(DiskCache *c, uint64_t off, void *buf, size_t len);

/* Whole blocks. What cannot be kept is not. */
void disk_cache_write(DiskCache *c, uint64_t off, const void *buf, size_t len);

/* ---- the cache as a whole ----------------------------------------------------------------------
 */

/* The folder (the caller frees it), or NULL and a sentence: there is no cache. */
char *cache_folder(Error **err);

/* How many bytes it may take. */
int cache_limit(uint64_t *limit, Error **err);

/* All files; free() the list. */
int cache_list(CacheFile **list, size_t *count, Error **err);

/* Drop one file or, with key NULL, all. */
int cache_clear(const char *key, Error **err);

/* Drop what was not used for the longest time until at most `limit` bytes are left. */
int cache_trim(uint64_t limit, Error **err);

#endif
