/*
 * dma.c - device access to guest memory, range by range.
 */
#include "hw/core/dma.h"

#include <errno.h>
#include <string.h>

#include "base/math.h"
#include "hw/core/memmap-int.h"

/* The range at gpa and in *n how much of `len` it holds; NULL if devices may not go there. */
static const MemRange *dma_range(MemMap *map, uint64_t gpa, size_t len, size_t *n)
{
    uint64_t gap;
    const MemRange *range = memmap_find(map, gpa, &gap);

    if (!range || range->region->kind == MEM_IO)
        return NULL;
    *n = MIN((uint64_t)len, range->end - gpa);
    return range;
}

int dma_read(MemMap *map, uint64_t gpa, void *buf, size_t len)
{
    uint8_t *out = buf;
    size_t n;

    for (; len; gpa += n, out += n, len -= n) {
        const MemRange *range = dma_range(map, gpa, len, &n);

        if (!range)
            return -EFAULT;
        memcpy(out, range_host(range, gpa), n);
    }
    return 0;
}

int dma_write(MemMap *map, uint64_t gpa, const void *buf, size_t len)
{
    const uint8_t *in = buf;
    size_t n;

    for (; len; gpa += n, in += n, len -= n) {
        const MemRange *range = dma_range(map, gpa, len, &n);

        if (!range)
            return -EFAULT;
        if (range->readonly)
            continue; /* as on the bus: the ROM does not take it */
        memcpy(range_host(range, gpa), in, n);
        range_wrote(map, range, gpa, n);
    }
    return 0;
}

void *dma_map(MemMap *map, uint64_t gpa, size_t *len, bool for_write)
{
    const MemRange *range = dma_range(map, gpa, *len, len);

    if (!range || (for_write && range->readonly))
        return NULL;
    return range_host(range, gpa);
}

void dma_wrote(MemMap *map, uint64_t gpa, size_t len)
{
    size_t n;

    for (; len; gpa += n, len -= n) {
        const MemRange *range = dma_range(map, gpa, len, &n);

        if (!range)
            return; /* the guest unmapped it meanwhile: nobody sees those bytes any more */
        if (!range->readonly)
            range_wrote(map, range, gpa, n);
    }
}
