/*
 * help.c - the table of subcommands, and the texts made from it.
 */
#include "img-tool/help.h"

#include <ctype.h>
#include <string.h>

#include "base/version.h"
#include "img-tool/cmd.h"

const Command commands[] = {
    { "check", cmd_check,
      "[--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] "
      "filename",
      "look for inconsistencies in an image, and repair them",
      "Without -r nothing is changed. '-r leaks' gives back clusters that nothing refers to; '-r "
      "all' "
      "also mends tables that are wrong. Exit code: 0 the image is clean (or is now), 1 the check "
      "could not be "
      "completed, 2 there are corruptions, 3 there are only leaked clusters, 63 the format has "
      "nothing to check." },
    { "commit", cmd_commit, "[--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-d] [-p] filename",
      "write what an overlay holds into its backing file",
      "Afterwards the overlay is emptied, unless -d is given or -b names an image further down." },
    { "compare", cmd_compare,
      "[--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2",
      "tell whether two images have the same content",
      "With -s, sizes and allocation must be equal too. Exit code: 0 identical, 1 different, 2 an "
      "image could "
      "not be opened, 3 its allocation could not be read, 4 its data could not be read." },
    { "convert", cmd_convert,
      "[--image-opts] [--target-image-opts] [--target-is-zero] [-U] [-C] [-c] [-p] [-q] [-n] [-f "
      "fmt] [-t cache] "
      "[-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-l "
      "snapshot_param] "
      "[-S sparse_size] [-m workers] [-W] [--salvage] filename [filename2 [...]] output_filename",
      "copy an image, or several one after the other, into a new one of any format",
      "-c compresses; -n writes into an image that exists; -S sets the shortest run of zeros that "
      "is "
      "left out (0: everything is written). With -B only what differs from the backing file's "
      "chain is copied." },
    { "create", cmd_create,
      "[-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]",
      "make a new image",
      "With -b the image is an overlay: it holds only what is written to it from now on. '-o help' "
      "lists the "
      "options of a format." },
    { "info", cmd_info, "[--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename",
      "show what an image is", NULL },
    { "io", cmd_io,
      "[--image-opts] [-f fmt] [-c command]... [-r] [-n] [-t cache] [-d discard] [-s] [-U] "
      "[filename]",
      "read and write by script, for tests and debugging",
      "Each -c is one command; without any, they are read from standard input. 'help' lists "
      "them." },
    { "map", cmd_map,
      "[--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] "
      "filename",
      "show where the data of an image lies", NULL },
    { "rebase", cmd_rebase,
      "[--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] -b backing_file [-F "
      "backing_fmt] "
      "filename",
      "give an overlay another backing file",
      "What the new chain would show differently is copied into the overlay first, so its content "
      "stays. -u changes "
      "the name only, for a backing file that was moved. An empty name makes the image stand "
      "alone." },
    { "resize", cmd_resize,
      "[--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] filename [+ | -]size",
      "change the virtual size of an image",
      "Data beyond a smaller end is lost; --shrink says that this is meant." },
    { "snapshot", cmd_snapshot,
      "[--image-opts] [-U] [-q] [-f fmt] [--output=ofmt] [-l | -a snapshot | -c snapshot | -d "
      "snapshot] filename",
      "list, apply, create or delete the snapshots in an image", NULL },
};
const size_t n_commands = ARRAY_LEN(commands);

const Command *command_find(const char *name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_formats(FILE *out)
{
    fprintf(out, "Supported formats:");
    for (size_t i = 0; driver_name_at(i); i++)
        fprintf(out, " %s", driver_name_at(i));
    fputc('\n', out);
}

void command_help(const Command *cmd, FILE *out)
{
    fprintf(out, "usage: %s %s %s\n\n%s: %s.\n", program_name, cmd->name, cmd->usage, cmd->name,
            cmd->summary);
    if (cmd->details)
        fprintf(out, "%s\n", cmd->details);
}

int help_version(FILE *out)
{
    fprintf(out, "img-tool version %s (Onionskin)\n", ONIONSKIN_VERSION);
    return 0;
}

static const char parameters[] =
    "  'filename' is a file name, 'json:{...}', or options with --image-opts\n"
    "  'fmt' is the image format; it is guessed from the content if not given\n"
    "  'cache' is how the output is written: none, writeback (default, except for convert), "
    "writethrough,\n"
    "    directsync, unsafe (default for convert); 'src_cache' the same for what is read\n"
    "  'size' is in bytes; the suffixes k, M, G, T, P and E are powers of 1024\n"
    "  'options' is a list name=value,...; '-o help' lists what the format has\n"
    "  'snapshot_param' is a snapshot's name or ID, or 'snapshot.id=ID,snapshot.name=NAME'\n"
    "  '-p' shows progress, '-q' prints only errors, '-U' opens an image that is in use "
    "elsewhere\n";

int help_print(FILE *out)
{
    help_version(out);
    fprintf(out,
            "usage: %s [standard options] command [command options]\n"
            "Makes, converts, inspects, checks, compares and repairs disk images\n\n"
            "    '-h', '--help'       display this help and exit\n"
            "    '-V', '--version'    output version information and exit\n\n"
            "Command syntax:\n",
            program_name);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %s %s\n", commands[i].name, commands[i].usage);
    fprintf(out, "\nCommand parameters:\n%s\n", parameters);
    print_formats(out);
    return 0;
}

/* Text for roff: a leading dot or quote and every backslash and hyphen must not be taken as markup.
 */
static void roff(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == '-')
            fputc('\\', out);
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            fputs("\\&", out);
        fputc(*p, out);
    }
}

int help_manual(FILE *out)
{
    fprintf(out,
            ".TH IMG-TOOL 1 \"\" \"Onionskin %s\" \"User Commands\"\n"
            ".SH NAME\nimg\\-tool \\- copy\\-on\\-write disk image toolkit\n"
            ".SH SYNOPSIS\n.B img\\-tool\n.I command\n[options]\n.SH COMMANDS\n",
            ONIONSKIN_VERSION);
    for (size_t i = 0; i < n_commands; i++) {
        const Command *cmd = &commands[i];

        fprintf(out, ".TP\n.B %s\n", cmd->name);
        roff(out, cmd->usage);
        fprintf(out, "\n.br\n%c", toupper((unsigned char)cmd->summary[0]));
        roff(out, cmd->summary + 1);
        fputs(".\n", out);
        if (cmd->details) {
            roff(out, cmd->details);
            fputc('\n', out);
        }
    }
    fputs(".SH PARAMETERS\n.nf\n", out);
    roff(out, parameters);
    fputs(".fi\n.SH SEE ALSO\n.BR emulator (1)\n", out);
    return 0;
}
