/*
 * i8254.c - 8254 interval timer, all six modes (Intel 8254 data sheet), speaker port 61h.
 *
 * A channel is not stepped: its count and output follow from the ticks since it was loaded. Only
 * channel 0 needs a timer, for the edges of its interrupt. A new count is loaded at once, also in
 * the periodic modes where the chip would finish the running period first.
 *
 * Guests count periodic interrupts as time. Those that a busy host let slip are made up for, in
 * quick succession but not all at once, so that the guest sees each.
 */
#include "hw/timer/i8254.h"

#include <stdlib.h>

enum { CHANNELS = 3, ACCESS_LATCH = 0, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { PORT61_GATE = 0x01, PORT61_SPEAKER = 0x02, PORT61_REFRESH = 0x10, PORT61_OUT = 0x20 };
enum { REFRESH_NS = 15085, CATCH_UP_SPEED = 4, OWED_MAX = 100 };

typedef struct Channel {
    uint32_t reload; /* 1..65536 */
    int64_t start;   /* when counting began, or as if it had */
    int64_t held;    /* ticks counted when the gate stopped it, or -1 */
    uint8_t mode, access;
    bool bcd, gate;
    bool loaded;                /* a count was written since the control word */
    uint8_t low;                /* first byte of a two-byte count */
    bool write_high, read_high; /* the second byte is next */
    bool latched, status_latched;
    uint16_t latch;
    uint8_t status;
} Channel;

struct Pit {
    Device device;
    Clock *clock;
    IrqLine irq;
    MemRegion ports, port61;
    Timer timer;
    uint64_t rises; /* of channel 0's periodic output that the guest was told of since start */
    bool muted, speaker;
    Channel channels[CHANNELS];
};

static bool periodic(const Channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool triggered(const Channel *c)
{
    return c->mode == 1 || c->mode == 5; /* by the gate's rising edge, not by the count */
}

static uint64_t ticks(const Pit *pit, const Channel *c)
{
    int64_t elapsed = clock_now(pit->clock) - c->start;

    if (c->held >= 0)
        return c->held;
    return elapsed > 0 ? clock_ns_ticks(elapsed, PIT_HZ) : 0;
}

static bool channel_out(const Pit *pit, const Channel *c)
{
    uint64_t d = ticks(pit, c);

    if (!c->loaded)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return d >= c->reload;
    case 2: return d % c->reload != c->reload - 1;
    case 3: return d % c->reload < (c->reload + 1) / 2;
    default: return d != c->reload; /* 4, 5: low for one tick */
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

static uint32_t from_bcd(uint16_t v)
{
    return (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

static uint16_t channel_count(const Pit *pit, const Channel *c)
{
    uint64_t d = ticks(pit, c);
    uint32_t modulus = c->bcd ? 10000 : 65536, count;

    if (c->mode == 2)
        count = c->reload - d % c->reload;
    else if (c->mode == 3)
        count = c->reload - 2 * d % c->reload;
    else
        count = (c->reload + modulus - d % modulus) % modulus;
    count %= modulus;
    return c->bcd ? to_bcd(count) : count;
}

/* --- channel 0's interrupt ---------------------------------------------------------------- */

/* When the output rises next, as ticks since start; 0: never. */
static uint64_t next_rise(const Pit *pit, const Channel *c)
{
    uint64_t d = ticks(pit, c);

    if (!c->loaded || c->held >= 0)
        return 0;
    if (periodic(c))
        return (d / c->reload + 1) * c->reload;
    return d < c->reload ? c->reload : 0;
}

static void schedule(Pit *pit)
{
    const Channel *c = &pit->channels[0];
    uint64_t at = next_rise(pit, c);

    if (!at || pit->muted) {
        timer_del(&pit->timer);
        return;
    }
    if (periodic(c) && pit->rises < ticks(pit, c) / c->reload) /* never two at once: one was lost */
        timer_mod(&pit->timer,
                  clock_now(pit->clock) + clock_ticks_ns(c->reload, PIT_HZ) / CATCH_UP_SPEED);
    else
        timer_mod(&pit->timer, c->start + clock_ticks_ns(at, PIT_HZ));
}

/* The guest was told of one more rise; what it missed by far too much is forgotten. */
static void count_rise(Pit *pit)
{
    const Channel *c = &pit->channels[0];
    uint64_t due = ticks(pit, c) / c->reload;

    pit->rises++;
    if (due > pit->rises + OWED_MAX)
        pit->rises = due - OWED_MAX;
    else if (pit->rises > due)
        pit->rises = due;
}

static void rise(void *opaque)
{
    Pit *pit = opaque;

    irq_set(&pit->irq, false); /* periodic and strobe modes are low just before */
    irq_set(&pit->irq, true);
    if (periodic(&pit->channels[0]))
        count_rise(pit);
    schedule(pit);
}

/* Channel 0 was programmed or loaded from a snapshot. */
static void channel0_update(Pit *pit)
{
    const Channel *c = &pit->channels[0];

    pit->rises = periodic(c) && c->loaded ? ticks(pit, c) / c->reload : 0;
    irq_set(&pit->irq, !pit->muted && channel_out(pit, c));
    schedule(pit);
}

void pit_set_muted(Pit *pit, bool muted)
{
    pit->muted = muted;
    channel0_update(pit);
}

/* --- programming -------------------------------------------------------------------------- */

static void start_counting(Pit *pit, Channel *c)
{
    c->start = clock_now(pit->clock);
    c->held = !c->gate && !triggered(c) ? 0 : -1;
}

static void load_count(Pit *pit, Channel *c, uint16_t value)
{
    uint32_t count = c->bcd ? from_bcd(value) : value;

    c->reload = count ? count : c->bcd ? 10000 : 65536;
    c->loaded = true;
    if (triggered(c))
        c->held = c->reload; /* idle, output high, until the gate rises */
    else
        start_counting(pit, c);
}

static void write_count(Pit *pit, Channel *c, uint8_t value)
{
    if (c->access == ACCESS_LOW) {
        load_count(pit, c, value);
    } else if (c->access == ACCESS_HIGH) {
        load_count(pit, c, value << 8);
    } else {
        if (c->write_high)
            load_count(pit, c, value << 8 | c->low);
        c->low = value;
        c->write_high = !c->write_high;
    }
}

static void set_gate(Pit *pit, Channel *c, bool gate)
{
    bool rose = gate && !c->gate;
    uint64_t counted = ticks(pit, c);

    c->gate = gate;
    if (!c->loaded)
        return;
    if (rose && (triggered(c) || periodic(c))) {
        start_counting(pit, c);
    } else if (rose && c->held >= 0) { /* modes 0 and 4 go on where they stopped */
        c->start = clock_now(pit->clock) - clock_ticks_ns(c->held, PIT_HZ);
        c->held = -1;
    } else if (!gate && !triggered(c) && c->held < 0) {
        c->held = periodic(c) ? 0 : counted;
    }
}

static void latch_count(const Pit *pit, Channel *c)
{
    if (c->latched)
        return;
    c->latch = channel_count(pit, c);
    c->latched = true;
}

static void latch_status(const Pit *pit, Channel *c)
{
    if (c->status_latched)
        return;
    c->status = (channel_out(pit, c) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL) |
                c->access << 4 | c->mode << 1 | c->bcd;
    c->status_latched = true;
}

static void read_back(Pit *pit, uint8_t value)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (!(value & 2 << i))
            continue;
        if (!(value & 0x20))
            latch_count(pit, &pit->channels[i]);
        if (!(value & 0x10))
            latch_status(pit, &pit->channels[i]);
    }
}

static void write_control(Pit *pit, uint8_t value)
{
    unsigned n = value >> 6;
    Channel *c = &pit->channels[n % CHANNELS];

    if (n == 3) {
        read_back(pit, value);
    } else if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_count(pit, c);
    } else {
        c->access = value >> 4 & 3;
        c->mode = value >> 1 & 7;
        if (c->mode > 5)
            c->mode -= 4; /* bit 3 is a don't-care for modes 2 and 3 */
        c->bcd = value & 1;
        c->loaded = c->write_high = c->read_high = c->latched = c->status_latched = false;
    }
}

static uint8_t read_count(Pit *pit, Channel *c)
{
    uint16_t value = c->latched ? c->latch : channel_count(pit, c);
    bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->access == ACCESS_BOTH)
        c->read_high = !c->read_high;
    if (c->access != ACCESS_BOTH || high)
        c->latched = false;
    return high ? value >> 8 : value;
}

static uint64_t pit_read(void *opaque, uint64_t port, unsigned size)
{
    Pit *pit = opaque;

    (void)size;
    return port < CHANNELS ? read_count(pit, &pit->channels[port]) : 0xff;
}

static void pit_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Pit *pit = opaque;

    (void)size;
    if (port < CHANNELS)
        write_count(pit, &pit->channels[port], value);
    else
        write_control(pit, value);
    if (port == 0 || (port == CHANNELS && value < 0x40))
        channel0_update(pit);
}

static uint64_t port61_read(void *opaque, uint64_t port, unsigned size)
{
    Pit *pit = opaque;
    Channel *c = &pit->channels[2];
    bool refresh = clock_now(pit->clock) / REFRESH_NS & 1;

    (void)port;
    (void)size;
    return (c->gate ? PORT61_GATE : 0) | (pit->speaker ? PORT61_SPEAKER : 0) |
           (refresh ? PORT61_REFRESH : 0) | (channel_out(pit, c) ? PORT61_OUT : 0);
}

static void port61_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Pit *pit = opaque;

    (void)port;
    (void)size;
    pit->speaker = value & PORT61_SPEAKER;
    set_gate(pit, &pit->channels[2], value & PORT61_GATE);
}

static const MemOps pit_ops = { .read = pit_read, .write = pit_write, .max_size = 1 };
static const MemOps port61_ops = { .read = port61_read, .write = port61_write, .max_size = 1 };

/* --- device ------------------------------------------------------------------------------- */

static void pit_reset(void *opaque)
{
    Pit *pit = opaque;

    for (int i = 0; i < CHANNELS; i++)
        pit->channels[i] = (Channel) {
            .mode = 3, .access = ACCESS_BOTH, .reload = 65536, .held = -1, .gate = i != 2
        };
    pit->speaker = pit->muted = false;
    channel0_update(pit);
}

static int pit_loaded(void *opaque)
{
    Pit *pit = opaque;

    for (int i = 0; i < CHANNELS; i++) {
        Channel *c = &pit->channels[i];

        if (!c->reload || c->reload > 65536 || c->mode > 5 || c->held < -1)
            return -1;
    }
    channel0_update(pit);
    return 0;
}

#define CHANNEL_FIELDS(n)                                                                          \
    SAVED(Pit, channels[n].reload), SAVED(Pit, channels[n].start), SAVED(Pit, channels[n].held),   \
        SAVED(Pit, channels[n].mode), SAVED(Pit, channels[n].access), SAVED(Pit, channels[n].bcd), \
        SAVED(Pit, channels[n].gate), SAVED(Pit, channels[n].loaded), SAVED(Pit, channels[n].low), \
        SAVED(Pit, channels[n].write_high), SAVED(Pit, channels[n].read_high),                     \
        SAVED(Pit, channels[n].latched), SAVED(Pit, channels[n].status_latched),                   \
        SAVED(Pit, channels[n].latch), SAVED(Pit, channels[n].status)

static const SavedField pit_fields[] = { SAVED(Pit, muted), SAVED(Pit, speaker), CHANNEL_FIELDS(0),
                                         CHANNEL_FIELDS(1), CHANNEL_FIELDS(2),   SAVED_END };

static void pit_destroy(void *opaque)
{
    Pit *pit = opaque;

    timer_del(&pit->timer);
    free(pit);
}

static const DeviceClass pit_class = { .name = "i8254",
                                       .reset = pit_reset,
                                       .loaded = pit_loaded,
                                       .destroy = pit_destroy,
                                       .fields = pit_fields };

Pit *pit_new(DeviceList *devices, MemMap *io, Clock *clock, IrqInput *irq)
{
    Pit *pit = calloc(1, sizeof(*pit));

    if (!pit)
        return NULL;
    pit->clock = clock;
    irq_connect(&pit->irq, irq);
    timer_init(&pit->timer, clock, rise, pit);
    region_init_io(&pit->ports, "pit", &pit_ops, pit, 4);
    memmap_add(io, &pit->ports, 0x40, 0);
    region_init_io(&pit->port61, "port61", &port61_ops, pit, 1);
    memmap_add(io, &pit->port61, 0x61, 0);
    device_add(devices, &pit->device, &pit_class, pit);
    pit_reset(pit);
    return pit;
}
