/*
 * pty.c - a new pseudo-terminal; its name is told on standard error.
 *
 * While nobody has the other side open, poll() reports a hang-up at once and for ever, so the
 * descriptor is looked at only a few times a second until somebody comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

#include "emulator/char/char.h"

enum { LOOK_AGAIN_MS = 250 };

typedef struct {
    CharStream s;
    int fd;
    int timer_fd;
    Watch timer;
} CharPty;

static void pty_look(void *opaque, short revents)
{
    CharPty *p = opaque;
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    uint64_t ticks;

    (void)revents;
    if (read(p->timer_fd, &ticks, sizeof(ticks)) < 0 || poll(&pfd, 1, 0) < 0)
        return;
    if (pfd.revents & POLLHUP)
        return;
    watch_stop(&p->timer);
    char_stream_start(&p->s, p->fd, p->fd);
}

static void pty_wait(CharPty *p)
{
    if (!p->timer.active)
        watch_start(&p->timer, p->timer_fd, POLLIN, pty_look, p);
}

static void pty_hangup(CharStream *s)
{
    CharPty *p = container_of(s, CharPty, s);

    char_stream_stop(s);
    chardev_event(&s->be.chr, CHARDEV_CLOSED);
    pty_wait(p);
}

static void pty_close(CharBackend *be)
{
    CharPty *p = container_of(be, CharPty, s.be);

    char_stream_stop(&p->s);
    watch_stop(&p->timer);
    if (p->timer_fd >= 0)
        close(p->timer_fd);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

/* A master whose other side passes all bytes as they are. */
static int open_master(char name[64])
{
    struct termios tio;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, 64) != 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return -saved;
    }
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave >= 0 && tcgetattr(slave, &tio) == 0) {
        cfmakeraw(&tio);
        tcsetattr(slave, TCSANOW, &tio);
    }
    if (slave >= 0)
        close(slave);
    return fd;
}

int char_pty_open(CharBackend **out, Error **err)
{
    struct itimerspec often = { { 0, LOOK_AGAIN_MS * 1000000 }, { 0, LOOK_AGAIN_MS * 1000000 } };
    CharPty *p = calloc(1, sizeof(*p));
    char name[64];

    if (!p)
        return error_set(err, -ENOMEM, "no memory for a character device");
    char_stream_init(&p->s);
    p->s.be.close = pty_close;
    p->s.hangup = pty_hangup;
    p->fd = open_master(name);
    p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (p->fd < 0 || p->timer_fd < 0 || timerfd_settime(p->timer_fd, 0, &often, NULL) < 0) {
        int ret = p->fd < 0 ? p->fd : -errno;
        pty_close(&p->s.be);
        return error_set(err, ret, "cannot make a pseudo-terminal: %s", strerror(-ret));
    }
    fprintf(stderr, "emulator: character device redirected to %s\n", name);
    pty_wait(p);
    *out = &p->s.be;
    return 0;
}
