/*
 * object.h - what `--object TYPE,id=NAME,...` makes: secrets, TLS credentials, throttle groups.
 *
 * Objects are made while the command line is read, before any image is opened, and live until the
 * program ends. Drivers find them by the name that one of their options gives (`key-secret`,
 * `tls-creds`, `throttle-group`).
 */
#ifndef BLOCK_OBJECT_H
#define BLOCK_OBJECT_H

#include <stddef.h>

#include "base/error.h"
#include "base/options.h"

typedef struct ObjectType {
    const char *name; /* "secret" */
    size_t size;      /* of its state, zeroed before create() */
    /* Takes the options it knows; `id` is taken already. What it leaves is refused. */
    int (*create)(void *state, Options *options, Error **err);
    void (*destroy)(void *state); /* accepts what a failed create() left */
} ObjectType;

/* All types, NULL at the end; object.c has the list. */
extern const ObjectType *const object_types[];

/* Make an object from "TYPE,id=NAME,..." or a JSON object with "qom-type" and "id". */
int object_add(const char *text, Error **err);

/* The state of the object `id` of this type (borrowed), or NULL and a sentence. */
void *object_find(const ObjectType *type, const char *id, Error **err);

/* Forget all objects; secrets are wiped. */
void objects_free(void);

/*
 * The bytes of the secret called `id` (the caller wipes and frees them with secret_free()); a 0
 * byte follows that is not counted in *len.
 */
int secret_get(const char *id, char **data, size_t *len, Error **err);
void secret_free(char *data, size_t len);

extern const ObjectType secret_type;

#endif
