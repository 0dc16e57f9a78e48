/*
 * cmdline-drive.c - options about disks, as descriptions of drives.
 *
 * What this file does not know in a -drive line belongs to the block layer, which refuses
 * what it does not know either.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "block/node.h"
#include "block/object.h"
#include "emulator/cmdline.h"

enum { IDE_BUSES = 2, IDE_UNITS_A_BUS = 2, FLOPPIES = 2 };

void drive_config_free(DriveConfig *d)
{
    free(d->id);
    free(d->file);
    free(d->format);
    options_free(d->options);
    *d = (DriveConfig) { 0 };
}

static int new_drive(Config *c, DriveConfig **out, Error **err)
{
    if (c->n_drives == CONFIG_DRIVES)
        return error_set(err, -EINVAL, "there are more than %d drives", CONFIG_DRIVES);
    *out = &c->drives[c->n_drives++];
    **out = (DriveConfig) { .bus = -1, .unit = -1, .options = options_new() };
    return 0;
}

static DriveConfig *drive_at(Config *c, DriveInterface interface, int bus, int unit)
{
    for (unsigned i = 0; i < c->n_drives; i++)
        if (c->drives[i].interface == interface && c->drives[i].bus == bus &&
            c->drives[i].unit == unit)
            return &c->drives[i];
    return NULL;
}

static int place_at(Config *c, DriveConfig *d, int bus, int unit, Error **err)
{
    if (drive_at(c, DRIVE_IF_IDE, bus, unit))
        return error_set(err, -EBUSY, "there are two drives at IDE bus %d, unit %d", bus, unit);
    d->bus = bus;
    d->unit = unit;
    return 0;
}

/* A drive that does not say where: CD-ROMs from the second channel on, disks from the first. */
static int place_anywhere(Config *c, DriveConfig *d, Error **err)
{
    for (int n = 0; n < IDE_BUSES * IDE_UNITS_A_BUS; n++) {
        int index = d->cdrom ? (n + 2) % 4 : n;

        if (!drive_at(c, DRIVE_IF_IDE, index / 2, index % 2))
            return place_at(c, d, index / 2, index % 2, err);
    }
    return error_set(err, -EBUSY, "there are more than four IDE drives");
}

static int place_floppy(Config *c, DriveConfig *d, int unit, Error **err)
{
    d->interface = DRIVE_IF_NONE; /* not to find itself */
    if (unit < 0)
        unit = drive_at(c, DRIVE_IF_FLOPPY, 0, 0) ? 1 : 0;
    if (unit >= FLOPPIES)
        return error_set(err, -EINVAL, "floppy drives are number 0 and 1");
    if (drive_at(c, DRIVE_IF_FLOPPY, 0, unit))
        return error_set(err, -EBUSY, "there are two floppy drives %d", unit);
    d->interface = DRIVE_IF_FLOPPY;
    d->bus = 0;
    d->unit = unit;
    return 0;
}

int cmdline_fd(Config *c, unsigned unit, const char *file, Error **err)
{
    DriveConfig *d;
    int ret = new_drive(c, &d, err);

    if (ret < 0)
        return ret;
    d->file = strdup(file);
    return place_floppy(c, d, unit, err);
}

int cmdline_hd(Config *c, unsigned index, const char *file, Error **err)
{
    DriveConfig *d;
    int ret = new_drive(c, &d, err);

    if (ret < 0)
        return ret;
    d->file = strdup(file);
    return place_at(c, d, index / 2, index % 2, err);
}

int cmdline_cdrom(Config *c, const char *file, Error **err)
{
    int ret = cmdline_hd(c, 2, file, err);

    if (ret == 0)
        c->drives[c->n_drives - 1].cdrom = true;
    return ret;
}

/* ISO 9660 (ECMA-119, 8.1): volume descriptors start at 32 KiB and are marked "CD001". */
static bool is_iso(const char *file)
{
    char magic[5] = "";
    size_t len = strlen(file);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool iso = fd >= 0 && pread(fd, magic, sizeof(magic), 0x8001) == sizeof(magic) &&
               memcmp(magic, "CD001", sizeof(magic)) == 0;

    if (fd >= 0)
        close(fd);
    return iso || (len > 4 && strcasecmp(file + len - 4, ".iso") == 0);
}

int cmdline_image(Config *c, Error **err)
{
    return is_iso(c->image) ? cmdline_cdrom(c, c->image, err) : cmdline_hd(c, 0, c->image, err);
}

static int take_int(Options *o, const char *key, int max, int *value, Error **err)
{
    uint64_t n = 0;

    if (!options_has(o, key))
        return 0;
    int ret = options_take_u64(o, key, &n, err);
    if (ret == 0 && n > (uint64_t)max)
        ret = error_set(err, -EINVAL, "%s is at most %d for IDE drives", key, max);
    *value = (int)n;
    return ret;
}

static int parse_place(Config *c, DriveConfig *d, Options *o, Error **err)
{
    static const char *const interfaces[] = { "ide", "floppy", "none", NULL };
    int index = -1, bus = -1, unit = -1, interface = 0;
    int ret = options_take_enum(o, "if", interfaces, &interface, err);

    if (ret == 0)
        ret = take_int(o, "index", 3, &index, err);
    if (ret == 0)
        ret = take_int(o, "bus", IDE_BUSES - 1, &bus, err);
    if (ret == 0)
        ret = take_int(o, "unit", IDE_UNITS_A_BUS - 1, &unit, err);
    if (ret < 0)
        return ret;
    if (index >= 0 && (bus >= 0 || unit >= 0))
        return error_set(err, -EINVAL, "a drive has an index, or a bus and a unit, not both");
    d->interface = interface;
    if (d->interface == DRIVE_IF_FLOPPY)
        return place_floppy(c, d, index >= 0 ? index : unit, err);
    if (d->interface == DRIVE_IF_NONE)
        return 0;
    if (index >= 0)
        return place_at(c, d, index / 2, index % 2, err);
    if (bus >= 0 || unit >= 0)
        return place_at(c, d, bus < 0 ? 0 : bus, unit < 0 ? 0 : unit, err);
    return place_anywhere(c, d, err);
}

/* aio=: how requests reach the host is our choice; the option is taken as the hint that it is. */
static int parse_cache(DriveConfig *d, Options *o, Error **err)
{
    static const char *const discards[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const aios[] = { "threads", "native", "io_uring", NULL };
    AUTO_FREE char *mode = options_take(o, "cache");
    int discard = 0, aio = 0;
    int ret = options_take_enum(o, "discard", discards, &discard, err);

    if (ret == 0 && discard >= 2)
        d->flags |= OPEN_UNMAP;
    if (ret == 0)
        ret = options_take_enum(o, "aio", aios, &aio, err);
    if (ret == 0 && mode && cache_mode_flags(mode, &d->flags) < 0)
        ret = error_set(err, -EINVAL, "unknown cache mode '%s'", mode);
    return ret;
}

/* Do the options for the block layer say which image it is? */
static bool names_image(const Options *o)
{
    for (size_t i = 0; i < options_count(o); i++) {
        const char *key = options_key_at(o, i);

        if (strcmp(key, "driver") == 0 || strcmp(key, "filename") == 0 ||
            strncmp(key, "file.", 5) == 0)
            return true;
    }
    return false;
}

static int parse_drive_options(Config *c, DriveConfig *d, Options *o, Error **err)
{
    static const char *const medias[] = { "disk", "cdrom", NULL };
    int media = 0;
    int ret = options_take_enum(o, "media", medias, &media, err);

    d->cdrom = media == 1;
    if (ret == 0)
        ret = parse_place(c, d, o, err);
    if (ret == 0)
        ret = parse_cache(d, o, err);
    if (ret == 0)
        ret = options_take_bool(o, "snapshot", &d->snapshot, err);
    if (ret == 0)
        ret = options_take_bool(o, "readonly", &d->readonly, err);
    if (ret == 0)
        ret = options_take_bool(o, "read-only", &d->readonly, err);
    if (ret < 0)
        return ret;
    d->id = options_take(o, "id");
    d->file = options_take(o, "file");
    d->format = options_take(o, "format");
    if (!d->file && !names_image(o) && !d->cdrom && d->interface != DRIVE_IF_FLOPPY)
        return error_set(err, -EINVAL, "a disk needs file=");
    return 0;
}

int cmdline_object(Config *c, const char *value, Error **err)
{
    (void)c;
    int ret = object_add(value, err);

    return ret < 0 ? error_prefix(err, ret, "-object") : 0;
}

int cmdline_drive(Config *c, const char *value, Error **err)
{
    DriveConfig *d = NULL;
    int ret = new_drive(c, &d, err);

    if (ret == 0)
        ret = options_parse(d->options, value, NULL, err);
    if (ret == 0)
        ret = parse_drive_options(c, d, d->options, err);
    return ret < 0 ? error_prefix(err, ret, "-drive %s", value) : 0;
}
