/*
 * serve.h - what the parts of img-tool serve (and qemu-nbd) share.
 */
#ifndef IMG_TOOL_SERVE_H
#define IMG_TOOL_SERVE_H

#include "block/nbd/address.h"
#include "block/nbd/server.h"
#include "img-tool/cmd.h"

enum { SERVE_MAX_EXPORTS = 256, SERVE_MAX_BITMAPS = 256 };

typedef struct Serve {
    Common common;
    const Command *cmd;
    bool as_nbd; /* called as qemu-nbd: its defaults */

    /* where */
    const char *port, *bind, *socket;
    const char *tls_creds, *tls_authz, *tls_hostname;
    NbdAddress address;
    const NbdTls *tls;

    /* how */
    uint64_t shared;
    bool persistent, verbose, list, fork;
    const char *pid_file, *connect, *disconnect;

    /* what */
    const char *names[SERVE_MAX_EXPORTS], *description;
    size_t n_names;
    const char *bitmaps[SERVE_MAX_BITMAPS];
    size_t n_bitmaps;
    uint64_t offset;
    bool depth, read_only, writable, temporary, no_cache;
    const char *load, *discard, *detect_zeroes, *aio;

    NbdServedExport exports[SERVE_MAX_EXPORTS];
    size_t n_exports;
} Serve;

/* Each returns the exit code. */
int serve_run(Serve *s);            /* exports are open */
int serve_list(Serve *s);           /* -L */
int serve_on_device(Serve *s);      /* -c */
int serve_disconnect(const char *); /* -d */

/* Open what `argv` names into s->exports, or report. 0 or 1. */
int serve_open(Serve *s, int argc, char **argv);
void serve_close(Serve *s);

/* After the server: what was written must be on stable storage. 0 or 1. */
int serve_flush(Serve *s);

/*
 * With s->fork: the parent waits here for serve_is_ready() and ends with the child's exit code if
 * that ends first. Returns in the child.
 */
void serve_daemonize(Serve *s);
/* From now on nobody waits for us any more; writes the pid file. 0 or 1. */
int serve_is_ready(Serve *s);

#endif
