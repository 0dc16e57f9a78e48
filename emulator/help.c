/*
 * help.c - --help and the manual page, both from cmd_options.
 */
#include <ctype.h>
#include <string.h>

#include "base/helptext.h"
#include "emulator/cmdline.h"

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

static void print_option(FILE *out, const CmdOption *o)
{
    char option[128];

    snprintf(option, sizeof(option), "-%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    help_option(out, option, o->help);
}

void emulator_help_print(FILE *out)
{
    fprintf(out, "usage: %s\n", synopsis);
    help_wrap(out, summary, 0);
    for (int s = 0; s < OPT_SECTIONS; s++) {
        fprintf(out, "\n%s:\n", sections[s]);
        for (const CmdOption *o = cmd_options; o->name; o++)
            if (o->section == (OptSection)s)
                print_option(out, o);
    }
    fputc('\n', out);
    help_wrap(out, keys, 0);
}

static void print_man_option(FILE *out, const CmdOption *o)
{
    fputs(".TP\n.B \\-", out);
    help_roff(out, o->name);
    if (o->arg) {
        fputs("\\fR \\fI", out);
        help_roff(out, o->arg);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    fputc(toupper((unsigned char)o->help[0]), out);
    help_roff(out, o->help + 1);
    fputs(".\n", out);
}

void emulator_help_man(FILE *out)
{
    fprintf(out, ".TH EMULATOR 1 \"\" \"Onionskin %s\" \"User Commands\"\n", EMULATOR_VERSION);
    fputs(".SH NAME\nemulator \\- run a PC from copy\\-on\\-write disk images\n.SH SYNOPSIS\n.B ",
          out);
    fprintf(out, "%s\n.SH DESCRIPTION\n", synopsis);
    help_roff(out, summary);
    fputs("\n.SH OPTIONS\n", out);
    for (int s = 0; s < OPT_SECTIONS; s++) {
        fprintf(out, ".SS %s\n", sections[s]);
        for (const CmdOption *o = cmd_options; o->name; o++)
            if (o->section == (OptSection)s)
                print_man_option(out, o);
    }
    fputs(".SH KEYS\n", out);
    help_roff(out, keys);
    fputs("\n.SH EXIT STATUS\n0 after the guest powered off or the user quit; 1 after an error; "
          "what isa\\-debug\\-exit says, 2V+1.\n.SH SEE ALSO\n.BR img\\-tool (1)\n",
          out);
}
