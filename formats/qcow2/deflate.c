/*
 * deflate.c - see deflate.h; RFC 1951.
 *
 * Matches are found over chains of positions with the same hash of three bytes; with a window of
 * 4 KiB the chains are short and stay in the cache. A match is put off by one byte if the next
 * place has a better one, where "better" counts what a distance costs, too. Symbols are collected
 * into blocks of a fixed number, and each block is written with codes of its own or with the fixed
 * ones, or stored, whichever is the shortest. Nothing is written that would not fit: the length is
 * known before.
 */
#include "formats/qcow2/deflate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "formats/qcow2/huffman.h"

enum { WINDOW = 4096, HASH_BITS = 14, MIN_MATCH = 3, MAX_MATCH = 258, BLOCK_SYMBOLS = 9000 };
enum { LITERALS = HUFFMAN_SYMBOLS, DISTANCES = 30, END = 256, CODE_LENGTHS = 19 };
enum { MAX_STORED = 65535, FAR_SHORT = 2048 };

/* A symbol: a literal, or a length and a distance. */
typedef struct Symbol {
    uint16_t length; /* 0: a literal ... */
    uint16_t value;  /* ... of this value; else the distance */
} Symbol;

typedef struct Level {
    unsigned depth, nice,
        lazy; /* chain steps; a length that is good enough; that needs no second look */
} Level;

static const Level levels[DEFLATE_LEVEL_MAX + 1] = {
    { 0 },          { 2, 16, 4 },   { 4, 24, 6 },    { 6, 32, 8 },      { 10, 48, 12 },
    { 16, 64, 16 }, { 28, 96, 24 }, { 64, 160, 48 }, { 256, 258, 128 }, { 4096, 258, 258 },
};

struct Deflater {
    const uint8_t *in;
    size_t len;
    Level level;
    uint32_t head[1 << HASH_BITS], prev[WINDOW]; /* positions plus one */
    Symbol symbols[BLOCK_SYMBOLS + 1];
    unsigned count;
    size_t block_start, block_end; /* the bytes that the symbols stand for */
    uint32_t literal_freq[LITERALS], distance_freq[DISTANCES];
    HuffmanCode literals, distances;
    uint8_t *out, *end;
    uint64_t acc; /* bits that are not written yet */
    unsigned acc_bits;
};

/* ---- what a length or a distance is written as ----------------------------------------------- */

static uint8_t length_code[MAX_MATCH + 1], distance_code[WINDOW + 1];
static uint16_t length_base[29], distance_base[DISTANCES];
static uint8_t length_extra[29], distance_extra[DISTANCES];
static HuffmanCode fixed_literals, fixed_distances;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    unsigned base = MIN_MATCH;

    for (unsigned c = 0; c < 28; base += 1u << length_extra[c++]) {
        length_extra[c] = (uint8_t)(c < 8 ? 0 : (c - 4) / 4);
        length_base[c] = (uint16_t)base;
        for (unsigned i = 0; i < 1u << length_extra[c] && base + i <= MAX_MATCH; i++)
            length_code[base + i] = (uint8_t)c;
    }
    length_base[28] = MAX_MATCH;
    length_code[MAX_MATCH] = 28;
    base = 1;
    for (unsigned c = 0; c < DISTANCES; base += 1u << distance_extra[c++]) {
        distance_extra[c] = (uint8_t)(c < 4 ? 0 : (c - 2) / 2);
        distance_base[c] = (uint16_t)base;
        for (unsigned i = 0; i < 1u << distance_extra[c] && base + i <= WINDOW; i++)
            distance_code[base + i] = (uint8_t)c;
    }
    for (unsigned i = 0; i < LITERALS; i++)
        fixed_literals.len[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    memset(fixed_distances.len, 5, DISTANCES);
    huffman_assign(&fixed_literals, LITERALS);
    huffman_assign(&fixed_distances, DISTANCES);
}

/* ---- writing bits ------------------------------------------------------------------------------
 */

static inline void put_bits(Deflater *d, uint64_t bits, unsigned n)
{
    d->acc |= bits << d->acc_bits;
    d->acc_bits += n;
}

/* Leaves at most 7 bits waiting. */
static inline void flush_bits(Deflater *d)
{
    unsigned bytes = d->acc_bits / 8;

    if (d->end - d->out >= 8) {
        put_le64(d->out, d->acc);
        d->out += bytes;
    } else {
        for (unsigned i = 0; i < bytes; i++)
            *d->out++ = (uint8_t)(d->acc >> 8 * i);
    }
    d->acc = bytes == 8 ? 0 : d->acc >> 8 * bytes;
    d->acc_bits &= 7;
}

static void write_symbols(Deflater *d, const HuffmanCode *literals, const HuffmanCode *distances)
{
    for (unsigned i = 0; i < d->count; i++) {
        Symbol s = d->symbols[i];

        if (!s.length) {
            put_bits(d, literals->bits[s.value], literals->len[s.value]);
        } else {
            unsigned lc = length_code[s.length], dc = distance_code[s.value];

            put_bits(d, literals->bits[END + 1 + lc], literals->len[END + 1 + lc]);
            put_bits(d, (uint64_t)(s.length - length_base[lc]), length_extra[lc]);
            put_bits(d, distances->bits[dc], distances->len[dc]);
            put_bits(d, (uint64_t)(s.value - distance_base[dc]), distance_extra[dc]);
        }
        flush_bits(d);
    }
    put_bits(d, literals->bits[END], literals->len[END]);
    flush_bits(d);
}

/* ---- the head of a block with its own codes (3.2.7) ------------------------------------------ */

typedef struct Head {
    unsigned literals, distances, lengths; /* how many lengths of each kind are written */
    uint8_t op[LITERALS + DISTANCES], extra[LITERALS + DISTANCES];
    unsigned ops;
    HuffmanCode code;
    uint64_t bits;
} Head;

static const uint8_t length_order[CODE_LENGTHS] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                    11, 4,  12, 3, 13, 2, 14, 1, 15 };
static const uint8_t op_extra[CODE_LENGTHS] = { [16] = 2, [17] = 3, [18] = 7 };

static void add_op(Head *h, uint32_t *freq, unsigned op, unsigned extra)
{
    h->op[h->ops] = (uint8_t)op;
    h->extra[h->ops++] = (uint8_t)extra;
    freq[op]++;
}

/* Runs of equal lengths become repetitions. */
static void make_ops(Head *h, const uint8_t *len, unsigned n, uint32_t *freq)
{
    for (unsigned i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && len[i + run] == len[i];)
            run++;
        if (len[i] == 0 && run >= 3) {
            run = MIN(run, 138u);
            add_op(h, freq, run <= 10 ? 17 : 18, run <= 10 ? run - 3 : run - 11);
        } else if (run >= 4) {
            run = MIN(run, 7u);
            add_op(h, freq, len[i], 0);
            add_op(h, freq, 16, run - 4);
        } else {
            run = 1;
            add_op(h, freq, len[i], 0);
        }
    }
}

static void make_head(const Deflater *d, Head *h)
{
    uint8_t len[LITERALS + DISTANCES];
    uint32_t freq[CODE_LENGTHS] = { 0 };

    h->ops = 0;
    h->literals = 286;
    h->distances = DISTANCES;
    h->lengths = CODE_LENGTHS;
    while (h->literals > 257 && d->literals.len[h->literals - 1] == 0)
        h->literals--;
    while (h->distances > 1 && d->distances.len[h->distances - 1] == 0)
        h->distances--;
    memcpy(len, d->literals.len, h->literals);
    memcpy(len + h->literals, d->distances.len, h->distances);
    make_ops(h, len, h->literals + h->distances, freq);
    huffman_make(&h->code, freq, CODE_LENGTHS, 7);
    while (h->lengths > 4 && h->code.len[length_order[h->lengths - 1]] == 0)
        h->lengths--;
    h->bits = 5 + 5 + 4 + 3 * h->lengths;
    for (unsigned i = 0; i < h->ops; i++)
        h->bits += h->code.len[h->op[i]] + op_extra[h->op[i]];
}

static void write_head(Deflater *d, const Head *h)
{
    put_bits(d, h->literals - 257, 5);
    put_bits(d, h->distances - 1, 5);
    put_bits(d, h->lengths - 4, 4);
    flush_bits(d);
    for (unsigned i = 0; i < h->lengths; i++) {
        put_bits(d, h->code.len[length_order[i]], 3);
        flush_bits(d);
    }
    for (unsigned i = 0; i < h->ops; i++) {
        put_bits(d, h->code.bits[h->op[i]], h->code.len[h->op[i]]);
        put_bits(d, h->extra[i], op_extra[h->op[i]]);
        flush_bits(d);
    }
}

/* ---- blocks ---- */

static uint64_t symbol_bits(const Deflater *d, const HuffmanCode *literals,
                            const HuffmanCode *distances)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 286; i++)
        bits += (uint64_t)d->literal_freq[i] *
                (literals->len[i] + (i > END ? length_extra[i - END - 1] : 0u));
    for (unsigned i = 0; i < DISTANCES; i++)
        bits += (uint64_t)d->distance_freq[i] * (distances->len[i] + distance_extra[i]);
    return bits;
}

static bool fits(const Deflater *d, uint64_t bits)
{
    return (d->acc_bits + bits + 7) / 8 <= (uint64_t)(d->end - d->out);
}

static bool write_stored(Deflater *d, bool last)
{
    size_t at = d->block_start, left = d->block_end - at;

    do {
        size_t n = MIN(left, (size_t)MAX_STORED);

        if ((d->acc_bits + 3 + 7) / 8 + 4 + n > (size_t)(d->end - d->out))
            return false;
        put_bits(d, last && n == left, 3);
        d->acc_bits = (d->acc_bits + 7) & ~7u;
        flush_bits(d);
        put_bits(d, n | (uint64_t)(~n & 0xffff) << 16, 32);
        flush_bits(d);
        memcpy(d->out, d->in + at, n);
        d->out += n;
        at += n;
        left -= n;
    } while (left);
    return true;
}

static bool write_block(Deflater *d, bool last)
{
    Head h;

    d->literal_freq[END] = 1;
    huffman_make(&d->literals, d->literal_freq, 286, HUFFMAN_BITS);
    huffman_make(&d->distances, d->distance_freq, DISTANCES, HUFFMAN_BITS);
    make_head(d, &h);
    uint64_t own = 3 + h.bits + symbol_bits(d, &d->literals, &d->distances);
    uint64_t fixed = 3 + symbol_bits(d, &fixed_literals, &fixed_distances);
    uint64_t stored = 8 * (uint64_t)(d->block_end - d->block_start) + 42;
    bool ok = true;

    if (stored <= MIN(own, fixed)) {
        ok = write_stored(d, last);
    } else if (!fits(d, MIN(own, fixed))) {
        ok = false;
    } else {
        put_bits(d, (unsigned)last | (own < fixed ? 2u : 1u) << 1, 3);
        if (own < fixed)
            write_head(d, &h);
        write_symbols(d, own < fixed ? &d->literals : &fixed_literals,
                      own < fixed ? &d->distances : &fixed_distances);
    }
    d->count = 0;
    d->block_start = d->block_end;
    memset(d->literal_freq, 0, sizeof(d->literal_freq));
    memset(d->distance_freq, 0, sizeof(d->distance_freq));
    return ok;
}

/* False: the output is full. */
static inline bool add_literal(Deflater *d, uint8_t value)
{
    d->symbols[d->count++] = (Symbol) { 0, value };
    d->literal_freq[value]++;
    d->block_end++;
    return d->count < BLOCK_SYMBOLS || write_block(d, false);
}

static inline bool add_match(Deflater *d, unsigned length, unsigned distance)
{
    d->symbols[d->count++] = (Symbol) { (uint16_t)length, (uint16_t)distance };
    d->literal_freq[END + 1 + length_code[length]]++;
    d->distance_freq[distance_code[distance]]++;
    d->block_end += length;
    return d->count < BLOCK_SYMBOLS || write_block(d, false);
}

/* ---- matches ---- */

typedef struct Match {
    unsigned length, distance;
} Match;

static inline uint32_t hash_at(const uint8_t *p)
{
    return (get_le32(p) & 0xffffff) * UINT32_C(0x9e3779b1) >> (32 - HASH_BITS);
}

static inline unsigned common_length(const uint8_t *a, const uint8_t *b, unsigned most)
{
    unsigned n = 0;

    for (; n + 8 <= most; n += 8) {
        uint64_t diff = get_le64(a + n) ^ get_le64(b + n);

        if (diff)
            return n + (unsigned)__builtin_ctzll(diff) / 8;
    }
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static inline void insert(Deflater *d, size_t pos)
{
    uint32_t h = hash_at(d->in + pos);

    d->prev[pos % WINDOW] = d->head[h];
    d->head[h] = (uint32_t)pos + 1;
}

/* The longest match at `pos` that is longer than `than`; the position is entered as well. */
static inline Match find(Deflater *d, size_t pos, unsigned than)
{
    const uint8_t *in = d->in, *here = in + pos;
    unsigned most = (unsigned)MIN(d->len - pos, (size_t)MAX_MATCH), depth = d->level.depth;
    size_t lowest = pos > WINDOW ? pos - WINDOW : 0;
    Match best = { MAX(than, MIN_MATCH - 1u), 0 };

    for (uint32_t c = d->head[hash_at(here)]; c > lowest && depth; depth--) {
        const uint8_t *there = in + c - 1;

        if (best.length < most && there[best.length] == here[best.length] && there[0] == here[0]) {
            unsigned n = common_length(there, here, most);

            if (n > best.length) {
                best = (Match) { n, (unsigned)(here - there) };
                if (n >= d->level.nice || n == most)
                    break;
            }
        }
        c = d->prev[(c - 1) % WINDOW];
    }
    insert(d, pos);
    if (best.distance == 0 || (best.length == MIN_MATCH && best.distance > FAR_SHORT))
        return (Match) { 0 };
    return best;
}

/* Is `next`, one byte later, worth a literal? A longer distance costs bits. */
static inline bool better(Match next, Match now)
{
    int gain = 4 * ((int)next.length - (int)now.length);

    return gain > __builtin_clz(now.distance) - __builtin_clz(next.distance) + 1;
}

static bool pack_all(Deflater *d)
{
    size_t pos = 0, limit = d->len > 8 ? d->len - 8 : 0; /* where hashes may be read */

    while (pos < limit) {
        Match now = find(d, pos, 0);

        if (!now.length) {
            if (!add_literal(d, d->in[pos++]))
                return false;
            continue;
        }
        while (now.length < d->level.lazy && pos + 1 < limit) {
            Match next = find(d, pos + 1, now.length - 1);

            if (!next.length || !better(next, now)) {
                pos++; /* it has been entered */
                goto take;
            }
            if (!add_literal(d, d->in[pos++]))
                return false;
            now = next;
        }
        pos++;
        if (pos < limit)
            insert(d, pos);
    take:
        if (!add_match(d, now.length, now.distance))
            return false;
        size_t end = pos - 1 + now.length;
        for (pos++; pos < MIN(end, limit); pos++)
            insert(d, pos);
        pos = end;
    }
    while (pos < d->len)
        if (!add_literal(d, d->in[pos++]))
            return false;
    return write_block(d, true);
}

Deflater *deflate_new(void)
{
    pthread_once(&tables_once, make_tables);
    return calloc(1, sizeof(Deflater));
}

size_t deflate_pack(Deflater *d, const uint8_t *in, size_t len, uint8_t *out, size_t room,
                    int level)
{
    d->in = in;
    d->len = len;
    d->level = levels[level];
    d->count = 0;
    d->block_start = d->block_end = 0;
    d->out = out;
    d->end = out + room;
    d->acc = d->acc_bits = 0;
    memset(d->head, 0, sizeof(d->head));
    memset(d->literal_freq, 0, sizeof(d->literal_freq));
    memset(d->distance_freq, 0, sizeof(d->distance_freq));
    if (!pack_all(d))
        return 0;
    if (d->acc_bits) {
        if (d->out == d->end)
            return 0;
        *d->out++ = (uint8_t)d->acc;
    }
    return (size_t)(d->out - out);
}
