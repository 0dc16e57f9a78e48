/*
 * io.c - img-tool io: the program's options, the session, and its command lines.
 *
 * Commands and outputs are those of qemu-io, which test suites of other projects drive and read.
 */
#include "img-tool/help.h"
#include "img-tool/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MAX_ARGS = 64, MAX_COMMANDS = 1024 };

/* ---- command lines ---- */

static int bad_count(const IoCommand *cmd, int n)
{
    fprintf(stderr, "bad argument count %d to %s, expected ", n, cmd->name);
    if (cmd->max_args < 0)
        fprintf(stderr, "at least %d arguments\n", cmd->min_args);
    else if (cmd->min_args == cmd->max_args)
        fprintf(stderr, "%d arguments\n", cmd->min_args);
    else
        fprintf(stderr, "between %d and %d arguments\n", cmd->min_args, cmd->max_args);
    return -1;
}

static int run_args(IoSession *s, int argc, char **argv)
{
    for (size_t i = 0; i < n_io_commands; i++) {
        const IoCommand *cmd = &io_commands[i];

        if (strcmp(cmd->name, argv[0]) != 0 && (!cmd->alias || strcmp(cmd->alias, argv[0]) != 0))
            continue;
        if (!cmd->without_image && !s->node) {
            fprintf(stderr, "no file open, try 'help open'\n");
            return -1;
        }
        if (argc - 1 < cmd->min_args || (cmd->max_args >= 0 && argc - 1 > cmd->max_args))
            return bad_count(cmd, argc - 1);
        return cmd->run(s, argc, argv);
    }
    if (strncmp(argv[0], "zone_", 5) == 0)
        fprintf(stderr, "%s: zoned devices are not supported\n", argv[0]);
    else
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
    return -1;
}

int io_run_line(IoSession *s, const char *line)
{
    AUTO_FREE char *copy = strdup(line);
    char *argv[MAX_ARGS + 1], *save = NULL;
    int argc = 0;

    if (!copy)
        return -1;
    for (char *word = strtok_r(copy, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save)) {
        if (argc == MAX_ARGS) {
            fprintf(stderr, "more than %d arguments\n", MAX_ARGS);
            return -1;
        }
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    io_aio_reap(s, false);
    int ret = argc ? run_args(s, argc, argv) : 0;
    fflush(stdout);
    return ret;
}

static int run_stdin(IoSession *s)
{
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    int ret = 0;

    while (!s->quit) {
        printf("%s> ", program_name);
        fflush(stdout);
        if (getline(&line, &room, stdin) < 0)
            break;
        if (io_run_line(s, line) < 0)
            ret = -1;
    }
    return ret;
}

/* ---- options ---- */

enum { OPT_TRACE = OPT_COMMAND };

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "cmd", required_argument, NULL, 'c' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "copy-on-read", no_argument, NULL, 'C' },
    { "misalign", no_argument, NULL, 'm' },
    { "cache", required_argument, NULL, 't' },
    { "discard", required_argument, NULL, 'd' },
    { "aio", required_argument, NULL, 'i' },
    { "native-aio", no_argument, NULL, 'k' },
    { "trace", required_argument, NULL, OPT_TRACE },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

typedef struct IoArgs {
    Common common;
    IoOpen how;
    const char *commands[MAX_COMMANDS];
    size_t n;
    bool native;
} IoArgs;

static int aio_option(IoArgs *args, const char *mode, int *code)
{
    args->native = strcmp(mode, "native") == 0;
    if (args->native || strcmp(mode, "threads") == 0 || strcmp(mode, "io_uring") == 0)
        return 0; /* one way of asynchronous I/O is enough here: workers */
    complain("invalid aio option '%s': threads, native or io_uring", mode);
    *code = 1;
    return -1;
}

static int add_command(IoArgs *args, const Command *cmd, int *code)
{
    if (args->n == MAX_COMMANDS) {
        *code = usage_error(cmd, "more than %d commands", MAX_COMMANDS);
        return -1;
    }
    args->commands[args->n++] = optarg;
    return 0;
}

/* 0: done; otherwise as common_option(). */
static int io_option(IoSession *s, IoArgs *args, const Command *cmd, int opt, int *code)
{
    *code = 1;
    switch (opt) {
    case 'c': return add_command(args, cmd, code);
    case 'r': args->how.flags &= ~OPEN_RDWR; return 0;
    case 's': args->how.snapshot = true; return 0;
    case 'C': args->how.copy_on_read = true; return 0;
    case 'm': s->misalign = true; return 0;
    case 'n': return io_cache_option(&args->how, "none");
    case 't': return io_cache_option(&args->how, optarg);
    case 'd': return io_discard_option(&args->how, optarg);
    case 'i': return aio_option(args, optarg, code);
    case 'k': return aio_option(args, "native", code);
    case 'T':
    case OPT_TRACE: return 0; /* there are no trace points to switch on */
    case 'V': *code = help_version(stdout); return -1;
    default: return common_option(&args->common, cmd, opt, code);
    }
}

/* What the options together mean for opening; 0, or -1 after a message. */
static int judge(IoSession *s, IoArgs *args, const Command *cmd, const char *name)
{
    Error *err = NULL;

    if (args->common.image_opts && args->common.format)
        return usage_error(cmd, "--image-opts and -f are mutually exclusive");
    if (args->native && !(args->how.flags & OPEN_DIRECT)) {
        complain("aio=native needs a cache mode without the host's cache (-n, or -t directsync)");
        return 1;
    }
    s->image_opts = args->common.image_opts;
    s->trust = common_trust(&args->common);
    args->how.flags |= s->trust | (args->common.force_share ? OPEN_FORCE_SHARE : 0);
    args->how.format = args->common.format ? strdup(args->common.format) : NULL;
    if (name && !s->image_opts)
        args->how.filename = strdup(name);
    else if (name && options_parse(args->how.options, name, "file", &err) < 0)
        return fail(err, -EINVAL);
    return 0;
}

static int run_commands(IoSession *s, const IoArgs *args)
{
    int ret = 0;

    for (size_t i = 0; i < args->n && !s->quit; i++)
        if (io_run_line(s, args->commands[i]) < 0)
            ret = -1; /* the others still run */
    if (args->n == 0)
        ret = run_stdin(s);
    if (s->node && !s->quit)
        io_aio_reap(s, false);
    return ret;
}

/* What was written and not flushed by a command: an error here must not be lost. */
static int finish(IoSession *s, int ret)
{
    int flushed = 0;

    if (s->node) {
        Node *node = node_ref(s->node);

        io_close(s);
        flushed = node_writable(node) ? node_flush(node) : 0;
        node_unref(node);
    }
    if (flushed < 0 && ret == 0) {
        complain("cannot flush: %s", strerror(-flushed));
        ret = -1;
    }
    aio_free(s->aio);
    io_open_free(&s->how);
    return ret < 0 ? 1 : 0;
}

int cmd_io(int argc, char **argv)
{
    const Command *cmd = command_find("io");
    IoSession s = { 0 };
    IoArgs args = { .how = { .flags = OPEN_RDWR | OPEN_UNMAP, .options = options_new() } };
    int opt, code = 0, ret = 0;

    while (ret == 0 &&
           (opt = getopt_long(argc, argv, "hc:Cd:f:i:kmnrst:T:UV", long_options, NULL)) != -1) {
        ret = io_option(&s, &args, cmd, opt, &code);
    }
    if (ret == 0 && argc - optind > 1)
        ret = code = usage_error(cmd, "one file name at most is expected");
    const char *name = ret == 0 && optind < argc ? argv[optind] : NULL;
    if (ret == 0)
        ret = code = judge(&s, &args, cmd, name);
    if (ret != 0) {
        io_open_free(&args.how);
        return code;
    }
    if (!name)
        io_open_free(&args.how);
    else if (io_open(&s, &args.how) < 0)
        return 1;
    return finish(&s, run_commands(&s, &args));
}
