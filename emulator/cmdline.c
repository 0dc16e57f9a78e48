/*
 * cmdline.c - see cmdline.h. The options have QEMU's names and meanings; where a value is not
 * understood, one line says which.
 */
#include "base/hex.h"
#include "emulator/cmdline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/math.h"
#include "base/size.h"
#include "emulator/char/char.h"
#include "emulator/log.h"

enum { MIN_RAM = 1 << 20, PAGE = 4096 };
static const uint64_t max_ram = UINT64_C(1) << 40;
#define DEFAULT_RAM (UINT64_C(512) << 20)

/* Set by a parser whose value was "help"; cmdline_parse() hands it on. */
static const char *list_text;

static bool asks_help(const char *value, const char *list)
{
    if (strcmp(value, "help") != 0 && strcmp(value, "?") != 0)
        return false;
    list_text = list;
    return true;
}

/* Known and without effect here. */
static void ignore_option(Options *o, const char *key)
{
    free(options_take(o, key));
}

static int set_string(const char **where, const char *value)
{
    *where = value;
    return 0;
}

/* ---- machine ------------------------------------------------------------------------------- */

static int parse_m(Config *c, const char *value, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();
    int ret = options_parse(o, value, "size", err);
    AUTO_FREE char *size = ret == 0 ? options_take(o, "size") : NULL;

    if (ret == 0 && size)
        ret = size_parse(size, 'M', &c->ram_size, err);
    if (ret == 0)
        ret = options_end(o, "-m", err);
    if (ret < 0)
        return ret;
    if (c->ram_size < MIN_RAM || c->ram_size > max_ram)
        return error_set(err, -EINVAL, "memory size '%s' is not between 1M and 1T", value);
    c->ram_size = align_up(c->ram_size, PAGE);
    return 0;
}

static int parse_accel_options(Config *c, Options *o, Error **err)
{
    static const char *const backends[] = { "interp", "x86_64", NULL };
    static const char *const threads[] = { "single", "multi", NULL };
    uint64_t tb_size = 0;
    int backend = -1, thread;
    int ret = options_take_enum(o, "backend", backends, &backend, err);

    if (ret == 0 && backend >= 0)
        c->tcg_backend = backends[backend];
    if (ret == 0)
        ret = options_take_enum(o, "thread", threads, &thread, err);
    if (ret == 0)
        ret = options_take_u64(o, "tb-size", &tb_size, err);
    if (tb_size > 4096)
        return error_set(err, -EINVAL, "tb-size %" PRIu64 " is more than 4096 MiB", tb_size);
    c->tcg_cache = tb_size << 20;
    return ret;
}

static int check_accel(const char *name, Error **err)
{
    if (strcmp(name, "tcg") != 0)
        return error_set(err, -EINVAL, "accelerator '%s' is not supported; there is: tcg", name);
    return 0;
}

static int parse_accel(Config *c, const char *value, Error **err)
{
    if (asks_help(value, "tcg    dynamic binary translation\n"))
        return 0;
    AUTO_OPTIONS Options *o = options_new();
    int ret = options_parse(o, value, "accel", err);
    AUTO_FREE char *name = ret == 0 ? options_take(o, "accel") : NULL;

    if (ret == 0)
        ret = check_accel(name ? name : "", err);
    if (ret == 0)
        ret = parse_accel_options(c, o, err);
    return ret < 0 ? ret : options_end(o, "-accel", err);
}

static int check_machine(const char *name, Error **err)
{
    if (strcmp(name, "pc") == 0 || strncmp(name, "pc-i440fx", 9) == 0)
        return 0;
    return error_set(err, -EINVAL, "machine '%s' is not supported; there is: pc", name);
}

static int parse_machine(Config *c, const char *value, Error **err)
{
    if (asks_help(value, "pc     i440FX/PIIX3 PC (default)\n"))
        return 0;
    AUTO_OPTIONS Options *o = options_new();
    bool acpi = !c->no_acpi, hpet = !c->no_hpet, graphics = true, usb = false;
    int ret = options_parse(o, value, "type", err);
    AUTO_FREE char *type = ret == 0 ? options_take(o, "type") : NULL;
    AUTO_FREE char *accel = ret == 0 ? options_take(o, "accel") : NULL;

    if (ret == 0 && type)
        ret = check_machine(type, err);
    if (ret == 0 && accel)
        ret = check_accel(accel, err);
    if (ret == 0)
        ret = options_take_bool(o, "acpi", &acpi, err);
    if (ret == 0)
        ret = options_take_bool(o, "hpet", &hpet, err);
    if (ret == 0)
        ret = options_take_bool(o, "graphics", &graphics, err);
    if (ret == 0)
        ret = options_take_bool(o, "usb", &usb, err);
    if (ret == 0 && usb)
        ret = error_set(err, -EINVAL, "usb=on is not supported");
    c->no_acpi = !acpi;
    c->no_hpet = !hpet;
    if (!graphics)
        c->nographic = true;
    return ret < 0 ? ret : options_end(o, "-machine", err);
}

static int parse_cpu(Config *c, const char *value, Error **err)
{
    (void)err;
    if (asks_help(value, "486\npentium3\nqemu64\nmax\n"))
        return 0;
    return set_string(&c->cpu, value);
}

/*
 * What is not said (0) follows from the rest: cores first, then sockets. All CPUs are there from
 * the start, and a package's CPUs are a power of two unless it is the only one: APIC IDs have no
 * gaps.
 */
static int smp_topology(Config *c, const char *value, uint64_t cpus, uint64_t max, uint64_t sockets,
                        uint64_t cores, uint64_t threads, Error **err)
{
    threads = MAX(threads, UINT64_C(1));
    if (!cpus)
        cpus = MAX(sockets, UINT64_C(1)) * MAX(cores, UINT64_C(1)) * threads;
    if (!cores && !sockets)
        cores = MAX(cpus / threads, UINT64_C(1));
    if (!cores)
        cores = MAX(cpus / (sockets * threads), UINT64_C(1));
    if (!sockets)
        sockets = MAX(cpus / (cores * threads), UINT64_C(1));
    if (sockets * cores * threads != cpus || cpus > CONFIG_CPUS)
        return error_set(err, -EINVAL,
                         "-smp %s: %" PRIu64 " CPUs (at most %d) are not %" PRIu64
                         " sockets of %" PRIu64 " cores of %" PRIu64 " threads",
                         value, cpus, CONFIG_CPUS, sockets, cores, threads);
    if (max && max != cpus)
        return error_set(err, -EINVAL, "-smp %s: CPUs cannot be added later, so maxcpus is cpus",
                         value);
    if (sockets > 1 && (!is_pow2(cores) || !is_pow2(threads)))
        return error_set(err, -EINVAL,
                         "-smp %s: with several sockets, cores and threads are powers of two",
                         value);
    c->cpus = (unsigned)cpus;
    c->cores = (unsigned)cores;
    c->threads = (unsigned)threads;
    return 0;
}

static int parse_smp(Config *c, const char *value, Error **err)
{
    enum { CPUS, MAXCPUS, SOCKETS, DIES, CORES, THREADS, KEYS };
    static const char *const keys[KEYS] = {
        "cpus", "maxcpus", "sockets", "dies", "cores", "threads"
    };
    AUTO_OPTIONS Options *o = options_new();
    uint64_t n[KEYS] = { 0 };
    int ret = options_parse(o, value, "cpus", err);

    for (size_t i = 0; ret == 0 && i < KEYS; i++) {
        bool given = options_has(o, keys[i]);

        ret = options_take_u64(o, keys[i], &n[i], err);
        if (ret == 0 && given && (n[i] < 1 || n[i] > CONFIG_CPUS))
            ret = error_set(err, -EINVAL, "-smp %s: %s is 1 to %d", value, keys[i], CONFIG_CPUS);
    }
    if (ret == 0)
        ret = options_end(o, "-smp", err);
    return ret < 0
               ? ret
               : smp_topology(c, value, n[CPUS] ? n[CPUS] : n[MAXCPUS], n[MAXCPUS],
                              n[SOCKETS] * MAX(n[DIES], UINT64_C(1)), n[CORES], n[THREADS], err);
}

static int parse_rtc(Config *c, const char *value, Error **err)
{
    static const char *const clocks[] = { "host", "rt", "vm", NULL };
    AUTO_OPTIONS Options *o = options_new();
    int clock = 0;
    int ret = options_parse(o, value, "base", err);
    AUTO_FREE char *base = ret == 0 ? options_take(o, "base") : NULL;

    ignore_option(o, "driftfix");
    if (ret == 0)
        ret = options_take_enum(o, "clock", clocks, &clock, err);
    if (ret == 0)
        ret = options_end(o, "-rtc", err);
    if (ret < 0)
        return ret;
    c->rtc_vm_clock = clock == 2;
    if (!base || strcmp(base, "utc") == 0) {
        c->rtc_base = RTC_UTC;
    } else if (strcmp(base, "localtime") == 0) {
        c->rtc_base = RTC_LOCALTIME;
    } else {
        struct tm tm = { 0 };
        const char *end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm);

        if (!end) {
            tm = (struct tm) { 0 };
            end = strptime(base, "%Y-%m-%d", &tm);
        }
        if (!end || *end)
            return error_set(err, -EINVAL, "'%s' is not utc, localtime or a date like %s", base,
                             "2026-01-31T12:00:00");
        c->rtc_base = RTC_DATE;
        c->rtc_date = timegm(&tm);
    }
    return 0;
}

static int parse_uuid(Config *c, const char *value, Error **err)
{
    const char *p = value;
    unsigned n = 0;

    for (; *p && n < 2 * sizeof(c->uuid); p++) {
        bool dash = p - value == 8 || p - value == 13 || p - value == 18 || p - value == 23;
        int digit = hex_digit(*p);

        if (dash ? *p != '-' : digit < 0)
            break;
        if (!dash) {
            c->uuid[n / 2] = (uint8_t)(c->uuid[n / 2] << 4 | digit);
            n++;
        }
    }
    if (*p || n != 2 * sizeof(c->uuid))
        return error_set(err, -EINVAL, "'%s' is not a UUID", value);
    return 0;
}

/* isa-debug-exit is the only device that is made from the command line. */
static int parse_device(Config *c, const char *value, Error **err)
{
    if (asks_help(value, "isa-debug-exit,iobase=PORT,iosize=N    a write of V ends the emulator "
                         "with exit code 2V+1\n"))
        return 0;
    AUTO_OPTIONS Options *o = options_new();
    int ret = options_parse(o, value, "driver", err);
    AUTO_FREE char *driver = ret == 0 ? options_take(o, "driver") : NULL;

    if (ret < 0)
        return ret;
    if (!driver || strcmp(driver, "isa-debug-exit") != 0)
        return error_set(err, -EINVAL, "device '%s' is not supported; there is: isa-debug-exit",
                         driver ? driver : "");
    ignore_option(o, "id");
    c->debug_exit = true;
    c->debug_exit_iobase = 0x501;
    c->debug_exit_iosize = 2;
    ret = options_take_u64(o, "iobase", &c->debug_exit_iobase, err);
    if (ret == 0)
        ret = options_take_u64(o, "iosize", &c->debug_exit_iosize, err);
    if (ret == 0 &&
        (c->debug_exit_iobase > 0xffff || c->debug_exit_iosize < 1 || c->debug_exit_iosize > 4))
        ret = error_set(err, -EINVAL, "isa-debug-exit: iobase is 0..0xffff and iosize 1..4");
    return ret < 0 ? ret : options_end(o, "isa-debug-exit", err);
}

static int parse_name(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->name, value);
}

static int parse_no_acpi(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->no_acpi = true;
    return 0;
}

static int parse_no_hpet(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->no_hpet = true;
    return 0;
}

/* ---- disks --------------------------------------------------------------------------------- */

static int parse_hda(Config *c, const char *value, Error **err)
{
    return cmdline_hd(c, 0, value, err);
}

static int parse_hdb(Config *c, const char *value, Error **err)
{
    return cmdline_hd(c, 1, value, err);
}

static int parse_hdc(Config *c, const char *value, Error **err)
{
    return cmdline_hd(c, 2, value, err);
}

static int parse_hdd(Config *c, const char *value, Error **err)
{
    return cmdline_hd(c, 3, value, err);
}

static int parse_fda(Config *c, const char *value, Error **err)
{
    return cmdline_fd(c, 0, value, err);
}

static int parse_fdb(Config *c, const char *value, Error **err)
{
    return cmdline_fd(c, 1, value, err);
}

static int parse_snapshot(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->snapshot = true;
    return 0;
}

/* ---- booting ------------------------------------------------------------------------------- */

/* a, b: floppies; c: disk; d: CD-ROM; n: network. */
static int set_order(char order[16], const char *text, Error **err)
{
    for (const char *p = text; *p; p++)
        if (!strchr("abcdn", *p) || strchr(p + 1, *p))
            return error_set(err, -EINVAL, "boot order '%s' has a bad or repeated letter '%c'",
                             text, *p);
    strncpy(order, text, 15);
    return 0;
}

static int parse_boot_times(Config *c, Options *o, Error **err)
{
    uint64_t reboot = 0;
    bool strict = false;
    const char *text = options_peek(o, "reboot-timeout");
    int ret = options_take_u64(o, "splash-time", &c->boot_menu_timeout_ms, err);

    ignore_option(o, "splash");
    if (ret == 0 && c->boot_menu_timeout_ms > 0xffff)
        ret = error_set(err, -EINVAL, "splash-time is at most 65535 ms");
    if (ret == 0)
        ret = options_take_bool(o, "strict", &strict, err);
    if (ret < 0 || !text)
        return ret;
    c->boot_reboot_timeout_set = true;
    c->boot_reboot_timeout_ms = -1;
    if (strcmp(text, "-1") == 0) {
        ignore_option(o, "reboot-timeout");
        return 0;
    }
    ret = options_take_u64(o, "reboot-timeout", &reboot, err);
    if (ret == 0 && reboot > 0xffff)
        ret = error_set(err, -EINVAL, "reboot-timeout is at most 65535 ms");
    c->boot_reboot_timeout_ms = reboot;
    return ret;
}

static int parse_boot(Config *c, const char *value, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();
    int ret = options_parse(o, value, "order", err);
    AUTO_FREE char *order = ret == 0 ? options_take(o, "order") : NULL;
    AUTO_FREE char *once = ret == 0 ? options_take(o, "once") : NULL;

    if (ret == 0 && order)
        ret = set_order(c->boot_order, order, err);
    if (ret == 0 && once)
        ret = set_order(c->boot_once, once, err);
    if (ret == 0)
        ret = options_take_bool(o, "menu", &c->boot_menu, err);
    if (ret == 0)
        ret = parse_boot_times(c, o, err);
    return ret < 0 ? ret : options_end(o, "-boot", err);
}

static int parse_kernel(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->kernel, value);
}

static int parse_initrd(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->initrd, value);
}

static int parse_append(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->append, value);
}

static int parse_bios(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->bios, value);
}

static int parse_L(Config *c, const char *value, Error **err)
{
    if (c->n_ldirs == CONFIG_LDIRS)
        return error_set(err, -EINVAL, "-L %s: there are more than %d", value, CONFIG_LDIRS);
    c->ldirs[c->n_ldirs++] = value;
    return 0;
}

/* ---- consoles ------------------------------------------------------------------------------ */

static int add_char(const char **list, unsigned *n, unsigned max, const char *opt,
                    const char *value, Error **err)
{
    int ret = char_check(value, err);

    if (ret < 0)
        return error_prefix(err, ret, "%s", opt);
    if (*n == max)
        return error_set(err, -EINVAL, "%s %s: there are more than %u", opt, value, max);
    list[(*n)++] = value;
    return 0;
}

static int parse_serial(Config *c, const char *value, Error **err)
{
    return add_char(c->serials, &c->n_serials, CONFIG_SERIALS, "-serial", value, err);
}

static int parse_monitor(Config *c, const char *value, Error **err)
{
    return add_char(c->monitors, &c->n_monitors, CONFIG_MONITORS, "-monitor", value, err);
}

static int parse_debugcon(Config *c, const char *value, Error **err)
{
    unsigned n = 0;

    return add_char(&c->debugcon, &n, 1, "-debugcon", value, err);
}

static int parse_nographic(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->nographic = true;
    return 0;
}

static int parse_display(Config *c, const char *value, Error **err)
{
    if (asks_help(value, "none\n"))
        return 0;
    if (strcmp(value, "none") != 0)
        return error_set(err, -EINVAL, "display '%s' is not supported; there is: none", value);
    c->display_none = true;
    return 0;
}

static int parse_vga(Config *c, const char *value, Error **err)
{
    if (asks_help(value, "none\nstd    VGA with Bochs VBE extensions (default)\n"))
        return 0;
    c->vga_given = true;
    if (strcmp(value, "std") == 0)
        c->vga = VGA_STD;
    else if (strcmp(value, "none") == 0)
        c->vga = VGA_NONE;
    else
        return error_set(err, -EINVAL, "-vga '%s' is not supported; there are: std, none", value);
    return 0;
}

static int parse_nodefaults(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->no_defaults = true;
    return 0;
}

/* Scripts say `-net none`: there is none anyway. The same for parallel ports. */
static int parse_none(Config *c, const char *value, Error **err)
{
    (void)c;
    return strcmp(value, "none") == 0
               ? 0
               : error_set(err, -EINVAL, "'%s' is not supported; there is: none", value);
}

static int parse_nothing(Config *c, const char *value, Error **err)
{
    (void)c, (void)value, (void)err;
    return 0;
}

/* ---- running ------------------------------------------------------------------------------- */

static int parse_no_reboot(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->no_reboot = true;
    return 0;
}

static int parse_no_shutdown(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->no_shutdown = true;
    return 0;
}

static int parse_S(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->paused = true;
    return 0;
}

static int parse_gdb(Config *c, const char *value, Error **err)
{
    if (strcmp(value, "none") == 0) {
        c->gdb = NULL;
        return 0;
    }
    int ret = char_check(value, err);
    return ret < 0 ? ret : set_string(&c->gdb, value);
}

/* Only this host may connect: a debugger may do anything. */
static int parse_s(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    return set_string(&c->gdb, "tcp:127.0.0.1:1234");
}

static int parse_d(Config *c, const char *value, Error **err)
{
    unsigned mask;

    if (asks_help(value, log_items_help()))
        return 0;
    c->log_items = value;
    return log_parse_items(value, &mask, err);
}

static int parse_D(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->log_file, value);
}

static int parse_trace(Config *c, const char *value, Error **err)
{
    unsigned mask;

    if (asks_help(value, log_traces_help()))
        return 0;
    c->trace = value;
    return log_parse_traces(value, &mask, err);
}

static int parse_pidfile(Config *c, const char *value, Error **err)
{
    (void)err;
    return set_string(&c->pidfile, value);
}

static int parse_daemonize(Config *c, const char *value, Error **err)
{
    (void)value, (void)err;
    c->daemonize = true;
    return 0;
}

const CmdOption cmd_options[] = {
    { OPT_MACHINE, "m", "SIZE", "memory of the guest; in MiB if there is no unit (default 512)",
      parse_m },
    { OPT_MACHINE, "M", "TYPE", "same as -machine", parse_machine },
    { OPT_MACHINE, "machine", "TYPE[,acpi=on|off][,hpet=on|off]", "the board; \"help\" lists them",
      parse_machine },
    { OPT_MACHINE, "cpu", "MODEL", "the CPU's model; \"help\" lists them", parse_cpu },
    { OPT_MACHINE, "accel", "tcg[,backend=x86_64|interp][,tb-size=MIB]",
      "how guest code is executed", parse_accel },
    { OPT_MACHINE, "smp", "[cpus=]N[,sockets=S][,cores=C][,threads=T]",
      "number of CPUs, 1 to 16, and how they are arranged", parse_smp },
    { OPT_MACHINE, "rtc", "[base=utc|localtime|DATE][,clock=host|vm]",
      "what the guest's battery-backed clock shows", parse_rtc },
    { OPT_MACHINE, "uuid", "UUID", "the machine's identity in SMBIOS", parse_uuid },
    { OPT_MACHINE, "name", "TEXT", "name of this machine", parse_name },
    { OPT_MACHINE, "device", "isa-debug-exit[,iobase=PORT][,iosize=N]",
      "a port that ends the emulator: exit code (value << 1) | 1", parse_device },
    { OPT_MACHINE, "no-acpi", NULL, "no ACPI tables", parse_no_acpi },
    { OPT_MACHINE, "no-hpet", NULL, "no high-precision event timer", parse_no_hpet },

    { OPT_BLOCK, "hda", "FILE", "first disk (-hdb, -hdc, -hdd: the others)", parse_hda },
    { OPT_BLOCK, "hdb", "FILE", "second disk", parse_hdb },
    { OPT_BLOCK, "hdc", "FILE", "third disk", parse_hdc },
    { OPT_BLOCK, "hdd", "FILE", "fourth disk", parse_hdd },
    { OPT_BLOCK, "cdrom", "FILE", "disc in the CD-ROM drive (same place as -hdc)", cmdline_cdrom },
    { OPT_BLOCK, "fda", "FILE", "diskette in the first floppy drive", parse_fda },
    { OPT_BLOCK, "fdb", "FILE", "diskette in the second one", parse_fdb },
    { OPT_BLOCK, "drive", "file=FILE[,OPTION=VALUE...]",
      "a drive: if=ide|floppy|none, index=N or bus=N,unit=N, media=disk|cdrom, format=NAME, "
      "snapshot=on|off, readonly=on|off, cache=writeback|none|writethrough|directsync|unsafe, "
      "discard=unmap|ignore, aio=threads|native|io_uring, id=NAME; other options go to the image's "
      "format and protocol",
      cmdline_drive },
    { OPT_BLOCK, "object", "TYPE,id=NAME[,OPTION=VALUE...]",
      "an object that drives name in their options, as secret,id=NAME,file=FILE", cmdline_object },
    { OPT_BLOCK, "snapshot", NULL, "write to temporary files: no image changes", parse_snapshot },

    { OPT_BOOT, "boot", "order=LETTERS[,OPTION=VALUE...]",
      "where to boot from: a floppy, c disk, d CD-ROM, n network; once=LETTERS for the first boot "
      "only, "
      "menu=on|off, splash-time=MS, reboot-timeout=MS",
      parse_boot },
    { OPT_BOOT, "kernel", "FILE", "boot this Linux kernel directly", parse_kernel },
    { OPT_BOOT, "initrd", "FILE", "its initial RAM disk", parse_initrd },
    { OPT_BOOT, "append", "TEXT", "its command line", parse_append },
    { OPT_BOOT, "bios", "FILE", "firmware (default: SeaBIOS's bios-256k.bin)", parse_bios },
    { OPT_BOOT, "L", "FOLDER", "look here for firmware first", parse_L },

    { OPT_IO, "nographic", NULL,
      "console and monitor on the terminal; Ctrl-A x quits, Ctrl-A c switches", parse_nographic },
    { OPT_IO, "display", "none", "no display, nothing on the terminal", parse_display },
    { OPT_IO, "vga", "std|none", "the display adapter", parse_vga },
    { OPT_IO, "serial", "DEVICE",
      "a serial port: stdio, mon:stdio, null, none, pty, file:PATH, "
      "unix:PATH[,server][,nowait], tcp:HOST:PORT[,server][,nowait]; up to four times",
      parse_serial },
    { OPT_IO, "monitor", "DEVICE", "the monitor, on a device as of -serial", parse_monitor },
    { OPT_IO, "debugcon", "DEVICE", "what the firmware writes to port 0x402", parse_debugcon },

    { OPT_IO, "net", "none", "no network card: there is none (also -nic)", parse_none },
    { OPT_IO, "nic", "none", "same as -net", parse_none },
    { OPT_IO, "parallel", "none", "no parallel port: there is none", parse_none },
    { OPT_IO, "nodefaults", NULL, "no serial port, monitor, display or CD-ROM drive by default",
      parse_nodefaults },
    { OPT_RUN, "no-user-config", NULL, "read no configuration files: none are read anyway",
      parse_nothing },
    { OPT_RUN, "gdb", "DEVICE", "wait for gdb there: tcp:HOST:PORT, unix:PATH, stdio, ...",
      parse_gdb },
    { OPT_RUN, "s", NULL, "the same as -gdb tcp:127.0.0.1:1234", parse_s },
    { OPT_RUN, "S", NULL, "do not start: wait for \"cont\" in the monitor", parse_S },
    { OPT_RUN, "no-reboot", NULL, "quit when the guest resets", parse_no_reboot },
    { OPT_RUN, "no-shutdown", NULL, "stop, do not quit, when the guest powers off",
      parse_no_shutdown },
    { OPT_RUN, "d", "ITEM[,...]", "log these; \"help\" lists them", parse_d },
    { OPT_RUN, "D", "FILE", "write the log there instead of standard error", parse_D },
    { OPT_RUN, "trace", "PATTERN[,...]", "log these events; \"help\" lists them", parse_trace },
    { OPT_RUN, "pidfile", "FILE", "write the process's number there", parse_pidfile },
    { OPT_RUN, "daemonize", NULL, "go to the background once the machine is set up",
      parse_daemonize },
    { OPT_RUN, "version", NULL, "print the version", NULL },
    { OPT_RUN, "help", NULL, "print this (also -h)", NULL },
    { OPT_SECTIONS, NULL, NULL, NULL, NULL },
};

/* ---- the whole line ------------------------------------------------------------------------ */

static const CmdOption *find_option(const char *name)
{
    for (const CmdOption *o = cmd_options; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

/* The options that only print. */
static bool special(const char *name, CmdAction *action)
{
    if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0)
        *action = CMDLINE_HELP;
    else if (strcmp(name, "help=man") == 0)
        *action = CMDLINE_MAN;
    else if (strcmp(name, "version") == 0)
        *action = CMDLINE_VERSION;
    else
        return false;
    return true;
}

static int set_image(Config *c, const char *arg, Error **err)
{
    if (c->image)
        return error_set(err, -EINVAL, "two images are named, '%s' and '%s': use -hda and -hdb",
                         c->image, arg);
    c->image = arg;
    return 0;
}

static void leave_out_defaults(Config *c)
{
    if (c->no_defaults && !c->vga_given)
        c->vga = VGA_NONE;
}

static void config_init(Config *c)
{
    *c = (Config) { .ram_size = DEFAULT_RAM, .cpu = "qemu64", .cpus = 1, .cores = 1, .threads = 1 };
}

static int check_together(const Config *c, Error **err)
{
    if (c->initrd && !c->kernel)
        return error_set(err, -EINVAL, "-initrd needs -kernel");
    if (c->append && !c->kernel)
        return error_set(err, -EINVAL, "-append needs -kernel");
    if (c->daemonize && c->nographic)
        return error_set(err, -EINVAL, "-daemonize and -nographic exclude each other");
    return 0;
}

int cmdline_parse(int argc, char *const *argv, Config *c, CmdAction *action, const char **list,
                  Error **err)
{
    config_init(c);
    *action = CMDLINE_RUN;
    list_text = NULL;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int ret;

        if (arg[0] != '-' || !arg[1]) {
            ret = set_image(c, arg, err);
        } else {
            const char *name = arg + (arg[1] == '-' ? 2 : 1);
            const CmdOption *o = find_option(name);

            if (special(name, action))
                return 0;
            if (!o)
                return error_set(err, -EINVAL, "unknown option '%s' (-help lists them)", arg);
            if (o->arg && ++i == argc)
                return error_set(err, -EINVAL, "option '%s' needs a value: %s", arg, o->arg);
            ret = o->parse(c, o->arg ? argv[i] : NULL, err);
        }
        if (ret < 0)
            return ret;
        if (list_text) {
            *action = CMDLINE_LIST;
            *list = list_text;
            return 0;
        }
    }
    leave_out_defaults(c);
    int ret = c->image ? cmdline_image(c, err) : 0;
    return ret < 0 ? ret : check_together(c, err);
}

void config_free(Config *c)
{
    for (unsigned i = 0; i < c->n_drives; i++)
        drive_config_free(&c->drives[i]);
    c->n_drives = 0;
}
