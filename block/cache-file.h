/*
 * cache-file.h - the layout of a file of the cache; between cache-disk.c and cache-folder.c only.
 *
 * | at       | bytes        | what                                                              |
 * |----------|--------------|-------------------------------------------------------------------|
 * | 0        | 8            | magic "ONSKBLK1"                                                  |
 * | 8        | 4            | CRC-32 of the header from 16 on                                   |
 * | 16       | 8            | size of the remote file                                           |
 * | 24       | 8            | when the server was last asked, seconds since 1970 (not in the CRC) |
 * | 32       | 512          | validator, 0-terminated                                           |
 * | 544      | 4096         | name, 0-terminated                                                |
 * | 65536    | 8 each block | CRC-32 of block and number << 32, time used << 8, 1: it is there   |
 * | aligned  |              | the blocks, each at its place; the file is sparse                 |
 *
 * The time used is in units of 2048 seconds. All integers are little-endian.
 */
#ifndef BLOCK_CACHE_FILE_H
#define BLOCK_CACHE_FILE_H

#include <stdatomic.h>

#include "block/cache-disk.h"

enum {
    CACHE_HEADER = 65536,
    CACHE_AT_CRC = 8,
    CACHE_AT_SIZE = 16,
    CACHE_AT_CHECKED = 24,
    CACHE_AT_VALIDATOR = 32,
    CACHE_AT_NAME = 544,
    CACHE_HEADER_USED = CACHE_AT_NAME + CACHE_NAME_MAX,
    CACHE_ENTRY = 8,
    CACHE_STAMP_LOG2 = 11,
    CACHE_STAMP_MASK = 0xffffff,
};

/* No file of 64 KiB blocks beyond this: the table alone would be 512 MiB. */
#define CACHE_FILE_MAX (UINT64_C(1) << 42)

static inline uint64_t cache_blocks(uint64_t size)
{
    return size / CACHE_BLOCK + (size % CACHE_BLOCK != 0);
}

static inline uint64_t cache_data_start(uint64_t size)
{
    uint64_t table = cache_blocks(size) * CACHE_ENTRY;

    return CACHE_HEADER + (table + CACHE_BLOCK - 1) / CACHE_BLOCK * CACHE_BLOCK;
}

static inline uint64_t cache_entry(uint32_t crc, uint32_t stamp)
{
    return (uint64_t)crc << 32 | (uint64_t)(stamp & CACHE_STAMP_MASK) << 8 | 1;
}

static inline uint32_t cache_entry_stamp(uint64_t entry)
{
    return (uint32_t)(entry >> 8) & CACHE_STAMP_MASK;
}

uint32_t cache_stamp_now(void);

/* Read and judge a header: -EINVAL if it is none. `fd` is left where it is. */
int cache_header_read(int fd, CacheFile *out);

/* The folder, made if it is missing. */
int cache_folder_open(int *dirfd, Error **err);

/* "KEY.blocks" */
enum { CACHE_PATH = CACHE_KEY + 16 };
void cache_path(const char *key, char path[CACHE_PATH]);

#endif
