/*
 * io.c - port I/O with IOPL and the TSS's permission bitmap (SDM volume 1, 18.5).
 */
#include "tcg/guest/x86/system.h"

enum { TSS_IOMAP = 0x66 };

/* Every bit of the ports must be clear; the map is read two bytes at a time. */
static bool bitmap_allows(X86Cpu *x, uint16_t port, unsigned size)
{
    bool tss32 = (x->tr.attr >> DESC_TYPE_SHIFT & 0xd) == SYS_TSS32;

    if (!tss32 || x->tr.limit < TSS_IOMAP + 1)
        return false;
    unsigned at = cpu_ld16(&x->c, x->tr.base + TSS_IOMAP, MMU_KERNEL) + port / 8;
    if (at + 1 > x->tr.limit)
        return false;
    unsigned bits = cpu_ld16(&x->c, x->tr.base + at, MMU_KERNEL) >> port % 8;
    return !(bits & ((1u << size) - 1));
}

void x86_check_io(X86Cpu *x, uint16_t port, unsigned size)
{
    bool v86 = x->c.mode & MODE_VM;

    if (!(x->c.mode & MODE_PE) || (!v86 && x86_cpl(x) <= x86_iopl(x)))
        return;
    if (!bitmap_allows(x, port, size))
        x86_raise_error(x, EXC_GP, 0);
}

uint64_t x86_io_read(X86Cpu *x, uint16_t port, unsigned size)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (unlikely(x->dr[7] & 0xff))
        x86_watch(x, port, size, false, true);
    return bus->io_read(bus->opaque, port, size);
}

void x86_io_write(X86Cpu *x, uint16_t port, uint64_t value, unsigned size)
{
    const TcgBus *bus = tcg_bus(x->c.tcg);

    if (unlikely(x->dr[7] & 0xff))
        x86_watch(x, port, size, true, true);
    bus->io_write(bus->opaque, port, value, size);
}
