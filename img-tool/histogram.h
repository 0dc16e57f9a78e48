/*
 * histogram.h - how often each duration occurred, in 64 * 32 classes: within 3 % of the truth.
 */
#ifndef IMG_TOOL_HISTOGRAM_H
#define IMG_TOOL_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 5, HISTOGRAM_CLASSES = 64 << HISTOGRAM_SUB_BITS };

typedef struct Histogram {
    uint64_t counts[HISTOGRAM_CLASSES];
    uint64_t total, sum, min, max;
} Histogram;

void histogram_add(Histogram *h, uint64_t value);
void histogram_merge(Histogram *h, const Histogram *more);
uint64_t histogram_mean(const Histogram *h);
/* The value that `part` (0.0 to 1.0) of all values do not exceed; 0 if there are none. */
uint64_t histogram_percentile(const Histogram *h, double part);

#endif
