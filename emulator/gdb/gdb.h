/*
 * gdb.h - gdb's remote protocol over a character device ("GDB Remote Serial Protocol", appendix E
 * of its manual). One debugger at a time; a CPU is a thread, numbered from 1.
 *
 * Everything runs on the main loop with the machine lock. While the debugger looks at something
 * the machine is paused.
 */
#ifndef EMULATOR_GDB_GDB_H
#define EMULATOR_GDB_GDB_H

#include "emulator/machine.h"

typedef struct Gdb Gdb;

Gdb *gdb_new(Machine *m, Chardev *chr);
void gdb_free(Gdb *gdb);

bool gdb_connected(const Gdb *gdb);

/* A CPU left cpu_run() with RUN_DEBUG (index), or the machine was paused by somebody else (-1). */
void gdb_stopped(Gdb *gdb, int cpu);

#endif
