/*
 * daemon.h - going to the background, and the file with the process's number.
 */
#ifndef EMULATOR_DAEMON_H
#define EMULATOR_DAEMON_H

#include "base/error.h"

/* Before any thread exists: the parent stays until daemon_ready() or the child's end. */
int daemon_start(Error **err);
int daemon_ready(Error **err); /* the machine is set up; let the terminal go */

int pidfile_write(const char *path, Error **err);
void pidfile_remove(const char *path);

#endif
