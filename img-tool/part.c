/*
 * part.c - see part.h.
 *
 * The journal is text: a heading, the identity of the system's run (what is not on disk does not
 * survive the machine's end), the identity of the job, then a line for each step: "done N" if
 * N bytes will outlive this program, "durable N" if they will outlive a power cut. The
 * last whole line counts. Who writes the part holds a lock on the journal.
 */
#include "img-tool/part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/math.h"

enum { MAX_LINKS = 40, MAX_JOURNAL = 64 << 20, BOOT_ID = 64, SUFFIXES = sizeof(".part.journal") };

static const char heading[] = "img-tool journal 1\n";

/* ---- names -------------------------------------------------------------------------------------
 */

/* The name that the symbolic link `path` has inside, as seen from here; NULL: it is no link. */
static char *follow_link(const char *path)
{
    char to[PATH_MAX];
    ssize_t n = readlink(path, to, sizeof(to) - 1);

    if (n < 0)
        return NULL;
    to[n] = '\0';
    return path_resolve(path, to);
}

/* The name behind all links; NULL: there are too many, or one leads through /proc. */
static char *real_name(const char *target)
{
    char *path = strdup(target), *next;

    for (int i = 0; path && (next = follow_link(path)); i++) {
        free(path);
        path = next;
        if (i == MAX_LINKS || strncmp(path, "/proc/", 6) == 0) {
            free(path);
            return NULL;
        }
    }
    return path;
}

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash + 1 - path) : 0;
}

/* "." for a name without one. */
static char *folder_of(const char *path)
{
    size_t n = folder_length(path);

    return n ? strndup(path, n) : strdup(".");
}

/* NAME.part; of a name that is as long as names may be, the end is left out. */
static int make_names(PartFile *p)
{
    size_t folder = folder_length(p->name);
    size_t base = MIN(strlen(p->name + folder), (size_t)(NAME_MAX - SUFFIXES));

    if (asprintf(&p->path, "%.*s.part", (int)(folder + base), p->name) < 0)
        p->path = NULL;
    if (!p->path || asprintf(&p->journal_path, "%s.journal", p->path) < 0)
        p->journal_path = NULL;
    return p->journal_path ? 0 : -ENOMEM;
}

/* Would rename() be allowed to put another file in the place of this one? */
static bool may_replace(const char *name, const struct stat *old)
{
    AUTO_FREE char *folder = folder_of(name);
    struct stat st;
    uid_t me = geteuid();

    if (!folder || access(folder, W_OK | X_OK) < 0 || stat(folder, &st) < 0)
        return false;
    if (!old)
        return true;
    bool mine = me == 0 || old->st_uid == me || st.st_uid == me;
    return S_ISREG(old->st_mode) && (mine || !(st.st_mode & S_ISVTX));
}

/* ---- the journal -------------------------------------------------------------------------------
 */

static void boot_id(char id[BOOT_ID])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, id, BOOT_ID - 1);

    if (fd >= 0)
        close(fd);
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

/* The whole journal as text; NULL: it cannot be read, or is too large to be one. */
static char *journal_text(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size > MAX_JOURNAL)
        return NULL;
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (text && pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
        free(text);
        return NULL;
    }
    return text;
}

/* Take the line at *at; false: it has no end, so it was not written whole. */
static bool next_line(char **at, const char **line)
{
    char *end = strchr(*at, '\n');

    if (!end)
        return false;
    *end = '\0';
    *line = *at;
    *at = end + 1;
    return true;
}

/* Why the part cannot be resumed, or NULL and how far it is. */
static const char *read_journal(char *text, const char *identity, uint64_t *done)
{
    const char *line;
    char boot[BOOT_ID], *at = text + strlen(heading);

    boot_id(boot);
    if (!next_line(&at, &line))
        return "its journal is incomplete";
    bool same_run = *boot && strcmp(line, boot) == 0;
    if (!identity)
        return "nobody can tell whether its source has changed";
    if (!next_line(&at, &line))
        return "its journal is incomplete";
    if (strcmp(line, identity) != 0)
        return "it was begun from another source, from one that has changed since, or with other "
               "options";
    *done = 0;
    while (next_line(&at, &line)) {
        uint64_t n;

        if (sscanf(line, "durable %" SCNu64, &n) == 1 ||
            (same_run && sscanf(line, "done %" SCNu64, &n) == 1))
            *done = n;
    }
    return NULL;
}

/* Open it, locked; *old is the text of an earlier one, NULL if it was made now. */
static int open_journal(PartFile *p, char **old, Error **err)
{
    int fd = open(p->journal_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0)
        return error_set(err, -errno, "Could not create '%s': %s", p->journal_path,
                         strerror(errno));
    p->journal = fd + 1;
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0)
        return error_set(err, -EBUSY, "'%s' is being written by another process", p->path);
    *old = journal_text(fd);
    if (!*old || (**old && strncmp(*old, heading, strlen(heading)) != 0))
        return error_set(err, -EEXIST, "'%s' is in the way: it is not a journal of img-tool",
                         p->journal_path);
    if (!**old) {
        free(*old);
        *old = NULL;
        if (access(p->path, F_OK) == 0) {
            unlink(p->journal_path);
            return error_set(err, -EEXIST, "'%s' is in the way: it was not made by img-tool",
                             p->path);
        }
    }
    return 0;
}

static int start_journal(PartFile *p, const char *identity, Error **err)
{
    AUTO_FREE char *text = NULL;
    char boot[BOOT_ID];
    int fd = p->journal - 1, ret = 0;

    boot_id(boot);
    if (asprintf(&text, "%s%s\n%s\n", heading, boot, identity ? identity : "") < 0)
        return error_set(err, -ENOMEM, "no memory for a journal");
    if (ftruncate(fd, 0) < 0)
        ret = -errno;
    if (ret == 0)
        ret = fd_write_all(fd, text, strlen(text));
    return ret < 0 ? error_set(err, ret, "cannot write '%s': %s", p->journal_path, strerror(-ret))
                   : 0;
}

int part_note(PartFile *p, uint64_t done, bool durable, Error **err)
{
    char line[48];
    int n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", durable ? "durable" : "done", done);
    int ret = fd_write_all(p->journal - 1, line, (size_t)n);

    return ret < 0 ? error_set(err, ret, "cannot write '%s': %s", p->journal_path, strerror(-ret))
                   : 0;
}

/* ---- the part ----------------------------------------------------------------------------------
 */

/* Empty, with the owner and the rights of what it will replace. */
static int make_part(PartFile *p, Error **err)
{
    struct stat st;
    bool replaces = p->old && stat(p->name, &st) == 0;

    int fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0644);
    if (fd < 0)
        return error_set(err, -errno, "Could not create '%s': %s", p->path, strerror(errno));
    int ret = 0;
    if (replaces && (st.st_uid != geteuid() || st.st_gid != getegid()) &&
        fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
        ret = -errno;
    if (ret == 0 && replaces && fchmod(fd, st.st_mode & 07777) < 0)
        ret = -errno;
    close(fd);
    return ret < 0 ? error_set(err, ret, "cannot give '%s' the rights of '%s': %s", p->path,
                               p->name, strerror(-ret))
                   : 0;
}

int part_restart(PartFile *p, const char *identity, Error **err)
{
    p->resume = 0;
    if (unlink(p->path) < 0 && errno != ENOENT) /* before its journal is empty for a moment */
        return error_set(err, -errno, "cannot remove '%s': %s", p->path, strerror(errno));
    int ret = start_journal(p, identity, err);
    return ret == 0 ? make_part(p, err) : ret;
}

/* Nobody may be using what will be replaced; nobody may begin to meanwhile. */
static int lock_old(PartFile *p, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();

    options_set(o, "driver", "file");
    options_set(o, "filename", p->name);
    return node_open(NULL, NULL, take(&o), OPEN_RDWR | OPEN_NO_FLUSH, &p->old, err);
}

/* What an earlier run left. */
static int look_at_journal(PartFile *p, const char *identity, bool resume, const char **why,
                           Error **err)
{
    AUTO_FREE char *text = NULL;
    int ret = open_journal(p, &text, err);

    if (ret < 0) {
        if (p->journal)
            close(p->journal - 1);
        p->journal = 0;
        return ret;
    }
    if (text && resume && access(p->path, F_OK) == 0)
        *why = read_journal(text, identity, &p->resume);
    return p->resume ? 0 : part_restart(p, identity, err);
}

int part_begin(PartFile *p, const char *target, const char *identity, bool resume, const char **why,
               Error **err)
{
    struct stat st;

    *p = (PartFile) { .name = real_name(target) };
    *why = NULL;
    if (!p->name)
        return 1;
    bool exists = stat(p->name, &st) == 0;
    if (!may_replace(p->name, exists ? &st : NULL))
        return 1;
    int ret = make_names(p);
    if (ret == 0 && exists)
        ret = lock_old(p, err);
    return ret == 0 ? look_at_journal(p, identity, resume, why, err) : ret;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static int sync_folder(const char *name)
{
    AUTO_FREE char *folder = folder_of(name);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int ret = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return ret == -EINVAL ? 0 : ret; /* some file systems have nothing to do here */
}

static int sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int ret = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return ret;
}

int part_finish(PartFile *p, bool durable, Error **err)
{
    int ret = durable ? sync_file(p->path) : 0;

    if (ret < 0)
        return error_set(err, ret, "cannot flush '%s': %s", p->path, strerror(-ret));
    if (rename(p->path, p->name) < 0)
        return error_set(err, -errno, "the image is whole, but '%s' cannot be renamed to '%s': %s",
                         p->path, p->name, strerror(errno));
    ret = durable ? sync_folder(p->name) : 0;
    unlink(p->journal_path);
    return ret < 0
               ? error_set(err, ret, "cannot flush the folder of '%s': %s", p->name, strerror(-ret))
               : 0;
}

void part_drop(PartFile *p)
{
    if (!p->journal)
        return;
    unlink(p->path);
    unlink(p->journal_path);
}

void part_free(PartFile *p)
{
    if (p->journal)
        close(p->journal - 1);
    node_unref(p->old);
    free(p->name);
    free(p->path);
    free(p->journal_path);
    *p = (PartFile) { 0 };
}
