/*
 * check-fixed.c - the check of what the header and the snapshot table name: L1 tables, the refcount
 * table, the snapshot table itself.
 *
 * What was damaged in the header and could be put right while it was read is reported here. The
 * refcount table can be made anew from nothing, so it loses against everything; a snapshot whose
 * L1 table cannot be right is lost.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/check.h"
#include "formats/qcow2/crypto.h"

/* A table whose place the header or the snapshot table says: nothing else can be there. */
static void count_fixed(Check *c, uint64_t off, uint64_t bytes, const char *what)
{
    if (bytes == 0)
        return;
    if (!check_in_file(c, off, bytes)) {
        check_say(c, "ERROR %s at offset 0x%" PRIx64 " lies beyond the end of the file", what, off);
        c->r->corruptions++;
        return;
    }
    check_refer(c, off, bytes);
    memset(c->kinds + (off >> c->q->cluster_bits), CLUSTER_FIXED,
           div_round_up(bytes, c->q->cluster));
}

static bool overlaps_fixed(const Check *c, uint64_t off, uint64_t bytes)
{
    for (uint64_t i = off >> c->q->cluster_bits;
         bytes && i <= (off + bytes - 1) >> c->q->cluster_bits; i++)
        if (i < c->clusters && c->kinds[i] == CLUSTER_FIXED)
            return true;
    return false;
}

/* ---- the refcount table -------------------------------------------------------------------- */

static const char *reftable_fault(const Check *c)
{
    const Qcow2 *q = c->q;
    uint64_t bytes = (uint64_t)q->reftable_clusters << q->cluster_bits, good = 0, bad = 0;

    if (!check_in_file(c, q->reftable_offset, bytes))
        return "lies beyond the end of the file";
    if (overlaps_fixed(c, q->reftable_offset, bytes))
        return "overlaps with other tables";
    for (uint32_t i = 0; i < q->l1_size; i++) {
        uint64_t off = q->l1[i] & L1_OFFSET;

        if (off && off >= q->reftable_offset && off - q->reftable_offset < bytes)
            return "overlaps with an L2 table";
    }
    for (uint32_t i = 0; i < q->reftable_size; i++) {
        uint64_t entry = q->reftable[i];

        if (entry)
            *((entry & REFTABLE_OFFSET) == entry && is_metadata_aligned(q, entry) &&
                      check_in_file(c, entry, q->cluster)
                  ? &good
                  : &bad) += 1;
    }
    return good == 0 && bad == 0 ? "is empty" : bad > good ? "holds no refcount table" : NULL;
}

/* All counts are made anew then, in a new table. */
static void check_reftable(Check *c)
{
    Qcow2 *q = c->q;
    const char *fault = q->reftable_clusters ? reftable_fault(c) : NULL;

    if (!fault) {
        count_fixed(c, q->reftable_offset, (uint64_t)q->reftable_clusters << q->cluster_bits,
                    "refcount table");
        return;
    }
    bool fix =
        check_found(c, "the refcount table at offset 0x%" PRIx64 " %s", q->reftable_offset, fault);
    if (!fix) {
        memset(c->bad_blocks, 1, c->block_count);
        return;
    }
    if (q->version >= 3) /* the header names the new table before all is counted */
        q->incompatible |= INCOMPAT_CORRUPT;
    memset(q->reftable, 0, 8 * (size_t)q->reftable_size);
    q->reftable_size = 0;
    q->reftable_offset = 0;
    q->reftable_clusters = 0;
    q->reftable_dirty = false;
    cache_drop(&q->ref_cache);
}

/* ---- snapshots ----------------------------------------------------------------------------- */

/* A damaged snapshot table points to something else: the disk itself must not suffer for that. */
static const char *l1_fault(const Check *c, const Snapshot *s)
{
    Qcow2 *q = c->q;
    uint64_t bytes = 8 * (uint64_t)s->l1_size, good = 0, bad = 0;
    AUTO_FREE uint64_t *l1 = NULL;

    if (bytes == 0)
        return NULL;
    if (overlaps_fixed(c, s->l1_offset, bytes))
        return "overlaps with other tables";
    for (uint32_t i = 0; i < q->l1_size; i++)
        if (q->l1[i] & L1_OFFSET && (q->l1[i] & L1_OFFSET) >= s->l1_offset &&
            (q->l1[i] & L1_OFFSET) - s->l1_offset < bytes)
            return "overlaps with an L2 table";
    if (l1_read(q, s->l1_offset, s->l1_size, &l1) < 0)
        return NULL; /* found again, and told, when its tree is walked */
    for (uint32_t i = 0; i < s->l1_size; i++)
        if (l1[i])
            *(l1[i] & L1_RESERVED || !is_metadata_aligned(q, l1[i] & L1_OFFSET) ||
                      !check_in_file(c, l1[i] & L1_OFFSET, q->cluster)
                  ? &bad
                  : &good) += 1;
    return bad > good ? "holds no L1 table" : NULL;
}

static void check_snapshots(Check *c)
{
    Qcow2 *q = c->q;

    for (uint32_t i = 0; i < q->snapshots_lost; i++)
        if (check_found(c, "an entry of the snapshot table cannot be right: the snapshot is lost"))
            c->snapshots_changed = true;
    if (q->snapshots_bytes && overlaps_fixed(c, q->snapshots_offset, q->snapshots_bytes) &&
        check_found(c, "the snapshot table overlaps with other tables: all snapshots are lost")) {
        while (q->snapshot_count)
            snapshots_forget(q, 0);
        q->snapshots_bytes = 0;
        c->snapshots_changed = true;
    }
    count_fixed(c, q->snapshots_offset, q->snapshots_bytes, "snapshot table");
    for (uint32_t i = 0; i < q->snapshot_count;) {
        const Snapshot *s = &q->snapshots[i];
        uint64_t bytes = 8 * (uint64_t)s->l1_size;
        const char *fault = l1_fault(c, s);

        if (fault &&
            check_found(c, "the L1 table of snapshot '%s' %s: it is lost", s->info.name, fault)) {
            snapshots_forget(q, i);
            c->snapshots_changed = true;
            continue;
        }
        count_fixed(c, s->l1_offset, bytes, "snapshot's L1 table");
        i++;
    }
}

/* ---- the active L1 table -------------------------------------------------------------------- */

static bool meets(const Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t l1_bytes = align_up(8 * (uint64_t)q->l1_size, q->cluster);

    return bytes && off < q->l1_offset + l1_bytes && q->l1_offset < off + bytes;
}

/* A refcount block that counts itself once; a damaged entry that names the L1 table is none. */
static bool is_refblock(Qcow2 *q, uint64_t index, uint64_t off)
{
    uint64_t cluster = off >> q->cluster_bits, count;

    return cluster / refblock_entries(q) == index && refcount_get(q, cluster, &count) == 0 &&
           count == 1;
}

bool check_l1_doubtful(const Check *c)
{
    Qcow2 *q = c->q;
    bool met = meets(q, q->reftable_offset, (uint64_t)q->reftable_clusters << q->cluster_bits) ||
               meets(q, q->snapshots_offset, q->snapshots_bytes);

    for (uint32_t i = 0; i < q->reftable_size && !met; i++)
        if (q->reftable[i] && is_metadata_aligned(q, q->reftable[i]) &&
            check_in_file(c, q->reftable[i], q->cluster))
            met = meets(q, q->reftable[i], q->cluster) && is_refblock(q, i, q->reftable[i]);
    return met;
}

/* ---- the header ---------------------------------------------------------------------------- */

void check_fixed_tables(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t crypto, crypto_len;

    for (unsigned i = 0; i < q->mended_count; i++)
        if (check_found(c, "%s", q->mended[i]))
            c->header_changed = true;
    crypto_header(q, &crypto, &crypto_len);
    count_fixed(c, crypto, crypto_len, "encryption header");
    count_fixed(c, 0, q->cluster, "header");
    count_fixed(c, q->l1_offset, 8 * (uint64_t)q->l1_size, "L1 table");
    check_snapshots(c);
    check_reftable(c);
}
