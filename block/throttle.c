/*
 * throttle.c - a filter whose requests keep the limits of a throttle group.
 */
#include "block/throttle.h"

#include <errno.h>
#include <time.h>

#include "block/driver.h"

enum { NSEC = 1000000000 };

typedef struct {
    Throttle *group;
} ThrottleState;

static void wait_turn(Node *node, bool write, uint64_t bytes)
{
    Throttle *group = ((ThrottleState *)node->state)->group;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t start = (uint64_t)now.tv_sec * NSEC + (uint64_t)now.tv_nsec;
    uint64_t wait = throttle_account(group, write, bytes, start);
    if (wait == 0)
        return;
    struct timespec until = { (time_t)((start + wait) / NSEC), (long)((start + wait) % NSEC) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static int throttle_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                           size_t len)
{
    wait_turn(node, false, len);
    return node_preadv(node->file, iov, iovcnt, off);
}

static int throttle_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                            size_t len)
{
    wait_turn(node, true, len);
    return node_pwritev(node->file, iov, iovcnt, off, 0);
}

static int throttle_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    wait_turn(node, true, len);
    return node_pwrite_zeroes(node->file, off, len, flags);
}

static int throttle_discard(Node *node, uint64_t off, uint64_t len)
{
    wait_turn(node, true, len);
    return node_discard(node->file, off, len);
}

static int throttle_open(Node *node, Options *options, Error **err)
{
    AUTO_FREE char *id = options_take(options, "throttle-group");

    if (!id)
        return error_set(err, -EINVAL, "driver 'throttle' needs the option 'throttle-group'");
    Throttle *group = object_find(&throttle_group_type, id, err);
    ((ThrottleState *)node->state)->group = group;
    return group ? 0 : -ENOENT;
}

const BlockDriver throttle_driver = {
    .name = "throttle",
    .state_size = sizeof(ThrottleState),
    .is_filter = true,
    .open = throttle_open,
    .preadv = throttle_preadv,
    .pwritev = throttle_pwritev,
    .pwrite_zeroes = throttle_pwrite_zeroes,
    .discard = throttle_discard,
};
