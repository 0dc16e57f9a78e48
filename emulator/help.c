/*
 * help.c - --help and the manual page, both from cmd_options.
 */
#include <ctype.h>
#include <string.h>

#include "emulator/cmdline.h"

enum { HELP_COLUMN = 26, HELP_WIDTH = 80 };

static const char *const sections[OPT_SECTIONS] = {
    [OPT_MACHINE] = "Machine", [OPT_BLOCK] = "Disks", [OPT_BOOT] = "Booting",
    [OPT_IO] = "Consoles",     [OPT_RUN] = "Running",
};

static const char synopsis[] = "emulator [OPTION...] [IMAGE]";
static const char summary[] =
    "Runs a PC. IMAGE alone boots it: as the first disk, or in the CD-ROM drive if it is an "
    "ISO 9660 image.";

static const char keys[] = "On the terminal Ctrl-A x quits, Ctrl-A c switches between the console "
                           "and the monitor, Ctrl-A h helps, Ctrl-A Ctrl-A sends Ctrl-A.";

/* The text in lines that fit, each after the first indented. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    int at = column;

    while (*text) {
        int len = (int)strcspn(text, " ");

        if (at > column && at + 1 + len > HELP_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", len, text);
        at += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const CmdOption *o)
{
    int n = fprintf(out, "  -%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

    if (n >= HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - n, "");
    print_wrapped(out, o->help, HELP_COLUMN);
}

void help_print(FILE *out)
{
    fprintf(out, "usage: %s\n", synopsis);
    print_wrapped(out, summary, 0);
    for (int s = 0; s < OPT_SECTIONS; s++) {
        fprintf(out, "\n%s:\n", sections[s]);
        for (const CmdOption *o = cmd_options; o->name; o++)
            if (o->section == (OptSection)s)
                print_option(out, o);
    }
    fputc('\n', out);
    print_wrapped(out, keys, 0);
}

/* roff wants its own characters escaped. */
static void print_roff(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == '-')
            fputc('\\', out);
        fputc(*p, out);
    }
}

static void print_man_option(FILE *out, const CmdOption *o)
{
    fputs(".TP\n.B \\-", out);
    print_roff(out, o->name);
    if (o->arg) {
        fputs("\\fR \\fI", out);
        print_roff(out, o->arg);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    fputc(toupper((unsigned char)o->help[0]), out);
    print_roff(out, o->help + 1);
    fputs(".\n", out);
}

void help_print_man(FILE *out)
{
    fprintf(out, ".TH EMULATOR 1 \"\" \"Onionskin %s\" \"User commands\"\n", EMULATOR_VERSION);
    fputs(".SH NAME\nemulator \\- run a PC from copy\\-on\\-write disk images\n.SH SYNOPSIS\n.B ",
          out);
    fprintf(out, "%s\n.SH DESCRIPTION\n", synopsis);
    print_roff(out, summary);
    fputs("\n.SH OPTIONS\n", out);
    for (int s = 0; s < OPT_SECTIONS; s++) {
        fprintf(out, ".SS %s\n", sections[s]);
        for (const CmdOption *o = cmd_options; o->name; o++)
            if (o->section == (OptSection)s)
                print_man_option(out, o);
    }
    fputs(".SH KEYS\n", out);
    print_roff(out, keys);
    fputs("\n.SH EXIT STATUS\n0 after the guest powered off or the user quit; 1 after an error; "
          "what isa\\-debug\\-exit says, 2V+1.\n.SH SEE ALSO\n.BR img\\-tool (1)\n",
          out);
}
