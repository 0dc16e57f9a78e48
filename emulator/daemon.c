/*
 * daemon.c - see daemon.h.
 */
#include "emulator/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_fd = -1;

/* The parent's exit status is the child's, if that ends before it is ready. */
static NORETURN void wait_for_child(pid_t child, int fd)
{
    char byte;
    int status = 0;

    if (read(fd, &byte, 1) == 1)
        _exit(0);
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int daemon_start(Error **err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return error_set(err, -errno, "cannot fork: %s", strerror(errno));
    if (child > 0) {
        close(fds[1]);
        wait_for_child(child, fds[0]);
    }
    close(fds[0]);
    ready_fd = fds[1];
    setsid();
    return 0;
}

int daemon_ready(Error **err)
{
    if (ready_fd < 0)
        return 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return error_set(err, -errno, "cannot open /dev/null: %s", strerror(errno));
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    if (write(ready_fd, "", 1) != 1)
        return error_set(err, -EIO, "the parent process is gone");
    close(ready_fd);
    ready_fd = -1;
    return 0;
}

int pidfile_write(const char *path, Error **err)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return error_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
    fprintf(f, "%ld\n", (long)getpid());
    if (fclose(f) != 0)
        return error_set(err, -errno, "cannot write '%s': %s", path, strerror(errno));
    return 0;
}

void pidfile_remove(const char *path)
{
    unlink(path);
}
