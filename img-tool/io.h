/*
 * io.h - inside `img-tool io`: the session that commands work on.
 */
#ifndef IMG_TOOL_IO_H
#define IMG_TOOL_IO_H

#include "block/aio.h"
#include "img-tool/cmd.h"

/* How an image is opened: from the program's options, or from those of `open`. */
typedef struct IoOpen {
    char *filename;   /* NULL: the options have it all */
    char *format;     /* NULL: by content */
    Options *options; /* never NULL */
    unsigned flags;   /* OPEN_* */
    bool snapshot;    /* writes go to a throw-away overlay */
    bool copy_on_read;
} IoOpen;

typedef struct IoSession {
    IoOpen how; /* the image that is open */
    Node *node; /* NULL: nothing is open */
    AioContext *aio;
    bool image_opts, misalign, quit;
    unsigned trust; /* OPEN_TRUSTED, OPEN_NO_EXTERNAL of the command line */
} IoSession;

typedef struct IoCommand {
    const char *name, *alias;
    int (*run)(IoSession *s, int argc, char **argv); /* 0, or -1 after a message */
    int min_args, max_args;                          /* max_args -1: any number */
    bool without_image;                              /* works when nothing is open */
    const char *args, *help;
    const char *details; /* lines for `help COMMAND`; NULL: none */
} IoCommand;

extern const IoCommand io_commands[];
extern const size_t n_io_commands;

/* Print how the command is used; returns -1. */
int io_usage(const char *name);

/* Split a line at blanks and run it; 0, or -1 if it failed. */
int io_run_line(IoSession *s, const char *line);

/* Numbers as this tool's commands take them; false after a message. */
bool io_number(const char *text, uint64_t *out);

/* Sizes and rates as this tool's outputs show them: "512 bytes", "64 KiB", "1.500 KiB". */
const char *io_size_text(double bytes, char text[SIZE_TEXT]);

/* io-open.c; io_open() takes what `how` has. 0, or -1 after a message. */
int io_open(IoSession *s, IoOpen *how);
void io_close(IoSession *s);
void io_open_free(IoOpen *how);
/* Is the value that of the option? -1 after a message if not. */
int io_discard_option(IoOpen *how, const char *value);
int io_cache_option(IoOpen *how, const char *value);
int run_open(IoSession *s, int argc, char **argv);
int run_close(IoSession *s, int argc, char **argv);
int run_reopen(IoSession *s, int argc, char **argv);

/* io-transfer.c */
int io_read(IoSession *s, int argc, char **argv);
int io_readv(IoSession *s, int argc, char **argv);
int io_write(IoSession *s, int argc, char **argv);
int io_writev(IoSession *s, int argc, char **argv);
int io_discard(IoSession *s, int argc, char **argv);

/* io-aio.c: requests that the session does not wait for, breakpoints, time */
int io_aio_read(IoSession *s, int argc, char **argv);
int io_aio_write(IoSession *s, int argc, char **argv);
int io_aio_flush(IoSession *s, int argc, char **argv);
int io_break(IoSession *s, int argc, char **argv);
int io_remove_break(IoSession *s, int argc, char **argv);
int io_resume(IoSession *s, int argc, char **argv);
int io_wait_break(IoSession *s, int argc, char **argv);
int io_sleep(IoSession *s, int argc, char **argv);
/* Report what has completed; with `all`, wait for everything. */
void io_aio_reap(IoSession *s, bool all);

#endif
