/*
 * i8237.h - the PC's pair of DMA controllers with their page registers.
 */
#ifndef HW_DMA_I8237_H
#define HW_DMA_I8237_H

#include "hw/core/device.h"
#include "hw/core/memmap.h"

typedef struct Dma8237 Dma8237;

Dma8237 *dma8237_new(DeviceList *devices, MemMap *io, MemMap *memory);

/*
 * A device moves up to `len` bytes over channel 0..3 (bytes) or 5..7 (words: `len` is even), in the
 * direction that the guest programmed. Returns how many moved: fewer at terminal count, none if the
 * channel is masked or programmed the other way. *terminal: terminal count was reached.
 */
size_t dma8237_to_memory(Dma8237 *dma, unsigned channel, const void *buf, size_t len,
                         bool *terminal);
size_t dma8237_from_memory(Dma8237 *dma, unsigned channel, void *buf, size_t len, bool *terminal);

#endif
