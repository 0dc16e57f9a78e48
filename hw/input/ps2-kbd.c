/*
 * ps2-kbd.c - PS/2 keyboard, scan code sets 1 and 2 (IBM PS/2 Hardware Technical Reference,
 * "Keyboards"). Auto-repeat is what the user's own keyboard makes of it: rates are accepted only.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "hw/input/ps2.h"

enum { ACK = 0xfa, RESEND = 0xfe, SELF_TEST_OK = 0xaa, ECHO = 0xee };
enum { KBD_ID_0 = 0xab, KBD_ID_1 = 0x83, ROOM_FOR_ANSWERS = 16 };
enum {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SCANCODE_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
};

struct Ps2Kbd {
    Device device;
    Input *input;
    InputSink sink;
    Ps2Ready *ready;
    void *opaque;
    Ps2Queue queue;
    uint8_t pending; /* the command whose parameter comes next, or 0 */
    uint8_t last;    /* last byte sent, for RESEND */
    uint8_t set;     /* 1 or 2 */
    bool scanning;
};

bool ps2_kbd_next(Ps2Kbd *kbd, uint8_t *value)
{
    if (!ps2_queue_get(&kbd->queue, value))
        return false;
    kbd->last = *value;
    return true;
}

/* --- keys --------------------------------------------------------------------------------- */

static void put_all(Ps2Kbd *kbd, const uint8_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ps2_queue_put(&kbd->queue, codes[i]);
}

static void put_code(Ps2Kbd *kbd, uint16_t code, bool down)
{
    if (code >> 8)
        ps2_queue_put(&kbd->queue, code >> 8);
    if (kbd->set == 1) {
        ps2_queue_put(&kbd->queue, (code & 0xff) | (down ? 0 : 0x80));
        return;
    }
    if (!down)
        ps2_queue_put(&kbd->queue, 0xf0);
    ps2_queue_put(&kbd->queue, code);
}

/* Pause says everything when it is pressed and nothing when it is released. */
static void put_pause(Ps2Kbd *kbd)
{
    static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
    static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };

    if (kbd->set == 1)
        put_all(kbd, set1, sizeof(set1));
    else
        put_all(kbd, set2, sizeof(set2));
}

/* Print Screen comes with a shift of its own around it. */
static void put_print(Ps2Kbd *kbd, bool down)
{
    uint16_t shift = kbd->set == 1 ? 0xe02a : 0xe012;
    uint16_t key = kbd->set == 1 ? input_key_set1(KEY_print) : input_key_set2(KEY_print);

    put_code(kbd, down ? shift : key, down);
    put_code(kbd, down ? key : shift, down);
}

static void kbd_key(void *opaque, InputKey key, bool down)
{
    Ps2Kbd *kbd = opaque;

    if (!kbd->scanning || ps2_queue_room(&kbd->queue) < ROOM_FOR_ANSWERS)
        return;
    if (key == KEY_pause) {
        if (down)
            put_pause(kbd);
    } else if (key == KEY_print) {
        put_print(kbd, down);
    } else {
        put_code(kbd, kbd->set == 1 ? input_key_set1(key) : input_key_set2(key), down);
    }
    kbd->ready(kbd->opaque);
}

/* --- commands ----------------------------------------------------------------------------- */

static void set_defaults(Ps2Kbd *kbd)
{
    kbd->queue.count = 0;
    kbd->pending = 0;
    kbd->set = 2;
    input_set_leds(kbd->input, 0);
}

static void parameter(Ps2Kbd *kbd, uint8_t command, uint8_t value)
{
    if (command == CMD_LEDS) {
        input_set_leds(kbd->input, value & 7);
    } else if (command == CMD_SCANCODE_SET && value == 0) {
        ps2_queue_put(&kbd->queue, ACK);
        ps2_queue_put(&kbd->queue, kbd->set);
        return;
    } else if (command == CMD_SCANCODE_SET) {
        if (value > 2) {
            ps2_queue_put(&kbd->queue, RESEND);
            return;
        }
        kbd->set = value;
    }
    ps2_queue_put(&kbd->queue, ACK);
}

static void command(Ps2Kbd *kbd, uint8_t value)
{
    static const uint8_t id[] = { ACK, KBD_ID_0, KBD_ID_1 };
    uint8_t answer = ACK;

    switch (value) {
    case CMD_LEDS:
    case CMD_SCANCODE_SET:
    case CMD_RATE: kbd->pending = value; break;
    case CMD_ECHO: answer = ECHO; break;
    case CMD_ID: put_all(kbd, id, sizeof(id)); return;
    case CMD_ENABLE: kbd->scanning = true; break;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        set_defaults(kbd);
        kbd->scanning = value == CMD_DEFAULTS;
        break;
    case CMD_RESEND: answer = kbd->last; break;
    case CMD_RESET:
        set_defaults(kbd);
        kbd->scanning = true;
        ps2_queue_put(&kbd->queue, ACK);
        answer = SELF_TEST_OK;
        break;
    default: answer = RESEND; break;
    }
    ps2_queue_put(&kbd->queue, answer);
}

void ps2_kbd_write(Ps2Kbd *kbd, uint8_t value)
{
    uint8_t pending = kbd->pending;

    kbd->pending = 0;
    if (pending && value < 0xed) /* a command code aborts the one that waits for its parameter */
        parameter(kbd, pending, value);
    else
        command(kbd, value);
    kbd->ready(kbd->opaque);
}

/* --- device ------------------------------------------------------------------------------- */

static void kbd_reset(void *opaque)
{
    Ps2Kbd *kbd = opaque;

    set_defaults(kbd);
    kbd->scanning = true;
    kbd->last = 0;
}

static int kbd_loaded(void *opaque)
{
    Ps2Kbd *kbd = opaque;

    return ps2_queue_valid(&kbd->queue) && kbd->set >= 1 && kbd->set <= 2 ? 0 : -EINVAL;
}

static const SavedField kbd_fields[] = {
    SAVED_BYTES(Ps2Kbd, queue.data),
    SAVED(Ps2Kbd, queue.head),
    SAVED(Ps2Kbd, queue.count),
    SAVED(Ps2Kbd, pending),
    SAVED(Ps2Kbd, last),
    SAVED(Ps2Kbd, set),
    SAVED(Ps2Kbd, scanning),
    SAVED_END,
};

static const DeviceClass kbd_class = { .name = "ps2-kbd",
                                       .reset = kbd_reset,
                                       .loaded = kbd_loaded,
                                       .destroy = free,
                                       .fields = kbd_fields };

Ps2Kbd *ps2_kbd_new(DeviceList *devices, Input *input, Ps2Ready *ready, void *opaque)
{
    Ps2Kbd *kbd = calloc(1, sizeof(*kbd));

    if (!kbd)
        return NULL;
    kbd->input = input;
    kbd->ready = ready;
    kbd->opaque = opaque;
    kbd->sink = (InputSink) { .key = kbd_key, .opaque = kbd };
    input_add_sink(input, &kbd->sink);
    device_add(devices, &kbd->device, &kbd_class, kbd);
    kbd_reset(kbd);
    return kbd;
}
