/*
 * hex.h - hexadecimal digits, both ways. Written in lower case, read in either.
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>

/* 0 to 15, or -1: not a digit */
int hex_digit(char c);

/* 2 * len characters and a 0 */
void hex_encode(char *out, const void *bytes, size_t len);

/* Pairs of digits from the start of `text` on; the number of bytes, at most `room`. */
size_t hex_decode(void *out, size_t room, const char *text);

#endif
