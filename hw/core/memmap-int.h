/*
 * memmap-int.h - the map's inside, shared by memmap.c (building) and memmap-access.c (using).
 */
#ifndef HW_CORE_MEMMAP_INT_H
#define HW_CORE_MEMMAP_INT_H

#include "hw/core/memmap.h"

typedef struct FlatMap {
    struct FlatMap *retired; /* next on the retired list */
    unsigned count;
    MemRange ranges[];
} FlatMap;

struct MemMap {
    const char *name;
    uint64_t size;
    MemRegion *regions; /* the one added last first */
    FlatMap *flat;
    FlatMap *retired;
    unsigned depth; /* of begin/commit */
    bool stale;     /* something changed since begin */
    MemListener *listeners;
    CodeNotifyFn *code_notify;
    void *code_opaque;
};

/* The range that holds `addr`, or NULL. *gap_end is then where the next one starts. */
const MemRange *memmap_find(MemMap *map, uint64_t addr, uint64_t *gap_end);

/* Where the range's bytes are, or NULL for I/O. */
uint8_t *range_host(const MemRange *range, uint64_t addr);

/* [addr, addr + len) of a RAM range was written: dirty pages, translated code. */
void range_wrote(MemMap *map, const MemRange *range, uint64_t addr, uint64_t len);

void memmap_notify(MemMap *map);

#endif
