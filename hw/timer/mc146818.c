/*
 * mc146818.c - real-time clock with CMOS memory (Motorola MC146818A data sheet; PC century at 32h).
 *
 * Time of day is the wall clock plus an offset that changes when the guest sets the time. While
 * register B's SET bit is on, the time registers are plain memory; when it drops, they become the
 * time. Interrupt flags come from two timers: one fires each second, one at the periodic rate.
 */
#include "hw/timer/mc146818.h"

#include <stdlib.h>
#include <time.h>

enum {
    RTC_SECONDS = 0,
    RTC_SECONDS_ALARM = 1,
    RTC_MINUTES = 2,
    RTC_MINUTES_ALARM = 3,
    RTC_HOURS = 4,
    RTC_HOURS_ALARM = 5,
    RTC_WEEKDAY = 6,
    RTC_DAY = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_A = 10,
    RTC_B = 11,
    RTC_C = 12,
    RTC_D = 13,
    RTC_CENTURY = 0x32,
    CMOS_SIZE = 128,
};
enum { A_UIP = 0x80, A_RATE = 0x0f, A_DIVIDER = 0x70, A_DIVIDER_ON = 0x20 };
enum {
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 8,
    B_BINARY = 4,
    B_24H = 2
};
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VALID = 0x80, HOUR_PM = 0x80, ALARM_ANY = 0xc0, PERIODIC_HZ = 32768 };
enum { UIP_NS = 244000, MAX_LATE_SECONDS = 24 * 60 * 60 };

struct Rtc {
    Device device;
    Clock *clock;
    const Clock *wall;
    IrqLine irq;
    MemRegion ports;
    Timer second, periodic;
    bool muted;
    uint8_t index;
    uint8_t cmos[CMOS_SIZE];
    int64_t offset;     /* nanoseconds from the wall clock to the guest's time */
    int64_t seen;       /* the last second for which flags were raised */
    uint64_t seen_tick; /* the same for the periodic rate */
};

static int64_t rtc_ns(const Rtc *rtc)
{
    return clock_now(rtc->wall) + rtc->offset;
}

static int64_t floor_seconds(int64_t ns)
{
    return ns >= 0 ? ns / NS_PER_S : -((-ns + NS_PER_S - 1) / NS_PER_S);
}

/* The only place that drives the line. */
static void update_irq(Rtc *rtc)
{
    bool on = rtc->cmos[RTC_C] & rtc->cmos[RTC_B] & (C_PF | C_AF | C_UF);

    rtc->cmos[RTC_C] = (rtc->cmos[RTC_C] & ~C_IRQF) | (on ? C_IRQF : 0);
    irq_set(&rtc->irq, on && !rtc->muted);
}

/* --- registers and calendar --------------------------------------------------------------- */

static uint8_t encode(const Rtc *rtc, unsigned v)
{
    return rtc->cmos[RTC_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10;
}

static unsigned decode(const Rtc *rtc, uint8_t v)
{
    return rtc->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const Rtc *rtc, unsigned hour)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const Rtc *rtc, uint8_t v)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return decode(rtc, v);
    return decode(rtc, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

static void time_to_registers(const Rtc *rtc, int64_t seconds, uint8_t *regs)
{
    time_t t = seconds;
    struct tm tm = { 0 };

    gmtime_r(&t, &tm);
    regs[RTC_SECONDS] = encode(rtc, tm.tm_sec);
    regs[RTC_MINUTES] = encode(rtc, tm.tm_min);
    regs[RTC_HOURS] = encode_hour(rtc, tm.tm_hour);
    regs[RTC_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
    regs[RTC_DAY] = encode(rtc, tm.tm_mday);
    regs[RTC_MONTH] = encode(rtc, tm.tm_mon + 1);
    regs[RTC_YEAR] = encode(rtc, (tm.tm_year + 1900) % 100);
    regs[RTC_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100 % 100);
}

static int64_t registers_to_time(const Rtc *rtc)
{
    const uint8_t *regs = rtc->cmos;
    unsigned century = decode(rtc, regs[RTC_CENTURY]);
    struct tm tm = {
        .tm_sec = decode(rtc, regs[RTC_SECONDS]),
        .tm_min = decode(rtc, regs[RTC_MINUTES]),
        .tm_hour = decode_hour(rtc, regs[RTC_HOURS]),
        .tm_mday = decode(rtc, regs[RTC_DAY]),
        .tm_mon = (int)decode(rtc, regs[RTC_MONTH]) - 1,
        .tm_year = (int)(century * 100 + decode(rtc, regs[RTC_YEAR])) - 1900,
    };

    return timegm(&tm);
}

static bool running(const Rtc *rtc)
{
    return !(rtc->cmos[RTC_B] & B_SET);
}

/* The time registers become the time; the fraction of the current second stays. */
static void set_time(Rtc *rtc)
{
    int64_t now = rtc_ns(rtc), second = registers_to_time(rtc);

    if (second < -(INT64_C(1) << 32) || second > INT64_C(1) << 33)
        return; /* a year that the arithmetic in nanoseconds has no room for */
    rtc->offset += (second - floor_seconds(now)) * NS_PER_S;
    rtc->seen = second;
}

/* --- flags -------------------------------------------------------------------------------- */

static bool alarm_matches(const Rtc *rtc, const uint8_t *regs)
{
    for (int r = RTC_SECONDS; r <= RTC_HOURS; r += 2) {
        uint8_t want = rtc->cmos[r + 1];

        if ((want & ALARM_ANY) != ALARM_ANY && want != regs[r])
            return false;
    }
    return true;
}

static uint64_t periodic_tick_ns(const Rtc *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & A_RATE;

    if (!rate || (rtc->cmos[RTC_A] & A_DIVIDER) != A_DIVIDER_ON)
        return 0;
    if (rate <= 2)
        rate += 7;
    return NS_PER_S * (UINT64_C(1) << (rate - 1)) / PERIODIC_HZ;
}

/* Raise the flags for what happened since the last look. */
static void catch_up(Rtc *rtc)
{
    int64_t now = floor_seconds(rtc_ns(rtc));
    uint64_t period = periodic_tick_ns(rtc);
    uint8_t regs[CMOS_SIZE];

    if (running(rtc) && now != rtc->seen) {
        rtc->cmos[RTC_C] |= C_UF;
        if (now < rtc->seen || now - rtc->seen > MAX_LATE_SECONDS)
            rtc->seen = now - 1;
        while (rtc->seen < now && !(rtc->cmos[RTC_C] & C_AF)) {
            time_to_registers(rtc, ++rtc->seen, regs);
            if (alarm_matches(rtc, regs))
                rtc->cmos[RTC_C] |= C_AF;
        }
        rtc->seen = now;
    }
    uint64_t tick = period ? clock_now(rtc->clock) / period : rtc->seen_tick;
    if (tick != rtc->seen_tick)
        rtc->cmos[RTC_C] |= C_PF;
    rtc->seen_tick = tick;
    update_irq(rtc);
}

static void schedule(Rtc *rtc)
{
    int64_t now = clock_now(rtc->clock), time = rtc_ns(rtc);
    uint64_t period = periodic_tick_ns(rtc);

    if (running(rtc))
        timer_mod(&rtc->second, now + (floor_seconds(time) + 1) * NS_PER_S - time);
    else
        timer_del(&rtc->second);
    if (period && rtc->cmos[RTC_B] & B_PIE)
        timer_mod(&rtc->periodic, (now / period + 1) * period);
    else
        timer_del(&rtc->periodic);
}

static void tick(void *opaque)
{
    catch_up(opaque);
    schedule(opaque);
}

/* --- ports -------------------------------------------------------------------------------- */

static bool is_time(unsigned index)
{
    return (index <= RTC_YEAR && (index > RTC_HOURS_ALARM || !(index & 1))) || index == RTC_CENTURY;
}

static uint8_t rtc_get(Rtc *rtc, unsigned index)
{
    uint8_t regs[CMOS_SIZE], value = rtc->cmos[index];
    int64_t ns = rtc_ns(rtc);

    if (is_time(index) && running(rtc)) {
        time_to_registers(rtc, floor_seconds(ns), regs);
        return regs[index];
    }
    switch (index) {
    case RTC_A: {
        int64_t left = (floor_seconds(ns) + 1) * NS_PER_S - ns;

        return value | (running(rtc) && left <= UIP_NS ? A_UIP : 0);
    }
    case RTC_C:
        catch_up(rtc);
        value = rtc->cmos[RTC_C];
        rtc->cmos[RTC_C] = 0;
        update_irq(rtc);
        return value;
    case RTC_D: return D_VALID;
    default: return value;
    }
}

static void write_b(Rtc *rtc, uint8_t value)
{
    uint8_t old = rtc->cmos[RTC_B];

    if (value & B_SET)
        value &= ~B_UIE; /* as the data sheet says */
    if (value & B_SET && !(old & B_SET))
        time_to_registers(rtc, floor_seconds(rtc_ns(rtc)), rtc->cmos);
    rtc->cmos[RTC_B] = value;
    if (!(value & B_SET) && old & B_SET)
        set_time(rtc);
}

static void rtc_put(Rtc *rtc, unsigned index, uint8_t value)
{
    if (is_time(index)) {
        if (running(rtc))
            time_to_registers(rtc, floor_seconds(rtc_ns(rtc)), rtc->cmos);
        rtc->cmos[index] = value;
        if (running(rtc))
            set_time(rtc);
    } else if (index == RTC_A) {
        rtc->cmos[RTC_A] = value & ~A_UIP;
        uint64_t period = periodic_tick_ns(rtc);
        rtc->seen_tick = period ? clock_now(rtc->clock) / period : 0;
    } else if (index == RTC_B) {
        catch_up(rtc);
        write_b(rtc, value);
    } else if (index != RTC_C && index != RTC_D) {
        rtc->cmos[index] = value;
    }
    update_irq(rtc);
    schedule(rtc);
}

static uint64_t rtc_read(void *opaque, uint64_t port, unsigned size)
{
    Rtc *rtc = opaque;

    (void)size;
    return port ? rtc_get(rtc, rtc->index) : 0xff;
}

static void rtc_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Rtc *rtc = opaque;

    (void)size;
    if (port)
        rtc_put(rtc, rtc->index, value);
    else
        rtc->index = value & (CMOS_SIZE - 1); /* bit 7 masks NMI, which nothing here raises */
}

static const MemOps rtc_ops = { .read = rtc_read, .write = rtc_write, .max_size = 1 };

/* --- device ------------------------------------------------------------------------------- */

void rtc_cmos_set(Rtc *rtc, unsigned index, uint8_t value)
{
    if (index > RTC_D && index < CMOS_SIZE && index != RTC_CENTURY)
        rtc->cmos[index] = value;
}

void rtc_set_muted(Rtc *rtc, bool muted)
{
    rtc->muted = muted;
    update_irq(rtc);
}

static void rtc_reset(void *opaque)
{
    Rtc *rtc = opaque;

    rtc->index = 0;
    rtc->muted = false;
    rtc->cmos[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->cmos[RTC_C] = 0;
    update_irq(rtc);
    schedule(rtc);
}

static int rtc_loaded(void *opaque)
{
    Rtc *rtc = opaque;

    rtc->index %= CMOS_SIZE;
    update_irq(rtc);
    schedule(rtc);
    return 0;
}

static void rtc_destroy(void *opaque)
{
    Rtc *rtc = opaque;

    timer_del(&rtc->second);
    timer_del(&rtc->periodic);
    free(rtc);
}

static const SavedField rtc_fields[] = {
    SAVED(Rtc, muted),  SAVED(Rtc, index), SAVED_BYTES(Rtc, cmos),
    SAVED(Rtc, offset), SAVED(Rtc, seen),  SAVED(Rtc, seen_tick),
    SAVED_END
};

static const DeviceClass rtc_class = { .name = "mc146818",
                                       .reset = rtc_reset,
                                       .loaded = rtc_loaded,
                                       .destroy = rtc_destroy,
                                       .fields = rtc_fields };

Rtc *rtc_new(DeviceList *devices, MemMap *io, Clock *clock, const Clock *wall, IrqInput *irq)
{
    Rtc *rtc = calloc(1, sizeof(*rtc));

    if (!rtc)
        return NULL;
    rtc->clock = clock;
    rtc->wall = wall;
    rtc->cmos[RTC_A] = A_DIVIDER_ON | 6; /* 32 kHz crystal, 1024 Hz: what every BIOS sets */
    rtc->cmos[RTC_B] = B_24H;
    rtc->seen = floor_seconds(rtc_ns(rtc));
    irq_connect(&rtc->irq, irq);
    timer_init(&rtc->second, clock, tick, rtc);
    timer_init(&rtc->periodic, clock, tick, rtc);
    region_init_io(&rtc->ports, "rtc", &rtc_ops, rtc, 2);
    memmap_add(io, &rtc->ports, 0x70, 0);
    device_add(devices, &rtc->device, &rtc_class, rtc);
    schedule(rtc);
    return rtc;
}
