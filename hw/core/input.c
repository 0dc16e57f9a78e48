/*
 * input.c - key names and codes, and handing events to the newest sink that wants them.
 */
#include "hw/core/input.h"

#include <string.h>

#include "base/compiler.h"

static const struct {
    const char *name;
    uint16_t set1, set2;
} keys[KEY_COUNT] = {
#define INPUT_KEY(name, set1, set2) [KEY_##name] = { #name, set1, set2 },
#include "hw/core/input-keys.def"
#undef INPUT_KEY
};

void input_add_sink(Input *in, InputSink *sink)
{
    sink->next = in->sinks;
    in->sinks = sink;
}

void input_key(Input *in, InputKey key, bool down)
{
    if (key <= KEY_NONE || key >= KEY_COUNT)
        return;
    for (InputSink *s = in->sinks; s; s = s->next) {
        if (s->key) {
            s->key(s->opaque, key, down);
            return;
        }
    }
}

void input_mouse(Input *in, int dx, int dy, int dz, unsigned buttons)
{
    for (InputSink *s = in->sinks; s; s = s->next) {
        if (s->mouse) {
            s->mouse(s->opaque, dx, dy, dz, buttons);
            return;
        }
    }
}

void input_set_leds(Input *in, unsigned leds)
{
    in->leds = leds;
    if (in->leds_changed)
        in->leds_changed(in->leds_opaque, leds);
}

InputKey input_key_by_name(const char *name)
{
    static const struct {
        const char *name;
        InputKey key;
    } other_names[] = {
        { "enter", KEY_ret },
        { "escape", KEY_esc },
        { "space", KEY_spc },
        { "del", KEY_delete },
        { "sysrq", KEY_print },
        { "page_up", KEY_pgup },
        { "asterisk", KEY_kp_multiply },
        { "page_down", KEY_pgdn },
    };

    for (int key = KEY_NONE + 1; key < KEY_COUNT; key++)
        if (!strcmp(keys[key].name, name))
            return key;
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
        if (!strcmp(other_names[i].name, name))
            return other_names[i].key;
    return KEY_NONE;
}

const char *input_key_name(InputKey key)
{
    return key > KEY_NONE && key < KEY_COUNT ? keys[key].name : "none";
}

uint16_t input_key_set1(InputKey key)
{
    return key < KEY_COUNT ? keys[key].set1 : 0;
}

uint16_t input_key_set2(InputKey key)
{
    return key < KEY_COUNT ? keys[key].set2 : 0;
}

bool input_key_for_char(char c, InputKey *key, bool *shift)
{
    static const char plain[] = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ \n\t\b\033";
    static const char shifted[] = "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>?";
    static const InputKey at[] = {
        KEY_grave_accent,
        KEY_1,
        KEY_2,
        KEY_3,
        KEY_4,
        KEY_5,
        KEY_6,
        KEY_7,
        KEY_8,
        KEY_9,
        KEY_0,
        KEY_minus,
        KEY_equal,
        KEY_q,
        KEY_w,
        KEY_e,
        KEY_r,
        KEY_t,
        KEY_y,
        KEY_u,
        KEY_i,
        KEY_o,
        KEY_p,
        KEY_bracket_left,
        KEY_bracket_right,
        KEY_backslash,
        KEY_a,
        KEY_s,
        KEY_d,
        KEY_f,
        KEY_g,
        KEY_h,
        KEY_j,
        KEY_k,
        KEY_l,
        KEY_semicolon,
        KEY_apostrophe,
        KEY_z,
        KEY_x,
        KEY_c,
        KEY_v,
        KEY_b,
        KEY_n,
        KEY_m,
        KEY_comma,
        KEY_dot,
        KEY_slash,
        KEY_spc,
        KEY_ret,
        KEY_tab,
        KEY_backspace,
        KEY_esc,
    };
    _Static_assert(ARRAY_LEN(at) == sizeof(plain) - 1, "one key for each character");
    const char *p = c ? strchr(plain, c) : NULL;
    const char *s = c ? strchr(shifted, c) : NULL;

    if (!p && !s)
        return false;
    *key = p ? at[p - plain] : at[s - shifted];
    *shift = !p;
    return true;
}
