/*
 * input.h - keys and mouse movements on their way to the guest.
 *
 * Keys are named by position on a US keyboard (input-keys.def: one list for names and scan codes).
 * Keyboards and mice register as sinks; whoever reads the user's hands calls input_key() and
 * input_mouse(). The sink that registered last gets the events.
 */
#ifndef HW_CORE_INPUT_H
#define HW_CORE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum InputKey {
    KEY_NONE,
#define INPUT_KEY(name, set1, set2) KEY_##name,
#include "hw/core/input-keys.def"
#undef INPUT_KEY
    KEY_COUNT
} InputKey;

enum { MOUSE_LEFT = 1, MOUSE_RIGHT = 2, MOUSE_MIDDLE = 4 };

typedef struct InputSink {
    void (*key)(void *opaque, InputKey key, bool down);                    /* or NULL */
    void (*mouse)(void *opaque, int dx, int dy, int dz, unsigned buttons); /* or NULL */
    void *opaque;
    struct InputSink *next;
} InputSink;

typedef struct Input {
    InputSink *sinks;
    unsigned leds;                                     /* LED_* bits as the guest set them */
    void (*leds_changed)(void *opaque, unsigned leds); /* or NULL */
    void *leds_opaque;
} Input;

enum { LED_SCROLL = 1, LED_NUM = 2, LED_CAPS = 4 };

void input_add_sink(Input *in, InputSink *sink);
void input_key(Input *in, InputKey key, bool down);
/* Relative movement, right and down positive; dz > 0 scrolls down; MOUSE_* bits now pressed. */
void input_mouse(Input *in, int dx, int dy, int dz, unsigned buttons);
void input_set_leds(Input *in, unsigned leds);

/* "ret", "ctrl", "f1", "a": the names that sendkey takes; KEY_NONE if there is none such. */
InputKey input_key_by_name(const char *name);
const char *input_key_name(InputKey key);
uint16_t input_key_set1(InputKey key); /* 0xe0xx: prefixed; 0: none */
uint16_t input_key_set2(InputKey key);

/* The key that types `c` on a US keyboard, and whether shift is held; false if none does. */
bool input_key_for_char(char c, InputKey *key, bool *shift);

#endif
