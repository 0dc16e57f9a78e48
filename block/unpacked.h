/*
 * unpacked.h - the last few compressed clusters that were read, expanded.
 *
 * A guest reads a compressed image in small requests: without this, each would expand its whole
 * cluster again. Entries are good as long as nothing was published on the node since they were
 * made.
 */
#ifndef BLOCK_UNPACKED_H
#define BLOCK_UNPACKED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNPACKED_SLOTS = 4 };

typedef struct Unpacked {
    pthread_mutex_t lock;
    _Atomic uint64_t generation; /* counts changes of the mapping */
    struct {
        uint64_t pos, generation;
        uint8_t *bytes;
    } slots[UNPACKED_SLOTS];
    unsigned next;
} Unpacked;

void unpacked_init(Unpacked *u);
void unpacked_destroy(Unpacked *u);

/* The mapping has changed. */
void unpacked_invalidate(Unpacked *u);

/* Calls copy() on the expanded cluster that is stored at `pos`, if it is here. */
typedef void UnpackedCopy(const uint8_t *cluster, void *opaque);
bool unpacked_use(Unpacked *u, uint64_t pos, UnpackedCopy *copy, void *opaque);

/* Keeps `bytes` (from malloc), made when the generation was `generation`. */
void unpacked_keep(Unpacked *u, uint64_t pos, uint64_t generation, uint8_t *bytes);

#endif
