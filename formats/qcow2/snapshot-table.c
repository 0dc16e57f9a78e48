/*
 * snapshot-table.c - the table of internal snapshots ("Snapshots"): read with all caps, written to
 * new space as a whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

enum { ENTRY_FIXED = 40, EXTRA_KNOWN = 24 };

static int bad(Error **err, uint32_t i, const char *field, uint64_t value)
{
    return error_set(err, -EINVAL, "qcow2 snapshot table: entry %" PRIu32 " has %s %" PRIu64, i,
                     field, value);
}

static void parse_extra(Qcow2 *q, Snapshot *s, const uint8_t *extra, uint32_t len)
{
    s->info.disk_size = q->node->size;
    s->info.icount = UINT64_MAX;
    if (len >= 8 && get_be64(extra))
        s->info.vm_state_size = get_be64(extra);
    if (len >= 16)
        s->info.disk_size = get_be64(extra + 8);
    if (len >= 24)
        s->info.icount = get_be64(extra + 16);
    if (len > EXTRA_KNOWN) {
        s->extra_len = len - EXTRA_KNOWN;
        s->extra = malloc(s->extra_len);
        if (s->extra)
            memcpy(s->extra, extra + EXTRA_KNOWN, s->extra_len);
        else
            s->extra_len = 0;
    }
}

/* The tables of different snapshots are different, so together they are not longer than the file.
 */
static int check_entry(Qcow2 *q, uint32_t i, const Snapshot *s, uint64_t *l1_bytes, Error **err)
{
    uint64_t file = align_up(node_size(q->node->file), q->cluster),
             bytes = 8 * (uint64_t)s->l1_size;

    if (s->l1_size > QCOW2_MAX_L1_BYTES / 8)
        return bad(err, i, "l1_size", s->l1_size);
    if (!is_metadata_aligned(q, s->l1_offset) || s->l1_offset > NODE_MAX_SIZE / 2)
        return bad(err, i, "l1_table_offset", s->l1_offset);
    *l1_bytes += bytes;
    if (s->l1_offset + bytes > file || *l1_bytes > file)
        return bad(err, i, "an L1 table beyond the end of the file, at", s->l1_offset);
    if (s->info.disk_size > NODE_MAX_SIZE || max_l1_entries(q, s->info.disk_size) > s->l1_size)
        return bad(err, i, "disk size", s->info.disk_size);
    return 0;
}

/* One entry at `at` of the table; *at moves to the next. */
static int read_entry(Qcow2 *q, uint32_t i, uint64_t *at, uint64_t *l1_bytes, Error **err)
{
    Snapshot *s = &q->snapshots[i];
    uint8_t h[ENTRY_FIXED];
    int ret = node_pread(q->node->file, h, sizeof(h), q->snapshots_offset + *at);

    if (ret < 0)
        return error_set(err, ret, "cannot read the snapshot table: %s", strerror(-ret));
    uint32_t id_len = get_be16(h + 12), name_len = get_be16(h + 14), extra = get_be32(h + 36);
    if (extra > QCOW2_MAX_SNAPSHOT_EXTRA)
        return bad(err, i, "extra_data_size", extra);
    uint32_t len = extra + id_len + name_len;
    if (*at + ENTRY_FIXED + len > QCOW2_MAX_SNAPSHOT_TABLE)
        return bad(err, i, "an end beyond the largest table; names of", id_len + name_len);
    AUTO_FREE uint8_t *rest = malloc(len + 1);
    if (!rest)
        return error_set(err, -ENOMEM, "no memory for the snapshot table");
    ret = node_pread(q->node->file, rest, len, q->snapshots_offset + *at + ENTRY_FIXED);
    if (ret < 0)
        return error_set(err, ret, "cannot read the snapshot table: %s", strerror(-ret));
    s->l1_offset = get_be64(h);
    s->l1_size = get_be32(h + 8);
    s->info.date_sec = get_be32(h + 16);
    s->info.date_nsec = get_be32(h + 20);
    s->info.vm_clock_ns = get_be64(h + 24);
    s->info.vm_state_size = get_be32(h + 32);
    parse_extra(q, s, rest, extra);
    s->info.id = strndup((char *)rest + extra, id_len);
    s->info.name = strndup((char *)rest + extra + id_len, name_len);
    *at = align_up(*at + ENTRY_FIXED + len, 8);
    return check_entry(q, i, s, l1_bytes, err);
}

void snapshot_clear(Snapshot *s)
{
    free(s->info.id);
    free(s->info.name);
    free(s->extra);
}

void snapshots_forget(Qcow2 *q, uint32_t i)
{
    Snapshot *s = &q->snapshots[i];

    snapshot_clear(s);
    q->snapshot_count--;
    memmove(s, s + 1, (q->snapshot_count - i) * sizeof(*s));
    memset(&q->snapshots[q->snapshot_count], 0, sizeof(*s));
}

/* For the check: entries that are not right are left out; where one has no end, so are all behind.
 */
static int read_what_is_good(Qcow2 *q, uint64_t *at)
{
    uint64_t l1_bytes = 0;

    for (uint32_t i = 0; i < q->snapshot_count;) {
        uint64_t before = *at, bytes = l1_bytes;
        int ret = read_entry(q, i, at, &l1_bytes, NULL);

        if (ret == 0) {
            i++;
            continue;
        }
        if (ret != -EINVAL)
            return ret;
        bool endless = *at == before;
        q->snapshots_lost += endless ? q->snapshot_count - i : 1;
        l1_bytes = bytes;
        while (endless && q->snapshot_count > i + 1)
            snapshots_forget(q, q->snapshot_count - 1);
        snapshots_forget(q, i);
    }
    return 0;
}

int snapshots_open(Qcow2 *q, Error **err)
{
    uint64_t at = 0, l1_bytes = 0;
    int ret = 0;

    if (q->snapshot_count == 0)
        return 0;
    q->snapshots = calloc(q->snapshot_count, sizeof(*q->snapshots));
    if (!q->snapshots)
        return error_set(err, -ENOMEM, "no memory for the snapshot table");
    if (q->node->flags & OPEN_CHECK) {
        ret = read_what_is_good(q, &at);
        if (ret < 0)
            error_set(err, ret, "cannot read the snapshot table: %s", strerror(-ret));
    }
    for (uint32_t i = 0; i < q->snapshot_count && ret == 0 && !(q->node->flags & OPEN_CHECK); i++)
        ret = read_entry(q, i, &at, &l1_bytes, err);
    q->snapshots_bytes = at;
    return ret;
}

void snapshots_free(Qcow2 *q)
{
    for (uint32_t i = 0; q->snapshots && i < q->snapshot_count; i++)
        snapshot_clear(&q->snapshots[i]);
    free(q->snapshots);
}

static size_t put_entry(uint8_t *at, const Snapshot *s)
{
    size_t id = strlen(s->info.id), name = strlen(s->info.name), extra = EXTRA_KNOWN + s->extra_len;
    uint8_t *p = at + ENTRY_FIXED;

    put_be64(at, s->l1_offset);
    put_be32(at + 8, s->l1_size);
    put_be16(at + 12, (uint16_t)id);
    put_be16(at + 14, (uint16_t)name);
    put_be32(at + 16, s->info.date_sec);
    put_be32(at + 20, s->info.date_nsec);
    put_be64(at + 24, s->info.vm_clock_ns);
    put_be32(at + 32, (uint32_t)MIN(s->info.vm_state_size, (uint64_t)UINT32_MAX));
    put_be32(at + 36, (uint32_t)extra);
    put_be64(p, s->info.vm_state_size);
    put_be64(p + 8, s->info.disk_size);
    put_be64(p + 16, s->info.icount);
    if (s->extra_len)
        memcpy(p + EXTRA_KNOWN, s->extra, s->extra_len);
    memcpy(p + extra, s->info.id, id);
    memcpy(p + extra + id, s->info.name, name);
    return align_up(ENTRY_FIXED + extra + id + name, 8);
}

static size_t entry_size(const Snapshot *s)
{
    return align_up(
        ENTRY_FIXED + EXTRA_KNOWN + s->extra_len + strlen(s->info.id) + strlen(s->info.name), 8);
}

/* Write all of q->snapshots to new space; the header still has the old table. */
static int table_write(Qcow2 *q, uint64_t *off, uint64_t *bytes)
{
    uint8_t *at;
    int ret;

    *off = *bytes = 0;
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        *bytes += entry_size(&q->snapshots[i]);
    if (*bytes > QCOW2_MAX_SNAPSHOT_TABLE)
        return -EFBIG;
    if (*bytes == 0)
        return 0;
    AUTO_FREE uint8_t *buf = calloc(1, *bytes);
    if (!buf)
        return -ENOMEM;
    at = buf;
    for (uint32_t i = 0; i < q->snapshot_count; i++)
        at += put_entry(at, &q->snapshots[i]);
    ret = alloc_metadata(q, div_round_up(*bytes, q->cluster), off);
    return ret < 0 ? ret : node_pwrite(q->node->file, buf, *bytes, *off);
}

int snapshots_replace(Qcow2 *q)
{
    uint64_t old = q->snapshots_offset, old_bytes = q->snapshots_bytes, off, bytes;
    int ret = table_write(q, &off, &bytes);

    if (ret == 0)
        ret = commit_settle(q);
    if (ret < 0) {
        if (off)
            free_later(q, off, bytes);
        return ret;
    }
    q->snapshots_offset = off;
    q->snapshots_bytes = bytes;
    q->snapshots_stored = q->snapshot_count;
    ret = header_switch(q);
    if (ret == 0 && old_bytes)
        ret = free_later(q, old, old_bytes);
    return ret;
}

int snapshots_rewrite(Qcow2 *q)
{
    int ret = snapshots_replace(q);

    if (ret == 0)
        q->snapshots_lost = 0;
    return ret == 0 ? commit_settle(q) : ret;
}
