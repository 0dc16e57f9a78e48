/*
 * compiler.h - small helpers that every file may use: array lengths, scope cleanup, ownership.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>
#include <stdlib.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED                 __attribute__((unused))
#define NORETURN               __attribute__((noreturn))

static inline void auto_free_cleanup(void *pp)
{
    free(*(void **)pp);
}

/* The variable's pointer is freed when its scope ends, unless it was given away with take(). */
#define AUTO_FREE __attribute__((cleanup(auto_free_cleanup)))

/* Give the pointer in *pp to somebody else: returns it and clears the variable. */
#define take(pp)                                                                                   \
    ({                                                                                             \
        __typeof__(pp) take_pp_ = (pp);                                                            \
        __typeof__(*(pp)) take_val_ = *take_pp_;                                                   \
        *take_pp_ = NULL;                                                                          \
        take_val_;                                                                                 \
    })

#endif
