/*
 * main.c - the image tool: finds the subcommand and runs it.
 *
 * Called as `qemu-img` it is the same program; called as `qemu-io` it is `img-tool io`.
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

int main(int argc, char **argv)
{
    program_name = argc ? basename(argv[0]) : "img-tool";
    log_set_hook(print_warning, NULL);
    if (strcmp(program_name, "qemu-io") == 0)
        return cmd_io(argc, argv);
    if (argc < 2) {
        complain("not enough arguments");
        fprintf(stderr, "Try '%s --help' for more information\n", program_name);
        return 1;
    }
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
        return help_print(stdout);
    if (strcmp(argv[1], "--help=man") == 0)
        return help_manual(stdout);
    if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0)
        return help_version(stdout);
    const Command *cmd = command_find(argv[1]);
    if (!cmd) {
        complain("unknown command '%s'", argv[1]);
        fprintf(stderr, "Try '%s --help' for more information\n", program_name);
        return 1;
    }
    int code = cmd->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write the output");
        return 1;
    }
    return code;
}
