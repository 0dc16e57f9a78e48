/*
 * string_run.c - string instructions as a whole: movs stos lods scas cmps ins outs with REP.
 *
 * A call works in runs: as many elements as lie in one page on each side, inside the segments and
 * the address size. If both pages are plain memory the run is a host copy, fill or scan. Registers
 * are updated after each run and every possible fault comes before a run's first effect, so that a
 * fault leaves exact registers. After RUN_BUDGET elements the call returns: the block jumps to the
 * instruction again, and an interrupt gets its chance.
 */
#include <string.h>

#include "tcg/guest/x86/helpers.h"
#include "tcg/guest/x86/string.h"

enum { RUN_BUDGET = 8192, PAGE = 4096 };

typedef struct {
    Cpu *cpu;
    uint64_t word; /* STR_* */
    unsigned kind, mmu;
    unsigned size; /* bytes of an element */
    uint64_t mask; /* of addresses and the count */
    int64_t step;
    unsigned seg; /* of rSI */
    bool code64;
} String;

static void string_init(String *s, Cpu *cpu, uint64_t word)
{
    s->cpu = cpu;
    s->word = word;
    s->kind = word >> STR_KIND & 15;
    s->size = 1u << (word >> STR_SIZE & 15);
    s->step = word & STR_DOWN ? -(int64_t)s->size : (int64_t)s->size;
    s->seg = word >> STR_SEG & 15;
    s->mmu = x86_mmu(cpu);
    s->code64 = (cpu->mode & MODE_CODE) == MODE_CODE64;
    unsigned bits = 8u << (word >> STR_ASIZE & 15);
    s->mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static uint64_t get(const String *s, unsigned reg)
{
    return s->cpu->gpr[reg] & s->mask;
}

/* A write by the address size: 16 bits keep the rest, 32 bits clear the upper half. */
static void put(const String *s, unsigned reg, uint64_t v)
{
    uint64_t *r = &s->cpu->gpr[reg];

    *r = s->mask == 0xffff ? (*r & ~UINT64_C(0xffff)) | (v & 0xffff) : v & s->mask;
}

/* -- one side of a run */

typedef struct {
    unsigned reg, seg;
    bool write;
    uint64_t va;   /* linear address of the first element */
    uint8_t *host; /* of the first element, NULL: not plain memory, or it crosses a page */
} Side;

/* Elements from offset `at` up to `end` (one past), in the direction of the step. */
static uint64_t room(const String *s, uint64_t at, uint64_t end)
{
    if (s->step < 0)
        return at / s->size + 1;
    return (end - at) / s->size;
}

static uint64_t at_most(uint64_t n, uint64_t max)
{
    return n < max ? n : max;
}

/* How many of `n` elements may be done without asking the segment again; the first was checked. */
static uint64_t within_segment(const String *s, const Side *side, uint64_t off, uint64_t n)
{
    const SegWindow *w = &s->cpu->seg[side->seg];
    uint64_t end = side->write ? w->write_end : w->read_end;

    if (s->code64)
        return n;
    if (off + s->size > end)
        return 1; /* expand-down or nothing at all: each element is checked alone */
    return at_most(n, room(s, off, end));
}

/* Check and locate the first element; returns how many of `n` the side allows. May raise. */
static uint64_t side_start(const String *s, Side *side, uint64_t n)
{
    uint64_t off = get(s, side->reg);

    side->va = x86_linear(x86(s->cpu), side->seg, off, s->size, side->write);
    side->host = NULL;
    uint64_t in_page = side->va & (PAGE - 1);
    if (in_page + s->size > PAGE)
        return 1;
    side->host = cpu_host_ptr(s->cpu, side->va, side->write ? ACCESS_WRITE : ACCESS_READ, s->mmu);
    if (!side->host)
        return 1;
    n = at_most(n, room(s, in_page, PAGE));
    if (s->mask != UINT64_MAX) {
        uint64_t wrap = room(s, off, s->mask + 1);
        n = at_most(n, wrap ? wrap : 1);
    }
    return within_segment(s, side, off, n);
}

static uint64_t load(const String *s, const Side *side)
{
    uint64_t v = 0;

    if (side->host) {
        memcpy(&v, side->host, s->size);
        return v;
    }
    switch (s->size) {
    case 1: return cpu_ld8(s->cpu, side->va, s->mmu);
    case 2: return cpu_ld16(s->cpu, side->va, s->mmu);
    case 4: return cpu_ld32(s->cpu, side->va, s->mmu);
    default: return cpu_ld64(s->cpu, side->va, s->mmu);
    }
}

static void store(const String *s, const Side *side, uint64_t v)
{
    if (side->host) {
        memcpy(side->host, &v, s->size);
        return;
    }
    switch (s->size) {
    case 1: cpu_st8(s->cpu, side->va, v, s->mmu); break;
    case 2: cpu_st16(s->cpu, side->va, v, s->mmu); break;
    case 4: cpu_st32(s->cpu, side->va, v, s->mmu); break;
    default: cpu_st64(s->cpu, side->va, v, s->mmu); break;
    }
}

static void side_advance(const String *s, const Side *side, uint64_t n)
{
    put(s, side->reg, get(s, side->reg) + n * (uint64_t)s->step);
}

static Side source(const String *s)
{
    return (Side) { .reg = RSI, .seg = s->seg };
}

static Side destination(const String *s, bool write)
{
    (void)s;
    return (Side) { .reg = RDI, .seg = SEG_ES, .write = write };
}

/* -- movs */

/* Element by element, as the CPU does: a destination just ahead of the source repeats a pattern. */
static void copy_elements(const String *s, uint8_t *to, const uint8_t *from, uint64_t n)
{
    for (; n; n--, to += s->step, from += s->step) {
        uint64_t v;

        memcpy(&v, from, s->size);
        memcpy(to, &v, s->size);
    }
}

static void copy_run(const String *s, uint8_t *to, const uint8_t *from, uint64_t n)
{
    uint64_t bytes = n * s->size, ahead = s->step > 0 ? (uintptr_t)to - (uintptr_t)from
                                                      : (uintptr_t)from - (uintptr_t)to;

    if (ahead != 0 && ahead < bytes) {
        copy_elements(s, to, from, n);
    } else {
        uint64_t back = s->step > 0 ? 0 : bytes - s->size;
        memmove(to - back, from - back, bytes);
    }
}

static uint64_t run_movs(String *s, uint64_t n)
{
    Side from = source(s), to = destination(s, true);

    n = side_start(s, &from, n);
    n = side_start(s, &to, n);
    if (from.host && to.host) {
        copy_run(s, to.host, from.host, n);
    } else {
        n = 1;
        store(s, &to, load(s, &from));
    }
    side_advance(s, &from, n);
    side_advance(s, &to, n);
    return n;
}

/* -- stos, lods */

static void fill(const String *s, uint8_t *to, uint64_t v, uint64_t n)
{
    if (s->step < 0)
        to -= (n - 1) * s->size;
    if (s->size == 1) {
        memset(to, (int)v, n);
        return;
    }
    for (; n; n--, to += s->size)
        memcpy(to, &v, s->size);
}

static uint64_t run_stos(String *s, uint64_t n)
{
    Side to = destination(s, true);
    uint64_t v = s->cpu->gpr[RAX];

    n = side_start(s, &to, n);
    if (to.host)
        fill(s, to.host, v, n);
    else
        store(s, &to, v);
    side_advance(s, &to, n);
    return n;
}

static void set_accumulator(const String *s, uint64_t v)
{
    uint64_t *rax = &s->cpu->gpr[RAX];

    if (s->size >= 4)
        *rax = v;
    else
        *rax = s->size == 2 ? (*rax & ~UINT64_C(0xffff)) | v : (*rax & ~UINT64_C(0xff)) | v;
}

/* Only the last element of a run stays in the accumulator. */
static uint64_t run_lods(String *s, uint64_t n)
{
    Side from = source(s);

    n = side_start(s, &from, n);
    if (from.host)
        from.host += (int64_t)(n - 1) * s->step;
    set_accumulator(s, load(s, &from));
    side_advance(s, &from, n);
    return n;
}

/* -- scas, cmps: `a - b` sets the flags as CMP does */

static bool compare(const String *s, uint64_t a, uint64_t b)
{
    Cpu *cpu = s->cpu;
    unsigned shift = 64 - 8 * s->size;

    cpu->cc_lazy = LAZY(LAZY_CMP, s->word >> STR_SIZE & 15);
    cpu->cc_a = a;
    cpu->cc_b = b;
    return (a ^ b) << shift == 0;
}

/* True if a repeated scan stops after an element that compared so. */
static bool scan_stops(const String *s, bool equal)
{
    return equal != !!(s->word & STR_WHILE_EQUAL);
}

static uint64_t element(const String *s, const uint8_t *p)
{
    uint64_t v = 0;

    memcpy(&v, p, s->size);
    return v;
}

/* The number of elements scanned, the one that stops included. */
static uint64_t scan(const String *s, const uint8_t *a, const uint8_t *b, uint64_t n, bool *stop)
{
    uint64_t acc = s->cpu->gpr[RAX], va = acc, vb = 0, i = 0;

    do {
        va = a ? element(s, a + (int64_t)i * s->step) : acc;
        vb = element(s, b + (int64_t)i * s->step);
        i++;
        *stop = scan_stops(s, (va ^ vb) << (64 - 8 * s->size) == 0);
    } while (!*stop && i < n);
    compare(s, va, vb);
    return i;
}

/* REPNE SCASB upwards is memchr. */
static uint64_t scan_byte(const String *s, const uint8_t *b, uint64_t n, bool *stop)
{
    uint8_t al = (uint8_t)s->cpu->gpr[RAX];
    const uint8_t *hit = memchr(b, al, n);
    uint64_t done = hit ? (uint64_t)(hit - b) + 1 : n;

    *stop = hit != NULL;
    compare(s, al, b[done - 1]);
    return done;
}

static uint64_t run_scas(String *s, uint64_t n, bool *stop)
{
    Side at = destination(s, false);

    n = side_start(s, &at, n);
    if (!at.host)
        *stop = scan_stops(s, compare(s, s->cpu->gpr[RAX], load(s, &at)));
    else if (s->size == 1 && s->step > 0 && !(s->word & STR_WHILE_EQUAL))
        n = scan_byte(s, at.host, n, stop);
    else
        n = scan(s, NULL, at.host, n, stop);
    side_advance(s, &at, n);
    return n;
}

static uint64_t run_cmps(String *s, uint64_t n, bool *stop)
{
    Side a = source(s), b = destination(s, false);

    n = side_start(s, &a, n);
    n = side_start(s, &b, n);
    if (a.host && b.host) {
        n = scan(s, a.host, b.host, n, stop);
    } else {
        n = 1;
        uint64_t va = load(s, &a);
        *stop = scan_stops(s, compare(s, va, load(s, &b)));
    }
    side_advance(s, &a, n);
    side_advance(s, &b, n);
    return n;
}

/* -- ins, outs: one element; the memory is checked before the port is touched */

static uint64_t run_ins(String *s)
{
    X86Cpu *x = x86(s->cpu);
    Side to = destination(s, true);
    uint16_t port = (uint16_t)s->cpu->gpr[RDX];

    x86_check_io(x, port, s->size);
    side_start(s, &to, 1);
    if (!to.host)
        cpu_probe(s->cpu, to.va, s->size, ACCESS_WRITE, s->mmu);
    store(s, &to, x86_io_read(x, port, s->size));
    side_advance(s, &to, 1);
    return 1;
}

static uint64_t run_outs(String *s)
{
    X86Cpu *x = x86(s->cpu);
    Side from = source(s);
    uint16_t port = (uint16_t)s->cpu->gpr[RDX];

    x86_check_io(x, port, s->size);
    side_start(s, &from, 1);
    x86_io_write(x, port, load(s, &from), s->size);
    side_advance(s, &from, 1);
    return 1;
}

/* -- the instruction */

static uint64_t run(String *s, uint64_t n, bool *stop)
{
    switch (s->kind) {
    case STR_MOVS: return run_movs(s, n);
    case STR_STOS: return run_stos(s, n);
    case STR_LODS: return run_lods(s, n);
    case STR_SCAS: return run_scas(s, n, stop);
    case STR_CMPS: return run_cmps(s, n, stop);
    case STR_INS: return run_ins(s);
    default: return run_outs(s);
    }
}

static uint64_t string_run(Cpu *cpu, uint64_t word)
{
    String s;
    uint64_t left, budget = word & STR_ONE ? 1 : RUN_BUDGET;
    bool stop = false;

    string_init(&s, cpu, word);
    if (!(word & STR_REP)) {
        run(&s, 1, &stop);
        return 0;
    }
    while ((left = get(&s, RCX)) != 0 && budget != 0 && !stop) {
        uint64_t done = run(&s, at_most(left, budget), &stop);
        put(&s, RCX, left - done);
        budget -= done;
    }
    return left != 0 && !stop;
}

const IrHelper x86_h_string = { "string", string_run,
                                HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G };
const IrHelper x86_h_string_scan = {
    "string_scan", string_run, HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G | HELPER_FLAGS
};
const IrHelper x86_h_string_io = { "string_io", string_run,
                                   HELPER_FAULTS | HELPER_READS_G | HELPER_WRITES_G | HELPER_IO };
