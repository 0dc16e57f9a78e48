/*
 * faults.c - a filter that makes its child fail on demand, to see what those above do about it.
 *
 * fail-read=N, fail-write=N, fail-flush=N: the N-th such request (counted from 1) and, unless
 * `once` is on, all later ones fail with `errno` (a number, 5 if not given) and change nothing.
 * Zeroes and discards count as writes.
 */
#include <errno.h>

#include "base/math.h"
#include "block/driver.h"

typedef enum { FAULT_READ, FAULT_WRITE, FAULT_FLUSH, FAULT_KINDS } FaultKind;

typedef struct {
    uint64_t at[FAULT_KINDS]; /* 0: never */
    _Atomic uint64_t count[FAULT_KINDS];
    uint64_t code;
    bool once;
} Faults;

static int fault(Node *node, FaultKind kind)
{
    Faults *f = node->state;
    uint64_t n = ++f->count[kind];

    if (f->at[kind] == 0 || n < f->at[kind] || (f->once && n > f->at[kind]))
        return 0;
    return -(int)f->code;
}

static int faults_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    int ret = fault(node, FAULT_READ);

    (void)len;
    return ret < 0 ? ret : node_preadv(node->file, iov, iovcnt, off);
}

static int faults_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    int ret = fault(node, FAULT_WRITE);

    (void)len;
    return ret < 0 ? ret : node_pwritev(node->file, iov, iovcnt, off, 0);
}

static int faults_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    int ret = fault(node, FAULT_WRITE);

    return ret < 0 ? ret : node_pwrite_zeroes(node->file, off, len, flags);
}

static int faults_discard(Node *node, uint64_t off, uint64_t len)
{
    int ret = fault(node, FAULT_WRITE);

    return ret < 0 ? ret : node_discard(node->file, off, len);
}

static int faults_flush(Node *node)
{
    int ret = fault(node, FAULT_FLUSH);

    return ret < 0 ? ret : node_flush(node->file);
}

static int faults_open(Node *node, Options *o, Error **err)
{
    static const char *const names[FAULT_KINDS] = { "fail-read", "fail-write", "fail-flush" };
    Faults *f = node->state;
    int ret = 0;

    f->code = EIO;
    for (int i = 0; i < FAULT_KINDS && ret == 0; i++)
        ret = options_take_u64(o, names[i], &f->at[i], err);
    if (ret == 0)
        ret = options_take_u64(o, "errno", &f->code, err);
    if (ret == 0)
        ret = options_take_bool(o, "once", &f->once, err);
    if (ret == 0 && (f->code == 0 || f->code > 4095))
        ret = error_set(err, -EINVAL, "option 'errno' is 1..4095");
    return ret;
}

const BlockDriver faults_driver = {
    .name = "faults",
    .state_size = sizeof(Faults),
    .is_filter = true,
    .open = faults_open,
    .preadv = faults_preadv,
    .pwritev = faults_pwritev,
    .pwrite_zeroes = faults_pwrite_zeroes,
    .discard = faults_discard,
    .flush = faults_flush,
};
