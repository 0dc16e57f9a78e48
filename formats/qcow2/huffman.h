/*
 * huffman.h - canonical Huffman codes of limited length, as deflate has them (RFC 1951, 3.2.2).
 */
#ifndef QCOW2_HUFFMAN_H
#define QCOW2_HUFFMAN_H

#include <stdint.h>

enum { HUFFMAN_SYMBOLS = 288, HUFFMAN_BITS = 15 };

typedef struct HuffmanCode {
    uint8_t len[HUFFMAN_SYMBOLS];
    uint16_t bits[HUFFMAN_SYMBOLS]; /* in the order in which they are written */
} HuffmanCode;

/* The codes of `n` symbols that follow from their lengths. */
void huffman_assign(HuffmanCode *c, unsigned n);

/*
 * A short code for these frequencies, no length above `most`. At least two symbols get one: some
 * readers refuse a code of a single symbol.
 */
void huffman_make(HuffmanCode *c, const uint32_t *freq, unsigned n, unsigned most);

#endif
