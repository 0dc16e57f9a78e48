/*
 * help.h - what --help, --version and the manual page show, all from the command table.
 */
#ifndef IMG_TOOL_HELP_H
#define IMG_TOOL_HELP_H

#include <stdio.h>

int help_print(FILE *out);
int help_version(FILE *out);
int help_manual(FILE *out); /* roff, man(7) */

#endif
