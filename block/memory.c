/*
 * memory.c - the `memory` protocol: a file that lives in this process, for tests and scratch disks.
 *
 * Option `size`. Its content is lost when the node is closed. It grows like a file does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/driver.h"

enum { MEMORY_MAX = 1 << 30 };

typedef struct {
    pthread_rwlock_t lock; /* for writing: the buffer may move */
    uint8_t *bytes;
    uint64_t room;
} Memory;

static int memory_grow(Node *node, uint64_t size)
{
    Memory *m = node->state;

    if (size > MEMORY_MAX)
        return -ENOSPC;
    if (size > m->room) {
        uint64_t room = MIN(MAX(size, 2 * m->room), (uint64_t)MEMORY_MAX);
        uint8_t *bytes = realloc(m->bytes, room);

        if (!bytes)
            return -ENOMEM;
        memset(bytes + m->room, 0, room - m->room);
        m->bytes = bytes;
        m->room = room;
    }
    if (size > node->size)
        node->size = size;
    return 0;
}

static int memory_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Memory *m = node->state;

    pthread_rwlock_rdlock(&m->lock);
    uint64_t inside = off < node->size ? MIN(len, node->size - off) : 0;
    if (inside)
        iov_write(iov, iovcnt, 0, m->bytes + off, inside);
    iov_zero(iov, iovcnt, inside, len - inside);
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int memory_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Memory *m = node->state;

    pthread_rwlock_wrlock(&m->lock);
    int ret = memory_grow(node, MAX(node->size, off + len));
    if (ret == 0)
        iov_read(iov, iovcnt, 0, m->bytes + off, len);
    pthread_rwlock_unlock(&m->lock);
    return ret;
}

static int memory_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Memory *m = node->state;

    (void)flags;
    pthread_rwlock_wrlock(&m->lock);
    int ret = memory_grow(node, MAX(node->size, off + len));
    if (ret == 0)
        memset(m->bytes + off, 0, len);
    pthread_rwlock_unlock(&m->lock);
    return ret;
}

static int memory_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Memory *m = node->state;
    int ret = 0;

    (void)prealloc;
    pthread_rwlock_wrlock(&m->lock);
    if (size < node->size)
        memset(m->bytes + size, 0, node->size - size);
    else
        ret = memory_grow(node, size);
    if (ret == 0)
        node->size = size;
    pthread_rwlock_unlock(&m->lock);
    return ret < 0 ? error_set(err, ret, "not more than %d bytes in memory", MEMORY_MAX) : 0;
}

static int memory_open(Node *node, Options *options, Error **err)
{
    Memory *m = node->state;
    uint64_t size = 0;
    int ret = options_take_size(options, "size", &size, err);

    pthread_rwlock_init(&m->lock, NULL);
    node->zero_init = true;
    return ret < 0 ? ret : memory_resize(node, size, PREALLOC_OFF, err);
}

static void memory_close(Node *node)
{
    free(((Memory *)node->state)->bytes);
}

const BlockDriver memory_driver = {
    .name = "memory",
    .state_size = sizeof(Memory),
    .is_protocol = true,
    .open = memory_open,
    .close = memory_close,
    .preadv = memory_preadv,
    .pwritev = memory_pwritev,
    .pwrite_zeroes = memory_pwrite_zeroes,
    .resize = memory_resize,
};
