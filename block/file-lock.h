/*
 * file-lock.h - keeping other programs from writing the image that we use (docs/BLOCK.md).
 */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H

#include <stdbool.h>

#include "base/error.h"

/* The locks live as long as the open file. File systems without such locks: silently none. */
int file_lock(int fd, const char *path, bool writer, Error **err);

#endif
