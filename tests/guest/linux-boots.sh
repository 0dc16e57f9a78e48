#!/bin/bash
# Debian's kernel reaches userland and powers off by ACPI: directly, from an overlay on an IDE disk, from a CD;
# a reset from the monitor, and Ctrl-A x.
set -u
cd "$(dirname "$0")/../.."
. tests/guest/session.sh
guest=$PWD/o/guest
tests/guest/linux/build "$guest" >/dev/null || { echo "1..0 # SKIP the guest cannot be built here"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
GUEST_LOG=$dir/log
n=0

report() { # WHAT
    local status=$?
    n=$((n + 1))
    [ $status = 0 ] && echo "ok $n - $1" || { echo "not ok $n - $1"; sed 's/^/# /' "$GUEST_LOG" | tail -n 5; }
}
boot() { guest_start "$EMULATOR" -m 256 -no-reboot "$@" && guest_wait ONIONSKIN-GUEST-READY 180; }
end() { guest_send "poweroff -f" && guest_end 60; }

kernel=(-kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -append "console=ttyS0 quiet root=none")
timeout $((180 * PATIENCE)) "$EMULATOR" -m 256 -display none -serial file:"$GUEST_LOG" -no-reboot \
    -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -append "console=ttyS0 root=none run=poweroff" </dev/null
report "-kernel: userland and power off"
grep -q 'reboot: Power down' "$GUEST_LOG"
report "the kernel said that it powers off"

boot -nographic "${kernel[@]}"
report "-kernel: a shell on the terminal"
guest_send $'\001x' && guest_end 30
report "Ctrl-A x ends the emulator"

"$IMG_TOOL" create -q -f qcow2 -b "$guest/disk.raw" -F raw "$dir/disk.qcow2"
before=$(sha256sum <"$guest/disk.raw")
boot -hda "$dir/disk.qcow2" -nographic
report "SeaBIOS, SYSLINUX and Linux from an overlay on an IDE disk"
guest_run 'dd if=/dev/urandom of=/root/data bs=64k count=64 2>/dev/null; sync; sha256sum </root/data' 120
sum=$(grep -o "[0-9a-f]\{64\}" <<<"$GUEST_OUTPUT")
[ -n "$sum" ]
report "the guest writes 4 MiB"
end
report "power off"
boot -hda "$dir/disk.qcow2" -nographic -snapshot
guest_run 'sha256sum </root/data' 60
[ "$(grep -o "[0-9a-f]\{64\}" <<<"$GUEST_OUTPUT")" = "$sum" ]
report "the data is there in the next boot"
overlay=$(sha256sum <"$dir/disk.qcow2")
guest_run 'rm -rf /root/data; sync' 60
end
[ "$(sha256sum <"$dir/disk.qcow2")" = "$overlay" ]
report "-snapshot leaves the overlay as it was"
"$IMG_TOOL" check -q "$dir/disk.qcow2"
report "the overlay is clean"
[ "$(sha256sum <"$guest/disk.raw")" = "$before" ]
report "the base never changed"

boot -cdrom "$guest/cd.iso" -nographic
report "from a CD"
end
report "power off from the CD"
echo "1..$n"
