/*
 * cache-disk.c - see cache-disk.h: the blocks of one remote file; cache-file.h has the layout.
 *
 * Order: the block's bytes are written before its table entry. Nothing is synchronised, because
 * every entry has a checksum of bytes and block number: what a crash lost, or another process
 * removed between our look at the table and our read, does not match and counts as missing.
 * Entries are read through a mapping and written by pwrite(): on a full disk a store to a hole
 * would end the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/cache-file.h"

struct DiskCache {
    int fd;
    uint64_t size, blocks, data_start;
    const _Atomic uint64_t *table; /* header and entries; shared with other processes */
    size_t table_len;
    uint64_t limit;
    atomic_uint_fast64_t written; /* since the cache was last brought below its limit */
};

enum { TRIM_STEP = 64 << 20, TRIM_PART = 8 };

uint32_t cache_stamp_now(void)
{
    return (uint32_t)((uint64_t)time(NULL) >> CACHE_STAMP_LOG2) & CACHE_STAMP_MASK;
}

static uint32_t block_crc(uint64_t block, const void *buf, size_t len)
{
    uint8_t number[8];

    put_le64(number, block);
    return libdeflate_crc32(libdeflate_crc32(0, number, sizeof(number)), buf, len);
}

/* ---- the header --------------------------------------------------------------------------------
 */

static uint32_t header_crc(const uint8_t *h)
{
    uint32_t crc = libdeflate_crc32(0, h + CACHE_AT_SIZE, CACHE_AT_CHECKED - CACHE_AT_SIZE);

    return libdeflate_crc32(crc, h + CACHE_AT_VALIDATOR, CACHE_HEADER_USED - CACHE_AT_VALIDATOR);
}

static int header_parse(const uint8_t *h, CacheFile *out)
{
    if (memcmp(h, "ONSKBLK1", 8) != 0 || get_le32(h + CACHE_AT_CRC) != header_crc(h))
        return -EINVAL;
    out->size = get_le64(h + CACHE_AT_SIZE);
    out->checked = get_le64(h + CACHE_AT_CHECKED);
    memcpy(out->validator, h + CACHE_AT_VALIDATOR, CACHE_VALIDATOR_MAX);
    memcpy(out->name, h + CACHE_AT_NAME, CACHE_NAME_MAX);
    if (out->size > CACHE_FILE_MAX || out->validator[CACHE_VALIDATOR_MAX - 1] ||
        out->name[CACHE_NAME_MAX - 1] || !*out->validator)
        return -EINVAL;
    return 0;
}

int cache_header_read(int fd, CacheFile *out)
{
    uint8_t h[CACHE_HEADER_USED];
    struct stat st;
    int ret = pread(fd, h, sizeof(h), 0) == (ssize_t)sizeof(h) ? header_parse(h, out) : -EINVAL;

    if (ret == 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
                     (uint64_t)st.st_size < cache_data_start(out->size)))
        ret = -EINVAL;
    return ret;
}

static void header_make(uint8_t *h, const CacheFile *file)
{
    memset(h, 0, CACHE_HEADER_USED);
    memcpy(h, "ONSKBLK1", 8);
    put_le64(h + CACHE_AT_SIZE, file->size);
    put_le64(h + CACHE_AT_CHECKED, (uint64_t)time(NULL));
    memcpy(h + CACHE_AT_VALIDATOR, file->validator, strlen(file->validator));
    memcpy(h + CACHE_AT_NAME, file->name, strlen(file->name));
    put_le32(h + CACHE_AT_CRC, header_crc(h));
}

/* ---- opening -----------------------------------------------------------------------------------
 */

/* A new file under a name of its own first: others see it whole or not at all. */
static int file_make(int dir, const char *path, const CacheFile *file)
{
    uint8_t h[CACHE_HEADER_USED];
    static atomic_uint serial;
    char temp[CACHE_PATH + 48];

    snprintf(temp, sizeof(temp), "%s.%ld-%u.new", path, (long)getpid(),
             atomic_fetch_add(&serial, 1));
    int fd = openat(dir, temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    header_make(h, file);
    if (pwrite(fd, h, sizeof(h), 0) != (ssize_t)sizeof(h) ||
        ftruncate(fd, (off_t)(cache_data_start(file->size) + file->size)) < 0 ||
        renameat(dir, temp, dir, path) < 0) {
        int ret = errno ? -errno : -EIO;

        unlinkat(dir, temp, 0);
        close(fd);
        return ret;
    }
    return fd;
}

static int file_open(int dir, const char *path, const CacheFile *file, bool checked)
{
    CacheFile *had = calloc(1, sizeof(*had));
    uint8_t now[8];
    int fd = openat(dir, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0 && had && cache_header_read(fd, had) == 0 && had->size == file->size &&
        strcmp(had->validator, file->validator) == 0) {
        put_le64(now, (uint64_t)time(NULL));
        if (checked && pwrite(fd, now, sizeof(now), CACHE_AT_CHECKED) < 0)
            checked = false; /* it only tells people how old a copy is */
        free(had);
        return fd;
    }
    free(had);
    if (fd >= 0)
        close(fd);
    return file_make(dir, path, file);
}

int disk_cache_open(const CacheFile *file, bool checked, DiskCache **out, Error **err)
{
    char path[CACHE_PATH];
    uint64_t limit;
    int dir, ret = cache_limit(&limit, err);

    *out = NULL;
    if (ret == 0)
        ret = cache_folder_open(&dir, err);
    if (ret < 0)
        return ret;
    cache_path(file->key, path);
    int fd = file->size > CACHE_FILE_MAX ? -EFBIG : file_open(dir, path, file, checked);
    close(dir);
    if (fd < 0)
        return error_set(err, fd, "the cache cannot be used: %s", strerror(-fd));
    DiskCache *c = calloc(1, sizeof(*c));
    if (c) {
        *c = (DiskCache) { .fd = fd, .size = file->size, .limit = limit };
        c->blocks = cache_blocks(file->size);
        c->data_start = cache_data_start(file->size);
        c->table_len = c->data_start;
        c->table = mmap(NULL, c->table_len, PROT_READ, MAP_SHARED, fd, 0);
    }
    if (!c || c->table == MAP_FAILED) {
        free(c);
        close(fd);
        return error_set(err, -ENOMEM, "no memory for the table of the cache");
    }
    *out = c;
    return 0;
}

void disk_cache_close(DiskCache *c)
{
    if (!c)
        return;
    if (atomic_load(&c->written))
        cache_trim(c->limit, NULL);
    munmap((void *)c->table, c->table_len);
    close(c->fd);
    free(c);
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

static uint64_t entry_load(const DiskCache *c, uint64_t block)
{
    return le64toh(
        atomic_load_explicit(&c->table[CACHE_HEADER / CACHE_ENTRY + block], memory_order_acquire));
}

static void entry_store(DiskCache *c, uint64_t block, uint64_t entry)
{
    uint8_t bytes[CACHE_ENTRY];

    put_le64(bytes, entry);
    if (pwrite(c->fd, bytes, sizeof(bytes), (off_t)(CACHE_HEADER + block * CACHE_ENTRY)) < 0)
        return; /* it stays as it was, and the checksum decides */
}

static bool is_block(const DiskCache *c, uint64_t off, size_t len)
{
    return off % CACHE_BLOCK == 0 && off < c->size &&
           len == MIN(c->size - off, (uint64_t)CACHE_BLOCK);
}

bool disk_cache_has(const DiskCache *c, uint64_t off)
{
    return off < c->size && entry_load(c, off / CACHE_BLOCK) & 1;
}

int disk_cache_read(DiskCache *c, uint64_t off, void *buf, size_t len)
{
    uint64_t block = off / CACHE_BLOCK;

    if (!is_block(c, off, len))
        return -ENOENT;
    uint64_t entry = entry_load(c, block);
    if (!(entry & 1))
        return -ENOENT;
    if (pread(c->fd, buf, len, (off_t)(c->data_start + off)) != (ssize_t)len ||
        block_crc(block, buf, len) != entry >> 32) {
        entry_store(c, block, 0);
        return -ENOENT;
    }
    uint32_t now = cache_stamp_now();
    if (cache_entry_stamp(entry) != now)
        entry_store(c, block, cache_entry((uint32_t)(entry >> 32), now));
    return 0;
}

static void write_block(DiskCache *c, uint64_t off, const void *buf, size_t len)
{
    uint64_t block = off / CACHE_BLOCK;
    uint64_t entry = cache_entry(block_crc(block, buf, len), cache_stamp_now());

    if (pwrite(c->fd, buf, len, (off_t)(c->data_start + off)) == (ssize_t)len)
        entry_store(c, block, entry);
}

void disk_cache_write(DiskCache *c, uint64_t off, const void *buf, size_t len)
{
    const uint8_t *p = buf;

    for (size_t n; len; off += n, p += n, len -= n) {
        n = MIN(len, (size_t)CACHE_BLOCK);
        if (!is_block(c, off, n))
            return;
        write_block(c, off, p, n);
        atomic_fetch_add(&c->written, n);
    }
    if (atomic_load(&c->written) >= MIN((uint64_t)TRIM_STEP, c->limit / TRIM_PART)) {
        atomic_store(&c->written, 0);
        cache_trim(c->limit, NULL);
    }
}
