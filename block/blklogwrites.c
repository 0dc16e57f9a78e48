/*
 * blklogwrites.c - a filter that writes down every change of its child, to replay it step by step.
 *
 * The log has the layout of the kernel's dm-log-writes target (Documentation/admin-guide/
 * device-mapper/log-writes.rst): a first sector that counts the entries, then for each entry a
 * sector that describes it and the data, all little-endian. It is counted up at flushes, every
 * `log-super-update-interval` entries, and at the end.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "base/iov.h"
#include "base/math.h"
#include "block/driver.h"

#define LOG_MAGIC UINT64_C(0x6a736677736872)
enum { LOG_VERSION = 1, LOG_FLUSH = 1, LOG_DISCARD = 4, MIN_SECTOR = 512, MAX_SECTOR = 1 << 23 };

typedef struct Logwrites {
    Node *log;
    pthread_mutex_t lock; /* entries are in the order of the requests */
    uint64_t sector, interval, entries, end;
} Logwrites;

static int write_super(Logwrites *l)
{
    AUTO_FREE uint8_t *s = calloc(1, l->sector);

    if (!s)
        return -ENOMEM;
    put_le64(s, LOG_MAGIC);
    put_le64(s + 8, LOG_VERSION);
    put_le64(s + 16, l->entries);
    put_le32(s + 24, (uint32_t)l->sector);
    return node_pwrite(l->log, s, l->sector, 0);
}

/* `data` (NULL: none) is what the whole sectors [off, off+len) hold now. */
static int add_entry(Logwrites *l, uint64_t off, uint64_t len, uint64_t flags, const void *data)
{
    AUTO_FREE uint8_t *e = calloc(1, l->sector);

    if (!e)
        return -ENOMEM;
    put_le64(e, off / l->sector);
    put_le64(e + 8, len / l->sector);
    put_le64(e + 16, flags);
    put_le64(e + 24, data ? len : 0);
    int ret = node_pwrite(l->log, e, l->sector, l->end);
    if (ret == 0 && data)
        ret = node_pwrite(l->log, data, len, l->end + l->sector);
    if (ret < 0)
        return ret;
    l->end += l->sector + (data ? len : 0);
    l->entries++;
    if (flags & LOG_FLUSH || l->entries % l->interval == 0)
        ret = write_super(l);
    return ret;
}

/* The sectors around what was just written, read back: the log knows whole sectors only. */
static int log_written(Node *node, uint64_t off, uint64_t len)
{
    Logwrites *l = node->state;
    uint64_t start = align_down(off, l->sector), end = align_up(off + len, l->sector);
    int ret = 0;

    while (start < end && ret == 0) {
        uint64_t part = MIN(end - start, (uint64_t)MAX_SECTOR);
        AUTO_FREE uint8_t *data = calloc(1, part);
        uint64_t inside = node_grows(node) ? part : MIN(part, node_size(node) - start);

        ret = data ? node_pread(node->file, data, inside, start) : -ENOMEM;
        if (ret == 0)
            ret = add_entry(l, start, part, 0, data);
        start += part;
    }
    return ret;
}

static int logwrites_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                             size_t len)
{
    Logwrites *l = node->state;

    pthread_mutex_lock(&l->lock);
    int ret = node_pwritev(node->file, iov, iovcnt, off, 0);
    if (ret == 0)
        ret = log_written(node, off, len);
    pthread_mutex_unlock(&l->lock);
    return ret;
}

static int logwrites_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Logwrites *l = node->state;

    pthread_mutex_lock(&l->lock);
    int ret = node_pwrite_zeroes(node->file, off, len, flags);
    if (ret == 0)
        ret = log_written(node, off, len);
    pthread_mutex_unlock(&l->lock);
    return ret;
}

static int logwrites_discard(Node *node, uint64_t off, uint64_t len)
{
    Logwrites *l = node->state;
    uint64_t start = align_up(off, l->sector), end = align_down(off + len, l->sector);

    if (start >= end)
        return 0;
    pthread_mutex_lock(&l->lock);
    int ret = node_discard(node->file, start, end - start);
    if (ret == 0)
        ret = add_entry(l, start, end - start, LOG_DISCARD, NULL);
    pthread_mutex_unlock(&l->lock);
    return ret;
}

static int logwrites_flush(Node *node)
{
    Logwrites *l = node->state;

    pthread_mutex_lock(&l->lock);
    int ret = node_flush(node->file);
    if (ret == 0)
        ret = add_entry(l, 0, 0, LOG_FLUSH, NULL);
    if (ret == 0)
        ret = node_flush(l->log);
    pthread_mutex_unlock(&l->lock);
    return ret;
}

/* log-append: go on behind the entries that are there. */
static int find_end(Logwrites *l, Error **err)
{
    uint8_t s[MIN_SECTOR], e[32];
    int ret = node_pread(l->log, s, sizeof(s), 0);

    if (ret == 0 && (get_le64(s) != LOG_MAGIC || get_le64(s + 8) != LOG_VERSION))
        return error_set(err, -EINVAL, "the log to append to is no log of writes");
    if (ret == 0 && get_le32(s + 24) != l->sector)
        return error_set(err, -EINVAL, "the log has sectors of %" PRIu32 " bytes, not %" PRIu64,
                         get_le32(s + 24), l->sector);
    l->entries = ret == 0 ? get_le64(s + 16) : 0;
    for (uint64_t i = 0; i < l->entries && ret == 0; i++) {
        ret = node_pread(l->log, e, sizeof(e), l->end);
        uint64_t len = ret == 0 ? get_le64(e + 24) : 0;

        if (len > node_size(l->log) || l->end + l->sector + len > node_size(l->log))
            return error_set(err, -EINVAL, "entry %" PRIu64 " of the log is beyond its end", i);
        l->end += l->sector + len;
    }
    return ret < 0 ? error_set(err, ret, "cannot read the log: %s", strerror(-ret)) : 0;
}

static int open_log(Node *node, Options *options, bool append, Error **err)
{
    Logwrites *l = node->state;
    int ret =
        node_open_child(node, options, "log", NULL, false, node->flags | OPEN_RDWR, &l->log, err);

    if (ret < 0)
        return ret;
    l->end = l->sector;
    if (append)
        return find_end(l, err);
    ret = node_resize(l->log, 0, PREALLOC_OFF, true, err);
    return ret == 0 ? write_super(l) : ret;
}

static int logwrites_open(Node *node, Options *options, Error **err)
{
    Logwrites *l = node->state;
    bool append = false;

    l->sector = MIN_SECTOR;
    l->interval = 4096;
    pthread_mutex_init(&l->lock, NULL);
    int ret = options_take_bool(options, "log-append", &append, err);
    if (ret == 0)
        ret = options_take_size(options, "log-sector-size", &l->sector, err);
    if (ret == 0)
        ret = options_take_u64(options, "log-super-update-interval", &l->interval, err);
    if (ret == 0 && (!is_pow2(l->sector) || l->sector < MIN_SECTOR || l->sector > MAX_SECTOR))
        ret = error_set(err, -EINVAL, "log-sector-size is %" PRIu64 ", not a power of two, %d..%d",
                        l->sector, MIN_SECTOR, MAX_SECTOR);
    if (ret == 0 && l->interval == 0)
        ret = error_set(err, -EINVAL, "log-super-update-interval is 0");
    return ret == 0 ? open_log(node, options, append, err) : ret;
}

static void logwrites_close(Node *node)
{
    Logwrites *l = node->state;

    if (l->log && node->opened)
        write_super(l);
    node_unref(l->log);
}

const BlockDriver blklogwrites_driver = {
    .name = "blklogwrites",
    .state_size = sizeof(Logwrites),
    .is_filter = true,
    .plain_child = true,
    .open = logwrites_open,
    .close = logwrites_close,
    .pwritev = logwrites_pwritev,
    .pwrite_zeroes = logwrites_pwrite_zeroes,
    .discard = logwrites_discard,
    .flush = logwrites_flush,
};
