/*
 * address.c - see address.h: connecting and listening.
 */
#include "block/nbd/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "block/nbd/proto.h"

enum { BACKLOG = 64, SOCKET_BUFFER = 2 << 20 };
/* A peer that is gone is noticed after a minute. */
enum { KEEP_IDLE_S = 30, KEEP_INTERVAL_S = 10, KEEP_PROBES = 3 };

/* A number, or the name of a service. */
#define PORT_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

void nbd_address_free(NbdAddress *a)
{
    free(a->path);
    free(a->host);
    free(a->port);
    *a = (NbdAddress) { 0 };
}

static char *take_either(Options *o, const char *key, const char *old)
{
    char *value = options_take(o, key);

    return value ? value : options_take(o, old);
}

int nbd_address_take(NbdAddress *a, Options *o, Error **err)
{
    AUTO_FREE char *type = options_take(o, "server.type");

    a->path = take_either(o, "server.path", "path");
    a->host = take_either(o, "server.host", "host");
    a->port = take_either(o, "server.port", "port");
    if (type && strcmp(type, "unix") != 0 && strcmp(type, "inet") != 0)
        return error_set(err, -EINVAL, "server.type is 'inet' or 'unix', not '%s'", type);
    if ((a->path && (a->host || a->port)) || (!a->path && !a->host))
        return error_set(err, -EINVAL,
                         "an NBD server is at either server.path or server.host (and server.port)");
    if (type && !strcmp(type, "unix") != !!a->path)
        return error_set(err, -EINVAL, "server.type=%s needs server.%s", type,
                         strcmp(type, "unix") == 0 ? "path" : "host");
    if (a->host && !a->port)
        a->port = strdup(NBD_PORT);
    if (a->host && (!*a->host || strpbrk(a->host, "/[]@?# ")))
        return error_set(err, -EINVAL, "'%s' is not the name or address of a host", a->host);
    if (a->port && strspn(a->port, PORT_CHARACTERS) != strlen(a->port))
        return error_set(err, -EINVAL, "'%s' is not a port", a->port);
    return 0;
}

/* ---- sockets ------------------------------------------------------------------------------- */

void nbd_socket_tune(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER }, /* unix; TCP sizes its own */
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S },
        { IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, (KEEP_IDLE_S + KEEP_INTERVAL_S * KEEP_PROBES) * 1000 },
    };
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    bool local = getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.ss_family == AF_UNIX;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (local == (i == 0))
            setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int unix_address(const char *path, struct sockaddr_un *sa, Error **err)
{
    *sa = (struct sockaddr_un) { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(sa->sun_path))
        return error_set(err, -ENAMETOOLONG, "the socket's name '%s' has more than %zu bytes", path,
                         sizeof(sa->sun_path) - 1);
    strcpy(sa->sun_path, path);
    return 0;
}

static int resolve(const NbdAddress *a, bool to_listen, struct addrinfo **list, Error **err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = to_listen ? AI_PASSIVE : AI_ADDRCONFIG };
    int code = getaddrinfo(*a->host ? a->host : NULL, a->port, &hints, list);

    if (code == EAI_NONAME && !to_listen) { /* 127.0.0.1 on a host without other addresses */
        hints.ai_flags = 0;
        code = getaddrinfo(*a->host ? a->host : NULL, a->port, &hints, list);
    }
    if (code == 0)
        return 0;
    return error_set(err, -EHOSTUNREACH, "%s:%s: %s", a->host, a->port, gai_strerror(code));
}

/* A connect that ends in time; the socket is blocking again afterwards. */
static int connect_in_time(int fd, const struct sockaddr *sa, socklen_t len, unsigned timeout_ms)
{
    struct pollfd pfd = { .fd = fd, .events = POLLOUT };
    int code = 0, n;
    socklen_t size = sizeof(code);

    if (connect(fd, sa, len) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    while ((n = poll(&pfd, 1, (int)timeout_ms)) < 0 && errno == EINTR)
        ;
    if (n <= 0)
        return n < 0 ? -errno : -ETIMEDOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
        return -errno;
    return -code;
}

static int connect_one(const struct sockaddr *sa, socklen_t len, unsigned timeout_ms, int *out)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    int ret = connect_in_time(fd, sa, len, timeout_ms), off = 0;
    if (ret == 0 && ioctl(fd, FIONBIO, &off) < 0)
        ret = -errno;
    if (ret < 0) {
        close(fd);
        return ret;
    }
    nbd_socket_tune(fd);
    *out = fd;
    return 0;
}

int nbd_connect(const NbdAddress *a, unsigned timeout_ms, int *fd, Error **err)
{
    struct sockaddr_un sa;
    struct addrinfo *list;
    int ret;

    if (a->path) {
        ret = unix_address(a->path, &sa, err);
        if (ret < 0)
            return ret;
        ret = connect_one((struct sockaddr *)&sa, sizeof(sa), timeout_ms, fd);
        return ret < 0 ? error_set(err, ret, "cannot connect to the socket '%s': %s", a->path,
                                   strerror(-ret))
                       : 0;
    }
    ret = resolve(a, false, &list, err);
    if (ret < 0)
        return ret;
    ret = -EHOSTUNREACH;
    for (struct addrinfo *ai = list; ai && ret < 0; ai = ai->ai_next)
        ret = connect_one(ai->ai_addr, ai->ai_addrlen, timeout_ms, fd);
    freeaddrinfo(list);
    return ret < 0 ? error_set(err, ret, "cannot connect to %s:%s: %s", a->host, a->port,
                               strerror(-ret))
                   : 0;
}

/* ---- listening ----------------------------------------------------------------------------- */

/* A socket that a server left behind: nobody answers there. */
static bool is_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    int fd;

    if (stat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int ret = connect_one((const struct sockaddr *)sa, sizeof(*sa), 1000, &fd);
    if (ret == 0)
        close(fd);
    return ret == -ECONNREFUSED;
}

static int bind_and_listen(const struct sockaddr *sa, socklen_t len, int *out)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -errno;
    if (sa->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, sa, len) < 0 || listen(fd, BACKLOG) < 0) {
        int ret = -errno;

        close(fd);
        return ret;
    }
    *out = fd;
    return 0;
}

static int listen_unix(const char *path, int *fd, Error **err)
{
    struct sockaddr_un sa;
    int ret = unix_address(path, &sa, err);

    if (ret < 0)
        return ret;
    if (is_stale(&sa))
        unlink(path);
    ret = bind_and_listen((struct sockaddr *)&sa, sizeof(sa), fd);
    return ret < 0
               ? error_set(err, ret, "cannot listen at the socket '%s': %s", path, strerror(-ret))
               : 0;
}

int nbd_listen(const NbdAddress *a, int *fd, Error **err)
{
    struct addrinfo *list;
    int ret;

    if (a->path)
        return listen_unix(a->path, fd, err);
    ret = resolve(a, true, &list, err);
    if (ret < 0)
        return ret;
    ret = -EADDRNOTAVAIL;
    for (struct addrinfo *ai = list; ai && ret < 0; ai = ai->ai_next)
        ret = bind_and_listen(ai->ai_addr, ai->ai_addrlen, fd);
    freeaddrinfo(list);
    return ret < 0
               ? error_set(err, ret, "cannot listen at %s:%s: %s", a->host, a->port, strerror(-ret))
               : 0;
}
