/*
 * display.c - see display.h. PNG: ISO/IEC 15948; one IDAT chunk of unfiltered RGB lines.
 */
#include "emulator/display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/endian.h"
#include "hw/display/vga.h"

int display_attach(Machine *m, Error **err)
{
    VgaConfig config = { 0 };
    int ret = firmware_load(m->config, "vgabios-stdvga.bin", &config.rom, err);

    if (ret < 0)
        return ret;
    m->display = display_new();
    if (!m->display)
        ret = error_set(err, -ENOMEM, "no memory for a display");
    else if (!vga_new(m->pc, &config, m->display, err))
        ret = -EINVAL;
    free((void *)config.rom.data);
    return ret;
}

static int put_chunk(FILE *out, const char type[5], const uint8_t *data, uint32_t len)
{
    uint8_t word[4];
    uint32_t crc = crc32(0, (const Bytef *)type, 4);

    put_be32(word, len);
    fwrite(word, 1, 4, out);
    fwrite(type, 1, 4, out);
    if (len) {
        crc = crc32(crc, data, len);
        fwrite(data, 1, len, out);
    }
    put_be32(word, crc);
    fwrite(word, 1, 4, out);
    return ferror(out) ? -EIO : 0;
}

/* Each line: filter type 0, then red, green, blue. */
static void fill_lines(const Display *d, uint8_t *out)
{
    for (int y = 0; y < d->height; y++) {
        const uint32_t *pixel = d->pixels + (size_t)y * d->stride;

        *out++ = 0;
        for (int x = 0; x < d->width; x++) {
            *out++ = pixel[x] >> 16;
            *out++ = pixel[x] >> 8;
            *out++ = pixel[x];
        }
    }
}

static int write_png(const Display *d, FILE *out)
{
    static const uint8_t magic[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    uint8_t header[13] = { [8] = 8 /* bits */, [9] = 2 /* RGB */ };
    size_t raw_len = (size_t)d->height * (1 + 3 * (size_t)d->width);
    uLongf packed_len = compressBound(raw_len);
    AUTO_FREE uint8_t *raw = malloc(raw_len), *packed = malloc(packed_len);

    if (!raw || !packed)
        return -ENOMEM;
    fill_lines(d, raw);
    if (compress2(packed, &packed_len, raw, raw_len, 6) != Z_OK)
        return -ENOMEM;
    put_be32(header, d->width);
    put_be32(header + 4, d->height);
    fwrite(magic, 1, sizeof(magic), out);
    put_chunk(out, "IHDR", header, sizeof(header));
    put_chunk(out, "IDAT", packed, packed_len);
    return put_chunk(out, "IEND", NULL, 0);
}

int display_dump(Machine *m, const char *file, Error **err)
{
    size_t len = strlen(file);
    bool png = len > 4 && strcasecmp(file + len - 4, ".png") == 0;

    if (!m->display)
        return error_set(err, -ENODEV, "the machine has no display");
    FILE *out = fopen(file, "we");
    if (!out)
        return error_set(err, -errno, "cannot open '%s': %s", file, strerror(errno));
    display_refresh(m->display);
    int ret = png ? write_png(m->display, out) : display_write_ppm(m->display, out);
    if (fclose(out) != 0 && ret == 0)
        ret = -errno;
    return ret < 0 ? error_set(err, ret, "cannot write '%s': %s", file, strerror(-ret)) : 0;
}
