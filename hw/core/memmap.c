/*
 * memmap.c - regions with priorities, flattened into sorted ranges.
 *
 * Invariants: `flat` is sorted, without overlaps and without empty ranges; a range names the
 * region that answers in the end (never an alias) and lies inside it. A FlatMap never changes after
 * it was published; the one before goes on the retired list, because a reader may still walk it.
 */
#include "hw/core/memmap.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/core/memmap-int.h"

/* --- regions ------------------------------------------------------------------------------ */

void region_init_ram(MemRegion *r, const char *name, RamBlock *block, uint64_t offset,
                     uint64_t size)
{
    assert(offset <= block->size && size <= block->size - offset);
    *r = (MemRegion) { .name = name, .kind = MEM_RAM, .size = size };
    r->block = block;
    r->block_offset = offset;
}

void region_init_rom(MemRegion *r, const char *name, RamBlock *block, uint64_t offset,
                     uint64_t size, const MemOps *ops, void *opaque)
{
    region_init_ram(r, name, block, offset, size);
    r->kind = MEM_ROM;
    r->readonly = true;
    r->ops = ops;
    r->opaque = opaque;
}

void region_init_io(MemRegion *r, const char *name, const MemOps *ops, void *opaque, uint64_t size)
{
    *r = (MemRegion) { .name = name, .kind = MEM_IO, .size = size, .ops = ops, .opaque = opaque };
}

void region_init_alias(MemRegion *r, const char *name, MemRegion *target, uint64_t offset,
                       uint64_t size)
{
    *r = (MemRegion) { .name = name, .kind = MEM_ALIAS, .size = size };
    r->target = target;
    r->target_offset = offset;
}

/* --- flattening --------------------------------------------------------------------------- */

/* What answers at offset `off` of placed region `r`, and for how many bytes; false for nothing. */
static bool resolve(MemRegion *r, uint64_t off, uint64_t len, MemRange *out)
{
    bool readonly = r->readonly;

    out->name = r->name;
    while (r->kind == MEM_ALIAS) {
        if (add_overflows(off, r->target_offset, &off))
            return false;
        r = r->target;
        readonly |= r->readonly;
    }
    if (off >= r->size)
        return false;
    out->region = r;
    out->offset = off;
    out->end = out->start + MIN(len, r->size - off);
    out->readonly = readonly;
    return true;
}

static uint64_t region_end(const MemMap *map, const MemRegion *r)
{
    return r->size > map->size - r->base ? map->size : r->base + r->size;
}

/* The region seen at `addr`: the highest priority, among equals the one added last. */
static MemRegion *winner(const MemMap *map, uint64_t addr)
{
    MemRegion *best = NULL;

    for (MemRegion *r = map->regions; r; r = r->next) {
        if (!r->enabled || r->base >= map->size || addr < r->base || addr >= region_end(map, r))
            continue;
        if (!best || r->priority > best->priority)
            best = r;
    }
    return best;
}

static int compare_addr(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Every address where the winner may change, sorted. */
static size_t boundaries(const MemMap *map, uint64_t *at)
{
    size_t n = 0;

    for (const MemRegion *r = map->regions; r; r = r->next) {
        if (!r->enabled || r->base >= map->size || !r->size)
            continue;
        at[n++] = r->base;
        at[n++] = region_end(map, r);
    }
    qsort(at, n, sizeof(*at), compare_addr);
    return n;
}

static bool continues(const MemRange *a, const MemRange *b)
{
    return a->end == b->start && a->region == b->region && a->name == b->name &&
           a->readonly == b->readonly && a->offset + (a->end - a->start) == b->offset;
}

static void flat_append(FlatMap *flat, const MemRange *range)
{
    MemRange *last = flat->count ? &flat->ranges[flat->count - 1] : NULL;

    if (last && continues(last, range))
        last->end = range->end;
    else
        flat->ranges[flat->count++] = *range;
}

static size_t region_count(const MemMap *map)
{
    size_t n = 0;

    for (const MemRegion *r = map->regions; r; r = r->next)
        n++;
    return n;
}

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    if (!p)
        abort(); /* a few KiB: there is nothing sensible left to do without them */
    return p;
}

static FlatMap *flatten(const MemMap *map)
{
    size_t n = 2 * region_count(map);
    AUTO_FREE uint64_t *at = must_alloc(n, sizeof(*at));
    FlatMap *flat = must_alloc(1, sizeof(*flat) + n * sizeof(MemRange));

    n = boundaries(map, at);
    for (size_t i = 0; i + 1 < n; i++) {
        MemRange range = { .start = at[i] };
        MemRegion *r = at[i] < at[i + 1] ? winner(map, at[i]) : NULL;

        if (r && resolve(r, at[i] - r->base, at[i + 1] - at[i], &range))
            flat_append(flat, &range);
    }
    return flat;
}

void memmap_notify(MemMap *map)
{
    for (MemListener *l = map->listeners; l; l = l->next)
        l->changed(l->opaque);
}

static void update(MemMap *map)
{
    if (map->depth) {
        map->stale = true;
        return;
    }
    FlatMap *old = map->flat;

    map->stale = false;
    __atomic_store_n(&map->flat, flatten(map), __ATOMIC_RELEASE);
    old->retired = map->retired;
    map->retired = old;
    memmap_notify(map);
}

void memmap_begin(MemMap *map)
{
    map->depth++;
}

void memmap_commit(MemMap *map)
{
    assert(map->depth);
    if (--map->depth == 0 && map->stale)
        update(map);
}

void memmap_reclaim(MemMap *map)
{
    while (map->retired) {
        FlatMap *flat = map->retired;

        map->retired = flat->retired;
        free(flat);
    }
}

/* --- the map ------------------------------------------------------------------------------ */

MemMap *memmap_new(const char *name, uint64_t size)
{
    MemMap *map = must_alloc(1, sizeof(*map));

    map->name = name;
    map->size = size;
    map->flat = must_alloc(1, sizeof(FlatMap));
    return map;
}

void memmap_free(MemMap *map)
{
    if (!map)
        return;
    memmap_reclaim(map);
    free(map->flat);
    free(map);
}

void memmap_clear(MemMap *map)
{
    memmap_begin(map);
    while (map->regions)
        memmap_remove(map->regions);
    memmap_commit(map);
}

void memmap_add_listener(MemMap *map, MemListener *listener)
{
    listener->next = map->listeners;
    map->listeners = listener;
}

void memmap_set_code_notifier(MemMap *map, CodeNotifyFn *fn, void *opaque)
{
    map->code_notify = fn;
    map->code_opaque = opaque;
}

void memmap_add_disabled(MemMap *map, MemRegion *r, uint64_t base, int priority)
{
    assert(!r->map);
    r->map = map;
    r->base = base;
    r->priority = priority;
    r->enabled = false;
    r->next = map->regions;
    map->regions = r;
}

void memmap_add(MemMap *map, MemRegion *r, uint64_t base, int priority)
{
    memmap_add_disabled(map, r, base, priority);
    region_enable(r, true);
}

void memmap_remove(MemRegion *r)
{
    MemMap *map = r->map;

    if (!map)
        return;
    for (MemRegion **p = &map->regions; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            break;
        }
    }
    r->map = NULL;
    if (r->enabled)
        update(map);
}

void region_move(MemRegion *r, uint64_t base)
{
    if (r->base == base)
        return;
    r->base = base;
    if (r->enabled)
        update(r->map);
}

void region_enable(MemRegion *r, bool enabled)
{
    if (r->enabled == enabled)
        return;
    r->enabled = enabled;
    update(r->map);
}

bool memmap_range(const MemMap *map, unsigned i, MemRange *range)
{
    if (i >= map->flat->count)
        return false;
    *range = map->flat->ranges[i];
    return true;
}
