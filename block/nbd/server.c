/*
 * server.c - see server.h: accepting connections, their threads, and the end.
 */
#include "block/nbd/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/math.h"
#include "block/nbd/address.h"
#include "block/nbd/session.h"

enum { MAX_CLIENTS = 256, MAX_LISTENERS = 16, NEGOTIATION_MS = 30000 };
/* At the end, clients get this long to take their last answers. */
enum { GRACE_MS = 10000, ACCEPT_PAUSE_MS = 200 };

typedef struct Client {
    NbdServer *server;
    int fd;
    NbdChannel *ch;
    struct Client *prev, *next;
} Client;

struct NbdServer {
    const NbdServerOptions *o;
    int changed_fd;       /* an eventfd: a client has gone */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t gone;
    Client *clients;
    unsigned n_clients;
    bool was_used, ending;
};

NbdServer *nbd_server_new(const NbdServerOptions *options)
{
    NbdServer *s = calloc(1, sizeof(*s));
    pthread_condattr_t clock;

    if (!s)
        return NULL;
    s->o = options;
    s->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&s->gone, &clock);
    pthread_condattr_destroy(&clock);
    return s;
}

void nbd_server_free(NbdServer *s)
{
    if (!s)
        return;
    close(s->changed_fd);
    pthread_cond_destroy(&s->gone);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- one client ---------------------------------------------------------------------------- */

static void run_session(NbdServer *s, NbdChannel *ch)
{
    NbdSession session = { .o = s->o, .ch = ch };

    pthread_mutex_init(&session.receive_lock, NULL);
    pthread_mutex_init(&session.send_lock, NULL);
    pthread_mutex_init(&session.lock, NULL);
    pthread_cond_init(&session.ended, NULL);
    nbd_channel_set_deadline(ch, NEGOTIATION_MS);
    if (nbd_session_negotiate(&session) == 0) {
        nbd_channel_set_deadline(ch, 0);
        pthread_mutex_lock(&s->lock);
        s->was_used = true;
        pthread_mutex_unlock(&s->lock);
        nbd_session_requests(&session);
        nbd_channel_set_deadline(ch, 1000);
        nbd_channel_bye(ch);
    }
    free(session.contexts);
    pthread_cond_destroy(&session.ended);
    pthread_mutex_destroy(&session.lock);
    pthread_mutex_destroy(&session.send_lock);
    pthread_mutex_destroy(&session.receive_lock);
}

static void serve(Client *c)
{
    NbdServer *s = c->server;
    NbdChannel *ch = nbd_channel_new(c->fd);

    if (!ch)
        return;
    nbd_socket_tune(c->fd);
    pthread_mutex_lock(&s->lock);
    c->ch = ch;
    bool ending = s->ending;
    pthread_mutex_unlock(&s->lock);
    if (!ending)
        run_session(s, ch);
    pthread_mutex_lock(&s->lock);
    c->ch = NULL;
    pthread_mutex_unlock(&s->lock);
    nbd_channel_free(ch);
}

static void join_clients(NbdServer *s, Client *c)
{
    pthread_mutex_lock(&s->lock);
    c->server = s;
    c->prev = NULL;
    c->next = s->clients;
    if (s->clients)
        s->clients->prev = c;
    s->clients = c;
    s->n_clients++;
    pthread_mutex_unlock(&s->lock);
}

static void leave_clients(NbdServer *s, Client *c)
{
    uint64_t one = 1;

    pthread_mutex_lock(&s->lock);
    *(c->prev ? &c->prev->next : &s->clients) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_clients--;
    if (write(s->changed_fd, &one, sizeof(one)) < 0) /* only if it is readable anyway */
        errno = 0;
    pthread_cond_broadcast(&s->gone); /* the last touch: the server may be freed after this */
    pthread_mutex_unlock(&s->lock);
}

void nbd_server_serve(NbdServer *s, int fd)
{
    Client c = { .fd = fd };

    join_clients(s, &c);
    serve(&c);
    leave_clients(s, &c);
}

static void *client_thread(void *opaque)
{
    Client *c = opaque;
    NbdServer *s = c->server;

    serve(c);
    leave_clients(s, c);
    free(c);
    return NULL;
}

static void start_client(NbdServer *s, int fd)
{
    Client *c = calloc(1, sizeof(*c));
    pthread_t id;

    if (!c) {
        close(fd);
        return;
    }
    c->fd = fd;
    join_clients(s, c);
    if (pthread_create(&id, NULL, client_thread, c) == 0) {
        pthread_detach(id);
        return;
    }
    log_warning("a client is turned away: no thread for it");
    leave_clients(s, c);
    close(fd);
    free(c);
}

/* ---- all of them --------------------------------------------------------------------------- */

static void accept_from(NbdServer *s, int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0) {
        log_info("a client connects");
        start_client(s, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        poll(NULL, 0, ACCEPT_PAUSE_MS); /* it stays in the queue: do not spin */
    }
}

static bool is_over(NbdServer *s, bool *room)
{
    unsigned limit = s->o->max_clients ? s->o->max_clients : MAX_CLIENTS;

    pthread_mutex_lock(&s->lock);
    bool over = s->o->until_idle && s->was_used && s->n_clients == 0;
    *room = s->n_clients < limit;
    pthread_mutex_unlock(&s->lock);
    return over;
}

/* Wait, with the lock held, until nobody is left or the time is up. */
static void await_clients(NbdServer *s, unsigned ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    while (s->n_clients && pthread_cond_timedwait(&s->gone, &s->lock, &end) == 0)
        ;
}

static void end_clients(NbdServer *s)
{
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    for (Client *c = s->clients; c; c = c->next)
        if (c->ch)
            nbd_channel_shutdown_read(c->ch);
    await_clients(s, GRACE_MS);
    for (Client *c = s->clients; c; c = c->next)
        if (c->ch)
            nbd_channel_shutdown(c->ch);
    while (s->n_clients) /* what they wait for now is the disk */
        pthread_cond_wait(&s->gone, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

int nbd_server_run(NbdServer *s, const int *listen_fds, size_t n, int stop_fd)
{
    struct pollfd fds[MAX_LISTENERS + 2] = { { .fd = stop_fd, .events = POLLIN },
                                             { .fd = s->changed_fd, .events = POLLIN } };
    uint64_t count;
    bool room;
    int ret = 0;

    n = MIN(n, (size_t)MAX_LISTENERS);
    for (size_t i = 0; i < n; i++)
        fds[i + 2] = (struct pollfd) { .fd = listen_fds[i], .events = POLLIN };
    while (ret == 0 && !is_over(s, &room)) {
        int ready = poll(fds, room ? n + 2 : 2, -1);

        if (ready < 0 && errno != EINTR)
            ret = -errno;
        if (ready <= 0)
            continue;
        if (fds[0].revents)
            break;
        if (fds[1].revents && read(s->changed_fd, &count, sizeof(count)) < 0)
            continue;
        for (size_t i = 0; room && i < n; i++)
            if (fds[i + 2].revents)
                accept_from(s, listen_fds[i]);
    }
    end_clients(s);
    return ret;
}
