/*
 * tree-count.c - one reference more or less to everything below an L1 table, and the "copied" flags
 * that follow from the counts.
 *
 * References come as runs of clusters. Where all counts do not fit into the cache, many runs are
 * sorted before they are counted, so that each block of counts is read once for them.
 */
#include <errno.h>
#include <stdlib.h>

#include "formats/qcow2/sweep.h"

enum { MAX_RUNS = 1 << 19 };

typedef struct Run {
    uint64_t first, count; /* count 0: one cluster, an L2 table */
} Run;

typedef struct Walk Walk;
struct Walk {
    Qcow2 *q;
    CountWindow window;
    int (*apply)(Walk *w, const Run *r);
    int delta;
    uint64_t left; /* hold: clusters that may still be counted */
    Run *runs;
    uint32_t count;
    bool sorted;
    uint64_t *meta; /* drop: clusters of metadata, which no entry can own; sorted */
    size_t meta_count;
};

/* ---- runs ---------------------------------------------------------------------------------- */

static int by_first(const void *a, const void *b)
{
    const Run *x = a, *y = b;

    return x->first != y->first ? (x->first < y->first ? -1 : 1)
                                : (x->count < y->count ? -1 : x->count > y->count);
}

static bool counts_fit(const Qcow2 *q)
{
    uint64_t clusters = div_round_up(node_size(q->node->file), q->cluster);

    return div_round_up(clusters, refblock_entries(q)) <= q->ref_cache.max / 2;
}

static int apply_runs(Walk *w)
{
    int ret = 0;

    if (!w->sorted && !counts_fit(w->q))
        qsort(w->runs, w->count, sizeof(*w->runs), by_first);
    for (uint32_t i = 0; i < w->count && ret == 0; i++)
        ret = w->apply(w, &w->runs[i]);
    w->count = 0;
    w->sorted = true;
    return ret;
}

static int add_run(Walk *w, uint64_t first, uint64_t count)
{
    int ret = w->count == MAX_RUNS ? apply_runs(w) : 0;

    w->sorted &= w->count == 0 || w->runs[w->count - 1].first <= first;
    w->runs[w->count++] = (Run) { first, count };
    return ret;
}

static int add_packed(Walk *w, uint64_t word)
{
    uint64_t pos, first;
    uint32_t len;

    packed_place(w->q, word, &pos, &len);
    first = pos >> w->q->cluster_bits;
    return pos ? add_run(w, first, ((pos + len - 1) >> w->q->cluster_bits) - first + 1) : 0;
}

/* Whatever one table refers to, and the table itself. */
static int table_runs(void *opaque, uint64_t off, uint8_t *table)
{
    Walk *w = opaque;
    const Qcow2 *q = w->q;
    uint64_t first = 0, next = 0, n = q->external ? 0 : l2_entries(q);
    int ret = 0;

    for (uint64_t i = 0; i < n && ret == 0; i++) {
        uint64_t word = get_be64(table + (i << q->entry_log2)), pos = word & L2_OFFSET;

        if (word & L2_COMPRESSED) {
            ret = add_packed(w, word);
        } else if (pos == next && pos) {
            next += q->cluster;
        } else if (pos) {
            if (next)
                ret = add_run(w, first >> q->cluster_bits, (next - first) >> q->cluster_bits);
            first = pos;
            next = pos + q->cluster;
        }
    }
    if (ret == 0 && next)
        ret = add_run(w, first >> q->cluster_bits, (next - first) >> q->cluster_bits);
    return ret == 0 ? add_run(w, off >> q->cluster_bits, 0) : ret;
}

static int walk(Walk *w, const uint64_t *l1, uint32_t size)
{
    w->runs = malloc(MAX_RUNS * sizeof(*w->runs));
    w->count = 0;
    w->sorted = true;
    counts_begin(&w->window, w->q);
    int ret = w->runs ? sweep_tables(w->q, l1, size, table_runs, w) : -ENOMEM;
    if (ret == 0)
        ret = apply_runs(w);
    counts_end(&w->window);
    free(w->runs);
    return ret;
}

/* ---- one more ------------------------------------------------------------------------------ */

static int hold_run(Walk *w, const Run *r)
{
    return counts_add(&w->window, r->first, MAX(r->count, UINT64_C(1)), w->delta, &w->left);
}

/* What failed is taken back in the same order, up to where it failed. */
int tree_hold(Qcow2 *q, const uint64_t *l1, uint32_t size)
{
    Walk w = { .q = q, .apply = hold_run, .delta = 1, .left = UINT64_MAX };
    int ret = walk(&w, l1, size);

    if (ret < 0 && w.left != UINT64_MAX) {
        Walk undo = { .q = q, .apply = hold_run, .delta = -1, .left = UINT64_MAX - w.left };

        walk(&undo, l1, size);
    }
    return ret;
}

/* ---- one less ------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The first metadata cluster from `first` on, or UINT64_MAX. */
static uint64_t next_meta(const Walk *w, uint64_t first)
{
    size_t low = 0, high = w->meta_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (w->meta[mid] < first)
            low = mid + 1;
        else
            high = mid;
    }
    return low < w->meta_count ? w->meta[low] : UINT64_MAX;
}

/* A damaged entry that points to metadata frees nothing. */
static int drop_run(Walk *w, const Run *r)
{
    uint64_t at = r->first, end = r->first + r->count;
    int ret = 0;

    if (r->count == 0)
        return counts_drop(&w->window, r->first, 1, FREE_SNAPSHOT);

    while (at < end && ret == 0) {
        uint64_t stop = MIN(next_meta(w, at), end);

        if (stop > at)
            ret = counts_drop(&w->window, at, stop - at, FREE_SNAPSHOT);
        at = stop + 1;
    }
    return ret;
}

static int collect_meta(Walk *w)
{
    const MetaSet *m = &w->q->meta;

    w->meta = malloc(8 * m->count + 8);
    if (!w->meta)
        return -ENOMEM;
    for (size_t i = 0; i < m->room; i++)
        if (m->keys[i])
            w->meta[w->meta_count++] = m->keys[i] - 1;
    qsort(w->meta, w->meta_count, 8, by_number);
    return 0;
}

int tree_drop(Qcow2 *q, const uint64_t *l1, uint32_t size)
{
    Walk w = { .q = q, .apply = drop_run };
    int ret = collect_meta(&w);

    if (ret == 0)
        ret = walk(&w, l1, size);
    free(w.meta);
    return ret;
}

/* ---- the "copied" flags -------------------------------------------------------------------- */

typedef struct Flags {
    Qcow2 *q;
    CountWindow window;
    bool shared; /* everything has several owners: the counts need not be asked */
} Flags;

/* How many entries from `i` on have consecutive places; 0 if this one has no flag. */
static uint64_t entries_in_run(const Qcow2 *q, const uint8_t *table, uint64_t i, uint64_t *pos)
{
    uint64_t word = get_be64(table + (i << q->entry_log2)), n = 1;

    *pos = word & L2_OFFSET;
    if (word & L2_COMPRESSED || *pos == 0)
        return 0;
    for (; i + n < l2_entries(q); n++) {
        word = get_be64(table + ((i + n) << q->entry_log2));
        if (word & L2_COMPRESSED || (word & L2_OFFSET) != *pos + n * q->cluster)
            break;
    }
    return n;
}

static bool set_flags(const Qcow2 *q, uint8_t *table, uint64_t i, uint64_t n, bool one)
{
    uint64_t changed = 0;

    for (uint64_t end = i + n; i < end; i++) {
        uint8_t *at = table + (i << q->entry_log2);
        uint64_t old = get_be64(at), new = one ? old | ENTRY_COPIED : old & ~ENTRY_COPIED;

        changed |= old ^ new;
        put_be64(at, new);
    }
    return changed;
}

static int fix_table(void *opaque, uint64_t off, uint8_t *table)
{
    Flags *f = opaque;
    const Qcow2 *q = f->q;
    bool changed = false, one = false;
    uint64_t pos, run;

    (void)off;
    for (uint64_t i = 0, n; i < l2_entries(q); i += n ? n : 1) {
        n = entries_in_run(q, table, i, &pos);
        for (uint64_t k = 0; k < n; k += run) {
            int ret = 0;

            run = n;
            if (!f->shared)
                ret = counts_one(&f->window, (pos >> q->cluster_bits) + k, n - k, &one, &run);
            if (ret < 0)
                return ret;
            changed |= set_flags(q, table, i + k, run, one);
        }
    }
    return changed;
}

static int fix_l1(Flags *f)
{
    Qcow2 *q = f->q;
    bool one = false;
    uint64_t run;
    int ret = 0;

    for (uint32_t i = 0; i < q->l1_size && ret == 0; i++) {
        uint64_t off = q->l1[i] & L1_OFFSET;

        if (off == 0 || !is_metadata_aligned(q, off))
            continue;
        if (!f->shared)
            ret = counts_one(&f->window, off >> q->cluster_bits, 1, &one, &run);
        uint64_t entry = one ? q->l1[i] | ENTRY_COPIED : q->l1[i] & ~ENTRY_COPIED;
        if (ret == 0 && entry != q->l1[i])
            l1_set(q, i, entry);
    }
    return ret;
}

static int fix(Qcow2 *q, bool shared)
{
    Flags f = { .q = q, .shared = shared };
    int ret = commit_settle(q); /* the counts that the flags are to say are stable */

    counts_begin(&f.window, q);
    if (ret == 0)
        ret = fix_l1(&f);
    if (ret == 0 && !q->external)
        ret = sweep_tables(q, q->l1, q->l1_size, fix_table, &f);
    counts_end(&f.window);
    return ret;
}

int tree_fix_copied(Qcow2 *q)
{
    return fix(q, false);
}

int tree_clear_copied(Qcow2 *q)
{
    return fix(q, true);
}
