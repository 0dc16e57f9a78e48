/*
 * socket.c - a character device over a Unix or TCP socket, as client or as server for one peer.
 *
 *   unix:PATH[,server[=on|off]][,nowait | ,wait=on|off]      tcp:[HOST]:PORT[,...]
 *
 * A server without `nowait` waits for its first peer before the machine starts. When a peer
 * leaves, the server listens for the next one.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/options.h"
#include "emulator/char/char.h"

typedef struct {
    char *path;        /* unix */
    char *host, *port; /* tcp */
    bool server, wait;
} SocketSpec;

typedef struct {
    CharStream s;
    int fd;     /* the peer, or -1 */
    int listen; /* or -1 */
    Watch listen_watch;
    char *unlink_path;
} CharSocket;

static void spec_free(SocketSpec *spec)
{
    free(spec->path);
    free(spec->host);
    free(spec->port);
}

/* "HOST:PORT", ":PORT" or "[::1]:PORT". */
static int parse_host_port(const char *text, SocketSpec *spec, Error **err)
{
    const char *colon = strrchr(text, ':');

    if (!colon || !colon[1])
        return error_set(err, -EINVAL, "'tcp:%s' has no port: write tcp:HOST:PORT", text);
    size_t len = colon - text;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    spec->host = len ? strndup(text, len) : NULL;
    spec->port = strdup(colon + 1);
    return 0;
}

static int parse_flags(Options *o, const char *text, SocketSpec *spec, Error **err)
{
    bool nowait = false, nodelay = false;
    int ret = options_take_bool(o, "server", &spec->server, err);

    spec->wait = spec->server;
    if (ret == 0)
        ret = options_take_bool(o, "nowait", &nowait, err);
    if (nowait)
        spec->wait = false;
    if (ret == 0)
        ret = options_take_bool(o, "wait", &spec->wait, err);
    if (ret == 0)
        ret = options_take_bool(o, "nodelay", &nodelay, err);
    if (ret == 0)
        ret = options_end(o, text, err);
    return ret;
}

static int spec_parse(const char *text, SocketSpec *spec, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();
    bool is_unix = strncmp(text, "unix:", 5) == 0;
    int ret = options_parse(o, strchr(text, ':') + 1, "address", err);
    AUTO_FREE char *address = ret == 0 ? options_take(o, "address") : NULL;

    *spec = (SocketSpec) { 0 };
    if (ret == 0 && (!address || !*address))
        ret = error_set(err, -EINVAL, "'%s' has no address", text);
    if (ret == 0 && is_unix)
        spec->path = take(&address);
    else if (ret == 0)
        ret = parse_host_port(address, spec, err);
    if (ret == 0)
        ret = parse_flags(o, text, spec, err);
    if (ret < 0)
        spec_free(spec);
    return ret;
}

int char_socket_check(const char *text, Error **err)
{
    SocketSpec spec;
    int ret = spec_parse(text, &spec, err);

    if (ret == 0)
        spec_free(&spec);
    return ret;
}

/* Bind and listen, or connect; returns the descriptor. */
static int use_address(int fd, const struct sockaddr *addr, socklen_t len, bool server)
{
    int on = 1;
    int ret;

    if (fd < 0)
        return -errno;
    if (server) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        ret = bind(fd, addr, len) == 0 && listen(fd, 1) == 0 ? 0 : -errno;
    } else {
        ret = connect(fd, addr, len) == 0 ? 0 : -errno;
    }
    if (ret < 0)
        close(fd);
    return ret < 0 ? ret : fd;
}

static int open_unix(const SocketSpec *spec, Error **err)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    if (strlen(spec->path) >= sizeof(addr.sun_path))
        return error_set(err, -ENAMETOOLONG, "the socket path '%s' is too long", spec->path);
    strcpy(addr.sun_path, spec->path);
    if (spec->server)
        unlink(spec->path);
    int fd = use_address(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&addr,
                         sizeof(addr), spec->server);
    if (fd < 0)
        return error_set(err, fd, "cannot %s '%s': %s", spec->server ? "listen on" : "connect to",
                         spec->path, strerror(-fd));
    return fd;
}

static int open_tcp(const SocketSpec *spec, Error **err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = spec->server ? AI_PASSIVE : 0 };
    struct addrinfo *list;
    int fd = -ENOENT;
    int gai = getaddrinfo(spec->host, spec->port, &hints, &list);

    if (gai != 0)
        return error_set(err, -ENOENT, "cannot resolve 'tcp:%s:%s': %s",
                         spec->host ? spec->host : "", spec->port, gai_strerror(gai));
    for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = use_address(socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol),
                         ai->ai_addr, ai->ai_addrlen, spec->server);
    freeaddrinfo(list);
    if (fd < 0)
        return error_set(err, fd, "cannot %s tcp:%s:%s: %s",
                         spec->server ? "listen on" : "connect to", spec->host ? spec->host : "",
                         spec->port, strerror(-fd));
    return fd;
}

static void socket_start(CharSocket *c, int fd)
{
    c->fd = fd;
    watch_stop(&c->listen_watch);
    char_stream_start(&c->s, fd, fd);
}

static void socket_incoming(void *opaque, short revents)
{
    CharSocket *c = opaque;
    int fd = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC);

    (void)revents;
    if (fd >= 0)
        socket_start(c, fd);
}

static void socket_hangup(CharStream *s)
{
    CharSocket *c = container_of(s, CharSocket, s);

    char_stream_stop(s);
    close(c->fd);
    c->fd = -1;
    chardev_event(&s->be.chr, CHARDEV_CLOSED);
    if (c->listen >= 0)
        watch_start(&c->listen_watch, c->listen, POLLIN, socket_incoming, c);
}

static void socket_close(CharBackend *be)
{
    CharSocket *c = container_of(be, CharSocket, s.be);

    char_stream_stop(&c->s);
    watch_stop(&c->listen_watch);
    if (c->fd >= 0)
        close(c->fd);
    if (c->listen >= 0)
        close(c->listen);
    if (c->unlink_path)
        unlink(c->unlink_path);
    free(c->unlink_path);
    free(c);
}

static int serve(CharSocket *c, int fd, SocketSpec *spec, Error **err)
{
    c->listen = fd;
    c->unlink_path = take(&spec->path);
    if (!spec->wait) {
        watch_start(&c->listen_watch, fd, POLLIN, socket_incoming, c);
        return 0;
    }
    fprintf(stderr, "emulator: waiting for a connection on %s%s\n",
            c->unlink_path ? c->unlink_path : "port ", c->unlink_path ? "" : spec->port);
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0)
        return error_set(err, -errno, "cannot accept a connection: %s", strerror(errno));
    socket_start(c, peer);
    return 0;
}

int char_socket_open(const char *text, CharBackend **out, Error **err)
{
    SocketSpec spec;
    int ret = spec_parse(text, &spec, err);

    if (ret < 0)
        return ret;
    CharSocket *c = calloc(1, sizeof(*c));
    int fd = spec.path ? open_unix(&spec, err) : open_tcp(&spec, err);
    if (fd < 0 || !c) {
        spec_free(&spec);
        free(c);
        return fd < 0 ? fd : -ENOMEM;
    }
    c->fd = c->listen = -1;
    char_stream_init(&c->s);
    c->s.be.close = socket_close;
    c->s.hangup = socket_hangup;
    if (spec.server)
        ret = serve(c, fd, &spec, err);
    else
        socket_start(c, fd);
    spec_free(&spec);
    if (ret < 0)
        socket_close(&c->s.be);
    else
        *out = &c->s.be;
    return ret;
}
