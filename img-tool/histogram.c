/*
 * histogram.c - see histogram.h: a class is a power of two and the next five bits below it.
 */
#include "img-tool/histogram.h"

#include "base/math.h"

static unsigned class_of(uint64_t value)
{
    if (value >> HISTOGRAM_SUB_BITS == 0)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;

    return ((shift + 1) << HISTOGRAM_SUB_BITS) +
           (unsigned)(value >> shift & ((1 << HISTOGRAM_SUB_BITS) - 1));
}

/* The largest value of a class. */
static uint64_t class_end(unsigned c)
{
    unsigned sub = 1 << HISTOGRAM_SUB_BITS;

    if (c < sub)
        return c;
    unsigned shift = c / sub - 1;

    return ((uint64_t)(sub + c % sub + 1) << shift) - 1;
}

void histogram_add(Histogram *h, uint64_t value)
{
    h->counts[class_of(value)]++;
    h->min = h->total ? MIN(h->min, value) : value;
    h->max = MAX(h->max, value);
    h->sum += value;
    h->total++;
}

void histogram_merge(Histogram *h, const Histogram *more)
{
    if (more->total == 0)
        return;
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
        h->counts[i] += more->counts[i];
    h->min = h->total ? MIN(h->min, more->min) : more->min;
    h->max = MAX(h->max, more->max);
    h->sum += more->sum;
    h->total += more->total;
}

uint64_t histogram_mean(const Histogram *h)
{
    return h->total ? h->sum / h->total : 0;
}

uint64_t histogram_percentile(const Histogram *h, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)h->total), seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_CLASSES && h->total; i++) {
        seen += h->counts[i];
        if (seen > wanted || seen == h->total)
            return MIN(class_end(i), h->max);
    }
    return 0;
}
