/*
 * diskette.c - the formats in which PCs recorded diskettes, by the size of their image.
 *
 * Data rates are numbered as in the data rate select register: 0 is 500 kbit/s, 1 is 300, 2 is 250,
 * 3 is 1000. A 40-track diskette is read at 250 kbit/s, or at 300 in the faster 1.2 MB drive.
 */
#include "hw/floppy/fdc-state.h"

#include "base/math.h"

enum { RATE_500 = 1 << 0, RATE_300 = 1 << 1, RATE_250 = 1 << 2, RATE_1000 = 1 << 3 };
enum { TYPE_360K = 1, TYPE_1200K, TYPE_720K, TYPE_1440K, TYPE_2880K };
#define KIB UINT64_C(1024)

static const Diskette diskettes[] = {
    /* size        cylinders, heads, sectors  rates                 drive */
    { 160 * KIB, 40, 1, 8, RATE_250 | RATE_300, TYPE_360K },
    { 180 * KIB, 40, 1, 9, RATE_250 | RATE_300, TYPE_360K },
    { 320 * KIB, 40, 2, 8, RATE_250 | RATE_300, TYPE_360K },
    { 360 * KIB, 40, 2, 9, RATE_250 | RATE_300, TYPE_360K },
    { 720 * KIB, 80, 2, 9, RATE_250, TYPE_720K },
    { 1200 * KIB, 80, 2, 15, RATE_500, TYPE_1200K },
    { 1440 * KIB, 80, 2, 18, RATE_500, TYPE_1440K },
    { 1680 * KIB, 80, 2, 21, RATE_500, TYPE_1440K },
    { 1722 * KIB, 82, 2, 21, RATE_500, TYPE_1440K },
    { 2880 * KIB, 80, 2, 36, RATE_1000, TYPE_2880K },
};

const Diskette *diskette_by_size(uint64_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(diskettes); i++)
        if (diskettes[i].size == size)
            return &diskettes[i];
    /* A cut image, as boot loaders come: at least the usual diskette. */
    for (size_t i = 0; i < ARRAY_LEN(diskettes); i++)
        if (diskettes[i].size >= MAX(size, 1440 * KIB))
            return &diskettes[i];
    return NULL;
}
