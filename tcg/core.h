/*
 * core.h - what the core's files share, and back ends may look at: physical pages, translated code
 * by page, a CPU's private tables.
 *
 * Locking: Tcg.lock guards blocks, their lists and the back end's code memory. It is a leaf: nobody
 * calls the machine or the guest with it held. PhysPage answers are read without a lock; an entry
 * counts only while its generation is that of the memory map.
 */
#ifndef TCG_CORE_H
#define TCG_CORE_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/math.h"
#include "tcg/debug.h"
#include "tcg/guest.h"
#include "tcg/host.h"
#include "tcg/tcg.h"

enum {
    PAGE_BITS = 12,
    PAGE_SIZE = 1 << PAGE_BITS,
    PAGE_MASK = PAGE_SIZE - 1,
    PHYS_LEAF_BITS = 14, /* pages a leaf */
    PHYS_BITS = 40,      /* above, nothing is memory */
    PHYS_LEAVES = 1 << (PHYS_BITS - PAGE_BITS - PHYS_LEAF_BITS),
    GRANULE_BITS = 6, /* code is tracked in 64-byte pieces */
    TCG_MAX_CPUS = 256,
    HASH_BITS = 17,
    FETCH_ENTRIES = 256,
    SLOW_ENTRIES = 64,
    TLB_MIN_ENTRIES = 1024,
    TLB_TOUCHED_MAX = 512,
    KEY_BITS = 5,
    EXEC_PAGE_BITS = 15,
    LARGE_PAGE_BITS = 16,
    CODE_STORES = 8,
};

/* Set by the core in Block.mode: one instruction, run again alone because it changes code. */
#define MODE_ALONE (UINT32_C(1) << 31)

/* The translated code of one guest-physical page; lives as long as the Tcg. */
typedef struct CodePage {
    uint64_t gpa;
    uint8_t *host;            /* the memory that the blocks were made from */
    _Atomic uint64_t bits;    /* granules that hold code */
    _Atomic uint32_t readers; /* CPUs that translate from it; 0 and no bits: writes need no check */
    Block *blocks;
    struct CodePage *next;
} CodePage;

enum {
    PAGE_WRITABLE = 1,
    PAGE_LOG_DIRTY = 2,
    PAGE_WRITE_TLB = 4, /* write TLB entries for it may exist */
};

typedef struct {
    uint8_t *host; /* NULL: not memory */
    CodePage *_Atomic code;
    _Atomic uint32_t generation; /* Tcg.map_generation when it was asked for */
    _Atomic uint8_t flags;       /* PAGE_* */
} PhysPage;

/*
 * Which CPUs run guest code now. One that needs the others to stand still (their TLBs and the code
 * they run are then its own to change) asks them to come to a safe point, between two blocks.
 */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running;        /* CPUs inside cpu_run(), not counting who waits below */
    _Atomic unsigned wanted; /* CPUs that want to be alone, or are */
    Cpu *owner;              /* who is alone */
} World;

struct Tcg {
    TcgConfig config;
    TcgBus bus;
    const HostBackend *host;
    void *host_data; /* the back end's */
    pthread_mutex_t lock;
    World world;
    struct TcgDebug *debug; /* NULL: no debugger */

    PhysPage *_Atomic leaves[PHYS_LEAVES];
    PhysPage beyond; /* stands for every page above PHYS_BITS */
    _Atomic uint32_t map_generation;

    Block **hash;
    CodePage *code_pages;
    struct BlockChunk *chunks;         /* memory of the blocks */
    _Atomic uint32_t code_generation;  /* counts writes to code pages */
    _Atomic uint32_t flush_generation; /* counts flushes of the whole code cache */

    Cpu *cpus[TCG_MAX_CPUS];
    unsigned n_cpus;
};

/* -- per CPU */

/* Where code of a virtual page is: tag = linear page address + jump_key. */
typedef struct {
    uint64_t tag, gpa;
    PhysPage *page;
} FetchEntry;

/* Translations that the TLB may not hold: MMIO, ROM, code pages. */
typedef struct {
    uint64_t key; /* page number, class, direction */
    uint64_t epoch;
    uint64_t gpa;
    PhysPage *page;
} SlowEntry;

/* Accounts of one TLB class: what a flush must clear, and whether its size is right. */
typedef struct {
    uint32_t touched[TLB_TOUCHED_MAX]; /* slot * 2 + write, of entries that are not global */
    unsigned n_touched;                /* more than TLB_TOUCHED_MAX: list is useless */
    bool any_global;
    unsigned evictions;   /* of valid entries since the last resize or full flush */
    unsigned fills;       /* since the last flush */
    unsigned small_count; /* flushes in a row that found the table nearly empty */
} TlbClass;

typedef struct {
    uint64_t base, key;
    uint32_t mode;
    bool valid;
    bool local; /* code of a page that is not global was found under it */
} JumpKey;

/* Code pages that this CPU wrote to since the last safe point. */
typedef struct {
    PhysPage *page;
    uint64_t first, last; /* bytes, guest-physical */
} CodeStore;

typedef struct CpuCore {
    FetchEntry fetch[FETCH_ENTRIES];
    SlowEntry slow[SLOW_ENTRIES];
    uint64_t tlb_epoch; /* counts flushes of any kind */
    TlbClass tlb[MMU_CLASSES];
    /* Hash sets. A false hit costs a flush, again and again: they are large. */
    uint64_t exec_pages[2][1 << (EXEC_PAGE_BITS - 6)]; /* in the jump cache: local, global */
    uint64_t large_pages[1 << (LARGE_PAGE_BITS - 6)];  /* large pages in the TLB */

    JumpKey keys[1 << KEY_BITS];
    JumpKey *key;      /* that of cpu->jump_key */
    uint64_t last_key; /* the newest number given out */
    uint64_t key_base; /* of cpu->jump_key: linear address - pc */
    uint32_t key_mode;

    CodePage *guards[2]; /* pages that are being translated */
    CodeStore stores[CODE_STORES];
    unsigned n_stores; /* more than CODE_STORES: some were not noted */

    bool stepping;          /* for a debugger */
    DebugStop debug_stop;   /* cpu_run() must return RUN_DEBUG */
    DebugStop debug_reason; /* of the last such return */
    uint64_t debug_la;
    WatchKind debug_kind;
    bool want_alone;    /* the next block is one instruction, which changes code */
    bool running_alone; /* it is running: its stores do not undo it */
    bool unwound;       /* guest->deliver() is due */
    IrBlock ir;
    uint64_t window_la; /* linear address of the page being translated */
    unsigned window_mmu;
    uint64_t window_gpa2;  /* of its second page, if asked for */
    bool window_transient; /* code from a device: the block is used once */
    uint8_t bounce[2][PAGE_SIZE];
} CpuCore;

/* The CPU that this thread runs, or NULL. */
extern _Thread_local Cpu *tcg_running_cpu;

/* Copies of constant size are single moves of the host: a guest's aligned accesses stay atomic. */
static inline uint64_t host_ld(const void *p, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 1: memcpy(&v, p, 1); break;
    case 2: memcpy(&v, p, 2); break;
    case 4: memcpy(&v, p, 4); break;
    case 8: memcpy(&v, p, 8); break;
    default: memcpy(&v, p, size); break;
    }
    return v;
}

static inline void host_st(void *p, uint64_t v, unsigned size)
{
    switch (size) {
    case 1: memcpy(p, &v, 1); break;
    case 2: memcpy(p, &v, 2); break;
    case 4: memcpy(p, &v, 4); break;
    case 8: memcpy(p, &v, 8); break;
    default: memcpy(p, &v, size); break;
    }
}

/* -- phys.c */
PhysPage *phys_page(Tcg *tcg, uint64_t gpa);
PhysPage *phys_page_if_known(Tcg *tcg, uint64_t gpa); /* NULL: nobody ever asked for it */
void phys_free(Tcg *tcg);
uint64_t phys_io_read(Tcg *tcg, uint64_t gpa, unsigned size);
void phys_io_write(Tcg *tcg, uint64_t gpa, uint64_t value, unsigned size);

static inline bool page_has_code(PhysPage *page)
{
    CodePage *code = atomic_load_explicit(&page->code, memory_order_acquire);

    return code && (atomic_load_explicit(&code->bits, memory_order_relaxed) ||
                    atomic_load_explicit(&code->readers, memory_order_relaxed));
}

/* -- cache.c */
int code_cache_init(Tcg *tcg, Error **err);
void code_cache_free(Tcg *tcg);
CodePage *code_cache_prepare_page(Cpu *cpu, PhysPage *page, uint64_t gpa);
/*
 * From now to code_cache_unguard() every store to the page is noticed: either by the CPU that does
 * it, after the store, or because it happens before this returns.
 */
void code_cache_guard(Cpu *cpu, PhysPage *page);
void code_cache_unguard(Cpu *cpu);
/* A store to a page with code is about to happen; at the next safe point it is looked at again. */
void code_cache_note_store(Cpu *cpu, PhysPage *page, uint64_t gpa, size_t len);
void code_cache_look_again(Cpu *cpu);
/* Throw all translations away, with the other CPUs standing still. */
void code_cache_make_room(Cpu *cpu);
/* True if translated code overlaps [gpa, gpa+len): fast, without the lock, may err to true. */
bool code_cache_may_hit(PhysPage *page, uint64_t gpa, size_t len);
/*
 * Store `size` bytes and forget the blocks under them, at once for all CPUs. True if there were
 * any; with `undo` nothing is stored then.
 */
bool code_cache_store(Tcg *tcg, PhysPage *page, uint64_t gpa, uint64_t value, unsigned size,
                      bool undo);
/* Forget blocks of bytes in [gpa, gpa+len), which is inside one page; true if there were any. */
bool code_cache_invalidate(Tcg *tcg, PhysPage *page, uint64_t gpa, size_t len);
/* The next three want Tcg.lock held. */
Block *code_cache_find(Tcg *tcg, uint64_t gpa, uint32_t mode);
Block *code_cache_new_block(Tcg *tcg);
void code_cache_insert(Tcg *tcg, Block *block, PhysPage *page, PhysPage *page2);

/* -- world.c: all of them do nothing when there is one CPU */
void world_init(World *w);
void world_destroy(World *w);
void world_enter(Cpu *cpu);
void world_leave(Cpu *cpu);
void world_safe_point(Cpu *cpu); /* lets others be alone, if they want */
/* From the CPU's own thread, inside cpu_run(), with no lock held; not nested. */
void world_stop(Cpu *cpu);
void world_go(Cpu *cpu);

/* -- tlb.c */
void tlb_init(Cpu *cpu);
void tlb_set(Cpu *cpu, unsigned mmu, bool write, uint64_t va_page, uint8_t *host, bool global);
void tlb_note_large(Cpu *cpu, uint64_t va, uint64_t page_size);
void tlb_drop_writes(Cpu *cpu, const uint8_t *host); /* of one page, in every class */

static inline TlbEntry *tlb_slot(Cpu *cpu, unsigned mmu, bool write, uint64_t va)
{
    uint32_t at = (va >> PAGE_BITS) * sizeof(TlbEntry) & cpu->tlb_mask[mmu];

    return (TlbEntry *)((char *)cpu + TLB_AREA(mmu, write) + at);
}

/* Host address of an access inside one page that the TLB knows, else NULL. */
static inline void *tlb_hit(Cpu *cpu, uint64_t va, size_t size, unsigned mmu, bool write)
{
    TlbEntry *e = tlb_slot(cpu, mmu, write, va);

    return va - e->tag <= PAGE_SIZE - size ? (void *)(uintptr_t)(va + e->addend) : NULL;
}

/* -- jump.c: keys and entries of the jump cache */
void jump_clear(Cpu *cpu);
void jump_forget_all(Cpu *cpu);
void jump_forget_local(Cpu *cpu); /* keys under which only global pages were found stay */
void jump_forget_page(Cpu *cpu, uint64_t va);
void jump_remember(Cpu *cpu, Block *block); /* at cpu->pc */
void jump_forget_block(Cpu *cpu, const Block *block);
void jump_note_page(Cpu *cpu, uint64_t va, bool global);
void jump_select_key(Cpu *cpu, uint64_t base, uint32_t mode);

/* -- translate.c */
const FetchEntry *fetch_page(Cpu *cpu, uint64_t la, unsigned mmu); /* may raise */
Block *translate_block(Cpu *cpu, uint64_t la, unsigned mmu, uint32_t mode);

/* -- mmu.c: a store to a code page; may unwind */
void mmu_code_written(Cpu *cpu, PhysPage *page, uint64_t gpa, size_t len);

#endif
