/*
 * nbd_client.c - fuzz target: any bytes as all that an NBD server says to our client.
 *
 * The first byte chooses where they begin: with the negotiation, with a list of exports, or with
 * answers to requests under simple or structured replies.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/nbd/conn.h"

enum { DISK = 1 << 20, CALLS = 8, PART = 20000 };

static void use(NbdChannel *ch, const NbdExport *e)
{
    static const uint16_t types[] = { NBD_CMD_READ, NBD_CMD_BLOCK_STATUS, NBD_CMD_FLUSH };
    static uint8_t buf[2][PART];
    struct iovec iov[] = { { buf[0], 100 }, { buf[1], PART - 100 } };
    NbdConn *c = nbd_conn_new(ch, e);

    for (int i = 0; c && i < CALLS; i++) {
        NbdCall call = { .request = { .type = types[i % 3], .off = 4096, .len = PART },
                         .iov = iov,
                         .iovcnt = 2 };

        int ret = nbd_conn_call(c, &call);
        free(call.status);
        if (ret == -ENOTCONN)
            break;
    }
    nbd_conn_unref(c);
}

static void negotiate(NbdChannel *ch)
{
    NbdWant want = { .export = "disk", .context = "base:allocation" };
    NbdExport e;

    if (nbd_handshake(ch, &want, &e, NULL) == 0)
        use(ch, &e);
    else
        nbd_channel_free(ch);
}

static void list(NbdChannel *ch)
{
    NbdWant want = { .export = "" };
    NbdExport *exports;
    size_t count;

    if (nbd_list(ch, &want, &exports, &count, NULL) == 0)
        nbd_exports_free(exports, count);
    nbd_channel_free(ch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    NbdExport e = { .size = DISK, .has_context = true, .min_block = 1, .max_block = DISK };
    int fds[2];

    if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return 0;
    if (write(fds[0], data + 1, size - 1) != (ssize_t)(size - 1))
        abort();
    shutdown(fds[0], SHUT_WR);
    NbdChannel *ch = nbd_channel_new(fds[1]);
    e.structured = data[0] & 1;
    if (!ch)
        abort();
    if (data[0] & 2)
        use(ch, &e);
    else if (data[0] & 1)
        negotiate(ch);
    else
        list(ch);
    close(fds[0]);
    return 0;
}
