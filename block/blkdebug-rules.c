/*
 * blkdebug-rules.c - see blkdebug.h: rules from options and from a file, and what they do.
 *
 * The file has sections as git's configuration has: [inject-error] and [set-state], then lines
 * name = "value", with the names of the options; # starts a comment.
 */
#include "block/blkdebug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 4096, MAX_CONFIG = 1 << 20, MAX_ERRNO = 4095 };

const char *const event_names[EVENT_COUNT + 1] = {
#define EVENT(id, name) [EVENT_##id] = name,
#include "block/event.def"
#undef EVENT
};

static const char *const io_names[DEBUG_IO_TYPES + 1] = {
    [DEBUG_IO_READ] = "read",       [DEBUG_IO_WRITE] = "write",
    [DEBUG_IO_DISCARD] = "discard", [DEBUG_IO_WRITE_ZEROES] = "write-zeroes",
    [DEBUG_IO_FLUSH] = "flush",     [DEBUG_IO_BLOCK_STATUS] = "block-status",
};

/* Unless a rule names one, all but asking where data lies. */
enum { IO_DEFAULT = (1 << DEBUG_IO_BLOCK_STATUS) - 1 };

void rules_init(Rules *r)
{
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->state = 1;
    r->last = &r->first;
}

static void rule_free(Rule *rule)
{
    if (rule)
        free(rule->tag);
    free(rule);
}

static void auto_rule_cleanup(Rule **rule)
{
    rule_free(*rule);
}
#define AUTO_RULE __attribute__((cleanup(auto_rule_cleanup)))

void rules_free(Rules *r)
{
    while (r->first) {
        Rule *next = r->first->next;

        rule_free(r->first);
        r->first = next;
    }
}

static void append(Rules *r, Rule *rule)
{
    *r->last = rule;
    r->last = &rule->next;
}

/* Take out the rule that `at` points to. */
static void unlink_rule(Rules *r, Rule **at)
{
    Rule *rule = *at;

    *at = rule->next;
    if (r->last == &rule->next)
        r->last = at;
    rule_free(rule);
}

/* ---- reading rules ------------------------------------------------------------------------- */

static int event_find(const char *name, BlockEvent *event, Error **err)
{
    for (int i = 0; i < EVENT_COUNT; i++)
        if (strcmp(event_names[i], name) == 0) {
            *event = (BlockEvent)i;
            return 0;
        }
    return error_set(err, -EINVAL, "there is no event '%s'", name);
}

static int take_error_options(Rule *rule, Options *o, Error **err)
{
    uint64_t code = EIO, sector = UINT64_MAX;
    bool immediately;
    int io = -1, ret = options_take_u64(o, "errno", &code, err);

    if (ret == 0 && code > MAX_ERRNO)
        ret = error_set(err, -EINVAL, "errno is 0..%d", MAX_ERRNO);
    if (ret == 0)
        ret = options_take_u64(o, "sector", &sector, err);
    if (ret == 0 && sector != UINT64_MAX && sector > INT64_MAX / 512)
        ret = error_set(err, -EINVAL, "sector is beyond 2^63 bytes");
    if (ret == 0)
        ret = options_take_enum(o, "iotype", io_names, &io, err);
    if (ret == 0)
        ret = options_take_bool(o, "once", &rule->once, err);
    if (ret == 0) /* for us every error is as late as the request's end */
        ret = options_take_bool(o, "immediately", &immediately, err);
    rule->code = (int)code;
    rule->offset = sector == UINT64_MAX ? -1 : (int64_t)sector * 512;
    rule->io = io < 0 ? IO_DEFAULT : 1u << io;
    return ret;
}

static int rule_add(Rules *r, RuleKind kind, Options *o, Error **err)
{
    static const char *const kinds[] = { "inject-error", "set-state" };
    AUTO_RULE Rule *rule = calloc(1, sizeof(*rule));
    AUTO_FREE char *event = options_take(o, "event");

    if (!rule)
        return error_set(err, -ENOMEM, "no memory for a rule");
    if (!event)
        return error_set(err, -EINVAL, "the option 'event' is missing");
    rule->kind = kind;
    int ret = event_find(event, &rule->event, err);
    if (ret == 0)
        ret = options_take_u64(o, "state", &rule->state, err);
    if (ret == 0 && kind == RULE_ERROR)
        ret = take_error_options(rule, o, err);
    if (ret == 0 && kind == RULE_STATE && !options_has(o, "new_state"))
        ret = error_set(err, -EINVAL, "the option 'new_state' is missing");
    if (ret == 0 && kind == RULE_STATE)
        ret = options_take_u64(o, "new_state", &rule->new_state, err);
    if (ret == 0)
        ret = options_end(o, kinds[kind], err);
    if (ret == 0)
        append(r, take(&rule));
    return ret;
}

static int take_kind(Rules *r, Options *options, const char *name, RuleKind kind, Error **err)
{
    AUTO_OPTIONS Options *all = options_take_sub(options, name);
    char number[24];

    for (int i = 0; i < MAX_RULES && !options_empty(all); i++) {
        snprintf(number, sizeof(number), "%d", i);
        AUTO_OPTIONS Options *one = options_take_sub(all, number);
        if (options_empty(one))
            break;
        int ret = rule_add(r, kind, one, err);
        if (ret < 0)
            return error_prefix(err, ret, "%s.%d", name, i);
    }
    return options_end(all, name, err);
}

int rules_take_options(Rules *r, Options *options, Error **err)
{
    int ret = take_kind(r, options, "inject-error", RULE_ERROR, err);

    return ret == 0 ? take_kind(r, options, "set-state", RULE_STATE, err) : ret;
}

/* ---- the file ------------------------------------------------------------------------------ */

static char *trim(char *s)
{
    size_t n;

    s += strspn(s, " \t\r\n");
    for (n = strlen(s); n && strchr(" \t\r\n", s[n - 1]); n--)
        ;
    s[n] = '\0';
    return s;
}

/* name = "value": quotes are needed in other tools' files, here they may be missing. */
static int config_line(Options *o, char *line, Error **err)
{
    char *eq = strchr(line, '=');

    if (!eq)
        return error_set(err, -EINVAL, "'%s' is neither a section nor name = \"value\"", line);
    *eq = '\0';
    char *name = trim(line), *value = trim(eq + 1);
    size_t len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    if (!*name)
        return error_set(err, -EINVAL, "a value without a name: '%s'", value);
    options_set(o, name, value);
    return 0;
}

static int section_kind(const char *line, RuleKind *kind, Error **err)
{
    if (strcmp(line, "[inject-error]") == 0)
        *kind = RULE_ERROR;
    else if (strcmp(line, "[set-state]") == 0)
        *kind = RULE_STATE;
    else
        return error_set(err, -EINVAL, "there is no section '%s'", line);
    return 0;
}

typedef struct Section {
    Options *options; /* NULL: before the first */
    RuleKind kind;
} Section;

static int section_end(Rules *r, Section *s, Error **err)
{
    AUTO_OPTIONS Options *o = take(&s->options);

    return o ? rule_add(r, s->kind, o, err) : 0;
}

static int parse_line(Rules *r, Section *s, char *line, Error **err)
{
    if (!*line || *line == '#')
        return 0;
    if (*line == '[') {
        int ret = section_end(r, s, err);

        if (ret == 0)
            ret = section_kind(line, &s->kind, err);
        if (ret == 0)
            s->options = options_new();
        return ret;
    }
    if (!s->options)
        return error_set(err, -EINVAL, "'%s' stands before the first section", line);
    return config_line(s->options, line, err);
}

int rules_parse_config(Rules *r, const char *text, const char *name, Error **err)
{
    AUTO_FREE char *copy = strdup(text);
    Section s = { 0 };
    char *rest = copy;
    int ret = copy ? 0 : -ENOMEM;

    for (int number = 1; ret == 0 && rest; number++) {
        char *line = strsep(&rest, "\n");

        if (number > MAX_RULES * 8)
            ret = error_set(err, -EINVAL, "more than %d lines", MAX_RULES * 8);
        else
            ret = parse_line(r, &s, trim(line), err);
        if (ret < 0)
            error_prefix(err, ret, "%s, line %d", name, number);
    }
    if (ret == 0 && (ret = section_end(r, &s, err)) < 0)
        error_prefix(err, ret, "%s, last section", name);
    options_free(s.options);
    return ret;
}

int rules_read_config(Rules *r, const char *path, Error **err)
{
    AUTO_FREE char *text = calloc(1, MAX_CONFIG + 1);
    FILE *f = text ? fopen(path, "re") : NULL;

    if (!f)
        return error_set(err, -errno, "cannot read the rules in '%s': %s", path, strerror(errno));
    size_t n = fread(text, 1, MAX_CONFIG, f);
    bool bad = ferror(f), more = n == MAX_CONFIG;
    fclose(f);
    if (bad || more)
        return error_set(err, bad ? -EIO : -EFBIG, "cannot read the rules in '%s': %s", path,
                         bad ? strerror(EIO) : "the file is too large");
    return rules_parse_config(r, text, path, err);
}

/* ---- what they do -------------------------------------------------------------------------- */

/* Wait (with the lock held on entry and exit) until somebody resumes `tag`. */
static void stop_here(Rules *r, char *tag)
{
    Stopped self = { .tag = tag, .next = r->stopped };

    r->stopped = &self; /* cppcheck-suppress autoVariables; taken off the list below */
    while (!self.resumed)
        pthread_cond_wait(&r->changed, &r->lock);
    for (Stopped **at = &r->stopped; *at; at = &(*at)->next)
        if (*at == &self) {
            *at = self.next;
            break;
        }
    free(tag);
}

static void disarm_all(Rules *r)
{
    for (Rule *rule = r->first; rule; rule = rule->next)
        rule->active = false;
}

void rules_event(Rules *r, BlockEvent event)
{
    char *stop = NULL;
    bool armed = false;

    pthread_mutex_lock(&r->lock);
    uint64_t state = r->state;
    for (Rule **at = &r->first; *at;) {
        Rule *rule = *at;

        if (rule->event != event || (rule->state && rule->state != r->state)) {
            at = &rule->next;
            continue;
        }
        if (rule->kind == RULE_ERROR) { /* those armed before are replaced */
            if (!armed)
                disarm_all(r);
            armed = rule->active = true;
        } else if (rule->kind == RULE_STATE) {
            state = rule->new_state;
        } else if (!stop) {
            stop = take(&rule->tag);
            unlink_rule(r, at);
            continue;
        }
        at = &rule->next;
    }
    r->state = state;
    if (stop)
        stop_here(r, stop);
    pthread_mutex_unlock(&r->lock);
}

static bool applies(const Rule *rule, DebugIo io, uint64_t off, uint64_t len)
{
    uint64_t at = (uint64_t)rule->offset;

    if (rule->kind != RULE_ERROR || !rule->active || !(rule->io & 1u << io))
        return false;
    return rule->offset < 0 || (len && at >= off && at - off < len);
}

int rules_check(Rules *r, DebugIo io, uint64_t off, uint64_t len)
{
    int ret = 0;

    pthread_mutex_lock(&r->lock);
    for (Rule **at = &r->first; *at; at = &(*at)->next) {
        if (!applies(*at, io, off, len))
            continue;
        ret = -(*at)->code;
        if (ret && (*at)->once)
            unlink_rule(r, at);
        break;
    }
    pthread_mutex_unlock(&r->lock);
    return ret;
}

/* ---- breakpoints --------------------------------------------------------------------------- */

int rules_break(Rules *r, const char *event, const char *tag, Error **err)
{
    AUTO_RULE Rule *rule = calloc(1, sizeof(*rule));

    if (!rule || !(rule->tag = strdup(tag)))
        return error_set(err, -ENOMEM, "no memory for a rule");
    rule->kind = RULE_BREAK;
    int ret = event_find(event, &rule->event, err);
    if (ret < 0)
        return ret;
    pthread_mutex_lock(&r->lock);
    append(r, take(&rule));
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* Resume the first (or all) that stopped as `tag` (NULL: as any); how many there were. */
static int resume_stopped(Rules *r, const char *tag, bool all)
{
    int n = 0;

    for (Stopped *s = r->stopped; s && (all || n == 0); s = s->next)
        if (!s->resumed && (!tag || strcmp(s->tag, tag) == 0)) {
            s->resumed = true;
            n++;
        }
    if (n)
        pthread_cond_broadcast(&r->changed);
    return n;
}

static int none_called(const char *tag, Error **err)
{
    return error_set(err, -ENOENT, "there is no breakpoint and no request called '%s'", tag);
}

int rules_remove_break(Rules *r, const char *tag, Error **err)
{
    int n = 0;

    pthread_mutex_lock(&r->lock);
    for (Rule **at = &r->first; *at;) {
        if ((*at)->kind == RULE_BREAK && (!tag || strcmp((*at)->tag, tag) == 0)) {
            unlink_rule(r, at);
            n++;
        } else {
            at = &(*at)->next;
        }
    }
    n += resume_stopped(r, tag, true);
    pthread_mutex_unlock(&r->lock);
    return n || !tag ? 0 : none_called(tag, err);
}

int rules_resume(Rules *r, const char *tag, Error **err)
{
    pthread_mutex_lock(&r->lock);
    int n = resume_stopped(r, tag, false);
    pthread_mutex_unlock(&r->lock);
    return n ? 0 : none_called(tag, err);
}

bool rules_suspended(Rules *r, const char *tag)
{
    bool found = false;

    pthread_mutex_lock(&r->lock);
    for (Stopped *s = r->stopped; s; s = s->next)
        found |= !s->resumed && strcmp(s->tag, tag) == 0;
    pthread_mutex_unlock(&r->lock);
    return found;
}
