/*
 * zero.c - see zero.h.
 *
 * A data block usually shows a non-zero byte at once: the ends and the middle are looked at first.
 * The rest is or-ed together 256 bytes at a time with the compiler's vector types.
 */
#include "base/zero.h"

#include <stdint.h>
#include <string.h>

typedef uint64_t Lane __attribute__((vector_size(32), aligned(1), may_alias));

enum { STEP = 8 * sizeof(Lane) };

static bool tail_is_zero(const uint8_t *p, size_t len)
{
    uint64_t any = 0;

    for (; len >= sizeof(uint64_t); p += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        any |= v;
    }
    while (len--)
        any |= *p++;
    return any == 0;
}

static bool step_is_zero(const uint8_t *p)
{
    const Lane *v = (const Lane *)p;
    Lane any = (v[0] | v[1]) | (v[2] | v[3]) | ((v[4] | v[5]) | (v[6] | v[7]));

    return (any[0] | any[1] | any[2] | any[3]) == 0;
}

bool mem_is_zero(const void *mem, size_t len)
{
    const uint8_t *p = mem;

    if (len == 0)
        return true;
    if (p[0] | p[len / 2] | p[len - 1])
        return false;
    for (; len >= STEP; p += STEP, len -= STEP)
        if (!step_is_zero(p))
            return false;
    return tail_is_zero(p, len);
}
