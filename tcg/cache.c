/*
 * cache.c - translated blocks by guest-physical address: look-up, lists by page, invalidation.
 *
 * A page that holds code has a CodePage whose bits say which 64-byte granules blocks cover. Write
 * TLB entries for such a page do not exist, so every store to it comes by the slow path and asks
 * here. Memory of dead blocks comes back when the whole cache is flushed.
 */
#include <string.h>

#include "tcg/core.h"

enum { CHUNK_BLOCKS = 1024 };

struct BlockChunk {
    struct BlockChunk *next;
    unsigned used;
    Block blocks[CHUNK_BLOCKS];
};

int code_cache_init(Tcg *tcg, Error **err)
{
    tcg->hash = calloc((size_t)1 << HASH_BITS, sizeof(*tcg->hash));
    if (!tcg->hash)
        return error_set(err, -ENOMEM, "no memory for the table of translated blocks");
    return 0;
}

static void free_chunks(Tcg *tcg)
{
    while (tcg->chunks) {
        struct BlockChunk *next = tcg->chunks->next;

        free(tcg->chunks);
        tcg->chunks = next;
    }
}

void code_cache_free(Tcg *tcg)
{
    free_chunks(tcg);
    while (tcg->code_pages) {
        CodePage *next = tcg->code_pages->next;

        free(tcg->code_pages);
        tcg->code_pages = next;
    }
    free(tcg->hash);
}

/* -- look-up */

static Block **hash_slot(Tcg *tcg, uint64_t gpa, uint32_t mode)
{
    uint64_t h = (gpa ^ (uint64_t)mode << 40) * UINT64_C(0x9e3779b97f4a7c15);

    return &tcg->hash[h >> (64 - HASH_BITS)];
}

Block *code_cache_find(Tcg *tcg, uint64_t gpa, uint32_t mode)
{
    Block *b = *hash_slot(tcg, gpa, mode);

    while (b && (b->gpa != gpa || b->mode != mode))
        b = b->hash_next;
    return b;
}

Block *code_cache_new_block(Tcg *tcg)
{
    struct BlockChunk *c = tcg->chunks;

    if (!c || c->used == CHUNK_BLOCKS) {
        c = calloc(1, sizeof(*c));
        if (!c)
            abort();
        c->next = tcg->chunks;
        tcg->chunks = c;
    }
    return &c->blocks[c->used++];
}

/* -- pages with code */

static uint64_t granules(uint64_t first, uint64_t last)
{
    unsigned lo = (first & PAGE_MASK) >> GRANULE_BITS, hi = (last & PAGE_MASK) >> GRANULE_BITS;

    return (UINT64_MAX >> (63 - hi)) & (UINT64_MAX << lo);
}

/* From now on, stores to the page come to us: blocks may be made from it. */
CodePage *code_cache_prepare_page(Cpu *cpu, PhysPage *page, uint64_t gpa)
{
    Tcg *tcg = cpu->tcg;

    pthread_mutex_lock(&tcg->lock);
    CodePage *code = page->code;
    if (!code) {
        code = calloc(1, sizeof(*code));
        if (!code)
            abort();
        code->gpa = gpa & ~(uint64_t)PAGE_MASK;
        code->host = page->host;
        code->next = tcg->code_pages;
        tcg->code_pages = code;
        atomic_store_explicit(&page->code, code, memory_order_release);
    }
    pthread_mutex_unlock(&tcg->lock);
    if (code->host != page->host) { /* the machine put other memory here */
        code_cache_invalidate(tcg, page, code->gpa, PAGE_SIZE);
        code->host = page->host;
    }
    return code;
}

/* The part of `b` in the page `gpa`: false if there is none. */
static bool block_part(const Block *b, uint64_t page, uint64_t *first, uint64_t *last)
{
    uint64_t end = b->gpa + b->len - 1;
    uint64_t page1 = b->gpa & ~(uint64_t)PAGE_MASK;

    if (page == page1) {
        *first = b->gpa;
        *last = MIN(end, page1 | PAGE_MASK);
        return true;
    }
    *first = b->gpa2;
    *last = b->gpa2 + (end & PAGE_MASK);
    return page == b->gpa2 && b->gpa2 != UINT64_MAX;
}

static Block **next_in_page(Block *b, uint64_t page)
{
    return &b->page_next[(b->gpa & ~(uint64_t)PAGE_MASK) != page];
}

static void page_add(Block *b, PhysPage *page, uint64_t gpa)
{
    CodePage *code = page->code;
    uint64_t first, last;

    *next_in_page(b, gpa) = code->blocks;
    code->blocks = b;
    block_part(b, gpa, &first, &last);
    atomic_fetch_or(&code->bits, granules(first, last));
}

static void page_remove(Block *b, CodePage *code)
{
    Block **link = &code->blocks;

    while (*link && *link != b)
        link = next_in_page(*link, code->gpa);
    if (*link)
        *link = *next_in_page(b, code->gpa);
}

void code_cache_insert(Tcg *tcg, Block *b, PhysPage *page, PhysPage *page2)
{
    Block **slot = hash_slot(tcg, b->gpa, b->mode);

    b->hash_next = *slot;
    *slot = b;
    page_add(b, page, b->gpa & ~(uint64_t)PAGE_MASK);
    if (page2)
        page_add(b, page2, b->gpa2);
}

/* -- invalidation */

static void forget_everywhere(Tcg *tcg, Block *b)
{
    for (unsigned i = 0; i < tcg->n_cpus; i++) {
        if (tcg->cpus[i] == tcg_running_cpu)
            jump_forget_block(tcg->cpus[i], b);
        else
            cpu_request(tcg->cpus[i], CPU_REQ_FORGET);
    }
}

static void kill_block(Tcg *tcg, Block *b)
{
    Block **slot = hash_slot(tcg, b->gpa, b->mode);
    PhysPage *page = phys_page_if_known(tcg, b->gpa);

    while (*slot != b)
        slot = &(*slot)->hash_next;
    *slot = b->hash_next;
    page_remove(b, page->code);
    if (b->gpa2 != UINT64_MAX)
        page_remove(b, phys_page_if_known(tcg, b->gpa2)->code);
    b->dead = true;
    tcg->host->unlink(tcg, b);
    forget_everywhere(tcg, b);
}

static bool kill_overlapping(Tcg *tcg, CodePage *code, uint64_t first, uint64_t last)
{
    uint64_t lo, hi, left = 0;
    bool any = false;

    for (Block *b = code->blocks, *next; b; b = next) {
        next = *next_in_page(b, code->gpa);
        block_part(b, code->gpa, &lo, &hi);
        if (lo <= last && hi >= first) {
            kill_block(tcg, b);
            any = true;
        } else {
            left |= granules(lo, hi);
        }
    }
    atomic_store(&code->bits, left);
    return any;
}

bool code_cache_may_hit(PhysPage *page, uint64_t gpa, size_t len)
{
    CodePage *code = atomic_load_explicit(&page->code, memory_order_acquire);

    return code && (atomic_load(&code->bits) & granules(gpa, gpa + len - 1));
}

bool code_cache_invalidate(Tcg *tcg, PhysPage *page, uint64_t gpa, size_t len)
{
    bool any;

    pthread_mutex_lock(&tcg->lock);
    atomic_fetch_add(&tcg->code_generation, 1);
    any = kill_overlapping(tcg, page->code, gpa, gpa + len - 1);
    pthread_mutex_unlock(&tcg->lock);
    return any;
}

/*
 * Who translates reads the bytes without the lock, and looks at code_generation before and, with
 * the lock, after: it is counted up on both sides of the store.
 */
bool code_cache_store(Tcg *tcg, PhysPage *page, uint64_t gpa, uint64_t value, unsigned size,
                      bool undo)
{
    pthread_mutex_lock(&tcg->lock);
    atomic_fetch_add(&tcg->code_generation, 1);
    bool any = code_cache_may_hit(page, gpa, size) &&
               kill_overlapping(tcg, page->code, gpa, gpa + size - 1);
    if (!any || !undo) {
        host_st(page->host + (gpa & PAGE_MASK), value, size);
        atomic_fetch_add(&tcg->code_generation, 1);
    }
    pthread_mutex_unlock(&tcg->lock);
    return any;
}

void tcg_invalidate(Tcg *tcg, uint64_t gpa, uint64_t len)
{
    while (len) {
        uint64_t part = MIN(len, PAGE_SIZE - (gpa & PAGE_MASK));
        PhysPage *page = phys_page_if_known(tcg, gpa);

        atomic_thread_fence(memory_order_seq_cst); /* what was written, before who reads it */
        if (page && page_has_code(page))
            code_cache_invalidate(tcg, page, gpa, part);
        gpa += part;
        len -= part;
    }
}

/* -- stores of CPUs that run side by side */

/*
 * An instruction that reads, changes and writes gets the memory's address after the code there was
 * dropped. Another CPU might translate the old bytes before the write, so its CPU looks again.
 */
void code_cache_note_store(Cpu *cpu, PhysPage *page, uint64_t gpa, size_t len)
{
    CpuCore *core = cpu->core;
    CodeStore *last =
        core->n_stores ? &core->stores[MIN(core->n_stores, (unsigned)CODE_STORES) - 1] : NULL;

    if (!tcg_is_smp(cpu->tcg))
        return;
    if (last && last->page == page) {
        last->first = MIN(last->first, gpa);
        last->last = MAX(last->last, gpa + len - 1);
    } else {
        if (core->n_stores < CODE_STORES)
            core->stores[core->n_stores] = (CodeStore) { page, gpa, gpa + len - 1 };
        core->n_stores = MIN(core->n_stores + 1, CODE_STORES + 1u);
    }
    atomic_store(&cpu->exit_request, 1);
}

void code_cache_look_again(Cpu *cpu)
{
    CpuCore *core = cpu->core;
    unsigned n = core->n_stores;

    core->n_stores = 0;
    for (unsigned i = 0; i < MIN(n, (unsigned)CODE_STORES); i++) {
        CodeStore *s = &core->stores[i];

        code_cache_invalidate(cpu->tcg, s->page, s->first, s->last - s->first + 1);
    }
    if (n > CODE_STORES)
        code_cache_make_room(cpu);
}

void code_cache_guard(Cpu *cpu, PhysPage *page)
{
    Tcg *tcg = cpu->tcg;
    CodePage **slot = &cpu->core->guards[cpu->core->guards[0] != NULL];

    *slot = page->code;
    atomic_fetch_add(&page->code->readers, 1);
    if (!(atomic_load(&page->flags) & PAGE_WRITE_TLB))
        return;
    world_stop(cpu);
    for (unsigned i = 0; i < tcg->n_cpus; i++)
        tlb_drop_writes(tcg->cpus[i], page->host);
    atomic_fetch_and(&page->flags, ~PAGE_WRITE_TLB);
    world_go(cpu);
}

void code_cache_unguard(Cpu *cpu)
{
    CodePage **guards = cpu->core->guards;

    for (unsigned i = 0; i < ARRAY_LEN(cpu->core->guards); i++) {
        if (guards[i])
            atomic_fetch_sub(&guards[i]->readers, 1);
        guards[i] = NULL;
    }
}

/* -- the whole cache */

static void flush_all(Tcg *tcg)
{
    memset(tcg->hash, 0, sizeof(*tcg->hash) << HASH_BITS);
    for (CodePage *code = tcg->code_pages; code; code = code->next) {
        code->blocks = NULL;
        atomic_store(&code->bits, 0);
    }
    tcg->host->flush_all(tcg);
    free_chunks(tcg);
    atomic_fetch_add(&tcg->flush_generation, 1);
    for (unsigned i = 0; i < tcg->n_cpus; i++)
        jump_forget_all(tcg->cpus[i]);
}

void code_cache_make_room(Cpu *cpu)
{
    world_stop(cpu);
    pthread_mutex_lock(&cpu->tcg->lock);
    flush_all(cpu->tcg);
    pthread_mutex_unlock(&cpu->tcg->lock);
    world_go(cpu);
}
