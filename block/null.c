/*
 * null.c - `null-co` and `null-aio`: a disk of any size that keeps nothing, to measure the rest.
 *
 * Without `read-zeroes` a read leaves the caller's buffer as it was. `latency-ns` is how long each
 * request takes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/iov.h"
#include "block/driver.h"

enum { NSEC = 1000000000 };

typedef struct Null {
    uint64_t latency_ns;
    bool read_zeroes;
} Null;

static int rest(const Node *node)
{
    const Null *n = node->state;
    struct timespec t = { (time_t)(n->latency_ns / NSEC), (long)(n->latency_ns % NSEC) };

    if (n->latency_ns)
        while (nanosleep(&t, &t) < 0 && errno == EINTR)
            ;
    return 0;
}

static int null_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    (void)off;
    if (((Null *)node->state)->read_zeroes)
        iov_zero(iov, iovcnt, 0, len);
    return rest(node);
}

static int null_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    (void)iov;
    (void)iovcnt;
    (void)off;
    (void)len;
    return rest(node);
}

static int null_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    (void)off;
    (void)len;
    (void)flags;
    return rest(node);
}

static int null_discard(Node *node, uint64_t off, uint64_t len)
{
    return null_pwrite_zeroes(node, off, len, 0);
}

static int null_flush(Node *node)
{
    return rest(node);
}

static int null_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    const Null *n = node->state;

    ext->kind = n->read_zeroes ? EXTENT_ZERO : EXTENT_DATA;
    ext->zero = n->read_zeroes;
    ext->has_pos = true;
    ext->pos = off;
    ext->len = len;
    return 0;
}

static int null_open(Node *node, Options *options, Error **err)
{
    Null *n = node->state;
    uint64_t size = UINT64_C(1) << 30;
    int ret = options_take_size(options, "size", &size, err);

    if (ret == 0)
        ret = options_take_u64(options, "latency-ns", &n->latency_ns, err);
    if (ret == 0 && n->latency_ns > INT64_MAX)
        ret = error_set(err, -EINVAL, "latency-ns is %" PRIu64 ", beyond 2^63", n->latency_ns);
    if (ret == 0)
        ret = options_take_bool(options, "read-zeroes", &n->read_zeroes, err);
    node->size = size;
    node->zero_init = n->read_zeroes;
    if (!node->filename && asprintf(&node->filename, "%s://", node->driver->name) < 0)
        node->filename = NULL;
    return ret;
}

static int null_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    (void)prealloc;
    (void)err;
    node->size = size;
    return 0;
}

/* "null-co://": there is nothing more to say. */
static int null_parse_name(const char *name, Options *options, Error **err)
{
    const char *rest_of = strchr(name, ':') + 1;

    (void)options;
    if (strcmp(rest_of, "//") != 0 && *rest_of)
        return error_set(err, -EINVAL, "the name is null-co:// and options are given beside it");
    return 0;
}

#define NULL_DRIVER(id, text)                                                                      \
    const BlockDriver id = {                                                                       \
        .name = text,                                                                              \
        .state_size = sizeof(Null),                                                                \
        .is_protocol = true,                                                                       \
        .parse_name = null_parse_name,                                                             \
        .open = null_open,                                                                         \
        .extent = null_extent,                                                                     \
        .preadv = null_preadv,                                                                     \
        .pwritev = null_pwritev,                                                                   \
        .pwrite_zeroes = null_pwrite_zeroes,                                                       \
        .discard = null_discard,                                                                   \
        .flush = null_flush,                                                                       \
        .resize = null_resize,                                                                     \
    }

NULL_DRIVER(null_co_driver, "null-co");
NULL_DRIVER(null_aio_driver, "null-aio");
