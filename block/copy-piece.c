/*
 * copy-piece.c - see copy-engine.h: reading, comparing, compressing and writing one piece.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/math.h"
#include "base/zero.h"
#include "block/copy-engine.h"

enum { SALVAGE_STEP = 512 };

/* ---- reading ---- */

/* Sector by sector; what cannot be read becomes zeros. */
static void read_salvage(Copy *c, uint8_t *buf, uint64_t off, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += SALVAGE_STEP) {
        uint64_t n = MIN(len - at, (uint64_t)SALVAGE_STEP);
        char line[160];

        if (node_pread(c->job->src, buf + at, n, off + at) == 0)
            continue;
        memset(buf + at, 0, n);
        snprintf(line, sizeof(line),
                 "cannot read %" PRIu64 " bytes at offset %" PRIu64 ": zeros instead", n, off + at);
        if (c->job->report)
            c->job->report(c->job->opaque, line);
    }
}

/* What the node shows at `off`; zeros beyond its end. */
static int read_node(Copy *c, Node *node, uint8_t *buf, uint64_t off, uint64_t len)
{
    uint64_t size = node ? node_size(node) : 0;
    uint64_t inside = off < size ? MIN(len, size - off) : 0;
    int ret = inside ? node_pread(node, buf, inside, off) : 0;

    memset(buf + inside, 0, len - inside);
    if (ret < 0 && c->job->salvage && node == c->job->src) {
        read_salvage(c, buf, off, inside);
        return 0;
    }
    if (ret < 0)
        copy_fail_at(c, ret, "read", node, off);
    return ret;
}

/* ---- cluster by cluster ---- */

/* Leave alone the clusters that are the same in `other`. */
static void keep_what_is_same(const Copy *c, Piece *p)
{
    for (uint64_t at = 0, i = 0; at < p->len; at += c->cluster, i++) {
        uint64_t n = MIN(p->len - at, (uint64_t)c->cluster);
        bool same = p->zero         ? mem_is_zero(p->second + at, n)
                    : p->other_zero ? mem_is_zero(p->data + at, n)
                                    : memcmp(p->data + at, p->second + at, n) == 0;

        p->cluster[i] = same ? CLUSTER_KEPT : p->zero ? CLUSTER_ZERO : CLUSTER_PLAIN;
    }
}

static int pack_clusters(Copy *c, Piece *p)
{
    for (uint64_t at = 0, i = 0; at < p->len; at += c->cluster, i++) {
        uint64_t n = MIN(p->len - at, (uint64_t)c->cluster);
        size_t packed_len;

        if (p->cluster[i] != CLUSTER_PLAIN)
            continue;
        if (mem_is_zero(p->data + at, n)) {
            p->cluster[i] = CLUSTER_ZERO;
            continue;
        }
        int ret = node_pack(c->job->dst, p->data + at, n, p->second + at, &packed_len);
        if (ret < 0) {
            copy_fail_at(c, ret, "compress", c->job->dst, c->job->dst_off + p->off + at);
            return ret;
        }
        p->cluster[i] = packed_len ? (uint32_t)packed_len : CLUSTER_PLAIN;
    }
    return 0;
}

static int prepare_clusters(Copy *c, Piece *p)
{
    const CopyJob *job = c->job;

    if (job->differences) {
        int ret = p->other_zero ? 0 : read_node(c, job->other, p->second, p->off, p->len);

        if (ret < 0)
            return ret;
        keep_what_is_same(c, p);
    } else {
        memset(p->cluster, 0, div_round_up(p->len, c->cluster) * sizeof(*p->cluster));
    }
    return job->compressed ? pack_clusters(c, p) : 0;
}

int copy_prepare_piece(Copy *c, Piece *p)
{
    if (p->file || (p->zero && !c->job->differences))
        return 0;
    int ret = p->zero ? 0 : read_node(c, c->job->src, p->data, p->off, p->len);
    return ret == 0 && c->cluster ? prepare_clusters(c, p) : ret;
}

/* ---- writing ---- */

static int write_data(Copy *c, const uint8_t *buf, uint64_t off, uint64_t len)
{
    return node_pwrite(c->job->dst, buf, len, c->job->dst_off + off);
}

static int write_zeros(Copy *c, uint64_t off, uint64_t len)
{
    const CopyJob *job = c->job;

    if (job->target_is_zero)
        return 0;
    return node_pwrite_zeroes(job->dst, job->dst_off + off, len, REQ_MAY_UNMAP);
}

/* How many bytes from `at` on are alike: all zero runs (of `sparse` each), or all data. */
static uint64_t run_length(const uint8_t *buf, uint64_t at, uint64_t len, uint64_t sparse,
                           bool *zero)
{
    uint64_t end = at;

    *zero = mem_is_zero(buf + at, MIN(sparse - at % sparse, len - at));
    do {
        end += MIN(sparse - end % sparse, len - end);
    } while (end < len && mem_is_zero(buf + end, MIN(sparse, len - end)) == *zero);
    return end - at;
}

/* Data with the zeros in it left out. */
static int write_sparse(Copy *c, const uint8_t *buf, uint64_t off, uint64_t len)
{
    if (c->sparse == 0)
        return write_data(c, buf, off, len);
    for (uint64_t at = 0; at < len;) {
        bool zero;
        uint64_t n = run_length(buf, at, len, c->sparse, &zero);
        int ret = zero ? write_zeros(c, off + at, n) : write_data(c, buf + at, off + at, n);

        if (ret < 0)
            return ret;
        at += n;
    }
    return 0;
}

/* The cluster after those from `i` on that can be written with one request. */
static uint64_t run_end(const Piece *p, uint64_t i, uint64_t n)
{
    uint32_t kind = p->cluster[i++];

    if (kind == CLUSTER_PLAIN || kind == CLUSTER_ZERO || kind == CLUSTER_KEPT)
        while (i < n && p->cluster[i] == kind)
            i++;
    return i;
}

static int write_clusters(Copy *c, const Piece *p)
{
    uint64_t n = div_round_up(p->len, c->cluster);
    int ret = 0;

    for (uint64_t i = 0, end; i < n && ret == 0; i = end) {
        uint64_t at = i * c->cluster, off = p->off + at;

        end = run_end(p, i, n);
        uint64_t len = MIN(end * c->cluster, p->len) - at;
        switch (p->cluster[i]) {
        case CLUSTER_KEPT: break;
        case CLUSTER_ZERO: ret = write_zeros(c, off, len); break;
        case CLUSTER_PLAIN: ret = write_sparse(c, p->data + at, off, len); break;
        default:
            ret = node_pwrite_packed(c->job->dst, p->second + at, p->cluster[i],
                                     c->job->dst_off + off);
        }
    }
    return ret;
}

/* The kernel could not: piece by piece through the buffer, after all. */
static int copy_by_hand(Copy *c, const Piece *p)
{
    for (uint64_t at = 0; at < p->len; at += c->chunk) {
        uint64_t n = MIN(p->len - at, c->chunk);
        int ret = read_node(c, c->job->src, p->data, p->off + at, n);

        if (ret == 0)
            ret = write_sparse(c, p->data, p->off + at, n);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int write_shared(Copy *c, const Piece *p)
{
    const CopyJob *job = c->job;
    int ret = node_copy_range(job->dst, job->dst_off + p->off, p->file, p->pos, p->len,
                              job->offload ? 0 : COPY_SHARE_ONLY);

    if (ret == 0)
        atomic_store(&c->sharing_works, true);
    if (ret != -ENOTSUP)
        return ret;
    atomic_store(&c->no_sharing, true);
    return copy_by_hand(c, p);
}

int copy_write_piece(Copy *c, Piece *p)
{
    int ret;

    if (p->file)
        ret = write_shared(c, p);
    else if (p->zero && !c->job->differences)
        ret = write_zeros(c, p->off, p->len);
    else if (c->cluster)
        ret = write_clusters(c, p);
    else
        ret = write_sparse(c, p->data, p->off, p->len);
    if (ret < 0)
        copy_fail_at(c, ret, "write", c->job->dst, c->job->dst_off + p->off);
    else
        progress_step(c->job->progress, p->len);
    return ret;
}
