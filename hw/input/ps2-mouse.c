/*
 * ps2-mouse.c - PS/2 mouse with the IntelliMouse extensions: wheel (ID 3) and five buttons (ID 4),
 * chosen by the well-known sequences of sample rates (Microsoft, "Intellimouse protocol").
 *
 * Movement accumulates until the controller asks for a byte: a slow guest gets fewer, larger steps.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/math.h"
#include "hw/input/ps2.h"

enum { ACK = 0xfa, ERROR = 0xfc, RESEND = 0xfe, SELF_TEST_OK = 0xaa };
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_BUTTONS = 4 };
enum {
    CMD_SCALE_1 = 0xe6,
    CMD_SCALE_2 = 0xe7,
    CMD_RESOLUTION = 0xe8,
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ_DATA = 0xeb,
    CMD_RESET_WRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_ID = 0xf2,
    CMD_SAMPLE_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
};
enum { STATUS_REMOTE = 0x40, STATUS_ENABLED = 0x20, STATUS_SCALE_2 = 0x10 };
enum { MAX_PENDING = 4096 };

struct Ps2Mouse {
    Device device;
    InputSink sink;
    Ps2Ready *ready;
    void *opaque;
    Ps2Queue queue;
    int32_t dx, dy, dz; /* moved, not reported yet */
    uint8_t buttons;    /* pressed now */
    uint8_t reported;   /* as of the last packet */
    uint8_t pending, last;
    uint8_t rate, resolution, id;
    uint8_t rates[2]; /* the two sample rates before `rate`: older first */
    bool enabled, remote, scale_2, wrap;
};

/* --- packets ------------------------------------------------------------------------------ */

static int take_step(int32_t *moved, int low, int high)
{
    int step = MAX(low, MIN(high, *moved));

    *moved -= step;
    return step;
}

static void put_packet(Ps2Mouse *m)
{
    int dx = take_step(&m->dx, -255, 255);
    int dy = -take_step(&m->dy, -255, 255); /* the mouse counts upwards */
    int dz = take_step(&m->dz, m->id == ID_BUTTONS ? -8 : -127, m->id == ID_BUTTONS ? 7 : 127);

    ps2_queue_put(&m->queue, 0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
    ps2_queue_put(&m->queue, dx);
    ps2_queue_put(&m->queue, dy);
    if (m->id == ID_WHEEL)
        ps2_queue_put(&m->queue, dz);
    else if (m->id == ID_BUTTONS)
        ps2_queue_put(&m->queue, (dz & 0x0f) | (m->buttons & 0x18) << 1);
    m->reported = m->buttons;
}

static bool changed(const Ps2Mouse *m)
{
    return m->dx || m->dy || (m->dz && m->id) || m->buttons != m->reported;
}

static bool streaming(const Ps2Mouse *m)
{
    return m->enabled && !m->remote && !m->wrap;
}

bool ps2_mouse_next(Ps2Mouse *m, uint8_t *value)
{
    if (!m->queue.count && streaming(m) && changed(m))
        put_packet(m);
    if (!ps2_queue_get(&m->queue, value))
        return false;
    m->last = *value;
    return true;
}

static int32_t accumulate(int32_t old, int step)
{
    return MAX(-MAX_PENDING, MIN(MAX_PENDING, old + MAX(-MAX_PENDING, MIN(MAX_PENDING, step))));
}

static void mouse_moved(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    Ps2Mouse *m = opaque;

    if (!m->enabled)
        return;
    /* A press and its release must not melt into one packet. */
    if (buttons != m->buttons && m->buttons != m->reported && streaming(m) &&
        ps2_queue_room(&m->queue) > PS2_QUEUE / 2)
        put_packet(m);
    m->dx = accumulate(m->dx, dx);
    m->dy = accumulate(m->dy, dy);
    m->dz = accumulate(m->dz, dz);
    m->buttons = buttons & 0x1f;
    m->ready(m->opaque);
}

/* --- commands ----------------------------------------------------------------------------- */

static void set_defaults(Ps2Mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scale_2 = m->enabled = m->remote = m->wrap = false;
    m->dx = m->dy = m->dz = 0;
    m->reported = m->buttons;
    m->queue.count = 0;
    m->pending = 0;
}

static void set_rate(Ps2Mouse *m, uint8_t rate)
{
    if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 100)
        m->id = ID_WHEEL;
    if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 200 && m->id == ID_WHEEL)
        m->id = ID_BUTTONS;
    m->rates[0] = m->rates[1];
    m->rates[1] = rate;
    m->rate = rate;
}

static void put_status(Ps2Mouse *m)
{
    uint8_t b = m->buttons;

    ps2_queue_put(&m->queue, (m->remote ? STATUS_REMOTE : 0) | (m->enabled ? STATUS_ENABLED : 0) |
                                 (m->scale_2 ? STATUS_SCALE_2 : 0) | (b & MOUSE_LEFT ? 4 : 0) |
                                 (b & MOUSE_MIDDLE ? 2 : 0) | (b & MOUSE_RIGHT ? 1 : 0));
    ps2_queue_put(&m->queue, m->resolution);
    ps2_queue_put(&m->queue, m->rate);
}

static void reset_command(Ps2Mouse *m)
{
    set_defaults(m);
    m->id = ID_PLAIN;
    ps2_queue_put(&m->queue, ACK);
    ps2_queue_put(&m->queue, SELF_TEST_OK);
    ps2_queue_put(&m->queue, ID_PLAIN);
}

static void command(Ps2Mouse *m, uint8_t value)
{
    if (value == CMD_RESET) {
        reset_command(m);
        return;
    }
    if (value == CMD_DISABLE || value == CMD_DEFAULTS)
        m->queue.count = 0;
    ps2_queue_put(&m->queue, value < CMD_SCALE_1 ? ERROR : ACK);
    switch (value) {
    case CMD_SCALE_1: m->scale_2 = false; break;
    case CMD_SCALE_2: m->scale_2 = true; break;
    case CMD_RESOLUTION:
    case CMD_SAMPLE_RATE: m->pending = value; break;
    case CMD_STATUS: put_status(m); break;
    case CMD_STREAM: m->remote = false; break;
    case CMD_READ_DATA: put_packet(m); break;
    case CMD_WRAP: m->wrap = true; break;
    case CMD_REMOTE: m->remote = true; break;
    case CMD_ID: ps2_queue_put(&m->queue, m->id); break;
    case CMD_ENABLE: m->enabled = true; break;
    case CMD_DISABLE: m->enabled = false; break;
    case CMD_DEFAULTS:
        set_defaults(m);
        ps2_queue_put(&m->queue, ACK);
        break;
    case CMD_RESEND: ps2_queue_put(&m->queue, m->last); break;
    default: break; /* RESET_WRAP outside wrap mode, and codes without a meaning */
    }
}

static void parameter(Ps2Mouse *m, uint8_t value)
{
    if (m->pending == CMD_SAMPLE_RATE)
        set_rate(m, value);
    else
        m->resolution = value & 3;
    m->pending = 0;
    ps2_queue_put(&m->queue, ACK);
}

void ps2_mouse_write(Ps2Mouse *m, uint8_t value)
{
    if (m->wrap && value != CMD_RESET && value != CMD_RESET_WRAP) {
        ps2_queue_put(&m->queue, value);
    } else if (m->pending) {
        parameter(m, value);
    } else {
        m->wrap = false;
        command(m, value);
    }
    m->ready(m->opaque);
}

/* --- device ------------------------------------------------------------------------------- */

static void mouse_reset(void *opaque)
{
    Ps2Mouse *m = opaque;

    set_defaults(m);
    m->id = ID_PLAIN;
    m->last = 0;
    m->rates[0] = m->rates[1] = 0;
}

static int mouse_loaded(void *opaque)
{
    Ps2Mouse *m = opaque;

    m->dx = accumulate(0, m->dx);
    m->dy = accumulate(0, m->dy);
    m->dz = accumulate(0, m->dz);
    return ps2_queue_valid(&m->queue) ? 0 : -EINVAL;
}

static const SavedField mouse_fields[] = {
    SAVED_BYTES(Ps2Mouse, queue.data),
    SAVED(Ps2Mouse, queue.head),
    SAVED(Ps2Mouse, queue.count),
    SAVED(Ps2Mouse, dx),
    SAVED(Ps2Mouse, dy),
    SAVED(Ps2Mouse, dz),
    SAVED(Ps2Mouse, buttons),
    SAVED(Ps2Mouse, reported),
    SAVED(Ps2Mouse, pending),
    SAVED(Ps2Mouse, last),
    SAVED(Ps2Mouse, rate),
    SAVED(Ps2Mouse, resolution),
    SAVED(Ps2Mouse, id),
    SAVED_BYTES(Ps2Mouse, rates),
    SAVED(Ps2Mouse, enabled),
    SAVED(Ps2Mouse, remote),
    SAVED(Ps2Mouse, scale_2),
    SAVED(Ps2Mouse, wrap),
    SAVED_END,
};

static const DeviceClass mouse_class = { .name = "ps2-mouse",
                                         .reset = mouse_reset,
                                         .loaded = mouse_loaded,
                                         .destroy = free,
                                         .fields = mouse_fields };

Ps2Mouse *ps2_mouse_new(DeviceList *devices, Input *input, Ps2Ready *ready, void *opaque)
{
    Ps2Mouse *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->ready = ready;
    m->opaque = opaque;
    m->sink = (InputSink) { .mouse = mouse_moved, .opaque = m };
    input_add_sink(input, &m->sink);
    device_add(devices, &m->device, &mouse_class, m);
    mouse_reset(m);
    return m;
}
