/*
 * inspect_confine.c - what a confined process can and cannot do: read its file and use threads, and
 * nothing else. What the kernel does not offer is not asked for.
 */
#include "img-tool/inspect.h" /* before cmocka, which has a macro of the name of a function */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

static char path[] = "/tmp/inspect_confine.XXXXXX";

static bool has(const json_t *done, const char *what)
{
    size_t i;
    json_t *one;

    json_array_foreach(done, i, one) if (strcmp(json_string_value(one), what) == 0) return true;
    return false;
}

static void *nothing(void *opaque)
{
    return opaque;
}

/* The first thing that is not as it should be, 0: all is well. */
static int try_all(const json_t *done)
{
    pthread_t thread;
    char byte;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || read(fd, &byte, 1) != 1 || byte != 'x')
        return 1;
    if (!has(done, "rlimits"))
        return 2;
    if (has(done, "landlock") && (open("/etc/passwd", O_RDONLY) >= 0 || open(path, O_RDWR) >= 0))
        return 3;
    if (!has(done, "seccomp"))
        return 0;
    if (fork() >= 0)
        return 4;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || socket(AF_INET, SOCK_STREAM, 0) >= 0)
        return 5;
    if (unlink(path) == 0 || kill(getppid(), 0) == 0)
        return 6;
    if (execl("/bin/true", "true", NULL) == 0 || errno != EPERM)
        return 7;
    return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL) ? 8 : 0;
}

static int in_child(int (*run)(const json_t *done), const InspectLimits *limits)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        json_t *done = json_array();

        _exit(inspect_confine(path, limits, done) < 0 ? 100 : run(done));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static const InspectLimits limits = { 1, UINT64_C(512) << 20, INT64_MAX, INT64_MAX };

static void only_its_file(void **state)
{
    (void)state;
    int status = in_child(try_all, &limits);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int spin(const json_t *done)
{
    (void)done;
    for (volatile unsigned i = 0; i < UINT_MAX; i++)
        i = 0;
    return 0;
}

static void time_is_bounded(void **state)
{
    (void)state;
    int status = in_child(spin, &limits);
    assert_true(WIFSIGNALED(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_its_file),
                                        cmocka_unit_test(time_is_bounded) };
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, "x", 1) != 1)
        return 1;
    close(fd);
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return ret;
}
