/*
 * authz.c - see authz.h.
 */
#include "block/nbd/authz.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

enum { MAX_RULES = 1024 };

typedef struct Rule {
    char *match;
    bool allow, glob;
} Rule;

typedef struct {
    Rule *rules; /* the first that matches decides */
    size_t n_rules;
    bool allow; /* if none does */
} Authz;

static int add_rule(Authz *a, char *match, bool allow, bool glob, Error **err)
{
    Rule *more = match ? realloc(a->rules, (a->n_rules + 1) * sizeof(*more)) : NULL;

    if (!more) {
        free(match);
        return error_set(err, -ENOMEM, "no memory for a rule");
    }
    a->rules = more;
    more[a->n_rules++] = (Rule) { match, allow, glob };
    return 0;
}

static int simple_create(void *state, Options *o, Error **err)
{
    char *identity = options_take(o, "identity");

    if (!identity)
        return error_set(err, -EINVAL, "authz-simple needs the option 'identity'");
    return add_rule(state, identity, true, false, err);
}

static int take_policy(Options *o, bool *allow, Error **err)
{
    static const char *const policies[] = { "deny", "allow", NULL };
    int policy = *allow, ret = options_take_enum(o, "policy", policies, &policy, err);

    *allow = policy == 1;
    return ret;
}

static int take_rule(Authz *a, Options *o, Error **err)
{
    static const char *const formats[] = { "exact", "glob", NULL };
    char *match = options_take(o, "match");
    bool allow = false;
    int format = 0, ret = options_take_enum(o, "format", formats, &format, err);

    if (ret == 0)
        ret = take_policy(o, &allow, err);
    if (ret == 0 && !match)
        ret = error_set(err, -EINVAL, "a rule needs 'match'");
    if (ret == 0)
        ret = add_rule(a, take(&match), allow, format == 1, err);
    free(match);
    return ret < 0 ? ret : options_end(o, "authz-list", err);
}

static int list_create(void *state, Options *o, Error **err)
{
    Authz *a = state;
    int ret = take_policy(o, &a->allow, err);
    char key[24];

    for (int i = 0; ret == 0 && i < MAX_RULES; i++) {
        snprintf(key, sizeof(key), "rules.%d", i);
        if (!options_has(o, key))
            break;
        AUTO_OPTIONS Options *rule = options_take_sub(o, key);
        ret = take_rule(a, rule, err);
    }
    return ret;
}

static void authz_destroy(void *state)
{
    Authz *a = state;

    for (size_t i = 0; i < a->n_rules; i++)
        free(a->rules[i].match);
    free(a->rules);
}

const ObjectType authz_simple_type = { "authz-simple", sizeof(Authz), simple_create,
                                       authz_destroy };
const ObjectType authz_list_type = { "authz-list", sizeof(Authz), list_create, authz_destroy };

static const Authz *find(const char *id)
{
    const Authz *a = object_find(&authz_simple_type, id, NULL);

    return a ? a : object_find(&authz_list_type, id, NULL);
}

int nbd_authz_exists(const char *id, Error **err)
{
    return find(id) ? 0
                    : error_set(err, -ENOENT,
                                "there is no authorization '%s' (--object authz-simple,id=%s,... "
                                "or authz-list makes it)",
                                id, id);
}

bool nbd_authz_allows(const char *id, const char *name)
{
    const Authz *a = find(id);

    for (size_t i = 0; a && name && i < a->n_rules; i++) {
        const Rule *r = &a->rules[i];

        if (r->glob ? fnmatch(r->match, name, 0) == 0 : strcmp(r->match, name) == 0)
            return r->allow;
    }
    return a && name && a->allow;
}
