/*
 * progress.c - see cmd.h: how far a long operation is.
 *
 * A terminal gets a bar. Anything else gets the percentage that other tools of this field print,
 * with a carriage return after each, because programs look for it. `--progress=json` writes one
 * object a line to a descriptor of the caller's choice instead. SIGUSR1 asks for one percentage on
 * stderr, whatever else is shown; SIGINT, SIGTERM and SIGHUP cancel.
 *
 * The worker that makes a step shows it; one that finds another one at it goes on with its work.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/math.h"

typedef enum { SHOW_NOTHING, SHOW_PERCENT, SHOW_BAR, SHOW_JSON } Show;

enum { LINE_ROOM = 320, BAR_MAX = 40, BAR_TEXT = 62, DEFAULT_COLUMNS = 80 };

static const double BAR_PERIOD = 0.1, JSON_PERIOD = 0.25, RATE_PERIOD = 1.0;

static struct {
    Progress *p; /* NULL: nothing is going on */
    Show show;
    double start, shown_at; /* seconds */
    double rate_at;         /* when the rate was last measured ... */
    uint64_t rate_done;     /* ... and how far it was then */
    double rate;            /* bytes a second; 0: not known yet */
    int percent10;          /* what is on the screen, in tenths of a percent */
    pthread_mutex_t lock;
} display = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int json_fd = -1; /* where --progress=json goes; -1: not asked for */
static volatile sig_atomic_t report_wanted;

/* ---- numbers ---- */

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The rate of the last seconds, so that it follows a source that becomes slow. */
static void measure_rate(double t, uint64_t done)
{
    bool first = display.rate_at == display.start;
    double passed = t - display.rate_at;

    if (!first && passed < RATE_PERIOD)
        return;
    double latest = passed > 0 ? (double)(done - MIN(done, display.rate_done)) / passed : 0;

    display.rate = first ? latest : 0.6 * display.rate + 0.4 * latest;
    if (passed < RATE_PERIOD)
        return;
    display.rate_at = t;
    display.rate_done = done;
}

/* Seconds that are left; -1: nobody knows. */
static double time_left(Progress *p)
{
    uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);

    if (done >= total)
        return 0;
    return display.rate > 0 ? (double)(total - done) / display.rate : -1;
}

/* ---- JSON lines ---- */

/* A reader that has gone is no reason to stop the work: it is just not written to any more. */
static void json_write(const char *line, size_t len)
{
    if (fd_write_all(json_fd, line, len) < 0)
        display.show = SHOW_NOTHING;
}

static void json_line(Progress *p, const char *phase, double t)
{
    double left = time_left(p);
    char line[LINE_ROOM], eta[32] = "null";

    if (left >= 0)
        snprintf(eta, sizeof(eta), "%.1f", left);
    int n = snprintf(line, sizeof(line),
                     "{\"phase\": \"%s\", \"bytes\": %llu, \"total\": %llu, \"percent\": %.2f, "
                     "\"rate\": %.0f, \"elapsed\": %.2f, \"eta\": %s}\n",
                     phase, (unsigned long long)atomic_load(&p->done),
                     (unsigned long long)atomic_load(&p->total), progress_percent(p), display.rate,
                     t - display.start, eta);
    json_write(line, (size_t)n);
}

/* ---- the bar ---- */

static int columns(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col
                                                                       : DEFAULT_COLUMNS;
}

static void format_time(double left, char *text, size_t room)
{
    unsigned long s = left < 360000 ? (unsigned long)ceil(left) : 360000;

    if (left < 0)
        snprintf(text, room, "--:--");
    else if (s >= 3600)
        snprintf(text, room, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, room, "%lu:%02lu", s / 60, s % 60);
}

static void draw_bar(double percent, int width)
{
    int full = (int)(percent / 100 * width);

    if (width < 4)
        return;
    fputs(" [", stdout);
    for (int i = 0; i < width; i++)
        putchar(i < full ? '=' : i == full ? '>' : ' ');
    putchar(']');
}

/* It starts with the percentage in its usual form, for who reads it through a terminal. */
static void bar_line(Progress *p)
{
    char done[SIZE_TEXT], total[SIZE_TEXT], rate[SIZE_TEXT], left[24];

    format_time(time_left(p), left, sizeof(left));
    printf("    (%3.2f/100%%)", progress_percent(p));
    draw_bar(progress_percent(p), MIN(columns() - BAR_TEXT, BAR_MAX));
    printf(" %s / %s  %s/s  %s\033[K\r", size_format(atomic_load(&p->done), done),
           size_format(atomic_load(&p->total), total), size_format((uint64_t)display.rate, rate),
           left);
    fflush(stdout);
}

static void percent_line(Progress *p)
{
    double percent = progress_percent(p);
    int shown = (int)(percent * 10);

    if (shown == display.percent10)
        return;
    display.percent10 = shown;
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

/* ---- steps ---- */

static void show_step(Progress *p)
{
    double t = now();
    const char *phase = atomic_load(&p->phase);

    measure_rate(t, atomic_load(&p->done));
    if (display.show == SHOW_PERCENT) {
        percent_line(p);
    } else if (t - display.shown_at >= (display.show == SHOW_JSON ? JSON_PERIOD : BAR_PERIOD)) {
        display.shown_at = t;
        if (display.show == SHOW_JSON)
            json_line(p, phase ? phase : "run", t);
        else
            bar_line(p);
    }
}

static void progress_changed(Progress *p)
{
    if (report_wanted) {
        report_wanted = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", progress_percent(p));
    }
    if (display.show == SHOW_NOTHING || pthread_mutex_trylock(&display.lock) != 0)
        return;
    if (display.show != SHOW_NOTHING)
        show_step(p);
    pthread_mutex_unlock(&display.lock);
}

static void on_signal(int sig)
{
    Progress *p = display.p;

    if (sig == SIGUSR1)
        report_wanted = 1;
    else if (p)
        atomic_store(&p->cancel, true);
}

/* What asks a program to end: the command then tidies up and fails. */
static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

void progress_show(Progress *p, bool show)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    display.p = p;
    display.show = json_fd >= 0            ? SHOW_JSON
                   : !show                 ? SHOW_NOTHING
                   : isatty(STDOUT_FILENO) ? SHOW_BAR
                                           : SHOW_PERCENT;
    display.start = display.rate_at = now();
    display.shown_at = 0;
    display.rate = 0;
    display.rate_done = atomic_load(&p->done);
    display.percent10 = -1;
    p->changed = progress_changed;
    if (display.show == SHOW_JSON)
        signal(SIGPIPE, SIG_IGN);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags |= SA_RESETHAND; /* a second one ends the program at once */
    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
        sigaction(end_signals[i], &action, NULL);
    progress_changed(p);
}

void progress_hide(Progress *p)
{
    bool failed = progress_cancelled(p);

    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
        signal(end_signals[i], SIG_DFL);
    display.p = NULL;
    if (display.show == SHOW_JSON)
        json_line(p, failed ? "failed" : "done", now());
    else if (display.show != SHOW_NOTHING && failed)
        putchar('\n');
    else if (display.show != SHOW_NOTHING)
        printf("    (%3.2f/100%%)%s\r\n", 100.0, display.show == SHOW_BAR ? "\033[K" : "");
    fflush(stdout);
}

/* ---- the option ---- */

static int json_option(const char *text)
{
    int fd = STDERR_FILENO;

    if (strncmp(text, ",fd=", 4) == 0) {
        char *end;

        errno = 0;
        long n = strtol(text + 4, &end, 10);
        if (errno || *end || end == text + 4 || n < 0 || n > INT_MAX || fcntl((int)n, F_GETFD) < 0)
            return -EBADF;
        fd = (int)n;
    } else if (*text) {
        return -EINVAL;
    }
    json_fd = fd;
    return 0;
}

int progress_option(const char *text)
{
    return strncmp(text, "json", 4) == 0 ? json_option(text + 4) : -EINVAL;
}
