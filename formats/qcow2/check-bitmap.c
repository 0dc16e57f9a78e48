/*
 * check-bitmap.c - the check of dirty bitmaps: directory, tables, clusters of bits.
 *
 * They come after guest data: where two claim one cluster, the bitmap loses it. A bitmap that lost
 * bits is marked as in use, so that nobody trusts it; one whose entry in the directory cannot be
 * right is removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/bitmap.h"
#include "formats/qcow2/check.h"

typedef struct Directory {
    uint8_t *old, *new; /* as on disk, and what is to stay */
    uint64_t off, bytes, kept_bytes;
    uint32_t count, kept;
    bool changed;
} Directory;

static bool taken(const Check *c, uint64_t off, uint64_t bytes)
{
    for (uint64_t i = off >> c->q->cluster_bits; i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        if (c->refs[i])
            return true;
    return false;
}

static const char *place_fault(const Check *c, uint64_t off, uint64_t bytes)
{
    return !is_metadata_aligned(c->q, off) ? "is not the start of a cluster"
           : !check_in_file(c, off, bytes) ? "is beyond the end of the file"
           : taken(c, off, bytes)          ? "overlaps with something else"
                                           : NULL;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* One entry of a bitmap's table; true if it was changed. */
static bool check_entry(Check *c, uint8_t *at, const char *name)
{
    uint64_t entry = get_be64(at), off = entry & BITMAP_TABLE_OFFSET;
    const char *fault = entry & BITMAP_TABLE_RESERVED || (off && entry & BITMAP_ALL_ONES)
                            ? "has reserved bits set"
                        : off ? place_fault(c, off, c->q->cluster)
                              : NULL;

    if (!fault && off)
        check_refer(c, off, c->q->cluster);
    if (!fault || !check_found(c, "bitmap '%s': table entry 0x%" PRIx64 " %s", name, entry, fault))
        return false;
    put_be64(at, 0);
    return true;
}

/* Nobody may trust the bitmap, whose entry lies at `at` in the file, once its table has lost bits.
 */
static int mark_in_use(Check *c, uint8_t *e, uint64_t at)
{
    put_be32(e + 12, get_be32(e + 12) | BITMAP_IN_USE);
    int ret = node_pwrite(c->q->node->file, e + 12, 4, at + 12);

    c->bitmaps_marked = true;
    return ret == 0 ? barrier(c->q) : ret;
}

/* The table of a good entry `e`, which lies at `at` in the file */
static int check_table(Check *c, uint8_t *e, uint64_t at_entry, const char *name)
{
    bool lost = false;
    uint64_t off = get_be64(e), bytes = 8 * (uint64_t)get_be32(e + 8);
    AUTO_FREE uint8_t *table = malloc(bytes);

    if (!table)
        return -ENOMEM;
    check_refer(c, off, bytes);
    int ret = node_pread(c->q->node->file, table, bytes, off);
    if (ret < 0) {
        check_say(c, "ERROR cannot read the table of bitmap '%s': %s", name, strerror(-ret));
        c->r->check_errors++;
        return 0;
    }
    for (uint64_t at = 0; at < bytes; at += 8)
        lost |= check_entry(c, table + at, name);
    ret = lost ? mark_in_use(c, e, at_entry) : 0;
    return ret == 0 && lost ? node_pwrite(c->q->node->file, table, bytes, off) : ret;
}

/* ---- directory ----------------------------------------------------------------------------- */

static bool name_is_known(const Directory *d, const uint8_t *name, uint32_t len)
{
    for (uint64_t at = 0; at < d->kept_bytes;) {
        const uint8_t *e = d->new + at;
        uint32_t n = get_be16(e + 18), extra = get_be32(e + 20);

        if (n == len && memcmp(e + BITMAP_ENTRY + extra, name, len) == 0)
            return true;
        at += align_up(BITMAP_ENTRY + (uint64_t)n + extra, 8);
    }
    return false;
}

static const char *entry_fault(const Check *c, const Directory *d, const uint8_t *e)
{
    uint32_t len = get_be16(e + 18);
    const uint8_t *name = e + BITMAP_ENTRY + get_be32(e + 20);
    const char *fault = bitmap_entry_fault(c->q, e);

    if (fault)
        return fault;
    if (memchr(name, 0, len))
        return "a NUL byte in its name";
    if (name_is_known(d, name, len))
        return "the name of another one";
    return place_fault(c, get_be64(e), 8 * (uint64_t)get_be32(e + 8))
               ? "a bitmap_table_offset that is taken"
               : NULL;
}

static int check_one(Check *c, Directory *d, uint32_t i, uint64_t at, uint64_t size)
{
    uint8_t *e = d->old + at;
    const char *fault = entry_fault(c, d, e);

    if (fault &&
        check_found(c, "bitmap directory entry %" PRIu32 " has %s: it is removed", i, fault))
        d->changed = true;
    if (fault)
        return 0;
    AUTO_FREE char *name =
        strndup((const char *)e + BITMAP_ENTRY + get_be32(e + 20), get_be16(e + 18));
    int ret = name ? check_table(c, e, d->off + at, name) : -ENOMEM;
    bool used = get_be32(e + 12) & BITMAP_IN_USE;
    if (ret == 0 && !used && get_be32(e + 8) != bitmap_table_need(c->q, e[17], c->q->node->size) &&
        check_found(c, "bitmap '%s' has a table of a length that does not fit the disk", name))
        ret = mark_in_use(c, e, d->off + at);
    memcpy(d->new + d->kept_bytes, e, size);
    d->kept_bytes += align_up(size, 8);
    d->kept++;
    return ret;
}

static int check_entries(Check *c, Directory *d)
{
    uint64_t at = 0;
    int ret = 0;

    for (uint32_t i = 0; at < d->bytes && ret == 0; i++) {
        const uint8_t *e = d->old + at;
        uint64_t room = d->bytes - at;
        uint64_t size = room < BITMAP_ENTRY
                            ? UINT64_MAX
                            : BITMAP_ENTRY + get_be16(e + 18) + (uint64_t)get_be32(e + 20);

        if (size > room || get_be32(e + 20) > BITMAP_MAX_EXTRA || i == BITMAP_MAX_COUNT) {
            d->changed |= check_found(c,
                                      "bitmap directory: entry %" PRIu32
                                      " ends beyond the directory: it and those behind are removed",
                                      i);
            break;
        }
        ret = check_one(c, d, i, at, size);
        at += align_up(size, 8);
    }
    return ret;
}

/* ---- the extension ------------------------------------------------------------------------- */

static const char *extension_fault(const Check *c, const Extension *e)
{
    if (e->len < BITMAP_EXTENSION)
        return "is too short";
    uint32_t count = get_be32(e->data);
    uint64_t bytes = get_be64(e->data + 8), off = get_be64(e->data + 16);
    if (count == 0 || count > BITMAP_MAX_COUNT)
        return "has a number of bitmaps not in 1..65535";
    if (bytes == 0 || bytes > BITMAP_MAX_DIRECTORY)
        return "has a directory of no usable size";
    return place_fault(c, off, bytes) ? "names a directory at no usable place" : NULL;
}

/* In memory only */
static int set_extension(Check *c, uint32_t count, uint64_t bytes, uint64_t off)
{
    uint8_t data[BITMAP_EXTENSION] = { 0 };

    put_be32(data, count);
    put_be64(data + 8, bytes);
    put_be64(data + 16, off);
    if (count == 0)
        c->q->autoclear &= ~AUTOCLEAR_BITMAPS;
    c->header_changed = true;
    return header_set_extension(c->q, EXT_BITMAPS, data, count ? sizeof(data) : 0);
}

static const Extension *find_extension(const Qcow2 *q)
{
    const Extension *e = q->extensions;

    while (e && e->type != EXT_BITMAPS)
        e = e->next;
    return e;
}

int check_write_directory(Check *c)
{
    Qcow2 *q = c->q;
    const Extension *e = find_extension(q);
    uint64_t bytes = c->directory_bytes, off = 0;

    if (!c->directory || !e)
        return c->bitmaps_marked ? bitmaps_open(q, NULL) : 0;
    uint64_t old = get_be64(e->data + 16), old_bytes = get_be64(e->data + 8);
    int ret = bytes ? alloc_metadata(q, div_round_up(bytes, q->cluster), &off) : 0;
    if (ret == 0 && bytes)
        ret = node_pwrite(q->node->file, c->directory, bytes, off);
    if (ret == 0)
        ret = commit_settle(q);
    if (ret == 0)
        ret = set_extension(c, c->directory_count, bytes, off);
    if (ret == 0)
        ret = header_rewrite(q);
    if (ret == 0)
        ret = free_later(q, old, old_bytes);
    if (ret == 0)
        ret = commit_settle(q);
    return ret == 0 ? bitmaps_open(q, NULL) : ret;
}

static int check_directory(Check *c, const Extension *e)
{
    uint64_t off = get_be64(e->data + 16), before = c->r->corruptions;
    Directory d = { .off = off, .bytes = get_be64(e->data + 8), .count = get_be32(e->data) };
    AUTO_FREE uint8_t *old = malloc(d.bytes);
    AUTO_FREE uint8_t *new = calloc(1, align_up(d.bytes, 8) + 8);

    d.old = old;
    d.new = new;
    int ret = old && new ? node_pread(c->q->node->file, old, d.bytes, off) : -ENOMEM;
    if (ret < 0) {
        c->r->check_errors++;
        return ret == -ENOMEM ? ret : 0;
    }
    /* the tables must not lie in the directory: it is counted first */
    check_refer(c, off, d.bytes);
    ret = check_entries(c, &d);
    if (get_be32(e->data + 4))
        d.changed |= check_found(c, "the bitmaps extension has a reserved field set");
    if (ret == 0 && !d.changed && d.kept != d.count && c->r->corruptions == before)
        d.changed = check_found(c, "the bitmaps extension says %" PRIu32 " bitmaps, not %" PRIu32,
                                d.count, d.kept);
    if (ret == 0 && d.changed) {
        c->directory = take(&new);
        c->directory_bytes = d.kept_bytes;
        c->directory_count = d.kept;
    }
    return ret;
}

int check_dirty_bitmaps(Check *c)
{
    const Extension *e = find_extension(c->q);

    if (!e || !(c->q->autoclear & AUTOCLEAR_BITMAPS))
        return 0;
    const char *fault = extension_fault(c, e);
    if (!fault)
        return check_directory(c, e);
    if (!check_found(c, "the bitmaps extension %s: all bitmaps are lost", fault))
        return 0;
    int ret = set_extension(c, 0, 0, 0);
    return ret == 0 ? bitmaps_open(c->q, NULL) : ret;
}
