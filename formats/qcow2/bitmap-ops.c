/*
 * bitmap-ops.c - dirty bitmaps as block/bitmap.h promises them, and what resizing and snapshots do
 * to them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/bitmap.h"

static int explain(int ret, const char *what, Error **err)
{
    return ret < 0 && err && !*err ? error_set(err, ret, "cannot %s: %s", what, strerror(-ret))
                                   : ret;
}

static int find_usable(Qcow2 *q, const char *name, Bitmap **b, Error **err)
{
    *b = bitmap_find(q, name);
    if (!*b)
        return error_set(err, -ENOENT, "Dirty bitmap '%s' not found", name);
    if (!(*b)->usable)
        return error_set(err, -EINVAL,
                         "Bitmap '%s' is inconsistent and cannot be used: it can only be removed",
                         name);
    return 0;
}

static int list_bitmaps(Node *node, BitmapInfo **list, size_t *count, Error **err)
{
    Qcow2 *q = node->state;
    const Bitmaps *all = q->bitmaps;
    BitmapInfo *out = calloc(all->count + 1, sizeof(*out));

    if (!out)
        return error_set(err, -ENOMEM, "no memory for the list of bitmaps");
    for (uint32_t i = 0; i < all->count; i++) {
        const Bitmap *b = &all->list[i];

        out[i] = (BitmapInfo) { .name = strdup(b->name),
                                .granularity = UINT64_C(1) << b->bits,
                                .enabled = b->flags & BITMAP_AUTO,
                                .inconsistent = !b->usable };
    }
    *list = out;
    *count = all->count;
    return 0;
}

/* A bitmap without any bit set, with its table on disk. */
static int new_bitmap(Qcow2 *q, Bitmap *b, const char *name, unsigned bits, bool enabled)
{
    *b = (Bitmap) { .bits = bits, .flags = enabled ? BITMAP_AUTO : 0, .usable = true };
    b->name = strdup(name);
    b->extra = malloc(1);
    int ret = b->name && b->extra ? 0 : -ENOMEM;
    b->table_size = (uint32_t)bitmap_table_need(q, bits, q->node->size);
    b->chunks = calloc(b->table_size, sizeof(*b->chunks));
    if (ret == 0)
        ret = b->chunks ? bitmap_new_table(q, b, b->table_size, &b->table_off) : -ENOMEM;
    if (ret < 0)
        bitmap_clear(b);
    return ret;
}

static int check_new(const Qcow2 *q, const char *name, unsigned bits, Error **err)
{
    uint64_t need = bitmap_table_need(q, bits, q->node->size);

    if (q->version < 3)
        return error_set(err, -ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files");
    if (!*name || strlen(name) > BITMAP_MAX_NAME)
        return error_set(err, -EINVAL, "a bitmap's name has 1 to 1023 bytes");
    if (q->bitmaps->count >= BITMAP_MAX_COUNT)
        return error_set(err, -EFBIG, "there are %d bitmaps already", BITMAP_MAX_COUNT);
    if (need * q->cluster > BITMAP_MAX_DATA || need * 8 > BITMAP_MAX_TABLE)
        return error_set(err, -EFBIG,
                         "the bitmap would be too big for a disk of this size: a coarser "
                         "granularity is needed");
    return 0;
}

static int add_bitmap(Node *node, const char *name, uint64_t granularity, bool enabled, Error **err)
{
    Qcow2 *q = node->state;
    Bitmaps *all = q->bitmaps;
    unsigned bits = (unsigned)__builtin_ctzll(granularity);
    int ret = check_new(q, name, bits, err);

    if (ret < 0)
        return ret;
    if (bitmap_find(q, name))
        return error_set(err, -EEXIST, "Bitmap already exists: %s", name);
    Bitmap *more = realloc(all->list, (all->count + 1) * sizeof(*more));
    if (!more)
        return explain(-ENOMEM, "add the bitmap", err);
    all->list = more;
    ret = new_bitmap(q, &more[all->count], name, bits, enabled);
    if (ret < 0)
        return explain(ret, "add the bitmap", err);
    all->count++;
    ret = bitmap_dir_replace(q);
    if (ret < 0) {
        all->count--;
        bitmap_free_space(q, &more[all->count]);
        bitmap_clear(&more[all->count]);
    }
    bitmap_records(q);
    return explain(ret == 0 ? commit_settle(q) : ret, "add the bitmap", err);
}

static int remove_bitmap(Node *node, const char *name, Error **err)
{
    Qcow2 *q = node->state;
    Bitmaps *all = q->bitmaps;
    Bitmap *b = bitmap_find(q, name), gone;

    if (!b)
        return error_set(err, -ENOENT, "Dirty bitmap '%s' not found", name);
    size_t behind = (size_t)(all->list + all->count - (b + 1)) * sizeof(*b);
    gone = *b;
    memmove((void *)b, b + 1, behind);
    all->count--;
    int ret = bitmap_dir_replace(q);
    if (ret < 0) { /* it is still there */
        memmove((void *)(b + 1), b, behind);
        *b = gone;
        all->count++;
        return explain(ret, "remove the bitmap", err);
    }
    bitmap_free_space(q, &gone);
    bitmap_clear(&gone);
    bitmap_records(q);
    return explain(commit_settle(q), "remove the bitmap", err);
}

static int clear_bitmap(Node *node, const char *name, Error **err)
{
    Qcow2 *q = node->state;
    Bitmap *b;
    int ret = find_usable(q, name, &b, err);

    if (ret < 0)
        return ret;
    bitmap_zero(b);
    ret = bitmap_store(q, b);
    return explain(ret == 0 ? commit_settle(q) : ret, "clear the bitmap", err);
}

static int enable_bitmap(Node *node, const char *name, bool enabled, Error **err)
{
    Qcow2 *q = node->state;
    Bitmap *b;
    int ret = find_usable(q, name, &b, err);

    if (ret < 0)
        return ret;
    uint32_t flags = b->flags & ~(uint32_t)BITMAP_AUTO;
    ret = bitmap_write_flags(q, b, enabled ? flags | BITMAP_AUTO : flags);
    bitmap_records(q);
    return explain(ret, "write the bitmap's flags", err);
}

static int set_bits(Node *node, const char *name, uint64_t off, uint64_t len, Error **err)
{
    Qcow2 *q = node->state;
    Bitmap *b;
    int ret = find_usable(q, name, &b, err);

    return ret < 0 ? ret : explain(bitmap_set(q, b, off, len), "change the bitmap", err);
}

static int store_all(Node *node, Error **err)
{
    Qcow2 *q = node->state;
    int ret = 0;

    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++) {
        Bitmap *b = &q->bitmaps->list[i];

        if (b->marked && b->usable)
            ret = bitmap_store(q, b);
    }
    return explain(ret, "store the bitmap", err);
}

/* A table that was not needed so far is read now, on the first question. */
static int bitmap_extent(Node *node, const char *name, uint64_t off, uint64_t len, bool *dirty,
                         uint64_t *run)
{
    Qcow2 *q = node->state;
    Bitmap *b = bitmap_find(q, name);

    if (!b)
        return -ENOENT;
    if (!b->usable)
        return -EINVAL;
    pthread_mutex_lock(&q->bitmaps->lock);
    int ret = bitmap_load_table(q, b);
    pthread_mutex_unlock(&q->bitmaps->lock);
    return ret < 0 ? ret : bitmap_run(q, b, off, len, dirty, run);
}

static int record(Node *node, uint64_t off, uint64_t len)
{
    Qcow2 *q = node->state;
    int ret = 0;

    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++) {
        Bitmap *b = &q->bitmaps->list[i];

        if (!(b->flags & BITMAP_AUTO))
            continue;
        if (b->usable)
            ret = bitmap_set(q, b, off, len);
        else if (!(b->flags & BITMAP_IN_USE))
            ret = bitmap_mark(q, b);
    }
    return ret;
}

const BitmapOps qcow2_bitmap_ops = {
    .list = list_bitmaps,
    .add = add_bitmap,
    .remove = remove_bitmap,
    .clear = clear_bitmap,
    .enable = enable_bitmap,
    .set = set_bits,
    .store = store_all,
    .extent = bitmap_extent,
    .record = record,
};

/* ---- when the disk changes as a whole ------------------------------------------------------ */

void bitmaps_unplan(Qcow2 *q)
{
    BitmapPlan *plan = &q->bitmaps->plan;

    for (uint32_t i = 0; plan->tables && i < q->bitmaps->count; i++)
        if (plan->tables[i].size)
            free_later(q, plan->tables[i].off, 8 * (uint64_t)plan->tables[i].size);
    if (plan->dir_off)
        free_later(q, plan->dir_off, plan->dir_bytes);
    free(plan->tables);
    *plan = (BitmapPlan) { 0 };
}

static int plan_table(Qcow2 *q, const Bitmap *b, uint64_t disk, struct BitmapPlace *place,
                      Error **err)
{
    uint64_t need = bitmap_table_need(q, b->bits, disk);

    if (!b->usable || need == b->table_size)
        return 0;
    if (need * q->cluster > BITMAP_MAX_DATA || need * 8 > BITMAP_MAX_TABLE)
        return error_set(err, -EFBIG,
                         "the bitmap '%s' would be too big for a disk of this size: remove it "
                         "first",
                         b->name);
    int ret = bitmap_new_table(q, b, (uint32_t)need, &place->off);
    if (ret == 0)
        place->size = (uint32_t)need;
    return ret;
}

int bitmaps_plan(Qcow2 *q, uint64_t disk, Error **err)
{
    BitmapPlan *plan = &q->bitmaps->plan;
    bool any = false;
    int ret = 0;

    plan->tables = calloc(q->bitmaps->count + 1, sizeof(*plan->tables));
    if (!plan->tables)
        return explain(-ENOMEM, "change the bitmaps' tables", err);
    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++) {
        ret = plan_table(q, &q->bitmaps->list[i], disk, &plan->tables[i], err);
        any |= plan->tables[i].size;
    }
    if (ret == 0 && any)
        ret = bitmap_dir_write(q, plan, &plan->dir_off, &plan->dir_bytes);
    if (ret == 0 && any)
        ret = commit_settle(q);
    if (ret < 0 || !any)
        bitmaps_unplan(q);
    return explain(ret, "change the bitmaps' tables", err);
}

/* The table of the plan takes the old one's place; what it does not cover any more is freed. */
static int adopt_table(Qcow2 *q, Bitmap *b, const struct BitmapPlace *place)
{
    BitmapChunk *chunks = calloc(place->size, sizeof(*chunks));
    uint32_t both = MIN(place->size, b->table_size);

    if (!chunks)
        return -ENOMEM;
    memcpy((void *)chunks, b->chunks, both * sizeof(*chunks));
    for (uint32_t i = both; i < b->table_size; i++) {
        free(atomic_load(&b->chunks[i].words));
        if (b->chunks[i].entry & BITMAP_TABLE_OFFSET)
            free_later(q, b->chunks[i].entry & BITMAP_TABLE_OFFSET, q->cluster);
    }
    free_later(q, b->table_off, 8 * (uint64_t)b->table_size);
    free(b->chunks);
    b->chunks = chunks;
    b->table_off = place->off;
    b->table_size = place->size;
    return 0;
}

int bitmaps_switch(Qcow2 *q)
{
    BitmapPlan *plan = &q->bitmaps->plan;
    uint64_t old = q->bitmaps->dir_off, old_bytes = q->bitmaps->dir_bytes;

    if (!plan->tables)
        return header_switch(q);
    int ret = bitmap_dir_adopt(q, plan->dir_off, plan->dir_bytes);
    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++)
        if (plan->tables[i].size)
            ret = adopt_table(q, &q->bitmaps->list[i], &plan->tables[i]);
    if (ret < 0) {
        q->broken = true; /* memory and disk are not the same any more */
        return ret;
    }
    free(plan->tables);
    *plan = (BitmapPlan) { 0 };
    return free_later(q, old, old_bytes);
}

int bitmaps_cut(Qcow2 *q)
{
    int ret = 0;

    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++) {
        Bitmap *b = &q->bitmaps->list[i];

        if (!b->usable)
            continue;
        ret = bitmap_cut(q, b, q->node->size);
        if (ret == 0)
            ret = bitmap_store(q, b);
    }
    return ret;
}

int bitmaps_set_all(Qcow2 *q)
{
    int ret = 0;

    for (uint32_t i = 0; i < q->bitmaps->count && ret == 0; i++) {
        Bitmap *b = &q->bitmaps->list[i];

        if (b->flags & BITMAP_AUTO && (b->usable || !(b->flags & BITMAP_IN_USE)))
            ret = bitmap_mark(q, b);
    }
    return ret == 0 && q->node->size ? record(q->node, 0, q->node->size) : ret;
}

json_t *bitmaps_info(const Qcow2 *q)
{
    const Bitmaps *all = q->bitmaps;
    json_t *list = json_array();

    for (uint32_t i = 0; i < all->count; i++) {
        const Bitmap *b = &all->list[i];
        json_t *item = json_object(), *flags = json_array();

        if (b->flags & BITMAP_IN_USE)
            json_array_append_new(flags, json_string("in-use"));
        if (b->flags & BITMAP_AUTO)
            json_array_append_new(flags, json_string("auto"));
        json_object_set_new(item, "flags", flags);
        json_object_set_new(item, "name", json_string(b->name));
        json_object_set_new(item, "granularity", json_integer(INT64_C(1) << b->bits));
        json_array_append_new(list, item);
    }
    return list;
}

bool bitmaps_any(const Qcow2 *q)
{
    return q->bitmaps->count;
}
