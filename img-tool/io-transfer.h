/*
 * io-transfer.h - inside `img-tool io`: one read, write or discard from its arguments to its
 * report.
 */
#ifndef IMG_TOOL_IO_TRANSFER_H
#define IMG_TOOL_IO_TRANSFER_H

#include <time.h>

#include "img-tool/io.h"

enum { IO_MAX_IOV = 60 };

typedef struct Transfer {
    bool concise, quiet, dump, zeroes, compressed, unmap, no_fallback, fua, vmstate, has_pattern;
    bool invalid; /* -i: only count a request that was refused */
    uint8_t pattern;
    const char *source_file;
    uint64_t verify_off, verify_len; /* of the pattern within the buffer */
    bool has_verify_off, has_verify_len;
    uint64_t off, len;
    uint64_t pieces[IO_MAX_IOV];
    struct iovec iov[IO_MAX_IOV];
    int n_pieces;
    void *memory; /* `buf` is in it */
    uint8_t *buf;
    struct timespec started;
} Transfer;

/* Read the arguments; `letters` as for getopt. False after a message. */
bool transfer_parse(Transfer *t, int argc, char **argv, const char *letters, bool writing);
/* The buffer, filled with what is written, or with a byte that shows what a read left out. */
bool transfer_prepare(IoSession *s, Transfer *t, bool writing);
unsigned transfer_flags(const Transfer *t); /* REQ_* */
/* Inside the image? -EIO if not. */
int transfer_check(IoSession *s, const Transfer *t);
/* What a finished read or write has to say: 0, or -1 if it failed or is not what was expected. */
int transfer_done_read(Transfer *t, int ret, const char *failed);
int transfer_done(Transfer *t, int ret, const char *failed, const char *verb);
void transfer_free(Transfer *t);

#endif
