/*
 * memmap-access.c - looking up, reading and writing through a flattened map, and dirty pages.
 *
 * Integers are little-endian, as on every bus that these maps stand for.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/core/memmap-int.h"

const MemRange *memmap_find(MemMap *map, uint64_t addr, uint64_t *gap_end)
{
    const FlatMap *flat = __atomic_load_n(&map->flat, __ATOMIC_ACQUIRE);
    unsigned lo = 0, hi = flat->count;

    while (lo < hi) { /* the first range that ends after addr */
        unsigned mid = lo + (hi - lo) / 2;

        if (flat->ranges[mid].end <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < flat->count && flat->ranges[lo].start <= addr)
        return &flat->ranges[lo];
    *gap_end = lo < flat->count ? flat->ranges[lo].start : UINT64_MAX;
    return NULL;
}

uint8_t *range_host(const MemRange *range, uint64_t addr)
{
    const MemRegion *r = range->region;

    if (r->kind == MEM_IO)
        return NULL;
    return r->block->host + r->block_offset + range->offset + (addr - range->start);
}

static uint64_t block_offset(const MemRange *range, uint64_t addr)
{
    return range->region->block_offset + range->offset + (addr - range->start);
}

static void block_mark(RamBlock *block, uint64_t offset, uint64_t len)
{
    if (!block->dirty)
        return;
    for (uint64_t p = offset / MEM_PAGE; p <= (offset + len - 1) / MEM_PAGE; p++)
        __atomic_store_n(&block->dirty[p], 1, __ATOMIC_RELAXED);
}

void memmap_block_wrote(MemMap *map, RamBlock *block, uint64_t offset, uint64_t gpa, uint64_t len)
{
    if (!len)
        return;
    block_mark(block, offset, len);
    while (map->code_notify && len) {
        uint64_t n = MIN(len, MEM_PAGE - gpa % MEM_PAGE);

        map->code_notify(map->code_opaque, gpa, block->ram_addr + offset, n);
        gpa += n;
        offset += n;
        len -= n;
    }
}

void range_wrote(MemMap *map, const MemRange *range, uint64_t addr, uint64_t len)
{
    memmap_block_wrote(map, range->region->block, block_offset(range, addr), addr, len);
}

/* --- integers ----------------------------------------------------------------------------- */

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

/* How much of an access goes to this range at once: a power of two. */
static unsigned step(const MemRange *range, uint64_t addr, unsigned left)
{
    unsigned max = range->region->kind == MEM_IO ? range->region->ops->max_size : 0;
    uint64_t n = MIN((uint64_t)left, range->end - addr);

    n = MIN(n, max ? max : 8u);
    while (!is_pow2(n))
        n &= n - 1;
    return n;
}

static uint64_t range_read(const MemRange *range, uint64_t addr, unsigned size)
{
    const MemRegion *r = range->region;
    uint8_t bytes[8] = { 0 };

    if (r->kind == MEM_IO)
        return r->ops->read ? r->ops->read(r->opaque, range->offset + (addr - range->start), size)
                            : UINT64_MAX;
    memcpy(bytes, range_host(range, addr), size);
    return get_le64(bytes);
}

uint64_t memmap_read(MemMap *map, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    for (unsigned done = 0; done < size;) {
        uint64_t gap, part = UINT64_MAX;
        const MemRange *range = memmap_find(map, addr + done, &gap);
        unsigned n = range ? step(range, addr + done, size - done) : 1;

        if (range)
            part = range_read(range, addr + done, n);
        value |= (part & size_mask(n)) << 8 * done;
        done += n;
    }
    return value;
}

static void range_write(MemMap *map, const MemRange *range, uint64_t addr, uint64_t value,
                        unsigned size)
{
    const MemRegion *r = range->region;
    uint8_t bytes[8];

    if (r->kind == MEM_RAM && !range->readonly) {
        put_le64(bytes, value);
        memcpy(range_host(range, addr), bytes, size);
        range_wrote(map, range, addr, size);
    } else if (r->ops && r->ops->write) {
        r->ops->write(r->opaque, range->offset + (addr - range->start), value & size_mask(size),
                      size);
    }
}

void memmap_write(MemMap *map, uint64_t addr, uint64_t value, unsigned size)
{
    for (unsigned done = 0; done < size;) {
        uint64_t gap;
        const MemRange *range = memmap_find(map, addr + done, &gap);
        unsigned n = range ? step(range, addr + done, size - done) : 1;

        if (range)
            range_write(map, range, addr + done, value >> 8 * done, n);
        done += n;
    }
}

/* --- pages and dirty bits ----------------------------------------------------------------- */

MemPage memmap_page(MemMap *map, uint64_t gpa)
{
    uint64_t page = align_down(gpa, MEM_PAGE), gap;
    const MemRange *range = memmap_find(map, page, &gap);
    MemPage out = { 0 };

    if (!range || range->end - page < MEM_PAGE || range->region->kind == MEM_IO)
        return out;
    RamBlock *block = range->region->block;
    uint64_t off = block_offset(range, page);

    out.host = range_host(range, page);
    out.ram_addr = block->ram_addr + off;
    out.writable = range->region->kind == MEM_RAM && !range->readonly;
    out.log_dirty = out.writable && block->dirty && !block->dirty[off / MEM_PAGE];
    return out;
}

int memmap_log(MemMap *map, RamBlock *block, bool on)
{
    uint64_t pages = block->size / MEM_PAGE;

    if (on == !!block->dirty)
        return 0;
    if (on) {
        block->dirty = malloc(pages);
        if (!block->dirty)
            return -ENOMEM;
        memset(block->dirty, 1, pages);
    } else {
        free(block->dirty);
        block->dirty = NULL;
    }
    memmap_notify(map);
    return 0;
}

bool memmap_get_clear_dirty(MemMap *map, RamBlock *block, uint64_t offset, uint64_t len,
                            uint8_t *pages)
{
    bool any = false;

    if (!block->dirty || !len || offset >= block->size)
        return false;
    len = MIN(len, block->size - offset);
    for (uint64_t p = offset / MEM_PAGE, i = 0; p <= (offset + len - 1) / MEM_PAGE; p++, i++) {
        uint8_t was = __atomic_exchange_n(&block->dirty[p], 0, __ATOMIC_RELAXED);

        any |= was;
        if (pages)
            pages[i] = was;
    }
    if (any)
        memmap_notify(map);
    return any;
}

bool memmap_test_clear_dirty(MemMap *map, RamBlock *block, uint64_t offset, uint64_t len)
{
    return memmap_get_clear_dirty(map, block, offset, len, NULL);
}

void memmap_mark_dirty(MemMap *map, uint64_t gpa, uint64_t len)
{
    while (len) {
        uint64_t gap;
        const MemRange *range = memmap_find(map, gpa, &gap);

        if (!range || range->region->kind == MEM_IO)
            return;
        uint64_t n = MIN(len, range->end - gpa);

        block_mark(range->region->block, block_offset(range, gpa), n);
        gpa += n;
        len -= n;
    }
}
