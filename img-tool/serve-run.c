/*
 * serve-run.c - the life of a serving process: listening, going to the background, ending.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/math.h"
#include "img-tool/serve.h"

enum { FIRST_PASSED_FD = 3, MAX_PASSED = 16 };

/* ---- background ---- */

static int ready_fd = -1; /* the parent waits at the other end */

void serve_daemonize(Serve *s)
{
    int pipe_fds[2], status = 0;
    char ready;

    if (!s->fork && !s->connect)
        return;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        complain("cannot make a pipe: %s", strerror(errno));
        exit(1);
    }
    pid_t child = fork();
    if (child < 0) {
        complain("cannot fork: %s", strerror(errno));
        exit(1);
    }
    if (child > 0) {
        close(pipe_fds[1]);
        if (read(pipe_fds[0], &ready, 1) == 1)
            _exit(0);
        waitpid(child, &status, 0);
        _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
    }
    close(pipe_fds[0]);
    setsid();
    ready_fd = pipe_fds[1];
}

static int write_pid_file(const char *path)
{
    FILE *f = fopen(path, "we");

    if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fflush(f) != 0) {
        complain("cannot write the pid file '%s': %s", path, strerror(errno));
        if (f)
            fclose(f);
        return 1;
    }
    fclose(f);
    return 0;
}

int serve_is_ready(Serve *s)
{
    if (s->pid_file && write_pid_file(s->pid_file) != 0)
        return 1;
    if (ready_fd < 0)
        return 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || (!s->verbose && dup2(null, 2) < 0)) {
        complain("cannot open /dev/null: %s", strerror(errno));
        return 1;
    }
    close(null);
    if (chdir("/") < 0 ||
        write(ready_fd, "", 1) != 1) /* the parent was killed: serve all the same */
        errno = 0;
    close(ready_fd);
    ready_fd = -1;
    return 0;
}

/* ---- listening ---- */

/* Sockets that the service manager opened for us (sd_listen_fds(3)); 0: none. */
static size_t passed_sockets(int *fds)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    char *end;

    if (!pid || !count || strtoul(pid, &end, 10) != (unsigned long)getpid() || *end)
        return 0;
    unsigned long n = strtoul(count, &end, 10);
    if (*end || end == count)
        return 0;
    n = MIN(n, (unsigned long)MAX_PASSED);
    for (unsigned long i = 0; i < n; i++) {
        fds[i] = FIRST_PASSED_FD + (int)i;
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return n;
}

static int listen_somewhere(Serve *s, int *fds, size_t *n)
{
    Error *err = NULL;

    *n = passed_sockets(fds);
    if (*n && (s->port || s->bind || s->socket))
        return usage_error(s->cmd,
                           "-p, -b and -k make no sense with sockets from a service manager");
    if (*n) {
        s->socket = NULL;
        return 0;
    }
    *n = 1;
    int ret = nbd_listen(&s->address, fds, &err);
    return ret < 0 ? fail(err, ret) : 0;
}

static void announce(const Serve *s)
{
    for (size_t i = 0; i < s->n_exports && !s->as_nbd && !s->common.quiet; i++) {
        const NbdServedExport *e = &s->exports[i];
        AUTO_FREE char *uri = nbd_uri(&s->address, e->name, s->tls);

        printf("%s: %s%s\n", node_filename(e->node), uri ? uri : "?",
               e->writable ? "" : " (read-only)");
    }
    fflush(stdout);
}

/* SIGTERM, SIGINT and SIGHUP can be read here from now on; threads inherit that. */
static int stop_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int serve_run(Serve *s)
{
    NbdServerOptions o = {
        .exports = s->exports,
        .n_exports = s->n_exports,
        .tls = s->tls,
        .authz = s->tls_authz,
        .max_clients = (unsigned)s->shared,
        .until_idle = !s->persistent,
    };
    int stop = stop_signals(), fds[MAX_PASSED];
    NbdServer *server = nbd_server_new(&o);
    size_t n;

    if (stop < 0 || !server) {
        complain("cannot prepare to serve: %s", strerror(errno));
        return 1;
    }
    if (listen_somewhere(s, fds, &n) != 0)
        return 1;
    announce(s);
    int code = serve_is_ready(s), ret = code == 0 ? nbd_server_run(server, fds, n, stop) : 0;
    if (ret < 0)
        complain("cannot go on serving: %s", strerror(-ret));
    nbd_server_free(server);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    if (s->address.path)
        unlink(s->address.path);
    if (s->pid_file && code == 0)
        unlink(s->pid_file);
    return serve_flush(s) || code || ret < 0;
}
