#!/bin/sh
# SeaBIOS boots a sector from an IDE disk, which reads and writes the disk: in place, and with
# -snapshot, which must leave the image as it was.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0

report() {
    n=$((n + 1))
    if [ "$1" = "$2" ]; then
        echo "ok $n - $3"
    else
        echo "not ok $n - $3"
        echo "# got '$1', expected '$2'"
    fi
}

boot() {
    timeout $((120 * ${PATIENCE:-1})) "$EMULATOR" -m 32 -display none -serial file:serial -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=1 "$@" </dev/null 2>err
    status=$?
    sed 's/^/# /' err
}

nasm -f bin -o disk.img "$here/boot-sector.asm" || { echo "1..0 # SKIP no nasm"; exit 0; }
truncate -s 1M disk.img
before=$(sha256sum <disk.img)

boot -drive file=disk.img,format=raw -snapshot
report "$status" 33 "exit code of isa-debug-exit, with -snapshot"
report "$(tail -c 1 serial)" B "the guest saw its own write"
report "$(sha256sum <disk.img)" "$before" "the image is as it was"

boot -drive file=disk.img,format=raw,snapshot=on
report "$status $(tail -c 1 serial)" "33 B" "snapshot=on of one drive"
report "$(sha256sum <disk.img)" "$before" "the image is as it was, again"

boot -drive file=disk.img,format=raw
report "$status $(tail -c 1 serial)" "33 B" "in place"
report "$(dd if=disk.img bs=1 skip=512 count=1 2>/dev/null)" B "the write is in the image"

boot -drive file=disk.img,format=raw -accel tcg,backend=interp
report "$status $(tail -c 1 serial)" "33 C" "the interpreter"

"$IMG_TOOL" create -q -f qcow2 -b disk.img -F raw over.qcow2
before=$(sha256sum <disk.img)
boot -hda over.qcow2
report "$status $(tail -c 1 serial)" "33 D" "from an overlay"
report "$(sha256sum <disk.img)" "$before" "its backing file is as it was"
boot -hda over.qcow2
report "$status $(tail -c 1 serial)" "33 E" "the overlay kept the write"
echo "1..$n"
