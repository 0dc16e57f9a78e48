#!/bin/bash
# Block devices (through a loop device) and O_DIRECT: odd offsets and lengths, a last page that is not whole.
. "$(dirname "$0")/../tap.sh"
io() { "$IMG_TOOL" io "$@"; }
sectors=12347 # no whole number of pages
size=$((sectors * 512))

odd_requests() { # CACHE-MODE FILE
    io -f raw -t "$1" -c "write -q -P 1 511 5000" -c "write -q -P 2 $((size - 1512)) 1512" \
        -c "write -q -P 3 1048000 3000001" -c "write -q -P 4 4096 8192" -c "write -q -z 2000001 70000" \
        -c "read -q -P 1 511 3585" -c "read -q -P 4 4096 8192" -c "read -q -P 0 2000001 70000" \
        -c "read -q -P 3 2070001 1000" -c "read -q -P 2 $((size - 1512)) 1512" -c "read -q -P 0 0 511" "$2"
}
qcow2_on() { # CACHE-MODE DEVICE
    "$IMG_TOOL" create -q -f qcow2 -o cluster_size=4k "$2" 20M &&
        io -f qcow2 -t "$1" -c "write -q -P 5 12345 1000000" -c "read -q -P 5 12345 1000000" -c "read -q -P 0 0 12345" "$2" &&
        io -f qcow2 -t "$1" -c "read -q -P 5 12345 1000000" -c "read -q -P 0 1012345 100000" "$2" &&
        "$IMG_TOOL" check -q "$2"
}
beyond_the_end() { # DEVICE
    ! io -f raw -c "write -q 0 $((size + 512))" "$1"
}

truncate -s $size file.raw reference.raw
is 'buffered writes to a file' odd_requests writeback reference.raw
if io -f raw -t none -c 'read -q 0 512' file.raw >out.txt 2>&1; then
    is 'direct writes to a file' odd_requests none file.raw
    is '... leave the same bytes and length' cmp file.raw reference.raw
    is 'a qcow2 image, direct' qcow2_on none image.qcow2
else
    same 'a file system without O_DIRECT is named in one line' "$(grep -c 'does not do O_DIRECT' out.txt)" 1
fi
truncate -s $size disk.raw
if device=$(losetup -f --show disk.raw 2>/dev/null) && [ -b "$device" ]; then
    trap 'losetup -d "$device"; rm -rf "$TAP_FOLDER"' EXIT
    is 'buffered writes to a device' odd_requests writeback "$device"
    blockdev --flushbufs "$device"
    is '... arrive' cmp disk.raw reference.raw
    dd if=/dev/zero of="$device" bs=512 count=$sectors status=none conv=fsync
    is 'direct writes to a device' odd_requests directsync "$device"
    blockdev --flushbufs "$device"
    is '... leave the same bytes' cmp disk.raw reference.raw
    is 'a device does not grow' beyond_the_end "$device"
    is 'a qcow2 image on a device full of old bytes' qcow2_on writeback "$device"
    is 'the same, direct' qcow2_on none "$device"
else
    echo '# no loop devices here'
fi
done_testing
