/*
 * compress.c - a filter that stores every write compressed, where the format below can.
 *
 * The format compresses whole clusters: a write of a part reads, changes and writes the whole, held
 * exclusively meanwhile.
 */
#include <errno.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/driver.h"

typedef struct {
    uint32_t cluster;
} Compress;

/* `len` bytes at `off`, all inside one cluster. */
static int write_cluster(Node *node, uint8_t *buf, const struct iovec *iov, int iovcnt, size_t skip,
                         uint64_t off, uint64_t len)
{
    Compress *c = node->state;
    uint64_t start = align_down(off, c->cluster);
    uint64_t end = MIN(start + c->cluster, node_size(node));
    int ret = len == end - start ? 0 : node_pread(node->file, buf, end - start, start);

    if (ret < 0)
        return ret;
    iov_read(iov, iovcnt, skip, buf + (off - start), len);
    return node_pwrite_compressed(node->file, buf, end - start, start);
}

static int compress_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                            size_t len)
{
    Compress *c = node->state;
    AUTO_FREE uint8_t *buf = malloc(c->cluster);
    RangeLock lock;
    int ret = 0;

    if (!buf)
        return -ENOMEM;
    range_acquire(&node->ranges, &lock, align_down(off, c->cluster),
                  align_up(off + len, c->cluster), true);
    for (size_t done = 0; done < len && ret == 0;) {
        uint64_t at = off + done, room = c->cluster - at % c->cluster;
        size_t part = MIN(len - done, room);

        ret = write_cluster(node, buf, iov, iovcnt, done, at, part);
        done += part;
    }
    range_release(&node->ranges, &lock);
    return ret;
}

static int compress_open(Node *node, Options *options, Error **err)
{
    Node *below = node_skip_filters(node->file);

    (void)options;
    if (!below->driver->pack)
        return error_set(err, -ENOTSUP, "format '%s' has no compressed clusters",
                         below->driver->name);
    ((Compress *)node->state)->cluster = below->cluster;
    return 0;
}

const BlockDriver compress_driver = {
    .name = "compress",
    .state_size = sizeof(Compress),
    .is_filter = true,
    .open = compress_open,
    .pwritev = compress_pwritev,
};
