/*
 * blkverify.c - writes go to two images, what is read from both must be the same.
 *
 * `raw` is the plain copy that is right by definition, `test` the image whose driver is looked at;
 * "blkverify:RAW:TEST" is the short form. A difference is a warning and an I/O error.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/math.h"
#include "block/driver.h"

enum { PIECE = 1 << 20 };

typedef struct {
    Node *test;
} Blkverify;

static int compare(const struct iovec *iov, int iovcnt, size_t skip, const uint8_t *test,
                   uint8_t *raw, size_t len, uint64_t off)
{
    size_t i = 0;

    iov_read(iov, iovcnt, skip, raw, len);
    if (memcmp(raw, test, len) == 0)
        return 0;
    while (raw[i] == test[i])
        i++;
    log_warning("blkverify: the contents differ at offset %" PRIu64, off + i);
    return -EIO;
}

/* One fails where the other does not: that is a difference, too. */
static int same_result(int raw, int test, const char *what, uint64_t off)
{
    if (raw == test)
        return raw;
    log_warning("blkverify: a %s at offset %" PRIu64 " gives %s (raw) and %s (test)", what, off,
                strerror(-raw), strerror(-test));
    return -EIO;
}

static int blkverify_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                            size_t len)
{
    Node *test = ((Blkverify *)node->state)->test;
    AUTO_FREE uint8_t *bufs = malloc(2 * MIN(len, (size_t)PIECE));
    int ret = bufs ? node_preadv(node->file, iov, iovcnt, off) : -ENOMEM;

    for (size_t done = 0; done < len && bufs; done += PIECE) {
        size_t part = MIN(len - done, (size_t)PIECE);
        int other = node_pread(test, bufs, part, off + done);

        ret = same_result(ret, other, "read", off + done);
        if (ret == 0)
            ret = compare(iov, iovcnt, done, bufs, bufs + part, part, off + done);
        if (ret < 0)
            break;
    }
    return ret;
}

static int blkverify_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                             size_t len)
{
    Node *test = ((Blkverify *)node->state)->test;
    int raw = node_pwritev(node->file, iov, iovcnt, off, 0);

    (void)len;
    return same_result(raw, node_pwritev(test, iov, iovcnt, off, 0), "write", off);
}

static int blkverify_flush(Node *node)
{
    return node_flush(((Blkverify *)node->state)->test); /* of the copy, nothing is kept */
}

static int blkverify_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    int ret = node_resize(((Blkverify *)node->state)->test, size, prealloc, true, err);

    if (ret == 0)
        ret = node_resize(node->file, size, PREALLOC_OFF, true, err);
    if (ret == 0)
        node->size = size;
    return ret;
}

static int blkverify_open(Node *node, Options *options, Error **err)
{
    Blkverify *v = node->state;
    int ret = node_open_child(node, options, "test", NULL, true, node->flags, &v->test, err);

    if (ret == 0)
        node->size = node_size(v->test);
    return ret;
}

static void blkverify_close(Node *node)
{
    node_unref(((Blkverify *)node->state)->test);
}

static int blkverify_parse_name(const char *name, Options *o, Error **err)
{
    const char *raw = name + strlen("blkverify:"), *test = strchr(raw, ':');

    if (!test)
        return error_set(err, -EINVAL, "the name is blkverify:RAW:IMAGE");
    AUTO_FREE char *path = strndup(raw, (size_t)(test - raw));
    options_set(o, "raw", path);
    options_set(o, "test", test + 1);
    return 0;
}

static const char *const blkverify_schemes[] = { "blkverify", NULL };

const BlockDriver blkverify_driver = {
    .name = "blkverify",
    .state_size = sizeof(Blkverify),
    .child_key = "raw",
    .schemes = blkverify_schemes,
    .parse_name = blkverify_parse_name,
    .open = blkverify_open,
    .close = blkverify_close,
    .preadv = blkverify_preadv,
    .pwritev = blkverify_pwritev,
    .flush = blkverify_flush,
    .resize = blkverify_resize,
};
