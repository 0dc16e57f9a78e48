/*
 * seal.c - see seal.h.
 *
 * What is read lands in the caller's buffers and is decrypted there if they are whole sectors; what
 * is written goes through a buffer of our own, because the caller's bytes must stay as they are. It
 * is filled and encrypted in steps that stay in the processor's cache.
 */
#include "block/seal.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/iov.h"
#include "base/math.h"

enum { PIECE = 1 << 20, STEP = 16 << 10 };

bool seal_splits(const Node *node, uint64_t off, uint64_t len)
{
    return node->sealed && (off | len) % SEAL_SECTOR;
}

static bool whole_sectors(const struct iovec *iov, int iovcnt, uint64_t pos)
{
    if (pos % SEAL_SECTOR)
        return false;
    for (int i = 0; i < iovcnt; i++)
        if (iov[i].iov_len % SEAL_SECTOR)
            return false;
    return true;
}

/* The sectors around a part of a request, at most PIECE bytes. */
typedef struct {
    uint64_t pos, len; /* whole sectors of the file */
    uint64_t skip;     /* where the request's bytes start in them */
    uint64_t bytes;    /* how many of the request's bytes they hold */
} Piece;

static Piece next_piece(uint64_t pos, uint64_t left)
{
    uint64_t start = align_down(pos, SEAL_SECTOR);
    uint64_t end = MIN(align_up(pos + left, SEAL_SECTOR), start + PIECE);

    return (Piece) { start, end - start, pos - start, MIN(left, end - pos) };
}

static uint8_t *piece_buffer(uint64_t pos, uint64_t total)
{
    return buffer_alloc(next_piece(pos, total).len);
}

static int read_sectors(Node *node, Node *file, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    int ret = node_pread(file, buf, len, pos);

    return ret < 0 ? ret : node->driver->unseal(node, buf, len, off, pos);
}

static int read_in_place(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t off,
                         uint64_t pos)
{
    int ret = node_preadv(file, iov, iovcnt, pos);

    for (int i = 0; i < iovcnt && ret == 0; i++) {
        ret = node->driver->unseal(node, iov[i].iov_base, iov[i].iov_len, off, pos);
        off += iov[i].iov_len;
        pos += iov[i].iov_len;
    }
    return ret;
}

int seal_read(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t off,
              uint64_t pos)
{
    if (!node->sealed)
        return node_preadv(file, iov, iovcnt, pos);
    if (whole_sectors(iov, iovcnt, pos))
        return read_in_place(node, file, iov, iovcnt, off, pos);
    uint64_t total = iov_total(iov, iovcnt), done = 0;
    AUTO_FREE uint8_t *buf = piece_buffer(pos, total);
    int ret = buf ? 0 : -ENOMEM;

    while (done < total && ret == 0) {
        Piece p = next_piece(pos + done, total - done);

        ret = read_sectors(node, file, buf, p.len, off + done - p.skip, p.pos);
        if (ret == 0)
            iov_write(iov, iovcnt, done, buf + p.skip, p.bytes);
        done += p.bytes;
    }
    return ret;
}

/* The first and the last sector keep what the request does not cover. */
static int read_edges(Node *node, Node *file, uint8_t *buf, const Piece *p, uint64_t off)
{
    uint64_t end = p->skip + p->bytes, last = p->len - SEAL_SECTOR;
    int ret = 0;

    if (p->skip)
        ret = read_sectors(node, file, buf, SEAL_SECTOR, off, p->pos);
    if (ret == 0 && end < p->len && (last || !p->skip))
        ret = read_sectors(node, file, buf + last, SEAL_SECTOR, off + last, p->pos + last);
    return ret;
}

/* `off` is where the piece's sectors start in the node, `done` where its bytes do in the request.
 */
static int write_piece(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t done,
                       uint8_t *buf, const Piece *p, uint64_t off)
{
    uint64_t end = p->skip + p->bytes;
    int ret = read_edges(node, file, buf, p, off);

    for (uint64_t at = 0; at < p->len && ret == 0; at += STEP) {
        uint64_t len = MIN((uint64_t)STEP, p->len - at), from = MAX(at, p->skip);

        iov_read(iov, iovcnt, done + from - p->skip, buf + from, MIN(at + len, end) - from);
        ret = node->driver->seal(node, buf + at, len, off + at, p->pos + at);
    }
    return ret < 0 ? ret : node_pwrite(file, buf, p->len, p->pos);
}

int seal_write(Node *node, Node *file, const struct iovec *iov, int iovcnt, uint64_t off,
               uint64_t pos)
{
    if (!node->sealed)
        return node_pwritev(file, iov, iovcnt, pos, 0);
    uint64_t total = iov_total(iov, iovcnt), done = 0;
    AUTO_FREE uint8_t *buf = piece_buffer(pos, total);
    int ret = buf ? 0 : -ENOMEM;

    while (done < total && ret == 0) {
        Piece p = next_piece(pos + done, total - done);

        ret = write_piece(node, file, iov, iovcnt, done, buf, &p, off + done - p.skip);
        done += p.bytes;
    }
    return ret;
}
