/*
 * lapic.c - local APICs in xAPIC mode (Intel SDM volume 3, chapter 11).
 *
 * INTR is a pure function of state: update_intr() compares IRR with the processor priority and adds
 * the 8259, which reaches every CPU's LINT0. All APICs answer at one address; hooks.current_cpu
 * tells whose registers an access means.
 */
#include "hw/intc/lapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"

enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR_LOW = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_INITIAL_COUNT = 0x38,
    REG_CURRENT_COUNT = 0x39,
    REG_DIVIDE = 0x3e,
};
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum { LVT_MASKED = 0x10000, LVT_DELIVERY_SHIFT = 8 };
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };
enum { SVR_ENABLED = 0x100, SVR_NO_EOI_BROADCAST = 0x1000, SVR_MASK = 0x13ff };
enum { ESR_SEND_VECTOR = 0x20, ESR_RECEIVE_VECTOR = 0x40, ESR_REGISTER = 0x80 };
enum { BASE_BSP = 0x100, BASE_X2APIC = 0x400, BASE_ENABLED = 0x800, APIC_WINDOW = 0x1000 };
enum { ICR_LOGICAL = 0x800, ICR_ASSERT = 0x4000, ICR_LEVEL = 0x8000, BROADCAST = 0xff };
enum { FIRST_VECTOR = 16, VERSION = 0x14 | (LVT_COUNT - 1) << 16 | 1 << 24, WORDS = 8 };
#define DEFAULT_BASE UINT64_C(0xfee00000)

typedef struct Lapic {
    Device device;
    LapicBus *bus;
    unsigned cpu;
    bool intr; /* INTR as the CPU knows it */
    Timer timer;
    uint64_t base;
    uint8_t id, tpr;
    uint32_t ldr, dfr, svr, esr, esr_pending, icr_low, icr_high;
    uint32_t isr[WORDS], tmr[WORDS], irr[WORDS];
    uint32_t lvt[LVT_COUNT];
    uint32_t initial_count, divide;
    int64_t timer_start; /* when the initial count was written */
    bool expired;        /* one shot: the interrupt for it was made */
    uint64_t tsc_deadline;
} Lapic;

struct LapicBus {
    LapicHooks hooks;
    Clock *clock;
    MemMap *memory;
    MemRegion window;
    unsigned count;
    Device device; /* frees the bus itself, after its APICs */
    Lapic apics[];
};

/* --- priorities --------------------------------------------------------------------------- */

static bool bit_get(const uint32_t *bits, unsigned n)
{
    return bits[n / 32] >> n % 32 & 1;
}

static void bit_set(uint32_t *bits, unsigned n)
{
    bits[n / 32] |= UINT32_C(1) << n % 32;
}

static void bit_clear(uint32_t *bits, unsigned n)
{
    bits[n / 32] &= ~(UINT32_C(1) << n % 32);
}

static int highest(const uint32_t *bits)
{
    for (int i = WORDS - 1; i >= 0; i--)
        if (bits[i])
            return 32 * i + 31 - __builtin_clz(bits[i]);
    return -1;
}

static uint8_t ppr(const Lapic *a)
{
    int in_service = highest(a->isr);

    if (in_service >= 0 && (in_service & 0xf0) > (a->tpr & 0xf0))
        return in_service & 0xf0;
    return a->tpr;
}

static bool enabled(const Lapic *a)
{
    return a->base & BASE_ENABLED && a->svr & SVR_ENABLED;
}

/* The vector that the CPU could take from its own APIC, or -1. */
static int pending_vector(const Lapic *a)
{
    int vector = highest(a->irr);

    return enabled(a) && vector >= 0 && (vector & 0xf0) > (ppr(a) & 0xf0) ? vector : -1;
}

static LapicDelivery lvt_delivery(uint32_t lvt)
{
    return lvt >> LVT_DELIVERY_SHIFT & 7;
}

/* Does the 8259 reach this CPU as an external interrupt? */
static bool accepts_ext(const Lapic *a)
{
    uint32_t lint0 = a->lvt[LVT_LINT0];

    if (!(a->base & BASE_ENABLED))
        return true; /* without its APIC, the pin is the CPU's INTR */
    return !(lint0 & LVT_MASKED) && lvt_delivery(lint0) == LAPIC_EXTINT;
}

static bool ext_pending(const Lapic *a)
{
    return accepts_ext(a) && a->bus->hooks.ext_level(a->bus->hooks.opaque);
}

static void update_intr(Lapic *a)
{
    bool level = pending_vector(a) >= 0 || ext_pending(a);

    if (level == a->intr)
        return;
    a->intr = level;
    a->bus->hooks.intr(a->bus->hooks.opaque, a->cpu, level);
}

/* --- taking and ending interrupts --------------------------------------------------------- */

static void raise_error(Lapic *a, uint32_t bit);

static void set_irr(Lapic *a, uint8_t vector, bool level)
{
    if (vector < FIRST_VECTOR) {
        raise_error(a, ESR_RECEIVE_VECTOR);
        return;
    }
    bit_set(a->irr, vector);
    if (level)
        bit_set(a->tmr, vector);
    else
        bit_clear(a->tmr, vector);
    update_intr(a);
}

static void local_interrupt(Lapic *a, unsigned entry)
{
    uint32_t lvt = a->lvt[entry];
    const LapicHooks *hooks = &a->bus->hooks;

    if (lvt & LVT_MASKED)
        return;
    switch (entry == LVT_TIMER || entry == LVT_ERROR ? LAPIC_FIXED : lvt_delivery(lvt)) {
    case LAPIC_FIXED: set_irr(a, lvt, false); break;
    case LAPIC_SMI: hooks->smi(hooks->opaque, a->cpu); break;
    case LAPIC_NMI: hooks->nmi(hooks->opaque, a->cpu); break;
    case LAPIC_INIT: hooks->init(hooks->opaque, a->cpu); break;
    default: break; /* ExtINT is handled as a level */
    }
}

static void raise_error(Lapic *a, uint32_t bit)
{
    bool again = a->esr_pending & bit; /* an illegal vector in the error entry itself ends here */

    a->esr_pending |= bit;
    if (!again)
        local_interrupt(a, LVT_ERROR);
}

void lapic_ext_changed(LapicBus *bus)
{
    bool level = bus->hooks.ext_level(bus->hooks.opaque);

    for (unsigned i = 0; i < bus->count; i++) {
        Lapic *a = &bus->apics[i];

        if (level && a->base & BASE_ENABLED)
            local_interrupt(a, LVT_LINT0);
        update_intr(a);
    }
}

int lapic_ack(LapicBus *bus, unsigned cpu)
{
    Lapic *a = &bus->apics[cpu];
    int vector = pending_vector(a);

    if (vector >= 0) {
        bit_clear(a->irr, vector);
        bit_set(a->isr, vector);
    } else if (ext_pending(a)) {
        vector = bus->hooks.ext_ack(bus->hooks.opaque);
    }
    update_intr(a);
    return vector;
}

static void end_of_interrupt(Lapic *a)
{
    int vector = highest(a->isr);

    if (vector < 0)
        return;
    bit_clear(a->isr, vector);
    if (bit_get(a->tmr, vector) && !(a->svr & SVR_NO_EOI_BROADCAST))
        a->bus->hooks.eoi(a->bus->hooks.opaque, vector);
    update_intr(a);
}

/* --- messages between APICs --------------------------------------------------------------- */

static bool is_addressed(const Lapic *a, uint8_t destination, bool logical)
{
    uint8_t ldr = a->ldr >> 24;

    if (!(a->base & BASE_ENABLED))
        return false;
    if (!logical)
        return destination == BROADCAST || destination == a->id;
    if (a->dfr >> 28 == 0xf) /* flat model */
        return ldr & destination;
    return (destination >> 4 == 0xf || destination >> 4 == ldr >> 4) && ldr & destination & 0x0f;
}

static void deliver_to(Lapic *a, const LapicMessage *m)
{
    const LapicHooks *hooks = &a->bus->hooks;

    switch (m->delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        if (enabled(a))
            set_irr(a, m->vector, m->level);
        break;
    case LAPIC_SMI: hooks->smi(hooks->opaque, a->cpu); break;
    case LAPIC_NMI: hooks->nmi(hooks->opaque, a->cpu); break;
    case LAPIC_INIT: hooks->init(hooks->opaque, a->cpu); break;
    case LAPIC_STARTUP: hooks->startup(hooks->opaque, a->cpu, m->vector); break;
    case LAPIC_EXTINT: break; /* comes as a level through LINT0 */
    }
}

static Lapic *lowest_priority(LapicBus *bus, const LapicMessage *m)
{
    Lapic *best = NULL;

    for (unsigned i = 0; i < bus->count; i++) {
        Lapic *a = &bus->apics[i];

        if (is_addressed(a, m->destination, m->logical) && enabled(a) &&
            (!best || ppr(a) < ppr(best)))
            best = a;
    }
    return best;
}

void lapic_deliver(LapicBus *bus, const LapicMessage *m)
{
    if (m->delivery == LAPIC_LOWEST) {
        Lapic *a = lowest_priority(bus, m);

        if (a)
            deliver_to(a, m);
        return;
    }
    for (unsigned i = 0; i < bus->count; i++)
        if (is_addressed(&bus->apics[i], m->destination, m->logical))
            deliver_to(&bus->apics[i], m);
}

static void send_icr(Lapic *a)
{
    LapicBus *bus = a->bus;
    uint32_t icr = a->icr_low;
    unsigned shorthand = icr >> 18 & 3;
    LapicMessage m = {
        .destination = a->icr_high >> 24,
        .logical = icr & ICR_LOGICAL,
        .delivery = icr >> 8 & 7,
        .vector = icr,
    };

    if ((icr >> 8 & 7) == 3)
        return; /* reserved */
    if (m.delivery == LAPIC_INIT && icr & ICR_LEVEL && !(icr & ICR_ASSERT))
        return; /* INIT level de-assert: only synchronised arbitration IDs, once */
    if (m.delivery <= LAPIC_LOWEST && m.vector < FIRST_VECTOR) {
        raise_error(a, ESR_SEND_VECTOR);
        return;
    }
    if (shorthand == 0) {
        lapic_deliver(bus, &m);
        return;
    }
    for (unsigned i = 0; i < bus->count; i++) {
        bool self = &bus->apics[i] == a;

        if (shorthand == 1 ? self : shorthand == 2 || !self)
            deliver_to(&bus->apics[i], &m);
    }
}

/* --- timer (runs at 1 GHz before the divider) --------------------------------------------- */

static unsigned timer_mode(const Lapic *a)
{
    return a->lvt[LVT_TIMER] >> 17 & 3;
}

/* Bits 3, 1, 0 of the divide register: 2, 4, ... 128, 1. */
static unsigned divider_log2(const Lapic *a)
{
    return (((a->divide >> 1 & 4) | (a->divide & 3)) + 1) & 7;
}

static uint32_t current_count(const Lapic *a)
{
    int64_t elapsed = clock_now(a->bus->clock) - a->timer_start;
    uint64_t ticks = (uint64_t)MAX(elapsed, 0) >> divider_log2(a);

    if (!a->initial_count || timer_mode(a) == TIMER_TSC_DEADLINE)
        return 0;
    if (timer_mode(a) == TIMER_PERIODIC)
        return a->initial_count - ticks % a->initial_count;
    return ticks < a->initial_count ? a->initial_count - ticks : 0;
}

static void arm_deadline(Lapic *a)
{
    const LapicHooks *hooks = &a->bus->hooks;
    uint64_t tsc;

    if (!a->tsc_deadline || !hooks->tsc || !hooks->tsc_hz) {
        timer_del(&a->timer);
        return;
    }
    tsc = hooks->tsc(hooks->opaque, a->cpu);
    uint64_t left = a->tsc_deadline > tsc ? a->tsc_deadline - tsc : 0;
    unsigned __int128 ns = ((unsigned __int128)left * NS_PER_S + hooks->tsc_hz - 1) / hooks->tsc_hz;
    int64_t now = clock_now(a->bus->clock);

    timer_mod(&a->timer, ns > (uint64_t)(INT64_MAX - now) ? INT64_MAX - 1 : now + (int64_t)ns);
}

static void arm_count(Lapic *a)
{
    uint64_t period = (uint64_t)a->initial_count << divider_log2(a);
    int64_t now = clock_now(a->bus->clock);
    uint64_t elapsed = MAX(now - a->timer_start, 0);
    bool one_shot = timer_mode(a) == TIMER_ONE_SHOT;

    if (!period || (one_shot && a->expired))
        timer_del(&a->timer);
    else if (one_shot) /* also if that has passed already: a guest waits for it */
        timer_mod(&a->timer, a->timer_start + (int64_t)period);
    else
        timer_mod(&a->timer, a->timer_start + (int64_t)((elapsed / period + 1) * period));
}

static void arm_timer(Lapic *a)
{
    if (timer_mode(a) == TIMER_TSC_DEADLINE)
        arm_deadline(a);
    else
        arm_count(a);
}

static void timer_fired(void *opaque)
{
    Lapic *a = opaque;
    const LapicHooks *hooks = &a->bus->hooks;

    if (timer_mode(a) == TIMER_TSC_DEADLINE) {
        if (hooks->tsc && hooks->tsc(hooks->opaque, a->cpu) < a->tsc_deadline) {
            arm_deadline(a); /* the two clocks differ by a rounding error */
            return;
        }
        a->tsc_deadline = 0;
    }
    a->expired = timer_mode(a) == TIMER_ONE_SHOT;
    local_interrupt(a, LVT_TIMER);
    arm_timer(a);
}

uint64_t lapic_tsc_deadline(LapicBus *bus, unsigned cpu)
{
    return bus->apics[cpu].tsc_deadline;
}

void lapic_set_tsc_deadline(LapicBus *bus, unsigned cpu, uint64_t value)
{
    Lapic *a = &bus->apics[cpu];

    if (timer_mode(a) != TIMER_TSC_DEADLINE)
        return;
    a->tsc_deadline = value;
    arm_timer(a);
}

/* --- registers ---------------------------------------------------------------------------- */

static uint32_t read_register(Lapic *a, unsigned reg)
{
    if (reg >= REG_ISR && reg < REG_ISR + WORDS)
        return a->isr[reg - REG_ISR];
    if (reg >= REG_TMR && reg < REG_TMR + WORDS)
        return a->tmr[reg - REG_TMR];
    if (reg >= REG_IRR && reg < REG_IRR + WORDS)
        return a->irr[reg - REG_IRR];
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
        return a->lvt[reg - REG_LVT];
    switch (reg) {
    case REG_ID: return (uint32_t)a->id << 24;
    case REG_VERSION: return VERSION;
    case REG_TPR: return a->tpr;
    case REG_APR:
    case REG_PPR: return ppr(a);
    case REG_LDR: return a->ldr;
    case REG_DFR: return a->dfr;
    case REG_SVR: return a->svr;
    case REG_ESR: return a->esr;
    case REG_ICR_LOW: return a->icr_low;
    case REG_ICR_HIGH: return a->icr_high;
    case REG_INITIAL_COUNT: return a->initial_count;
    case REG_CURRENT_COUNT: return current_count(a);
    case REG_DIVIDE: return a->divide;
    case REG_EOI: return 0;
    default: raise_error(a, ESR_REGISTER); return 0;
    }
}

static int64_t period_start(const Lapic *a)
{
    int64_t period = (int64_t)a->initial_count << divider_log2(a);
    int64_t elapsed = MAX(clock_now(a->bus->clock) - a->timer_start, 0);

    return period ? a->timer_start + elapsed / period * period : a->timer_start;
}

static void write_lvt(Lapic *a, unsigned entry, uint32_t value)
{
    static const uint32_t writable[LVT_COUNT] = { 0x700ff, 0x107ff, 0x107ff,
                                                  0x1a7ff, 0x1a7ff, 0x100ff };
    unsigned old_mode = timer_mode(a);

    value &= writable[entry];
    if (!(a->svr & SVR_ENABLED))
        value |= LVT_MASKED;
    a->lvt[entry] = value;
    if (entry == LVT_TIMER && timer_mode(a) != old_mode) {
        if (old_mode == TIMER_PERIODIC) /* the rest of this period is what is left to count */
            a->timer_start = period_start(a);
        if (old_mode == TIMER_TSC_DEADLINE || timer_mode(a) == TIMER_TSC_DEADLINE) {
            a->tsc_deadline = 0; /* changing to or from deadline mode disarms */
            a->initial_count = 0;
        }
        arm_timer(a);
    }
}

static void write_svr(Lapic *a, uint32_t value)
{
    a->svr = value & SVR_MASK;
    if (!(value & SVR_ENABLED))
        for (int i = 0; i < LVT_COUNT; i++)
            a->lvt[i] |= LVT_MASKED;
}

static void write_register(Lapic *a, unsigned reg, uint32_t value)
{
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        write_lvt(a, reg - REG_LVT, value);
        return;
    }
    switch (reg) {
    case REG_ID: a->id = value >> 24; break;
    case REG_TPR: a->tpr = value; break;
    case REG_EOI: end_of_interrupt(a); break;
    case REG_LDR: a->ldr = value & 0xff000000; break;
    case REG_DFR: a->dfr = value | 0x0fffffff; break;
    case REG_SVR: write_svr(a, value); break;
    case REG_ESR:
        a->esr = a->esr_pending;
        a->esr_pending = 0;
        break;
    case REG_ICR_LOW:
        a->icr_low = value & 0xccfff;
        send_icr(a);
        break;
    case REG_ICR_HIGH: a->icr_high = value & 0xff000000; break;
    case REG_INITIAL_COUNT:
        if (timer_mode(a) == TIMER_TSC_DEADLINE)
            break;
        a->initial_count = value;
        a->timer_start = clock_now(a->bus->clock);
        a->expired = false;
        arm_timer(a);
        break;
    case REG_DIVIDE:
        a->divide = value & 0x0b;
        arm_timer(a);
        break;
    case REG_VERSION:
    case REG_PPR:
    case REG_CURRENT_COUNT: break;
    default: raise_error(a, ESR_REGISTER); break;
    }
}

static Lapic *accessed(LapicBus *bus)
{
    unsigned cpu = bus->hooks.current_cpu ? bus->hooks.current_cpu(bus->hooks.opaque) : 0;

    return cpu < bus->count ? &bus->apics[cpu] : &bus->apics[0];
}

/* Registers are 32 bits wide at multiples of 16 bytes; what lies between is undefined. */
static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    Lapic *a = accessed(opaque);

    (void)size;
    if (offset & 15 || !(a->base & BASE_ENABLED))
        return 0;
    return read_register(a, offset >> 4);
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Lapic *a = accessed(opaque);

    (void)size;
    if (offset & 15 || !(a->base & BASE_ENABLED))
        return;
    write_register(a, offset >> 4, value);
    update_intr(a);
}

static const MemOps window_ops = { .read = window_read, .write = window_write, .max_size = 4 };

/* --- for the CPU -------------------------------------------------------------------------- */

uint8_t lapic_tpr(LapicBus *bus, unsigned cpu)
{
    return bus->apics[cpu].tpr;
}

void lapic_set_tpr(LapicBus *bus, unsigned cpu, uint8_t tpr)
{
    bus->apics[cpu].tpr = tpr;
    update_intr(&bus->apics[cpu]);
}

uint64_t lapic_base(LapicBus *bus, unsigned cpu)
{
    return bus->apics[cpu].base;
}

/* The window is one for all CPUs: it follows the bootstrap processor's register. */
int lapic_set_base(LapicBus *bus, unsigned cpu, uint64_t value)
{
    Lapic *a = &bus->apics[cpu];
    uint64_t reserved = ~(uint64_t)((UINT64_C(0xfffffffff) << 12) | BASE_ENABLED | BASE_BSP);

    if (value & (reserved | BASE_X2APIC))
        return -EINVAL;
    a->base = (value & ~(uint64_t)BASE_BSP) | (a->base & BASE_BSP);
    if (a->base & BASE_BSP)
        region_move(&bus->window, a->base & ~UINT64_C(0xfff));
    update_intr(a);
    return 0;
}

void lapic_cpu_init(LapicBus *bus, unsigned cpu)
{
    Lapic *a = &bus->apics[cpu];

    timer_del(&a->timer);
    a->tpr = 0;
    a->ldr = a->esr = a->esr_pending = a->icr_low = a->icr_high = 0;
    a->dfr = UINT32_MAX;
    a->svr = 0xff;
    memset(a->isr, 0, sizeof(a->isr));
    memset(a->tmr, 0, sizeof(a->tmr));
    memset(a->irr, 0, sizeof(a->irr));
    for (int i = 0; i < LVT_COUNT; i++)
        a->lvt[i] = LVT_MASKED;
    if (a->base & BASE_BSP) /* virtual wire mode, as firmware of this machine expects to find it */
        a->lvt[LVT_LINT0] = LAPIC_EXTINT << LVT_DELIVERY_SHIFT;
    a->initial_count = a->divide = 0;
    a->timer_start = 0;
    a->expired = false;
    a->tsc_deadline = 0;
    update_intr(a);
}

/* --- device ------------------------------------------------------------------------------- */

static void lapic_reset(void *opaque)
{
    Lapic *a = opaque;

    a->id = a->cpu;
    a->base = DEFAULT_BASE | BASE_ENABLED | (a->cpu == 0 ? BASE_BSP : 0);
    if (a->cpu == 0)
        region_move(&a->bus->window, DEFAULT_BASE);
    lapic_cpu_init(a->bus, a->cpu);
}

static int lapic_loaded(void *opaque)
{
    Lapic *a = opaque;

    a->divide &= 0x0b;
    if (lapic_set_base(a->bus, a->cpu, a->base) < 0)
        return -EINVAL;
    arm_timer(a);
    return 0;
}

static const SavedField lapic_fields[] = {
    SAVED(Lapic, base),
    SAVED(Lapic, id),
    SAVED(Lapic, tpr),
    SAVED(Lapic, ldr),
    SAVED(Lapic, dfr),
    SAVED(Lapic, svr),
    SAVED(Lapic, esr),
    SAVED(Lapic, esr_pending),
    SAVED(Lapic, icr_low),
    SAVED(Lapic, icr_high),
    SAVED_ARRAY(Lapic, isr),
    SAVED_ARRAY(Lapic, tmr),
    SAVED_ARRAY(Lapic, irr),
    SAVED_ARRAY(Lapic, lvt),
    SAVED(Lapic, initial_count),
    SAVED(Lapic, divide),
    SAVED(Lapic, timer_start),
    SAVED(Lapic, expired),
    SAVED(Lapic, tsc_deadline),
    SAVED_END,
};

static void lapic_destroy(void *opaque)
{
    timer_del(&((Lapic *)opaque)->timer);
}

static const DeviceClass lapic_class = { .name = "lapic",
                                         .reset = lapic_reset,
                                         .loaded = lapic_loaded,
                                         .destroy = lapic_destroy,
                                         .fields = lapic_fields };

static void bus_reset(void *opaque)
{
    (void)opaque; /* its APICs are devices of their own */
}

static const DeviceClass bus_class = { .name = "lapic-bus", .reset = bus_reset, .destroy = free };

LapicBus *lapic_bus_new(DeviceList *devices, MemMap *memory, Clock *clock, unsigned cpus,
                        const LapicHooks *hooks)
{
    LapicBus *bus = calloc(1, sizeof(*bus) + cpus * sizeof(Lapic));

    if (!bus)
        return NULL;
    bus->hooks = *hooks;
    bus->clock = clock;
    bus->memory = memory;
    bus->count = cpus;
    region_init_io(&bus->window, "lapic", &window_ops, bus, APIC_WINDOW);
    memmap_add(memory, &bus->window, DEFAULT_BASE, MEM_PRIO_CHIPSET);
    for (unsigned i = 0; i < cpus; i++) {
        Lapic *a = &bus->apics[i];

        a->bus = bus;
        a->cpu = i;
        timer_init(&a->timer, clock, timer_fired, a);
        device_add(devices, &a->device, &lapic_class, a);
        lapic_reset(a);
    }
    device_add(devices, &bus->device, &bus_class, bus);
    return bus;
}
