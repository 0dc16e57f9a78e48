/*
 * mux.c - several lines on one terminal: the guest's serial port and the monitor take turns.
 *
 * The multiplexer is the front of the back end below it, and the back of each line above. Output
 * of all lines goes out as it comes; input goes to the line that has the focus. Ctrl-A is the
 * escape key: x quits, c changes the focus, b sends a break, h helps, Ctrl-A is sent as it is.
 */
#include <stdio.h>
#include <string.h>

#include "base/math.h"
#include "emulator/char/char.h"

enum { MUX_LINES = 4, ESCAPE = 0x01, INPUT_KEPT = 4096 };

typedef struct {
    Chardev chr; /* first */
    CharMux *mux;
    uint8_t kept[INPUT_KEPT]; /* typed, but the device has no room yet */
    size_t n_kept;
} MuxLine;

struct CharMux {
    CharBackend *base;
    MuxLine lines[MUX_LINES];
    unsigned n_lines, focus;
    bool escaped;       /* the last byte was the escape key */
    const char *hint;   /* shown again when the guest clears the screen; NULL: not any more */
    unsigned n_matched; /* bytes of clear_screen that went out last */
    void (*quit)(void *opaque);
    void *quit_opaque;
};

static const char help_text[] = "\r\n"
                                "Ctrl-A h    this help\r\n"
                                "Ctrl-A x    quit the emulator\r\n"
                                "Ctrl-A c    switch between the console and the monitor\r\n"
                                "Ctrl-A b    send a break\r\n"
                                "Ctrl-A Ctrl-A    send Ctrl-A\r\n";

/* ECMA-48: erase all of the page. */
static const char clear_screen[] = "\033[2J";

static bool clears_screen(CharMux *mux, const uint8_t *buf, size_t len)
{
    bool found = false;

    for (size_t i = 0; i < len; i++) {
        if (buf[i] != clear_screen[mux->n_matched])
            mux->n_matched = 0;
        mux->n_matched += buf[i] == clear_screen[mux->n_matched];
        found |= clear_screen[mux->n_matched] == 0;
        mux->n_matched %= sizeof(clear_screen) - 1;
    }
    return found;
}

/* On the terminal's last line, from where the guest's output scrolls it away. */
static void show_hint(CharMux *mux)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "\0337\033[999;1H%s\0338", mux->hint);

    chardev_write(&mux->base->chr, (const uint8_t *)text, MIN((size_t)n, sizeof(text) - 1));
}

static size_t line_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    CharMux *mux = ((MuxLine *)chr)->mux;
    size_t done = chardev_write(&mux->base->chr, buf, len);

    if (mux->hint && clears_screen(mux, buf, done))
        show_hint(mux);
    return done;
}

/* Hand over what was kept, oldest first. */
static void line_accept_input(Chardev *chr)
{
    MuxLine *line = (MuxLine *)chr;
    size_t n = MIN(chardev_can_receive(chr), line->n_kept);
    uint8_t out[INPUT_KEPT];

    if (n) {
        memcpy(out, line->kept, n);
        memmove(line->kept, line->kept + n, line->n_kept - n);
        line->n_kept -= n;
        chardev_receive(chr, out, n);
    }
    chardev_accept_input(&line->mux->base->chr);
}

static const ChardevBack line_back = {
    .write = line_write,
    .accept_input = line_accept_input,
};

static void mux_type(CharMux *mux, uint8_t byte)
{
    MuxLine *line = &mux->lines[mux->focus];

    if (line->n_kept < INPUT_KEPT)
        line->kept[line->n_kept++] = byte;
}

static void mux_flush(CharMux *mux)
{
    if (mux->n_lines)
        line_accept_input(&mux->lines[mux->focus].chr);
}

static void mux_switch(CharMux *mux)
{
    if (mux->n_lines == 0)
        return;
    mux_flush(mux);
    chardev_event(&mux->lines[mux->focus].chr, CHARDEV_CLOSED);
    mux->focus = (mux->focus + 1) % mux->n_lines;
    chardev_event(&mux->lines[mux->focus].chr, CHARDEV_OPENED);
}

static void mux_command(CharMux *mux, uint8_t key)
{
    switch (key) {
    case 'x': mux->quit(mux->quit_opaque); break;
    case 'c': mux_switch(mux); break;
    case 'b': chardev_event(&mux->lines[mux->focus].chr, CHARDEV_BREAK); break;
    case ESCAPE: mux_type(mux, ESCAPE); break;
    case 'h':
    case '?':
        chardev_write(&mux->base->chr, (const uint8_t *)help_text, sizeof(help_text) - 1);
        break;
    default: break;
    }
}

/* Much more than anybody types ahead, so the escape key works although the guest reads nothing. */
static size_t mux_can_receive(void *opaque)
{
    CharMux *mux = opaque;

    return INPUT_KEPT - mux->lines[mux->focus].n_kept;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    CharMux *mux = opaque;

    mux->hint = NULL;
    for (size_t i = 0; i < len; i++) {
        if (mux->escaped)
            mux_command(mux, buf[i]);
        else if (buf[i] != ESCAPE)
            mux_type(mux, buf[i]);
        mux->escaped = !mux->escaped && buf[i] == ESCAPE;
    }
    mux_flush(mux);
}

static void mux_event(void *opaque, ChardevEvent event)
{
    CharMux *mux = opaque;

    chardev_event(&mux->lines[mux->focus].chr, event);
}

static void mux_writable(void *opaque)
{
    CharMux *mux = opaque;

    for (unsigned i = 0; i < mux->n_lines; i++)
        chardev_writable(&mux->lines[i].chr);
}

static const ChardevFront mux_front = {
    .can_receive = mux_can_receive,
    .receive = mux_receive,
    .event = mux_event,
    .writable = mux_writable,
};

CharMux *char_mux_new(CharBackend *base, void (*quit)(void *opaque), void *opaque)
{
    CharMux *mux = calloc(1, sizeof(*mux));

    if (!mux)
        return NULL;
    mux->base = base;
    mux->quit = quit;
    mux->quit_opaque = opaque;
    chardev_attach(&base->chr, &mux_front, mux);
    return mux;
}

void char_mux_hint(CharMux *mux, const char *hint)
{
    mux->hint = hint;
}

void char_mux_close(CharMux *mux)
{
    if (!mux)
        return;
    char_close(mux->base);
    free(mux);
}

Chardev *char_mux_add(CharMux *mux)
{
    if (mux->n_lines == MUX_LINES)
        return NULL;
    MuxLine *line = &mux->lines[mux->n_lines++];

    line->mux = mux;
    line->chr.back = &line_back;
    return &line->chr;
}
