/*
 * iov.h - lists of buffers: totals, parts, copying in and out.
 */
#ifndef BASE_IOV_H
#define BASE_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t iov_total(const struct iovec *iov, int iovcnt);

/* Describe [skip, skip+len) of `iov` in `out` (room for iovcnt entries); returns the entry count.
 */
int iov_slice(struct iovec *out, const struct iovec *iov, int iovcnt, size_t skip, size_t len);

void iov_zero(const struct iovec *iov, int iovcnt, size_t skip, size_t len);
void iov_write(const struct iovec *iov, int iovcnt, size_t skip, const void *from, size_t len);
void iov_read(const struct iovec *iov, int iovcnt, size_t skip, void *to, size_t len);

/* True if the `len` bytes are all zero. */
int buffer_is_zero(const void *buf, size_t len);

#endif
