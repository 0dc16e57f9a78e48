/*
 * huffman.c - see huffman.h.
 *
 * Depths come from merging two queues, the leaves and the inner nodes, both in ascending order of
 * frequency. Where that gives a code that is too long, shorter ones are made longer until the
 * lengths are a code again: not the best one then, but close.
 */
#include "formats/qcow2/huffman.h"

#include <stdlib.h>
#include <string.h>

#include "base/math.h"

static uint16_t reversed(uint16_t code, unsigned len)
{
    uint16_t r = 0;

    for (; len; len--, code >>= 1)
        r = (uint16_t)(r << 1 | (code & 1));
    return r;
}

void huffman_assign(HuffmanCode *c, unsigned n)
{
    uint16_t next[HUFFMAN_BITS + 2] = { 0 }, counts[HUFFMAN_BITS + 1] = { 0 };

    for (unsigned i = 0; i < n; i++)
        counts[c->len[i]]++;
    counts[0] = 0;
    for (unsigned b = 1; b <= HUFFMAN_BITS; b++)
        next[b + 1] = (uint16_t)((next[b] + counts[b]) << 1);
    for (unsigned i = 0; i < n; i++)
        c->bits[i] = reversed(next[c->len[i]]++, c->len[i]);
}

/* ---- codes for a block's frequencies -----------------------------------------------------------
 */

typedef struct Leaf {
    uint32_t freq;
    uint16_t symbol;
} Leaf;

static int by_freq(const void *a, const void *b)
{
    const Leaf *p = a, *q = b;

    return p->freq < q->freq ? -1 : p->freq > q->freq ? 1 : (int)p->symbol - (int)q->symbol;
}

/* Depths of n >= 2 leaves in ascending order of frequency, by merging two queues. */
static void leaf_depths(const Leaf *leaf, unsigned n, uint8_t *depth)
{
    uint32_t weight[HUFFMAN_SYMBOLS];
    uint16_t parent_of_leaf[HUFFMAN_SYMBOLS], parent[HUFFMAN_SYMBOLS];
    uint8_t node_depth[HUFFMAN_SYMBOLS];
    unsigned l = 0, w = 0;

    for (unsigned made = 0; made < n - 1; made++) {
        weight[made] = 0;
        for (int k = 0; k < 2; k++) {
            if (l < n && (w == made || leaf[l].freq <= weight[w])) {
                weight[made] += leaf[l].freq;
                parent_of_leaf[l++] = (uint16_t)made;
            } else {
                weight[made] += weight[w];
                parent[w++] = (uint16_t)made;
            }
        }
    }
    node_depth[n - 2] = 0;
    for (unsigned i = n - 2; i-- > 0;)
        node_depth[i] = (uint8_t)(node_depth[parent[i]] + 1);
    for (unsigned i = 0; i < n; i++)
        depth[i] = (uint8_t)(node_depth[parent_of_leaf[i]] + 1);
}

/* How many codes of each length, none longer than `most`, from the depths. */
static void limit_lengths(const uint8_t *depth, unsigned n, unsigned most, unsigned *counts)
{
    uint32_t total = 0;

    memset(counts, 0, (HUFFMAN_BITS + 1) * sizeof(*counts));
    for (unsigned i = 0; i < n; i++)
        counts[MIN((unsigned)depth[i], most)]++;
    for (unsigned b = 1; b <= most; b++)
        total += (uint32_t)counts[b] << (most - b);
    for (; total > 1u << most; total--) { /* a shorter code becomes two longer ones */
        unsigned b = most - 1;

        while (counts[b] == 0)
            b--;
        counts[most]--;
        counts[b]--;
        counts[b + 1] += 2;
    }
}

void huffman_make(HuffmanCode *c, const uint32_t *freq, unsigned n, unsigned most)
{
    Leaf leaf[HUFFMAN_SYMBOLS];
    uint8_t depth[HUFFMAN_SYMBOLS];
    unsigned counts[HUFFMAN_BITS + 1], used = 0;

    memset(c->len, 0, sizeof(c->len));
    for (unsigned i = 0; i < n; i++)
        if (freq[i])
            leaf[used++] = (Leaf) { freq[i], (uint16_t)i };
    for (unsigned i = 0; used < 2; i++)
        if (!freq[i])
            leaf[used++] = (Leaf) { 0, (uint16_t)i };
    qsort(leaf, used, sizeof(*leaf), by_freq);
    leaf_depths(leaf, used, depth);
    limit_lengths(depth, used, most, counts);
    for (unsigned b = most, i = 0; b > 0; b--)
        for (unsigned k = 0; k < counts[b]; k++)
            c->len[leaf[i++].symbol] = (uint8_t)b;
    huffman_assign(c, n);
}
