/*
 * fetch-digest.c - see fetch.h: checksums, and lists of them.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "img-tool/fetch.h"

/* Whoever can choose a file's content can also give it a chosen MD5 or SHA-1. */
static const struct {
    const char *name;
    size_t hex;
} algorithms[] = {
    { "sha256", 64 },
    { "sha512", 128 },
    { "sha384", 96 },
    { "sha224", 56 },
};

const EVP_MD *digest_algorithm(const Digest *d)
{
    return EVP_get_digestbyname(d->name);
}

void digest_hex(EVP_MD_CTX *ctx, char hex[DIGEST_TEXT])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    EVP_DigestFinal_ex(ctx, bytes, &len);
    hex_encode(hex, bytes, len);
}

/* `len` hex digits of an algorithm that has so many; `name` (may be NULL) must be that one. */
static bool digest_set(Digest *d, const char *name, size_t name_len, const char *hex, size_t len)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
        if (algorithms[i].hex != len || (name && (strlen(algorithms[i].name) != name_len ||
                                                  strncasecmp(name, algorithms[i].name, name_len))))
            continue;
        for (size_t k = 0; k < len; k++) {
            if (!isxdigit((unsigned char)hex[k]))
                return false;
            d->hex[k] = (char)tolower((unsigned char)hex[k]);
        }
        d->hex[len] = '\0';
        snprintf(d->name, sizeof(d->name), "%s", algorithms[i].name);
        return true;
    }
    return false;
}

int digest_parse(const char *text, Digest *out, Error **err)
{
    const char *colon = strchr(text, ':');
    const char *hex = colon ? colon + 1 : text;

    if (digest_set(out, colon ? text : NULL, colon ? (size_t)(colon - text) : 0, hex, strlen(hex)))
        return 0;
    return error_set(err, -EINVAL,
                     "'%s' is no checksum: sha256:, sha512:, sha384: or sha224: and hex digits",
                     text);
}

/* Does the name in a list, maybe with folders, mean this file? */
static bool same_file(const char *listed, size_t len, const char *name)
{
    for (size_t i = len; i > 0; i--)
        if (listed[i - 1] == '/') {
            listed += i;
            len -= i;
            break;
        }
    return strlen(name) == len && strncmp(listed, name, len) == 0;
}

/* "HEX  name" or "HEX *name" */
static bool gnu_line(const char *line, size_t len, const char *name, Digest *out)
{
    size_t hex = 0;

    while (hex < len && isxdigit((unsigned char)line[hex]))
        hex++;
    if (hex + 2 >= len || line[hex] != ' ')
        return false;
    size_t at = hex + (line[hex + 1] == ' ' || line[hex + 1] == '*' ? 2 : 1);
    return same_file(line + at, len - at, name) && digest_set(out, NULL, 0, line, hex);
}

/* "SHA256 (name) = HEX" */
static bool bsd_line(const char *line, size_t len, const char *name, Digest *out)
{
    const char *open = memchr(line, '(', len), *end = line + len;
    const char *close = memrchr(line, ')', len);

    if (!open || !close || close < open || open - line < 2 || open[-1] != ' ' || end - close < 5 ||
        strncmp(close, ") = ", 4) != 0 || !same_file(open + 1, (size_t)(close - open - 1), name))
        return false;
    return digest_set(out, line, (size_t)(open - line - 1), close + 4, (size_t)(end - close - 4));
}

int digest_find(const char *list, const char *name, Digest *out, Error **err)
{
    while (*list) {
        size_t len = strcspn(list, "\r\n");

        if (gnu_line(list, len, name, out) || bsd_line(list, len, name, out))
            return 0;
        list += len + strspn(list + len, "\r\n");
    }
    return error_set(err, -ENOENT, "the list of checksums has no SHA-2 line for '%s'", name);
}
