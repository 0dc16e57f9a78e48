/*
 * display.h - the display adapter of the machine, and pictures of what it shows.
 */
#ifndef EMULATOR_DISPLAY_H
#define EMULATOR_DISPLAY_H

#include "emulator/machine.h"

int display_attach(Machine *m, Error **err);

/* Write a PNG if the name ends so, else a PPM. */
int display_dump(Machine *m, const char *file, Error **err);

#endif
