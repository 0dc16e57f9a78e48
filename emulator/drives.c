/*
 * drives.c - disks of the machine: opening images, handing them to the controllers, changing discs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "emulator/machine.h"
#include "hw/floppy/fdc.h"

static void aio_ready(void *opaque, short revents)
{
    (void)revents;
    aio_dispatch(opaque);
}

static const char *drive_title(const DriveConfig *d)
{
    return d->file ? d->file : d->id ? d->id : "drive";
}

static void warn_if_guessed_raw(const DriveConfig *d, Node *node)
{
    if (d->cdrom || d->format || !node_writable(node) || !node_probed(node) ||
        strcmp(node_format(node), "raw") != 0)
        return;
    fprintf(stderr,
            "emulator: warning: the format of '%s' is not given and looks like raw; a guest that "
            "writes another format's header into it would change what is opened next time. "
            "Use format=raw.\n",
            drive_title(d));
}

/* Writes go to a file without a name, the image is only read. */
static int put_overlay(Node **node, Error **err)
{
    Node *overlay;
    int ret = node_open_temporary_overlay(*node, &overlay, err);

    if (ret < 0)
        return error_prefix(err, ret, "cannot make a temporary overlay");
    node_unref(*node);
    *node = overlay;
    return 0;
}

static int open_node(const Machine *m, const DriveConfig *d, Node **out, Error **err)
{
    bool snapshot = !d->cdrom && (d->snapshot || m->config->snapshot);
    unsigned flags = d->flags;

    if (!d->cdrom && !d->readonly && !snapshot)
        flags |= OPEN_RDWR;
    int ret = node_open(d->file, d->format, options_copy(d->options), flags, out, err);
    if (ret == 0 && snapshot)
        ret = put_overlay(out, err);
    if (ret == 0)
        warn_if_guessed_raw(d, *out);
    return ret;
}

/* The names that monitors use: ide0-hd0, ide1-cd0, floppy0, or the id that the user gave. */
static void name_drive(Drive *d)
{
    const DriveConfig *c = d->config;

    if (c->id)
        snprintf(d->name, sizeof(d->name), "%s", c->id);
    else if (c->interface == DRIVE_IF_FLOPPY)
        snprintf(d->name, sizeof(d->name), "floppy%d", c->unit);
    else
        snprintf(d->name, sizeof(d->name), "ide%d-%s%d", c->bus < 0 ? 0 : c->bus,
                 c->cdrom ? "cd" : "hd", c->unit < 0 ? 0 : c->unit);
}

int drives_open(Machine *m, Error **err)
{
    m->aio = aio_new(0, err);
    if (!m->aio)
        return -ENOMEM;
    watch_start(&m->aio_watch, aio_fd(m->aio), POLLIN, aio_ready, m->aio);
    for (unsigned i = 0; i < m->config->n_drives; i++) {
        Drive *d = &m->drives[m->n_drives];

        d->config = &m->config->drives[i];
        name_drive(d);
        if (d->config->file || !options_empty(d->config->options)) {
            int ret = open_node(m, d->config, &d->node, err);

            if (ret < 0)
                return ret;
        }
        m->n_drives++;
    }
    return 0;
}

static int attach_floppy(Machine *m, Drive *d, Error **err)
{
    if (!m->fdc)
        m->fdc = fdc_new(m->pc, m->aio, err);
    return m->fdc ? fdc_attach(m->fdc, d->config->unit, d->node, err) : -ENOMEM;
}

static int attach(Machine *m, Drive *d, Error **err)
{
    IdeDriveConfig config = { .cdrom = d->config->cdrom, .node = d->node, .aio = m->aio };

    if (d->config->interface == DRIVE_IF_FLOPPY)
        return attach_floppy(m, d, err);
    if (d->config->interface != DRIVE_IF_IDE)
        return 0;
    return ide_attach(m->ide, d->config->bus, d->config->unit, &config, err);
}

static bool place_is_free(const Machine *m, int bus, int unit)
{
    for (unsigned i = 0; i < m->n_drives; i++)
        if (m->drives[i].config->interface == DRIVE_IF_IDE && m->drives[i].config->bus == bus &&
            m->drives[i].config->unit == unit)
            return false;
    return true;
}

/* A PC has a CD-ROM drive even when nobody asked for one, so that a disc can be put in later. */
static int attach_empty_cdrom(Machine *m, Error **err)
{
    static const DriveConfig empty = { .bus = 1, .unit = 0, .cdrom = true };

    for (unsigned i = 0; i < m->n_drives; i++)
        if (m->drives[i].config->cdrom)
            return 0;
    if (!place_is_free(m, empty.bus, empty.unit) || m->n_drives == CONFIG_DRIVES)
        return 0;
    Drive *d = &m->drives[m->n_drives++];
    d->config = &empty;
    name_drive(d);
    return attach(m, d, err);
}

int drives_attach(Machine *m, Error **err)
{
    m->ide = piix_ide_new(m->pc, err);
    if (!m->ide)
        return -ENOMEM;
    for (unsigned i = 0; i < m->n_drives; i++) {
        int ret = attach(m, &m->drives[i], err);

        if (ret < 0)
            return error_prefix(err, ret, "%s", drive_title(m->drives[i].config));
    }
    return m->config->no_defaults ? 0 : attach_empty_cdrom(m, err);
}

void drives_close(Machine *m)
{
    for (unsigned i = 0; i < m->n_drives; i++) {
        Node *node = m->drives[i].node;

        if (node && node_writable(node) && node_flush(node) < 0)
            fprintf(stderr, "emulator: cannot flush '%s'\n", node_filename(node));
        node_unref(node);
    }
    m->n_drives = 0;
    watch_stop(&m->aio_watch);
    if (m->aio)
        aio_free(m->aio);
    m->aio = NULL;
}

Drive *drive_find(Machine *m, const char *name)
{
    for (unsigned i = 0; i < m->n_drives; i++)
        if (strcmp(m->drives[i].name, name) == 0)
            return &m->drives[i];
    return NULL;
}

/* NULL file: take the medium out. */
int drive_change(Machine *m, Drive *d, const char *file, bool force, Error **err)
{
    bool floppy = d->config->interface == DRIVE_IF_FLOPPY;
    AUTO_NODE Node *node = NULL;
    int ret = 0;

    if (!d->config->cdrom && !floppy)
        return error_set(err, -EINVAL, "'%s' is not a drive with removable media", d->name);
    if (file)
        ret =
            node_open(file, NULL, NULL, floppy && !d->config->readonly ? OPEN_RDWR : 0, &node, err);
    if (ret == 0)
        ret = floppy ? fdc_change_medium(m->fdc, d->config->unit, node, err)
                     : ide_change_medium(m->ide, d->config->bus, d->config->unit, node, force, err);
    if (ret < 0)
        return ret;
    node_unref(d->node);
    d->node = take(&node);
    return 0;
}
