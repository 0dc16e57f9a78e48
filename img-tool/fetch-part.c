/*
 * fetch-part.c - see fetch.h: OUT.part and what is known of it.
 *
 * The state is a text, one "key value" a line, replaced as a whole by rename. Its `boot` is the
 * run of the host that wrote the part: as long as the host did not crash, all that was written is
 * there, in order, whatever happened to the program; else only the first `stable` bytes count.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/math.h"
#include "block/remote.h"
#include "img-tool/fetch.h"

enum { STATE_MAX = 16384 };

static const char state_title[] = "onionskin fetch 1";

static void read_boot(char boot[64])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, boot, 63);

    if (fd >= 0)
        close(fd);
    boot[MAX(n, (ssize_t)0)] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

/* ---- the state ---------------------------------------------------------------------------------
 */

static bool number(const char *text, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= INT64_MAX;
}

static bool parse_line(Part *out, const char *key, const char *value)
{
    if (strcmp(key, "url") == 0) {
        free(out->url);
        return (out->url = strdup(value));
    }
    if (strcmp(key, "version") == 0)
        return snprintf(out->version, sizeof(out->version), "%s", value) <
               (int)sizeof(out->version);
    if (strcmp(key, "boot") == 0)
        return snprintf(out->boot, sizeof(out->boot), "%s", value) < (int)sizeof(out->boot);
    if (strcmp(key, "size") == 0)
        return number(value, &out->size);
    return strcmp(key, "stable") != 0 || number(value, &out->stable);
}

bool part_parse(const char *text, Part *out)
{
    AUTO_FREE char *copy = strdup(text);
    char *save, *line = copy ? strtok_r(copy, "\n", &save) : NULL;

    if (!line || strcmp(line, state_title) != 0)
        return false;
    while ((line = strtok_r(NULL, "\n", &save))) {
        char *space = strchr(line, ' ');

        if (!space)
            return false;
        *space = '\0';
        if (!parse_line(out, line, space + 1))
            return false;
    }
    return out->url && out->stable <= out->size;
}

static bool state_read(const Part *p, Part *out)
{
    char text[STATE_MAX];
    int fd = open(p->state_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return part_parse(text, out);
}

int rename_for_good(const char *from, const char *to, Error **err)
{
    AUTO_FREE char *copy = strdup(to);

    if (rename(from, to) < 0)
        return error_set(err, -errno, "cannot rename '%s' to '%s': %s", from, to, strerror(errno));
    int dir = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int ret = dir < 0 || fsync(dir) < 0 ? -errno : 0;
    if (dir >= 0)
        close(dir);
    return ret < 0 && ret != -EINVAL
               ? error_set(err, ret, "cannot write down the folder of '%s': %s", to, strerror(-ret))
               : 0;
}

static int state_write(const Part *p, Error **err)
{
    AUTO_FREE char *text = NULL, *temp = NULL;
    int n =
        asprintf(&text, "%s\nurl %s\nsize %" PRIu64 "\nstable %" PRIu64 "\nversion %s\nboot %s\n",
                 state_title, p->url, p->size, p->stable, p->version, p->boot);

    if (n < 0 || asprintf(&temp, "%s.new", p->state_path) < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    int ret = fd < 0 || write(fd, text, (size_t)n) != n || fdatasync(fd) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (ret < 0)
        return error_set(err, ret, "cannot write '%s': %s", temp, strerror(-ret));
    return rename(temp, p->state_path) < 0
               ? error_set(err, -errno, "cannot write '%s': %s", p->state_path, strerror(errno))
               : 0;
}

/* ---- the part ----------------------------------------------------------------------------------
 */

/* How much of the part is what `src` is. */
static uint64_t usable(const Part *p, bool trust_size, uint64_t len)
{
    Part was = { .fd = -1 };
    uint64_t have = 0;

    if (len == 0)
        return 0;
    bool known = state_read(p, &was) && strcmp(was.url, p->url) == 0;
    if (known && was.size == p->size && strcmp(was.version, p->version) == 0 &&
        (*p->version || trust_size))
        have = strcmp(was.boot, p->boot) == 0 && *p->boot ? len : was.stable;
    else if (known && *was.version)
        log_warning("%s: the file changed on the server since '%s' was begun: it begins anew",
                    p->url, p->path);
    free(was.url);
    return MIN(have, MIN(len, p->size));
}

static int part_lock(Part *p, Error **err)
{
    struct stat st;

    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0)
        return error_set(err, -errno, "cannot open '%s': %s", p->path, strerror(errno));
    if (fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "'%s' is no regular file", p->path);
    if (flock(p->fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, -EBUSY, "'%s' is being written by another process", p->path);
    return 0;
}

int part_open(Part *p, const char *out, const char *url, Node *src, bool trust_size, uint64_t *have,
              Error **err)
{
    struct stat st;

    *p = (Part) { .fd = -1, .size = node_size(src) };
    p->url = url_without_secrets(url);
    if (!p->url || asprintf(&p->path, "%s.part", out) < 0 ||
        asprintf(&p->state_path, "%s.part.state", out) < 0)
        return error_set(err, -ENOMEM, "no memory for a name");
    remote_version(src, p->version);
    read_boot(p->boot);
    int ret = part_lock(p, err);
    if (ret < 0)
        return ret;
    if (fstat(p->fd, &st) < 0)
        return error_set(err, -errno, "'%s': %s", p->path, strerror(errno));
    *have = usable(p, trust_size, (uint64_t)st.st_size);
    p->stable = *have;
    if (ftruncate(p->fd, (off_t)*have) < 0 || (*have && fdatasync(p->fd) < 0))
        return error_set(err, -errno, "'%s': %s", p->path, strerror(errno));
    return state_write(p, err);
}

int part_sync(Part *p, uint64_t have, Error **err)
{
    if (fdatasync(p->fd) < 0)
        return error_set(err, -errno, "cannot write '%s': %s", p->path, strerror(errno));
    p->stable = have;
    return state_write(p, err);
}

int part_reset(Part *p, Error **err)
{
    p->stable = 0;
    if (ftruncate(p->fd, 0) < 0)
        return error_set(err, -errno, "cannot empty '%s': %s", p->path, strerror(errno));
    return state_write(p, err);
}

int part_finish(Part *p, const char *out, Error **err)
{
    int ret = rename_for_good(p->path, out, err);

    if (ret == 0)
        unlink(p->state_path);
    return ret;
}

void part_remove(Part *p)
{
    unlink(p->path);
    unlink(p->state_path);
}

void part_close(Part *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    free(take(&p->path));
    free(take(&p->state_path));
    free(take(&p->url));
}
