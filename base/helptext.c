/*
 * helptext.c - wrapped lines, option lists, and characters that roff would interpret.
 */
#include "base/helptext.h"

#include <string.h>

enum { OPTION_COLUMN = 26, WIDTH = 80 };

void help_wrap(FILE *out, const char *text, int column)
{
    int at = column;

    while (*text) {
        int len = (int)strcspn(text, " ");

        if (at > column && at + 1 + len > WIDTH) {
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

void help_option(FILE *out, const char *option, const char *text)
{
    int n = fprintf(out, "  %s", option);

    if (n >= OPTION_COLUMN)
        fprintf(out, "\n%*s", OPTION_COLUMN, "");
    else
        fprintf(out, "%*s", OPTION_COLUMN - n, "");
    help_wrap(out, text, OPTION_COLUMN);
}

void help_roff(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == '-')
            fputc('\\', out);
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            fputs("\\&", out);
        fputc(*p, out);
    }
}
