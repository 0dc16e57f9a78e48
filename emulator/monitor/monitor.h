/*
 * monitor.h - the human monitor: commands typed on a character device.
 */
#ifndef EMULATOR_MONITOR_MONITOR_H
#define EMULATOR_MONITOR_MONITOR_H

#include <stdio.h>

#include "emulator/machine.h"

Monitor *monitor_new(Machine *m, Chardev *chr);
void monitor_free(Monitor *mon);

/* ---- for commands --------------------------------------------------------------------------- */

Machine *monitor_machine(Monitor *mon);
void monitor_printf(Monitor *mon, const char *fmt, ...) PRINTF_LIKE(2, 3);

typedef struct MonitorCommand {
    const char *name;
    const char *args; /* for help; NULL: none */
    const char *help;
    int (*run)(Monitor *mon, char *args, Error **err);
} MonitorCommand;

extern const MonitorCommand monitor_commands[]; /* ends with a NULL name */
extern const MonitorCommand monitor_infos[];    /* what follows "info" */

/* Find `name` in the table, or the one command that it is the beginning of. */
const MonitorCommand *monitor_find(const MonitorCommand *table, const char *name);

/* The next word of *args (spaces end it, quotes hold it together); NULL: there is none. */
char *monitor_word(char **args);

/* Run one line; the error is already printed. */
void monitor_execute(Monitor *mon, const char *line);

/* examine.c, paging.c, sendkey.c */
int cmd_x(Monitor *mon, char *args, Error **err);
int cmd_xp(Monitor *mon, char *args, Error **err);
int cmd_print(Monitor *mon, char *args, Error **err);
int cmd_sendkey(Monitor *mon, char *args, Error **err);
int info_registers(Monitor *mon, char *args, Error **err);
int info_mem(Monitor *mon, char *args, Error **err);
int info_tlb(Monitor *mon, char *args, Error **err);

#endif
