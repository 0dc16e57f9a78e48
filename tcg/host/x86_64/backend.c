/*
 * backend.c - the x86-64 host back end as the core sees it: host_x86_64.
 */
#include <errno.h>
#include <sys/mman.h>

#include "tcg/core.h"
#include "tcg/host/x86_64/jit.h"

enum {
    DEFAULT_CACHE = 128 << 20,
    SMALLEST_CACHE = 4 << 20,
    BYTES_PER_SITE = 32, /* of code, at least: so many entries the side table has */
    BYTES_PER_LINK = 64,
};

/* The tables are large, and touched as far as they are used. */
static void *map_table(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static int x64_init(Tcg *tcg, size_t cache_size, Error **err)
{
    X64 *x = calloc(1, sizeof(*x));
    size_t size = align_up(
        MAX(cache_size ? cache_size : (size_t)DEFAULT_CACHE, (size_t)SMALLEST_CACHE), PAGE_SIZE);
    int ret;

    if (!x)
        return error_set(err, -ENOMEM, "no memory for the translator");
    tcg->host_data = x;
    size = MIN(size, (size_t)1 << 30); /* within reach of rel32 */
    ret = code_alloc(x, size, err);
    if (ret < 0)
        return ret;
    x->max_sites = size / BYTES_PER_SITE;
    x->max_links = size / BYTES_PER_LINK;
    x->sites = map_table(x->max_sites * sizeof(Site));
    x->links = map_table(x->max_links * sizeof(Link));
    x->jit = calloc(1, sizeof(*x->jit));
    if (!x->sites || !x->links || !x->jit)
        return error_set(err, -ENOMEM, "no memory for the translator");
    host_detect(x);
    thunks_emit(x);
    return 0;
}

static void x64_free(Tcg *tcg)
{
    X64 *x = tcg->host_data;

    if (!x)
        return;
    if (x->sites)
        munmap(x->sites, x->max_sites * sizeof(Site));
    if (x->links)
        munmap(x->links, x->max_links * sizeof(Link));
    code_free(x);
    free(x->jit);
    free(x);
}

static void x64_flush_all(Tcg *tcg)
{
    X64 *x = tcg->host_data;

    x->used = x->thunks_end;
    x->n_sites = 0;
    x->n_links = 0;
}

static void log_code(Tcg *tcg, const X64 *x, const Block *b)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    fprintf(out, "OUT: gpa %#llx, %u bytes at %p\n", (unsigned long long)b->gpa, b->host_len,
            b->host);
    for (uint32_t i = 0; i < b->host_len; i++)
        fprintf(out, "%02x%c", x->rw[(uint8_t *)b->host - x->rx + i],
                i % 32 == 31 || i + 1 == b->host_len ? '\n' : ' ');
    fclose(out);
    tcg->bus.log(tcg->bus.opaque, TCG_LOG_OUT_ASM, text);
}

static bool compile(Tcg *tcg, Cpu *cpu, IrBlock *ir, Block *block)
{
    (void)cpu;
    if (!x64_compile(tcg->host_data, ir, block))
        return false;
    if (tcg->config.log_mask & TCG_LOG_OUT_ASM)
        log_code(tcg, tcg->host_data, block);
    return true;
}

static void *x64_enter(Cpu *cpu, Block *block)
{
    const X64 *x = cpu->tcg->host_data;

    return x->enter(cpu, (uint8_t *)block->host + FAR_ENTRY, cpu->pc);
}

/* -- links: a slot is a rel32 in the executable view, followed by where it leads when unlinked */

static void set_slot(uint8_t *slot, int32_t rel)
{
    __atomic_store_n((int32_t *)(void *)slot, rel, __ATOMIC_RELEASE);
}

static void x64_link(Tcg *tcg, void *slot, Block *to)
{
    X64 *x = tcg->host_data;
    uint8_t *at = x->rw + ((uint8_t *)slot - x->rx);
    const uint8_t *target = x->rw + ((uint8_t *)to->host - x->rx) + FAR_ENTRY;
    int32_t now;

    memcpy(&now, at, sizeof(now));
    if (now || x->n_links == x->max_links)
        return;
    Link *link = &x->links[x->n_links++];

    *link = (Link) { .slot = at, .next = to->links };
    to->links = link;
    set_slot(at, target - (at + 4));
}

static void x64_unlink(Tcg *tcg, Block *block)
{
    (void)tcg;
    for (Link *l = block->links; l; l = l->next)
        set_slot(l->slot, 0);
    block->links = NULL;
}

static void x64_restore(Cpu *cpu)
{
    side_restore(cpu->tcg->host_data, cpu);
}

const HostBackend host_x86_64 = {
    .name = "x86_64",
    .init = x64_init,
    .free = x64_free,
    .compile = compile,
    .enter = x64_enter,
    .link = x64_link,
    .unlink = x64_unlink,
    .restore = x64_restore,
    .flush_all = x64_flush_all,
};
