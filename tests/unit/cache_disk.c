/*
 * cache_disk.c - the cache of blocks: what it keeps, what goes first, many threads and damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "block/cache-file.h"
#include "tests/unit/random.h"

enum { BLOCKS = 40, LAST = 1234, THREADS = 4, ROUNDS = 300 };
#define SIZE ((uint64_t)(BLOCKS - 1) * CACHE_BLOCK + LAST)

static char folder[] = "/tmp/cache-disk-XXXXXX";

static int group_setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    return setenv("ONIONSKIN_CACHE", folder, 1);
}

static int group_teardown(void **state)
{
    (void)state;
    cache_clear(NULL, NULL);
    return rmdir(folder);
}

static CacheFile *file_named(const char *name, const char *validator)
{
    CacheFile *f = calloc(1, sizeof(*f));

    cache_key(name, f->key);
    snprintf(f->name, sizeof(f->name), "%s", name);
    snprintf(f->validator, sizeof(f->validator), "%s", validator);
    f->size = SIZE;
    return f;
}

static DiskCache *open_named(const char *name, const char *validator)
{
    AUTO_FREE CacheFile *f = file_named(name, validator);
    DiskCache *c;

    assert_int_equal(disk_cache_open(f, true, &c, NULL), 0);
    return c;
}

static size_t block_len(unsigned i)
{
    return i == BLOCKS - 1 ? LAST : CACHE_BLOCK;
}

/* What block `i` of a file called `seed` holds. */
static void fill(uint8_t *buf, unsigned seed, unsigned i)
{
    for (size_t k = 0; k < block_len(i); k++)
        buf[k] = (uint8_t)(k * 7 + i * 13 + seed + (k >> 8));
}

static void put(DiskCache *c, unsigned seed, unsigned i)
{
    uint8_t buf[CACHE_BLOCK];

    fill(buf, seed, i);
    disk_cache_write(c, (uint64_t)i * CACHE_BLOCK, buf, block_len(i));
}

/* 1: there and right, 0: not there, -1: there and wrong. */
static int look(DiskCache *c, unsigned seed, unsigned i)
{
    uint8_t got[CACHE_BLOCK], want[CACHE_BLOCK];

    if (disk_cache_read(c, (uint64_t)i * CACHE_BLOCK, got, block_len(i)) < 0)
        return 0;
    fill(want, seed, i);
    return memcmp(got, want, block_len(i)) == 0 ? 1 : -1;
}

static void blocks_are_kept(void **state)
{
    DiskCache *c = open_named("a", "1");

    (void)state;
    for (unsigned i = 0; i < BLOCKS; i += 2)
        put(c, 1, i);
    put(c, 1, BLOCKS - 1);
    disk_cache_close(c);
    c = open_named("a", "1");
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(look(c, 1, i), i % 2 == 0 || i == BLOCKS - 1);
    assert_false(disk_cache_has(c, SIZE));
    disk_cache_close(c);
}

static void odd_requests_are_refused(void **state)
{
    DiskCache *c = open_named("odd", "1");
    uint8_t buf[2 * CACHE_BLOCK] = { 0 };

    (void)state;
    disk_cache_write(c, 5, buf, CACHE_BLOCK);
    disk_cache_write(c, 0, buf, 100);
    disk_cache_write(c, SIZE, buf, 100);
    disk_cache_write(c, (uint64_t)(BLOCKS - 1) * CACHE_BLOCK, buf, CACHE_BLOCK);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(look(c, 1, i), 0);
    assert_int_equal(disk_cache_read(c, 5, buf, CACHE_BLOCK), -ENOENT);
    assert_int_equal(disk_cache_read(c, 0, buf, 100), -ENOENT);
    disk_cache_close(c);
}

static void another_version_begins_empty(void **state)
{
    AUTO_FREE CacheFile *f = file_named("version", "");
    DiskCache *one = open_named("version", "1"), *two;

    (void)state;
    put(one, 1, 0);
    two = open_named("version", "2");
    assert_int_equal(look(two, 1, 0), 0);
    put(two, 2, 0);
    assert_int_equal(look(one, 1, 0), 1); /* who has the old one open keeps it */
    assert_int_equal(look(two, 2, 0), 1);
    disk_cache_close(one);
    disk_cache_close(two);
    assert_int_equal(cache_find(f), 0);
    assert_string_equal(f->validator, "2");
    assert_int_equal(f->size, SIZE);
}

static int open_file(const char *name)
{
    char key[CACHE_KEY + 1], path[CACHE_PATH], full[sizeof(folder) + CACHE_PATH + 1];

    cache_key(name, key);
    cache_path(key, path);
    snprintf(full, sizeof(full), "%s/%s", folder, path);
    int fd = open(full, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

/* A bit that flips anywhere: what is read is right, or not there. */
static void damage_is_noticed(void **state)
{
    Random random = { 4711 };

    (void)state;
    for (int round = 0; round < 200; round++) {
        DiskCache *c = open_named("damage", "1");
        int fd = open_file("damage");
        uint64_t end = cache_data_start(SIZE) + SIZE;
        uint64_t at = round % 2 ? random_below(&random, end)
                                : CACHE_HEADER + random_below(&random, BLOCKS * CACHE_ENTRY);
        uint8_t byte;

        for (unsigned i = 0; i < BLOCKS; i++)
            put(c, 3, i);
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= (uint8_t)(1 << random_below(&random, 8));
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        close(fd);
        for (unsigned i = 0; i < BLOCKS; i++)
            assert_true(look(c, 3, i) >= 0);
        disk_cache_close(c);
    }
}

/* Make block `i` look as if it had been used `age` stamps ago. */
static void make_old(const char *name, unsigned i, uint32_t age)
{
    uint8_t bytes[CACHE_ENTRY];
    int fd = open_file(name);
    off_t at = CACHE_HEADER + (off_t)i * CACHE_ENTRY;

    assert_int_equal(pread(fd, bytes, sizeof(bytes), at), sizeof(bytes));
    uint32_t crc = (uint32_t)(get_le64(bytes) >> 32);
    put_le64(bytes, cache_entry(crc, cache_stamp_now() - age));
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at), sizeof(bytes));
    close(fd);
}

static void the_oldest_go_first(void **state)
{
    DiskCache *a, *b;
    unsigned kept[2] = { 0 };

    (void)state;
    cache_clear(NULL, NULL);
    a = open_named("old", "1");
    b = open_named("new", "1");
    for (unsigned i = 0; i < BLOCKS; i++) {
        put(a, 1, i);
        put(b, 2, i);
        make_old("old", i, i < BLOCKS / 2 ? 100 : 3);
    }
    assert_int_equal(cache_trim(UINT64_C(60) * CACHE_BLOCK + (1 << 20), NULL), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        int in_old = look(a, 1, i), in_new = look(b, 2, i);

        assert_true(in_old >= 0 && in_new >= 0);
        if (i < BLOCKS / 2)
            kept[0] += (unsigned)in_old;
        else
            kept[1] += (unsigned)in_old;
        assert_int_equal(in_new, 1); /* the newest stay */
    }
    assert_true(kept[0] < BLOCKS / 2);
    assert_true(kept[0] == 0 || kept[1] == BLOCKS / 2);
    assert_int_equal(cache_trim(0, NULL), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(look(b, 2, i), 0);
    disk_cache_close(a);
    disk_cache_close(b);
    AUTO_FREE CacheFile *list = NULL;
    size_t n = 1;
    assert_int_equal(cache_list(&list, &n, NULL), 0);
    assert_int_equal(n, 0);
}

typedef struct {
    pthread_t id;
    unsigned seed;
    bool trims;
} Worker;

/* Writers, readers and who makes room, all at once, each with its own opening of the file. */
static void *work(void *opaque)
{
    Worker *w = opaque;
    Random random = { w->seed };
    DiskCache *c = open_named("shared", "1");
    size_t wrong = 0;

    for (int i = 0; i < ROUNDS; i++) {
        unsigned block = (unsigned)random_below(&random, BLOCKS);

        if (w->trims && i % 20 == 0)
            cache_trim(random_below(&random, 30) * CACHE_BLOCK, NULL);
        else if (random_below(&random, 3) == 0)
            put(c, 9, block);
        else
            wrong += look(c, 9, block) < 0;
    }
    disk_cache_close(c);
    return (void *)wrong;
}

static void many_at_once(void **state)
{
    Worker workers[THREADS];

    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (Worker) { .seed = 100 + i, .trims = i == 0 };
        assert_int_equal(pthread_create(&workers[i].id, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;

        pthread_join(workers[i].id, &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_kept),
        cmocka_unit_test(odd_requests_are_refused),
        cmocka_unit_test(another_version_begins_empty),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(many_at_once),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
