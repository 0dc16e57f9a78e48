/*
 * kept.c - see kept.h.
 */
#include "block/nbd/kept.h"

#include <stdlib.h>

#include "base/iov.h"
#include "block/nbd/proto.h"

enum { KEPT_MAX = 64 << 20 };

void nbd_kept_init(NbdKept *k)
{
    *k = (NbdKept) { 0 };
    pthread_mutex_init(&k->lock, NULL);
}

static void drop(NbdKept *k, NbdKeptWrite *w)
{
    *(w->prev ? &w->prev->next : &k->first) = w->next;
    *(w->next ? &w->next->prev : &k->last) = w->prev;
    k->bytes -= sizeof(*w) + (w->type == NBD_CMD_WRITE ? w->len : 0);
    free(w);
}

void nbd_kept_destroy(NbdKept *k)
{
    while (k->first)
        drop(k, k->first);
    pthread_mutex_destroy(&k->lock);
}

NbdKeptWrite *nbd_kept_add(NbdKept *k, uint16_t type, uint16_t flags, uint64_t off, uint32_t len,
                           const struct iovec *iov, int iovcnt)
{
    uint32_t payload = type == NBD_CMD_WRITE ? len : 0;
    NbdKeptWrite *w = malloc(sizeof(*w) + payload);

    if (!w)
        return NULL;
    *w = (NbdKeptWrite) { .type = type, .flags = flags, .off = off, .len = len };
    iov_read(iov, iovcnt, 0, w->data, payload);
    pthread_mutex_lock(&k->lock);
    w->prev = k->last;
    *(k->last ? &k->last->next : &k->first) = w;
    k->last = w;
    k->bytes += sizeof(*w) + payload;
    pthread_mutex_unlock(&k->lock);
    return w;
}

void nbd_kept_end(NbdKept *k, NbdKeptWrite *w, bool acknowledged)
{
    pthread_mutex_lock(&k->lock);
    w->done = true;
    if (!acknowledged)
        drop(k, w);
    pthread_mutex_unlock(&k->lock);
}

void nbd_kept_mark(NbdKept *k)
{
    pthread_mutex_lock(&k->lock);
    for (NbdKeptWrite *w = k->first; w; w = w->next)
        w->marked = w->marked || w->done;
    pthread_mutex_unlock(&k->lock);
}

void nbd_kept_forget_marked(NbdKept *k)
{
    pthread_mutex_lock(&k->lock);
    for (NbdKeptWrite *w = k->first, *next; w; w = next) {
        next = w->next;
        if (w->marked)
            drop(k, w);
    }
    pthread_mutex_unlock(&k->lock);
}

bool nbd_kept_full(NbdKept *k)
{
    pthread_mutex_lock(&k->lock);
    bool full = k->bytes > KEPT_MAX;
    pthread_mutex_unlock(&k->lock);
    return full;
}
