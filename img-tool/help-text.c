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

typedef struct Row {
    const char *name, *text;
} Row;

static const Row parameters[] = {
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

static const Row names[] = {
    { "PATH", "a file or a block device; one with a colon in its name is written ./NAME" },
    { "http:, https:, ftp:, ftps:", "a URL, for reading; what was read is kept in a cache" },
    { "nbd://HOST[:PORT]/EXPORT", "an NBD server; nbds: with TLS" },
    { "nbd+unix:///EXPORT?socket=PATH", "the same on a socket in the file system" },
    { "json:{...}", "options of the image as a JSON object" },
    { "blkdebug:, blkverify:, null-co://", "filters and helpers for tests" },
};

static const Row exit_codes[] = {
    { "0", "the command did what it was asked for" },
    { "1", "it did not; compare: the images differ" },
    { "2, 3, 4, 63", "check, compare and inspect say more with these; see there" },
};

static const Row environment[] = {
    { "ONIONSKIN_CACHE", "folder of the cache of what came over the network; 'off': none" },
    { "ONIONSKIN_CACHE_SIZE", "how large the cache may get" },
    { "XDG_CACHE_HOME", "if ONIONSKIN_CACHE is not set, the cache is below this folder" },
    { "TMPDIR", "where temporary overlays go (default: /var/tmp)" },
    { "http_proxy, https_proxy, no_proxy", "the proxy for URLs" },
};

static const Row examples[] = {
    { "img-tool create -f qcow2 -b base.qcow2 -F qcow2 work.qcow2",
      "an overlay that holds what is written from now on" },
    { "img-tool convert -p -c -O qcow2 disk.raw disk.qcow2", "a compressed copy" },
    { "img-tool measure -O qcow2 disk.raw", "how large that would be without compression" },
    { "img-tool check -r all disk.qcow2", "repair an image" },
    { "img-tool fetch --expect sha256:SUM -O raw URL disk.raw", "download, verify and convert" },
    { "source <(img-tool completion bash)", "complete arguments in this shell" },
};

static void manual_rows(FILE *out, const char *title, const Row *rows, size_t n)
{
    fprintf(out, ".SH %s\n", title);
    for (size_t i = 0; i < n; i++)
        manual_option(out, rows[i].name, rows[i].text);
}

int help_manual(FILE *out)
{
    fprintf(
        out,
        ".TH IMG-TOOL 1 \"\" \"Onionskin %s\" \"User Commands\"\n"
        ".SH NAME\nimg\\-tool \\- copy\\-on\\-write disk image toolkit\n"
        ".SH SYNOPSIS\n.B img\\-tool\n.I command\n[options]\n"
        ".SH DESCRIPTION\n"
        "Makes, converts, inspects, checks, compares, fetches, serves and repairs disk images.\n"
        "Options, output and exit codes are those of qemu\\-img, for io those of qemu\\-io, and\n"
        "for serve, called as qemu\\-nbd, those of qemu\\-nbd.\n"
        ".SH COMMANDS\n.ad l\n",
        ONIONSKIN_VERSION);
    for (size_t i = 0; i < n_commands; i++)
        manual_command(&commands[i], out);
    manual_rows(out, "PARAMETERS", parameters, ARRAY_LEN(parameters));
    manual_rows(out, "FILE NAMES", names, ARRAY_LEN(names));
    manual_rows(out, "EXIT STATUS", exit_codes, ARRAY_LEN(exit_codes));
    manual_rows(out, "ENVIRONMENT", environment, ARRAY_LEN(environment));
    manual_rows(out, "EXAMPLES", examples, ARRAY_LEN(examples));
    fputs(".SH SEE ALSO\n.BR emulator (1)\n", out);
    return 0;
}
