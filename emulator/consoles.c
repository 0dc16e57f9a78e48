/*
 * consoles.c - which serial line, monitor and debug console ends where.
 *
 * Without any word about it the first serial port and the monitor share the terminal, also
 * without -nographic: there is no window that could show them. With `-display none` only what the
 * command line names exists.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "emulator/gdb/gdb.h"
#include "emulator/machine.h"
#include "emulator/monitor/monitor.h"

static void mux_quit(void *opaque)
{
    machine_exit(opaque, 0);
}

static const char how_to_leave[] =
    "emulator: Ctrl-A x quits, Ctrl-A c switches to the monitor and back, Ctrl-A h helps";

/* The firmware clears the screen, so on a terminal that is said again. */
static void say_how_to_leave(CharMux *mux)
{
    fprintf(stderr, "%s\r\n", how_to_leave);
    if (isatty(STDOUT_FILENO))
        char_mux_hint(mux, how_to_leave);
}

static void add_monitor(Machine *m, Chardev *chr)
{
    Monitor *mon = chr ? monitor_new(m, chr) : NULL;

    if (mon)
        m->monitors[m->n_monitors++] = mon;
}

/* A back end shared by `*line` and a monitor. */
static int open_mux(Machine *m, const char *spec, Chardev **line, Error **err)
{
    CharBackend *be;
    bool terminal = strcmp(spec, "stdio") == 0;
    int ret = terminal ? char_stdio_open(false, &be, err) : char_open(spec, &be, err);

    if (ret < 0)
        return ret;
    CharMux *mux = char_mux_new(be, mux_quit, m);
    if (!mux) {
        char_close(be);
        return error_set(err, -ENOMEM, "no memory for a multiplexer");
    }
    m->muxes[m->n_muxes++] = mux;
    *line = char_mux_add(mux);
    add_monitor(m, char_mux_add(mux));
    if (terminal)
        say_how_to_leave(mux);
    return 0;
}

static int open_line(Machine *m, const char *spec, Chardev **line, Error **err)
{
    CharBackend *be;

    *line = NULL;
    if (strcmp(spec, "none") == 0)
        return 0;
    if (strncmp(spec, "mon:", 4) == 0)
        return open_mux(m, spec + 4, line, err);
    int ret = char_open(spec, &be, err);
    if (ret < 0)
        return ret;
    m->backends[m->n_backends++] = be;
    *line = &be->chr;
    return 0;
}

static int open_monitor(Machine *m, const char *spec, Error **err)
{
    Chardev *line;
    int ret = open_line(m, strncmp(spec, "mon:", 4) == 0 ? spec + 4 : spec, &line, err);

    if (ret == 0)
        add_monitor(m, line);
    return ret;
}

/* A socket is one that gdb connects to, and nobody waits for it unless the text says so. */
static int open_gdb(Machine *m, const char *spec, Error **err)
{
    AUTO_FREE char *text = NULL;
    CharBackend *be;
    bool socket = strncmp(spec, "tcp:", 4) == 0 || strncmp(spec, "unix:", 5) == 0;
    bool plain = socket && !strstr(spec, ",server") && !strstr(spec, ",wait");

    if (asprintf(&text, "%s%s", spec, plain ? ",server,nowait" : "") < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    int ret =
        strcmp(spec, "stdio") == 0 ? char_stdio_open(true, &be, err) : char_open(text, &be, err);
    if (ret < 0)
        return ret;
    m->backends[m->n_backends++] = be;
    m->gdb = gdb_new(m, &be->chr);
    return m->gdb ? 0 : error_set(err, -ENOMEM, "no memory for the debugger");
}

/* What the command line leaves open. NULL: nothing. */
static const char *default_serial(const Config *c)
{
    if (c->n_serials || c->display_none || c->no_defaults)
        return NULL;
    if (c->n_monitors == 0)
        return "mon:stdio";
    return c->nographic ? "stdio" : NULL;
}

static const char *default_monitor(const Config *c)
{
    return c->nographic && !c->no_defaults && c->n_serials && c->n_monitors == 0 ? "stdio" : NULL;
}

static bool uses_stdio(const Config *c)
{
    for (unsigned i = 0; i < c->n_serials; i++)
        if (strstr(c->serials[i], "stdio"))
            return true;
    return c->debugcon && strcmp(c->debugcon, "stdio") == 0;
}

int consoles_open(Machine *m, Error **err)
{
    const Config *c = m->config;
    const char *serial = default_serial(c), *monitor = default_monitor(c);
    int ret = 0;

    if (serial && uses_stdio(c))
        serial = NULL;
    if (monitor && uses_stdio(c))
        monitor = NULL;
    if (c->gdb)
        ret = open_gdb(m, c->gdb, err);
    if (ret == 0 && c->debugcon)
        ret = char_open(c->debugcon, &m->debugcon, err);
    for (unsigned i = 0; ret == 0 && i < c->n_serials; i++)
        ret = open_line(m, c->serials[i], &m->serial[i], err);
    if (ret == 0 && serial)
        ret = open_line(m, serial, &m->serial[0], err);
    for (unsigned i = 0; ret == 0 && i < c->n_monitors; i++)
        ret = open_monitor(m, c->monitors[i], err);
    if (ret == 0 && monitor)
        ret = open_monitor(m, monitor, err);
    return ret;
}

void consoles_close(Machine *m)
{
    gdb_free(m->gdb);
    m->gdb = NULL;
    for (unsigned i = 0; i < m->n_monitors; i++)
        monitor_free(m->monitors[i]);
    for (unsigned i = 0; i < m->n_muxes; i++)
        char_mux_close(m->muxes[i]);
    for (unsigned i = 0; i < m->n_backends; i++)
        char_close(m->backends[i]);
    char_close(m->debugcon);
    m->n_monitors = m->n_muxes = m->n_backends = 0;
    m->debugcon = NULL;
    char_stdio_restore();
}
