/*
 * tcg.c - making and freeing a translator and its CPUs; the monitor's view of memory.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tcg/core.h"

#define CPU_MAP_SIZE TLB_AREA(MMU_CLASSES, 0)

/* The best first. */
static const HostBackend *const backends[] = {
#ifdef __x86_64__
    &host_x86_64,
#endif
    &host_interp,
};

static const HostBackend *find_backend(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        if (!name || !strcmp(name, backends[i]->name))
            return backends[i];
    return NULL;
}

static int init(Tcg *tcg, Error **err)
{
    int ret;

    tcg->host = find_backend(tcg->config.backend);
    if (!tcg->host)
        return error_set(err, -EINVAL, "no translator back end named '%s' on this host",
                         tcg->config.backend);
    ret = code_cache_init(tcg, err);
    return ret < 0 ? ret : tcg->host->init(tcg, tcg->config.cache_size, err);
}

Tcg *tcg_new(const TcgConfig *config, const TcgBus *bus, Error **err)
{
    Tcg *tcg = calloc(1, sizeof(*tcg));

    if (!tcg) {
        error_set(err, -ENOMEM, "no memory for the translator");
        return NULL;
    }
    tcg->config = *config;
    tcg->bus = *bus;
    tcg->map_generation = 1;
    pthread_mutex_init(&tcg->lock, NULL);
    world_init(&tcg->world);
    if (init(tcg, err) < 0) {
        tcg_free(tcg);
        return NULL;
    }
    return tcg;
}

void tcg_free(Tcg *tcg)
{
    if (!tcg)
        return;
    while (tcg->n_cpus)
        tcg_cpu_free(tcg->cpus[tcg->n_cpus - 1]);
    if (tcg->host)
        tcg->host->free(tcg);
    code_cache_free(tcg);
    phys_free(tcg);
    pthread_mutex_destroy(&tcg->lock);
    world_destroy(&tcg->world);
    free(tcg->debug);
    free(tcg);
}

const TcgBus *tcg_bus(const Tcg *tcg)
{
    return &tcg->bus;
}

unsigned tcg_log_mask(const Tcg *tcg)
{
    return tcg->config.log_mask;
}

const TcgConfig *tcg_config(const Tcg *tcg)
{
    return &tcg->config;
}

bool tcg_is_smp(const Tcg *tcg)
{
    return tcg->n_cpus > 1;
}

/* -- CPUs */

static Cpu *map_cpu(Error **err)
{
    void *p = mmap(NULL, CPU_MAP_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        error_set(err, -errno, "cannot map %zu bytes for a virtual CPU", CPU_MAP_SIZE);
        return NULL;
    }
    return p;
}

static int init_cpu(Cpu *cpu, const char *model, Error **err)
{
    int ret;

    cpu->core = calloc(1, sizeof(*cpu->core));
    if (!cpu->core)
        return error_set(err, -ENOMEM, "no memory for a virtual CPU");
    cpu->core->tlb_epoch = 1;
    tlb_init(cpu);
    jump_clear(cpu);
    jump_select_key(cpu, 0, 0);
    ret = cpu->guest->init(cpu, model, err);
    if (ret == 0 && cpu->tcg->host->cpu_init)
        cpu->tcg->host->cpu_init(cpu);
    return ret;
}

Cpu *tcg_cpu_new(Tcg *tcg, const GuestArch *guest, const char *model, unsigned index, Error **err)
{
    Cpu *cpu;

    if (tcg->n_cpus == TCG_MAX_CPUS || guest->state_size > CPU_STATE_MAX) {
        error_set(err, -EINVAL, "too many virtual CPUs");
        return NULL;
    }
    cpu = map_cpu(err);
    if (!cpu)
        return NULL;
    cpu->tcg = tcg;
    cpu->guest = guest;
    cpu->index = index;
    if (init_cpu(cpu, model, err) < 0) {
        tcg_cpu_free(cpu);
        return NULL;
    }
    tcg->cpus[tcg->n_cpus++] = cpu;
    return cpu;
}

void tcg_cpu_free(Cpu *cpu)
{
    Tcg *tcg = cpu->tcg;
    unsigned i = 0;

    while (i < tcg->n_cpus && tcg->cpus[i] != cpu)
        i++;
    if (i < tcg->n_cpus)
        tcg->cpus[i] = tcg->cpus[--tcg->n_cpus];
    if (cpu->guest->free)
        cpu->guest->free(cpu);
    free(cpu->core);
    munmap(cpu, CPU_MAP_SIZE);
}

void tcg_cpu_reset(Cpu *cpu)
{
    cpu->guest->reset(cpu);
    tlb_flush(cpu);
}

void cpu_dump(Cpu *cpu, FILE *out)
{
    cpu->guest->dump(cpu, out);
}

/* -- monitor and debugger */

/* Host address of the mapped byte at `va`, and its page; NULL: nothing there, or a device. */
static uint8_t *debug_ptr(Cpu *cpu, uint64_t va, PhysPage **page, uint64_t *gpa)
{
    PageMap map = { 0 };

    if (!cpu->guest->walk(cpu, va, ACCESS_READ, 0, false, true, &map))
        return NULL;
    *gpa = map.gpa | (va & PAGE_MASK);
    *page = phys_page(cpu->tcg, *gpa);
    return (*page)->host ? (*page)->host + (va & PAGE_MASK) : NULL;
}

int cpu_debug_read(Cpu *cpu, uint64_t va, void *buf, size_t len)
{
    uint8_t *out = buf;

    while (len) {
        size_t n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));
        PhysPage *page;
        uint64_t gpa;
        const uint8_t *p = debug_ptr(cpu, va, &page, &gpa);

        if (!p)
            return -EFAULT;
        memcpy(out, p, n);
        out += n;
        va += n;
        len -= n;
    }
    return 0;
}

int cpu_debug_write(Cpu *cpu, uint64_t va, const void *buf, size_t len)
{
    const uint8_t *in = buf;

    while (len) {
        size_t n = MIN(len, PAGE_SIZE - (va & PAGE_MASK));
        PhysPage *page;
        uint64_t gpa;
        uint8_t *p = debug_ptr(cpu, va, &page, &gpa);

        if (!p)
            return -EFAULT;
        memcpy(p, in, n);
        tcg_invalidate(cpu->tcg, gpa, n);
        in += n;
        va += n;
        len -= n;
    }
    return 0;
}
