/*
 * quorum.c - several images with the same content; the majority decides what it is.
 *
 * `children.N` are the images, `vote-threshold` how many must agree. Pattern `quorum` reads all of
 * them and compares; `fifo` reads the first that can be read. `rewrite-corrupted` writes the
 * majority's bytes to those that differ; `blkverify` (two images) makes each difference an error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/math.h"
#include "block/driver.h"

enum { MAX_CHILDREN = 64, PIECE = 1 << 20 };

typedef struct Quorum {
    Node *children[MAX_CHILDREN];
    unsigned count;
    uint64_t threshold;
    bool rewrite, verify, fifo;
} Quorum;

/* ---- voting ---------------------------------------------------------------------------------- */

typedef struct Vote {
    uint8_t *bytes[MAX_CHILDREN];
    int ret[MAX_CHILDREN]; /* what reading the child gave */
    size_t len;
    uint64_t off;
} Vote;

static bool agrees(const Vote *v, unsigned a, unsigned b)
{
    return v->ret[b] == 0 && memcmp(v->bytes[a], v->bytes[b], v->len) == 0;
}

/* The child with whom most agree, and how many these are; count 0: none could be read. */
static unsigned winner(const Quorum *q, const Vote *v, unsigned *count)
{
    unsigned best = 0;

    *count = 0;
    for (unsigned a = 0; a < q->count && 2 * *count <= q->count; a++) {
        unsigned n = 0;

        for (unsigned b = 0; v->ret[a] == 0 && b < q->count; b++)
            n += agrees(v, a, b);
        if (n > *count) {
            *count = n;
            best = a;
        }
    }
    return best;
}

static int first_error(const int *ret, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (ret[i] < 0)
            return ret[i];
    return -EIO;
}

/* Tell of those that differ, and mend them if that is wanted. */
static void losers(const Quorum *q, const Vote *v, unsigned best)
{
    for (unsigned i = 0; i < q->count; i++) {
        if (v->ret[i] == 0 && agrees(v, best, i))
            continue;
        log_warning("quorum: child %u %s at offset %" PRIu64 ", %zu bytes", i,
                    v->ret[i] < 0 ? "cannot be read" : "differs", v->off, v->len);
        if (q->rewrite && v->ret[i] == 0 && q->children[i]->writable &&
            node_pwrite(q->children[i], v->bytes[best], v->len, v->off) < 0)
            log_warning("quorum: child %u cannot be rewritten", i);
    }
}

static int count_votes(const Quorum *q, const Vote *v, unsigned *best)
{
    unsigned count;

    *best = winner(q, v, &count);
    if (count == 0)
        return first_error(v->ret, q->count);
    if (q->verify && count < q->count) {
        log_warning("quorum: the contents differ at offset %" PRIu64, v->off);
        return -EIO;
    }
    if (count < q->count)
        losers(q, v, *best);
    if (count >= q->threshold)
        return 0;
    log_warning("quorum: only %u agree at offset %" PRIu64, count, v->off);
    return -EIO;
}

/* ---- requests -------------------------------------------------------------------------------- */

static int read_all(Quorum *q, Vote *v)
{
    unsigned best;

    for (unsigned i = 0; i < q->count; i++)
        v->ret[i] = node_pread(q->children[i], v->bytes[i], v->len, v->off);
    int ret = count_votes(q, v, &best);
    if (ret == 0 && best)
        memcpy(v->bytes[0], v->bytes[best], v->len);
    return ret;
}

static int read_first(Quorum *q, const struct iovec *iov, int iovcnt, uint64_t off)
{
    int ret = -EIO;

    for (unsigned i = 0; i < q->count && ret < 0; i++)
        ret = node_preadv(q->children[i], iov, iovcnt, off);
    return ret;
}

static int quorum_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Quorum *q = node->state;
    size_t room = MIN(len, (size_t)PIECE);
    RangeLock lock;
    Vote v;
    int ret = 0;

    if (q->fifo)
        return read_first(q, iov, iovcnt, off);
    AUTO_FREE uint8_t *bufs = malloc(q->count * room);
    if (!bufs)
        return -ENOMEM;
    for (unsigned i = 0; i < q->count; i++)
        v.bytes[i] = bufs + i * room;
    /* a write that has reached some of the children would look like a difference */
    range_acquire(&node->ranges, &lock, off, off + len, true);
    for (size_t done = 0; done < len && ret == 0; done += v.len) {
        v.len = MIN(len - done, room);
        v.off = off + done;
        ret = read_all(q, &v);
        iov_write(iov, iovcnt, done, v.bytes[0], v.len);
    }
    range_release(&node->ranges, &lock);
    return ret;
}

/* What a change of all children comes to: enough of them must have done it. */
static int changed(const Quorum *q, const int *ret, const char *what)
{
    unsigned good = 0;

    for (unsigned i = 0; i < q->count; i++) {
        good += ret[i] == 0;
        if (ret[i] < 0)
            log_warning("quorum: child %u cannot %s: %s", i, what, strerror(-ret[i]));
    }
    return good >= q->threshold ? 0 : first_error(ret, q->count);
}

static int quorum_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Quorum *q = node->state;
    int ret[MAX_CHILDREN];
    RangeLock lock;

    range_acquire(&node->ranges, &lock, off, off + len, true);
    for (unsigned i = 0; i < q->count; i++)
        ret[i] = node_pwritev(q->children[i], iov, iovcnt, off, 0);
    range_release(&node->ranges, &lock);
    return changed(q, ret, "be written");
}

static int quorum_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Quorum *q = node->state;
    int ret[MAX_CHILDREN];
    RangeLock lock;

    range_acquire(&node->ranges, &lock, off, off + len, true);
    for (unsigned i = 0; i < q->count; i++)
        ret[i] = node_pwrite_zeroes(q->children[i], off, len, flags);
    range_release(&node->ranges, &lock);
    return changed(q, ret, "be zeroed");
}

static int quorum_flush(Node *node)
{
    Quorum *q = node->state;
    int ret[MAX_CHILDREN];

    for (unsigned i = 0; i < q->count; i++)
        ret[i] = node_flush(q->children[i]);
    return changed(q, ret, "be flushed");
}

/* Zeros only if all say so. */
static int quorum_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    Quorum *q = node->state;
    bool zero = true;

    for (unsigned i = 0; i < q->count; i++) {
        Extent one;
        int ret = node_extent_above(q->children[i], NULL, off, len, &one);

        if (ret < 0)
            return ret;
        zero &= one.zero;
        len = one.len;
    }
    ext->kind = zero ? EXTENT_ZERO : EXTENT_DATA;
    ext->zero = zero;
    ext->len = len;
    return 0;
}

static uint64_t quorum_disk_size(Node *node)
{
    Quorum *q = node->state;
    uint64_t sum = 0;
    ImageInfo info;

    for (unsigned i = 0; i < q->count; i++)
        if (node_info(q->children[i], &info, NULL) == 0)
            sum += info.disk_size;
    return sum;
}

static int quorum_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Quorum *q = node->state;

    for (unsigned i = 0; i < q->count; i++) {
        int ret = node_resize(q->children[i], size, prealloc, true, err);

        if (ret < 0)
            return ret;
    }
    node->size = size;
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_children(Node *node, Options *options, Error **err)
{
    Quorum *q = node->state;
    char key[32];

    for (;; q->count++) {
        snprintf(key, sizeof(key), "children.%u", q->count);
        if (!options_has(options, key))
            break;
        if (q->count == MAX_CHILDREN)
            return error_set(err, -EINVAL, "more than %d children", MAX_CHILDREN);
        int ret = node_open_child(node, options, key, NULL, true, node->flags,
                                  &q->children[q->count], err);
        if (ret < 0)
            return ret;
        if (node_size(q->children[q->count]) != node_size(q->children[0]))
            return error_set(err, -EINVAL, "child %u has %" PRIu64 " bytes, the first has %" PRIu64,
                             q->count, node_size(q->children[q->count]), node_size(q->children[0]));
    }
    if (q->count == 0)
        return error_set(err, -EINVAL, "driver 'quorum' needs children.0, children.1, ...");
    node->size = node_size(q->children[0]);
    return 0;
}

/* For messages: "quorum(a.img, b.img)". */
static char *name_of_all(const Quorum *q)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (unsigned i = 0; i < q->count; i++)
        fprintf(f, "%s%s", i ? ", " : "quorum(", node_filename(q->children[i]));
    fputc(')', f);
    fclose(f);
    return text;
}

static int judge(const Quorum *q, Error **err)
{
    if (q->threshold == 0 || q->threshold > q->count)
        return error_set(err, -EINVAL, "vote-threshold is %" PRIu64 ", not 1..%u", q->threshold,
                         q->count);
    if (q->fifo && q->rewrite)
        return error_set(err, -EINVAL, "rewrite-corrupted needs read-pattern=quorum");
    if (q->verify && (q->rewrite || q->count != 2 || q->threshold != 2))
        return error_set(err, -EINVAL,
                         "blkverify needs two children, vote-threshold=2 and no "
                         "rewrite-corrupted");
    return 0;
}

static int quorum_open(Node *node, Options *options, Error **err)
{
    static const char *const patterns[] = { "quorum", "fifo", NULL };
    Quorum *q = node->state;
    int pattern = 0;
    bool stated = options_has(options, "vote-threshold");
    int ret = options_take_u64(options, "vote-threshold", &q->threshold, err);

    if (ret == 0)
        ret = options_take_enum(options, "read-pattern", patterns, &pattern, err);
    if (ret == 0)
        ret = options_take_bool(options, "rewrite-corrupted", &q->rewrite, err);
    if (ret == 0)
        ret = options_take_bool(options, "blkverify", &q->verify, err);
    q->fifo = pattern == 1;
    if (q->fifo && !stated)
        q->threshold = 1;
    else if (ret == 0 && !stated)
        ret = error_set(err, -EINVAL, "driver 'quorum' needs the option 'vote-threshold'");
    if (ret == 0)
        ret = open_children(node, options, err);
    if (ret == 0)
        node->filename = name_of_all(q);
    return ret == 0 ? judge(q, err) : ret;
}

static void quorum_close(Node *node)
{
    Quorum *q = node->state;

    for (unsigned i = 0; i < MAX_CHILDREN; i++)
        node_unref(q->children[i]);
}

const BlockDriver quorum_driver = {
    .name = "quorum",
    .state_size = sizeof(Quorum),
    .no_child = true,
    .open = quorum_open,
    .close = quorum_close,
    .extent = quorum_extent,
    .preadv = quorum_preadv,
    .pwritev = quorum_pwritev,
    .pwrite_zeroes = quorum_pwrite_zeroes,
    .flush = quorum_flush,
    .disk_size = quorum_disk_size,
    .resize = quorum_resize,
};
