/*
 * scratch.h - a folder of a test's own below /tmp, and names in it.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCRATCH_DIR = 64, SCRATCH_PATH = 128 };

/* Make the folder; false: it could not be made. */
static inline bool scratch_make(char dir[SCRATCH_DIR], const char *name)
{
    snprintf(dir, SCRATCH_DIR, "/tmp/%s.XXXXXX", name);
    return mkdtemp(dir);
}

static inline void scratch_path(char path[SCRATCH_PATH], const char *dir, const char *name)
{
    snprintf(path, SCRATCH_PATH, "%s/%s", dir, name);
}

/* Remove it with all that is in it; returns `ret`, or 1 if that failed. */
static inline int scratch_remove(const char *dir, int ret)
{
    char command[SCRATCH_DIR + 16];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) ? 1 : ret;
}

#endif
