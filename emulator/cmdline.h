/*
 * cmdline.h - the command line: one table gives parsing, --help and the manual page.
 */
#ifndef EMULATOR_CMDLINE_H
#define EMULATOR_CMDLINE_H

#include <stdio.h>

#include "emulator/config.h"

typedef enum { OPT_MACHINE, OPT_BLOCK, OPT_BOOT, OPT_IO, OPT_RUN, OPT_SECTIONS } OptSection;

typedef struct CmdOption {
    OptSection section;
    const char *name; /* without dashes */
    const char *arg;  /* NULL: takes none */
    const char *help;
    int (*parse)(Config *c, const char *value, Error **err);
} CmdOption;

extern const CmdOption cmd_options[]; /* ends with a NULL name */

typedef enum { CMDLINE_RUN, CMDLINE_HELP, CMDLINE_MAN, CMDLINE_VERSION, CMDLINE_LIST } CmdAction;

/*
 * Fill *c. The strings in it are borrowed from argv. *action says whether there is a machine to run
 * or only something to print: CMDLINE_LIST is `-machine help` and the like, and *list the text.
 */
int cmdline_parse(int argc, char *const *argv, Config *c, CmdAction *action, const char **list,
                  Error **err);
void config_free(Config *c);

/* The options about disks, in cmdline-drive.c. */
int cmdline_object(Config *c, const char *value, Error **err);
int cmdline_drive(Config *c, const char *value, Error **err);
int cmdline_hd(Config *c, unsigned index, const char *file, Error **err);
int cmdline_fd(Config *c, unsigned unit, const char *file, Error **err);
int cmdline_cdrom(Config *c, const char *file, Error **err);
int cmdline_image(Config *c, Error **err); /* `emulator IMAGE`: a disk, or a CD if it is one */
void drive_config_free(DriveConfig *d);

#define EMULATOR_VERSION "0.1"

void emulator_help_print(FILE *out);
void emulator_help_man(FILE *out);

#endif
