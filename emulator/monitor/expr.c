/*
 * expr.c - see expr.h. Precedence as in C, by recursive descent; depth is bounded.
 */
#include "emulator/monitor/expr.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_COUNT = 1 << 20 };

typedef struct {
    const char *p;
    ExprRegister *reg;
    void *opaque;
    int depth;
    Error **err;
} Parser;

static int parse_or(Parser *ps, uint64_t *v);

static char peek(Parser *ps)
{
    while (*ps->p == ' ' || *ps->p == '\t')
        ps->p++;
    return *ps->p;
}

static int parse_register(Parser *ps, uint64_t *v)
{
    char name[16] = "";
    size_t n = 0;

    ps->p++;
    while (isalnum((unsigned char)*ps->p) || *ps->p == '_' || *ps->p == '.') {
        if (n < sizeof(name) - 1)
            name[n++] = *ps->p;
        ps->p++;
    }
    name[n] = '\0';
    if (!ps->reg || !ps->reg(ps->opaque, name, v))
        return error_set(ps->err, -EINVAL, "unknown register '$%s'", name);
    return 0;
}

static int parse_char(Parser *ps, uint64_t *v)
{
    if (!ps->p[1] || ps->p[2] != '\'')
        return error_set(ps->err, -EINVAL, "a character constant is not closed");
    *v = (unsigned char)ps->p[1];
    ps->p += 3;
    return 0;
}

static int parse_number(Parser *ps, uint64_t *v)
{
    char *end;

    if (!isdigit((unsigned char)*ps->p))
        return *ps->p ? error_set(ps->err, -EINVAL, "'%s' is not a number", ps->p)
                      : error_set(ps->err, -EINVAL, "a number is missing");
    errno = 0;
    *v = strtoull(ps->p, &end, 0);
    if (errno == ERANGE)
        return error_set(ps->err, -ERANGE, "'%s' does not fit in 64 bits", ps->p);
    ps->p = end;
    return 0;
}

static int parse_paren(Parser *ps, uint64_t *v)
{
    ps->p++;
    int ret = parse_or(ps, v);
    if (ret < 0)
        return ret;
    if (peek(ps) != ')')
        return error_set(ps->err, -EINVAL, "')' is missing");
    ps->p++;
    return 0;
}

static int parse_unary(Parser *ps, uint64_t *v)
{
    char op = peek(ps);
    int ret;

    if (++ps->depth > MAX_DEPTH)
        return error_set(ps->err, -E2BIG, "the expression is nested too deep");
    if (op == '-' || op == '~' || op == '+') {
        ps->p++;
        ret = parse_unary(ps, v);
        *v = op == '-' ? -*v : op == '~' ? ~*v : *v;
    } else if (op == '(') {
        ret = parse_paren(ps, v);
    } else if (op == '$') {
        ret = parse_register(ps, v);
    } else if (op == '\'') {
        ret = parse_char(ps, v);
    } else {
        ret = parse_number(ps, v);
    }
    ps->depth--;
    return ret;
}

static int parse_product(Parser *ps, uint64_t *v)
{
    int ret = parse_unary(ps, v);

    while (ret == 0 && peek(ps) && strchr("*/%", *ps->p)) {
        char op = *ps->p++;
        uint64_t right = 0;

        ret = parse_unary(ps, &right);
        if (ret == 0 && op != '*' && right == 0)
            return error_set(ps->err, -EDOM, "division by zero");
        if (ret == 0)
            *v = op == '*' ? *v * right : op == '/' ? *v / right : *v % right;
    }
    return ret;
}

static int parse_sum(Parser *ps, uint64_t *v)
{
    int ret = parse_product(ps, v);

    while (ret == 0 && peek(ps) && strchr("+-", *ps->p)) {
        char op = *ps->p++;
        uint64_t right = 0;

        ret = parse_product(ps, &right);
        *v = op == '+' ? *v + right : *v - right;
    }
    return ret;
}

static int parse_or(Parser *ps, uint64_t *v)
{
    int ret = parse_sum(ps, v);

    while (ret == 0 && peek(ps) && strchr("&|^", *ps->p)) {
        char op = *ps->p++;
        uint64_t right = 0;

        ret = parse_sum(ps, &right);
        *v = op == '&' ? *v & right : op == '|' ? *v | right : *v ^ right;
    }
    return ret;
}

int expr_parse(const char **text, ExprRegister *reg, void *opaque, uint64_t *value, Error **err)
{
    Parser ps = { .p = *text, .reg = reg, .opaque = opaque, .err = err };
    int ret;

    *value = 0;
    ret = parse_or(&ps, value);
    *text = ps.p;
    return ret;
}

static unsigned size_of_letter(char c)
{
    return c == 'b' ? 1 : c == 'h' ? 2 : c == 'w' ? 4 : c == 'g' ? 8 : 0;
}

int examine_format_parse(const char **text, ExamineFormat *fmt, Error **err)
{
    const char *p = *text + strspn(*text, " \t");

    if (*p != '/')
        return 0;
    p++;
    if (isdigit((unsigned char)*p)) {
        char *end;
        unsigned long n = strtoul(p, &end, 10);

        if (n > MAX_COUNT)
            return error_set(err, -E2BIG, "count %lu is more than %d", n, MAX_COUNT);
        fmt->count = n;
        p = end;
    }
    for (; *p && *p != ' ' && *p != '\t'; p++) {
        if (strchr("xduoci", *p))
            fmt->format = *p;
        else if (size_of_letter(*p))
            fmt->size = size_of_letter(*p);
        else
            return error_set(err, -EINVAL, "'%c' is not a format (x d u o c) or a size (b h w g)",
                             *p);
    }
    if (fmt->format == 'i')
        return error_set(err, -ENOTSUP, "there is no disassembler: format 'i' is not supported");
    *text = p;
    return 0;
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(value << shift) >> shift;
}

static void char_value(uint64_t value, char text[EXAMINE_TEXT])
{
    uint8_t c = value;

    if (isprint(c))
        snprintf(text, EXAMINE_TEXT, "'%c'", c);
    else
        snprintf(text, EXAMINE_TEXT, "'\\x%02x'", c);
}

void examine_value(const ExamineFormat *fmt, uint64_t value, char text[EXAMINE_TEXT])
{
    switch (fmt->format) {
    case 'd': snprintf(text, EXAMINE_TEXT, "%" PRId64, sign_extend(value, fmt->size)); break;
    case 'u': snprintf(text, EXAMINE_TEXT, "%" PRIu64, value); break;
    case 'o': snprintf(text, EXAMINE_TEXT, "%#" PRIo64, value); break;
    case 'c': char_value(value, text); break;
    default: snprintf(text, EXAMINE_TEXT, "0x%0*" PRIx64, 2 * (int)fmt->size, value); break;
    }
}
