/*
 * examine.c - looking at registers and memory of a CPU that stands still meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "emulator/monitor/expr.h"
#include "emulator/monitor/monitor.h"
#include "hw/core/dma.h"
#include "tcg/guest/x86/cpu.h"

enum { LINE_BYTES = 16 };

static const struct {
    const char *name;
    int gpr;
} gprs[] = {
    { "ax", RAX }, { "cx", RCX }, { "dx", RDX }, { "bx", RBX },
    { "sp", RSP }, { "bp", RBP }, { "si", RSI }, { "di", RDI },
};
static const char *const segments[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs" };

/* rax, eax and ax name the same register in three widths; r8 to r15 have one name. */
static bool gpr_value(X86Cpu *x, const char *name, uint64_t *value)
{
    uint64_t mask = *name == 'r' ? UINT64_MAX : *name == 'e' ? UINT32_MAX : UINT16_MAX;
    const char *base = *name == 'r' || *name == 'e' ? name + 1 : name;
    int number;
    char after;

    for (size_t i = 0; i < ARRAY_LEN(gprs); i++)
        if (strcmp(base, gprs[i].name) == 0) {
            *value = x->c.gpr[gprs[i].gpr] & mask;
            return true;
        }
    if (sscanf(name, "r%d%c", &number, &after) != 1 || number < 8 || number > 15)
        return false;
    *value = x->c.gpr[number];
    return true;
}

static bool control_value(X86Cpu *x, const char *name, uint64_t *value)
{
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        { "pc", x->c.pc },
        { "rip", x->c.pc },
        { "eip", x->c.pc },
        { "cr0", x->cr0 },
        { "cr2", x->cr2 },
        { "cr3", x->cr3 },
        { "cr4", x->cr4 },
        { "efer", x->msr.efer },
        { "eflags", x86_get_eflags(x) },
        { "rflags", x86_get_eflags(x) },
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(name, others[i].name) == 0) {
            *value = others[i].value;
            return true;
        }
    return false;
}

static bool register_value(void *opaque, const char *name, uint64_t *value)
{
    X86Cpu *x = x86(opaque);

    for (int i = 0; i < SEG_COUNT; i++) {
        size_t len = strlen(segments[i]);

        if (strncmp(name, segments[i], len) != 0)
            continue;
        *value = strcmp(name + len, ".base") == 0 ? x->seg[i].base : x->seg[i].selector;
        if (!name[len] || strcmp(name + len, ".base") == 0)
            return true;
    }
    return gpr_value(x, name, value) || control_value(x, name, value);
}

static int parse_address(Monitor *mon, char *args, ExamineFormat *fmt, uint64_t *value, Error **err)
{
    const char *text = args;
    int ret = examine_format_parse(&text, fmt, err);

    if (ret == 0)
        ret = expr_parse(&text, register_value, monitor_machine(mon)->cpus[0].cpu, value, err);
    text += strspn(text, " \t");
    if (ret == 0 && *text)
        ret = error_set(err, -EINVAL, "'%s' does not belong to the expression", text);
    return ret;
}

/* RAM as it is; else device memory, for example the VGA's window, as the CPU would read it. */
static int read_memory(Machine *m, bool physical, uint64_t addr, void *buf, size_t len)
{
    uint8_t *bytes = buf;

    if (physical && dma_read(pc_memory(m->pc), addr, buf, len) == 0)
        return 0;
    for (size_t i = 0; physical && i < len; i++)
        bytes[i] = memmap_read(pc_memory(m->pc), addr + i, 1);
    if (physical)
        return 0;
    return cpu_debug_read(m->cpus[0].cpu, addr, buf, len);
}

static uint64_t get_sized(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? get_le16(p) : size == 4 ? get_le32(p) : get_le64(p);
}

/* One line: address, colon, up to 16 bytes' worth of values. */
static int print_line(Monitor *mon, bool physical, uint64_t addr, unsigned count,
                      const ExamineFormat *fmt, Error **err)
{
    uint8_t buf[LINE_BYTES];
    char text[EXAMINE_TEXT];
    int ret = read_memory(monitor_machine(mon), physical, addr, buf, count * fmt->size);

    if (ret < 0)
        return error_set(err, ret, "cannot access memory at %#" PRIx64, addr);
    monitor_printf(mon, "%016" PRIx64 ":", addr);
    for (unsigned i = 0; i < count; i++) {
        examine_value(fmt, get_sized(buf + i * fmt->size, fmt->size), text);
        monitor_printf(mon, " %s", text);
    }
    monitor_printf(mon, "\n");
    return 0;
}

static int examine(Monitor *mon, bool physical, char *args, Error **err)
{
    static ExamineFormat last = { .format = 'x', .size = 4 };
    Machine *m = monitor_machine(mon);
    ExamineFormat fmt = { .count = 1, .format = last.format, .size = last.size };
    uint64_t addr;

    vcpus_hold(m);
    int ret = parse_address(mon, args, &fmt, &addr, err);
    if (fmt.format == 'c')
        fmt.size = 1;
    unsigned a_line = LINE_BYTES / fmt.size;
    for (unsigned done = 0; ret == 0 && done < fmt.count; done += a_line) {
        unsigned n = fmt.count - done < a_line ? fmt.count - done : a_line;

        ret = print_line(mon, physical, addr + (uint64_t)done * fmt.size, n, &fmt, err);
    }
    if (ret == 0)
        last = fmt;
    vcpus_release(m);
    return ret;
}

int cmd_x(Monitor *mon, char *args, Error **err)
{
    return examine(mon, false, args, err);
}

int cmd_xp(Monitor *mon, char *args, Error **err)
{
    return examine(mon, true, args, err);
}

int cmd_print(Monitor *mon, char *args, Error **err)
{
    Machine *m = monitor_machine(mon);
    ExamineFormat fmt = { .format = 'x', .size = 8 };
    char text[EXAMINE_TEXT];
    uint64_t value;

    vcpus_hold(m);
    int ret = parse_address(mon, args, &fmt, &value, err);
    vcpus_release(m);
    if (ret < 0)
        return ret;
    if (fmt.format == 'x')
        snprintf(text, sizeof(text), "%#" PRIx64, value);
    else
        examine_value(&fmt, value, text);
    monitor_printf(mon, "%s\n", text);
    return 0;
}

int info_registers(Monitor *mon, char *args, Error **err)
{
    Machine *m = monitor_machine(mon);
    AUTO_FREE char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)args;
    if (!out)
        return error_set(err, -ENOMEM, "no memory for the registers");
    vcpus_hold(m);
    for (unsigned i = 0; i < m->n_cpus; i++)
        cpu_dump(m->cpus[i].cpu, out);
    vcpus_release(m);
    fclose(out);
    monitor_printf(mon, "%s", text);
    return 0;
}
