/*
 * preallocate.c - a filter between a format and its file that makes the file longer in large steps.
 *
 * A write beyond the end first takes `prealloc-size` more on the disk, up to a multiple of
 * `prealloc-align`. Who asks sees the end of the data; closing the node cuts off what was not
 * needed.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/math.h"
#include "block/driver.h"

typedef struct Preallocate {
    uint64_t align, size;
    pthread_mutex_t lock; /* one makes the file longer at a time */
    _Atomic uint64_t file_end;
    bool ready;
} Preallocate;

/* Only to be faster: if the disk is too full for more, the write itself will say so. */
static void make_room(Node *node, uint64_t end)
{
    Preallocate *p = node->state;

    if (end <= p->file_end)
        return;
    pthread_mutex_lock(&p->lock);
    uint64_t want = div_round_up(end + p->size, p->align) * p->align;
    if (end > p->file_end && end < NODE_MAX_SIZE / 2 && want < NODE_MAX_SIZE &&
        node_resize(node->file, want, PREALLOC_FALLOC, true, NULL) == 0)
        p->file_end = want;
    pthread_mutex_unlock(&p->lock);
}

static void data_reaches(Node *node, uint64_t end)
{
    uint64_t size = node->size;

    while (size < end && !atomic_compare_exchange_weak(&node->size, &size, end))
        ;
}

static int preallocate_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                               size_t len)
{
    make_room(node, off + len);
    int ret = node_pwritev(node->file, iov, iovcnt, off, 0);
    if (ret == 0)
        data_reaches(node, off + len);
    return ret;
}

static int preallocate_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    make_room(node, off + len);
    int ret = node_pwrite_zeroes(node->file, off, len, flags);
    if (ret == 0)
        data_reaches(node, off + len);
    return ret;
}

static int preallocate_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Preallocate *p = node->state;
    int ret = node_resize(node->file, size, prealloc, true, err);

    if (ret == 0)
        node->size = p->file_end = size;
    return ret;
}

static int preallocate_open(Node *node, Options *options, Error **err)
{
    Preallocate *p = node->state;

    p->align = 1 << 20;
    p->size = UINT64_C(128) << 20;
    pthread_mutex_init(&p->lock, NULL);
    int ret = options_take_size(options, "prealloc-align", &p->align, err);
    if (ret == 0)
        ret = options_take_size(options, "prealloc-size", &p->size, err);
    if (ret == 0 && (p->align == 0 || p->align % 512 || p->align > NODE_MAX_SIZE / 4 ||
                     p->size > NODE_MAX_SIZE / 4))
        ret = error_set(err, -EINVAL,
                        "prealloc-align is %" PRIu64 ", not a multiple of 512, or prealloc-size "
                        "is too large",
                        p->align);
    p->file_end = node->size;
    p->ready = ret == 0;
    return ret;
}

static void preallocate_close(Node *node)
{
    Preallocate *p = node->state;

    if (p->ready && node->writable && p->file_end > node->size)
        node_resize(node->file, node->size, PREALLOC_OFF, true, NULL);
}

const BlockDriver preallocate_driver = {
    .name = "preallocate",
    .state_size = sizeof(Preallocate),
    .is_filter = true,
    .has_size = true,
    .open = preallocate_open,
    .close = preallocate_close,
    .pwritev = preallocate_pwritev,
    .pwrite_zeroes = preallocate_pwrite_zeroes,
    .resize = preallocate_resize,
};
