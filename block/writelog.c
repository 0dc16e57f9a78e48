/*
 * writelog.c - see writelog.h.
 */
#include "block/writelog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/driver.h"

typedef struct {
    pthread_mutex_t lock; /* an entry is in the log before the next request is performed */
    FILE *log;
} Writelog;

static int record(Node *node, WritelogKind kind, uint64_t off, uint64_t len,
                  const struct iovec *iov, int iovcnt)
{
    Writelog *w = node->state;
    WritelogEntry entry = { kind, off, len };

    fwrite(&entry, sizeof(entry), 1, w->log);
    for (int i = 0; i < iovcnt; i++)
        fwrite(iov[i].iov_base, 1, iov[i].iov_len, w->log);
    return ferror(w->log) ? -EIO : 0;
}

static int writelog_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                            size_t len)
{
    Writelog *w = node->state;

    pthread_mutex_lock(&w->lock);
    int ret = record(node, WRITELOG_WRITE, off, len, iov, iovcnt);
    if (ret == 0)
        ret = node_pwritev(node->file, iov, iovcnt, off, 0);
    pthread_mutex_unlock(&w->lock);
    return ret;
}

static int writelog_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Writelog *w = node->state;

    pthread_mutex_lock(&w->lock);
    int ret = node_pwrite_zeroes(node->file, off, len, flags);
    if (ret == 0)
        ret = record(node, WRITELOG_ZEROES, off, len, NULL, 0);
    pthread_mutex_unlock(&w->lock);
    return ret;
}

static int writelog_discard(Node *node, uint64_t off, uint64_t len)
{
    Writelog *w = node->state;

    pthread_mutex_lock(&w->lock);
    int ret = record(node, WRITELOG_DISCARD, off, len, NULL, 0);
    if (ret == 0)
        ret = node_discard(node->file, off, len);
    pthread_mutex_unlock(&w->lock);
    return ret;
}

static int writelog_flush(Node *node)
{
    Writelog *w = node->state;

    pthread_mutex_lock(&w->lock);
    int ret = record(node, WRITELOG_FLUSH, 0, 0, NULL, 0);
    if (ret == 0)
        ret = node_flush(node->file);
    pthread_mutex_unlock(&w->lock);
    return ret;
}

static int writelog_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    Writelog *w = node->state;

    pthread_mutex_lock(&w->lock);
    int ret = record(node, WRITELOG_RESIZE, size, 0, NULL, 0);
    if (ret == 0)
        ret = node_resize(node->file, size, prealloc, true, err);
    pthread_mutex_unlock(&w->lock);
    return ret;
}

static int writelog_open(Node *node, Options *options, Error **err)
{
    Writelog *w = node->state;
    AUTO_FREE char *path = options_take(options, "log");

    pthread_mutex_init(&w->lock, NULL);
    if (!path)
        return error_set(err, -EINVAL, "driver 'writelog' needs the option 'log'");
    w->log = fopen(path, "we");
    if (w->log)
        setvbuf(w->log, NULL, _IONBF, 0);
    if (!w->log)
        return error_set(err, -errno, "cannot write the log '%s': %s", path, strerror(errno));
    return 0;
}

static void writelog_close(Node *node)
{
    Writelog *w = node->state;

    if (w->log)
        fclose(w->log);
}

const BlockDriver writelog_driver = {
    .name = "writelog",
    .state_size = sizeof(Writelog),
    .is_filter = true,
    .open = writelog_open,
    .close = writelog_close,
    .pwritev = writelog_pwritev,
    .pwrite_zeroes = writelog_pwrite_zeroes,
    .discard = writelog_discard,
    .flush = writelog_flush,
    .resize = writelog_resize,
};
