/*
 * convert-target.c - see convert.h: the target of a conversion, from its beginning to its name.
 *
 * A target that convert makes itself is a part file with a journal (part.h). Before one is resumed,
 * its metadata are checked and leaks of the interrupted run given back, and its last bytes are
 * compared with the source.
 */
#include "img-tool/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/math.h"
#include "block/graph.h"

enum { NOTE_BYTES = 16 << 20, DURABLE_NOTE_BYTES = 256 << 20, COMPARED = 1 << 20 };

static bool is_regular_or_absent(const char *path)
{
    AUTO_FREE char *proto = path_protocol(path);
    struct stat st;

    if (proto && strcmp(proto, "file") != 0) /* a server has it */
        return false;
    return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

/* ---- what the job is ---------------------------------------------------------------------------
 */

static json_t *options_json(const Options *o)
{
    json_t *all = json_object();

    for (size_t i = 0; i < options_count(o); i++) {
        const char *value = options_value_at(o, i);

        json_object_set_new(all, options_key_at(o, i), value ? json_string(value) : json_null());
    }
    return all;
}

/* One line of all that the target's bytes depend on; NULL: a source cannot tell if it changed. */
static char *job_identity(const Convert *c)
{
    json_t *job = json_object(), *sources = json_array();
    char *text = NULL;
    size_t i;

    for (i = 0; i < c->n_sources; i++) {
        AUTO_FREE char *id = NULL;

        if (node_identity(c->sources[i], &id) < 0)
            break;
        json_array_append_new(sources, json_string(id));
    }
    json_object_set_new(job, "sources", sources);
    json_object_set_new(job, "options", options_json(c->options));
    json_object_set_new(job, "format", json_string(c->target_format));
    json_object_set_new(job, "snapshot", c->snapshot ? json_string(c->snapshot) : json_null());
    json_object_set_new(job, "level", c->level ? json_string(c->level) : json_null());
    json_object_set_new(job, "compressed", json_boolean(c->compressed));
    json_object_set_new(job, "salvage", json_boolean(c->salvage));
    json_object_set_new(job, "bitmaps", json_boolean(c->bitmaps));
    json_object_set_new(job, "sparse", json_integer((json_int_t)c->sparse));
    if (i == c->n_sources)
        text = json_dumps(job, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(job);
    return text;
}

/* ---- opening ---- */

/* Secrets that it was made with open it, too. */
static void keep_open_options(Convert *c)
{
    c->open_options = secret_options(c->options);
    if (c->level)
        options_set(c->open_options, "compression-level", c->level);
}

static unsigned target_flags(const Convert *c)
{
    unsigned flags = OPEN_RDWR | OPEN_UNMAP | (c->backing_file ? 0 : OPEN_NO_BACKING);

    cache_mode_flags(c->common.cache ? c->common.cache : "unsafe", &flags);
    return flags;
}

static int open_dst(Convert *c, const char *name)
{
    Common common = { .image_opts = c->target_image_opts };

    c->dst = open_image_with(&common, name, c->target_image_opts ? NULL : c->target_format, NULL,
                             target_flags(c), options_copy(c->open_options));
    return c->dst ? 0 : 1;
}

static int check_size(const Convert *c)
{
    if (node_size(c->dst) >= c->total)
        return 0;
    complain("%s: %" PRIu64 " bytes are too few for the source's %" PRIu64, c->target,
             node_size(c->dst), c->total);
    return 1;
}

/* ---- making ---- */

static int make_target(Convert *c, const char *name)
{
    Error *err = NULL;
    bool zeros = !options_has(c->options, "backing_file") && is_regular_or_absent(name);
    int ret = node_create(name, c->target_format, options_copy(c->options), 0, NULL, &err);

    if (ret < 0)
        return fail(err, ret);
    c->made = !c->has_part;
    if (open_dst(c, name) != 0)
        return 1;
    c->target_is_zero = zeros && node_made_zero(c->dst);
    return 0;
}

/* ---- resuming ---- */

/* Mend what the interrupted run left: space that it had taken and not used. */
static bool repair_part(const Convert *c)
{
    AUTO_NODE Node *node = NULL;
    CheckResult result = { 0 };
    Error *err = NULL;
    unsigned flags = OPEN_RDWR | OPEN_NO_BACKING | OPEN_NO_FLUSH | OPEN_CHECK;
    int ret = node_open(c->part.path, c->target_format, options_copy(c->open_options), flags, &node,
                        &err);

    if (ret == 0)
        ret = node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err);
    error_free(err);
    return ret == -ENOTSUP || (ret == 0 && result.corruptions == 0 && result.check_errors == 0);
}

/* Does the part have, before the place where it will go on, what the source has there? */
static bool last_bytes_match(const Convert *c)
{
    uint64_t before = 0, end = c->part.resume;
    size_t i = 0;

    while (i + 1 < c->n_sources && before + node_size(c->sources[i]) < end)
        before += node_size(c->sources[i++]);
    uint64_t inside = MIN(end - before, node_size(c->sources[i]));
    uint64_t n = MIN(inside, (uint64_t)COMPARED);
    AUTO_FREE uint8_t *a = buffer_alloc(2 * (size_t)COMPARED);

    return a && node_pread(c->sources[i], a, n, inside - n) == 0 &&
           node_pread(c->dst, a + COMPARED, n, before + inside - n) == 0 &&
           memcmp(a, a + COMPARED, n) == 0;
}

/* Why the part is of no use, or NULL: it is open, at its place. */
static const char *resume_part(Convert *c)
{
    bool preallocated = options_has(c->options, "preallocation");

    if (c->part.resume > c->total)
        return "its journal is damaged";
    if (!repair_part(c))
        return "its metadata are damaged";
    if (open_dst(c, c->part.path) != 0)
        return "it cannot be opened";
    uint64_t size = node_size(c->dst), at = c->part.resume;
    if (size < c->total || !last_bytes_match(c))
        return "it is not what its journal says";
    c->target_is_zero = !options_has(c->options, "backing_file") && node_made_zero(c->dst);
    if (!preallocated && c->target_is_zero)
        node_discard(c->dst, at, size - at); /* its clusters come in order again */
    return NULL;
}

static int start_again(Convert *c, const char *identity, const char *why)
{
    Error *err = NULL;

    complain("warning: '%s' cannot be resumed: %s; starting again", c->part.path, why);
    node_unref(take(&c->dst));
    int ret = part_restart(&c->part, identity, &err);
    return ret < 0 ? fail(err, ret) : 0;
}

/* ---- the part file ---- */

static int make_or_resume(Convert *c, const char *identity, const char *why, Progress *progress)
{
    if (c->part.resume)
        why = resume_part(c);
    if (why && start_again(c, identity, why) != 0)
        return 1;
    c->noted = c->part.resume;
    progress_step(progress, c->part.resume);
    return c->dst ? 0 : make_target(c, c->part.path);
}

static int new_target(Convert *c, Progress *progress)
{
    AUTO_FREE char *proto = path_protocol(c->target);
    bool file = !proto || strcmp(proto, "file") == 0;
    const char *name = file && proto ? c->target + strlen("file:") : c->target, *why;
    AUTO_FREE char *identity = job_identity(c);
    Error *err = NULL;
    int ret = 1;

    if (file && *name) {
        ret = part_begin(&c->part, name, identity, c->resume, &why, &err);
        if (ret < 0)
            return fail(err, ret);
    }
    c->has_part = ret == 0;
    if (c->has_part)
        return make_or_resume(c, identity, why, progress);
    if (c->resume)
        complain("warning: '%s' is written in place: what was interrupted cannot be resumed",
                 c->target);
    return make_target(c, c->target);
}

int convert_open_target(Convert *c, Progress *progress)
{
    c->durable = !(target_flags(c) & OPEN_NO_FLUSH);
    keep_open_options(c);
    if (c->existing)
        return open_dst(c, c->target) != 0 ? 1 : check_size(c);
    if (!options_has(c->options, "size"))
        options_set_u64(c->options, "size", c->total);
    return new_target(c, progress) != 0 ? 1 : check_size(c);
}

int convert_checkpoint(void *opaque, uint64_t off, Error **err)
{
    Convert *c = opaque;
    uint64_t done = c->before + off;

    if (!c->has_part || done - c->noted < (c->durable ? DURABLE_NOTE_BYTES : NOTE_BYTES))
        return 0;
    int ret = node_flush(c->dst);
    if (ret < 0)
        return error_set(err, ret, "%s: cannot flush: %s", c->target, strerror(-ret));
    c->noted = done;
    return part_note(&c->part, done, c->durable, err);
}

/* ---- the end ---- */

/* Without --resume nothing is left of a target that could not be finished. */
static void leave_target(Convert *c)
{
    if (c->has_part && c->resume && c->noted)
        complain("'%s' is kept: 'convert --resume' goes on from %" PRIu64 " of %" PRIu64 " bytes",
                 c->part.path, c->noted, c->total);
    else if (c->has_part)
        part_drop(&c->part);
    else if (c->made && is_regular_or_absent(c->target) && unlink(c->target) < 0 && errno != ENOENT)
        complain("%s: the incomplete target could not be removed: %s", c->target, strerror(errno));
}

int convert_finish_target(Convert *c, int code)
{
    Error *err = NULL;

    node_unref(take(&c->dst));
    if (code != 0) {
        leave_target(c);
        return code;
    }
    int ret = c->has_part ? part_finish(&c->part, c->durable, &err) : 0;
    return ret < 0 ? fail(err, ret) : 0;
}
