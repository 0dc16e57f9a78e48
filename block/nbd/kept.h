/*
 * kept.h - writes that the server has not yet put on stable storage, kept to be made again.
 *
 * A server that was lost and came back may have forgotten what it acknowledged since its last
 * flush. Entries are in the order in which the writes were made; a flush forgets those that were
 * done before it began.
 */
#ifndef BLOCK_NBD_KEPT_H
#define BLOCK_NBD_KEPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct NbdKeptWrite {
    uint16_t type, flags; /* NBD_CMD_WRITE or _WRITE_ZEROES */
    uint64_t off;
    uint32_t len;
    bool done, marked;
    struct NbdKeptWrite *prev, *next;
    uint8_t data[];
} NbdKeptWrite;

typedef struct NbdKept {
    pthread_mutex_t lock;
    NbdKeptWrite *first, *last;
    uint64_t bytes;
} NbdKept;

void nbd_kept_init(NbdKept *k);
void nbd_kept_destroy(NbdKept *k);

/* NULL: no memory. */
NbdKeptWrite *nbd_kept_add(NbdKept *k, uint16_t type, uint16_t flags, uint64_t off, uint32_t len,
                           const struct iovec *iov, int iovcnt);
/* It was acknowledged, or it failed and need not be made again. */
void nbd_kept_end(NbdKept *k, NbdKeptWrite *w, bool acknowledged);
/* Before a flush, and after it succeeded. */
void nbd_kept_mark(NbdKept *k);
void nbd_kept_forget_marked(NbdKept *k);
/* Is it time to flush? */
bool nbd_kept_full(NbdKept *k);

#endif
