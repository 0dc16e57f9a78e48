/*
 * common.c - see cmd.h: messages, common options, opening images, progress.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/object.h"

const char *program_name = "img-tool";

static void message(const char *fmt, va_list ap)
{
    fflush(stdout);
    fprintf(stderr, "%s: ", program_name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    message(fmt, ap);
    va_end(ap);
}

int fail(Error *err, int code)
{
    complain("%s", error_message(err, code));
    error_free(err);
    return 1;
}

int usage_error(const Command *cmd, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    message(fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try '%s %s --help' for more information\n", program_name, cmd->name);
    return 1;
}

static int output_option(Common *common, const Command *cmd, int *exit_code)
{
    if (strcmp(optarg, "json") == 0)
        common->json = true;
    else if (strcmp(optarg, "human") == 0)
        common->json = false;
    else {
        *exit_code = usage_error(cmd, "--output must be 'human' or 'json', not '%s'", optarg);
        return -1;
    }
    return 0;
}

static int object_option(int *exit_code)
{
    Error *err = NULL;
    int ret = object_add(optarg, &err);

    if (ret == 0)
        return 0;
    error_prefix(&err, ret, "--object");
    *exit_code = fail(err, ret);
    return -1;
}

int common_option(Common *common, const Command *cmd, int opt, int *exit_code)
{
    switch (opt) {
    case 'h':
        command_help(cmd, stdout);
        *exit_code = 0;
        return -1;
    case '?':
    case ':':
        fprintf(stderr, "Try '%s %s --help' for more information\n", program_name, cmd->name);
        *exit_code = 1;
        return -1;
    case 'f': common->format = optarg; return 0;
    case 't': common->cache = optarg; return 0;
    case 'T': common->src_cache = optarg; return 0;
    case 'U': common->force_share = true; return 0;
    case 'q': common->quiet = true; return 0;
    case 'p': common->progress = true; return 0;
    case OPT_IMAGE_OPTS: common->image_opts = true; return 0;
    case OPT_OUTPUT: return output_option(common, cmd, exit_code);
    case OPT_OBJECT: return object_option(exit_code);
    default: return 1;
    }
}

Node *open_image(const Common *common, const char *name, const char *format, const char *cache,
                 unsigned flags)
{
    AUTO_OPTIONS Options *options = NULL;
    Error *err = NULL;
    Node *node;
    int ret;

    if (cache && cache_mode_flags(cache, &flags) < 0) {
        complain("invalid cache mode '%s': none, writeback, writethrough, directsync or unsafe",
                 cache);
        return NULL;
    }
    if (common->force_share)
        flags |= OPEN_FORCE_SHARE;
    if (format && !driver_exists(format)) {
        complain("unknown image format '%s'", format);
        return NULL;
    }
    if (common->image_opts) {
        options = options_new();
        ret = options_parse(options, name, "file", &err);
        if (ret < 0) {
            fail(err, ret);
            return NULL;
        }
    }
    ret = node_open(common->image_opts ? NULL : name, format, take(&options), flags, &node, &err);
    if (ret < 0) {
        fail(err, ret);
        return NULL;
    }
    return node;
}

bool parse_size(const char *text, const char *what, uint64_t *out)
{
    Error *err = NULL;
    int ret = size_parse(text, 0, out, &err);

    if (ret < 0) {
        error_prefix(&err, ret, "invalid %s '%s'", what, text);
        fail(err, ret);
    }
    return ret == 0;
}

/* ---- progress ----------------------------------------------------------------------------------
 */

static Progress *shown;
static bool shown_on_stdout;
static int
    shown_percent100; /* what is on the screen, in hundredths of a percent; -1: nothing yet */
static volatile sig_atomic_t report_wanted;

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        report_wanted = 1;
    else if (shown)
        atomic_store(&shown->cancel, true);
}

static void progress_changed(Progress *p)
{
    double percent = progress_percent(p);
    int now = (int)(percent * 100);

    if (report_wanted) {
        report_wanted = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
    if (!shown_on_stdout || __atomic_load_n(&shown_percent100, __ATOMIC_RELAXED) / 10 == now / 10)
        return;
    __atomic_store_n(&shown_percent100, now, __ATOMIC_RELAXED);
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

/* What asks a program to end: the command then tidies up and fails. */
static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP };

void progress_show(Progress *p, bool show)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    p->changed = progress_changed;
    shown = p;
    shown_on_stdout = show;
    shown_percent100 = -100;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags |= SA_RESETHAND; /* a second one ends the program at once */
    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
        sigaction(end_signals[i], &action, NULL);
    if (show)
        progress_changed(p);
}

void progress_hide(Progress *p)
{
    shown = NULL;
    for (size_t i = 0; i < ARRAY_LEN(end_signals); i++)
        signal(end_signals[i], SIG_DFL);
    if (shown_on_stdout && !progress_cancelled(p))
        printf("    (%3.2f/100%%)\r\n", 100.0);
    else if (shown_on_stdout)
        putchar('\n');
}

/* ---- shared output ------------------------------------------------------------------------------
 */

void print_snapshot_table(const SnapshotInfo *list, size_t count)
{
    printf("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (size_t i = 0; i < count; i++) {
        const SnapshotInfo *s = &list[i];
        time_t when = s->date_sec;
        uint64_t sec = s->vm_clock_ns / 1000000000;
        char size[SIZE_TEXT], date[32], clock[48], icount[24] = "";
        struct tm tm;

        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", localtime_r(&when, &tm));
        snprintf(clock, sizeof(clock), "%02llu:%02llu:%02llu.%03llu",
                 (unsigned long long)sec / 3600, (unsigned long long)sec / 60 % 60,
                 (unsigned long long)sec % 60, (unsigned long long)s->vm_clock_ns / 1000000 % 1000);
        if (s->icount != UINT64_MAX)
            snprintf(icount, sizeof(icount), "%llu", (unsigned long long)s->icount);
        printf("%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size_format(s->vm_state_size, size),
               date, clock, icount);
    }
}
