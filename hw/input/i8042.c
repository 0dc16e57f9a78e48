/*
 * i8042.c - keyboard controller with its mouse port (IBM PS/2 Hardware Technical Reference,
 * "Keyboard and Auxiliary Device Controller").
 *
 * One output buffer, filled whenever it is empty: first the controller's own answers, then the
 * keyboard, then the mouse, each only while its port is enabled. Both interrupts are pure functions
 * of the buffer and the command byte. Keyboard bytes are translated from set 2 to set 1 on the way
 * if the command byte says so; F0h becomes bit 7 of the code that follows.
 */
#include "hw/input/i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "hw/input/ps2.h"

enum { STATUS_OBF = 0x01, STATUS_SYS = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10 };
enum { STATUS_AUX = 0x20 };
enum { MODE_KBD_IRQ = 1, MODE_AUX_IRQ = 2, MODE_SYS = 4, MODE_KBD_OFF = 16, MODE_AUX_OFF = 32 };
enum { MODE_TRANSLATE = 64 };
enum { OUT_RUN = 1, OUT_A20 = 2, OUT_OBF = 0x10, OUT_AUX = 0x20, OUT_IDLE = 0xcc };
enum {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_AUX_DISABLE = 0xa7,
    CMD_AUX_ENABLE = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_DISABLE = 0xad,
    CMD_KBD_ENABLE = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_WRITE_KBD_BUFFER = 0xd2,
    CMD_WRITE_AUX_BUFFER = 0xd3,
    CMD_WRITE_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0,
};
enum { RAM_SIZE = 32, SELF_TEST_OK = 0x55, BREAK_PREFIX = 0xf0 };
enum { FROM_NOBODY, FROM_KBD, FROM_AUX };

struct I8042 {
    Device device;
    I8042Wiring wiring;
    IrqLine kbd_irq, mouse_irq;
    MemRegion data_port, command_port;
    Ps2Kbd *kbd;
    Ps2Mouse *mouse;
    uint8_t to_set1[256];

    uint8_t ram[RAM_SIZE]; /* byte 0 is the command byte */
    uint8_t status;        /* SYS and COMMAND */
    uint8_t pending;       /* the command whose data byte comes next, or 0 */
    uint8_t out, out_from;
    Ps2Queue own;     /* the controller's answers */
    uint8_t own_from; /* whom they pretend to come from */
    bool break_seen;  /* translating: an F0h was swallowed */
};

static bool mode(const I8042 *c, uint8_t bit)
{
    return c->ram[0] & bit;
}

/* --- output buffer ------------------------------------------------------------------------ */

static bool translate(I8042 *c, uint8_t *value)
{
    if (!mode(c, MODE_TRANSLATE))
        return true;
    if (*value == BREAK_PREFIX) {
        c->break_seen = true;
        return false;
    }
    *value = c->to_set1[*value] | (c->break_seen ? 0x80 : 0);
    c->break_seen = false;
    return true;
}

static bool next_from_kbd(I8042 *c)
{
    while (!mode(c, MODE_KBD_OFF) && ps2_kbd_next(c->kbd, &c->out))
        if (translate(c, &c->out))
            return true;
    return false;
}

static void update_irqs(I8042 *c)
{
    irq_set(&c->kbd_irq, c->out_from == FROM_KBD && mode(c, MODE_KBD_IRQ));
    irq_set(&c->mouse_irq, c->out_from == FROM_AUX && mode(c, MODE_AUX_IRQ));
}

static void refill(void *opaque)
{
    I8042 *c = opaque;

    if (c->out_from == FROM_NOBODY) {
        if (ps2_queue_get(&c->own, &c->out))
            c->out_from = c->own_from;
        else if (next_from_kbd(c))
            c->out_from = FROM_KBD;
        else if (!mode(c, MODE_AUX_OFF) && ps2_mouse_next(c->mouse, &c->out))
            c->out_from = FROM_AUX;
    }
    update_irqs(c);
}

static void answer(I8042 *c, uint8_t value, uint8_t from)
{
    c->own_from = from;
    ps2_queue_put(&c->own, value);
}

/* --- commands ----------------------------------------------------------------------------- */

static uint8_t output_port(const I8042 *c)
{
    return OUT_IDLE | OUT_RUN | (c->wiring.a20->on ? OUT_A20 : 0) |
           (c->out_from == FROM_KBD ? OUT_OBF : 0) | (c->out_from == FROM_AUX ? OUT_AUX : 0);
}

static void write_output_port(I8042 *c, uint8_t value)
{
    a20_set(c->wiring.a20, value & OUT_A20);
    if (!(value & OUT_RUN))
        c->wiring.reset(c->wiring.opaque);
}

static void set_mode(I8042 *c, uint8_t value)
{
    c->ram[0] = value;
    c->status = (c->status & ~STATUS_SYS) | (value & MODE_SYS ? STATUS_SYS : 0);
}

static void self_test(I8042 *c)
{
    c->own.count = 0;
    c->out_from = FROM_NOBODY;
    c->status |= STATUS_SYS;
    c->ram[0] |= MODE_SYS;
    answer(c, SELF_TEST_OK, FROM_KBD);
}

static void special_command(I8042 *c, uint8_t value)
{
    switch (value) {
    case CMD_AUX_DISABLE: c->ram[0] |= MODE_AUX_OFF; break;
    case CMD_AUX_ENABLE: c->ram[0] &= ~MODE_AUX_OFF; break;
    case CMD_KBD_DISABLE: c->ram[0] |= MODE_KBD_OFF; break;
    case CMD_KBD_ENABLE: c->ram[0] &= ~MODE_KBD_OFF; break;
    case CMD_AUX_TEST:
    case CMD_KBD_TEST:
    case CMD_TEST_INPUTS: answer(c, 0, FROM_KBD); break;
    case CMD_SELF_TEST: self_test(c); break;
    case CMD_READ_INPUT: answer(c, 0x80, FROM_KBD); break; /* keyboard not locked */
    case CMD_READ_OUTPUT: answer(c, output_port(c), FROM_KBD); break;
    case CMD_A20_OFF: a20_set(c->wiring.a20, false); break;
    case CMD_A20_ON: a20_set(c->wiring.a20, true); break;
    case CMD_WRITE_OUTPUT:
    case CMD_WRITE_KBD_BUFFER:
    case CMD_WRITE_AUX_BUFFER:
    case CMD_WRITE_AUX: c->pending = value; break;
    default: break; /* unknown commands do nothing, as in the original */
    }
}

static void command(I8042 *c, uint8_t value)
{
    c->pending = 0;
    c->status |= STATUS_COMMAND;
    if (value >= CMD_PULSE) { /* each zero bit pulses an output line; line 0 is reset */
        if (!(value & OUT_RUN))
            c->wiring.reset(c->wiring.opaque);
    } else if (value >= CMD_READ_RAM && value < CMD_READ_RAM + RAM_SIZE) {
        answer(c, c->ram[value - CMD_READ_RAM], FROM_KBD);
    } else if (value >= CMD_WRITE_RAM && value < CMD_WRITE_RAM + RAM_SIZE) {
        c->pending = value;
    } else {
        special_command(c, value);
    }
}

static void data(I8042 *c, uint8_t value)
{
    uint8_t pending = c->pending;

    c->pending = 0;
    c->status &= ~STATUS_COMMAND;
    if (pending == CMD_WRITE_RAM) {
        set_mode(c, value);
    } else if (pending > CMD_WRITE_RAM && pending < CMD_WRITE_RAM + RAM_SIZE) {
        c->ram[pending - CMD_WRITE_RAM] = value;
    } else if (pending == CMD_WRITE_OUTPUT) {
        write_output_port(c, value);
    } else if (pending == CMD_WRITE_KBD_BUFFER || pending == CMD_WRITE_AUX_BUFFER) {
        answer(c, value, pending == CMD_WRITE_KBD_BUFFER ? FROM_KBD : FROM_AUX);
    } else if (pending == CMD_WRITE_AUX) {
        ps2_mouse_write(c->mouse, value);
    } else {
        c->ram[0] &= ~MODE_KBD_OFF; /* talking to the keyboard enables it */
        ps2_kbd_write(c->kbd, value);
    }
}

/* --- ports -------------------------------------------------------------------------------- */

static uint64_t data_read(void *opaque, uint64_t port, unsigned size)
{
    I8042 *c = opaque;
    uint8_t value = c->out;

    (void)port;
    (void)size;
    c->out_from = FROM_NOBODY;
    update_irqs(c); /* the line drops between two bytes: each is an edge */
    refill(c);
    return value;
}

static void data_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    (void)port;
    (void)size;
    data(opaque, value);
    refill(opaque);
}

static uint64_t status_read(void *opaque, uint64_t port, unsigned size)
{
    I8042 *c = opaque;

    (void)port;
    (void)size;
    return c->status | STATUS_UNLOCKED | (c->out_from != FROM_NOBODY ? STATUS_OBF : 0) |
           (c->out_from == FROM_AUX ? STATUS_AUX : 0);
}

static void command_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    (void)port;
    (void)size;
    command(opaque, value);
    refill(opaque);
}

static const MemOps data_ops = { .read = data_read, .write = data_write, .max_size = 1 };
static const MemOps command_ops = { .read = status_read, .write = command_write, .max_size = 1 };

/* --- device ------------------------------------------------------------------------------- */

/* Codes that no key has, and answers such as ACK, pass unchanged. */
static void build_translation(I8042 *c)
{
    for (int i = 0; i < 256; i++)
        c->to_set1[i] = i;
    for (int key = KEY_NONE + 1; key < KEY_COUNT; key++)
        c->to_set1[input_key_set2(key) & 0xff] = input_key_set1(key) & 0x7f;
}

static void i8042_reset(void *opaque)
{
    I8042 *c = opaque;

    c->ram[0] = MODE_KBD_IRQ | MODE_AUX_IRQ | MODE_AUX_OFF;
    c->status = 0;
    c->pending = c->out = 0;
    c->out_from = FROM_NOBODY;
    c->own.count = 0;
    c->break_seen = false;
    a20_set(c->wiring.a20, true);
    update_irqs(c);
}

static int i8042_loaded(void *opaque)
{
    I8042 *c = opaque;

    if (c->out_from > FROM_AUX || !ps2_queue_valid(&c->own))
        return -EINVAL;
    update_irqs(c);
    return 0;
}

static const SavedField i8042_fields[] = {
    SAVED_BYTES(I8042, ram),
    SAVED(I8042, status),
    SAVED(I8042, pending),
    SAVED(I8042, out),
    SAVED(I8042, out_from),
    SAVED_BYTES(I8042, own.data),
    SAVED(I8042, own.head),
    SAVED(I8042, own.count),
    SAVED(I8042, own_from),
    SAVED(I8042, break_seen),
    SAVED_END,
};

static const DeviceClass i8042_class = { .name = "i8042",
                                         .reset = i8042_reset,
                                         .loaded = i8042_loaded,
                                         .destroy = free,
                                         .fields = i8042_fields };

I8042 *i8042_new(DeviceList *devices, const I8042Wiring *wiring)
{
    I8042 *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->wiring = *wiring;
    irq_connect(&c->kbd_irq, wiring->kbd_irq);
    irq_connect(&c->mouse_irq, wiring->mouse_irq);
    build_translation(c);
    region_init_io(&c->data_port, "i8042-data", &data_ops, c, 1);
    memmap_add(wiring->io, &c->data_port, 0x60, 0);
    region_init_io(&c->command_port, "i8042-command", &command_ops, c, 1);
    memmap_add(wiring->io, &c->command_port, 0x64, 0);
    c->kbd = ps2_kbd_new(devices, wiring->input, refill, c);
    c->mouse = ps2_mouse_new(devices, wiring->input, refill, c);
    device_add(devices, &c->device, &i8042_class, c);
    i8042_reset(c);
    return c;
}
