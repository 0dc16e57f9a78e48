/*
 * cmd.h - what the subcommands share: their table, common arguments, opening images, messages.
 *
 * A subcommand is one file with one `cmd_NAME` function that gets its own argv and returns the
 * program's exit code. Options, outputs and exit codes are those of qemu-img.
 */
#ifndef IMG_TOOL_CMD_H
#define IMG_TOOL_CMD_H

#include <getopt.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "block/node.h"

typedef struct Command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;   /* the arguments, as --help shows them */
    const char *summary; /* one line for --help and the manual page */
    const char *details; /* paragraphs of the manual page; NULL: the summary says it all */
} Command;

extern const Command commands[];
extern const size_t n_commands;

int cmd_amend(int argc, char **argv);
int cmd_bitmap(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_commit(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_dd(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_io(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_rebase(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_nbd(int argc, char **argv); /* the program called as qemu-nbd */

/* The name the program was called by, for the start of messages. */
extern const char *program_name;

/* One line on stderr: "img-tool: ...". */
void complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same with an error's sentence; frees it. Returns 1, the exit code of a failure. */
int fail(Error *err, int code);
/* A mistake on the command line; says how to get help. Returns 1. */
int usage_error(const Command *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
const Command *command_find(const char *name);
/* How the command was called: "img-tool io", or "qemu-io". Until the next call. */
const char *command_called(const Command *cmd);
void command_help(const Command *cmd, FILE *out);

/* Each option of a command as its help has it: "-f", " fmt", "format of the image". */
typedef void EachOption(void *opaque, const Command *cmd, const char *option, const char *argument,
                        const char *text);
void command_each_option(const Command *cmd, EachOption *each, void *opaque);
/* The long name ("--format") of an option ("-f"), or NULL; long-names.c */
const char *option_long_name(const char *command, const char *option);

/* ---- arguments that most subcommands have ---------------------------------------------------- */

enum { /* long options without a letter */
       OPT_OUTPUT = 256,
       OPT_IMAGE_OPTS,
       OPT_TARGET_IMAGE_OPTS,
       OPT_OBJECT,
       OPT_NO_EXTERNAL,
       OPT_TRUSTED,
       OPT_COMMAND, /* first one free for a subcommand's own */
};

typedef struct Common {
    const char *format;
    const char *cache;         /* -t */
    const char *src_cache;     /* -T */
    bool no_external, trusted; /* docs/TRUST.md */
    bool image_opts, force_share, quiet, progress, json;
} Common;

/* The options every subcommand's table may list; end it with {0}. */
#define COMMON_LONG_OPTIONS                                                                        \
    { "help", no_argument, NULL, 'h' }, { "object", required_argument, NULL, OPT_OBJECT },         \
        { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },                                       \
        { "no-external", no_argument, NULL, OPT_NO_EXTERNAL },                                     \
        { "trusted", no_argument, NULL, OPT_TRUSTED },                                             \
        { "output", required_argument, NULL, OPT_OUTPUT },                                         \
        { "force-share", no_argument, NULL, 'U' }, { "format", required_argument, NULL, 'f' },     \
        { "quiet", no_argument, NULL, 'q' },                                                       \
    {                                                                                              \
        "progress", optional_argument, NULL, 'p'                                                   \
    }

/*
 * Handle an option that several subcommands have, after the subcommand's own. 0: done; -1: end now
 * with *exit_code (help, or an error that was reported: an option that is none of them is one).
 */
int common_option(Common *common, const Command *cmd, int opt, int *exit_code);

/* OPEN_TRUSTED, OPEN_NO_EXTERNAL: what --trusted and --no-external say. */
unsigned common_trust(const Common *common);

/* Open the image `name` (options text with --image-opts) or report and return NULL. */
Node *open_image(const Common *common, const char *name, const char *format, const char *cache,
                 unsigned flags);
/* The same with options (consumed) beside those in the name. */
Node *open_image_with(const Common *common, const char *name, const char *format, const char *cache,
                      unsigned flags, Options *extra);

/* Of the options that made an image, those that opening it needs, too. */
Options *secret_options(const Options *created);

/* Show what a snapshot holds: by name or ID, or `snapshot.id=ID,snapshot.name=NAME`. */
int load_snapshot(Node *node, const char *param, Error **err);

/* Is this `-o` argument a question for the list of options? */
bool asks_for_help(const char *options);
/*
 * Print what `-o` knows when an image of this format is made: with a file name, too, what the file
 * below it knows. Returns the exit code.
 */
int list_create_options(const char *format, const char *filename);

/* Parse a size argument or report; `what` names it. False on error. */
bool parse_size(const char *text, const char *what, uint64_t *out);
/* The same of bytes a second (-r). */
bool parse_rate(const char *text, uint64_t *out);

/* ---- progress ----------------------------------------------------------------------------------
 */

/*
 * Starts showing `p` on stdout if `show`: a bar on a terminal, else the percentage as others print
 * it; with --progress=json as JSON lines. SIGUSR1 prints one line on stderr in any case, and SIGINT
 * cancels. progress_hide() prints the end of it: set `cancel` first if the operation failed.
 */
void progress_show(Progress *p, bool show);
void progress_hide(Progress *p);
/* The value of --progress=: "json" or "json,fd=N". -EINVAL, -EBADF */
int progress_option(const char *text);

/* ---- shared output ------------------------------------------------------------------------------
 */

void print_snapshot_table(const SnapshotInfo *list, size_t count);
/* The array of snapshots, as `info` and `snapshot` print it */
void json_snapshots(JsonWriter *w, const SnapshotInfo *list, size_t count);

/* Nested values, four spaces a level: "    compat: 1.1". Dashes in keys become blanks. */
void print_specific(const json_t *v, int indent);

/*
 * bitmap.c: copy all dirty bitmaps to an image of the same content (convert --bitmaps); can that
 * work? 0, or 1 with a message.
 */
int check_bitmaps(Node *to, Node *from, bool skip_broken);
int copy_bitmaps(Node *to, Node *from, bool skip_broken);

#endif
