/*
 * nbd_server.c - fuzz target: any bytes as all that a client of the NBD server says.
 *
 * The first export is writable; a thread takes what the server answers, so it never has to wait.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/nbd/server.h"

enum { DISK = 1 << 20 };

static NbdServer *server;

static Node *memory_node(void)
{
    Options *o = options_new();
    Node *node;

    options_set_u64(o, "size", DISK);
    if (node_open(NULL, "memory", o, OPEN_RDWR, &node, NULL) < 0)
        abort();
    return node;
}

static void prepare(void)
{
    static NbdServedExport exports[2];
    static const NbdServerOptions options = { .exports = exports, .n_exports = 2 };

    exports[0] = (NbdServedExport) {
        .name = "", .node = memory_node(), .size = DISK, .writable = true, .allocation_depth = true
    };
    exports[1] = (NbdServedExport) {
        .name = "ro", .description = "text", .node = memory_node(), .off = 512, .size = 1000
    };
    server = nbd_server_new(&options);
    if (!server)
        abort();
}

static void *drain(void *opaque)
{
    static uint8_t waste[1 << 16];
    int fd = *(int *)opaque;

    while (read(fd, waste, sizeof(waste)) > 0)
        ;
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pthread_t thread;
    int fds[2];

    if (!server)
        prepare();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        abort();
    if (pthread_create(&thread, NULL, drain, &fds[0]) != 0 ||
        write(fds[0], data, size) != (ssize_t)size)
        abort();
    shutdown(fds[0], SHUT_WR);
    nbd_server_serve(server, fds[1]);
    pthread_join(thread, NULL);
    close(fds[0]);
    return 0;
}
