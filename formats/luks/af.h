/*
 * af.h - the anti-forensic splitter: key material spread over many stripes, of which each is needed
 * (LUKS1 specification, section 2.4).
 */
#ifndef FORMATS_LUKS_AF_H
#define FORMATS_LUKS_AF_H

#include <stddef.h>

#include "formats/luks/spec.h"

/* `key` (`len` bytes) becomes `stripes` * `len` bytes in `out`. -EIO: no random numbers. */
int af_split(const uint8_t *key, size_t len, uint32_t stripes, Hash hash, uint8_t *out);

void af_merge(const uint8_t *in, size_t len, uint32_t stripes, Hash hash, uint8_t *key);

#endif
