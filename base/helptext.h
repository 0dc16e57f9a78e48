/*
 * helptext.h - text for --help and for manual pages.
 */
#ifndef BASE_HELPTEXT_H
#define BASE_HELPTEXT_H

#include <stdio.h>

/*
 * Prints `text` and a newline, in lines of at most 80 columns. Printing starts at `column`, and
 * every further line is indented to there.
 */
void help_wrap(FILE *out, const char *text, int column);

/* Prints an option with its argument in the left column, its text wrapped in the right one. */
void help_option(FILE *out, const char *option, const char *text);

/* Text for roff: nothing in it is taken as markup. */
void help_roff(FILE *out, const char *text);

#endif
