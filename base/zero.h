/*
 * zero.h - is this memory all zeros? At memory bandwidth.
 */
#ifndef BASE_ZERO_H
#define BASE_ZERO_H

#include <stdbool.h>
#include <stddef.h>

bool mem_is_zero(const void *p, size_t len);

#endif
