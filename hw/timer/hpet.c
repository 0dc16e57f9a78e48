/*
 * hpet.c - IA-PC HPET specification 1.0a, section 2.3. The counter runs at 100 MHz.
 *
 * The counter follows from the clock; each comparator keeps one host timer for its next match. A
 * level interrupt is its status bit; an edge is a low-high step, after which the line stays high
 * until the next one.
 */
#include "hw/timer/hpet.h"

#include <errno.h>
#include <stdlib.h>

#include "base/math.h"

enum { TIMERS = 3, NS_PER_TICK = 10, WINDOW = 0x400, LEGACY_IRQ_0 = 0, LEGACY_IRQ_1 = 8 };
enum { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0 };
enum { REG_TIMER = 0x100, TIMER_STRIDE = 0x20, T_CONFIG = 0x00, T_COMPARATOR = 0x08 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum { T_LEVEL = 2, T_ENABLE = 4, T_PERIODIC = 8, T_SET_VALUE = 0x40, T_32BIT = 0x100 };
enum { T_ROUTE_SHIFT = 9, T_WRITABLE = 0x3f4e, ROUTES = 0xff0000 };
#define CAPABILITIES                                                                               \
    (UINT64_C(0x8086a201) | (UINT64_C(1000000) * NS_PER_TICK << 32)) /* period in femtoseconds */
#define T_CAPABILITIES (UINT64_C(0x30) | (uint64_t)ROUTES << 32)     /* periodic, 64 bits */

typedef struct Comparator {
    struct Hpet *hpet;
    Timer timer;
    IrqLine irq;
    uint64_t config, value, period;
} Comparator;

struct Hpet {
    Device device;
    Clock *clock;
    IrqInput *inputs;
    void (*legacy)(void *opaque, bool on);
    void *opaque;
    MemRegion window;
    uint64_t config, status;
    uint64_t counter; /* while stopped; while running: its value at clock time 0 */
    Comparator timers[TIMERS];
};

static uint64_t clock_counter(const Hpet *h)
{
    return clock_now(h->clock) / NS_PER_TICK;
}

static bool running(const Hpet *h)
{
    return h->config & CONFIG_ENABLE;
}

static uint64_t counter(const Hpet *h)
{
    return running(h) ? clock_counter(h) + h->counter : h->counter;
}

static uint64_t width_mask(const Comparator *c)
{
    return c->config & T_32BIT ? UINT32_MAX : UINT64_MAX;
}

static bool periodic(const Comparator *c)
{
    return c->config & T_PERIODIC && c->period & width_mask(c);
}

/* --- interrupts --------------------------------------------------------------------------- */

static unsigned number(const Comparator *c)
{
    return c - c->hpet->timers;
}

static IrqInput *route(const Comparator *c)
{
    unsigned pin = c->config >> T_ROUTE_SHIFT & 31;

    if (c->hpet->config & CONFIG_LEGACY && number(c) < 2)
        return &c->hpet->inputs[number(c) ? LEGACY_IRQ_1 : LEGACY_IRQ_0];
    return pin < HPET_INPUTS && ROUTES >> pin & 1 ? &c->hpet->inputs[pin] : NULL;
}

/* The line of a level interrupt is its status bit; other lines only ever drop here. */
static void update_line(Comparator *c)
{
    bool status = c->hpet->status >> number(c) & 1;
    bool on = running(c->hpet) && c->config & T_ENABLE;

    if (c->irq.to != route(c))
        irq_connect(&c->irq, route(c));
    if (c->config & T_LEVEL)
        irq_set(&c->irq, on && status);
    else if (!on)
        irq_set(&c->irq, false);
}

static void raise_irq(Comparator *c)
{
    if (c->config & T_LEVEL) {
        c->hpet->status |= UINT64_C(1) << number(c);
        update_line(c);
    } else if (c->config & T_ENABLE) {
        irq_set(&c->irq, false);
        irq_set(&c->irq, true);
    }
}

/* --- matching ----------------------------------------------------------------------------- */

static void arm(Comparator *c)
{
    uint64_t now = counter(c->hpet), mask = width_mask(c);
    uint64_t left = (c->value - now) & mask;

    if (!running(c->hpet) || left > INT64_MAX / NS_PER_TICK / 2) {
        timer_del(&c->timer); /* not within the next century */
        return;
    }
    if (!left) /* equal right now: that match was seen when it was set or has fired */
        left = periodic(c) ? 1 : mask == UINT32_MAX ? UINT64_C(1) << 32 : 0;
    if (!left) {
        timer_del(&c->timer);
        return;
    }
    timer_mod(&c->timer, (int64_t)(clock_counter(c->hpet) + left) * NS_PER_TICK);
}

/* The next multiple of the period that lies ahead of the counter. */
static void advance(Comparator *c)
{
    uint64_t mask = width_mask(c), period = c->period & mask;
    uint64_t late = (counter(c->hpet) - c->value) & mask;

    c->value = (c->value + (late / period + 1) * period) & mask;
}

static void matched(void *opaque)
{
    Comparator *c = opaque;

    if (periodic(c))
        advance(c);
    raise_irq(c);
    arm(c);
}

/* --- registers ---------------------------------------------------------------------------- */

static uint64_t timer_get(const Comparator *c, unsigned reg)
{
    switch (reg) {
    case T_CONFIG: return c->config | T_CAPABILITIES;
    case T_COMPARATOR: return c->value & width_mask(c);
    default: return 0; /* no FSB interrupts */
    }
}

static uint64_t hpet_get(const Hpet *h, unsigned reg)
{
    unsigned n = (reg - REG_TIMER) / TIMER_STRIDE;

    if (reg >= REG_TIMER)
        return n < TIMERS ? timer_get(&h->timers[n], reg % TIMER_STRIDE) : 0;
    switch (reg) {
    case REG_CAPABILITIES: return CAPABILITIES;
    case REG_CONFIG: return h->config;
    case REG_STATUS: return h->status;
    case REG_COUNTER: return counter(h);
    default: return 0;
    }
}

static void set_comparator(Comparator *c, uint64_t value)
{
    value &= width_mask(c);
    if (!(c->config & T_PERIODIC) || c->config & T_SET_VALUE)
        c->value = value;
    if (c->config & T_PERIODIC)
        c->period = value;
    c->config &= ~(uint64_t)T_SET_VALUE;
}

static void timer_put(Comparator *c, unsigned reg, uint64_t value)
{
    if (reg == T_CONFIG)
        c->config = value & T_WRITABLE;
    else if (reg == T_COMPARATOR)
        set_comparator(c, value);
    else
        return;
    update_line(c);
    arm(c);
}

static void set_config(Hpet *h, uint64_t value)
{
    uint64_t changed = h->config ^ value, now = counter(h);

    h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    h->counter = running(h) ? now - clock_counter(h) : now;
    if (changed & CONFIG_LEGACY)
        h->legacy(h->opaque, value & CONFIG_LEGACY);
    for (int i = 0; i < TIMERS; i++) {
        update_line(&h->timers[i]);
        arm(&h->timers[i]);
    }
}

static void hpet_put(Hpet *h, unsigned reg, uint64_t value)
{
    unsigned n = (reg - REG_TIMER) / TIMER_STRIDE;

    if (reg >= REG_TIMER) {
        if (n < TIMERS)
            timer_put(&h->timers[n], reg % TIMER_STRIDE, value);
    } else if (reg == REG_CONFIG) {
        set_config(h, value);
    } else if (reg == REG_STATUS) {
        h->status &= ~value;
        for (int i = 0; i < TIMERS; i++)
            update_line(&h->timers[i]);
    } else if (reg == REG_COUNTER && !running(h)) {
        h->counter = value;
    }
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return hpet_get(opaque, offset & ~7u) >> 8 * (offset & 7);
}

/* A narrow write changes its part of the register; in the status register, nothing else. */
static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Hpet *h = opaque;
    unsigned reg = offset & ~7u, shift = 8 * (offset & 7);
    uint64_t mask = (size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1) << shift;
    uint64_t old = reg == REG_STATUS ? 0 : hpet_get(h, reg);

    if (reg >= REG_TIMER && reg % TIMER_STRIDE == T_COMPARATOR && shift) {
        unsigned n = (reg - REG_TIMER) / TIMER_STRIDE;

        if (n < TIMERS && h->timers[n].config & T_32BIT)
            return; /* the upper half does not exist in this mode */
    }
    hpet_put(h, reg, (old & ~mask) | (value << shift & mask));
}

static const MemOps window_ops = { .read = window_read, .write = window_write, .max_size = 8 };

/* --- device ------------------------------------------------------------------------------- */

static void hpet_reset(void *opaque)
{
    Hpet *h = opaque;

    h->status = 0;
    for (int i = 0; i < TIMERS; i++) {
        Comparator *c = &h->timers[i];

        c->config = c->period = 0;
        c->value = UINT64_MAX;
    }
    set_config(h, 0);
    h->counter = 0;
}

static int hpet_loaded(void *opaque)
{
    Hpet *h = opaque;

    for (int i = 0; i < TIMERS; i++) {
        h->timers[i].config &= T_WRITABLE;
        update_line(&h->timers[i]);
        arm(&h->timers[i]);
    }
    h->legacy(h->opaque, h->config & CONFIG_LEGACY);
    return 0;
}

static void hpet_destroy(void *opaque)
{
    Hpet *h = opaque;

    for (int i = 0; i < TIMERS; i++)
        timer_del(&h->timers[i].timer);
    free(h);
}

#define COMPARATOR_FIELDS(n)                                                                       \
    SAVED(Hpet, timers[n].config), SAVED(Hpet, timers[n].value), SAVED(Hpet, timers[n].period)

static const SavedField hpet_fields[] = { SAVED(Hpet, config),
                                          SAVED(Hpet, status),
                                          SAVED(Hpet, counter),
                                          COMPARATOR_FIELDS(0),
                                          COMPARATOR_FIELDS(1),
                                          COMPARATOR_FIELDS(2),
                                          SAVED_END };

static const DeviceClass hpet_class = { .name = "hpet",
                                        .reset = hpet_reset,
                                        .loaded = hpet_loaded,
                                        .destroy = hpet_destroy,
                                        .fields = hpet_fields };

Hpet *hpet_new(DeviceList *devices, MemMap *memory, Clock *clock, IrqInput *inputs,
               void (*legacy)(void *opaque, bool on), void *opaque)
{
    Hpet *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->clock = clock;
    h->inputs = inputs;
    h->legacy = legacy;
    h->opaque = opaque;
    for (int i = 0; i < TIMERS; i++) {
        h->timers[i].hpet = h;
        timer_init(&h->timers[i].timer, clock, matched, &h->timers[i]);
    }
    region_init_io(&h->window, "hpet", &window_ops, h, WINDOW);
    memmap_add(memory, &h->window, HPET_BASE_ADDRESS, MEM_PRIO_CHIPSET);
    device_add(devices, &h->device, &hpet_class, h);
    hpet_reset(h);
    return h;
}
