/*
 * help-text.c - see help.h: what --help, --version and the manual page print.
 */
#include "img-tool/help.h"

#include <ctype.h>
#include <string.h>

#include "base/helptext.h"
#include "base/version.h"
#include "img-tool/cmd.h"

/* Whose command lines and outputs ours are. */
#define COMPATIBLE_VERSION "7.2.22"

static void print_formats(FILE *out)
{
    fprintf(out, "Supported formats:");
    for (size_t i = 0; driver_name_at(i); i++)
        fprintf(out, " %s", driver_name_at(i));
    fputc('\n', out);
}

/* "-f, --format fmt" */
static void with_long_name(const Command *cmd, const char *option, const char *argument,
                           char text[128])
{
    const char *name = option_long_name(cmd->name, option);

    snprintf(text, 128, "%s%s%s%s", option, name ? ", " : "", name ? name : "", argument);
}

static void print_option(void *out, const Command *cmd, const char *option, const char *argument,
                         const char *text)
{
    char left[128];

    with_long_name(cmd, option, argument, left);
    help_option(out, left, text);
}

void command_help(const Command *cmd, FILE *out)
{
    fprintf(out, "usage: %s ", command_called(cmd));
    help_wrap(out, cmd->usage, 8 + (int)strlen(command_called(cmd)));
    fprintf(out, "\n%s: ", cmd->name);
    help_wrap(out, cmd->summary, (int)strlen(cmd->name) + 2);
    if (cmd->details)
        help_wrap(out, cmd->details, 0);
    fputc('\n', out);
    command_each_option(cmd, print_option, out);
}

int help_version(FILE *out)
{
    /* Who calls us by the other name asks what that program of this version can do. */
    if (strncmp(program_name, "qemu-", 5) == 0)
        fprintf(out, "%s%s %s (Onionskin %s)\n", program_name,
                strcmp(program_name, "qemu-nbd") == 0 ? "" : " version", COMPATIBLE_VERSION,
                ONIONSKIN_VERSION);
    else
        fprintf(out, "img-tool version %s (Onionskin)\n", ONIONSKIN_VERSION);
    return 0;
}

static const struct {
    const char *name, *text;
} parameters[] = {
    { "filename", "a file name, \"json:{...}\", or options with --image-opts" },
    { "objectdef",
      "TYPE,id=NAME,...: an object that images use by its name; 'secret' (data or file; format, "
      "keyid, iv) is a password or a key" },
    { "fmt", "an image format" },
    { "cache",
      "one of none, writeback, writethrough, directsync or unsafe; src_cache: of what is read" },
    { "size", "in bytes; the suffixes k, M, G, T, P and E are powers of 1024" },
    { "options", "a list name=value,...; '-o help' lists what the format has" },
    { "snapshot_param", "a snapshot's name or ID, or snapshot.id=ID,snapshot.name=NAME" },
};

int help_print(FILE *out)
{
    help_version(out);
    fprintf(out,
            "usage: %s [standard options] command [command options]\n"
            "Makes, converts, inspects, checks, compares and repairs disk images\n\n"
            "    '-h', '--help'       display this help and exit\n"
            "    '-V', '--version'    output version information and exit\n"
            "    '-T', '--trace'      accepted; there are no trace events\n\n"
            "Command syntax:\n",
            program_name);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, "  %s %s\n", commands[i].name, commands[i].usage);
    fputs("\nCommand parameters:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        help_option(out, parameters[i].name, parameters[i].text);
    fprintf(out, "\n'%s command --help' explains a command's options.\n\n", program_name);
    print_formats(out);
    return 0;
}

static void manual_option(FILE *out, const char *option, const char *text)
{
    fputs(".TP\n.B ", out);
    help_roff(out, option);
    fprintf(out, "\n%c", toupper((unsigned char)*text));
    help_roff(out, text + 1);
    fputs(".\n", out);
}

static void manual_command_option(void *out, const Command *cmd, const char *option,
                                  const char *argument, const char *text)
{
    char left[128];

    with_long_name(cmd, option, argument, left);
    manual_option(out, left, text);
}

static void manual_command(const Command *cmd, FILE *out)
{
    fprintf(out, ".SS %s\n.B img\\-tool %s\n", cmd->name, cmd->name);
    help_roff(out, cmd->usage);
    fprintf(out, "\n.PP\n%c", toupper((unsigned char)cmd->summary[0]));
    help_roff(out, cmd->summary + 1);
    fputs(".\n", out);
    if (cmd->details) {
        help_roff(out, cmd->details);
        fputc('\n', out);
    }
    command_each_option(cmd, manual_command_option, out);
}

int help_manual(FILE *out)
{
    fprintf(out,
            ".TH IMG-TOOL 1 \"\" \"Onionskin %s\" \"User Commands\"\n"
            ".SH NAME\nimg\\-tool \\- copy\\-on\\-write disk image toolkit\n"
            ".SH SYNOPSIS\n.B img\\-tool\n.I command\n[options]\n"
            ".SH DESCRIPTION\n"
            "Makes, converts, inspects, checks, compares and repairs disk images. Options,\n"
            "output and exit codes are those of qemu\\-img and, for io, of qemu\\-io.\n"
            ".SH COMMANDS\n.ad l\n",
            ONIONSKIN_VERSION);
    for (size_t i = 0; i < n_commands; i++)
        manual_command(&commands[i], out);
    fputs(".SH PARAMETERS\n", out);
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        manual_option(out, parameters[i].name, parameters[i].text);
    fputs(".SH SEE ALSO\n.BR emulator (1)\n", out);
    return 0;
}
