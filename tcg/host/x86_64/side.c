/*
 * side.c - the side table: for every place where C code may raise, the guest pc and how to find the
 * flags. Code is only ever appended, so the table is sorted by host address.
 */
#include "tcg/host/x86_64/jit.h"

/* Where C code finds a location: a thunk has saved all registers to Cpu. */
static SiteLoc site_loc(Loc l)
{
    if (l.kind == L_IMM)
        return (SiteLoc) { L_IMM, (int32_t)l.imm };
    if (l.kind == L_MEM)
        return (SiteLoc) { L_MEM, l.disp };
    if (l.kind == L_NONE)
        return (SiteLoc) { L_NONE, 0 };
    unsigned reg = l.reg & ~H_HIGH, high = l.reg & H_HIGH ? 1 : 0;

    if (reg == H_R12 || reg == H_R13)
        return (SiteLoc) { L_MEM, SPILL_DISP(SLOT_R12 + reg - H_R12) };
    for (unsigned i = 0; i < N_PINNED; i++)
        if (pinned_host[i] == reg)
            return (SiteLoc) { L_MEM, CPU_DISP(gpr) + 8 * (int32_t)i + (int32_t)high };
    assert(!"a recipe names a scratch register");
    return (SiteLoc) { L_NONE, 0 };
}

void side_add(Jit *j, uint8_t *return_address)
{
    X64 *x = j->x;

    size_t n = atomic_load_explicit(&x->n_sites, memory_order_relaxed);

    if (n == x->max_sites) {
        j->overflow = true;
        return;
    }
    x->sites[n] = (Site) {
        .host = return_address - x->rw,
        .pc = j->pc,
        .pc_size = j->pc_size,
        .recipe = j->f.in_cpu ? R_NONE : j->f.recipe,
        .width = j->f.width,
        .count = j->f.count,
        .a = site_loc(j->f.a),
        .b = site_loc(j->f.b),
    };
    atomic_store_explicit(&x->n_sites, n + 1, memory_order_release); /* other CPUs search */
}

static const Site *find_site(const X64 *x, uint32_t host)
{
    size_t count = atomic_load_explicit(&x->n_sites, memory_order_acquire), low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (x->sites[mid].host < host)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && x->sites[low].host == host ? &x->sites[low] : NULL;
}

/* -- flags of a recipe */

static uint64_t value_of(const Cpu *cpu, SiteLoc l)
{
    uint64_t v = (int64_t)l.value;

    if (l.kind == L_MEM)
        memcpy(&v, (const uint8_t *)cpu + CPU_BIAS + l.value, sizeof(v));
    return v;
}

/* Some flags replaced over those of Cpu. */
static uint32_t over_cpu(const Cpu *cpu, uint32_t mask, uint32_t flags)
{
    return (cpu_flags(cpu) & ~mask) | (flags & mask);
}

static uint32_t slot_flags(const Cpu *cpu, uint32_t mask)
{
    return over_cpu(cpu, mask, cpu->spill[SLOT_FLAG] & 1 ? mask : 0);
}

/* The host's own shift: the flags that the architecture leaves undefined must be the same. */
#define SHIFT_FLAGS(insn, type, value, count)                                                      \
    ({                                                                                             \
        type v_ = (value);                                                                         \
        uint64_t f_;                                                                               \
        __asm__("lea -128(%%rsp), %%rsp; " insn                                                    \
                " %%cl, %0; pushfq; popq %1; lea 128(%%rsp), %%rsp"                                \
                : "+r"(v_), "=&r"(f_)                                                              \
                : "c"((uint8_t)(count))                                                            \
                : "cc", "memory");                                                                 \
        (uint32_t) f_;                                                                             \
    })
#define SHIFT_FLAGS_SIZED(insn, width, value, count)                                               \
    ((width) == IR_8    ? SHIFT_FLAGS(insn "b", uint8_t, value, count)                             \
     : (width) == IR_16 ? SHIFT_FLAGS(insn "w", uint16_t, value, count)                            \
     : (width) == IR_32 ? SHIFT_FLAGS(insn "l", uint32_t, value, count)                            \
                        : SHIFT_FLAGS(insn "q", uint64_t, value, count))

static uint32_t shift_flags(const Cpu *cpu, const Site *s)
{
    uint64_t v = cpu->spill[SLOT_FLAG];

    switch (s->recipe) {
    case R_SHL: return SHIFT_FLAGS_SIZED("shl", s->width, v, s->count);
    case R_SHR: return SHIFT_FLAGS_SIZED("shr", s->width, v, s->count);
    default: return SHIFT_FLAGS_SIZED("sar", s->width, v, s->count);
    }
}

static uint32_t step_flags(const Cpu *cpu, const Site *s, uint64_t result)
{
    uint32_t flags = s->recipe == R_INC ? flags_compute(LAZY(LAZY_ADD, s->width), result, 1)
                                        : flags_compute(LAZY(LAZY_SUB, s->width), result, 1);

    return over_cpu(cpu, FLAGS_NO_C, flags);
}

static uint32_t recipe_flags(const Cpu *cpu, const Site *s)
{
    uint64_t a = value_of(cpu, s->a), b = value_of(cpu, s->b);

    switch ((Recipe)s->recipe) {
    case R_TEST: return flags_compute(LAZY(LAZY_LOGIC, s->width), a & b, 0);
    case R_MUL: return slot_flags(cpu, FLAGS_CO);
    case R_CARRY: return slot_flags(cpu, FLAG_CF);
    case R_SHL:
    case R_SHR:
    case R_SAR: return shift_flags(cpu, s);
    case R_INC:
    case R_DEC: return step_flags(cpu, s, a);
    default: return flags_compute(LAZY((uint32_t)s->recipe, s->width), a, b);
    }
}

void side_restore(X64 *x, Cpu *cpu)
{
    const Site *s = find_site(x, cpu->site - (uintptr_t)x->rx);

    if (!s)
        return;
    uint64_t mask = UINT64_MAX >> (64 - (8 << s->pc_size));

    cpu->pc = (cpu->rip_page + (int64_t)s->pc) & mask;
    if (s->recipe != R_NONE)
        cpu_set_flags(cpu, recipe_flags(cpu, s));
}
