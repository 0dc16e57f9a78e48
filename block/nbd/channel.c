/*
 * channel.c - see channel.h.
 *
 * Plain sockets stay blocking, with the kernel's own timeouts: one system call a transfer. Under a
 * deadline or under TLS nothing blocks but poll(). OpenSSL's state is one for both directions, so
 * a mutex guards it; it is never held while waiting.
 */
#include "block/nbd/channel.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/nbd/tls.h"

enum { READ_AHEAD = 16 << 10, IOV_STEP = 64 };

struct NbdChannel {
    int fd;
    unsigned timeout_ms;
    _Atomic uint64_t deadline_ms; /* on the monotonic clock; 0: none */
    SSL *ssl;
    pthread_mutex_t ssl_lock;
    size_t head, tail; /* what was read ahead is [head, tail) of `ahead` */
    uint8_t ahead[READ_AHEAD];
};

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

NbdChannel *nbd_channel_new(int fd)
{
    NbdChannel *ch = malloc(sizeof(*ch));

    if (!ch) {
        close(fd);
        return NULL;
    }
    memset(ch, 0, offsetof(NbdChannel, ahead));
    ch->fd = fd;
    pthread_mutex_init(&ch->ssl_lock, NULL);
    return ch;
}

void nbd_channel_free(NbdChannel *ch)
{
    if (!ch)
        return;
    SSL_free(ch->ssl);
    pthread_mutex_destroy(&ch->ssl_lock);
    close(ch->fd);
    free(ch);
}

int nbd_channel_release(NbdChannel *ch)
{
    int fd = ch->fd;

    nbd_channel_set_timeout(ch, 0);
    pthread_mutex_destroy(&ch->ssl_lock);
    free(ch);
    return fd;
}

void nbd_channel_set_timeout(NbdChannel *ch, unsigned timeout_ms)
{
    struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

    ch->timeout_ms = timeout_ms;
    setsockopt(ch->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(ch->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

void nbd_channel_set_deadline(NbdChannel *ch, unsigned in_ms)
{
    ch->deadline_ms = in_ms ? now_ms() + in_ms : 0;
}

/* Wait until the socket can be read or written, as long as timeout and deadline allow. */
static int wait_for(NbdChannel *ch, short events)
{
    struct pollfd pfd = { .fd = ch->fd, .events = events };
    uint64_t start = now_ms(), deadline = ch->deadline_ms;
    uint64_t end = ch->timeout_ms ? start + ch->timeout_ms : UINT64_MAX;

    if (deadline)
        end = MIN(end, deadline);
    for (uint64_t now = start; now < end; now = now_ms()) {
        int n = poll(&pfd, 1, end == UINT64_MAX ? -1 : (int)MIN(end - now, (uint64_t)INT_MAX));

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
    return -ETIMEDOUT;
}

/* ---- one step: some bytes, or 0 at the end of the stream, or -errno ---- */

static bool waits_outside(const NbdChannel *ch)
{
    return ch->ssl || ch->deadline_ms;
}

/* What OpenSSL's answer means: 1 wait and again, 0 the end, -errno. */
static int tls_verdict(NbdChannel *ch, int n, short *events)
{
    switch (SSL_get_error(ch->ssl, n)) {
    case SSL_ERROR_WANT_READ: *events = POLLIN; return 1;
    case SSL_ERROR_WANT_WRITE: *events = POLLOUT; return 1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: return errno ? -errno : -ECONNRESET;
    default: return -EPROTO;
    }
}

typedef int TlsStep(SSL *ssl, void *buf, size_t len, size_t *done);

static int tls_read(SSL *ssl, void *buf, size_t len, size_t *done)
{
    return SSL_read_ex(ssl, buf, len, done);
}

static int tls_write(SSL *ssl, void *buf, size_t len, size_t *done)
{
    return SSL_write_ex(ssl, buf, len, done);
}

static ssize_t tls_step(NbdChannel *ch, TlsStep *step, void *buf, size_t len)
{
    for (;;) {
        short events = 0;
        size_t done = 0;

        pthread_mutex_lock(&ch->ssl_lock);
        ERR_clear_error();
        errno = 0;
        int n = step(ch->ssl, buf, len, &done);
        int ret = n > 0 ? 0 : tls_verdict(ch, n, &events);
        ERR_clear_error();
        pthread_mutex_unlock(&ch->ssl_lock);
        if (n > 0)
            return (ssize_t)done;
        if (ret == 1)
            ret = wait_for(ch, events);
        else if (ret == 0)
            return 0;
        if (ret < 0)
            return ret;
    }
}

typedef ssize_t Step(int fd, struct msghdr *msg, int flags);

static ssize_t recv_step(int fd, struct msghdr *msg, int flags)
{
    return recvmsg(fd, msg, flags);
}

static ssize_t send_step(int fd, struct msghdr *msg, int flags)
{
    return sendmsg(fd, msg, flags | MSG_NOSIGNAL);
}

static ssize_t plain_step(NbdChannel *ch, Step *step, struct iovec *iov, int iovcnt, int flags)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)MIN(iovcnt, IOV_MAX) };
    bool outside = waits_outside(ch);
    int ret = 0;

    while (ret == 0) {
        ssize_t n = step(ch->fd, &msg, outside ? flags | MSG_DONTWAIT : flags);

        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            ret = outside ? wait_for(ch, step == recv_step ? POLLIN : POLLOUT) : -ETIMEDOUT;
        else if (errno != EINTR)
            ret = errno == EPIPE ? -ECONNRESET : -errno;
    }
    return ret;
}

static ssize_t read_step(NbdChannel *ch, struct iovec *iov, int iovcnt, int flags)
{
    if (!ch->ssl)
        return plain_step(ch, recv_step, iov, iovcnt, flags);
    return tls_step(ch, tls_read, iov->iov_base, iov->iov_len);
}

static ssize_t write_step(NbdChannel *ch, struct iovec *iov, int iovcnt)
{
    if (!ch->ssl)
        return plain_step(ch, send_step, iov, iovcnt, 0);
    return tls_step(ch, tls_write, iov->iov_base, iov->iov_len);
}

/* ---- whole transfers ---- */

/* Drop the first `n` bytes of the list; the rest starts at *iov. */
static void iov_advance(struct iovec **iov, int *iovcnt, size_t n)
{
    while (*iovcnt && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*iovcnt)--;
    }
    if (*iovcnt && n) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

static size_t take_ahead(NbdChannel *ch, void *buf, size_t len)
{
    size_t n = MIN(len, ch->tail - ch->head);

    memcpy(buf, ch->ahead + ch->head, n);
    ch->head += n;
    return n;
}

static int ended(ssize_t n, bool started)
{
    return n < 0 ? (int)n : started ? -ECONNRESET : -ENODATA;
}

static int fill_ahead(NbdChannel *ch, bool started)
{
    struct iovec iov = { ch->ahead, sizeof(ch->ahead) };
    ssize_t n = read_step(ch, &iov, 1, 0);

    if (n <= 0)
        return ended(n, started);
    ch->head = 0;
    ch->tail = (size_t)n;
    return 0;
}

/* Small reads come out of the read-ahead; large ones go straight to where they belong. */
static int read_some(NbdChannel *ch, struct iovec *iov, int iovcnt)
{
    size_t left = iov_total(iov, iovcnt);
    bool started = false;

    iov_advance(&iov, &iovcnt, 0);
    while (left) {
        size_t n = take_ahead(ch, iov->iov_base, iov->iov_len);

        if (n == 0 && left < sizeof(ch->ahead)) {
            int ret = fill_ahead(ch, started);

            if (ret < 0)
                return ret;
            continue;
        }
        if (n == 0) {
            ssize_t got = read_step(ch, iov, iovcnt, MSG_WAITALL);

            if (got <= 0)
                return ended(got, started);
            n = (size_t)got;
        }
        started = true;
        left -= n;
        iov_advance(&iov, &iovcnt, n);
    }
    return 0;
}

int nbd_channel_readv(NbdChannel *ch, const struct iovec *iov, int iovcnt)
{
    struct iovec part[IOV_STEP];
    int ret = 0;

    while (iovcnt && ret == 0) {
        int n = MIN(iovcnt, IOV_STEP);

        memcpy(part, iov, (size_t)n * sizeof(*iov));
        ret = read_some(ch, part, n);
        iov += n;
        iovcnt -= n;
    }
    return ret;
}

int nbd_channel_read(NbdChannel *ch, void *buf, size_t len)
{
    struct iovec iov = { buf, len };

    return read_some(ch, &iov, 1);
}

int nbd_channel_skip(NbdChannel *ch, uint64_t len)
{
    uint8_t waste[READ_AHEAD];
    int ret = 0;

    for (; len && ret == 0; len -= MIN(len, sizeof(waste)))
        ret = nbd_channel_read(ch, waste, MIN(len, sizeof(waste)));
    return ret;
}

int nbd_channel_writev(NbdChannel *ch, struct iovec *iov, int iovcnt)
{
    iov_advance(&iov, &iovcnt, 0);
    while (iovcnt) {
        ssize_t n = write_step(ch, iov, iovcnt);

        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        iov_advance(&iov, &iovcnt, (size_t)n);
    }
    return 0;
}

int nbd_channel_write(NbdChannel *ch, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };

    return nbd_channel_writev(ch, &iov, 1);
}

void nbd_channel_shutdown_read(NbdChannel *ch)
{
    shutdown(ch->fd, SHUT_RD);
}

void nbd_channel_shutdown(NbdChannel *ch)
{
    shutdown(ch->fd, SHUT_RDWR);
}

/* ---- TLS ---- */

static int handshake(NbdChannel *ch, bool server, Error **err)
{
    for (;;) {
        short events = 0;

        ERR_clear_error();
        errno = 0;
        int n = server ? SSL_accept(ch->ssl) : SSL_connect(ch->ssl);
        if (n == 1)
            return 0;
        int ret = tls_verdict(ch, n, &events);
        if (ret <= 0) {
            ret = nbd_tls_explain(ch->ssl, ret, err);
            ERR_clear_error();
            return ret;
        }
        ret = wait_for(ch, events);
        if (ret < 0)
            return error_set(err, ret, "TLS handshake: %s", strerror(-ret));
    }
}

int nbd_channel_start_tls(NbdChannel *ch, const NbdTls *tls, const char *hostname, Error **err)
{
    if (ch->head != ch->tail) /* somebody in between could have put it there */
        return error_set(err, -EPROTO, "the other side sent plain text after asking for TLS");
    ch->ssl = nbd_tls_session(tls, ch->fd, hostname, err);
    if (!ch->ssl)
        return -EINVAL;
    return handshake(ch, nbd_tls_is_server(tls), err);
}

char *nbd_channel_peer_name(NbdChannel *ch)
{
    return ch->ssl ? nbd_tls_peer_name(ch->ssl) : NULL;
}

void nbd_channel_bye(NbdChannel *ch)
{
    if (ch->ssl) {
        pthread_mutex_lock(&ch->ssl_lock);
        SSL_shutdown(ch->ssl);
        ERR_clear_error();
        pthread_mutex_unlock(&ch->ssl_lock);
    }
    shutdown(ch->fd, SHUT_WR);
}
