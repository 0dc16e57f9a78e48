/*
 * copy-cursor.c - see copy-engine.h: walks the source's extents and hands out pieces.
 *
 * If the target's clusters are treated one by one (compression, differences), every piece but the
 * last is whole clusters, although extents may end anywhere: a cluster of which nothing can be said
 * as a whole is read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/math.h"
#include "block/copy-engine.h"
#include "block/driver.h"

/* What the kernel copies needs no buffer of ours, but an end that somebody can wait for. */
enum { SHARE_ALIGN = 4096, SHARE_MAX = 64 << 20 };

static bool reads_zero(const Extent *ext)
{
    return ext->zero || ext->kind == EXTENT_HOLE || ext->kind == EXTENT_ZERO;
}

/* ---- what the source has ---- */

static bool is_skipped(const CopyJob *job, const Extent *ext)
{
    if (job->full)
        return false;
    if (ext->kind == EXTENT_HOLE && (job->base || job->only_above))
        return true;
    return reads_zero(ext) && job->target_is_zero;
}

static int look_at_source(const Copy *c, uint64_t left, View *v)
{
    const CopyJob *job = c->job;
    Extent ext;
    int ret = node_extent_above(job->src, job->base, v->off, left, &ext);

    if (ret < 0)
        return ret;
    v->len = ext.len;
    v->skip = is_skipped(job, &ext);
    v->zero = reads_zero(&ext) && !job->full;
    v->file = !v->zero && ext.kind == EXTENT_DATA && ext.has_pos ? ext.file : NULL;
    v->pos = ext.pos;
    return 0;
}

/* What a chain shows, zeros beyond its end; *len becomes how far that answer holds. */
static int look_at_chain(Node *node, uint64_t off, uint64_t *len, Extent *ext, bool *zero)
{
    uint64_t size = node ? node_size(node) : 0;

    *zero = true;
    ext->has_pos = false;
    if (off >= size)
        return 0;
    int ret = node_extent_above(node, NULL, off, MIN(*len, size - off), ext);
    if (ret < 0)
        return ret;
    *zero = reads_zero(ext);
    *len = ext->len;
    return 0;
}

/* Is it the same place of the same file, read by the same kind of driver? */
static bool same_place(const Extent *a, const Extent *b)
{
    return a->has_pos && b->has_pos && a->kind == b->kind && a->pos == b->pos &&
           a->node->driver == b->node->driver && a->packed_len == b->packed_len &&
           node_same_file(a->file, b->file);
}

static int look_for_differences(const Copy *c, uint64_t left, View *v)
{
    const CopyJob *job = c->job;
    Extent own, a = { 0 }, b = { 0 };
    int ret = node_extent(job->dst, job->dst_off + v->off, left, &own);

    v->file = NULL;
    v->len = own.len;
    v->skip = own.kind != EXTENT_HOLE;
    if (ret < 0 || v->skip)
        return ret;
    ret = look_at_chain(job->src, v->off, &v->len, &a, &v->zero);
    if (ret == 0)
        ret = look_at_chain(job->other, v->off, &v->len, &b, &v->other_zero);
    v->skip = (v->zero && v->other_zero) || (ret == 0 && same_place(&a, &b));
    return ret;
}

/* What is at the cursor; the last answer is used up first. */
static int look(Copy *c)
{
    const CopyJob *job = c->job;
    View *v = &c->view;
    uint64_t left = job->len - c->cursor;

    if (v->len && c->cursor < v->off + v->len) {
        v->len -= c->cursor - v->off;
        v->pos += c->cursor - v->off;
        v->off = c->cursor;
        return 0;
    }
    *v = (View) { .off = c->cursor };
    int ret = job->differences ? look_for_differences(c, left, v) : look_at_source(c, left, v);
    if (ret < 0) {
        Error *err = NULL;

        v->len = 0;
        error_set(&err, ret, "%s: cannot tell what is at offset %" PRIu64 ": %s",
                  node_filename(job->src ? job->src : job->dst), c->cursor, strerror(-ret));
        copy_fail(c, ret, err);
    }
    return ret;
}

/* ---- pieces ---- */

static void hand_out(Copy *c, Piece *piece, uint64_t len, bool zero, bool other_zero)
{
    piece->off = c->cursor;
    piece->len = len;
    piece->ticket = c->issued++;
    piece->zero = zero;
    piece->other_zero = other_zero;
    piece->file = NULL;
    c->cursor += len;
}

static void skip(Copy *c, uint64_t len)
{
    c->cursor += len;
    progress_step(c->job->progress, len);
}

/* May the kernel copy from the view's file, and how much at once? */
static uint64_t sharable(const Copy *c)
{
    const View *v = &c->view;

    if (!v->file || !(c->job->share || c->job->offload) || atomic_load(&c->no_sharing) ||
        (v->pos | (c->job->dst_off + v->off)) % SHARE_ALIGN)
        return 0;
    uint64_t most = atomic_load(&c->sharing_works) ? SHARE_MAX : c->chunk;
    return align_down(MIN(v->len, most), (uint64_t)SHARE_ALIGN);
}

static void next_extent(Copy *c, Piece *piece)
{
    const View *v = &c->view;
    uint64_t shared = sharable(c), n = MIN(v->len, c->chunk);

    if (shared)
        n = shared;
    else if (v->zero)
        n = v->len;
    Node *file = shared ? v->file : NULL;
    uint64_t pos = v->pos;

    hand_out(c, piece, n, v->zero, false);
    piece->file = file;
    piece->pos = pos;
}

/* False: nothing to be done here, the cursor has moved on. */
static bool next_clusters(Copy *c, Piece *piece)
{
    const View *v = &c->view;
    bool last = v->off + v->len == c->job->len;
    uint64_t whole = last ? v->len : align_down(v->len, (uint64_t)c->cluster);

    if (v->skip && whole) {
        skip(c, whole);
        return false;
    }
    if (!whole)
        hand_out(c, piece, MIN((uint64_t)c->cluster, c->job->len - c->cursor), false, false);
    else if (v->zero && !c->job->differences)
        hand_out(c, piece, whole, true, false);
    else
        hand_out(c, piece, MIN(whole, c->chunk), v->zero, v->other_zero);
    return true;
}

bool copy_next_piece(Copy *c, Piece *piece)
{
    const CopyJob *job = c->job;

    while (c->ret == 0 && c->cursor < job->len) {
        if (progress_cancelled(job->progress)) {
            copy_fail(c, -ECANCELED, NULL);
            return false;
        }
        if (look(c) < 0)
            return false;
        if (c->cluster) {
            if (next_clusters(c, piece))
                return true;
        } else if (c->view.skip) {
            skip(c, c->view.len);
        } else {
            next_extent(c, piece);
            return true;
        }
    }
    return false;
}
