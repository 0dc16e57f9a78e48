/*
 * io.c - img-tool io: the session, its command lines, and commands other than transfers.
 *
 * Commands and outputs are those of qemu-io, which test suites of other projects drive and read.
 */
#include "img-tool/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ARGS = 64, MAX_COMMANDS = 256 };

/* ---- the image ---- */

void io_close(IoSession *s)
{
    node_unref(s->node);
    s->node = NULL;
    free(s->filename);
    s->filename = NULL;
}

int io_open(IoSession *s, const char *name)
{
    s->node = open_image(&s->common, name, s->common.format, s->common.cache, s->flags);
    if (!s->node)
        return -1;
    s->filename = strdup(name);
    return 0;
}

static int run_open(IoSession *s, int argc, char **argv)
{
    int opt;

    if (s->node) {
        printf("file open already, try 'help close'\n");
        return -1;
    }
    optind = 0;
    while ((opt = getopt(argc, argv, "rsnkUt:d:o:")) != -1) {
        switch (opt) {
        case 'r': s->flags &= ~OPEN_RDWR; break;
        case 'n': s->common.cache = "none"; break;
        case 'U': s->common.force_share = true; break;
        case 'k':
        case 'd': break;
        default:
            printf("open: option -%c is not supported\n", opt == '?' ? optopt : opt);
            return -1;
        }
    }
    if (argc - optind != 1) {
        printf("open: exactly one file name is expected\n");
        return -1;
    }
    return io_open(s, argv[optind]);
}

static int run_close(IoSession *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    io_close(s);
    return 0;
}

static int run_reopen(IoSession *s, int argc, char **argv)
{
    AUTO_FREE char *name = strdup(s->filename);
    int opt;

    optind = 0;
    while ((opt = getopt(argc, argv, "rw")) != -1) {
        if (opt == '?')
            return -1;
        s->flags = opt == 'r' ? s->flags & ~OPEN_RDWR : s->flags | OPEN_RDWR;
    }
    io_close(s);
    return io_open(s, name);
}

/* ---- what the image is ---- */

const char *io_size_text(double bytes, char text[SIZE_TEXT])
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;

    while (bytes >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1024;
        unit++;
    }
    if (bytes == (double)(uint64_t)bytes)
        snprintf(text, SIZE_TEXT, "%" PRIu64 " %s", (uint64_t)bytes, units[unit]);
    else
        snprintf(text, SIZE_TEXT, "%.3f %s", bytes, units[unit]);
    return text;
}

static int run_length(IoSession *s, int argc, char **argv)
{
    char text[SIZE_TEXT];

    (void)argc;
    (void)argv;
    puts(io_size_text((double)node_size(s->node), text));
    return 0;
}

static int run_info(IoSession *s, int argc, char **argv)
{
    ImageInfo info;
    char text[SIZE_TEXT];
    Error *err = NULL;
    int ret = node_info(s->node, &info, &err);

    (void)argc;
    (void)argv;
    if (ret < 0) {
        fail(err, ret);
        return -1;
    }
    printf("format name: %s\n", node_format(s->node));
    if (info.cluster_size)
        printf("cluster size: %s\n", io_size_text((double)info.cluster_size, text));
    return 0;
}

/* Extents of the top image alone: what is stored in it, and what is not. */
static int alloc_extent(IoSession *s, uint64_t off, uint64_t len, bool *allocated, uint64_t *n)
{
    Extent ext;
    int ret = node_extent(s->node, off, len, &ext);

    if (ret < 0) {
        printf("cannot tell what is at offset %" PRIu64 ": %s\n", off, strerror(-ret));
        return -1;
    }
    *allocated = ext.kind != EXTENT_HOLE;
    *n = ext.len;
    return 0;
}

static int run_alloc(IoSession *s, int argc, char **argv)
{
    uint64_t off, count = 512, sum = 0;
    char text[SIZE_TEXT];

    if (!parse_size(argv[1], "offset", &off) ||
        (argc > 2 && !parse_size(argv[2], "length", &count)))
        return -1;
    uint64_t size = node_size(s->node);
    uint64_t end = off < size && count < size - off ? off + count : size;

    for (uint64_t at = off; at < end;) {
        bool allocated;
        uint64_t n;

        if (alloc_extent(s, at, end - at, &allocated, &n) < 0)
            return -1;
        sum += allocated ? n : 0;
        at += n;
    }
    printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, count,
           io_size_text((double)off, text));
    return 0;
}

static void print_map_line(bool allocated, uint64_t off, uint64_t len)
{
    char length[SIZE_TEXT], offset[SIZE_TEXT];

    printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n",
           io_size_text((double)len, length), len, allocated ? "   " : "not",
           io_size_text((double)off, offset), off);
}

static int run_map(IoSession *s, int argc, char **argv)
{
    uint64_t size = node_size(s->node), start = 0;
    bool state = false;

    (void)argc;
    (void)argv;
    for (uint64_t at = 0; at < size;) {
        bool allocated;
        uint64_t n;

        if (alloc_extent(s, at, size - at, &allocated, &n) < 0)
            return -1;
        if (at != start && allocated != state) {
            print_map_line(state, start, at - start);
            start = at;
        }
        state = allocated;
        at += n;
    }
    if (size > start)
        print_map_line(state, start, size - start);
    return 0;
}

/* ---- changes ---- */

static int run_flush(IoSession *s, int argc, char **argv)
{
    int ret = node_flush(s->node);

    (void)argc;
    (void)argv;
    if (ret < 0)
        printf("flush failed: %s\n", strerror(-ret));
    return ret < 0 ? -1 : 0;
}

static int run_truncate(IoSession *s, int argc, char **argv)
{
    Prealloc prealloc = PREALLOC_OFF;
    Error *err = NULL;
    uint64_t size;
    int opt;

    optind = 0;
    while ((opt = getopt(argc, argv, "m:")) != -1) {
        int i = 0;

        if (opt != 'm')
            return -1;
        while (prealloc_names[i] && strcmp(prealloc_names[i], optarg) != 0)
            i++;
        if (!prealloc_names[i]) {
            printf("truncate: unknown preallocation mode '%s'\n", optarg);
            return -1;
        }
        prealloc = (Prealloc)i;
    }
    if (optind >= argc || !parse_size(argv[optind], "size", &size))
        return -1;
    int ret = node_resize(s->node, size, prealloc, true, &err);
    if (ret < 0)
        fail(err, ret);
    return ret < 0 ? -1 : 0;
}

/* ---- the rest ---- */

static int run_sleep(IoSession *s, int argc, char **argv)
{
    char *end;
    unsigned long ms = strtoul(argv[1], &end, 10);

    (void)s;
    (void)argc;
    if (*end || end == argv[1] || ms > 3600000) {
        printf("sleep: '%s' is not a number of milliseconds\n", argv[1]);
        return -1;
    }
    usleep((useconds_t)ms * 1000);
    return 0;
}

static int run_quit(IoSession *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    s->quit = true;
    return 0;
}

static int run_nothing(IoSession *s, int argc, char **argv)
{
    (void)s;
    (void)argc;
    (void)argv;
    return 0;
}

static int run_help(IoSession *s, int argc, char **argv)
{
    bool found = false;

    (void)s;
    for (size_t i = 0; i < n_io_commands; i++) {
        const IoCommand *cmd = &io_commands[i];

        if (argc > 1 && strcmp(argv[1], cmd->name) != 0)
            continue;
        printf("%s %s -- %s\n", cmd->name, cmd->args, cmd->help);
        found = true;
    }
    if (!found)
        printf("command %s not found\n", argv[1]);
    return found ? 0 : -1;
}

const IoCommand io_commands[] = {
    { "aio_flush", NULL, run_nothing, 0, 0, false, "",
      "completes all outstanding requests (none are left open)" },
    { "aio_read", NULL, io_readv, 2, -1, false, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at an offset" },
    { "aio_write", NULL, io_writev, 2, -1, false, "[-Cfquz] [-P pattern] off len [len..]",
      "writes a number of bytes at an offset" },
    { "alloc", NULL, run_alloc, 1, 2, false, "off [len]",
      "tells how many bytes of a range are allocated" },
    { "close", "c", run_close, 0, 0, false, "", "closes the image" },
    { "discard", "d", io_discard, 2, -1, false, "[-Cq] off len",
      "discards a number of bytes at an offset" },
    { "flush", "f", run_flush, 0, 0, false, "", "brings all that was written to stable storage" },
    { "help", "?", run_help, 0, 1, true, "[command]", "this help" },
    { "info", "i", run_info, 0, 0, false, "", "shows what the image is" },
    { "length", "l", run_length, 0, 0, false, "", "shows the size of the image" },
    { "map", NULL, run_map, 0, 0, false, "", "shows the allocated areas of the image" },
    { "open", "o", run_open, 1, -1, true, "[-rnU] file", "opens an image" },
    { "quit", "q", run_quit, 0, 0, true, "", "ends the program" },
    { "read", "r", io_read, 2, -1, false, "[-bCqv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at an offset" },
    { "readv", "rv", io_readv, 2, -1, false, "[-Cqv] [-P pattern] off len [len..]",
      "reads into several buffers" },
    { "reopen", NULL, run_reopen, 0, -1, false, "[-r | -w]", "closes and opens the image again" },
    { "sleep", NULL, run_sleep, 1, 1, true, "ms", "waits" },
    { "truncate", "t", run_truncate, 1, -1, false, "[-m prealloc] size",
      "changes the size of the image" },
    { "write", "w", io_write, 2, -1, false, "[-bcCfnquz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at an offset" },
    { "writev", "wv", io_writev, 2, -1, false, "[-Cfq] [-P pattern] off len [len..]",
      "writes from several buffers" },
};
const size_t n_io_commands = ARRAY_LEN(io_commands);

static int run_args(IoSession *s, int argc, char **argv)
{
    for (size_t i = 0; i < n_io_commands; i++) {
        const IoCommand *cmd = &io_commands[i];

        if (strcmp(cmd->name, argv[0]) != 0 && (!cmd->alias || strcmp(cmd->alias, argv[0]) != 0))
            continue;
        if (!cmd->without_image && !s->node) {
            printf("no file open, try 'help open'\n");
            return -1;
        }
        if (argc - 1 < cmd->min_args || (cmd->max_args >= 0 && argc - 1 > cmd->max_args)) {
            printf("bad argument count %d to %s, expected %s%d%s\n", argc - 1, argv[0],
                   cmd->max_args < 0 ? "at least " : "", cmd->min_args,
                   cmd->max_args < 0 || cmd->max_args == cmd->min_args ? " arguments"
                                                                       : " or more arguments");
            return -1;
        }
        return cmd->run(s, argc, argv);
    }
    printf("command \"%s\" not found\n", argv[0]);
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
            printf("more than %d arguments\n", MAX_ARGS);
            return -1;
        }
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    int ret = argc ? run_args(s, argc, argv) : 0;
    fflush(stdout);
    return ret;
}

static int run_stdin(IoSession *s)
{
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    int code = 0;

    while (!s->quit) {
        if (isatty(STDIN_FILENO)) {
            printf("%s> ", program_name);
            fflush(stdout);
        }
        if (getline(&line, &room, stdin) < 0)
            break;
        if (io_run_line(s, line) < 0)
            code = 1;
    }
    return code;
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "cmd", required_argument, NULL, 'c' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "cache", required_argument, NULL, 't' },
    { "discard", required_argument, NULL, 'd' },
    { "aio", required_argument, NULL, 'i' },
    { "native-aio", no_argument, NULL, 'k' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

typedef struct IoArgs {
    const char *commands[MAX_COMMANDS];
    size_t n;
    bool snapshot;
} IoArgs;

/* 0: done; otherwise as common_option(). */
static int io_option(IoSession *s, IoArgs *args, const Command *cmd, int opt, int *code)
{
    switch (opt) {
    case 'c':
        if (args->n == MAX_COMMANDS) {
            *code = usage_error(cmd, "more than %d commands", MAX_COMMANDS);
            return -1;
        }
        args->commands[args->n++] = optarg;
        return 0;
    case 'r': s->flags &= ~OPEN_RDWR; return 0;
    case 's': args->snapshot = true; return 0;
    case 'n': s->common.cache = "none"; return 0;
    case 'd':
        if (strcmp(optarg, "unmap") == 0 || strcmp(optarg, "on") == 0)
            s->flags |= OPEN_UNMAP;
        else
            s->flags &= ~OPEN_UNMAP;
        return 0;
    case 'i': /* one way of asynchronous I/O is enough here: workers */
    case 'k': return 0;
    case 'V':
        printf("%s version of Onionskin's img-tool\n", program_name);
        *code = 0;
        return -1;
    default: return common_option(&s->common, cmd, opt, code);
    }
}

/* -s: what is written goes to a throw-away overlay. */
static int add_overlay(IoSession *s)
{
    Error *err = NULL;
    Node *top;
    int ret = node_open_temporary_overlay(s->node, &top, &err);

    if (ret < 0)
        return fail(err, ret);
    node_unref(s->node);
    s->node = top;
    return 0;
}

int cmd_io(int argc, char **argv)
{
    const Command *cmd = command_find("io");
    IoSession s = { .flags = OPEN_RDWR | OPEN_UNMAP };
    IoArgs args = { 0 };
    int opt, code = -1;

    while (code < 0 &&
           (opt = getopt_long(argc, argv, "hc:d:f:kni:rst:UV", long_options, NULL)) != -1)
        if (io_option(&s, &args, cmd, opt, &code) > 0)
            code = usage_error(cmd, "unknown option");
    if (code >= 0)
        return code;
    if (argc - optind > 1)
        return usage_error(cmd, "one file name at most is expected");
    if (args.snapshot)
        s.flags &= ~OPEN_RDWR;
    const char *name = optind < argc ? argv[optind] : NULL;

    code = 0;
    if (name && (io_open(&s, name) < 0 || (args.snapshot && add_overlay(&s) != 0)))
        code = 1;
    for (size_t i = 0; code != 1 && i < args.n && !s.quit; i++)
        if (io_run_line(&s, args.commands[i]) < 0)
            code = 2; /* the others still run */
    if (args.n == 0 && code == 0)
        code = run_stdin(&s);
    if (s.node && node_flush(s.node) < 0 && node_writable(s.node)) {
        complain("%s: cannot flush", name);
        code = 1;
    }
    io_close(&s);
    return code ? 1 : 0;
}
