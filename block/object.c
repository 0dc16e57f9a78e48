/*
 * object.c - see object.h: the list of object types, and the objects by name.
 */
#include "block/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "block/nbd/authz.h"
#include "block/nbd/tls.h"
#include "block/throttle.h"

const ObjectType *const object_types[] = {
    &secret_type,   &throttle_group_type, &tls_x509_type,   &tls_psk_type,
    &tls_anon_type, &authz_simple_type,   &authz_list_type, NULL,
};

typedef struct Object {
    const ObjectType *type;
    char *id;
    void *state;
    struct Object *next;
} Object;

static Object *objects;

static void object_free(Object *o)
{
    if (!o)
        return;
    if (o->state && o->type->destroy)
        o->type->destroy(o->state);
    free(o->state);
    free(o->id);
    free(o);
}

static const ObjectType *type_find(const char *name)
{
    for (const ObjectType *const *t = object_types; *t; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return NULL;
}

static Object *find(const char *id)
{
    for (Object *o = objects; o; o = o->next)
        if (strcmp(o->id, id) == 0)
            return o;
    return NULL;
}

static int parse(Options *o, const char *text, Error **err)
{
    return text[0] == '{' ? options_parse_json(o, text, err)
                          : options_parse(o, text, "qom-type", err);
}

/* The new object's type and name, judged. */
static int identify(Options *o, Object *object, Error **err)
{
    AUTO_FREE char *type = options_take(o, "qom-type");

    object->id = options_take(o, "id");
    if (!type)
        return error_set(err, -EINVAL, "an object needs a type: TYPE,id=NAME,...");
    object->type = type_find(type);
    if (!object->type)
        return error_set(err, -EINVAL, "there is no object type '%s'", type);
    if (!object->id || !*object->id)
        return error_set(err, -EINVAL, "object '%s' needs the option 'id'", type);
    if (find(object->id))
        return error_set(err, -EEXIST, "there is an object '%s' already", object->id);
    return 0;
}

int object_add(const char *text, Error **err)
{
    AUTO_OPTIONS Options *o = options_new();
    Object *object = calloc(1, sizeof(*object));
    int ret = object ? parse(o, text, err) : -ENOMEM;

    if (ret == 0)
        ret = identify(o, object, err);
    if (ret == 0) {
        object->state = calloc(1, object->type->size);
        ret = object->state ? object->type->create(object->state, o, err) : -ENOMEM;
    }
    if (ret == 0)
        ret = options_end(o, object->type->name, err);
    if (ret < 0) {
        object_free(object);
        return ret;
    }
    object->next = objects;
    objects = object;
    return 0;
}

void *object_find(const ObjectType *type, const char *id, Error **err)
{
    Object *o = find(id);

    if (o && o->type == type)
        return o->state;
    if (o)
        error_set(err, -EINVAL, "object '%s' is a %s, not a %s", id, o->type->name, type->name);
    else
        error_set(err, -ENOENT, "there is no %s '%s' (--object %s,id=%s,... makes it)", type->name,
                  id, type->name, id);
    return NULL;
}

void objects_free(void)
{
    while (objects) {
        Object *next = objects->next;

        object_free(objects);
        objects = next;
    }
}
