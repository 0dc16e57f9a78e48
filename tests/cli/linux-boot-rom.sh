#!/bin/sh
# The bytes in linux-boot-rom.c are linux-boot-rom.S assembled, but for its two checksums.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

as --32 hw/board/linux-boot-rom.S -o "$tmp/rom.o"
objcopy -O binary -j .text "$tmp/rom.o" "$tmp/rom.bin"
cat > "$tmp/dump.c" <<'C'
#include <stdio.h>
#include "hw/board/linux-boot.h"
int main(void)
{
    fwrite(linux_boot_rom, 1, LINUX_BOOT_ROM_SIZE, stdout);
    return 0;
}
C
${CC:-cc} -I. -D_GNU_SOURCE "$tmp/dump.c" hw/board/linux-boot-rom.c -o "$tmp/dump"
"$tmp/dump" > "$tmp/c.bin"

echo 1..1
# cmp counts from 1: 42 is the PnP header's checksum, 512 the ROM's.
if [ "$(cmp -l "$tmp/rom.bin" "$tmp/c.bin" | awk '{ print $1 }' | tr '\n' ' ')" = "42 512 " ]; then
    echo "ok 1 - source and bytes agree"
else
    echo "not ok 1 - source and bytes agree"
fi
