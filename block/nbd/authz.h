/*
 * authz.h - who may use a server: --object authz-simple,identity=NAME and
 * authz-list,policy=deny|allow,rules.N.match=NAME,rules.N.policy=...,rules.N.format=exact|glob.
 *
 * A name is the distinguished name of a verified certificate ("CN=a,O=b").
 */
#ifndef BLOCK_NBD_AUTHZ_H
#define BLOCK_NBD_AUTHZ_H

#include "block/object.h"

extern const ObjectType authz_simple_type, authz_list_type;

/* Is there an object `id` of one of these types? -ENOENT */
int nbd_authz_exists(const char *id, Error **err);

/* False also for a NULL name and without the object. */
bool nbd_authz_allows(const char *id, const char *name);

#endif
