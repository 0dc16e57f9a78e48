/*
 * cache-folder.c - the cache as a whole: its folder, what is in it, making room.
 *
 * Room is made block by block over all files, the longest unused first: the table entry goes, then
 * the bytes (a hole is punched). Nobody needs to be asked, see cache-disk.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/endian.h"
#include "base/math.h"
#include "base/size.h"
#include "block/cache-file.h"

enum { KEEP_PARTS = 8, ENTRIES_AT_ONCE = 8192, LEFTOVER_AGE = 3600, AGES = 4096 };

#define DEFAULT_LIMIT (UINT64_C(8) << 30)

void cache_key(const char *text, char key[CACHE_KEY + 1])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    EVP_Digest(text, strlen(text), hash, &len, EVP_sha256(), NULL);
    hex_encode(key, hash, CACHE_KEY / 2);
}

void cache_path(const char *key, char path[CACHE_PATH])
{
    snprintf(path, CACHE_PATH, "%.*s.blocks", CACHE_KEY, key);
}

/* ---- where -------------------------------------------------------------------------------------
 */

char *cache_folder(Error **err)
{
    const char *own = getenv("ONIONSKIN_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int n = -1;

    if (own && strcmp(own, "off") == 0) {
        error_set(err, -ENOENT, "the cache is switched off (ONIONSKIN_CACHE=off)");
        return NULL;
    }
    if (own && *own == '/')
        return strdup(own);
    if (own && *own) {
        error_set(err, -EINVAL, "ONIONSKIN_CACHE is '%s', not an absolute path or 'off'", own);
        return NULL;
    }
    if (xdg && *xdg == '/')
        n = asprintf(&path, "%s/onionskin", xdg);
    else if (home && *home == '/')
        n = asprintf(&path, "%s/.cache/onionskin", home);
    if (n >= 0)
        return path;
    error_set(err, -ENOENT,
              "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is set");
    return NULL;
}

int cache_limit(uint64_t *limit, Error **err)
{
    const char *text = getenv("ONIONSKIN_CACHE_SIZE");

    *limit = DEFAULT_LIMIT;
    if (!text || !*text)
        return 0;
    int ret = size_parse(text, 0, limit, err);
    return ret < 0 ? error_prefix(err, ret, "ONIONSKIN_CACHE_SIZE '%s'", text) : 0;
}

static int make_folders(char *path)
{
    for (char *p = path + 1;; p++) {
        char c = *p;

        if (c && c != '/')
            continue;
        *p = '\0';
        int ret = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
        *p = c;
        if (ret < 0 || !c)
            return ret;
    }
}

static int folder_at(bool make, int *dirfd, Error **err)
{
    AUTO_FREE char *path = cache_folder(err);

    if (!path)
        return -ENOENT;
    int ret = make ? make_folders(path) : 0;
    if (ret == 0 && (*dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        ret = -errno;
    return ret < 0 ? error_set(err, ret, "cache '%s': %s", path, strerror(-ret)) : 0;
}

int cache_folder_open(int *dirfd, Error **err)
{
    return folder_at(true, dirfd, err);
}

/* ---- what is in it -----------------------------------------------------------------------------
 */

int cache_find(CacheFile *file)
{
    char path[CACHE_PATH];
    int dir, ret = folder_at(false, &dir, NULL);

    if (ret < 0)
        return -ENOENT;
    cache_path(file->key, path);
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    close(dir);
    if (fd < 0)
        return -ENOENT;
    ret = cache_header_read(fd, file);
    close(fd);
    return ret < 0 ? -ENOENT : 0;
}

/* Call `visit` for runs of table entries that are not in a hole. */
typedef void VisitEntries(void *opaque, uint64_t first, uint64_t *entries, size_t n);

static int each_entry(int fd, uint64_t size, VisitEntries *visit, void *opaque)
{
    uint64_t blocks = cache_blocks(size), i = 0;
    AUTO_FREE uint64_t *buf = malloc(ENTRIES_AT_ONCE * CACHE_ENTRY);

    if (!buf)
        return -ENOMEM;
    while (i < blocks) {
        off_t data = lseek(fd, (off_t)(CACHE_HEADER + i * CACHE_ENTRY), SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break;
        if (data > (off_t)CACHE_HEADER)
            i = MAX(i, ((uint64_t)data - CACHE_HEADER) / CACHE_ENTRY);
        if (i >= blocks)
            break;
        size_t n = MIN(blocks - i, (uint64_t)ENTRIES_AT_ONCE);
        ssize_t got = pread(fd, buf, n * CACHE_ENTRY, (off_t)(CACHE_HEADER + i * CACHE_ENTRY));
        if (got < CACHE_ENTRY)
            return -EIO;
        n = (size_t)got / CACHE_ENTRY;
        visit(opaque, i, buf, n);
        i += n;
    }
    return 0;
}

typedef struct {
    CacheFile *file;
    uint32_t newest;
} Count;

static void count_entries(void *opaque, uint64_t first, uint64_t *entries, size_t n)
{
    Count *count = opaque;

    for (size_t i = 0; i < n; i++) {
        uint64_t entry = le64toh(entries[i]), off = (first + i) * CACHE_BLOCK;

        if (!(entry & 1))
            continue;
        count->file->cached += MIN(count->file->size - off, (uint64_t)CACHE_BLOCK);
        count->newest = MAX(count->newest, cache_entry_stamp(entry));
    }
}

static bool is_key(const char *name)
{
    return strspn(name, "0123456789abcdef") == CACHE_KEY &&
           strcmp(name + CACHE_KEY, ".blocks") == 0;
}

/* Call `visit` for each file of the cache, good or not (then size is 0 and there is no name). */
typedef int VisitFile(void *opaque, int dir, int fd, CacheFile *file);

static int each_file(int dir, VisitFile *visit, void *opaque)
{
    DIR *d = fdopendir(dup(dir));
    struct dirent *e;
    int ret = d ? 0 : -errno;
    AUTO_FREE CacheFile *file = malloc(sizeof(*file));

    if (!file)
        ret = -ENOMEM;
    if (d)
        rewinddir(d);
    while (ret == 0 && (e = readdir(d))) {
        struct stat st;

        if (!is_key(e->d_name))
            continue;
        int fd = openat(dir, e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        memset(file, 0, sizeof(*file));
        if (cache_header_read(fd, file) < 0)
            memset(file, 0, sizeof(*file));
        memcpy(file->key, e->d_name, CACHE_KEY);
        if (fstat(fd, &st) == 0)
            file->disk = (uint64_t)st.st_blocks * 512;
        ret = visit(opaque, dir, fd, file);
        close(fd);
    }
    if (d)
        closedir(d);
    return ret;
}

typedef struct {
    CacheFile *files;
    size_t count;
} List;

static int list_add(void *opaque, int dir, int fd, CacheFile *file)
{
    List *list = opaque;
    Count count = { .file = file };
    CacheFile *files = realloc(list->files, (list->count + 1) * sizeof(*files));

    (void)dir;
    if (!files)
        return -ENOMEM;
    list->files = files;
    each_entry(fd, file->size, count_entries, &count);
    file->used = (uint64_t)count.newest << CACHE_STAMP_LOG2;
    files[list->count++] = *file;
    return 0;
}

int cache_list(CacheFile **list, size_t *count, Error **err)
{
    List all = { 0 };
    int dir, ret = folder_at(false, &dir, err);

    *list = NULL;
    *count = 0;
    if (ret == -ENOENT && !getenv("ONIONSKIN_CACHE")) {
        if (err) {
            error_free(*err);
            *err = NULL;
        }
        return 0; /* nothing was ever cached */
    }
    if (ret < 0)
        return ret;
    ret = each_file(dir, list_add, &all);
    close(dir);
    *list = all.files;
    *count = all.count;
    return ret < 0 ? error_set(err, ret, "cannot list the cache: %s", strerror(-ret)) : 0;
}

static int remove_file(void *opaque, int dir, int fd, CacheFile *file)
{
    char path[CACHE_PATH];

    (void)opaque;
    (void)fd;
    cache_path(file->key, path);
    return unlinkat(dir, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int cache_clear(const char *key, Error **err)
{
    int dir, ret = folder_at(true, &dir, err);
    CacheFile file = { 0 };

    if (ret < 0)
        return ret;
    if (key) {
        memcpy(file.key, key, MIN(strlen(key), (size_t)CACHE_KEY));
        ret = remove_file(NULL, dir, -1, &file);
    } else {
        ret = each_file(dir, remove_file, NULL);
    }
    close(dir);
    return ret < 0 ? error_set(err, ret, "cannot clear the cache: %s", strerror(-ret)) : 0;
}

/* ---- making room -------------------------------------------------------------------------------
 */

/* How many bytes were last used how long ago, in units of the stamp; the last row: longer. */
typedef struct {
    uint64_t bytes[AGES];
    uint64_t disk;
    uint32_t now, oldest_kept;
} Ages;

static uint32_t age_of(const Ages *ages, uint64_t entry)
{
    uint32_t age = (ages->now - cache_entry_stamp(entry)) & CACHE_STAMP_MASK;

    return age > CACHE_STAMP_MASK / 2 ? 0 : MIN(age, (uint32_t)AGES - 1); /* the clock went back */
}

static void count_ages(void *opaque, uint64_t first, uint64_t *entries, size_t n)
{
    Ages *ages = opaque;

    (void)first;
    for (size_t i = 0; i < n; i++)
        if (le64toh(entries[i]) & 1)
            ages->bytes[age_of(ages, le64toh(entries[i]))] += CACHE_BLOCK;
}

static int file_ages(void *opaque, int dir, int fd, CacheFile *file)
{
    Ages *ages = opaque;

    if (!*file->name)
        return remove_file(NULL, dir, fd, file); /* damaged */
    ages->disk += file->disk;
    return each_entry(fd, file->size, count_ages, ages);
}

typedef struct {
    const Ages *ages;
    int fd;
    uint64_t size, to_drop, left, dropped;
} Drop;

static void drop_block(Drop *d, uint64_t block)
{
    static const uint64_t none;
    uint64_t at = cache_data_start(d->size) + block * CACHE_BLOCK;

    if (pwrite(d->fd, &none, sizeof(none), (off_t)(CACHE_HEADER + block * CACHE_ENTRY)) < 0)
        return;
    d->dropped++;
    if (fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, CACHE_BLOCK) == 0)
        d->to_drop -= MIN(d->to_drop, MIN(d->size - block * CACHE_BLOCK, (uint64_t)CACHE_BLOCK));
}

static void drop_entries(void *opaque, uint64_t first, uint64_t *entries, size_t n)
{
    Drop *d = opaque;

    for (size_t i = 0; i < n; i++) {
        uint64_t entry = le64toh(entries[i]);

        if (!(entry & 1))
            continue;
        if (d->to_drop && age_of(d->ages, entry) >= d->ages->oldest_kept)
            drop_block(d, first + i);
        else
            d->left++;
    }
}

static int file_drop(void *opaque, int dir, int fd, CacheFile *file)
{
    Drop *d = opaque;

    d->fd = fd;
    d->size = file->size;
    d->left = d->dropped = 0;
    int ret = each_entry(fd, file->size, drop_entries, d);
    return ret == 0 && d->left == 0 && (d->dropped || d->to_drop) ? remove_file(NULL, dir, fd, file)
                                                                  : ret;
}

/* The files whose making was cut short. */
static void drop_leftovers(int dir)
{
    DIR *d = fdopendir(dup(dir));
    struct dirent *e;
    struct stat st;

    if (!d)
        return;
    rewinddir(d);
    while ((e = readdir(d))) {
        size_t len = strlen(e->d_name);

        if (len > 4 && strcmp(e->d_name + len - 4, ".new") == 0 &&
            fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            time(NULL) - st.st_mtime > LEFTOVER_AGE)
            unlinkat(dir, e->d_name, 0);
    }
    closedir(d);
}

static int trim_locked(int dir, uint64_t limit)
{
    AUTO_FREE Ages *ages = calloc(1, sizeof(*ages));
    Drop drop = { .ages = ages };
    int ret = ages ? 0 : -ENOMEM;

    if (ret == 0) {
        ages->now = cache_stamp_now();
        ret = each_file(dir, file_ages, ages);
    }
    if (ret < 0 || ages->disk <= limit)
        return ret;
    drop_leftovers(dir);
    drop.to_drop = ages->disk - (limit - limit / KEEP_PARTS);
    /* the ages that go: from the oldest on, as many as it takes */
    uint64_t found = 0;
    for (ages->oldest_kept = AGES; ages->oldest_kept > 0 && found < drop.to_drop;)
        found += ages->bytes[--ages->oldest_kept];
    /* all of the older ones, and then as many of that age as are needed */
    uint32_t edge = ages->oldest_kept++;
    ret = each_file(dir, file_drop, &drop);
    ages->oldest_kept = edge;
    return ret == 0 && drop.to_drop ? each_file(dir, file_drop, &drop) : ret;
}

int cache_trim(uint64_t limit, Error **err)
{
    int dir, ret = folder_at(true, &dir, err);

    if (ret < 0)
        return ret;
    if (flock(dir, LOCK_EX | LOCK_NB) == 0) /* else somebody is doing it */
        ret = trim_locked(dir, limit);
    close(dir);
    return ret < 0 ? error_set(err, ret, "cannot make room in the cache: %s", strerror(-ret)) : 0;
}
