/*
 * serve-device.c - qemu-nbd -c and -d: the kernel's NBD client (/dev/nbdN) as ours.
 *
 * The kernel gets one end of a socket pair after the negotiation, and its thread stays in an ioctl
 * until the device is disconnected; we serve the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/nbd/handshake.h"
#include "img-tool/serve.h"

enum { DEVICE_BLOCK = 512, NEGOTIATION_MS = 10000 };

/* From the kernel's uapi/linux/nbd.h, whose other names are those of block/nbd/proto.h. */
#define NBD_SET_SOCK        _IO(0xab, 0)
#define NBD_SET_BLKSIZE     _IO(0xab, 1)
#define NBD_DO_IT           _IO(0xab, 3)
#define NBD_CLEAR_SOCK      _IO(0xab, 4)
#define NBD_CLEAR_QUE       _IO(0xab, 5)
#define NBD_SET_SIZE_BLOCKS _IO(0xab, 7)
#define NBD_DISCONNECT      _IO(0xab, 8)
#define NBD_SET_FLAGS       _IO(0xab, 10)

static int open_device(const char *device)
{
    int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        complain("Failed to open %s: %s%s", device, strerror(errno),
                 errno == ENOENT ? " (is the kernel's module nbd loaded?)" : "");
    return fd;
}

int serve_disconnect(const char *device)
{
    int fd = open_device(device);

    if (fd < 0)
        return 1;
    int ret = ioctl(fd, NBD_CLEAR_QUE) < 0 || ioctl(fd, NBD_DISCONNECT) < 0 ||
              ioctl(fd, NBD_CLEAR_SOCK) < 0;
    if (ret)
        complain("%s: cannot disconnect: %s", device, strerror(errno));
    else
        printf("%s disconnected\n", device);
    close(fd);
    return ret;
}

typedef struct Served {
    NbdServer *server;
    int fd;
} Served;

static void *serve_pair(void *opaque)
{
    Served *served = opaque;

    nbd_server_serve(served->server, served->fd);
    return NULL;
}

/* What the kernel must know before it starts. */
static int set_up(int device, int sock, const NbdExport *e)
{
    if (ioctl(device, NBD_SET_SOCK, (unsigned long)sock) < 0 ||
        ioctl(device, NBD_SET_BLKSIZE, (unsigned long)DEVICE_BLOCK) < 0 ||
        ioctl(device, NBD_SET_SIZE_BLOCKS, (unsigned long)(e->size / DEVICE_BLOCK)) < 0)
        return -errno;
    if (ioctl(device, NBD_SET_FLAGS, (unsigned long)e->flags) < 0 && errno != ENOTTY)
        return -errno;
    if (e->flags & NBD_FLAG_READ_ONLY) {
        int on = 1;

        ioctl(device, BLKROSET, &on); /* the flags say it, too */
    }
    return 0;
}

/* The client's half of the pair: negotiate, hand over, wait. */
static int connect_device(Serve *s, int device, int fd)
{
    NbdWant want = { .export = s->exports[0].name, .simple = true };
    NbdChannel *ch = nbd_channel_new(fd);
    NbdExport info;
    Error *err = NULL;

    if (!ch)
        return 1;
    nbd_channel_set_deadline(ch, NEGOTIATION_MS);
    int ret = nbd_handshake(ch, &want, &info, &err);
    if (ret < 0) {
        nbd_channel_free(ch);
        return fail(err, ret);
    }
    fd = nbd_channel_release(ch);
    if (info.size % DEVICE_BLOCK)
        complain("warning: the last %" PRIu64 " bytes are not a whole sector and are not shown",
                 info.size % DEVICE_BLOCK);
    ret = set_up(device, fd, &info);
    if (ret < 0)
        complain("%s: cannot set up the device: %s", s->connect, strerror(-ret));
    int code = ret < 0 ? 1 : serve_is_ready(s);
    if (code == 0 && ioctl(device, NBD_DO_IT) < 0 && errno != EPIPE) {
        complain("%s: %s", s->connect, strerror(errno));
        code = 1;
    }
    ioctl(device, NBD_CLEAR_QUE);
    ioctl(device, NBD_CLEAR_SOCK);
    close(fd);
    return code;
}

int serve_on_device(Serve *s)
{
    NbdServerOptions o = { .exports = s->exports, .n_exports = s->n_exports, .max_clients = 1 };
    int device = open_device(s->connect), pair[2] = { -1, -1 }, code = 1;
    pthread_t thread;

    if (device < 0)
        return 1;
    Served served = { .server = nbd_server_new(&o) };
    if (!served.server || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        complain("cannot make a pair of sockets: %s", strerror(errno));
    } else {
        served.fd = pair[0];
        if (pthread_create(&thread, NULL, serve_pair, &served) != 0) {
            complain("cannot start a thread");
        } else {
            code = connect_device(s, device, pair[1]);
            pthread_join(thread, NULL);
        }
    }
    nbd_server_free(served.server);
    close(device);
    return serve_flush(s) || code;
}
