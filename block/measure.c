/*
 * measure.c - how large a new image would get; the formats do the sums.
 */
#include <errno.h>

#include "block/driver.h"

int node_measure(const char *format, Options *options, Node *src, MeasureInfo *info, Error **err)
{
    AUTO_OPTIONS Options *o = options;
    const BlockDriver *drv = driver_find(format);

    *info = (MeasureInfo) { 0 };
    if (!drv)
        return error_set(err, -EINVAL, "Unknown file format '%s'", format);
    if (!drv->measure)
        return error_set(err, -ENOTSUP, "Block driver '%s' does not support size measurement",
                         format);
    return drv->measure(o, src, info, err);
}
