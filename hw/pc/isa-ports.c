/*
 * isa-ports.c - system control port A (92h), coprocessor error latch (F0h), debug console and exit.
 */
#include "hw/pc/isa-ports.h"

#include <stdlib.h>

enum { PORT92 = 0x92, PORT92_RESET = 1, PORT92_A20 = 2, FERR_PORT = 0xf0 };
enum { DEBUG_PORT = 0x402, DEBUG_PRESENT = 0xe9, EXIT_SIZE_MAX = 8 };

struct IsaPorts {
    Device device;
    IsaPortsWiring wiring;
    MemRegion port92, ferr_port, debug, debug_exit;
    IrqLine fpu_irq;
    uint8_t port92_value; /* all but the A20 bit */
};

static uint64_t port92_read(void *opaque, uint64_t port, unsigned size)
{
    IsaPorts *p = opaque;

    (void)port;
    (void)size;
    return p->port92_value | (p->wiring.a20->on ? PORT92_A20 : 0);
}

static void port92_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    IsaPorts *p = opaque;
    bool reset = value & PORT92_RESET && !(p->port92_value & PORT92_RESET);

    (void)port;
    (void)size;
    p->port92_value = value & ~PORT92_A20;
    a20_set(p->wiring.a20, value & PORT92_A20);
    if (reset)
        p->wiring.reset(p->wiring.opaque);
}

void isa_ports_set_ferr(IsaPorts *p, bool level)
{
    irq_set(&p->fpu_irq, level);
}

static void ferr_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    IsaPorts *p = opaque;

    (void)port;
    (void)value;
    (void)size;
    irq_set(&p->fpu_irq, false);
    if (p->wiring.ignne)
        p->wiring.ignne(p->wiring.opaque);
}

static uint64_t debug_read(void *opaque, uint64_t port, unsigned size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return DEBUG_PRESENT; /* how firmware finds out that somebody listens */
}

static void debug_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    IsaPorts *p = opaque;

    (void)port;
    (void)size;
    p->wiring.debug_log(p->wiring.opaque, value);
}

static uint64_t exit_read(void *opaque, uint64_t port, unsigned size)
{
    (void)opaque;
    (void)port;
    (void)size;
    return 0;
}

static void exit_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    IsaPorts *p = opaque;

    (void)port;
    (void)size;
    p->wiring.debug_exit(p->wiring.opaque, (int)((uint32_t)value << 1 | 1));
}

static const MemOps port92_ops = { .read = port92_read, .write = port92_write, .max_size = 1 };
static const MemOps ferr_ops = { .write = ferr_write, .max_size = 1 };
static const MemOps debug_ops = { .read = debug_read, .write = debug_write, .max_size = 1 };
static const MemOps exit_ops = { .read = exit_read, .write = exit_write, .max_size = 4 };

static void ports_reset(void *opaque)
{
    IsaPorts *p = opaque;

    p->port92_value = 0;
    irq_set(&p->fpu_irq, false);
}

static const SavedField ports_fields[] = { SAVED(IsaPorts, port92_value), SAVED_END };

static const DeviceClass ports_class = {
    .name = "isa-ports", .reset = ports_reset, .destroy = free, .fields = ports_fields
};

IsaPorts *isa_ports_new(DeviceList *devices, const IsaPortsWiring *wiring)
{
    IsaPorts *p = calloc(1, sizeof(*p));
    unsigned exit_size = wiring->debug_exit_size;

    if (!p)
        return NULL;
    p->wiring = *wiring;
    irq_connect(&p->fpu_irq, wiring->fpu_irq);
    region_init_io(&p->port92, "port92", &port92_ops, p, 1);
    memmap_add(wiring->io, &p->port92, PORT92, 0);
    region_init_io(&p->ferr_port, "ferr", &ferr_ops, p, 1);
    memmap_add(wiring->io, &p->ferr_port, FERR_PORT, 0);
    if (wiring->debug_log) {
        region_init_io(&p->debug, "debugcon", &debug_ops, p, 1);
        memmap_add(wiring->io, &p->debug, DEBUG_PORT, 0);
    }
    if (exit_size && exit_size <= EXIT_SIZE_MAX) {
        region_init_io(&p->debug_exit, "debug-exit", &exit_ops, p, exit_size);
        memmap_add(wiring->io, &p->debug_exit, wiring->debug_exit_base, 0);
    }
    device_add(devices, &p->device, &ports_class, p);
    return p;
}
