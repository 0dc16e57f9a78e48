/*
 * stub.c - see gdb.h: the commands.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/math.h"
#include "emulator/gdb/gdb.h"
#include "emulator/gdb/packet.h"
#include "emulator/monitor/monitor.h"
#include "hw/core/dma.h"
#include "tcg/debug.h"

enum { SIGNAL_INT = 2, SIGNAL_TRAP = 5, MAX_TRANSFER = 16 << 10, MAX_REGS = 128 };

struct Gdb {
    Machine *machine;
    PacketLine line;
    bool connected, running; /* running: gdb waits for a stop */
    bool physical;           /* memory packets mean physical addresses */
    unsigned cpu;            /* the thread that `Hg` chose */
    int step_cpu;            /* -1: none */
    Monitor *monitor;        /* for qRcmd */
    Chardev monitor_line;
};

static Cpu *cpu_of(Gdb *g)
{
    return g->machine->cpus[g->cpu].cpu;
}

static void ok(Gdb *g)
{
    packet_text(&g->line, "OK");
}

static void error(Gdb *g, int ret)
{
    packet_text(&g->line, "E%02x", -ret & 0xff);
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void report_stop(Gdb *g, unsigned signal)
{
    uint64_t la;
    WatchKind kind;
    char watch[64] = "";

    if (signal == SIGNAL_TRAP && cpu_debug_stop(cpu_of(g), &la, &kind) == DEBUG_WATCH)
        snprintf(watch, sizeof(watch), "%swatch:%" PRIx64 ";",
                 kind == WATCH_READ     ? "r"
                 : kind == WATCH_ACCESS ? "a"
                                        : "",
                 la);
    packet_text(&g->line, "T%02xthread:%02x;%s", signal, g->cpu + 1, watch);
}

static void end_step(Gdb *g)
{
    if (g->step_cpu >= 0)
        cpu_step_set(g->machine->cpus[g->step_cpu].cpu, false);
    g->step_cpu = -1;
    g->machine->only_cpu = -1;
}

void gdb_stopped(Gdb *g, int cpu)
{
    if (!g->running)
        return;
    g->running = false;
    end_step(g);
    if (cpu >= 0)
        g->cpu = (unsigned)cpu;
    report_stop(g, cpu >= 0 ? SIGNAL_TRAP : SIGNAL_INT);
}

/* ---- running ------------------------------------------------------------------------------- */

static void resume(Gdb *g, int step_cpu, bool others)
{
    Machine *m = g->machine;

    g->step_cpu = step_cpu;
    if (step_cpu >= 0)
        cpu_step_set(m->cpus[step_cpu].cpu, true);
    m->only_cpu = others ? -1 : step_cpu;
    g->running = true;
    machine_cont(m);
}

/* vCont;ACTION[:THREAD]...: the first one that names a thread, or all, counts for it. */
static void vcont(Gdb *g, const char *args)
{
    int step_cpu = -1;
    bool others = false;

    while (*args == ';') {
        char action = *++args;
        const char *next = args + strcspn(args, ";");
        const char *colon = memchr(args, ':', (size_t)(next - args));
        long thread = colon ? strtol(colon + 1, NULL, 16) : 0;

        if ((action == 's' || action == 'S') && step_cpu < 0)
            step_cpu =
                thread > 0 && thread <= (long)g->machine->n_cpus ? (int)thread - 1 : (int)g->cpu;
        else if (action == 'c' || action == 'C')
            others = true;
        args = next;
    }
    resume(g, step_cpu, others || step_cpu < 0);
}

/* ---- registers ----------------------------------------------------------------------------- */

static void read_all_registers(Gdb *g)
{
    char text[2 * MAX_REGS * DEBUG_REG_BYTES + 1];
    uint8_t buf[DEBUG_REG_BYTES];
    size_t at = 0, n;

    for (unsigned i = 0; i < MAX_REGS && (n = cpu_debug_get_reg(cpu_of(g), i, buf)); i++) {
        hex_encode(text + at, buf, n);
        at += 2 * n;
    }
    packet_send(&g->line, text, at);
}

static void write_all_registers(Gdb *g, const char *text)
{
    uint8_t buf[DEBUG_REG_BYTES];
    size_t n;

    for (unsigned i = 0; i < MAX_REGS && (n = cpu_debug_get_reg(cpu_of(g), i, buf)); i++) {
        if (hex_decode(buf, n, text) != n)
            break;
        cpu_debug_set_reg(cpu_of(g), i, buf);
        text += 2 * n;
    }
    ok(g);
}

static void read_register(Gdb *g, const char *args)
{
    uint8_t buf[DEBUG_REG_BYTES];
    char text[2 * DEBUG_REG_BYTES + 1];
    size_t n = cpu_debug_get_reg(cpu_of(g), (unsigned)strtoul(args, NULL, 16), buf);

    hex_encode(text, buf, n);
    if (n)
        packet_text(&g->line, "%s", text);
    else
        error(g, -EINVAL);
}

static void write_register(Gdb *g, const char *args)
{
    uint8_t buf[DEBUG_REG_BYTES] = { 0 };
    char *end;
    unsigned n = (unsigned)strtoul(args, &end, 16);

    if (*end != '=' || hex_decode(buf, sizeof(buf), end + 1) == 0 ||
        cpu_debug_set_reg(cpu_of(g), n, buf) == 0)
        error(g, -EINVAL);
    else
        ok(g);
}

/* ---- memory -------------------------------------------------------------------------------- */

static int access_memory(Gdb *g, uint64_t addr, uint8_t *buf, size_t len, bool write)
{
    if (!g->physical)
        return write ? cpu_debug_write(cpu_of(g), addr, buf, len)
                     : cpu_debug_read(cpu_of(g), addr, buf, len);
    MemMap *memory = pc_memory(g->machine->pc);
    return write ? dma_write(memory, addr, buf, len) : dma_read(memory, addr, buf, len);
}

static bool range(const char *args, uint64_t *addr, uint64_t *len, const char **rest)
{
    char *end;

    *addr = strtoull(args, &end, 16);
    if (*end != ',')
        return false;
    *len = strtoull(end + 1, &end, 16);
    *rest = *end ? end + 1 : end;
    return *len <= MAX_TRANSFER;
}

static void read_memory(Gdb *g, const char *args)
{
    uint8_t bytes[MAX_TRANSFER];
    char text[2 * MAX_TRANSFER + 1];
    uint64_t addr, len;
    const char *rest;
    int ret = range(args, &addr, &len, &rest) ? 0 : -EINVAL;

    if (ret == 0)
        ret = access_memory(g, addr, bytes, len, false);
    if (ret < 0) {
        error(g, ret);
        return;
    }
    hex_encode(text, bytes, len);
    packet_send(&g->line, text, 2 * len);
}

/* `binary`: the bytes themselves (X), else hexadecimal (M). */
static void write_memory(Gdb *g, const char *args, bool binary)
{
    uint8_t bytes[MAX_TRANSFER];
    uint64_t addr, len;
    const char *rest;
    int ret = range(args, &addr, &len, &rest) ? 0 : -EINVAL;
    size_t there = g->line.len - (size_t)(rest - (const char *)g->line.data);

    if (ret == 0 && binary && there >= len)
        memcpy(bytes, rest, len);
    else if (ret == 0 && (binary || hex_decode(bytes, len, rest) != len))
        ret = -EINVAL;
    if (ret == 0)
        ret = access_memory(g, addr, bytes, len, true);
    if (ret < 0)
        error(g, ret);
    else
        ok(g);
}

/* ---- breakpoints --------------------------------------------------------------------------- */

/* TYPE,ADDR,KIND: 0 and 1 break, 2 to 4 watch writes, reads, both. */
static void breakpoint(Gdb *g, const char *args, bool on)
{
    static const WatchKind kinds[] = { WATCH_WRITE, WATCH_READ, WATCH_ACCESS };
    uint64_t addr, len;
    const char *rest;
    unsigned type = (unsigned)(args[0] - '0');
    int ret;

    if (args[0] == '\0' || args[1] != ',' || !range(args + 2, &addr, &len, &rest)) {
        error(g, -EINVAL);
        return;
    }
    if (type > 4) {
        packet_text(&g->line, "%s", "");
        return;
    }
    ret = type < 2 ? tcg_breakpoint_set(g->machine->tcg, addr, on)
                   : tcg_watchpoint_set(g->machine->tcg, addr, len, kinds[type - 2], on);
    if (ret < 0 && on)
        error(g, ret);
    else
        ok(g);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void choose_thread(Gdb *g, const char *args)
{
    long n = strtol(args + (*args ? 1 : 0), NULL, 16);

    if (n > (long)g->machine->n_cpus) {
        error(g, -ENOENT);
        return;
    }
    if (n > 0 && *args == 'g')
        g->cpu = (unsigned)n - 1;
    ok(g);
}

static void list_threads(Gdb *g)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    for (unsigned i = 0; i < g->machine->n_cpus; i++)
        fprintf(out, "%s%x", i ? "," : "m", i + 1);
    fclose(out);
    packet_send(&g->line, text, size);
}

static void thread_text(Gdb *g, const char *args)
{
    unsigned long n = strtoul(args, NULL, 16);
    char text[64], hex[2 * sizeof(text) + 1];

    if (n < 1 || n > g->machine->n_cpus) {
        error(g, -ENOENT);
        return;
    }
    int len = snprintf(text, sizeof(text), "CPU#%lu [%s]", n - 1,
                       g->machine->cpus[n - 1].idle ? "halted" : "running");
    hex_encode(hex, text, (size_t)len);
    packet_text(&g->line, "%s", hex);
}

/* ---- the monitor behind `monitor COMMAND` ---------------------------------------------------- */

static size_t monitor_wrote(Chardev *chr, const uint8_t *buf, size_t len)
{
    Gdb *g = container_of(chr, Gdb, monitor_line);
    AUTO_FREE char *text = malloc(2 * len + 2);
    size_t n = 1;

    if (!text)
        return len;
    text[0] = 'O';
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != '\r') {
            hex_encode(text + n, buf + i, 1);
            n += 2;
        }
    }
    packet_send(&g->line, text, n);
    return len;
}

static void remote_command(Gdb *g, const char *hex)
{
    static const ChardevBack back = { .write = monitor_wrote };
    char line[1024];
    size_t n = hex_decode(line, sizeof(line) - 1, hex);

    line[n] = '\0';
    if (!g->monitor) {
        g->monitor_line.back = &back;
        g->monitor = monitor_new(g->machine, &g->monitor_line);
    }
    if (g->monitor)
        monitor_execute(g->monitor, line);
    ok(g);
}

/* ---- queries ------------------------------------------------------------------------------- */

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void target_description(Gdb *g, const char *args)
{
    const char *text = cpu_debug_target(cpu_of(g)), *rest;
    uint64_t off, len, size = strlen(text);
    AUTO_FREE char *answer = NULL;

    if (!range(args, &off, &len, &rest) || off > size) {
        error(g, -EINVAL);
        return;
    }
    len = MIN(len, size - off);
    answer = malloc(len + 1);
    if (!answer)
        return;
    answer[0] = off + len < size ? 'm' : 'l';
    memcpy(answer + 1, text + off, len);
    packet_send(&g->line, answer, len + 1);
}

static bool starts(const char *text, const char *with, const char **rest)
{
    size_t n = strlen(with);

    if (strncmp(text, with, n) != 0)
        return false;
    *rest = text + n;
    return true;
}

static void query(Gdb *g, const char *q)
{
    const char *rest;

    if (starts(q, "Supported", &rest))
        packet_text(&g->line,
                    "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
                    "hwbreak+;swbreak+",
                    MAX_TRANSFER * 2);
    else if (starts(q, "Xfer:features:read:target.xml:", &rest))
        target_description(g, rest);
    else if (starts(q, "fThreadInfo", &rest))
        list_threads(g);
    else if (starts(q, "sThreadInfo", &rest))
        packet_text(&g->line, "l");
    else if (starts(q, "ThreadExtraInfo,", &rest))
        thread_text(g, rest);
    else if (strcmp(q, "C") == 0)
        packet_text(&g->line, "QC%x", g->cpu + 1);
    else if (starts(q, "Attached", &rest))
        packet_text(&g->line, "1");
    else if (starts(q, "Rcmd,", &rest))
        remote_command(g, rest);
    else if (starts(q, "qemu.PhyMemMode", &rest))
        packet_text(&g->line, "%d", g->physical);
    else
        packet_text(&g->line, "%s", "");
}

static void set(Gdb *g, const char *q)
{
    const char *rest;

    if (strcmp(q, "StartNoAckMode") == 0) {
        ok(g);
        g->line.no_ack = true;
    } else if (starts(q, "qemu.PhyMemMode:", &rest)) {
        g->physical = rest[0] == '1';
        ok(g);
    } else {
        packet_text(&g->line, "%s", "");
    }
}

/* ---- commands ------------------------------------------------------------------------------ */

static void let_go(Gdb *g)
{
    end_step(g);
    tcg_debug_clear(g->machine->tcg);
    g->running = g->physical = false;
}

static void detach(Gdb *g)
{
    ok(g);
    let_go(g);
    machine_cont(g->machine);
}

static void verbose(Gdb *g, const char *v)
{
    const char *rest;

    if (strcmp(v, "Cont?") == 0)
        packet_text(&g->line, "vCont;c;C;s;S");
    else if (starts(v, "Cont", &rest))
        vcont(g, rest);
    else if (starts(v, "Kill", &rest)) {
        ok(g);
        machine_exit(g->machine, 0);
    } else
        packet_text(&g->line, "%s", "");
}

static void command(Gdb *g, const char *p)
{
    switch (p[0]) {
    case '?': report_stop(g, SIGNAL_TRAP); break;
    case 'g': read_all_registers(g); break;
    case 'G': write_all_registers(g, p + 1); break;
    case 'p': read_register(g, p + 1); break;
    case 'P': write_register(g, p + 1); break;
    case 'm': read_memory(g, p + 1); break;
    case 'M': write_memory(g, p + 1, false); break;
    case 'X': write_memory(g, p + 1, true); break;
    case 'c':
    case 'C': resume(g, -1, true); break; /* an address behind it is not used: gdb writes the pc */
    case 's':
    case 'S': resume(g, (int)g->cpu, false); break;
    case 'z': breakpoint(g, p + 1, false); break;
    case 'Z': breakpoint(g, p + 1, true); break;
    case 'H': choose_thread(g, p + 1); break;
    case 'T':
        if (strtoul(p + 1, NULL, 16) - 1 < g->machine->n_cpus)
            ok(g);
        else
            error(g, -ENOENT);
        break;
    case 'v': verbose(g, p + 1); break;
    case 'q': query(g, p + 1); break;
    case 'Q': set(g, p + 1); break;
    case 'D': detach(g); break;
    case 'k': machine_exit(g->machine, 0); break;
    default: packet_text(&g->line, "%s", ""); break;
    }
}

/* ---- the line ------------------------------------------------------------------------------ */

static size_t can_receive(void *front)
{
    (void)front;
    return PACKET_MAX;
}

static void received(void *front, const uint8_t *buf, size_t len)
{
    Gdb *g = front;

    if (!g->connected && g->machine->state == STATE_RUNNING)
        machine_stop(g->machine);
    g->connected = true;
    for (size_t i = 0; i < len; i++) {
        PacketEvent event = packet_byte(&g->line, buf[i]);

        if (g->running && event != PACKET_NONE) { /* anything that comes now means: stop */
            machine_stop(g->machine);
            gdb_stopped(g, -1);
        }
        if (event == PACKET_READY)
            command(g, (const char *)g->line.data);
    }
}

static void line_event(void *front, ChardevEvent event)
{
    Gdb *g = front;

    if (event == CHARDEV_OPENED) {
        packet_reset(&g->line);
        g->connected = true;
        machine_stop(g->machine);
    } else if (event == CHARDEV_CLOSED && g->connected) {
        g->connected = false;
        let_go(g);
        machine_cont(g->machine);
    }
}

static void writable(void *front)
{
    packet_flush(&((Gdb *)front)->line);
}

bool gdb_connected(const Gdb *g)
{
    return g->connected;
}

Gdb *gdb_new(Machine *m, Chardev *chr)
{
    static const ChardevFront front = {
        .can_receive = can_receive, .receive = received, .event = line_event, .writable = writable
    };
    Gdb *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->machine = m;
    g->step_cpu = -1;
    g->line.chr = chr;
    chardev_attach(chr, &front, g);
    return g;
}

void gdb_free(Gdb *g)
{
    if (!g)
        return;
    chardev_attach(g->line.chr, NULL, NULL);
    monitor_free(g->monitor);
    free(g->line.out);
    free(g);
}
