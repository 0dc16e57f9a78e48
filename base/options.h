/*
 * options.h - one tree of options, however the user spelled them.
 *
 * `k=v,k2=v2` (a comma inside a value is doubled), dotted keys (`file.filename=x`) and `json:{...}`
 * all become the same list of dotted keys and text values, in the order given. Who understands an
 * option takes it out; what is left at the end was not understood by anybody and is refused by
 * options_end(). A JSON array's items get the keys `name.0`, `name.1`, ...
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Options Options;

Options *options_new(void);
void options_free(Options *o);
Options *options_copy(const Options *o);

static inline void auto_options_cleanup(Options **o)
{
    options_free(*o);
}
#define AUTO_OPTIONS __attribute__((cleanup(auto_options_cleanup)))

/*
 * Add what `text` says to `o`; a later value replaces an earlier one of the same key. A first item
 * without '=' is the value of `implied_key` if that is not NULL; any other item without '=' is
 * "on".
 */
int options_parse(Options *o, const char *text, const char *implied_key, Error **err);

/* Add a JSON object: `text` starts at its brace (after a `json:` prefix). */
int options_parse_json(Options *o, const char *text, Error **err);

/* Set or replace. A NULL value is JSON's null: present, but without text. */
void options_set(Options *o, const char *key, const char *value);
void options_set_u64(Options *o, const char *key, uint64_t value);

/* Is there this key, or any below it (`key.x`)? */
bool options_has(const Options *o, const char *key);

/* Borrowed text, NULL if absent. Does not count as understanding the option. */
const char *options_peek(const Options *o, const char *key);

/* Remove and return the value (the caller frees it); NULL if absent. */
char *options_take(Options *o, const char *key);

/* Remove and convert. Absent: *value keeps what it had, returns 0. */
int options_take_bool(Options *o, const char *key, bool *value, Error **err);
int options_take_u64(Options *o, const char *key, uint64_t *value, Error **err);
int options_take_size(Options *o, const char *key, uint64_t *value, Error **err);
/* `names` ends with NULL; *value becomes the index. */
int options_take_enum(Options *o, const char *key, const char *const *names, int *value,
                      Error **err);

/* Move everything below `prefix.` into a new tree without the prefix (never NULL, maybe empty). */
Options *options_take_sub(Options *o, const char *prefix);

/* Move everything from `from` into `o`, replacing; frees `from`. */
void options_merge(Options *o, Options *from);

bool options_empty(const Options *o);
size_t options_count(const Options *o);
const char *options_key_at(const Options *o, size_t i);
const char *options_value_at(const Options *o, size_t i);

/* -EINVAL and "WHO does not know the option 'k'" if anything is left. */
int options_end(const Options *o, const char *who, Error **err);

/* A row of a driver's table of options: for `-o help` and for values that are plainly wrong. */
typedef struct OptionDesc {
    const char *name;
    const char *type; /* "size", "bool", "int", "str" as qemu-img prints them; NULL ends a table */
    const char *help;
    const char *fallback; /* the value if none is given, NULL: none that one would print */
} OptionDesc;

#endif
