/*
 * uart16550.h - 16550A serial port.
 */
#ifndef HW_CHAR_UART16550_H
#define HW_CHAR_UART16550_H

#include "hw/core/chardev.h"
#include "hw/core/clock.h"
#include "hw/core/device.h"
#include "hw/core/irq.h"
#include "hw/core/memmap.h"

typedef struct Uart Uart;

/* Eight registers at `base` of `io`; `chr` may be NULL. */
Uart *uart_new(DeviceList *devices, MemMap *io, uint64_t base, Clock *clock, IrqInput *irq,
               Chardev *chr);

#endif
