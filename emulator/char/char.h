/*
 * char.h - back ends of character devices: what a -serial, -monitor or -debugcon line names.
 *
 *   stdio | mon:stdio | null | none | file:PATH | pty | unix:PATH[,server[,nowait]]
 *   tcp:[HOST]:PORT[,server[,nowait]] | mon:ANY
 *
 * A `mon:` prefix puts a multiplexer on the back end: several devices and a monitor share it, and
 * Ctrl-A is its escape key. Everything runs under the machine lock.
 */
#ifndef EMULATOR_CHAR_CHAR_H
#define EMULATOR_CHAR_CHAR_H

#include "base/error.h"
#include "emulator/mainloop.h"
#include "hw/core/chardev.h"

typedef struct CharBackend CharBackend;
struct CharBackend {
    Chardev chr; /* first: what devices get */
    void (*close)(CharBackend *be);
};

/* `spec` without "mon:" or "none". *out is closed with char_close(). */
int char_open(const char *spec, CharBackend **out, Error **err);
void char_close(CharBackend *be); /* NULL is fine */

/* Is this text a back end at all? For the command line, before anything is opened. */
int char_check(const char *spec, Error **err);

int char_stdio_open(bool signals, CharBackend **out, Error **err);
int char_file_open(const char *path, CharBackend **out, Error **err);
int char_pty_open(CharBackend **out, Error **err);
int char_socket_open(const char *spec, CharBackend **out, Error **err);
int char_socket_check(const char *spec, Error **err);
int char_null_open(CharBackend **out, Error **err);

/* The terminal as it was before char_stdio_open() changed it; safe in a signal handler. */
void char_stdio_restore(void);
void char_stdio_reapply(void); /* after the program was stopped and continued */

/* ---- multiplexer --------------------------------------------------------------------------- */

typedef struct CharMux CharMux;

/* Takes the back end. `quit` is called for Ctrl-A x. */
CharMux *char_mux_new(CharBackend *base, void (*quit)(void *opaque), void *opaque);
/* One line for the bottom of a terminal, shown when the guest clears it, until the user types. */
void char_mux_hint(CharMux *mux, const char *hint);
void char_mux_close(CharMux *mux);

/* Another line that shares the terminal; the first one added has the focus. */
Chardev *char_mux_add(CharMux *mux);

/* ---- a stream over descriptors, for back ends ------------------------------------------------ */

typedef struct CharStream {
    CharBackend be;
    int in, out; /* -1: closed; may be the same */
    Watch in_watch, out_watch;
    void (*hangup)(struct CharStream *s); /* end of file or an error; NULL: stop listening */
} CharStream;

void char_stream_init(CharStream *s);
void char_stream_start(CharStream *s, int in, int out);
void char_stream_stop(CharStream *s); /* does not close the descriptors */

#endif
