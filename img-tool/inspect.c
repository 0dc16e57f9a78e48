/*
 * inspect.c - img-tool inspect: a verdict, as JSON, about an image from strangers.
 *
 * A child process is confined, looks at the image and writes its report as a line into a pipe: one
 * after opening it, one more after walking its tables. The last whole line counts, so a child that
 * runs into its limits has said what it saw until then; that it did not end is a reason, too.
 */
#include "img-tool/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/math.h"

enum { REPORT_MAX = 4 << 20, MAX_TIMEOUT_S = 3600, EXIT_SUSPICIOUS = 2, EXIT_REFUSE = 3 };

/* ---- reports ----------------------------------------------------------------------------------
 */

static const char *const verdict_names[] = { "ok", "suspicious", "refuse" };

void report_init(Report *r, const char *filename)
{
    json_t *name = json_string(filename);

    *r = (Report) { .json = json_object(), .reasons = json_array() };
    json_object_set_new(r->json, "filename", name ? name : json_string("(not UTF-8)"));
}

void report_free(Report *r)
{
    json_decref(r->json);
    json_decref(r->reasons);
}

void report_reason(Report *r, Verdict verdict, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    json_t *reason = json_string(text);
    json_array_append_new(r->reasons, reason ? reason : json_string("(a text that is no UTF-8)"));
    r->verdict = MAX(r->verdict, verdict);
}

char *report_text(Report *r)
{
    json_object_del(r->json, "verdict"); /* these two come last */
    json_object_del(r->json, "reasons");
    json_object_set_new(r->json, "verdict", json_string(verdict_names[r->verdict]));
    json_object_set(r->json, "reasons", r->reasons);
    return json_dumps(r->json, JSON_COMPACT);
}

/* ---- the child --------------------------------------------------------------------------------
 */

static void send_report(int fd, Report *r)
{
    char *text = report_text(r);
    size_t len = text ? strlen(text) : 0;

    if (!text)
        return;
    text[len++] = '\n';          /* a line that is cut short does not count */
    fd_write_all(fd, text, len); /* a parent that has gone reads nothing */
    free(text);
}

static void child(const char *filename, const char *format, const InspectLimits *limits, int fd)
{
    json_t *confined = json_array();
    Node *node = NULL;
    Report r;

    report_init(&r, filename);
    int ret = inspect_confine(filename, limits, confined);
    json_object_set_new(r.json, "confined", confined);
    if (ret < 0)
        report_reason(&r, VERDICT_REFUSE, "cannot set limits: %s", strerror(-ret));
    else
        ret = inspect_open(filename, format, limits, &r, &node);
    send_report(fd, &r);
    if (ret == 0 && r.verdict != VERDICT_REFUSE) {
        inspect_tables(node, &r);
        send_report(fd, &r);
    }
    _exit(0);
}

/* ---- the parent -------------------------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All that the child writes until it ends or the time is over (false). */
static bool collect(int fd, uint64_t timeout_s, char *text, size_t room)
{
    int64_t until = now_ms() + (int64_t)timeout_s * 1000, left;
    size_t len = 0;

    while ((left = until - now_ms()) > 0) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (poll(&p, 1, (int)left) <= 0)
            continue;
        ssize_t n = read(fd, text + len, room - 1 - len);
        if (n <= 0)
            return true;
        len += (size_t)n;
        if (len == room - 1)
            return false;
    }
    return false;
}

/* The last whole line, as an object; NULL: there is none. */
static json_t *last_report(char *text)
{
    json_t *last = NULL;

    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        json_t *one = json_loads(text, 0, NULL);

        if (one) {
            json_decref(last);
            last = one;
        }
    }
    return last;
}

static Verdict verdict_of(const json_t *report)
{
    const char *name = json_string_value(json_object_get(report, "verdict"));

    for (int i = VERDICT_OK; i < VERDICT_REFUSE; i++)
        if (name && strcmp(name, verdict_names[i]) == 0)
            return (Verdict)i;
    return VERDICT_REFUSE;
}

static void print_report(const json_t *report)
{
    JsonWriter w;

    jw_init(&w, stdout, 4);
    jw_value(&w, report);
    putchar('\n');
}

/* What the child left unsaid because it did not end as it should. */
static void add_end(Report *r, bool in_time, int status)
{
    if (!in_time)
        report_reason(r, VERDICT_REFUSE, "the inspection did not end in time");
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        report_reason(r, VERDICT_REFUSE, "the inspection took too much time");
    else if (WIFSIGNALED(status))
        report_reason(r, VERDICT_REFUSE, "the inspection crashed (signal %d)", WTERMSIG(status));
    else if (status != 0)
        report_reason(r, VERDICT_REFUSE, "the inspection failed (exit code %d)",
                      WEXITSTATUS(status));
}

static int conclude(const char *filename, char *text, bool in_time, int status)
{
    static const int codes[] = { 0, EXIT_SUSPICIOUS, EXIT_REFUSE };
    json_t *said = last_report(text);
    Report r;

    report_init(&r, filename);
    if (said) {
        json_decref(r.json);
        json_decref(r.reasons);
        json_t *reasons = json_object_get(said, "reasons");
        r = (Report) { .json = said,
                       .reasons = json_is_array(reasons) ? json_incref(reasons) : json_array(),
                       .verdict = verdict_of(said) };
    }
    add_end(&r, in_time, status);
    if (!said && json_array_size(r.reasons) == 0)
        report_reason(&r, VERDICT_REFUSE, "the inspection said nothing");
    free(report_text(&r)); /* sets verdict and reasons */
    print_report(r.json);
    int code = codes[r.verdict];
    report_free(&r);
    return code;
}

static int inspect(const char *filename, const char *format, const InspectLimits *limits)
{
    AUTO_FREE char *text = calloc(1, REPORT_MAX);
    int fds[2], status = 0;

    if (!text || pipe2(fds, O_CLOEXEC) < 0)
        return fail(NULL, text ? -errno : -ENOMEM);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        child(filename, format, limits, fds[1]);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        complain("cannot start a process: %s", strerror(errno));
        return 1;
    }
    bool in_time = collect(fds[0], limits->timeout_s, text, REPORT_MAX);
    if (!in_time)
        kill(pid, SIGKILL);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return conclude(filename, text, in_time, status);
}

/* A fifo would make us wait, and a folder is no image: said here, where errors are sentences. */
static int check_file(const char *filename)
{
    struct stat st;

    if (stat(filename, &st) < 0 || access(filename, R_OK) < 0) {
        complain("%s: %s", filename, strerror(errno));
        return 1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        complain("%s: is neither a regular file nor a block device", filename);
        return 1;
    }
    return 0;
}

enum { OPT_UNTRUSTED = OPT_COMMAND, OPT_TIMEOUT, OPT_MEMORY, OPT_MAX_SIZE, OPT_MAX_RATIO };

static int number(const char *what, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v;

    if (!parse_size(optarg, what, &v))
        return -1;
    if (v < min || v > max) {
        complain("%s is %" PRIu64 "..%" PRIu64 ", not %s", what, min, max, optarg);
        return -1;
    }
    *out = v;
    return 0;
}

/* 0: done, 1: not one of these, -1: after a message */
static int limit_option(int opt, InspectLimits *l)
{
    switch (opt) {
    case OPT_UNTRUSTED: return 0;
    case OPT_TIMEOUT: return number("the timeout", 1, MAX_TIMEOUT_S, &l->timeout_s);
    case OPT_MEMORY: return number("the memory", 64 << 20, INT64_MAX, &l->memory);
    case OPT_MAX_SIZE: return number("the largest size", 0, INT64_MAX, &l->max_size);
    case OPT_MAX_RATIO: return number("the largest ratio", 1, INT64_MAX, &l->max_ratio);
    default: return 1;
    }
}

int cmd_inspect(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "untrusted", no_argument, NULL, OPT_UNTRUSTED },
        { "timeout", required_argument, NULL, OPT_TIMEOUT },
        { "memory", required_argument, NULL, OPT_MEMORY },
        { "max-size", required_argument, NULL, OPT_MAX_SIZE },
        { "max-ratio", required_argument, NULL, OPT_MAX_RATIO },
        { 0 },
    };
    const Command *cmd = command_find("inspect");
    InspectLimits limits = { 10, UINT64_C(1) << 30, UINT64_C(64) << 40, 10000 };
    Common common = { 0 };
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:", long_options, NULL)) != -1) {
        ret = limit_option(opt, &limits);
        if (ret < 0)
            return 1;
        if (ret > 0 && common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    if (common.trusted || common.image_opts)
        return usage_error(cmd, "nothing that the image says is trusted here");
    if (common.format && !driver_exists(common.format))
        return usage_error(cmd, "unknown image format '%s'", common.format);
    ret = check_file(argv[optind]);
    return ret ? ret : inspect(argv[optind], common.format, &limits);
}
