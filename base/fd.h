/*
 * fd.h - whole transfers over file descriptors, and files for a moment.
 *
 * All return 0 or -errno, go on after an interruption or a short count, and take a descriptor that
 * takes or gives no more for -EIO.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

int fd_write_all(int fd, const void *buf, size_t len);
int fd_pwrite_all(int fd, const void *buf, size_t len, uint64_t off);
int fd_pread_all(int fd, void *buf, size_t len, uint64_t off);

/* A file without a name in $TMPDIR or /var/tmp: the descriptor, which is all that is left of it. */
int fd_open_nameless(Error **err);

/*
 * A whole file of at most `max` bytes (-EFBIG: it has more). The caller frees *data; a 0 byte
 * follows that is not counted. What was read of a file that fails is wiped: it may be a secret.
 */
int file_read_whole(const char *path, size_t max, char **data, size_t *len);

#endif
