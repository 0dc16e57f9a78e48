/*
 * hex.c - see hex.h.
 */
#include "base/hex.h"

#include <stdint.h>

int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void hex_encode(char *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

size_t hex_decode(void *out, size_t room, const char *text)
{
    uint8_t *bytes = out;
    size_t n = 0;

    for (; n < room && hex_digit(text[2 * n]) >= 0 && hex_digit(text[2 * n + 1]) >= 0; n++)
        bytes[n] = (uint8_t)(hex_digit(text[2 * n]) << 4 | hex_digit(text[2 * n + 1]));
    return n;
}
