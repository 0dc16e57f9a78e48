/*
 * bitmap-bits.c - the bits of a dirty bitmap: in memory by clusters, loaded when they are needed.
 *
 * "Bitmap table", "Bitmap data". Bits are only added while requests run, so whoever sees a bit set
 * needs no lock. A cluster's words, once in memory, stay there as long as requests may run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/zero.h"
#include "formats/qcow2/bitmap.h"

enum { WORD = 64 };

static uint64_t chunk_bits(const Qcow2 *q)
{
    return (uint64_t)q->cluster * 8;
}

/* ---- loading ------------------------------------------------------------------------------- */

static int check_table(const Qcow2 *q, const Bitmap *b)
{
    uint64_t file = align_up(node_size(q->node->file), q->cluster);

    for (uint32_t i = 0; i < b->table_size; i++) {
        uint64_t entry = b->chunks[i].entry, off = entry & BITMAP_TABLE_OFFSET;

        if (entry & BITMAP_TABLE_RESERVED || (off && entry & BITMAP_ALL_ONES) ||
            !is_metadata_aligned(q, off) || (off && off + q->cluster > file))
            return -EINVAL;
    }
    return 0;
}

int bitmap_load_table(Qcow2 *q, Bitmap *b)
{
    if (b->chunks)
        return 0;
    AUTO_FREE uint64_t *table = malloc(8 * (size_t)b->table_size);
    b->chunks = calloc(b->table_size, sizeof(*b->chunks));
    int ret = table && b->chunks ? 0 : -ENOMEM;
    if (ret == 0)
        ret = node_pread(q->node->file, table, 8 * (size_t)b->table_size, b->table_off);
    for (uint32_t i = 0; i < b->table_size && ret == 0; i++) {
        b->chunks[i].entry = be64toh(table[i]);
        atomic_init(&b->chunks[i].now, b->chunks[i].entry);
    }
    if (ret == 0)
        ret = check_table(q, b);
    if (ret < 0)
        bitmap_free_chunks(b);
    return ret;
}

/* The words of a cluster, from disk or filled in (bitmaps' lock). */
static int load_chunk(Qcow2 *q, BitmapChunk *c)
{
    if (atomic_load(&c->words))
        return 0;
    uint64_t now = atomic_load(&c->now);
    AUTO_FREE uint64_t *words = malloc(q->cluster);
    if (!words)
        return -ENOMEM;
    if (now & BITMAP_TABLE_OFFSET) {
        int ret = node_pread(q->node->file, words, q->cluster, now & BITMAP_TABLE_OFFSET);

        if (ret < 0)
            return ret;
    } else {
        memset(words, now & BITMAP_ALL_ONES ? 0xff : 0, q->cluster);
    }
    atomic_store(&c->words, take(&words));
    return 0;
}

void bitmap_free_chunks(Bitmap *b)
{
    for (uint32_t i = 0; b->chunks && i < b->table_size; i++)
        free(atomic_load(&b->chunks[i].words));
    free(b->chunks);
    b->chunks = NULL;
}

/* ---- bits of one cluster ------------------------------------------------------------------- */

static uint64_t mask_of(uint64_t bit, uint64_t end)
{
    uint64_t low = bit % WORD, n = MIN(end - bit, WORD - low);

    return htole64((n == WORD ? UINT64_MAX : (UINT64_C(1) << n) - 1) << low);
}

static bool all_set(uint64_t *words, uint64_t bit, uint64_t end)
{
    for (; bit < end; bit = align_down(bit, WORD) + WORD) {
        uint64_t mask = mask_of(bit, end);

        if ((__atomic_load_n(&words[bit / WORD], __ATOMIC_RELAXED) & mask) != mask)
            return false;
    }
    return true;
}

static void set_bits(uint64_t *words, uint64_t bit, uint64_t end)
{
    for (; bit < end; bit = align_down(bit, WORD) + WORD)
        __atomic_fetch_or(&words[bit / WORD], mask_of(bit, end), __ATOMIC_RELAXED);
}

/* How many bits from `bit` on are what `set` says. */
static uint64_t same_bits(uint64_t *words, uint64_t bit, uint64_t end, bool set)
{
    uint64_t start = bit;

    for (; bit < end; bit = align_down(bit, WORD) + WORD) {
        uint64_t word = le64toh(__atomic_load_n(&words[bit / WORD], __ATOMIC_RELAXED));
        uint64_t other = (set ? ~word : word) >> bit % WORD;

        if (other)
            return MIN(bit + (uint64_t)__builtin_ctzll(other), end) - start;
    }
    return end - start;
}

/* ---- setting ------------------------------------------------------------------------------- */

/* With the bitmaps' lock held. */
static int mark_locked(Qcow2 *q, Bitmap *b)
{
    int ret = b->marked ? 0 : bitmap_write_flags(q, b, b->flags | BITMAP_IN_USE);

    if (ret == 0)
        b->marked = true;
    return ret;
}

int bitmap_mark(Qcow2 *q, Bitmap *b)
{
    pthread_mutex_lock(&q->bitmaps->lock);
    int ret = mark_locked(q, b);
    pthread_mutex_unlock(&q->bitmaps->lock);
    return ret;
}

static bool chunk_has(BitmapChunk *c, uint64_t bit, uint64_t end)
{
    uint64_t *words = atomic_load(&c->words);

    return words ? all_set(words, bit, end) : atomic_load(&c->now) == BITMAP_ALL_ONES;
}

/* Bits that cannot be read are lost: the bitmap stays "in use", but the guest's write goes on. */
static int set_slowly(Qcow2 *q, Bitmap *b, BitmapChunk *c, uint64_t bit, uint64_t end)
{
    pthread_mutex_lock(&q->bitmaps->lock);
    int ret = mark_locked(q, b);
    if (ret == 0 && !atomic_load(&c->words) && bit == 0 && end == chunk_bits(q)) {
        atomic_store(&c->now, BITMAP_ALL_ONES);
    } else if (ret == 0 && b->usable) {
        int load = load_chunk(q, c);

        if (load == 0) {
            set_bits(atomic_load(&c->words), bit, end);
            atomic_store(&c->changed, true);
        } else {
            log_warning("%s: cannot read the bitmap '%s' (%s): it is inconsistent from now on",
                        node_filename(q->node), b->name, strerror(-load));
            b->usable = false;
        }
    }
    pthread_mutex_unlock(&q->bitmaps->lock);
    return ret;
}

int bitmap_set(Qcow2 *q, Bitmap *b, uint64_t off, uint64_t len)
{
    uint64_t per = chunk_bits(q), bit = off >> b->bits, end = ((off + len - 1) >> b->bits) + 1;
    int ret = 0;

    for (uint64_t next; bit < end && ret == 0; bit = next) {
        BitmapChunk *c = &b->chunks[bit / per];
        uint64_t first = bit % per, last = MIN(first + (end - bit), per);

        next = bit + (last - first);
        if (!chunk_has(c, first, last))
            ret = set_slowly(q, b, c, first, last);
    }
    return ret;
}

void bitmap_zero(Bitmap *b)
{
    for (uint32_t i = 0; i < b->table_size; i++) {
        BitmapChunk *c = &b->chunks[i];

        free(atomic_exchange(&c->words, NULL));
        atomic_store(&c->now, 0);
        atomic_store(&c->changed, false);
    }
}

int bitmap_cut(Qcow2 *q, Bitmap *b, uint64_t disk)
{
    uint64_t per = chunk_bits(q), end = div_round_up(disk, UINT64_C(1) << b->bits);
    int ret = 0;

    for (uint64_t i = end / per; i < b->table_size && ret == 0; i++) {
        BitmapChunk *c = &b->chunks[i];

        if (i * per >= end) {
            free(atomic_exchange(&c->words, NULL));
            atomic_store(&c->now, 0);
            atomic_store(&c->changed, false);
        } else if (atomic_load(&c->words) || atomic_load(&c->now)) {
            ret = load_chunk(q, c);
            for (uint64_t bit = end % per; bit < per && ret == 0; bit++)
                atomic_load(&c->words)[bit / WORD] &= ~htole64(UINT64_C(1) << bit % WORD);
            atomic_store(&c->changed, true);
        }
    }
    return ret;
}

/* ---- asking -------------------------------------------------------------------------------- */

/* The answer for one cluster, from `bit` to at most `end`. */
static int chunk_run(Qcow2 *q, BitmapChunk *c, uint64_t bit, uint64_t end, bool *set, uint64_t *n)
{
    uint64_t *words = atomic_load(&c->words);
    int ret = 0;

    if (!words) {
        pthread_mutex_lock(&q->bitmaps->lock);
        if (atomic_load(&c->now) & BITMAP_TABLE_OFFSET)
            ret = load_chunk(q, c);
        words = atomic_load(&c->words);
        pthread_mutex_unlock(&q->bitmaps->lock);
    }
    if (ret < 0)
        return ret;
    if (words) {
        *set = le64toh(__atomic_load_n(&words[bit / WORD], __ATOMIC_RELAXED)) >> bit % WORD & 1;
        *n = same_bits(words, bit, end, *set);
        *n += *n == 0; /* another thread has just set it */
    } else {
        *set = atomic_load(&c->now) & BITMAP_ALL_ONES;
        *n = end - bit;
    }
    return 0;
}

int bitmap_run(Qcow2 *q, Bitmap *b, uint64_t off, uint64_t len, bool *dirty, uint64_t *run)
{
    uint64_t per = chunk_bits(q), first = off >> b->bits, bit = first;
    uint64_t end = ((off + len - 1) >> b->bits) + 1;

    while (bit < end) {
        uint64_t in = bit % per, n;
        bool set;
        int ret = chunk_run(q, &b->chunks[bit / per], in, MIN(per, in + (end - bit)), &set, &n);

        if (ret < 0)
            return ret;
        if (bit == first)
            *dirty = set;
        else if (set != *dirty)
            break;
        bit += n;
        if (bit % per) /* it ended inside the cluster */
            break;
    }
    *run = MIN((bit << b->bits) - off, len);
    return 0;
}

/* ---- to disk ------------------------------------------------------------------------------- */

static int write_table(Qcow2 *q, const Bitmap *b, uint32_t size, uint64_t off)
{
    AUTO_FREE uint8_t *table = calloc(size, 8);

    if (!table)
        return -ENOMEM;
    for (uint32_t i = 0; b->chunks && i < MIN(size, b->table_size); i++)
        put_be64(table + 8 * (size_t)i, b->chunks[i].entry);
    return node_pwrite(q->node->file, table, 8 * (size_t)size, off);
}

int bitmap_new_table(Qcow2 *q, const Bitmap *b, uint32_t size, uint64_t *off)
{
    int ret = alloc_metadata(q, div_round_up(8 * (uint64_t)size, q->cluster), off);

    if (ret == 0 && (ret = write_table(q, b, size, *off)) < 0)
        free_later(q, *off, 8 * (uint64_t)size);
    return ret;
}

/* What the table is to say of the cluster; its words are on disk then, if it has a place. */
static int store_chunk(Qcow2 *q, BitmapChunk *c, uint64_t *entry)
{
    uint64_t *words = atomic_load(&c->words), off = c->entry & BITMAP_TABLE_OFFSET;
    int ret = 0;

    *entry = words ? c->entry : atomic_load(&c->now);
    if (!words || !atomic_load(&c->changed))
        return 0;
    if (mem_is_zero(words, q->cluster) || all_set(words, 0, chunk_bits(q))) {
        *entry = words[0] ? BITMAP_ALL_ONES : 0;
        return 0;
    }
    if (!off)
        ret = alloc_metadata(q, 1, &off);
    if (ret == 0)
        ret = node_pwrite(q->node->file, words, q->cluster, off);
    if (ret < 0 && off && !(c->entry & BITMAP_TABLE_OFFSET))
        free_later(q, off, q->cluster);
    *entry = off;
    return ret;
}

/* All words, then (barrier) the table; what it named before is freed after that. */
static int store_bits(Qcow2 *q, Bitmap *b)
{
    AUTO_FREE uint64_t *old = malloc(8 * (size_t)b->table_size);
    bool table = false;
    uint32_t done = 0;
    int ret = old ? 0 : -ENOMEM;

    for (; done < b->table_size && ret == 0; done++) {
        BitmapChunk *c = &b->chunks[done];
        uint64_t entry;

        old[done] = c->entry;
        ret = store_chunk(q, c, &entry);
        if (ret == 0)
            c->entry = entry;
        table |= c->entry != old[done];
    }
    if (ret == 0)
        ret = commit_settle(q);
    if (ret == 0 && table)
        ret = write_table(q, b, b->table_size, b->table_off);
    if (ret == 0 && table)
        ret = barrier(q);
    for (uint32_t i = 0; i < done; i++) {
        BitmapChunk *c = &b->chunks[i];
        uint64_t drop = (ret == 0 ? old[i] : c->entry) & BITMAP_TABLE_OFFSET;

        if (drop && c->entry != old[i])
            free_later(q, drop, q->cluster);
        if (ret < 0)
            c->entry = old[i];
        if (ret < 0)
            continue;
        atomic_store(&c->now, c->entry);
        atomic_store(&c->changed, false);
    }
    return ret;
}

int bitmap_store(Qcow2 *q, Bitmap *b)
{
    int ret = bitmap_mark(q, b);

    if (ret == 0)
        ret = store_bits(q, b);
    if (ret == 0)
        ret = commit_settle(q);
    if (ret == 0)
        ret = bitmap_write_flags(q, b, b->flags & ~(uint32_t)BITMAP_IN_USE);
    if (ret == 0)
        b->marked = false;
    else
        b->usable = false; /* nobody knows what the disk has now */
    return ret;
}

void bitmap_free_space(Qcow2 *q, const Bitmap *b)
{
    for (uint32_t i = 0; b->chunks && i < b->table_size; i++)
        if (b->chunks[i].entry & BITMAP_TABLE_OFFSET)
            free_later(q, b->chunks[i].entry & BITMAP_TABLE_OFFSET, q->cluster);
    if (b->table_off)
        free_later(q, b->table_off, 8 * (uint64_t)b->table_size);
}
