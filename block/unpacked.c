/*
 * unpacked.c - see unpacked.h.
 */
#include "block/unpacked.h"

#include <stdlib.h>

void unpacked_init(Unpacked *u)
{
    pthread_mutex_init(&u->lock, NULL);
}

void unpacked_destroy(Unpacked *u)
{
    for (int i = 0; i < UNPACKED_SLOTS; i++)
        free(u->slots[i].bytes);
    pthread_mutex_destroy(&u->lock);
}

void unpacked_invalidate(Unpacked *u)
{
    atomic_fetch_add(&u->generation, 1);
}

bool unpacked_use(Unpacked *u, uint64_t pos, UnpackedCopy *copy, void *opaque)
{
    bool found = false;

    pthread_mutex_lock(&u->lock);
    for (int i = 0; i < UNPACKED_SLOTS && !found; i++) {
        found = u->slots[i].bytes && u->slots[i].pos == pos &&
                u->slots[i].generation == atomic_load(&u->generation);
        if (found)
            copy(u->slots[i].bytes, opaque);
    }
    pthread_mutex_unlock(&u->lock);
    return found;
}

void unpacked_keep(Unpacked *u, uint64_t pos, uint64_t generation, uint8_t *bytes)
{
    pthread_mutex_lock(&u->lock);
    unsigned i = u->next++ % UNPACKED_SLOTS;
    free(u->slots[i].bytes);
    u->slots[i].pos = pos;
    u->slots[i].generation = generation;
    u->slots[i].bytes = bytes;
    pthread_mutex_unlock(&u->lock);
}
