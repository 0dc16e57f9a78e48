/*
 * size.c - see size.h.
 */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/math.h"

static const char units[] = "BKMGTPE";

static int bad(Error **err, const char *text, const char *why)
{
    return error_set(err, -EINVAL, "'%s' is not a size: %s", text, why);
}

/* The digits behind the point, as a fraction of 2^shift; exact for every power of two we need. */
static uint64_t fraction(const char *digits, size_t n, unsigned shift)
{
    long double value = 0, scale = 1;

    for (size_t i = 0; i < n; i++) {
        scale /= 10;
        value += (digits[i] - '0') * scale;
    }
    return (uint64_t)(value * (long double)(UINT64_C(1) << shift));
}

/* Suffix at `s`: its power of two, or -1. *s moves behind it. */
static int suffix_shift(const char **s, char default_unit)
{
    const char *unit = **s ? strchr(units, toupper((unsigned char)**s)) : NULL;

    if (!**s)
        unit = default_unit ? strchr(units, default_unit) : units;
    else if (unit)
        ++*s;
    if (!unit)
        return -1;
    if (unit != units && toupper((unsigned char)**s) == 'B')
        ++*s;
    return 10 * (int)(unit - units);
}

int size_parse(const char *text, char default_unit, uint64_t *out, Error **err)
{
    const char *s = text, *digits = NULL;
    size_t ndigits = 0;
    char *end;

    if (!isdigit((unsigned char)*s))
        return bad(err, text, "a number such as 512, 64k or 1.5G is expected");
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    errno = 0;
    uint64_t whole = strtoull(s, &end, hex ? 16 : 10);
    if (errno)
        return error_set(err, -ERANGE, "'%s' is too large: sizes end at 2^63-1", text);
    s = end;
    if (*s == '.' && !hex) {
        digits = ++s;
        ndigits = strspn(s, "0123456789");
        s += ndigits;
    }
    if (*s == ',')
        return bad(err, text, "the decimal separator is a point");
    int shift = suffix_shift(&s, default_unit);
    if (shift < 0 || *s)
        return bad(err, text, "the suffix is one of K M G T P E");
    if (shift == 0 && ndigits && strspn(digits, "0") < ndigits)
        return bad(err, text, "a fraction of a byte");
    uint64_t value, part = digits ? fraction(digits, ndigits, (unsigned)shift) : 0;
    if (mul_overflows(whole, UINT64_C(1) << shift, &value) || add_overflows(value, part, &value) ||
        value > INT64_MAX)
        return error_set(err, -ERANGE, "'%s' is too large: sizes end at 2^63-1", text);
    *out = value;
    return 0;
}

char *size_format(uint64_t bytes, char text[SIZE_TEXT])
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    unsigned i = 0;

    /* 1000 is the limit, not 1024: three digits must do */
    for (; value >= 1000 && i + 1 < ARRAY_LEN(names); i++)
        value /= 1024;
    snprintf(text, SIZE_TEXT, "%0.3g %s", value, names[i]);
    return text;
}
