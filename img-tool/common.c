/*
 * common.c - see cmd.h: messages, common options, opening images.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

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

const char *command_called(const Command *cmd)
{
    static char name[64];
    bool own = strcmp(program_name, "qemu-io") == 0 || strcmp(program_name, "qemu-nbd") == 0;

    snprintf(name, sizeof(name), "%s%s%s", program_name, own ? "" : " ", own ? "" : cmd->name);
    return name;
}

static void try_help(const Command *cmd)
{
    fprintf(stderr, "Try '%s --help' for more information\n", command_called(cmd));
}

int usage_error(const Command *cmd, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    message(fmt, ap);
    va_end(ap);
    try_help(cmd);
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

/* -p, --progress, or --progress=json[,fd=N] */
static int show_progress(Common *common, const Command *cmd, int *exit_code)
{
    int ret = optarg ? progress_option(optarg) : 0;

    if (ret == 0) {
        common->progress = !optarg;
        return 0;
    }
    *exit_code = ret == -EBADF
                     ? usage_error(cmd, "--progress=%s: there is no such open descriptor", optarg)
                     : usage_error(cmd, "--progress is json or json,fd=N, not '%s'", optarg);
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
        try_help(cmd);
        *exit_code = 1;
        return -1;
    case 'f': common->format = optarg; return 0;
    case 't': common->cache = optarg; return 0;
    case 'T': common->src_cache = optarg; return 0;
    case 'U': common->force_share = true; return 0;
    case 'q': common->quiet = true; return 0;
    case 'p': return show_progress(common, cmd, exit_code);
    case OPT_NO_EXTERNAL: common->no_external = true; return 0;
    case OPT_TRUSTED: common->trusted = true; return 0;
    case OPT_IMAGE_OPTS: common->image_opts = true; return 0;
    case OPT_OUTPUT: return output_option(common, cmd, exit_code);
    case OPT_OBJECT: return object_option(exit_code);
    default: *exit_code = usage_error(cmd, "unknown option"); return -1;
    }
}

Options *secret_options(const Options *created)
{
    Options *o = options_new();

    for (size_t i = 0; i < options_count(created); i++) {
        const char *key = options_key_at(created, i);

        if (strcmp(key, "key-secret") == 0 || strcmp(key, "encrypt.key-secret") == 0)
            options_set(o, key, options_value_at(created, i));
    }
    return o;
}

unsigned common_trust(const Common *common)
{
    return common->no_external ? OPEN_NO_EXTERNAL : common->trusted ? OPEN_TRUSTED : 0;
}

Node *open_image(const Common *common, const char *name, const char *format, const char *cache,
                 unsigned flags)
{
    return open_image_with(common, name, format, cache, flags, options_new());
}

Node *open_image_with(const Common *common, const char *name, const char *format, const char *cache,
                      unsigned flags, Options *extra)
{
    AUTO_OPTIONS Options *options = extra;
    Error *err = NULL;
    Node *node;
    int ret;

    if (cache && cache_mode_flags(cache, &flags) < 0) {
        complain("invalid cache mode '%s': none, writeback, writethrough, directsync or unsafe",
                 cache);
        return NULL;
    }
    flags |= common_trust(common);
    if (common->force_share)
        flags |= OPEN_FORCE_SHARE;
    if (format && !driver_exists(format)) {
        complain("unknown image format '%s'", format);
        return NULL;
    }
    if (common->image_opts) {
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

int load_snapshot(Node *node, const char *param, Error **err)
{
    AUTO_OPTIONS Options *o = NULL;
    const char *name = param;

    if (strncmp(param, "snapshot.", 9) == 0) {
        o = options_new();
        int ret = options_parse(o, param, NULL, err);
        if (ret < 0)
            return ret;
        name = options_peek(o, "snapshot.id");
        if (!name)
            name = options_peek(o, "snapshot.name");
        if (!name)
            return error_set(err, -EINVAL, "'%s' has neither snapshot.id nor snapshot.name", param);
    }
    return node_snapshot_load(node, name, err);
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

bool parse_rate(const char *text, uint64_t *out)
{
    if (!parse_size(text, "rate limit", out))
        return false;
    if (*out == 0)
        complain("invalid rate limit '%s': nothing would ever be copied", text);
    return *out != 0;
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

void json_snapshots(JsonWriter *w, const SnapshotInfo *list, size_t count)
{
    jw_begin_array(w);
    for (size_t i = 0; i < count; i++) {
        const SnapshotInfo *s = &list[i];

        jw_begin_object(w);
        if (s->icount != UINT64_MAX)
            jw_put_u64(w, "icount", s->icount);
        jw_put_u64(w, "vm-clock-nsec", s->vm_clock_ns % 1000000000);
        jw_put_string(w, "name", s->name);
        jw_put_u64(w, "date-sec", s->date_sec);
        jw_put_u64(w, "date-nsec", s->date_nsec);
        jw_put_u64(w, "vm-clock-sec", s->vm_clock_ns / 1000000000);
        jw_put_string(w, "id", s->id);
        jw_put_u64(w, "vm-state-size", s->vm_state_size);
        jw_end_object(w);
    }
    jw_end_array(w);
}
