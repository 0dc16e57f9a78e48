#!/bin/bash
# What a guest writes is what img-tool reads: files by checksum, raw sectors of a second disk byte by
# byte. With -snapshot nothing of it reaches the images.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/session.sh"
[ -e "$GUEST/vmlinuz" ] || skip_all "no guest in $GUEST (tests/guest/linux/build makes it)"
GUEST_LOG=$TAP_FOLDER/guest.log
mib=1048576

"$IMG_TOOL" convert -q -O qcow2 "$GUEST/disk.raw" base.qcow2
"$IMG_TOOL" create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
"$IMG_TOOL" create -q -f qcow2 second.qcow2 48M

# A script as one line, as guest_run types it.
run_script() { # SCRIPT SECONDS
    local line=${1//$'\n'/; }
    guest_run "${line//do; /do }" "$2"
}
boot() {
    guest_start "$EMULATOR" -m 256 -hda over.qcow2 -hdb second.qcow2 -nographic -no-reboot "$@"
    guest_wait ONIONSKIN-GUEST-READY 100 && guest_run 'stty -echo' 30
}
# The checksums that the guest printed, one a line.
sums() { printf '%s' "$GUEST_OUTPUT" | grep -o '\b[0-9a-f]\{64\}\b'; }
power_off() { guest_send poweroff && guest_end 60; }
# Random pieces of odd sizes at odd places of the raw disk, zeros among them, then its checksum by 4 MiB.
scatter='dd if=/dev/urandom of=/dev/hdb bs=64k count=160 2>/dev/null
for at in 20000 24577 30011 41903 60001; do
    dd if=/dev/urandom of=/dev/hdb bs=512 seek=$at count=$((at % 701 + 1)) conv=notrunc 2>/dev/null
done
dd if=/dev/zero of=/dev/hdb bs=4k seek=512 count=300 conv=notrunc 2>/dev/null
sync; echo 3 >/proc/sys/vm/drop_caches
for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
    dd if=/dev/hdb bs=1M skip=$((i * 4)) count=4 2>/dev/null | sha256sum
done'
files='mkdir /root/d
for i in 1 2 3 4 5 6 7 8; do
    dd if=/dev/urandom of=/root/d/$i bs=1k count=$((i * i * 37)) 2>/dev/null
done
sync; echo 3 >/proc/sys/vm/drop_caches
for i in 1 2 3 4 5 6 7 8; do
    sha256sum </root/d/$i
done'

does "boots with two disks" boot
does "writes random sectors" run_script "$scatter" 90
in_guest=$(sums)
does "writes random files" run_script "$files" 60
file_sums=$(sums)
does "powers off" power_off
is "the overlay is clean" "$IMG_TOOL" check -q over.qcow2
is "the second disk is clean" "$IMG_TOOL" check -q second.qcow2
"$IMG_TOOL" convert -q -O raw second.qcow2 second.raw
outside=$(for i in {0..11}; do dd if=second.raw bs=${mib} skip=$((i * 4)) count=4 status=none | sha256sum | cut -c -64; done)
same "12 checksums came back" "$(wc -l <<<"$in_guest")" 12
same "the sectors are what the guest wrote" "$outside" "$in_guest"

"$IMG_TOOL" convert -q -O raw over.qcow2 over.raw
dd if=over.raw of=root.ext4 bs=512 skip=83968 count=163840 status=none
PATH=$PATH:/usr/sbin:/sbin
is "the file system is sound" e2fsck -fn root.ext4
outside=$(for i in {1..8}; do debugfs -R "cat /root/d/$i" root.ext4 2>/dev/null | sha256sum | cut -c -64; done)
same "8 checksums came back" "$(wc -l <<<"$file_sums")" 8
same "the files are what the guest wrote" "$outside" "$file_sums"

before=$(sha256sum base.qcow2 over.qcow2 second.qcow2)
does "-snapshot: boots" boot -snapshot
does "-snapshot: the guest writes" run_script "$scatter" 90
same "-snapshot: the guest sees other sectors" "$([ "$(sums)" != "$in_guest" ] && echo other)" other
does "-snapshot: the guest deletes files" guest_run 'rm -r /root/d && sync' 30
does "-snapshot: powers off" power_off
same "-snapshot: all images are bit-identical" "$(sha256sum base.qcow2 over.qcow2 second.qcow2)" "$before"
done_testing
