/*
 * stream.c - bytes between a device and file descriptors, with flow control in both directions.
 *
 * The descriptors stay blocking (a terminal is shared with the shell that started us), so poll()
 * is asked before each write, and no write is longer than a pipe takes when it is writable.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "base/math.h"
#include "emulator/char/char.h"

enum { READ_CHUNK = 4096, WRITE_CHUNK = PIPE_BUF };

static bool fd_ready(int fd, short events)
{
    struct pollfd pfd = { .fd = fd, .events = events };

    return poll(&pfd, 1, 0) > 0;
}

static size_t stream_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    CharStream *s = (CharStream *)chr;
    size_t done = 0;

    if (s->out < 0)
        return len;
    while (done < len && fd_ready(s->out, POLLOUT)) {
        ssize_t n = write(s->out, buf + done, MIN(len - done, (size_t)WRITE_CHUNK));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? done : len; /* nobody will read it: do not stall the guest */
        done += n;
    }
    if (done < len)
        watch_events(&s->out_watch, POLLOUT);
    return done;
}

static void stream_readable(void *opaque, short revents);

/* Watch the descriptor while the device has room; a hang-up with bytes before it waits, too. */
static void stream_listen(CharStream *s)
{
    bool room = s->in >= 0 && chardev_can_receive(&s->be.chr) > 0;

    if (!room)
        watch_stop(&s->in_watch);
    else if (!s->in_watch.active)
        watch_start(&s->in_watch, s->in, POLLIN, stream_readable, s);
}

static void stream_readable(void *opaque, short revents)
{
    CharStream *s = opaque;
    uint8_t buf[READ_CHUNK];
    size_t room = MIN(chardev_can_receive(&s->be.chr), sizeof(buf));

    (void)revents;
    if (room == 0)
        return stream_listen(s);
    ssize_t n = read(s->in, buf, room);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        watch_stop(&s->in_watch);
        s->in = -1;
        if (s->hangup)
            s->hangup(s);
        return;
    }
    chardev_receive(&s->be.chr, buf, n);
    stream_listen(s);
}

static void stream_writable(void *opaque, short revents)
{
    CharStream *s = opaque;

    watch_events(&s->out_watch, 0);
    if (revents & (POLLERR | POLLHUP))
        watch_stop(&s->out_watch);
    chardev_writable(&s->be.chr);
}

static void stream_accept_input(Chardev *chr)
{
    stream_listen((CharStream *)chr);
}

static const ChardevBack stream_back = {
    .write = stream_write,
    .accept_input = stream_accept_input,
};

void char_stream_init(CharStream *s)
{
    s->be.chr.back = &stream_back;
    s->in = s->out = -1;
}

void char_stream_start(CharStream *s, int in, int out)
{
    s->in = in;
    s->out = out;
    if (in >= 0)
        watch_start(&s->in_watch, in, POLLIN, stream_readable, s);
    if (out >= 0)
        watch_start(&s->out_watch, out, 0, stream_writable, s);
    chardev_event(&s->be.chr, CHARDEV_OPENED);
}

void char_stream_stop(CharStream *s)
{
    watch_stop(&s->in_watch);
    watch_stop(&s->out_watch);
    s->in = s->out = -1;
}
