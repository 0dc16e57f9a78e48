/*
 * i8237.c - two cascaded 8237A DMA controllers (Intel 8237A data sheet), page registers 80h..8Fh.
 *
 * Controller 0 has channels 0..3 and moves bytes, controller 1 has 4..7 and moves words; channel 4
 * is the cascade. Devices move data when they have it: there are no bus cycles to model.
 */
#include "hw/dma/i8237.h"

#include <stdlib.h>

#include "base/math.h"
#include "hw/core/dma.h"

enum { CHANNELS = 8, PER_CHIP = 4, CASCADE = 4, PAGE_REGISTERS = 16 };
enum { MODE_WRITE = 1, MODE_READ = 2, MODE_AUTO = 0x10, MODE_DOWN = 0x20, COMMAND_OFF = 4 };
enum { REG_COMMAND = 8, REG_REQUEST, REG_MASK, REG_MODE, REG_FLIP_FLOP, REG_CLEAR };
enum { REG_CLEAR_MASK = 14, REG_ALL_MASK = 15 };

typedef struct Channel {
    uint16_t base_address, base_count, address, count;
    uint8_t mode;
    bool masked, done; /* done: terminal count was reached since the status was read */
} Channel;

typedef struct Chip {
    Dma8237 *dma;
    unsigned first; /* channel */
    uint8_t command, request;
    bool high; /* flip-flop: the high byte is next */
} Chip;

struct Dma8237 {
    Device device;
    MemMap *memory;
    MemRegion ports[2], page_ports;
    Chip chips[2];
    Channel channels[CHANNELS];
    uint8_t pages[PAGE_REGISTERS];
};

/* Which page register belongs to which channel: a wiring accident of 1981. */
static const uint8_t page_of[CHANNELS] = { 7, 3, 1, 2, 15, 11, 9, 10 };

/* --- transfers ---------------------------------------------------------------------------- */

static bool is_wide(unsigned n)
{
    return n >= PER_CHIP;
}

static uint32_t memory_address(const Dma8237 *dma, unsigned n)
{
    uint8_t page = dma->pages[page_of[n]];

    return is_wide(n) ? (uint32_t)(page & 0xfe) << 16 | (uint32_t)dma->channels[n].address << 1
                      : (uint32_t)page << 16 | dma->channels[n].address;
}

static bool ready(const Dma8237 *dma, unsigned n, unsigned direction)
{
    const Channel *c = &dma->channels[n];

    return n < CHANNELS && n != CASCADE && !c->masked && (c->mode >> 2 & 3) == direction &&
           !(dma->chips[n / PER_CHIP].command & COMMAND_OFF);
}

/* One unit went by. After the last one the channel stops or reloads, and the answer is true. */
static bool step(Channel *c)
{
    c->address += c->mode & MODE_DOWN ? -1 : 1;
    if (c->count--)
        return false;
    c->done = true;
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        c->masked = true;
    }
    return true;
}

static size_t transfer(Dma8237 *dma, unsigned n, uint8_t *buf, size_t len, unsigned direction,
                       bool *terminal)
{
    size_t unit = is_wide(n) ? 2 : 1, done = 0;

    *terminal = false;
    while (!*terminal && done + unit <= len && ready(dma, n, direction)) {
        uint32_t at = memory_address(dma, n);

        if (direction == MODE_WRITE)
            dma_write(dma->memory, at, buf + done, unit);
        else if (dma_read(dma->memory, at, buf + done, unit) < 0)
            buf[done] = buf[done + unit - 1] = 0xff;
        done += unit;
        *terminal = step(&dma->channels[n]);
    }
    return done;
}

size_t dma8237_to_memory(Dma8237 *dma, unsigned channel, const void *buf, size_t len,
                         bool *terminal)
{
    return transfer(dma, channel, (uint8_t *)buf, len, MODE_WRITE, terminal);
}

size_t dma8237_from_memory(Dma8237 *dma, unsigned channel, void *buf, size_t len, bool *terminal)
{
    return transfer(dma, channel, buf, len, MODE_READ, terminal);
}

/* --- registers ---------------------------------------------------------------------------- */

static Channel *channel_of(Chip *chip, unsigned i)
{
    return &chip->dma->channels[chip->first + (i & 3)];
}

static void master_clear(Chip *chip)
{
    chip->command = chip->request = 0;
    chip->high = false;
    for (int i = 0; i < PER_CHIP; i++) {
        channel_of(chip, i)->masked = true;
        channel_of(chip, i)->done = false;
    }
}

static uint16_t replace_byte(uint16_t old, uint8_t value, bool high)
{
    return high ? (old & 0x00ff) | value << 8 : (old & 0xff00) | value;
}

static void write_channel(Chip *chip, unsigned reg, uint8_t value)
{
    Channel *c = channel_of(chip, reg >> 1);

    if (reg & 1)
        c->count = c->base_count = replace_byte(c->base_count, value, chip->high);
    else
        c->address = c->base_address = replace_byte(c->base_address, value, chip->high);
    chip->high = !chip->high;
}

static uint8_t read_channel(Chip *chip, unsigned reg)
{
    const Channel *c = channel_of(chip, reg >> 1);
    uint16_t value = reg & 1 ? c->count : c->address;
    bool high = chip->high;

    chip->high = !high;
    return high ? value >> 8 : value;
}

static void write_masks(Chip *chip, uint8_t masks)
{
    for (int i = 0; i < PER_CHIP; i++)
        channel_of(chip, i)->masked = masks >> i & 1;
}

/* Registers of the second controller lie two bytes apart. */
static unsigned register_of(const Chip *chip, uint64_t port)
{
    return chip->first ? port >> 1 : port;
}

static void chip_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    Chip *chip = opaque;
    unsigned reg = register_of(chip, port);

    (void)size;
    switch (reg) {
    case REG_COMMAND: chip->command = value; break;
    case REG_REQUEST: chip->request = value; break; /* memory to memory: not on a PC */
    case REG_MASK: channel_of(chip, value)->masked = value & 4; break;
    case REG_MODE: channel_of(chip, value)->mode = value; break;
    case REG_FLIP_FLOP: chip->high = false; break;
    case REG_CLEAR: master_clear(chip); break;
    case REG_CLEAR_MASK: write_masks(chip, 0); break;
    case REG_ALL_MASK: write_masks(chip, value); break;
    default: write_channel(chip, reg, value); break;
    }
}

static uint64_t chip_read(void *opaque, uint64_t port, unsigned size)
{
    Chip *chip = opaque;
    unsigned reg = register_of(chip, port);
    uint8_t value = 0;

    (void)size;
    if (reg < REG_COMMAND)
        return read_channel(chip, reg);
    for (int i = 0; i < PER_CHIP; i++) {
        Channel *c = channel_of(chip, i);

        if (reg == REG_ALL_MASK) {
            value |= c->masked << i;
        } else if (reg == REG_COMMAND) { /* status: terminal counts, cleared by reading */
            value |= c->done << i;
            c->done = false;
        }
    }
    return value;
}

static uint64_t page_read(void *opaque, uint64_t port, unsigned size)
{
    (void)size;
    return ((Dma8237 *)opaque)->pages[port % PAGE_REGISTERS];
}

static void page_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    (void)size;
    ((Dma8237 *)opaque)->pages[port % PAGE_REGISTERS] = value;
}

static const MemOps chip_ops = { .read = chip_read, .write = chip_write, .max_size = 1 };
static const MemOps page_ops = { .read = page_read, .write = page_write, .max_size = 1 };

/* --- device ------------------------------------------------------------------------------- */

static void dma8237_reset(void *opaque)
{
    Dma8237 *dma = opaque;

    for (int i = 0; i < CHANNELS; i++)
        dma->channels[i] = (Channel) { .masked = true };
    master_clear(&dma->chips[0]);
    master_clear(&dma->chips[1]);
    for (int i = 0; i < PAGE_REGISTERS; i++)
        dma->pages[i] = 0;
}

#define CHANNEL_FIELDS(n)                                                                          \
    SAVED(Dma8237, channels[n].base_address), SAVED(Dma8237, channels[n].base_count),              \
        SAVED(Dma8237, channels[n].address), SAVED(Dma8237, channels[n].count),                    \
        SAVED(Dma8237, channels[n].mode), SAVED(Dma8237, channels[n].masked),                      \
        SAVED(Dma8237, channels[n].done)
#define CHIP_FIELDS(n)                                                                             \
    SAVED(Dma8237, chips[n].command), SAVED(Dma8237, chips[n].request),                            \
        SAVED(Dma8237, chips[n].high)

static const SavedField dma8237_fields[] = {
    CHIP_FIELDS(0),    CHIP_FIELDS(1),    CHANNEL_FIELDS(0),           CHANNEL_FIELDS(1),
    CHANNEL_FIELDS(2), CHANNEL_FIELDS(3), CHANNEL_FIELDS(4),           CHANNEL_FIELDS(5),
    CHANNEL_FIELDS(6), CHANNEL_FIELDS(7), SAVED_BYTES(Dma8237, pages), SAVED_END,
};

static const DeviceClass dma8237_class = {
    .name = "i8237", .reset = dma8237_reset, .destroy = free, .fields = dma8237_fields
};

Dma8237 *dma8237_new(DeviceList *devices, MemMap *io, MemMap *memory)
{
    Dma8237 *dma = calloc(1, sizeof(*dma));

    if (!dma)
        return NULL;
    dma->memory = memory;
    for (int i = 0; i < 2; i++) {
        dma->chips[i] = (Chip) { .dma = dma, .first = i * PER_CHIP };
        region_init_io(&dma->ports[i], i ? "dma2" : "dma1", &chip_ops, &dma->chips[i], i ? 32 : 16);
        memmap_add(io, &dma->ports[i], i ? 0xc0 : 0x00, 0);
    }
    region_init_io(&dma->page_ports, "dma-pages", &page_ops, dma, PAGE_REGISTERS);
    memmap_add(io, &dma->page_ports, 0x80, 0);
    device_add(devices, &dma->device, &dma8237_class, dma);
    dma8237_reset(dma);
    return dma;
}
