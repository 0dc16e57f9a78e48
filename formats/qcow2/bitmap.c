/*
 * bitmap.c - the directory of dirty bitmaps: reading it, writing a new one, flags in place.
 *
 * "Bitmaps extension", "Bitmap directory". A new directory is written beside the old one and named
 * by one write of the header; only flags change in place, which no torn write can spoil.
 */
#include "formats/qcow2/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* ---- reading ------------------------------------------------------------------------------- */

uint64_t bitmap_table_need(const Qcow2 *q, unsigned bits, uint64_t disk)
{
    uint64_t span = (uint64_t)q->cluster * 8; /* bits of a cluster */

    return MAX(div_round_up(div_round_up(disk, UINT64_C(1) << bits), span), UINT64_C(1));
}

static bool table_fits(const Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t file = align_up(node_size(q->node->file), q->cluster);

    return off && is_metadata_aligned(q, off) && bytes <= file && off <= file - bytes;
}

const char *bitmap_entry_fault(const Qcow2 *q, const uint8_t *e)
{
    uint64_t table = get_be64(e), size = get_be32(e + 8);
    uint32_t flags = get_be32(e + 12), name = get_be16(e + 18);

    if (e[16] != BITMAP_DIRTY_TRACKING)
        return "a type that is not 1";
    if (e[17] < BITMAP_MIN_BITS || e[17] > BITMAP_MAX_BITS)
        return "granularity_bits not in 9..31";
    if (flags & ~(uint32_t)BITMAP_KNOWN_FLAGS)
        return "reserved flags set";
    if (name == 0 || name > BITMAP_MAX_NAME)
        return "a name_size not in 1..1023";
    if (get_be32(e + 20) > BITMAP_MAX_EXTRA)
        return "an extra_data_size of more than 1024";
    if (size == 0 || 8 * size > BITMAP_MAX_TABLE || size * q->cluster > BITMAP_MAX_DATA)
        return "a bitmap_table_size of 0 or of more than can be used";
    if (!table_fits(q, table, 8 * size))
        return "a bitmap_table_offset that is no place in the file";
    if (!(flags & BITMAP_IN_USE) && size < bitmap_table_need(q, e[17], q->node->size))
        return "a bitmap_table_size too small for the disk";
    return NULL;
}

static int parse_entry(Qcow2 *q, Bitmaps *all, const uint8_t *dir, uint64_t *at, Error **err)
{
    Bitmap *b = &all->list[all->count];
    const uint8_t *e = dir + *at;
    const char *fault =
        all->dir_bytes - *at < BITMAP_ENTRY ? "no room in the directory" : bitmap_entry_fault(q, e);
    uint64_t size = fault ? 0 : BITMAP_ENTRY + get_be16(e + 18) + (uint64_t)get_be32(e + 20);

    if (!fault && size > all->dir_bytes - *at)
        fault = "an end beyond the directory's";
    if (fault)
        return error_set(err, -EINVAL, "qcow2 bitmap directory: entry %" PRIu32 " has %s",
                         all->count, fault);
    b->table_off = get_be64(e);
    b->table_size = get_be32(e + 8);
    b->flags = get_be32(e + 12);
    b->bits = e[17];
    b->extra_len = get_be32(e + 20);
    b->at = *at;
    b->extra = malloc(b->extra_len + 1);
    b->name = strndup((const char *)e + BITMAP_ENTRY + b->extra_len, get_be16(e + 18));
    all->count++;
    if (!b->extra || !b->name)
        return error_set(err, -ENOMEM, "no memory for a bitmap");
    if (strlen(b->name) != get_be16(e + 18))
        return error_set(err, -EINVAL,
                         "qcow2 bitmap directory: entry %" PRIu32 " has a NUL byte in its name",
                         all->count - 1);
    memcpy(b->extra, e + BITMAP_ENTRY, b->extra_len);
    b->usable =
        !(b->flags & BITMAP_IN_USE) && (b->extra_len == 0 || b->flags & BITMAP_EXTRA_COMPATIBLE);
    *at += align_up(size, 8);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int refuse_duplicates(const Bitmaps *all, Error **err)
{
    AUTO_FREE const char **names = malloc((all->count + 1) * sizeof(*names));

    if (!names)
        return error_set(err, -ENOMEM, "no memory for the bitmaps' names");
    for (uint32_t i = 0; i < all->count; i++)
        names[i] = all->list[i].name;
    qsort(names, all->count, sizeof(*names), by_name);
    for (uint32_t i = 1; i < all->count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return error_set(err, -EINVAL, "qcow2 bitmap directory: two bitmaps are called '%s'",
                             names[i]);
    return 0;
}

static int read_directory(Qcow2 *q, const Extension *e, Error **err)
{
    Bitmaps *all = q->bitmaps;
    uint64_t at = 0;

    if (e->len < BITMAP_EXTENSION)
        return error_set(err, -EINVAL, "qcow2 bitmaps extension: its length is %" PRIu32 ", not 24",
                         e->len);
    uint32_t count = get_be32(e->data);
    uint64_t bytes = get_be64(e->data + 8), off = get_be64(e->data + 16);
    if (count == 0 || count > BITMAP_MAX_COUNT)
        return error_set(err, -EINVAL,
                         "qcow2 bitmaps extension: nb_bitmaps is %" PRIu32 ", not 1..65535", count);
    if (bytes > BITMAP_MAX_DIRECTORY || bytes < (uint64_t)count * BITMAP_ENTRY)
        return error_set(err, -EINVAL, "qcow2 bitmaps extension: bitmap_directory_size is %" PRIu64,
                         bytes);
    if (!table_fits(q, off, bytes))
        return error_set(err, -EINVAL,
                         "qcow2 bitmaps extension: bitmap_directory_offset is %" PRIu64
                         ", no place in the file",
                         off);
    AUTO_FREE uint8_t *dir = malloc(bytes);
    all->list = calloc(count, sizeof(*all->list));
    if (!dir || !all->list)
        return error_set(err, -ENOMEM, "no memory for the bitmap directory");
    int ret = node_pread(q->node->file, dir, bytes, off);
    if (ret < 0)
        return error_set(err, ret, "cannot read the bitmap directory: %s", strerror(-ret));
    all->dir_off = off;
    all->dir_bytes = bytes;
    while (all->count < count && ret == 0)
        ret = parse_entry(q, all, dir, &at, err);
    return ret == 0 ? refuse_duplicates(all, err) : ret;
}

static Extension *find_extension(Qcow2 *q)
{
    Extension *e = q->extensions;

    while (e && e->type != EXT_BITMAPS)
        e = e->next;
    return e;
}

static void forget_all(Qcow2 *q)
{
    for (uint32_t i = 0; q->bitmaps && i < q->bitmaps->count; i++)
        bitmap_clear(&q->bitmaps->list[i]);
    if (!q->bitmaps)
        return;
    free(q->bitmaps->list);
    q->bitmaps->list = NULL;
    q->bitmaps->count = 0;
    q->bitmaps->dir_off = q->bitmaps->dir_bytes = 0;
}

/*
 * Without the autoclear bit somebody wrote to the image who does not know bitmaps: they say
 * nothing then. Damage is no reason not to read an image, but a writer could not keep its bitmaps
 * right.
 */
int bitmaps_open(Qcow2 *q, Error **err)
{
    Error *why = NULL;

    if (!q->bitmaps) {
        q->bitmaps = calloc(1, sizeof(*q->bitmaps));
        if (!q->bitmaps)
            return error_set(err, -ENOMEM, "no memory for the bitmaps");
        pthread_mutex_init(&q->bitmaps->lock, NULL);
    }
    forget_all(q);
    Extension *e = q->autoclear & AUTOCLEAR_BITMAPS ? find_extension(q) : NULL;
    int ret = e ? read_directory(q, e, &why) : 0;
    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0 && q->node->writable; i++) {
        ret = bitmap_load_table(q, &q->bitmaps->list[i]);
        if (ret == -EINVAL && !q->bitmaps->list[i].usable)
            ret = 0; /* it can be removed all the same */
    }
    if (ret == 0) {
        bitmap_records(q);
        return 0;
    }
    if (!why && ret == -EINVAL)
        error_set(&why, ret, "qcow2 bitmap table: an entry is no place in the file");
    if (!why)
        error_set(&why, ret, "cannot read a bitmap's table: %s", strerror(-ret));
    forget_all(q);
    bool fatal = q->node->writable && !(q->node->flags & OPEN_CHECK);
    if (fatal)
        error_set(err, ret, "%s", error_message(why, ret));
    else
        log_warning("%s: %s", node_filename(q->node), error_message(why, ret));
    error_free(why);
    return fatal ? ret : 0;
}

void bitmaps_close(Qcow2 *q)
{
    if (!q->bitmaps)
        return;
    for (uint32_t i = 0; i < q->bitmaps->count; i++) {
        Bitmap *b = &q->bitmaps->list[i];

        if (q->node->opened && q->node->writable && !q->broken && b->marked && b->usable &&
            bitmap_store(q, b) < 0)
            log_warning("%s: cannot store the bitmap '%s': it is inconsistent now",
                        node_filename(q->node), b->name);
    }
    forget_all(q);
    free(q->bitmaps->plan.tables);
    pthread_mutex_destroy(&q->bitmaps->lock);
    free(q->bitmaps);
}

void bitmap_clear(Bitmap *b)
{
    bitmap_free_chunks(b);
    free(b->name);
    free(b->extra);
}

Bitmap *bitmap_find(Qcow2 *q, const char *name)
{
    for (uint32_t i = 0; i < q->bitmaps->count; i++)
        if (strcmp(q->bitmaps->list[i].name, name) == 0)
            return &q->bitmaps->list[i];
    return NULL;
}

void bitmap_records(Qcow2 *q)
{
    bool any = false;

    for (uint32_t i = 0; i < q->bitmaps->count; i++) {
        const Bitmap *b = &q->bitmaps->list[i];

        /* one that we cannot use, but that others trust, must be marked before a write */
        any |= b->flags & BITMAP_AUTO && (b->usable || !(b->flags & BITMAP_IN_USE));
    }
    atomic_store(&q->node->records, any && q->node->writable);
}

int bitmaps_meta(Qcow2 *q)
{
    const Bitmaps *all = q->bitmaps;
    int ret = 0;

    if (!all || !all->count)
        return 0;
    ret = meta_add(q, all->dir_off, all->dir_bytes);
    for (uint32_t i = 0; i < all->count && ret == 0; i++) {
        const Bitmap *b = &all->list[i];

        ret = meta_add(q, b->table_off, 8 * (uint64_t)b->table_size);
        for (uint32_t k = 0; b->chunks && k < b->table_size && ret == 0; k++)
            if (b->chunks[k].entry & BITMAP_TABLE_OFFSET)
                ret = meta_add(q, b->chunks[k].entry & BITMAP_TABLE_OFFSET, q->cluster);
    }
    return ret;
}

/* ---- writing ------------------------------------------------------------------------------- */

static uint64_t entry_size(const Bitmap *b)
{
    return align_up(BITMAP_ENTRY + b->extra_len + strlen(b->name), 8);
}

static void put_entry(uint8_t *e, const Bitmap *b, const struct BitmapPlace *planned)
{
    put_be64(e, planned ? planned->off : b->table_off);
    put_be32(e + 8, planned ? planned->size : b->table_size);
    put_be32(e + 12, b->flags);
    e[16] = BITMAP_DIRTY_TRACKING;
    e[17] = (uint8_t)b->bits;
    put_be16(e + 18, (uint16_t)strlen(b->name));
    put_be32(e + 20, b->extra_len);
    memcpy(e + BITMAP_ENTRY, b->extra, b->extra_len);
    memcpy(e + BITMAP_ENTRY + b->extra_len, b->name, strlen(b->name));
}

int bitmap_dir_write(Qcow2 *q, const BitmapPlan *plan, uint64_t *off, uint64_t *bytes)
{
    Bitmaps *all = q->bitmaps;

    *off = *bytes = 0;
    for (uint32_t i = 0; i < all->count; i++)
        *bytes += entry_size(&all->list[i]);
    if (*bytes == 0)
        return 0;
    if (*bytes > BITMAP_MAX_DIRECTORY)
        return -EFBIG;
    AUTO_FREE uint8_t *dir = calloc(1, *bytes);
    uint64_t at = 0;
    if (!dir)
        return -ENOMEM;
    for (uint32_t i = 0; i < all->count; i++) {
        bool moved = plan && plan->tables[i].size;

        put_entry(dir + at, &all->list[i], moved ? &plan->tables[i] : NULL);
        at += entry_size(&all->list[i]);
    }
    int ret = alloc_metadata(q, div_round_up(*bytes, q->cluster), off);
    return ret < 0 ? ret : node_pwrite(q->node->file, dir, *bytes, *off);
}

/* The header will say what the list in memory is; no bitmaps, no extension. */
static int extension_set(Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint8_t data[BITMAP_EXTENSION] = { 0 };

    put_be32(data, q->bitmaps->count);
    put_be64(data + 8, bytes);
    put_be64(data + 16, off);
    if (q->bitmaps->count)
        q->autoclear |= AUTOCLEAR_BITMAPS;
    else
        q->autoclear &= ~AUTOCLEAR_BITMAPS;
    return header_set_extension(q, EXT_BITMAPS, data, q->bitmaps->count ? sizeof(data) : 0);
}

static void number_entries(Bitmaps *all)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < all->count; i++) {
        all->list[i].at = at;
        at += entry_size(&all->list[i]);
    }
}

int bitmap_dir_adopt(Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t old_clear = q->autoclear;
    const Extension *e = find_extension(q);
    uint8_t before[BITMAP_EXTENSION] = { 0 };
    uint32_t before_len = e && e->len >= BITMAP_EXTENSION ? BITMAP_EXTENSION : 0;

    if (before_len)
        memcpy(before, e->data, BITMAP_EXTENSION);
    int ret = extension_set(q, off, bytes);
    if (ret == 0)
        ret = header_rewrite(q);
    if (ret < 0) {
        q->autoclear = old_clear;
        header_set_extension(q, EXT_BITMAPS, before, before_len);
        return ret;
    }
    q->bitmaps->dir_off = off;
    q->bitmaps->dir_bytes = bytes;
    number_entries(q->bitmaps);
    return 0;
}

int bitmap_dir_replace(Qcow2 *q)
{
    uint64_t old = q->bitmaps->dir_off, old_bytes = q->bitmaps->dir_bytes, off, bytes;
    int ret = bitmap_dir_write(q, NULL, &off, &bytes);

    if (ret == 0)
        ret = commit_settle(q);
    if (ret == 0)
        ret = bitmap_dir_adopt(q, off, bytes);
    if (ret < 0 && off)
        free_later(q, off, bytes);
    return ret == 0 && old_bytes ? free_later(q, old, old_bytes) : ret;
}

int bitmap_write_flags(Qcow2 *q, Bitmap *b, uint32_t flags)
{
    uint8_t bytes[4];

    put_be32(bytes, flags);
    int ret = node_pwrite(q->node->file, bytes, sizeof(bytes), q->bitmaps->dir_off + b->at + 12);
    if (ret == 0)
        ret = barrier(q);
    if (ret == 0)
        b->flags = flags;
    return ret;
}
