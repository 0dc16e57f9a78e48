/*
 * hw_firmware.c - fw_cfg by ports and by DMA, and what the tables in it promise.
 */
#include "tests/unit/hw_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* Read item `key` of `size` bytes through the data port. */
static void read_item(Fixture *f, uint16_t key, uint8_t *buf, size_t size)
{
    outw(f, 0x510, key);
    for (size_t i = 0; i < size; i++)
        buf[i] = inb(f, 0x511);
}

/* A file's selector, and its size in *size; 0 if there is none. */
static uint16_t find_file(Fixture *f, const char *name, uint32_t *size)
{
    uint8_t head[4], entry[64];
    uint16_t key = 0;

    read_item(f, 0x19, head, 4);
    for (uint32_t i = get_be32(head); i > 0; i--) {
        for (int j = 0; j < 64; j++)
            entry[j] = inb(f, 0x511);
        if (!strcmp((char *)entry + 8, name)) {
            *size = get_be32(entry);
            key = get_be16(entry + 4);
        }
    }
    return key;
}

static uint8_t *read_file(Fixture *f, const char *name, uint32_t *size)
{
    uint16_t key = find_file(f, name, size);
    uint8_t *data = test_malloc(*size);

    assert_true(key >= 0x20);
    read_item(f, key, data, *size);
    return data;
}

static void ports_show_items(void **state)
{
    PcConfig config = { .ram_size = 96 << 20 };
    Fixture *f = fixture_new(&config);
    uint8_t buf[8];

    (void)state;
    read_item(f, 0, buf, 5);
    assert_memory_equal(buf, "QEMU\0", 5); /* past the end reads as zero */
    read_item(f, 1, buf, 4);
    assert_int_equal(get_le32(buf), 3);
    read_item(f, 3, buf, 8);
    assert_int_equal(get_le64(buf), 96 << 20);
    read_item(f, 5, buf, 2);
    assert_int_equal(get_le16(buf), 1);
    read_item(f, 0x4242, buf, 2);
    assert_int_equal(get_le16(buf), 0); /* no such item */
    fixture_free(f);
}

static uint32_t run_dma(Fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
    uint8_t request[16];

    put_be32(request, control);
    put_be32(request + 4, length);
    put_be64(request + 8, address);
    dma_write(f->mem, 0x1000, request, 16);
    outl(f, 0x514, 0);
    outl(f, 0x518, htobe32(0x1000));
    dma_read(f->mem, 0x1000, request, 4);
    return get_be32(request);
}

static void dma_moves_items(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    uint8_t buf[8];

    (void)state;
    assert_int_equal(inl(f, 0x514), htobe32(0x51454d55));
    assert_int_equal(inl(f, 0x518), htobe32(0x20434647));
    assert_int_equal(run_dma(f, 0x0000000a, 6, 0x2000), 0);
    dma_read(f->mem, 0x2000, buf, 6);
    assert_memory_equal(buf, "QEMU\0\0", 6);
    assert_int_equal(run_dma(f, 0x0000000c, 2, 0), 0); /* select and skip */
    assert_int_equal(run_dma(f, 0x00000002, 2, 0x2000), 0);
    dma_read(f->mem, 0x2000, buf, 2);
    assert_memory_equal(buf, "MU", 2);
    assert_int_equal(run_dma(f, 0x00000018, 2, 0x2000), 1);             /* items are read-only */
    assert_int_equal(run_dma(f, 0x0000000a, 4, 0xfee00000), 1);         /* not RAM */
    assert_int_equal(run_dma(f, 0x0000000a, UINT32_MAX, 0x3fff000), 1); /* past the end of RAM */
    assert_int_equal(run_dma(f, 0x0000000a, 4, UINT64_MAX - 1), 1);
    outl(f, 0x514, UINT32_MAX); /* a request that is nowhere changes nothing */
    outl(f, 0x518, UINT32_MAX);
    fixture_free(f);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s += *p++;
    return s;
}

/* Play the firmware: place tables and RSDP, add pointers and checksums. */
static void run_loader(const uint8_t *script, uint32_t size, uint8_t *tables, uint32_t base,
                       uint8_t *rsdp)
{
    for (const uint8_t *e = script; e < script + size; e += 128) {
        uint8_t *file = strcmp((const char *)e + 4, "etc/acpi/rsdp") ? tables : rsdp;

        if (get_le32(e) == 2) {
            uint8_t *at = file + get_le32(e + 116);

            if (e[120] == 8)
                put_le64(at, get_le64(at) + base);
            else
                put_le32(at, get_le32(at) + base);
        } else if (get_le32(e) == 3) {
            const uint8_t *start = file + get_le32(e + 64);

            file[get_le32(e + 60)] -= sum(start, get_le32(e + 68));
        }
    }
}

static const uint8_t *find_table(const uint8_t *tables, uint32_t base, const uint8_t *rsdt,
                                 const char *signature)
{
    for (uint32_t i = 36; i < get_le32(rsdt + 4); i += 4) {
        const uint8_t *t = tables + get_le32(rsdt + i) - base;

        assert_int_equal(sum(t, get_le32(t + 4)), 0);
        if (!memcmp(t, signature, 4))
            return t;
    }
    return NULL;
}

static void acpi_tables_link_up(void **state)
{
    enum { BASE = 0x3ff0000 };
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    uint32_t tables_size, rsdp_size, script_size;
    uint8_t *tables = read_file(f, "etc/acpi/tables", &tables_size);
    uint8_t *rsdp = read_file(f, "etc/acpi/rsdp", &rsdp_size);
    uint8_t *script = read_file(f, "etc/table-loader", &script_size);

    (void)state;
    assert_int_equal(script_size % 128, 0);
    run_loader(script, script_size, tables, BASE, rsdp);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    const uint8_t *rsdt = tables + get_le32(rsdp + 16) - BASE;
    const uint8_t *xsdt = tables + get_le64(rsdp + 24) - BASE;
    assert_memory_equal(rsdt, "RSDT", 4);
    assert_memory_equal(xsdt, "XSDT", 4);
    assert_int_equal(sum(rsdt, get_le32(rsdt + 4)), 0);
    assert_int_equal(sum(xsdt, get_le32(xsdt + 4)), 0);
    assert_non_null(find_table(tables, BASE, rsdt, "APIC"));
    assert_non_null(find_table(tables, BASE, rsdt, "HPET"));
    const uint8_t *fadt = find_table(tables, BASE, rsdt, "FACP");
    assert_non_null(fadt);
    const uint8_t *dsdt = tables + get_le32(fadt + 40) - BASE;
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, get_le32(dsdt + 4)), 0);
    assert_int_equal((get_le32(fadt + 36) - BASE) % 64, 0); /* FACS is aligned */
    if (getenv("ACPI_DUMP")) {                              /* for iasl -d */
        FILE *out = fopen(getenv("ACPI_DUMP"), "w");

        assert_non_null(out);
        fwrite(dsdt, 1, get_le32(dsdt + 4), out);
        fclose(out);
    }
    test_free(tables);
    test_free(rsdp);
    test_free(script);
    fixture_free(f);
}

static void smbios_anchor_matches(void **state)
{
    PcConfig config = { 0 };
    Fixture *f = fixture_new(&config);
    uint32_t anchor_size, size;
    uint8_t *anchor = read_file(f, "etc/smbios/smbios-anchor", &anchor_size);
    uint8_t *tables = read_file(f, "etc/smbios/smbios-tables", &size);
    unsigned count = 0;

    (void)state;
    assert_int_equal(anchor_size, 31);
    assert_int_equal(sum(anchor, 31), 0);
    assert_int_equal(sum(anchor + 16, 15), 0);
    assert_int_equal(get_le16(anchor + 22), size);
    for (uint32_t at = 0; at < size; count++) {
        at += tables[at + 1];
        while (tables[at] || tables[at + 1])
            at++;
        at += 2;
        assert_true(at <= size);
    }
    assert_int_equal(get_le16(anchor + 28), count);
    test_free(anchor);
    test_free(tables);
    fixture_free(f);
}

/* A minimal bzImage: header, one setup sector, one sector of code. */
static void make_kernel(uint8_t *k, size_t size)
{
    memset(k, 0, size);
    k[0x1f1] = 1;
    put_le16(k + 0x1fe, 0xaa55);
    memcpy(k + 0x202, "HdrS", 4);
    put_le16(k + 0x206, 0x20f);
    k[0x211] = 1;
    put_le32(k + 0x22c, 0x7fffffff);
    put_le32(k + 0x238, 2047);
    put_le64(k + 0x258, 0x1000000);
    put_le32(k + 0x260, 0x100000);
}

static void kernel_is_handed_over(void **state)
{
    static uint8_t kernel[1536], initrd[5000];
    PcConfig config = { .kernel = { kernel, sizeof(kernel) },
                        .initrd = { initrd, sizeof(initrd) },
                        .append = "console=ttyS0" };
    uint8_t setup[1024], buf[16];
    uint32_t size;

    (void)state;
    make_kernel(kernel, sizeof(kernel));
    Fixture *f = fixture_new(&config);
    read_item(f, 0x18, setup, sizeof(setup));
    assert_int_equal(get_le32(setup + 0x21c), sizeof(initrd));
    uint32_t initrd_at = get_le32(setup + 0x218);
    assert_true(initrd_at >= 0x1100000 && initrd_at + sizeof(initrd) <= (63 << 20));
    read_item(f, 0x0a, buf, 4);
    assert_int_equal(get_le32(buf), initrd_at);
    read_item(f, 0x15, buf, 14);
    assert_string_equal((char *)buf, "console=ttyS0");
    uint8_t *rom = read_file(f, "genroms/linuxboot.bin", &size);
    assert_int_equal(size, 512);
    assert_int_equal(get_le16(rom), 0xaa55);
    assert_int_equal(sum(rom, 512), 0);
    assert_int_equal(sum(rom + get_le16(rom + 0x1a), 32), 0); /* PnP header */
    uint8_t *order = read_file(f, "bootorder", &size);
    assert_string_equal((char *)order, "/rom@genroms/linuxboot.bin");
    test_free(order);
    test_free(rom);
    fixture_free(f);
}

/* `vga=` is found as a word of the command line, and becomes the header's video mode. */
static void video_mode_is_handed_over(void **state)
{
    static const struct {
        const char *append;
        int mode; /* -1: refused */
    } cases[] = {
        { "quiet", 0 },
        { "vga=791", 791 },
        { "quiet vga=0x317 x", 0x317 },
        { "vga=ask", 0xfffd },
        { "a vga=normal", 0xffff },
        { "novga=5", 0 },
        { "novga=5 vga=6", 6 },
        { "vga=", -1 },
        { "vga=791x", -1 },
        { "vga=70000", -1 },
    };
    static uint8_t kernel[1536];

    (void)state;
    make_kernel(kernel, sizeof(kernel));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        PcConfig config = { 0 };
        Fixture *f = fixture_new(&config);
        uint8_t setup[1024];

        config.kernel = (PcBytes) { kernel, sizeof(kernel) };
        config.append = cases[i].append;
        Pc *own = f->pc, *pc = pc_new(&config, NULL);
        int ret = pc_setup_firmware(pc, NULL);
        if ((ret < 0) != (cases[i].mode < 0))
            print_error("%s: %d\n", cases[i].append, ret);
        assert_int_equal(ret < 0, cases[i].mode < 0);
        if (ret == 0) {
            pc_reset(pc);
            f->pc = pc;
            f->io = pc_io(pc);
            read_item(f, 0x18, setup, sizeof(setup));
            assert_int_equal(get_le16(setup + 0x1fa), cases[i].mode);
            f->pc = own;
        }
        pc_free(pc);
        fixture_free(f);
    }
}

static void bad_kernels_are_refused(void **state)
{
    static const struct {
        const char *what;
        unsigned at;
        uint32_t value;
        size_t size;
    } cases[] = {
        { "truncated", 0, 0, 600 },
        { "no magic", 0x202, 0, 1536 },
        { "old protocol", 0x206, 0x0200, 1536 },
        { "more setup than file", 0x1f1, 0xaa550040, 1536 },
        { "init_size beyond RAM", 0x260, 0x7fffffff, 1536 },
        { "initrd may only be low", 0x22c, 0x1000, 1536 },
    };
    static uint8_t kernel[1536], initrd[5000];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        PcConfig config = { .append = "x" };
        Fixture *f = fixture_new(&config);

        make_kernel(kernel, sizeof(kernel));
        put_le32(kernel + cases[i].at, cases[i].at ? cases[i].value : 0);
        config.kernel = (PcBytes) { kernel, cases[i].size };
        config.initrd = (PcBytes) { initrd, sizeof(initrd) };
        Pc *pc = pc_new(&config, NULL);
        AUTO_ERROR Error *err = NULL;
        int ret = pc_setup_firmware(pc, &err);
        if (ret == 0)
            print_error("accepted: %s\n", cases[i].what);
        assert_true(ret < 0 && err);
        pc_free(pc);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_show_items),        cmocka_unit_test(dma_moves_items),
        cmocka_unit_test(acpi_tables_link_up),     cmocka_unit_test(smbios_anchor_matches),
        cmocka_unit_test(kernel_is_handed_over),   cmocka_unit_test(video_mode_is_handed_over),
        cmocka_unit_test(bad_kernels_are_refused),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
