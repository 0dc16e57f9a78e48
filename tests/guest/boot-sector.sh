#!/bin/bash
# SeaBIOS boots a sector from an IDE disk, which reads and writes the disk: in place, and with
# -snapshot, which must leave the image as it was.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/minimal.sh"
before=$(sha256sum <disk.img)

boot -drive file=disk.img,format=raw -snapshot
same "exit code of isa-debug-exit, with -snapshot" "$status" 33
same "the guest saw its own write" "$(tail -c 1 serial)" B
same "the image is as it was" "$(sha256sum <disk.img)" "$before"

boot -drive file=disk.img,format=raw,snapshot=on
same "snapshot=on of one drive" "$status $(tail -c 1 serial)" "33 B"
same "the image is as it was, again" "$(sha256sum <disk.img)" "$before"

boot -drive file=disk.img,format=raw
same "in place" "$status $(tail -c 1 serial)" "33 B"
same "the write is in the image" "$(dd if=disk.img bs=1 skip=512 count=1 2>/dev/null)" B

boot -drive file=disk.img,format=raw -accel tcg,backend=interp
same "the interpreter" "$status $(tail -c 1 serial)" "33 C"

"$IMG_TOOL" create -q -f qcow2 -b disk.img -F raw over.qcow2
before=$(sha256sum <disk.img)
boot -hda over.qcow2
same "from an overlay" "$status $(tail -c 1 serial)" "33 D"
same "its backing file is as it was" "$(sha256sum <disk.img)" "$before"
boot -hda over.qcow2
same "the overlay kept the write" "$status $(tail -c 1 serial)" "33 E"
done_testing
