/*
 * memmap.h - who answers at which address: guest-physical memory, and the 64K of I/O ports.
 *
 * A MemMap is a set of regions (RAM, ROM, I/O, alias), each with a base and a priority; where
 * regions overlap, the highest priority is seen. After each change the set is flattened into a
 * sorted array of ranges which a look-up walks in O(log n). The I/O port space is a MemMap too.
 *
 * Regions are changed under the machine lock. Look-ups may run beside a change: a reader keeps the
 * array that it found, and replaced arrays live until memmap_reclaim(), which the emulator
 * calls when no vCPU is inside a look-up.
 */
#ifndef HW_CORE_MEMMAP_H
#define HW_CORE_MEMMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    MEM_PAGE_BITS = 12,
    MEM_PAGE = 1 << MEM_PAGE_BITS,
};

/*
 * Host memory of a RAM or ROM block: one memfd mapping. `ram_addr` numbers all blocks' bytes in one
 * space, so that a byte has one number however often aliases show it: the key for translated code.
 */
typedef struct RamBlock {
    const char *name;
    uint8_t *host;
    uint64_t size; /* a multiple of MEM_PAGE */
    uint64_t ram_addr;
    int fd;
    uint8_t *dirty; /* one byte a page while logging, else NULL; see memmap_log() */
} RamBlock;

int ram_block_init(RamBlock *block, const char *name, uint64_t size, Error **err);
void ram_block_destroy(RamBlock *block);

/*
 * Handlers see offsets inside their region and get 1, 2, 4 or 8 bytes at a time, at any alignment;
 * `max_size` (0: 8) splits larger accesses, lowest address first. A missing read answers all ones,
 * a missing write is ignored.
 */
typedef struct MemOps {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    unsigned max_size;
} MemOps;

typedef enum { MEM_RAM, MEM_ROM, MEM_IO, MEM_ALIAS } MemKind;

typedef struct MemMap MemMap;
typedef struct MemRegion MemRegion;

struct MemRegion {
    const char *name;
    MemKind kind;
    uint64_t size;
    bool readonly;         /* RAM seen through this region ignores writes */
    RamBlock *block;       /* RAM, ROM: where the bytes are */
    uint64_t block_offset; /* a multiple of MEM_PAGE */
    const MemOps *ops;     /* IO; ROM: only .write, which may be missing */
    void *opaque;          /* for ops */
    MemRegion *target;     /* ALIAS: shows target's bytes from target_offset on */
    uint64_t target_offset;
    MemMap *map; /* placement: where it is now, if anywhere */
    uint64_t base;
    int priority;
    bool enabled;
    MemRegion *next;
};

/* Priorities of the PC: RAM hides PCI BARs, the ISA hole and firmware hide RAM, and so on. */
enum {
    MEM_PRIO_PCI = 0,
    MEM_PRIO_RAM = 10,
    MEM_PRIO_ISA = 20, /* VGA window and BIOS below 1 MiB */
    MEM_PRIO_PAM = 30, /* shadow RAM over them */
    MEM_PRIO_SMRAM = 40,
    MEM_PRIO_CHIPSET = 50, /* APICs, HPET: decoded before anything else */
};

void region_init_ram(MemRegion *r, const char *name, RamBlock *block, uint64_t offset,
                     uint64_t size);
/* Reads come straight from the block; writes go to ops->write, or nowhere if `ops` is NULL. */
void region_init_rom(MemRegion *r, const char *name, RamBlock *block, uint64_t offset,
                     uint64_t size, const MemOps *ops, void *opaque);
void region_init_io(MemRegion *r, const char *name, const MemOps *ops, void *opaque, uint64_t size);
void region_init_alias(MemRegion *r, const char *name, MemRegion *target, uint64_t offset,
                       uint64_t size);

/* The map changed, or pages that were written are to be watched again: forget cached look-ups. */
typedef struct MemListener {
    void (*changed)(void *opaque);
    void *opaque;
    struct MemListener *next;
} MemListener;

/* RAM was written by DMA or memmap_write(): [gpa, gpa + len) lies in one page. */
typedef void CodeNotifyFn(void *opaque, uint64_t gpa, uint64_t ram_addr, uint64_t len);

/* `size` is the size of the address space: 1 << 16 for ports, 1 << 52 for memory. */
MemMap *memmap_new(const char *name, uint64_t size);
void memmap_free(MemMap *map);
void memmap_clear(MemMap *map); /* remove every region: before their owners are freed */
void memmap_add_listener(MemMap *map, MemListener *listener);
void memmap_set_code_notifier(MemMap *map, CodeNotifyFn *fn, void *opaque);

void memmap_add(MemMap *map, MemRegion *r, uint64_t base, int priority); /* enabled */
void memmap_add_disabled(MemMap *map, MemRegion *r, uint64_t base, int priority);
void memmap_remove(MemRegion *r);              /* a region that is nowhere is left alone */
void region_move(MemRegion *r, uint64_t base); /* these two: only while placed */
void region_enable(MemRegion *r, bool enabled);

/* Changes between begin and commit become visible together, at the outermost commit. */
void memmap_begin(MemMap *map);
void memmap_commit(MemMap *map);
void memmap_reclaim(MemMap *map);

/* Any size and alignment; unmapped bytes read as ones and ignore writes. Needs the machine lock. */
uint64_t memmap_read(MemMap *map, uint64_t addr, unsigned size);
void memmap_write(MemMap *map, uint64_t addr, uint64_t value, unsigned size);

/*
 * What one page is, for the translator's TLB. `host` is where the page's bytes are, or NULL:
 * then every access goes through memmap_read/memmap_write (also code fetches).
 */
typedef struct MemPage {
    uint8_t *host;
    uint64_t ram_addr; /* of the page, when host is set */
    bool writable;     /* direct writes are allowed (if not: memmap_write) */
    bool log_dirty;    /* RAM whose first write must go through memmap_write or memmap_mark_dirty */
} MemPage;

/* The page of `gpa`. A page that several regions share byte-wise is handed out as not direct. */
MemPage memmap_page(MemMap *map, uint64_t gpa);

/*
 * Dirty logging, for video memory and migration. The bits of a block start dirty; test-and-clear
 * says whether a page of [offset, offset + len) was written since, and if so calls the listeners of
 * `map`, so that the next write is seen again.
 */
int memmap_log(MemMap *map, RamBlock *block, bool on);
bool memmap_test_clear_dirty(MemMap *map, RamBlock *block, uint64_t offset, uint64_t len);

/* The same for each page of the range at once: one byte a page into `pages`. */
bool memmap_get_clear_dirty(MemMap *map, RamBlock *block, uint64_t offset, uint64_t len,
                            uint8_t *pages);
void memmap_mark_dirty(MemMap *map, uint64_t gpa, uint64_t len);

/* Bytes of a block were written by a device's own path: marks pages, notifies about `gpa`. */
void memmap_block_wrote(MemMap *map, RamBlock *block, uint64_t offset, uint64_t gpa, uint64_t len);

/* One flattened range, for `info mtree` and tests; false when `i` is past the last. */
typedef struct MemRange {
    uint64_t start, end; /* end is exclusive */
    MemRegion *region;   /* never an alias: what answers in the end */
    uint64_t offset;     /* of `start` in that region */
    const char *name;    /* of the region that was placed here */
    bool readonly;
} MemRange;

bool memmap_range(const MemMap *map, unsigned i, MemRange *range);

#endif
