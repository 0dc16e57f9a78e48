/*
 * ioapic.c - I/O APIC (Intel 82093AA data sheet, section 3).
 *
 * An edge pin sends its message when its line rises, or when it is unmasked after a rise. A level
 * pin sends while its line is high and Remote IRR is clear; EOI clears Remote IRR and looks again.
 * Polarity bits are kept but mean nothing: lines here are either asserted or not.
 */
#include "hw/intc/ioapic.h"

#include <stdlib.h>

enum { SELECT = 0x00, WINDOW = 0x10, EOI = 0x40, REGISTERS_SIZE = 0x1000 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };
enum { VERSION = 0x20 | (IOAPIC_PINS - 1) << 16 };
enum { RTE_LOGICAL = 0x800, RTE_REMOTE_IRR = 0x4000, RTE_LEVEL = 0x8000, RTE_MASKED = 0x10000 };
#define RTE_WRITABLE UINT64_C(0xff0000000001afff)

struct Ioapic {
    Device device;
    MemRegion registers;
    void (*deliver)(void *opaque, const LapicMessage *message);
    void *opaque;
    uint8_t id, select;
    uint32_t lines; /* input levels */
    uint32_t edges; /* rises that were not sent yet */
    uint64_t table[IOAPIC_PINS];
};

static void send(Ioapic *io, unsigned n)
{
    uint64_t rte = io->table[n];
    LapicMessage m = {
        .destination = rte >> 56,
        .logical = rte & RTE_LOGICAL,
        .delivery = rte >> 8 & 7,
        .vector = rte,
        .level = rte & RTE_LEVEL,
    };

    io->deliver(io->opaque, &m);
}

/* Send what pin n has to say, if anything. */
static void service(Ioapic *io, unsigned n)
{
    uint64_t rte = io->table[n];
    uint32_t bit = UINT32_C(1) << n;

    if (rte & RTE_MASKED)
        return;
    if (rte & RTE_LEVEL) {
        if (!(io->lines & bit) || rte & RTE_REMOTE_IRR)
            return;
        io->table[n] |= RTE_REMOTE_IRR;
    } else {
        if (!(io->edges & bit))
            return;
        io->edges &= ~bit;
    }
    send(io, n);
}

void ioapic_set_irq(void *opaque, int n, bool level)
{
    Ioapic *io = opaque;
    uint32_t bit = UINT32_C(1) << n;

    if (level && !(io->lines & bit))
        io->edges |= bit;
    else if (!level)
        io->edges &= ~bit;
    io->lines = level ? io->lines | bit : io->lines & ~bit;
    service(io, n);
}

void ioapic_eoi(Ioapic *io, uint8_t vector)
{
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        uint64_t rte = io->table[n];

        if (!(rte & RTE_LEVEL) || (rte & 0xff) != vector || !(rte & RTE_REMOTE_IRR))
            continue;
        io->table[n] &= ~(uint64_t)RTE_REMOTE_IRR;
        service(io, n);
    }
}

/* --- registers ---------------------------------------------------------------------------- */

static uint32_t indirect_read(Ioapic *io)
{
    unsigned n = (io->select - REG_TABLE) / 2;

    switch (io->select) {
    case REG_ID:
    case REG_ARBITRATION: return (uint32_t)io->id << 24;
    case REG_VERSION: return VERSION;
    default: break;
    }
    if (io->select < REG_TABLE || n >= IOAPIC_PINS)
        return 0;
    return io->select & 1 ? io->table[n] >> 32 : io->table[n];
}

static void write_entry(Ioapic *io, unsigned n, uint64_t value)
{
    uint64_t keep = io->table[n] & RTE_REMOTE_IRR;

    if (!(value & RTE_LEVEL))
        keep = 0; /* an edge pin has no Remote IRR: how an OS clears a stuck one */
    io->table[n] = (value & RTE_WRITABLE) | keep;
    service(io, n);
}

static void indirect_write(Ioapic *io, uint32_t value)
{
    unsigned n = (io->select - REG_TABLE) / 2;

    if (io->select == REG_ID)
        io->id = value >> 24 & 15;
    if (io->select < REG_TABLE || n >= IOAPIC_PINS)
        return;
    if (io->select & 1)
        write_entry(io, n, (io->table[n] & UINT32_MAX) | (uint64_t)value << 32);
    else
        write_entry(io, n, (io->table[n] & ~(uint64_t)UINT32_MAX) | value);
}

static uint64_t ioapic_read(void *opaque, uint64_t offset, unsigned size)
{
    Ioapic *io = opaque;

    (void)size;
    switch (offset) {
    case SELECT: return io->select;
    case WINDOW: return indirect_read(io);
    default: return 0;
    }
}

static void ioapic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Ioapic *io = opaque;

    (void)size;
    switch (offset) {
    case SELECT: io->select = value; break;
    case WINDOW: indirect_write(io, value); break;
    case EOI: ioapic_eoi(io, value); break;
    default: break;
    }
}

static const MemOps ioapic_ops = { .read = ioapic_read, .write = ioapic_write, .max_size = 4 };

/* --- device ------------------------------------------------------------------------------- */

static void ioapic_reset(void *opaque)
{
    Ioapic *io = opaque;

    io->id = io->select = 0;
    io->edges = 0;
    for (int n = 0; n < IOAPIC_PINS; n++)
        io->table[n] = RTE_MASKED;
}

static const SavedField ioapic_fields[] = { SAVED(Ioapic, id),          SAVED(Ioapic, select),
                                            SAVED(Ioapic, lines),       SAVED(Ioapic, edges),
                                            SAVED_ARRAY(Ioapic, table), SAVED_END };

static const DeviceClass ioapic_class = {
    .name = "ioapic", .reset = ioapic_reset, .destroy = free, .fields = ioapic_fields
};

Ioapic *ioapic_new(DeviceList *devices, MemMap *memory,
                   void (*deliver)(void *opaque, const LapicMessage *message), void *opaque)
{
    Ioapic *io = calloc(1, sizeof(*io));

    if (!io)
        return NULL;
    io->deliver = deliver;
    io->opaque = opaque;
    region_init_io(&io->registers, "ioapic", &ioapic_ops, io, REGISTERS_SIZE);
    memmap_add(memory, &io->registers, IOAPIC_BASE, MEM_PRIO_CHIPSET);
    device_add(devices, &io->device, &ioapic_class, io);
    ioapic_reset(io);
    return io;
}
