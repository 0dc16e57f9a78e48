/*
 * io-commands.c - img-tool io: the table of commands, and those that show or change little.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "img-tool/io.h"

bool io_number(const char *text, uint64_t *out)
{
    Error *err = NULL;

    if (size_parse(text, 0, out, &err) == 0)
        return true;
    printf("Parsing error: %s -- %s\n", error_message(err, -EINVAL), text);
    error_free(err);
    return false;
}

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

/* ---- what the image is ---- */

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
    printf("cluster size: %s\n", io_size_text((double)info.cluster_size, text));
    printf("vm state offset: %s\n", io_size_text((double)info.vmstate_offset, text));
    json_t *specific = node_format_info(s->node);
    const json_t *data = json_object_get(specific, "data");
    if (data && json_object_size(data)) {
        puts("Format specific information:");
        print_specific(data, 4);
    }
    json_decref(specific);
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

    if (!io_number(argv[1], &off) || (argc > 2 && !io_number(argv[2], &count)))
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

static int prealloc_mode(const char *name, Prealloc *mode)
{
    for (int i = 0; prealloc_names[i]; i++)
        if (strcmp(prealloc_names[i], name) == 0) {
            *mode = (Prealloc)i;
            return 0;
        }
    complain("invalid preallocation mode '%s'", name);
    return -1;
}

static int run_truncate(IoSession *s, int argc, char **argv)
{
    Prealloc prealloc = PREALLOC_OFF;
    Error *err = NULL;
    uint64_t size;
    int opt;

    optind = 0;
    while ((opt = getopt(argc, argv, "m:")) != -1) {
        if (opt == '?')
            return io_usage("truncate");
        if (prealloc_mode(optarg, &prealloc) < 0)
            return -1;
    }
    if (argc - optind != 1)
        return io_usage("truncate");
    if (!io_number(argv[optind], &size))
        return -1;
    io_aio_reap(s, true);
    int ret = node_resize(s->node, size, prealloc, true, &err);
    if (ret < 0)
        fail(err, ret);
    return ret < 0 ? -1 : 0;
}

/* ---- the program itself ---- */

static int run_abort(IoSession *s, int argc, char **argv)
{
    (void)s;
    (void)argc;
    (void)argv;
    fflush(stdout);
    abort();
}

static int run_sigraise(IoSession *s, int argc, char **argv)
{
    uint64_t sig;

    (void)s;
    (void)argc;
    if (!io_number(argv[1], &sig))
        return -1;
    if (sig > NSIG) {
        printf("signal argument '%s' is too large to be a valid signal number\n", argv[1]);
        return -1;
    }
    fflush(stdout); /* it may be the last thing that we do */
    return raise((int)sig) == 0 ? 0 : -1;
}

static int run_quit(IoSession *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    s->quit = true;
    return 0;
}

/* ---- the table ---- */

#define DETAILS_COMMON                                                                             \
    " -C, -- report statistics in a machine parsable format\n"                                     \
    " -q, -- quiet mode, do not show I/O statistics\n"

#define DETAILS_READ                                                                               \
    DETAILS_COMMON " -P, -- a byte (0..255) that all that is read must be\n"                       \
                   " -v, -- show what was read, in hexadecimal\n"

#define DETAILS_WRITE                                                                              \
    DETAILS_COMMON " -P, -- the byte (0..255) to write; without it, 0xcd\n"                        \
                   " -f, -- on stable storage when the request ends (FUA)\n"

#define DETAILS_ZEROES                                                                             \
    " -u, -- with -z: the space may be given back\n"                                               \
    " -z, -- write zeroes the efficient way\n"

static int run_help(IoSession *s, int argc, char **argv);

const IoCommand io_commands[] = {
    { "abort", NULL, run_abort, 0, 0, true, "", "simulate a program crash using abort(3)", NULL },
    { "aio_flush", NULL, io_aio_flush, 0, 0, false, "", "completes all outstanding aio requests",
      NULL },
    { "aio_read", NULL, io_aio_read, 2, -1, false, "[-Ciqv] [-P pattern] off len [len..]",
      "asynchronously reads a number of bytes",
      DETAILS_READ " -i, -- count an invalid request; nothing is read\n"
                   "The report comes when the request has completed: aio_flush waits for it.\n" },
    { "aio_write", NULL, io_aio_write, 2, -1, false, "[-Cfiquz] [-P pattern] off len [len..]",
      "asynchronously writes a number of bytes",
      DETAILS_WRITE DETAILS_ZEROES
      " -i, -- count an invalid request; nothing is written\n"
      "The report comes when the request has completed: aio_flush waits for it.\n" },
    { "alloc", NULL, run_alloc, 1, 2, false, "offset [count]",
      "checks if offset is allocated in the file", NULL },
    { "break", NULL, io_break, 2, 2, false, "event tag",
      "sets a breakpoint on event and tags the stopped request as tag", NULL },
    { "close", "c", run_close, 0, 0, false, "", "close the current open file", NULL },
    { "discard", "d", io_discard, 2, -1, false, "[-Cq] off len",
      "discards a number of bytes at a specified offset", DETAILS_COMMON },
    { "flush", "f", run_flush, 0, 0, false, "", "flush all in-core file state to disk", NULL },
    { "help", "?", run_help, 0, 1, true, "[command]", "help for one or all commands", NULL },
    { "info", "i", run_info, 0, 0, false, "", "prints information about the current file", NULL },
    { "length", "l", run_length, 0, 0, false, "", "gets the length of the current file", NULL },
    { "map", NULL, run_map, 0, 0, false, "", "prints the allocated areas of a file", NULL },
    { "open", "o", run_open, 1, -1, true, "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
      "open the file specified by path",
      " -r, -- read-only\n"
      " -s, -- writes go to a temporary overlay\n"
      " -C, -- copy on read: what backing files gave is stored in the image\n"
      " -n, -- same as -t none\n"
      " -k, -- accepted for the sake of old scripts\n"
      " -U, -- open the image although it is in use elsewhere\n"
      " -t, -- how the image is cached: none, writeback, writethrough, directsync, unsafe\n"
      " -d, -- what becomes of discards: ignore or unmap\n"
      " -o, -- options as for --image-opts\n" },
    { "quit", "q", run_quit, 0, 0, true, "", "exit the program", NULL },
    { "read", "r", io_read, 2, -1, false, "[-abCqv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at a specified offset",
      DETAILS_READ " -b, -- read the machine state kept in the image, not the disk\n"
                   " -s, -- where in what was read the pattern starts (with -P)\n"
                   " -l, -- how long the pattern is (with -P)\n"
                   " -p, -- ignored\n" },
    { "readv", "rv", io_readv, 2, -1, false, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at a specified offset",
      DETAILS_READ "Each length is a buffer of its own.\n" },
    { "remove_break", NULL, io_remove_break, 1, 1, false, "tag", "remove a breakpoint by tag",
      NULL },
    { "reopen", NULL, run_reopen, 0, -1, false, "[(-r|-w)] [-c cache] [-o options]",
      "reopens an image with new options",
      " -r, -- read-only\n"
      " -w, -- for writing\n"
      " -c, -- how the image is cached\n"
      " -o, -- options that are added or changed\n" },
    { "resume", NULL, io_resume, 1, 1, false, "tag", "resumes the request tagged as tag", NULL },
    { "sigraise", NULL, run_sigraise, 1, 1, true, "signal", "raises a signal", NULL },
    { "sleep", NULL, io_sleep, 1, 1, true, "", "waits for the given value in milliseconds", NULL },
    { "truncate", "t", run_truncate, 1, 3, false, "[-m prealloc_mode] off",
      "truncates the current file at the given offset", NULL },
    { "wait_break", NULL, io_wait_break, 1, 1, false, "tag",
      "waits for the suspension of a request", NULL },
    { "write", "w", io_write, 2, -1, false, "[-bcCfnquz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at a specified offset",
      DETAILS_WRITE DETAILS_ZEROES
      " -b, -- write to the machine state kept in the image, not the disk\n"
      " -c, -- store it compressed\n"
      " -n, -- with -z: fail rather than write a buffer of zeros\n"
      " -s, -- write what this file holds, again and again\n"
      " -p, -- ignored\n" },
    { "writev", "wv", io_writev, 2, -1, false, "[-Cfq] [-P pattern] off len [len..]",
      "writes a number of bytes at a specified offset",
      DETAILS_WRITE "Each length is a buffer of its own.\n" },
};
const size_t n_io_commands = ARRAY_LEN(io_commands);

static void print_usage(const IoCommand *cmd)
{
    printf("%s %s%s-- %s\n", cmd->name, cmd->args, *cmd->args ? " " : "", cmd->help);
}

int io_usage(const char *name)
{
    for (size_t i = 0; i < n_io_commands; i++)
        if (strcmp(io_commands[i].name, name) == 0 ||
            (io_commands[i].alias && strcmp(io_commands[i].alias, name) == 0))
            print_usage(&io_commands[i]);
    return -1;
}

static int run_help(IoSession *s, int argc, char **argv)
{
    bool found = false;

    (void)s;
    for (size_t i = 0; i < n_io_commands; i++) {
        const IoCommand *cmd = &io_commands[i];

        if (argc > 1 && strcmp(argv[1], cmd->name) != 0)
            continue;
        print_usage(cmd);
        if (argc > 1 && cmd->details)
            printf("\n%s\n", cmd->details);
        found = true;
    }
    if (argc <= 1)
        puts("\nUse 'help commandname' for extended help.");
    if (!found)
        printf("command %s not found\n", argv[1]);
    return found ? 0 : -1;
}
