/*
 * dma.h - devices read and write guest memory.
 *
 * Only RAM and ROM are reached: an address that belongs to a device or to nobody makes the whole
 * transfer fail with -EFAULT (bytes before it may have moved), so that no device can be driven by
 * another one's descriptor. Writes mark pages dirty and invalidate translated code.
 */
#ifndef HW_CORE_DMA_H
#define HW_CORE_DMA_H

#include <stddef.h>
#include <stdint.h>

#include "hw/core/memmap.h"

int dma_read(MemMap *map, uint64_t gpa, void *buf, size_t len);
int dma_write(MemMap *map, uint64_t gpa, const void *buf, size_t len);

/*
 * For transfers that block I/O does in place: the host address of [gpa, gpa + *len), shortened to
 * what is contiguous, or NULL if there is no RAM (ROM counts only for reading). What was
 * written must be announced by dma_wrote() afterwards, under the machine lock.
 */
void *dma_map(MemMap *map, uint64_t gpa, size_t *len, bool for_write);
void dma_wrote(MemMap *map, uint64_t gpa, size_t len);

#endif
