/*
 * keys.h - "ctrl-alt-delete" as keys.
 */
#ifndef EMULATOR_MONITOR_KEYS_H
#define EMULATOR_MONITOR_KEYS_H

#include "base/error.h"
#include "hw/core/input.h"

enum { KEYS_MAX = 16 };

/* Names joined by '-', or scan codes (set 1) like 0x1e; returns how many, or -EINVAL. */
int keys_parse(const char *text, InputKey keys[KEYS_MAX], Error **err);

#endif
