/*
 * linux_boot.c - fuzz target: any bytes as a kernel for -kernel, in a machine of any RAM size.
 */
#include "tests/unit/hw_fixture.h"

#include "hw/board/linux-boot.h"
#include "hw/board/pc-int.h"

static void read_items(Fixture *f)
{
    for (unsigned key = FW_KERNEL_ADDR; key <= FW_SETUP_DATA; key++) {
        outw(f, 0x510, key);
        for (int i = 0; i < 16; i++)
            inb(f, 0x511);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Fixture *f;

    if (!f)
        f = fixture_new(&(PcConfig) { .ram_size = 16 << 20 });
    if (size < 8)
        return 0;
    LinuxBoot boot = { .kernel = data + 8,
                       .kernel_size = size - 8,
                       .initrd = data,
                       .initrd_size = get_le32(data + 4) % 8,
                       .append = "quiet",
                       .low_ram = get_le32(data) };
    if (linux_boot_prepare(f->pc->fw_cfg, &boot, NULL) == 0)
        read_items(f);
    return 0;
}
