/*
 * i8259.c - two cascaded 8259A interrupt controllers (Intel 8259A data sheet; ELCR: 82371SB, 4.2).
 *
 * The slave's INT pin is input 2 of the master. INT is a pure function of IRR, IMR, ISR and the
 * priority order; chip_update() computes it after every change. In edge mode IRR latches the rising
 * edge and drops with the line, as the chip does; what drops before INTA becomes a spurious 7.
 */
#include "hw/intc/i8259.h"

#include <stdlib.h>

#include "base/compiler.h"

enum { CASCADE = 2, ICW1_INIT = 0x10, ICW1_SINGLE = 0x02, ICW1_ICW4 = 0x01, ICW1_LEVEL = 0x08 };
enum { OCW3_SELECT = 0x08, ICW4_AUTO_EOI = 0x02, ICW4_FULLY_NESTED = 0x10 };

typedef struct Chip {
    bool master;
    IrqLine out;
    uint8_t lines; /* input levels */
    uint8_t irr, imr, isr;
    uint8_t elcr, elcr_mask; /* level-triggered inputs, and which of them may be */
    uint8_t lowest;          /* the input with the lowest priority; 7 after ICW1 */
    uint8_t vector;          /* ICW2 */
    uint8_t init_step;       /* the ICW that the next data write is: 2, 3, 4, or 0: OCW1 */
    bool icw4_follows, single, level_mode;
    bool auto_eoi, rotate_on_auto_eoi, nested; /* ICW4 */
    bool read_isr, poll, special_mask;         /* OCW3 */
} Chip;

struct Pic {
    Device device;
    MemRegion command[2], elcr;
    IrqInput cascade;
    Chip chips[2]; /* master, slave */
};

/* Priority of the best input in `bits`: 0 is highest, 8 if there is none. */
static unsigned best_priority(const Chip *c, uint8_t bits)
{
    for (unsigned p = 0; p < 8; p++)
        if (bits >> ((c->lowest + 1 + p) & 7) & 1)
            return p;
    return 8;
}

/* The input that INTA would take now, or -1. */
static int chip_pending(const Chip *c)
{
    uint8_t blocking = c->isr;
    unsigned want = best_priority(c, c->irr & ~c->imr);

    if (c->special_mask)
        blocking &= ~c->imr;
    if (c->nested && c->master)
        blocking &= ~(1 << CASCADE); /* the slave decides among its own */
    if (want == 8 || want >= best_priority(c, blocking))
        return -1;
    return (c->lowest + 1 + want) & 7;
}

static void chip_update(Chip *c)
{
    irq_set(&c->out, chip_pending(c) >= 0);
}

static bool is_level(const Chip *c, int n)
{
    return c->level_mode || (c->elcr >> n & 1);
}

static void chip_set_input(Chip *c, int n, bool level)
{
    uint8_t bit = 1 << n;
    bool rose = level && !(c->lines & bit);

    c->lines = level ? c->lines | bit : c->lines & ~bit;
    if (rose || (level && is_level(c, n)))
        c->irr |= bit;
    else if (!level)
        c->irr &= ~bit;
    chip_update(c);
}

static void chip_eoi(Chip *c, int n)
{
    c->isr &= ~(1 << n);
}

static uint8_t chip_ack(Chip *c)
{
    int n = chip_pending(c);

    if (n < 0)
        return c->vector + 7; /* the request went away: spurious, ISR stays clear */
    if (!is_level(c, n))
        c->irr &= ~(1 << n);
    if (!c->auto_eoi)
        c->isr |= 1 << n;
    else if (c->rotate_on_auto_eoi)
        c->lowest = n;
    return c->vector + n;
}

uint8_t pic_ack(Pic *pic)
{
    Chip *master = &pic->chips[0], *slave = &pic->chips[1];
    bool from_slave = chip_pending(master) == CASCADE;
    uint8_t vector = chip_ack(master);

    if (from_slave)
        vector = chip_ack(slave);
    chip_update(slave);
    chip_update(master);
    return vector;
}

bool pic_output(const Pic *pic)
{
    return pic->chips[0].out.level;
}

void pic_set_irq(void *opaque, int irq, bool level)
{
    Pic *pic = opaque;

    chip_set_input(&pic->chips[irq >> 3 & 1], irq & 7, level);
}

static void cascade(void *opaque, int n, bool level)
{
    chip_set_input(&((Pic *)opaque)->chips[0], n, level);
}

/* --- registers ---------------------------------------------------------------------------- */

static void chip_clear(Chip *c)
{
    c->irr = c->imr = c->isr = 0;
    c->lowest = 7;
    c->init_step = 0;
    c->icw4_follows = c->single = c->level_mode = false;
    c->auto_eoi = c->rotate_on_auto_eoi = c->nested = false;
    c->read_isr = c->poll = c->special_mask = false;
}

static void write_icw1(Chip *c, uint8_t value)
{
    chip_clear(c);
    c->init_step = 2;
    c->icw4_follows = value & ICW1_ICW4;
    c->single = value & ICW1_SINGLE;
    c->level_mode = value & ICW1_LEVEL;
    for (int n = 0; n < 8; n++) /* edge latches are cleared; level inputs still ask */
        if (is_level(c, n))
            c->irr |= c->lines & 1 << n;
}

static void write_ocw2(Chip *c, uint8_t value)
{
    uint8_t in_service = c->special_mask ? c->isr & ~c->imr : c->isr;
    unsigned p = best_priority(c, in_service);
    int highest = (c->lowest + 1 + p) & 7, n = value & 7;

    switch (value >> 5) {
    case 0: c->rotate_on_auto_eoi = false; break;
    case 4: c->rotate_on_auto_eoi = true; break;
    case 1: /* non-specific EOI */
    case 5: /* and rotate */
        if (p == 8)
            break;
        chip_eoi(c, highest);
        if (value >> 5 == 5)
            c->lowest = highest;
        break;
    case 3: chip_eoi(c, n); break;
    case 7:
        chip_eoi(c, n);
        c->lowest = n;
        break;
    case 6: c->lowest = n; break;
    default: break; /* 2: no operation */
    }
}

static void write_ocw3(Chip *c, uint8_t value)
{
    if (value & 0x04)
        c->poll = true;
    if (value & 0x02)
        c->read_isr = value & 0x01;
    if (value & 0x40)
        c->special_mask = value & 0x20;
}

static void write_data(Chip *c, uint8_t value)
{
    switch (c->init_step) {
    case 2:
        c->vector = value & 0xf8;
        c->init_step = !c->single ? 3 : c->icw4_follows ? 4 : 0;
        break;
    case 3: c->init_step = c->icw4_follows ? 4 : 0; break; /* the wiring is fixed */
    case 4:
        c->auto_eoi = value & ICW4_AUTO_EOI;
        c->nested = value & ICW4_FULLY_NESTED;
        c->init_step = 0;
        break;
    default: c->imr = value; break;
    }
}

static void chip_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Chip *c = opaque;

    (void)size;
    if (port)
        write_data(c, value);
    else if (value & ICW1_INIT)
        write_icw1(c, value);
    else if (value & OCW3_SELECT)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
    chip_update(c);
}

/* A read after OCW3's poll bit is an INTA: bit 7 says whether there was a request. */
static uint8_t poll(Chip *c)
{
    int n = chip_pending(c);

    c->poll = false;
    if (n < 0)
        return 0;
    chip_ack(c);
    chip_update(c);
    return 0x80 | n;
}

static uint64_t chip_read(void *opaque, uint64_t port, unsigned size)
{
    Chip *c = opaque;

    (void)size;
    if (c->poll)
        return poll(c);
    if (port)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t elcr_read(void *opaque, uint64_t port, unsigned size)
{
    (void)size;
    return ((Pic *)opaque)->chips[port & 1].elcr;
}

static void elcr_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Chip *c = &((Pic *)opaque)->chips[port & 1];

    (void)size;
    c->elcr = value & c->elcr_mask;
    for (int n = 0; n < 8; n++)
        if (is_level(c, n))
            c->irr = (c->irr & ~(1 << n)) | (c->lines & 1 << n);
    chip_update(c);
}

static const MemOps chip_ops = { .read = chip_read, .write = chip_write, .max_size = 1 };
static const MemOps elcr_ops = { .read = elcr_read, .write = elcr_write, .max_size = 1 };

/* --- device ------------------------------------------------------------------------------- */

static void pic_reset(void *opaque)
{
    Pic *pic = opaque;

    for (int i = 1; i >= 0; i--) {
        chip_clear(&pic->chips[i]);
        pic->chips[i].elcr = 0;
        pic->chips[i].vector = 0;
        chip_update(&pic->chips[i]);
    }
}

static int pic_loaded(void *opaque)
{
    Pic *pic = opaque;

    for (int i = 1; i >= 0; i--) {
        pic->chips[i].lowest &= 7;
        chip_update(&pic->chips[i]);
    }
    return 0;
}

#define CHIP_FIELDS(n)                                                                             \
    SAVED(Pic, chips[n].irr), SAVED(Pic, chips[n].imr), SAVED(Pic, chips[n].isr),                  \
        SAVED(Pic, chips[n].elcr), SAVED(Pic, chips[n].lines), SAVED(Pic, chips[n].lowest),        \
        SAVED(Pic, chips[n].vector), SAVED(Pic, chips[n].init_step),                               \
        SAVED(Pic, chips[n].icw4_follows), SAVED(Pic, chips[n].single),                            \
        SAVED(Pic, chips[n].level_mode), SAVED(Pic, chips[n].auto_eoi),                            \
        SAVED(Pic, chips[n].rotate_on_auto_eoi), SAVED(Pic, chips[n].nested),                      \
        SAVED(Pic, chips[n].read_isr), SAVED(Pic, chips[n].poll),                                  \
        SAVED(Pic, chips[n].special_mask)

static const SavedField pic_fields[] = { CHIP_FIELDS(0), CHIP_FIELDS(1), SAVED_END };

static const DeviceClass pic_class = {
    .name = "i8259", .reset = pic_reset, .loaded = pic_loaded, .destroy = free, .fields = pic_fields
};

Pic *pic_new(DeviceList *devices, MemMap *io, IrqInput *output)
{
    Pic *pic = calloc(1, sizeof(*pic));

    if (!pic)
        return NULL;
    for (int i = 0; i < 2; i++) {
        Chip *c = &pic->chips[i];

        c->master = i == 0;
        c->elcr_mask = i == 0 ? 0xf8 : 0xde; /* not the timer, keyboard, cascade, RTC, FPU */
        chip_clear(c);
        region_init_io(&pic->command[i], i ? "pic2" : "pic1", &chip_ops, c, 2);
        memmap_add(io, &pic->command[i], i ? 0xa0 : 0x20, 0);
    }
    region_init_io(&pic->elcr, "elcr", &elcr_ops, pic, 2);
    memmap_add(io, &pic->elcr, 0x4d0, 0);
    irq_input_init(&pic->cascade, cascade, pic, CASCADE);
    irq_connect(&pic->chips[1].out, &pic->cascade);
    irq_connect(&pic->chips[0].out, output);
    device_add(devices, &pic->device, &pic_class, pic);
    return pic;
}
