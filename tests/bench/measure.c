/*
 * measure.c - run a command some times and print what one run cost: elapsed seconds, processor
 * seconds, peak memory in KiB (of the largest of its processes). usage: measure TIMES COMMAND...
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static int run_once(char **command)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
    int times = argc > 2 ? atoi(argv[1]) : 0;
    struct rusage use;
    double start = now();

    if (times < 1)
        return 2;
    for (int i = 0; i < times; i++)
        if (run_once(argv + 2) != 0)
            return 1;
    double elapsed = now() - start;
    getrusage(RUSAGE_CHILDREN, &use);
    printf("%.6f %.6f %ld\n", elapsed / times,
           (seconds(use.ru_utime) + seconds(use.ru_stime)) / times, use.ru_maxrss);
    return 0;
}
