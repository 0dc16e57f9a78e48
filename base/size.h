/*
 * size.h - sizes as people write and read them.
 */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * "512", "64k", "1.5G", "10GB", "0x1000": suffixes B K M G T P E in either case are powers of 1024,
 * a 'b' after the suffix is ignored; without a suffix `default_unit` (0: bytes) applies. The result
 * is at most 2^63-1. A comma, a sign and anything else behind the number are refused.
 */
int size_parse(const char *text, char default_unit, uint64_t *out, Error **err);

enum { SIZE_TEXT = 32 };

/* "64 MiB", "1.5 GiB", "512 B": three significant digits, as the image tools print it. */
char *size_format(uint64_t bytes, char text[SIZE_TEXT]);

#endif
