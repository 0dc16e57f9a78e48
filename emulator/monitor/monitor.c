/*
 * monitor.c - lines in, text out, commands found by their table.
 *
 * Typed bytes are echoed, as a person on any of our back ends expects: all of them run in raw mode.
 */
#include "emulator/monitor/monitor.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "emulator/cmdline.h"

enum { LINE_MAX_LEN = 1023, HISTORY = 32 };

struct Monitor {
    Machine *machine;
    Chardev *chr;
    char line[LINE_MAX_LEN + 1];
    size_t len;
    char *history[HISTORY]; /* newest first */
    int browsing;           /* which of them is shown; -1: the line being typed */
    enum { KEY_PLAIN, KEY_ESC, KEY_CSI } key;
    bool greeted;
    char *out; /* what the back end did not take yet */
    size_t out_len;
};

static const char prompt[] = "(emulator) ";

Machine *monitor_machine(Monitor *mon)
{
    return mon->machine;
}

/* ---- output -------------------------------------------------------------------------------- */

static void flush_out(void *opaque)
{
    Monitor *mon = opaque;
    size_t n = chardev_write(mon->chr, (const uint8_t *)mon->out, mon->out_len);

    mon->out_len -= n;
    memmove(mon->out, mon->out + n, mon->out_len);
}

/* Bytes for a terminal: a new line is CR LF. */
static void put_text(Monitor *mon, const char *text)
{
    char *grown = realloc(mon->out, mon->out_len + 2 * strlen(text) + 1);

    if (!grown)
        return;
    mon->out = grown;
    for (; *text; text++) {
        if (*text == '\n')
            mon->out[mon->out_len++] = '\r';
        mon->out[mon->out_len++] = *text;
    }
    flush_out(mon);
}

void monitor_printf(Monitor *mon, const char *fmt, ...)
{
    AUTO_FREE char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (text)
        put_text(mon, text);
}

/* ---- commands ------------------------------------------------------------------------------ */

const MonitorCommand *monitor_find(const MonitorCommand *table, const char *name)
{
    const MonitorCommand *found = NULL;
    size_t len = strlen(name);

    for (const MonitorCommand *c = table; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
        if (len && strncmp(c->name, name, len) == 0) {
            if (found)
                return NULL;
            found = c;
        }
    }
    return found;
}

char *monitor_word(char **args)
{
    char *p = *args + strspn(*args, " \t");
    char *word = p;

    if (!*p)
        return NULL;
    if (*p == '"') {
        word = ++p;
        p = strchrnul(p, '"');
    } else {
        p += strcspn(p, " \t");
    }
    if (*p)
        *p++ = '\0';
    *args = p;
    return word;
}

/* The command's name ends at a space, or at the slash of "x/4xw". */
static char *split_name(char *line, char **args, char name[32])
{
    size_t len;

    line += strspn(line, " \t");
    len = strcspn(line, " \t/");
    if (len >= 32)
        len = 31;
    memcpy(name, line, len);
    name[len] = '\0';
    *args = line + len;
    return name;
}

void monitor_execute(Monitor *mon, const char *line)
{
    AUTO_ERROR Error *err = NULL;
    AUTO_FREE char *copy = strdup(line);
    char name[32], *args;

    if (!copy || !*split_name(copy, &args, name))
        return;
    const MonitorCommand *c = monitor_find(monitor_commands, name);
    int ret = c ? c->run(mon, args, &err)
                : error_set(&err, -ENOENT, "unknown command: '%s' (help lists them)", name);
    if (ret < 0)
        monitor_printf(mon, "Error: %s\n", error_message(err, ret));
}

/* ---- line editing -------------------------------------------------------------------------- */

static void remember(Monitor *mon)
{
    if (!mon->len || (mon->history[0] && strcmp(mon->history[0], mon->line) == 0))
        return;
    free(mon->history[HISTORY - 1]);
    memmove(mon->history + 1, mon->history, (HISTORY - 1) * sizeof(mon->history[0]));
    mon->history[0] = strdup(mon->line);
}

static void show_prompt(Monitor *mon)
{
    put_text(mon, prompt);
    put_text(mon, mon->line);
}

static void set_line(Monitor *mon, const char *text)
{
    put_text(mon, "\r\033[K");
    mon->len = strlen(strcpy(mon->line, text));
    show_prompt(mon);
}

static void browse(Monitor *mon, int step)
{
    int to = mon->browsing + step;

    if (to < -1 || to >= HISTORY || (to >= 0 && !mon->history[to]))
        return;
    mon->browsing = to;
    set_line(mon, to < 0 ? "" : mon->history[to]);
}

static void end_line(Monitor *mon)
{
    char line[LINE_MAX_LEN + 1];

    put_text(mon, "\n");
    remember(mon);
    strcpy(line, mon->line);
    mon->line[0] = '\0';
    mon->len = 0;
    mon->browsing = -1;
    monitor_execute(mon, line);
    show_prompt(mon);
}

static void erase(Monitor *mon, size_t n)
{
    for (; n && mon->len; n--) {
        mon->line[--mon->len] = '\0';
        put_text(mon, "\b \b");
    }
}

static void complete(Monitor *mon)
{
    bool info = strncmp(mon->line, "info ", 5) == 0;
    const char *start = mon->line + (info ? 5 : 0);
    const MonitorCommand *c = monitor_find(info ? monitor_infos : monitor_commands, start);

    if (c && mon->len + strlen(c->name) < LINE_MAX_LEN) {
        const char *rest = c->name + strlen(start);

        put_text(mon, rest);
        put_text(mon, " ");
        mon->len += strlen(strcat(strcpy(mon->line + mon->len, rest), " "));
    }
}

static void type_byte(Monitor *mon, uint8_t byte)
{
    char echo[2] = { (char)byte };

    switch (byte) {
    case '\r':
    case '\n': end_line(mon); break;
    case '\b':
    case 0x7f: erase(mon, 1); break;
    case 0x15: erase(mon, mon->len); break; /* Ctrl-U */
    case '\t': complete(mon); break;
    case 0x1b: mon->key = KEY_ESC; break;
    default:
        if (byte < ' ' || mon->len == LINE_MAX_LEN)
            break;
        mon->line[mon->len++] = (char)byte;
        mon->line[mon->len] = '\0';
        put_text(mon, echo);
    }
}

/* Arrow keys arrive as ESC [ A and ESC [ B. */
static void handle_byte(Monitor *mon, uint8_t byte)
{
    if (mon->key == KEY_PLAIN) {
        type_byte(mon, byte);
    } else if (mon->key == KEY_ESC) {
        mon->key = byte == '[' ? KEY_CSI : KEY_PLAIN;
    } else if (byte >= '@') {
        if (byte == 'A' || byte == 'B')
            browse(mon, byte == 'A' ? 1 : -1);
        mon->key = KEY_PLAIN;
    }
}

static size_t can_receive(void *opaque)
{
    (void)opaque;
    return 256;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    Monitor *mon = opaque;

    for (size_t i = 0; i < len; i++)
        handle_byte(mon, buf[i]);
}

static void greet(Monitor *mon)
{
    if (mon->greeted)
        put_text(mon, "\n");
    else
        monitor_printf(mon, "Onionskin emulator %s monitor - type 'help' for the commands\n",
                       EMULATOR_VERSION);
    mon->greeted = true;
    show_prompt(mon);
}

static void event(void *opaque, ChardevEvent what)
{
    if (what == CHARDEV_OPENED)
        greet(opaque);
}

static const ChardevFront front = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
    .writable = flush_out,
};

Monitor *monitor_new(Machine *m, Chardev *chr)
{
    Monitor *mon = calloc(1, sizeof(*mon));

    if (!mon)
        return NULL;
    mon->machine = m;
    mon->chr = chr;
    mon->browsing = -1;
    chardev_attach(chr, &front, mon);
    return mon;
}

void monitor_free(Monitor *mon)
{
    if (!mon)
        return;
    chardev_attach(mon->chr, NULL, NULL);
    for (size_t i = 0; i < HISTORY; i++)
        free(mon->history[i]);
    free(mon->out);
    free(mon);
}
