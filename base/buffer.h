/*
 * buffer.h - large buffers for data on its way: aligned for direct transfers, in huge pages where
 * the host has them.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>

/* Not initialised; free() it. NULL: no memory. */
void *buffer_alloc(size_t len);

#endif
