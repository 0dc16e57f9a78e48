/*
 * snapshot.c - internal snapshots ("Snapshots"): named copies of the L1 table.
 *
 * Each change writes new tables beside the old ones and switches over by one header update, so a
 * crash leaves the state before or after it, and at worst leaked space.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

/* Counts are final: set the flags and leave everything on disk. */
static int finish(Qcow2 *q)
{
    int ret = commit_settle(q);

    if (ret == 0)
        ret = tree_fix_copied(q);
    return ret == 0 ? commit_settle(q) : ret;
}

/* ---- finding ------------------------------------------------------------------------------- */

static Snapshot *find(Qcow2 *q, const char *id_or_name)
{
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (strcmp(q->snapshots[i].info.id, id_or_name) == 0)
            return &q->snapshots[i];
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        if (strcmp(q->snapshots[i].info.name, id_or_name) == 0)
            return &q->snapshots[i];
    return NULL;
}

static int not_found(const char *name, Error **err)
{
    return error_set(err, -ENOENT, "there is no snapshot '%s'", name);
}

static int explain(int ret, const char *what, Error **err)
{
    if (err && *err)
        return ret;
    if (ret == -ERANGE)
        return error_set(err, ret, "cannot %s: the image's refcounts are too narrow", what);
    return ret < 0 ? error_set(err, ret, "cannot %s: %s", what, strerror(-ret)) : 0;
}

static char *next_id(Qcow2 *q)
{
    unsigned long best = 0;
    char *text;

    for (uint32_t i = 0; i < q->snapshot_count; i++)
        best = MAX(best, strtoul(q->snapshots[i].info.id, NULL, 10));
    return asprintf(&text, "%lu", best + 1) < 0 ? NULL : text;
}

/* ---- operations ---------------------------------------------------------------------------- */

int snapshot_list(Node *node, SnapshotInfo **list, size_t *count, Error **err)
{
    Qcow2 *q = node->state;
    SnapshotInfo *out = calloc(q->snapshot_count ? q->snapshot_count : 1, sizeof(*out));

    if (!out)
        return error_set(err, -ENOMEM, "no memory for the list of snapshots");
    for (uint32_t i = 0; i < q->snapshot_count; i++) {
        out[i] = q->snapshots[i].info;
        out[i].id = strdup(out[i].id);
        out[i].name = strdup(out[i].name);
    }
    *list = out;
    *count = q->snapshot_count;
    return 0;
}

/* The copy is not needed: counts and flags as before. What fails of this leaves leaks. */
static void drop_copy(Qcow2 *q, const Snapshot *s)
{
    if (tree_drop(q, q->l1, q->l1_size) == 0 && s->l1_size &&
        free_later(q, s->l1_offset, 8 * (uint64_t)s->l1_size) == 0)
        finish(q);
}

/* Copy the active L1 table, with one reference more to all that it refers to. */
static int copy_active(Qcow2 *q, Snapshot *s)
{
    AUTO_FREE uint64_t *copy = malloc(8 * (size_t)q->l1_size + 1);
    int ret = copy ? commit_settle(q) : -ENOMEM;

    if (ret == 0)
        ret = l1_alloc(q, q->l1_size, &s->l1_offset);
    if (ret < 0)
        return ret;
    s->l1_size = q->l1_size;
    memcpy(copy, q->l1, 8 * (size_t)q->l1_size);
    ret = l1_write_table(q, copy, q->l1_size, s->l1_offset);
    if (ret == 0)
        ret = tree_hold(q, q->l1, q->l1_size);
    if (ret < 0 && s->l1_size)
        free_later(q, s->l1_offset, 8 * (uint64_t)s->l1_size);
    if (ret < 0)
        return ret;
    ret = tree_clear_copied(q);
    if (ret < 0)
        drop_copy(q, s);
    return ret;
}

int snapshot_create(Node *node, const SnapshotInfo *info, Error **err)
{
    Qcow2 *q = node->state;
    Snapshot s = { .info = *info };

    if (q->external)
        return error_set(err, -ENOTSUP, "an image with a data file has no internal snapshots");
    if (q->snapshot_count >= QCOW2_MAX_SNAPSHOTS)
        return error_set(err, -EFBIG, "there are %d snapshots already", QCOW2_MAX_SNAPSHOTS);
    if (!info->name || strlen(info->name) > UINT16_MAX || (info->id && find(q, info->id)))
        return error_set(err, -EINVAL, "not a usable snapshot name or id");
    Snapshot *more = realloc(q->snapshots, (q->snapshot_count + 1) * sizeof(*more));
    if (!more)
        return error_set(err, -ENOMEM, "no memory for a snapshot");
    q->snapshots = more;
    s.info.id = info->id ? strdup(info->id) : next_id(q);
    s.info.name = strdup(info->name);
    s.info.disk_size = node->size;
    int ret = s.info.id && s.info.name ? copy_active(q, &s) : -ENOMEM;
    if (ret == 0) {
        q->snapshots[q->snapshot_count++] = s;
        ret = snapshots_replace(q);
        if (ret < 0) {
            q->snapshot_count--;
            drop_copy(q, &s);
        }
    }
    if (ret < 0) {
        snapshot_clear(&s);
        return explain(ret, "create the snapshot", err);
    }
    if (info->vm_state_size) { /* it belongs to the snapshot alone now */
        Extent hole = { .kind = EXTENT_HOLE };

        ret = map_publish(node, max_l1_entries(q, node->size) * l2_span(q),
                          align_up(info->vm_state_size, q->cluster), &hole, 0);
    }
    if (ret == 0)
        ret = commit_settle(q);
    return explain(ret, "create the snapshot", err);
}

/* The active table becomes `l1`, written to a place of its own. */
static int switch_active(Qcow2 *q, uint64_t *l1, uint32_t size, uint64_t disk_size)
{
    uint64_t off;
    AUTO_FREE uint64_t *new = l1;
    AUTO_FREE uint64_t *old = malloc(8 * (size_t)q->l1_size + 1);
    uint64_t old_off = q->l1_offset, old_bytes = 8 * (uint64_t)q->l1_size;
    uint32_t old_size = q->l1_size;
    int ret = old ? l1_alloc(q, size, &off) : -ENOMEM;

    if (ret < 0)
        return ret;
    memcpy(old, q->l1, old_bytes);
    for (uint32_t i = 0; i < size; i++)
        new[i] &= ~ENTRY_COPIED;
    ret = l1_write_table(q, new, size, off);
    if (ret == 0)
        ret = tree_hold(q, new, size);
    if (ret == 0) {
        ret = commit_settle(q);
        if (ret == 0)
            ret = l1_adopt(q, take(&new), size, off);
        if (ret < 0 && new)
            tree_drop(q, new, size);
    }
    if (ret < 0) {
        if (size)
            free_later(q, off, 8 * (uint64_t)size);
        return ret;
    }
    q->node->size = disk_size;
    ret = bitmaps_switch(q);
    if (ret == 0)
        ret = tree_drop(q, old, old_size);
    if (ret == 0 && old_bytes)
        ret = free_later(q, old_off, old_bytes);
    return ret == 0 ? finish(q) : ret;
}

int snapshot_apply(Node *node, const char *id_or_name, Error **err)
{
    Qcow2 *q = node->state;
    Snapshot *s = find(q, id_or_name);
    AUTO_FREE uint64_t *l1 = NULL;

    if (!s)
        return not_found(id_or_name, err);
    int ret = commit_settle(q);
    if (ret == 0)
        ret = l1_read(q, s->l1_offset, s->l1_size, &l1);
    uint64_t old_size = node->size;
    if (ret == 0)
        ret = bitmaps_set_all(q); /* marked as in use while the content changes */
    if (ret == 0)
        ret = bitmaps_plan(q, s->info.disk_size, err);
    if (ret == 0) {
        ret = switch_active(q, take(&l1), s->l1_size, s->info.disk_size);
        if (ret < 0 && !q->broken)
            bitmaps_unplan(q);
    }
    if (ret == 0 && node->size < old_size)
        ret = bitmaps_cut(q);
    if (ret == 0)
        ret = bitmaps_set_all(q);
    return explain(ret, "apply the snapshot", err);
}

int snapshot_delete(Node *node, const char *id_or_name, Error **err)
{
    Qcow2 *q = node->state;
    Snapshot *s = find(q, id_or_name), gone;
    AUTO_FREE uint64_t *l1 = NULL;

    if (!s)
        return not_found(id_or_name, err);
    int ret = l1_read(q, s->l1_offset, s->l1_size, &l1);
    if (ret < 0)
        return explain(ret, "read the snapshot's table", err);
    size_t behind = (size_t)(q->snapshots + q->snapshot_count - (s + 1)) * sizeof(*s);
    gone = *s;
    memmove(s, s + 1, behind);
    q->snapshot_count--;
    ret = snapshots_replace(q);
    if (ret < 0) { /* it is still there */
        memmove(s + 1, s, behind);
        *s = gone;
        q->snapshot_count++;
        return explain(ret, "delete the snapshot", err);
    }
    ret = tree_drop(q, l1, gone.l1_size);
    if (ret == 0 && gone.l1_size)
        ret = free_later(q, gone.l1_offset, 8 * (uint64_t)gone.l1_size);
    snapshot_clear(&gone);
    if (ret == 0)
        ret = finish(q);
    return explain(ret, "delete the snapshot", err);
}

int snapshot_load(Node *node, const char *id_or_name, Error **err)
{
    Qcow2 *q = node->state;
    Snapshot *s = find(q, id_or_name);
    uint64_t *l1;

    if (!s)
        return not_found(id_or_name, err);
    int ret = l1_read(q, s->l1_offset, s->l1_size, &l1);
    if (ret < 0)
        return explain(ret, "read the snapshot's table", err);
    node->size = s->info.disk_size;
    return l1_adopt(q, l1, s->l1_size, s->l1_offset);
}
