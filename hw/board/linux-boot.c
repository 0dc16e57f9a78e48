/*
 * linux-boot.c - the 16-bit Linux boot protocol (Documentation/arch/x86/boot.rst, versions 2.04
 * on).
 *
 *     10000h  setup: the kernel file's first sectors, its header filled in; stack up to 1fff0h
 *     20000h  command line
 *    100000h  the rest of the kernel file
 *       top   initial RAM disk, as high as the kernel and the firmware's own tables allow
 *
 * fw_cfg carries the parts; the option ROM copies them there. The kernel is a user's file: every
 * header field is checked against the file's and the machine's size.
 */
#include "hw/board/linux-boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum { /* offsets in the kernel file */
       HDR_SETUP_SECTORS = 0x1f1,
       HDR_VIDEO_MODE = 0x1fa,
       HDR_BOOT_FLAG = 0x1fe,
       HDR_MAGIC = 0x202,
       HDR_VERSION = 0x206,
       HDR_LOADER = 0x210,
       HDR_LOADFLAGS = 0x211,
       HDR_RAMDISK = 0x218,
       HDR_RAMDISK_SIZE = 0x21c,
       HDR_HEAP_END = 0x224,
       HDR_CMDLINE = 0x228,
       HDR_INITRD_MAX = 0x22c,
       HDR_CMDLINE_MAX = 0x238,
       HDR_PREF_ADDRESS = 0x258,
       HDR_INIT_SIZE = 0x260,
       HDR_END = 0x264,
};
enum { LOADED_HIGH = 0x01, CAN_USE_HEAP = 0x80, LOADER_UNKNOWN = 0xff, SECTOR = 512 };
enum { SETUP_ADDR = 0x10000, SETUP_MAX = 0xc000, HEAP_END = 0xe000 };
enum { CMDLINE_ADDR = 0x20000, CMDLINE_MAX = 0x10000, KERNEL_ADDR = 0x100000 };
enum { OLD_CMDLINE_MAX = 255, FIRMWARE_RESERVE = 0x100000, DEFAULT_SETUP_SECTORS = 4 };

typedef struct Layout {
    unsigned version;
    size_t setup_size;
    uint64_t kernel_end; /* first byte after what the kernel may need before it reads the initrd */
    uint64_t initrd_addr;
    size_t cmdline_size; /* with its zero */
    uint16_t video_mode;
} Layout;

static int check_header(const LinuxBoot *b, Layout *l, Error **err)
{
    const uint8_t *k = b->kernel;

    if (b->kernel_size < HDR_END || get_le16(k + HDR_BOOT_FLAG) != 0xaa55 ||
        memcmp(k + HDR_MAGIC, "HdrS", 4))
        return error_set(err, -EINVAL,
                         "the file for -kernel is not a Linux kernel image (bzImage)");
    l->version = get_le16(k + HDR_VERSION);
    if (l->version < 0x0204 || !(k[HDR_LOADFLAGS] & LOADED_HIGH))
        return error_set(err, -ENOTSUP, "boot protocol %u.%02u of the kernel is too old",
                         l->version >> 8, l->version & 0xff);
    unsigned sectors = k[HDR_SETUP_SECTORS] ? k[HDR_SETUP_SECTORS] : DEFAULT_SETUP_SECTORS;
    l->setup_size = (sectors + 1) * SECTOR;
    if (l->setup_size > SETUP_MAX || l->setup_size >= b->kernel_size)
        return error_set(err, -EINVAL, "setup_sects at offset 0x1f1 is %u: more than the image has",
                         sectors);
    return 0;
}

/* How far the kernel reaches when it runs: as loaded, and where it will decompress itself. */
static int check_kernel_fits(const LinuxBoot *b, Layout *l, Error **err)
{
    const uint8_t *k = b->kernel;
    uint64_t end = KERNEL_ADDR + (b->kernel_size - l->setup_size);

    if (l->version >= 0x020a) {
        uint64_t preferred = get_le64(k + HDR_PREF_ADDRESS), init = get_le32(k + HDR_INIT_SIZE);

        if (preferred <= UINT32_MAX)
            end = MAX(end, MAX(preferred, (uint64_t)KERNEL_ADDR) + init);
    }
    if (end > b->low_ram)
        return error_set(err, -ENOMEM, "the kernel needs %" PRIu64 " MiB of RAM", (end >> 20) + 1);
    l->kernel_end = end;
    return 0;
}

static int place_initrd(const LinuxBoot *b, Layout *l, Error **err)
{
    uint64_t limit = (uint64_t)get_le32(b->kernel + HDR_INITRD_MAX) + 1;
    uint64_t top = MIN(limit, b->low_ram - MIN(b->low_ram, (uint64_t)FIRMWARE_RESERVE));

    if (!b->initrd_size)
        return 0;
    if (b->initrd_size > UINT32_MAX || top < b->initrd_size ||
        align_down(top - b->initrd_size, 4096) < l->kernel_end)
        return error_set(err, -ENOMEM,
                         "the initial RAM disk of %zu bytes does not fit into %" PRIu64
                         " MiB of RAM beside the kernel",
                         b->initrd_size, b->low_ram >> 20);
    l->initrd_addr = align_down(top - b->initrd_size, 4096);
    return 0;
}

static int check_cmdline(const LinuxBoot *b, Layout *l, Error **err)
{
    size_t len = b->append ? strlen(b->append) : 0;
    size_t max = l->version >= 0x0206 ? get_le32(b->kernel + HDR_CMDLINE_MAX) : OLD_CMDLINE_MAX;

    max = MIN(max, (size_t)CMDLINE_MAX - 1);
    if (len > max)
        return error_set(err, -EINVAL,
                         "the kernel command line has %zu characters, at most %zu fit", len, max);
    l->cmdline_size = len + 1;
    return 0;
}

/* `vga=` of the command line is the boot loader's to understand (boot.rst, "Special command line
 * options"). */
static int find_video_mode(const LinuxBoot *b, Layout *l, Error **err)
{
    static const struct {
        const char *name;
        uint16_t mode;
    } names[] = { { "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd } };
    const char *at = b->append;
    char *end;

    l->video_mode = get_le16(b->kernel + HDR_VIDEO_MODE);
    while (at && (at = strstr(at, "vga=")) && at != b->append && at[-1] != ' ')
        at++;
    if (!at)
        return 0;
    at += strlen("vga=");
    size_t len = strcspn(at, " ");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i].name) == len && memcmp(at, names[i].name, len) == 0) {
            l->video_mode = names[i].mode;
            return 0;
        }
    unsigned long mode = strtoul(at, &end, 0);
    if (end == at || end != at + len || mode > UINT16_MAX)
        return error_set(err, -EINVAL, "the kernel command line's vga=%.*s is not a video mode",
                         (int)len, at);
    l->video_mode = (uint16_t)mode;
    return 0;
}

/* The setup sectors with what a boot loader fills in. */
static int add_setup(FwCfg *fw, const LinuxBoot *b, const Layout *l)
{
    AUTO_FREE uint8_t *setup = malloc(l->setup_size);

    if (!setup)
        return -ENOMEM;
    memcpy(setup, b->kernel, l->setup_size);
    setup[HDR_LOADER] = LOADER_UNKNOWN;
    setup[HDR_LOADFLAGS] |= CAN_USE_HEAP;
    put_le16(setup + HDR_VIDEO_MODE, l->video_mode);
    put_le16(setup + HDR_HEAP_END, HEAP_END);
    put_le32(setup + HDR_CMDLINE, CMDLINE_ADDR);
    put_le32(setup + HDR_RAMDISK, l->initrd_addr);
    put_le32(setup + HDR_RAMDISK_SIZE, b->initrd_size);
    return fw_cfg_add(fw, FW_SETUP_DATA, setup, l->setup_size);
}

static int add_items(FwCfg *fw, const LinuxBoot *b, const Layout *l)
{
    const struct {
        unsigned key;
        uint32_t value;
    } numbers[] = {
        { FW_SETUP_ADDR, SETUP_ADDR },      { FW_SETUP_SIZE, l->setup_size },
        { FW_CMDLINE_ADDR, CMDLINE_ADDR },  { FW_CMDLINE_SIZE, l->cmdline_size },
        { FW_KERNEL_ADDR, KERNEL_ADDR },    { FW_KERNEL_SIZE, b->kernel_size - l->setup_size },
        { FW_INITRD_ADDR, l->initrd_addr }, { FW_INITRD_SIZE, b->initrd_size },
    };
    int ret = add_setup(fw, b, l);

    for (size_t i = 0; ret == 0 && i < ARRAY_LEN(numbers); i++)
        ret = fw_cfg_add_u32(fw, numbers[i].key, numbers[i].value);
    if (ret == 0)
        ret = fw_cfg_add(fw, FW_CMDLINE_DATA, b->append ? b->append : "", l->cmdline_size);
    fw_cfg_add_borrowed(fw, FW_KERNEL_DATA, b->kernel + l->setup_size,
                        b->kernel_size - l->setup_size);
    fw_cfg_add_borrowed(fw, FW_INITRD_DATA, b->initrd, b->initrd_size);
    if (ret == 0)
        ret = fw_cfg_add_file(fw, "genroms/linuxboot.bin", linux_boot_rom, LINUX_BOOT_ROM_SIZE);
    return ret;
}

int linux_boot_prepare(FwCfg *fw, const LinuxBoot *boot, Error **err)
{
    Layout layout = { 0 };
    int ret = check_header(boot, &layout, err);

    if (ret == 0)
        ret = check_kernel_fits(boot, &layout, err);
    if (ret == 0)
        ret = place_initrd(boot, &layout, err);
    if (ret == 0)
        ret = check_cmdline(boot, &layout, err);
    if (ret == 0)
        ret = find_video_mode(boot, &layout, err);
    if (ret < 0)
        return ret;
    ret = add_items(fw, boot, &layout);
    return ret < 0 ? error_set(err, ret, "cannot hand the kernel to the firmware") : 0;
}
