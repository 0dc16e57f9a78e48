/*
 * serve.c - img-tool serve: images for other programs over NBD. Called as qemu-nbd, it is that.
 *
 * The two differ in defaults only: qemu-nbd serves one image for writing to one client anywhere
 * and ends with it; img-tool serve serves any number, read-only unless --writable, to this host
 * only unless
 * --bind, to many clients, until it is told to end.
 */
#include "img-tool/help.h"
#include "img-tool/serve.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "block/nbd/authz.h"
#include "block/nbd/proto.h"

enum {
    OPT_CACHE = OPT_COMMAND,
    OPT_AIO,
    OPT_DISCARD,
    OPT_DETECT_ZEROES,
    OPT_TLS_CREDS,
    OPT_TLS_HOSTNAME,
    OPT_TLS_AUTHZ,
    OPT_FORK,
    OPT_PID_FILE,
    OPT_SELINUX,
    OPT_ONCE,
};

static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "port", required_argument, NULL, 'p' },
    { "bind", required_argument, NULL, 'b' },
    { "socket", required_argument, NULL, 'k' },
    { "shared", required_argument, NULL, 'e' },
    { "persistent", no_argument, NULL, 't' },
    { "once", no_argument, NULL, OPT_ONCE },
    { "verbose", no_argument, NULL, 'v' },
    { "export-name", required_argument, NULL, 'x' },
    { "description", required_argument, NULL, 'D' },
    { "offset", required_argument, NULL, 'o' },
    { "allocation-depth", no_argument, NULL, 'A' },
    { "bitmap", required_argument, NULL, 'B' },
    { "list", no_argument, NULL, 'L' },
    { "object", required_argument, NULL, OPT_OBJECT },
    { "tls-creds", required_argument, NULL, OPT_TLS_CREDS },
    { "tls-hostname", required_argument, NULL, OPT_TLS_HOSTNAME },
    { "tls-authz", required_argument, NULL, OPT_TLS_AUTHZ },
    { "trace", required_argument, NULL, 'T' },
    { "fork", no_argument, NULL, OPT_FORK },
    { "pid-file", required_argument, NULL, OPT_PID_FILE },
    { "selinux-label", required_argument, NULL, OPT_SELINUX },
    { "connect", required_argument, NULL, 'c' },
    { "disconnect", no_argument, NULL, 'd' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "writable", no_argument, NULL, 'w' },
    { "snapshot", no_argument, NULL, 's' },
    { "load-snapshot", required_argument, NULL, 'l' },
    { "nocache", no_argument, NULL, 'n' },
    { "cache", required_argument, NULL, OPT_CACHE },
    { "aio", required_argument, NULL, OPT_AIO },
    { "discard", required_argument, NULL, OPT_DISCARD },
    { "detect-zeroes", required_argument, NULL, OPT_DETECT_ZEROES },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { "quiet", no_argument, NULL, 'q' },
    { 0 },
};

/* A mistake on the command line. */
#define MISTAKE(s, ...)                                                                            \
    ({                                                                                             \
        usage_error((s)->cmd, __VA_ARGS__);                                                        \
        1;                                                                                         \
    })

/* ---- single options: 0 done, 1 reported, -1 not known ---- */

static int number_option(Serve *s, int opt)
{
    char *end;

    if (opt == 'o')
        return parse_size(optarg, "offset", &s->offset) ? 0 : 1;
    if (opt == 'p') {
        unsigned long port = strtoul(optarg, &end, 10);

        if (*end || end == optarg || port < 1 || port > 65535)
            return MISTAKE(s, "Invalid port number '%s'", optarg);
        s->port = optarg;
        return 0;
    }
    errno = 0;
    s->shared = strtoul(optarg, &end, 10);
    if (*end || end == optarg || errno || *optarg == '-' || s->shared > INT32_MAX)
        return MISTAKE(s, "Invalid shared device number '%s'", optarg);
    return 0;
}

static int list_option(Serve *s, int opt)
{
    bool name = opt == 'x';
    size_t *n = name ? &s->n_names : &s->n_bitmaps;

    if (strlen(optarg) > NBD_MAX_STRING - 32)
        return MISTAKE(s, "'%.20s...' is too long", optarg);
    if (*n == (name ? SERVE_MAX_EXPORTS : SERVE_MAX_BITMAPS))
        return MISTAKE(s, "too many %s", name ? "export names" : "bitmaps");
    if (name && s->as_nbd) /* the last one counts */
        *n = 0;
    (name ? s->names : s->bitmaps)[(*n)++] = optarg;
    return 0;
}

static int text_option(Serve *s, int opt)
{
    switch (opt) {
    case 'b': s->bind = optarg; return 0;
    case 'k': s->socket = optarg; return 0;
    case 'D': s->description = optarg; return 0;
    case 'l': s->load = optarg; return 0;
    case 'c': s->connect = optarg; return 0;
    case OPT_CACHE: s->common.cache = optarg; return 0;
    case OPT_AIO: s->aio = optarg; return 0;
    case OPT_DISCARD: s->discard = optarg; return 0;
    case OPT_DETECT_ZEROES: s->detect_zeroes = optarg; return 0;
    case OPT_TLS_CREDS: s->tls_creds = optarg; return 0;
    case OPT_TLS_HOSTNAME: s->tls_hostname = optarg; return 0;
    case OPT_TLS_AUTHZ: s->tls_authz = optarg; return 0;
    case OPT_PID_FILE: s->pid_file = optarg; return 0;
    case 'T': return 0; /* there are no trace events to choose from; -v tells what happens */
    case OPT_SELINUX:
        complain("--selinux-label: there is no support for SELinux in this program");
        return 1;
    default: return -1;
    }
}

static int flag_option(Serve *s, int opt)
{
    switch (opt) {
    case 't': s->persistent = true; return 0;
    case OPT_ONCE: s->persistent = false; return 0;
    case 'v': s->verbose = true; return 0;
    case 'A': s->depth = true; return 0;
    case 'L': s->list = true; return 0;
    case 'd': s->disconnect = ""; return 0;
    case 'r': s->read_only = true; return 0;
    case 'w': s->writable = true; return 0;
    case 's': s->temporary = true; return 0;
    case 'n': s->no_cache = true; return 0;
    case OPT_FORK: s->fork = true; return 0;
    default: return -1;
    }
}

static int own_option(Serve *s, int opt)
{
    if (opt == 'o' || opt == 'p' || opt == 'e')
        return number_option(s, opt);
    if (opt == 'x' || opt == 'B')
        return list_option(s, opt);
    int ret = flag_option(s, opt);
    return ret < 0 ? text_option(s, opt) : ret;
}

/* ---- all of them together ---- */

static bool one_of(const char *value, const char *const *list)
{
    if (!value)
        return true;
    for (; *list; list++)
        if (strcmp(value, *list) == 0)
            return true;
    return false;
}

static int check_values(Serve *s)
{
    static const char *const discards[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const detects[] = { "off", "on", "unmap", NULL };
    static const char *const aios[] = { "threads", "native", "io_uring", NULL };
    unsigned flags = 0;

    if (!one_of(s->discard, discards))
        return MISTAKE(s, "Invalid discard mode '%s': ignore or unmap", s->discard);
    if (!one_of(s->detect_zeroes, detects))
        return MISTAKE(s, "Invalid detect-zeroes mode '%s': off, on or unmap", s->detect_zeroes);
    if (!one_of(s->aio, aios)) /* requests are made by threads, whatever is said */
        return MISTAKE(s, "Invalid aio mode '%s': threads, native or io_uring", s->aio);
    if (s->no_cache && s->common.cache)
        return MISTAKE(s, "-n and --cache can only be specified once");
    if (s->no_cache)
        s->common.cache = "none";
    if (s->common.cache && cache_mode_flags(s->common.cache, &flags) < 0)
        return MISTAKE(s, "Invalid cache mode '%s'", s->common.cache);
    if (s->description && strlen(s->description) > NBD_MAX_STRING - 32)
        return MISTAKE(s, "the description has more than %d bytes", NBD_MAX_STRING - 32);
    return 0;
}

static int check_together(Serve *s)
{
    if (s->writable && s->read_only && !s->as_nbd)
        return MISTAKE(s, "--writable and --read-only contradict each other");
    if (s->socket && (s->port || s->bind))
        return MISTAKE(s, "a socket (-k) has no port and no interface (-p, -b)");
    if (s->connect && (s->port || s->bind || s->tls_creds || s->tls_hostname))
        return MISTAKE(s, "TLS, -p and -b make no sense with a device (-c)");
    if (s->list && (s->connect || s->disconnect || s->n_names || s->description || s->pid_file ||
                    s->n_bitmaps || s->depth || s->load || s->offset || s->common.image_opts))
        return MISTAKE(s, "List mode is incompatible with exporting an image");
    if (s->tls_authz && !s->tls_creds)
        return MISTAKE(s, "--tls-authz is not permitted without --tls-creds");
    if (s->tls_authz && s->list)
        return MISTAKE(s, "TLS authorization is incompatible with export list");
    if (s->tls_hostname && !s->tls_creds)
        return MISTAKE(s, "--tls-hostname is not permitted without --tls-creds");
    if (s->tls_hostname && !s->list)
        return MISTAKE(s, "TLS hostname is only supported with export list");
    return 0;
}

static int prepare(Serve *s)
{
    Error *err = NULL;
    const char *host = s->bind ? s->bind : s->as_nbd ? "0.0.0.0" : "localhost";

    if (s->socket)
        s->address.path = strdup(s->socket);
    else
        s->address =
            (NbdAddress) { .host = strdup(host), .port = strdup(s->port ? s->port : NBD_PORT) };
    if (s->tls_creds && !(s->tls = nbd_tls_find(s->tls_creds, !s->list, &err)))
        return fail(err, -EINVAL);
    if (s->tls_authz && nbd_authz_exists(s->tls_authz, &err) < 0)
        return fail(err, -EINVAL);
    return 0;
}

static void print_all(LogLevel level, const char *message, void *opaque)
{
    (void)opaque;
    complain("%s%s", level == LOG_WARNING ? "warning: " : "", message);
}

static int serve(Serve *s, int argc, char **argv)
{
    if (s->verbose)
        log_set_hook(print_all, NULL);
    if (s->disconnect) {
        if (argc != 1)
            return usage_error(s->cmd, "-d needs the name of a device");
        return serve_disconnect(argv[0]);
    }
    if (check_values(s) != 0 || check_together(s) != 0 || prepare(s) != 0)
        return 1;
    if (s->list)
        return argc ? usage_error(s->cmd, "Invalid number of arguments") : serve_list(s);
    if (argc < 1 || (s->as_nbd && argc > 1) || argc > SERVE_MAX_EXPORTS)
        return usage_error(s->cmd, "Invalid number of arguments");
    serve_daemonize(s);
    if (serve_open(s, argc, argv) != 0)
        return 1;
    return s->connect ? serve_on_device(s) : serve_run(s);
}

static int run(Serve *s, int argc, char **argv)
{
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hVb:o:p:rwsnc:dvk:e:f:tl:x:T:D:AB:Lq", long_options,
                              NULL)) != -1) {
        if (opt == 'V') {
            return help_version(stdout);
        }
        int ret = own_option(s, opt);
        if (ret == 0)
            continue;
        if (ret > 0)
            return 1;
        if (common_option(&s->common, s->cmd, opt, &code) < 0)
            return code;
    }
    code = serve(s, argc - optind, argv + optind);
    serve_close(s);
    nbd_address_free(&s->address);
    return code;
}

int cmd_serve(int argc, char **argv)
{
    static Serve s;

    s = (Serve) { .cmd = command_find("serve"), .persistent = true, .discard = "unmap" };
    return run(&s, argc, argv);
}

int cmd_nbd(int argc, char **argv)
{
    static Serve s;

    s = (Serve) { .cmd = command_find("serve"), .as_nbd = true, .writable = true, .shared = 1 };
    return run(&s, argc, argv);
}
