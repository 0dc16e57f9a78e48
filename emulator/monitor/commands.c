/*
 * commands.c - what the monitor can do, but looking (info.c, examine.c).
 */
#include <errno.h>
#include <string.h>

#include "emulator/display.h"
#include "emulator/log.h"
#include "emulator/monitor/monitor.h"

static void print_table(Monitor *mon, const MonitorCommand *table, const char *prefix)
{
    for (const MonitorCommand *c = table; c->name; c++)
        monitor_printf(mon, "%s%s%s%s -- %s\n", prefix, c->name, c->args ? " " : "",
                       c->args ? c->args : "", c->help);
}

static int cmd_help(Monitor *mon, char *args, Error **err)
{
    char *name = monitor_word(&args);

    if (!name) {
        print_table(mon, monitor_commands, "");
        return 0;
    }
    if (strcmp(name, "info") == 0) {
        print_table(mon, monitor_infos, "info ");
        return 0;
    }
    const MonitorCommand *c = monitor_find(monitor_commands, name);
    if (!c)
        return error_set(err, -ENOENT, "unknown command: '%s'", name);
    monitor_printf(mon, "%s%s%s -- %s\n", c->name, c->args ? " " : "", c->args ? c->args : "",
                   c->help);
    return 0;
}

static int cmd_info(Monitor *mon, char *args, Error **err)
{
    char *name = monitor_word(&args);

    if (!name) {
        print_table(mon, monitor_infos, "info ");
        return 0;
    }
    const MonitorCommand *c = monitor_find(monitor_infos, name);
    if (!c)
        return error_set(err, -ENOENT, "unknown item: 'info %s' (help info lists them)", name);
    return c->run(mon, args, err);
}

static int cmd_quit(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    machine_exit(monitor_machine(mon), 0);
    return 0;
}

static int cmd_stop(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    machine_stop(monitor_machine(mon));
    return 0;
}

static int cmd_cont(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    machine_cont(monitor_machine(mon));
    return 0;
}

static int cmd_system_reset(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    machine_want(monitor_machine(mon), WANT_RESET);
    return 0;
}

static int cmd_system_powerdown(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    machine_want(monitor_machine(mon), WANT_POWERDOWN);
    return 0;
}

static int cmd_screendump(Monitor *mon, char *args, Error **err)
{
    char *file = monitor_word(&args);

    if (!file)
        return error_set(err, -EINVAL, "screendump needs a file's name");
    return display_dump(monitor_machine(mon), file, err);
}

static int cmd_log(Monitor *mon, char *args, Error **err)
{
    char *items = monitor_word(&args);
    unsigned mask;

    if (!items) {
        monitor_printf(mon, "%s", log_traces_help());
        return 0;
    }
    if (strcmp(items, "none") == 0) {
        log_traces = 0;
        return 0;
    }
    int ret = log_parse_traces(items, &mask, err);
    if (ret == 0)
        log_traces = mask;
    return ret;
}

static int find_cdrom(Monitor *mon, char **args, Drive **d, Error **err)
{
    char *name = monitor_word(args);

    if (!name)
        return error_set(err, -EINVAL, "a drive's name is missing (info block lists them)");
    *d = drive_find(monitor_machine(mon), name);
    return *d ? 0 : error_set(err, -ENOENT, "there is no drive '%s'", name);
}

static int cmd_eject(Monitor *mon, char *args, Error **err)
{
    Drive *d;
    bool force;

    args += strspn(args, " ");
    force = strncmp(args, "-f ", 3) == 0;
    args += force ? 3 : 0;
    int ret = find_cdrom(mon, &args, &d, err);
    return ret < 0 ? ret : drive_change(monitor_machine(mon), d, NULL, force, err);
}

static int cmd_change(Monitor *mon, char *args, Error **err)
{
    Drive *d;
    int ret = find_cdrom(mon, &args, &d, err);
    char *file = ret == 0 ? monitor_word(&args) : NULL;

    if (ret == 0 && !file)
        ret = error_set(err, -EINVAL, "change needs a file's name");
    return ret < 0 ? ret : drive_change(monitor_machine(mon), d, file, true, err);
}

static int cmd_commit(Monitor *mon, char *args, Error **err)
{
    (void)mon, (void)args;
    return error_set(err, -ENOTSUP, "commit is not supported here: quit, then use img-tool commit");
}

static int cmd_savevm(Monitor *mon, char *args, Error **err)
{
    (void)mon, (void)args;
    return error_set(err, -ENOTSUP, "snapshots of the machine's state are not supported");
}

const MonitorCommand monitor_commands[] = {
    { "change", "DRIVE FILE", "put another disc into a CD-ROM drive", cmd_change },
    { "commit", "DRIVE", "not supported", cmd_commit },
    { "cont", NULL, "go on", cmd_cont },
    { "c", NULL, "same as cont", cmd_cont },
    { "eject", "[-f] DRIVE", "take the disc out; -f: although the guest locked the door",
      cmd_eject },
    { "help", "[COMMAND]", "this list", cmd_help },
    { "?", "[COMMAND]", "same as help", cmd_help },
    { "info", "[ITEM]", "show something; help info lists what", cmd_info },
    { "loadvm", "NAME", "not supported", cmd_savevm },
    { "log", "EVENT[,...]|none", "log events of the machine, as -trace", cmd_log },
    { "print", "[/FMT] EXPR", "print a value; $rax is a register", cmd_print },
    { "p", "[/FMT] EXPR", "same as print", cmd_print },
    { "quit", NULL, "end the emulator", cmd_quit },
    { "q", NULL, "same as quit", cmd_quit },
    { "savevm", "NAME", "not supported", cmd_savevm },
    { "screendump", "FILE", "write a picture of the screen: PNG if the name ends so, else PPM",
      cmd_screendump },
    { "sendkey", "KEYS [HOLD_MS]", "press keys, like ctrl-alt-delete", cmd_sendkey },
    { "stop", NULL, "pause the machine", cmd_stop },
    { "system_powerdown", NULL, "press the power button", cmd_system_powerdown },
    { "system_reset", NULL, "reset the machine", cmd_system_reset },
    { "x", "/FMT ADDR", "memory at a virtual address; FMT is count, x d u o c, b h w g", cmd_x },
    { "xp", "/FMT ADDR", "memory at a physical address", cmd_xp },
    { NULL, NULL, NULL, NULL },
};
