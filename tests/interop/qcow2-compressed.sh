#!/bin/bash
# Compressed clusters of every size, level and kind: what we pack the peer reads, what it packs we read.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
t=$IMG_TOOL

# Random bytes, all values in turn, runs, text, blocks that come again after 4095, 4096 and 4097 bytes, an odd end.
perl -e '
    srand(7);
    sub noise { join "", map { chr rand 256 } 1 .. $_[0] }
    my $all = noise(700000) . pack("C*", 0 .. 255) x 2048;
    $all .= chr($_) x (3000 + 17 * $_) for 0 .. 255;
    $all .= join "", map { sprintf "line %d of %s\n", $_, "x" x ($_ % 300) } 1 .. 5000;
    for my $n (4095 .. 4097) { my $block = noise($n); $all .= $block x 40 }
    $all .= "a" . noise(1) for 1 .. 300000;
    print $all . "\0" x 3000000 . "end" . "\1" x 509' >src.raw

is "an end inside a sector" "$t" convert -f raw -O qcow2 src.raw ours.qcow2
is "the peer sees it" qemu-img compare -q -f raw -F qcow2 src.raw ours.qcow2
same "so do we, without a warning" "$("$t" compare -f raw -F qcow2 src.raw ours.qcow2)" "Images are identical."
same "a size of whole sectors" "$("$t" create -q -f qcow2 odd.qcow2 1000001 && qemu-img info odd.qcow2 | grep 'virtual size')" \
    "virtual size: 977 KiB (1000448 bytes)"

for size in 512 1k 2k 4k 8k 16k 32k 64k 128k 256k 512k 1M 2M; do
    for type in zlib zstd; do
        is "$type, $size: convert -c" "$t" convert -c -f raw -O qcow2 -o "cluster_size=$size,compression_type=$type" src.raw ours.qcow2
        is "$type, $size: the peer finds the same" qemu-img compare -q -f raw -F qcow2 src.raw ours.qcow2
    done
    is "$size: check" "$t" check -q ours.qcow2
    qemu-img convert -c -f raw -O qcow2 -o "cluster_size=$size" src.raw theirs.qcow2
    is "$size: we find what the peer packed" "$t" compare -q -f raw -F qcow2 src.raw theirs.qcow2
done
for level in 1 2 3 4 5 7 8 9; do
    "$t" create -q -f qcow2 -o cluster_size=64k level.qcow2 "$(stat -c %s src.raw)"
    is "level $level" "$t" convert -n -c -f raw --target-image-opts src.raw "driver=qcow2,compression-level=$level,file.filename=level.qcow2"
    is "level $level: the peer finds the same" qemu-img compare -q -f raw -F qcow2 src.raw level.qcow2
done
done_testing
