/*
 * iov.c - see iov.h.
 */
#include "base/iov.h"

#include <string.h>

#include "base/math.h"

size_t iov_total(const struct iovec *iov, int iovcnt)
{
    size_t total = 0;

    for (int i = 0; i < iovcnt; i++)
        total += iov[i].iov_len;
    return total;
}

int iov_slice(struct iovec *out, const struct iovec *iov, int iovcnt, size_t skip, size_t len)
{
    int n = 0;

    for (int i = 0; i < iovcnt && len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - skip, len);
        out[n++] = (struct iovec) { (char *)iov[i].iov_base + skip, part };
        len -= part;
        skip = 0;
    }
    return n;
}

typedef void Visit(char *piece, size_t len, void *opaque);

static void iov_visit(const struct iovec *iov, int iovcnt, size_t skip, size_t len, Visit *visit,
                      void *opaque)
{
    for (int i = 0; i < iovcnt && len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t part = MIN(iov[i].iov_len - skip, len);
        visit((char *)iov[i].iov_base + skip, part, opaque);
        len -= part;
        skip = 0;
    }
}

static void visit_zero(char *piece, size_t len, void *opaque)
{
    (void)opaque;
    memset(piece, 0, len);
}

static void visit_write(char *piece, size_t len, void *opaque)
{
    const char **from = opaque;

    memcpy(piece, *from, len);
    *from += len;
}

static void visit_read(char *piece, size_t len, void *opaque)
{
    char **to = opaque;

    memcpy(*to, piece, len);
    *to += len;
}

void iov_zero(const struct iovec *iov, int iovcnt, size_t skip, size_t len)
{
    iov_visit(iov, iovcnt, skip, len, visit_zero, NULL);
}

void iov_write(const struct iovec *iov, int iovcnt, size_t skip, const void *from, size_t len)
{
    iov_visit(iov, iovcnt, skip, len, visit_write, &from);
}

void iov_read(const struct iovec *iov, int iovcnt, size_t skip, void *to, size_t len)
{
    iov_visit(iov, iovcnt, skip, len, visit_read, &to);
}

int buffer_is_zero(const void *buf, size_t len)
{
    const unsigned char *p = buf;

    /* The first bytes decide most non-zero buffers; then the buffer equals itself, shifted. */
    for (; len && ((uintptr_t)p & 15 || len < 16); p++, len--)
        if (*p)
            return 0;
    if (len == 0)
        return 1;
    for (int i = 0; i < 16; i++)
        if (p[i])
            return 0;
    return memcmp(p, p + 16, len - 16) == 0;
}
