/*
 * io.h - inside `img-tool io`: the session that commands work on.
 */
#ifndef IMG_TOOL_IO_H
#define IMG_TOOL_IO_H

#include "img-tool/cmd.h"

typedef struct IoSession {
    Common common;
    unsigned flags; /* how images are opened */
    Node *node;     /* NULL: nothing is open */
    char *filename;
    bool quit;
} IoSession;

typedef struct IoCommand {
    const char *name, *alias;
    int (*run)(IoSession *s, int argc, char **argv); /* 0, or -1 after a message */
    int min_args, max_args;                          /* max_args -1: any number */
    bool without_image;                              /* works when nothing is open */
    const char *args, *help;
} IoCommand;

extern const IoCommand io_commands[];
extern const size_t n_io_commands;

int io_open(IoSession *s, const char *name);
void io_close(IoSession *s);

/* Split a line at blanks (double quotes keep them) and run it; 0, or -1 if it failed. */
int io_run_line(IoSession *s, const char *line);

/* Sizes and rates as this tool's outputs show them: "512 bytes", "64 KiB", "1.500 KiB". */
const char *io_size_text(double bytes, char text[SIZE_TEXT]);

/* io-transfer.c */
int io_read(IoSession *s, int argc, char **argv);
int io_readv(IoSession *s, int argc, char **argv);
int io_write(IoSession *s, int argc, char **argv);
int io_writev(IoSession *s, int argc, char **argv);
int io_discard(IoSession *s, int argc, char **argv);

#endif
