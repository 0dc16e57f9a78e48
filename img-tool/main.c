/*
 * main.c - the image tool: finds the subcommand and runs it.
 *
 * Called as `qemu-img` it is the same program; called as `qemu-io` it is `img-tool io`, called as
 * `qemu-nbd` it is `img-tool serve` with the other's defaults.
 */
#include <libgen.h>
#include <string.h>

#include "base/log.h"
#include "img-tool/cmd.h"
#include "img-tool/help.h"

static void print_warning(LogLevel level, const char *message, void *opaque)
{
    (void)opaque;
    if (level == LOG_WARNING)
        complain("warning: %s", message);
}

static int not_enough(void)
{
    complain("not enough arguments");
    fprintf(stderr, "Try '%s --help' for more information\n", program_name);
    return 1;
}

/* `[enable=]PATTERN,events=FILE,file=FILE`: a name that is not a pattern should have been one. */
static void trace_option(const char *text)
{
    const char *name = strncmp(text, "enable=", 7) == 0 ? text + 7 : text;
    int len = (int)strcspn(name, ",");

    if (len && !memchr(name, '*', (size_t)len) && !memchr(name, '=', (size_t)len))
        complain("warning: trace event '%.*s' does not exist", len, name);
}

/* The options before the subcommand. -1: go on at *at; else the exit code. */
static int standard_options(int argc, char **argv, int *at)
{
    static const struct option long_options[] = {
        { "help", optional_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { "trace", required_argument, NULL, 'T' },
        { 0 },
    };
    int opt;

    while ((opt = getopt_long(argc, argv, "+hVT:", long_options, NULL)) != -1) {
        switch (opt) {
        case 'h':
            return optarg && strcmp(optarg, "man") == 0 ? help_manual(stdout) : help_print(stdout);
        case 'V': return help_version(stdout);
        case 'T': trace_option(optarg); break;
        default: fprintf(stderr, "Try '%s --help' for more information\n", program_name); return 1;
        }
    }
    *at = optind;
    return -1;
}

static int run_command(int argc, char **argv)
{
    const Command *cmd = command_find(argv[0]);
    char name[64];

    if (!cmd) {
        complain("unknown command '%s'", argv[0]);
        fprintf(stderr, "Try '%s --help' for more information\n", program_name);
        return 1;
    }
    snprintf(name, sizeof(name), "%s %s", program_name, cmd->name);
    argv[0] = name; /* for what getopt says */
    optind = 0;     /* starts anew */
    return cmd->run(argc, argv);
}

int main(int argc, char **argv)
{
    int at = 1;

    if (argc)
        program_name = argv[0] = basename(argv[0]);
    log_set_hook(print_warning, NULL);
    if (strcmp(program_name, "qemu-io") == 0)
        return cmd_io(argc, argv);
    if (strcmp(program_name, "qemu-nbd") == 0)
        return cmd_nbd(argc, argv);
    int code = standard_options(argc, argv, &at);
    if (code < 0)
        code = at == argc ? not_enough() : run_command(argc - at, argv + at);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write the output");
        return 1;
    }
    return code;
}
