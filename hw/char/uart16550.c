/*
 * uart16550.c - 16550A UART with FIFOs (National PC16550D data sheet).
 *
 * Bytes leave at once and the transmitter is empty again, unless the back end is full: then they
 * wait in the transmit FIFO, which is never overrun because THRE stays off. Received bytes come as
 * fast as the FIFO has room; only the receive time-out follows the baud rate. The interrupt is a
 * pure function of state (interrupt_id()), gated by OUT2 as on every PC card.
 */
#include "hw/char/uart16550.h"

#include <stdlib.h>
#include <string.h>

#include "base/math.h"

enum { FIFO_SIZE = 16, UART_HZ = 115200, BITS_PER_CHAR = 10, TIMEOUT_CHARS = 4 };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_MODEM = 0, IIR_NONE = 1, IIR_TX = 2, IIR_RX = 4, IIR_LINE = 6, IIR_TIMEOUT = 12 };
enum { IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_TRIGGER = 0xc0 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16 };
enum { LSR_READY = 1, LSR_OVERRUN = 2, LSR_BREAK = 0x10, LSR_THRE = 0x20, LSR_EMPTY = 0x40 };
enum { LSR_ERRORS = 0x1e };
enum { MSR_DELTAS = 0x0f, MSR_TERI = 4, MSR_CTS = 16, MSR_DSR = 32, MSR_RI = 64, MSR_DCD = 128 };

typedef struct Fifo {
    uint8_t data[FIFO_SIZE];
    uint8_t head, count;
} Fifo;

struct Uart {
    Device device;
    Clock *clock;
    IrqLine irq;
    Chardev *chr;
    MemRegion ports;
    Timer timeout;
    Fifo rx, tx;
    uint16_t divisor;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scratch;
    bool tx_interrupt; /* the transmitter became empty and nobody looked yet */
    bool timed_out;    /* bytes below the trigger level wait for four character times */
    bool opened;       /* somebody is at the other end */
};

static void fifo_clear(Fifo *f)
{
    f->head = f->count = 0;
}

static void fifo_put(Fifo *f, uint8_t byte)
{
    f->data[(f->head + f->count) % FIFO_SIZE] = byte;
    f->count++;
}

static uint8_t fifo_get(Fifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (f->head + 1) % FIFO_SIZE;
    f->count--;
    return byte;
}

/* --- interrupt ---------------------------------------------------------------------------- */

static unsigned rx_trigger(const Uart *u)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

static uint8_t interrupt_id(const Uart *u)
{
    if (u->ier & IER_LINE && u->lsr & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_RX && u->rx.count >= rx_trigger(u))
        return IIR_RX;
    if (u->ier & IER_RX && u->timed_out)
        return IIR_TIMEOUT;
    if (u->ier & IER_TX && u->tx_interrupt)
        return IIR_TX;
    if (u->ier & IER_MODEM && u->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

/* The only place that drives the line. */
static void update_irq(Uart *u)
{
    bool connected = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    irq_set(&u->irq, connected && interrupt_id(u) != IIR_NONE);
}

/* --- receiver ----------------------------------------------------------------------------- */

static void restart_timeout(Uart *u)
{
    int64_t char_ns = NS_PER_S * BITS_PER_CHAR * MAX(u->divisor, 1) / UART_HZ;

    u->timed_out = false;
    if (u->fcr & FCR_ENABLE && u->rx.count)
        timer_mod(&u->timeout, clock_now(u->clock) + TIMEOUT_CHARS * char_ns);
    else
        timer_del(&u->timeout);
}

static void timeout(void *opaque)
{
    Uart *u = opaque;

    u->timed_out = u->rx.count;
    update_irq(u);
}

static unsigned rx_room(const Uart *u)
{
    return (u->fcr & FCR_ENABLE ? FIFO_SIZE : 1) - MIN(u->rx.count, u->fcr & FCR_ENABLE ? 16 : 1);
}

static void receive_byte(Uart *u, uint8_t byte)
{
    if (!rx_room(u)) {
        u->lsr |= LSR_OVERRUN;
        return;
    }
    fifo_put(&u->rx, byte);
    u->lsr |= LSR_READY;
    restart_timeout(u);
}

static uint8_t read_data(Uart *u)
{
    uint8_t byte = u->rx.count ? fifo_get(&u->rx) : 0;

    if (!u->rx.count)
        u->lsr &= ~LSR_READY;
    restart_timeout(u);
    update_irq(u);
    if (!(u->mcr & MCR_LOOP))
        chardev_accept_input(u->chr);
    return byte;
}

/* --- transmitter -------------------------------------------------------------------------- */

static void tx_flush(Uart *u)
{
    while (u->tx.count) {
        uint8_t byte = u->tx.data[u->tx.head];

        if (!chardev_write(u->chr, &byte, 1))
            break;
        fifo_get(&u->tx);
    }
    if (u->tx.count) {
        u->lsr &= ~(LSR_THRE | LSR_EMPTY);
    } else {
        u->lsr |= LSR_THRE | LSR_EMPTY;
        u->tx_interrupt = true;
    }
}

static void write_data(Uart *u, uint8_t byte)
{
    u->tx_interrupt = false;
    if (u->mcr & MCR_LOOP) {
        receive_byte(u, byte);
        u->tx_interrupt = true;
    } else {
        if (u->tx.count < FIFO_SIZE) /* else a guest that ignores THRE loses bytes */
            fifo_put(&u->tx, byte);
        tx_flush(u);
    }
}

/* --- modem lines -------------------------------------------------------------------------- */

static uint8_t modem_inputs(const Uart *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | (u->opened ? MSR_DCD : 0);
    return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
           (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem(Uart *u)
{
    uint8_t now = modem_inputs(u), changed = (now ^ u->msr) & 0xf0;

    if (!(changed & MSR_RI && !(now & MSR_RI)))
        changed &= ~MSR_RI; /* TERI reports the trailing edge only */
    u->msr = now | (u->msr & MSR_DELTAS) | changed >> 4;
}

/* --- registers ---------------------------------------------------------------------------- */

static void write_ier(Uart *u, uint8_t value)
{
    if (value & IER_TX && !(u->ier & IER_TX) && u->lsr & LSR_THRE)
        u->tx_interrupt = true;
    u->ier = value & 0x0f;
}

static void write_fcr(Uart *u, uint8_t value)
{
    if ((value ^ u->fcr) & FCR_ENABLE)
        value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
    if (value & FCR_CLEAR_RX) {
        fifo_clear(&u->rx);
        u->lsr &= ~LSR_READY;
    }
    if (value & FCR_CLEAR_TX) {
        fifo_clear(&u->tx);
        u->lsr |= LSR_THRE | LSR_EMPTY;
    }
    u->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
    restart_timeout(u);
    chardev_accept_input(u->chr);
}

static void write_lcr(Uart *u, uint8_t value)
{
    if ((value ^ u->lcr) & LCR_BREAK)
        chardev_set_break(u->chr, value & LCR_BREAK);
    u->lcr = value;
}

static void uart_write(void *opaque, uint64_t reg, uint64_t value, unsigned size)
{
    Uart *u = opaque;
    bool dlab = u->lcr & LCR_DLAB;

    (void)size;
    switch (reg) {
    case 0:
        if (dlab)
            u->divisor = (u->divisor & 0xff00) | value;
        else
            write_data(u, value);
        break;
    case 1:
        if (dlab)
            u->divisor = (u->divisor & 0xff) | value << 8;
        else
            write_ier(u, value);
        break;
    case 2: write_fcr(u, value); break;
    case 3: write_lcr(u, value); break;
    case 4:
        u->mcr = value & 0x1f;
        update_modem(u);
        break;
    case 7: u->scratch = value; break;
    default: break; /* LSR and MSR are read-only */
    }
    update_irq(u);
}

static uint8_t read_iir(Uart *u)
{
    uint8_t id = interrupt_id(u);

    if (id == IIR_TX)
        u->tx_interrupt = false;
    return id | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t uart_get(Uart *u, unsigned reg)
{
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t value;

    switch (reg) {
    case 0: return dlab ? u->divisor & 0xff : read_data(u);
    case 1: return dlab ? u->divisor >> 8 : u->ier;
    case 2: return read_iir(u);
    case 3: return u->lcr;
    case 4: return u->mcr;
    case 5:
        value = u->lsr;
        u->lsr &= ~LSR_ERRORS;
        return value;
    case 6:
        value = u->msr;
        u->msr &= ~MSR_DELTAS;
        return value;
    default: return u->scratch;
    }
}

static uint64_t uart_read(void *opaque, uint64_t reg, unsigned size)
{
    Uart *u = opaque;
    uint8_t value = uart_get(u, reg);

    (void)size;
    update_irq(u);
    return value;
}

static const MemOps uart_ops = { .read = uart_read, .write = uart_write, .max_size = 1 };

/* --- the other end ------------------------------------------------------------------------ */

static size_t front_can_receive(void *opaque)
{
    Uart *u = opaque;

    return u->mcr & MCR_LOOP ? 0 : rx_room(u);
}

static void front_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Uart *u = opaque;

    for (size_t i = 0; i < len; i++)
        receive_byte(u, buf[i]);
    update_irq(u);
}

static void front_event(void *opaque, ChardevEvent event)
{
    Uart *u = opaque;

    if (event == CHARDEV_BREAK) {
        receive_byte(u, 0);
        u->lsr |= LSR_BREAK;
    } else {
        u->opened = event == CHARDEV_OPENED;
        update_modem(u);
    }
    update_irq(u);
}

static void front_writable(void *opaque)
{
    Uart *u = opaque;

    if (u->tx.count)
        tx_flush(u);
    update_irq(u);
}

static const ChardevFront uart_front = { .can_receive = front_can_receive,
                                         .receive = front_receive,
                                         .event = front_event,
                                         .writable = front_writable };

/* --- device ------------------------------------------------------------------------------- */

static void uart_reset(void *opaque)
{
    Uart *u = opaque;

    fifo_clear(&u->rx);
    fifo_clear(&u->tx);
    timer_del(&u->timeout);
    u->divisor = 12; /* 9600 baud */
    u->ier = u->fcr = u->lcr = u->mcr = u->scratch = 0;
    u->lsr = LSR_THRE | LSR_EMPTY;
    u->tx_interrupt = u->timed_out = false;
    u->msr = modem_inputs(u);
    update_irq(u);
}

static int uart_loaded(void *opaque)
{
    Uart *u = opaque;

    if (u->rx.head >= FIFO_SIZE || u->rx.count > FIFO_SIZE || u->tx.head >= FIFO_SIZE ||
        u->tx.count > FIFO_SIZE)
        return -1;
    update_irq(u);
    return 0;
}

static void uart_destroy(void *opaque)
{
    Uart *u = opaque;

    timer_del(&u->timeout);
    chardev_attach(u->chr, NULL, NULL);
    free(u);
}

static const SavedField uart_fields[] = {
    SAVED_BYTES(Uart, rx.data), SAVED(Uart, rx.head),       SAVED(Uart, rx.count),
    SAVED_BYTES(Uart, tx.data), SAVED(Uart, tx.head),       SAVED(Uart, tx.count),
    SAVED(Uart, divisor),       SAVED(Uart, ier),           SAVED(Uart, fcr),
    SAVED(Uart, lcr),           SAVED(Uart, mcr),           SAVED(Uart, lsr),
    SAVED(Uart, msr),           SAVED(Uart, scratch),       SAVED(Uart, tx_interrupt),
    SAVED(Uart, timed_out),     SAVED_TIMER(Uart, timeout), SAVED_END,
};

static const DeviceClass uart_class = { .name = "uart16550",
                                        .reset = uart_reset,
                                        .loaded = uart_loaded,
                                        .destroy = uart_destroy,
                                        .fields = uart_fields };

Uart *uart_new(DeviceList *devices, MemMap *io, uint64_t base, Clock *clock, IrqInput *irq,
               Chardev *chr)
{
    Uart *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->clock = clock;
    u->chr = chr;
    u->opened = chr != NULL;
    irq_connect(&u->irq, irq);
    timer_init(&u->timeout, clock, timeout, u);
    region_init_io(&u->ports, "uart", &uart_ops, u, 8);
    memmap_add(io, &u->ports, base, 0);
    device_add(devices, &u->device, &uart_class, u);
    uart_reset(u);
    chardev_attach(chr, &uart_front, u);
    return u;
}
