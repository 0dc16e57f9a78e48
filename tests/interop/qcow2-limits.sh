#!/bin/bash
# The largest disks, the options of open images, preallocation of a lot: what the format allows works, and what it does not is
# refused with one sentence.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
io() { "$IMG_TOOL" io "$@"; }
img() { "$IMG_TOOL" "$@"; }

ends() { # SIZE OPTIONS: the first and the last bytes of a disk
    rm -f a.qcow2
    img create -q -f qcow2 -o "$2" a.qcow2 "$1" && io -f qcow2 -c 'write -q -P 1 0 64k' -c "write -q -P 2 $(($1 - 65536)) 64k" a.qcow2 &&
        io -f qcow2 -c 'read -q -P 1 0 64k' -c "read -q -P 2 $(($1 - 65536)) 64k" -c "read -q -P 0 $(($1 / 2)) 64k" a.qcow2 && img check -q a.qcow2
}
peer_too() { # SIZE
    qemu-img check -q a.qcow2 && qemu-io -f qcow2 -c "read -q -P 2 $(($1 - 65536)) 64k" a.qcow2
}
P=$((1 << 50)) E=$((1 << 60))
is "2 EiB, the peer's limit" ends $((2 * E)) cluster_size=2M
is "the peer reads its end" peer_too $((2 * E))
is "8 EiB less a sector" ends $((8 * E - 512)) cluster_size=2M
is "1 EiB with subclusters" ends $E cluster_size=2M,extended_l2=on
is "the peer reads its end, too" peer_too $E
refused "8 EiB less a sector with subclusters" "too large" img create -q -f qcow2 -o cluster_size=2M,extended_l2=on bad.qcow2 $((8 * E - 512))
is "128 GiB with clusters of 512 bytes" ends $((128 << 30)) cluster_size=512
is "1 PiB" ends $P cluster_size=64k
refused "8 EiB" "" img create -q -f qcow2 -o cluster_size=2M bad.qcow2 8E
refused "too much for small clusters" "larger cluster size" img create -q -f qcow2 -o cluster_size=512 bad.qcow2 1P
refused "too much to grow to" "too many" img resize -q a.qcow2 $((4 * E))
is "nothing is left" test ! -e bad.qcow2

grown() { # the refcount table is moved again and again: blocks of 64 counts
    rm -f a.qcow2
    img create -q -f qcow2 -o cluster_size=512,refcount_bits=64,preallocation=metadata a.qcow2 64M && img check -q a.qcow2 && qemu-img check -q a.qcow2 &&
        img resize -q --preallocation=metadata a.qcow2 100M && img resize -q --shrink a.qcow2 10M && img check -q a.qcow2 && [ "$(stat -c %b a.qcow2)" -lt 60000 ]
}
is "the refcount table grows" grown

sized() { # MODE OPTIONS: as large as the peer's, and as full
    rm -f a.qcow2 b.qcow2
    img create -q -f qcow2 -o "preallocation=$1$2" a.qcow2 64M && qemu-img create -q -f qcow2 -o "preallocation=$1$2" b.qcow2 64M && img check -q a.qcow2 && qemu-img check -q a.qcow2 &&
        qemu-img compare -q a.qcow2 b.qcow2 || return 1
    local ours theirs
    ours=$(stat -c %b a.qcow2) theirs=$(stat -c %b b.qcow2)
    [ "$1" = metadata ] || [ "$ours" -ge $((theirs - 1024)) ] || { echo "$ours blocks, the peer has $theirs"; return 1; }
}
for mode in metadata falloc full; do
    is "preallocation=$mode" sized $mode ""
    is "preallocation=$mode with subclusters" sized $mode ,extended_l2=on
done

large() { # 1 TiB of metadata in memory that is bounded
    rm -f a.qcow2
    img create -q -f qcow2 -o preallocation=metadata,cluster_size=1M a.qcow2 1T && img check -q a.qcow2 && io -f qcow2 -c 'write -q -P 7 1023G 1M' -c 'read -q -P 7 1023G 1M' a.qcow2 && img check -q a.qcow2
}
is "1 TiB preallocated" large

with() { # OPTIONS
    io --image-opts -c 'write -q -P 9 100k 100k' -c 'read -q -P 9 100k 100k' -c 'discard 128k 64k' "driver=qcow2,file.filename=c.qcow2,$1" && img check -q c.qcow2
}
img create -q -f qcow2 c.qcow2 64M
for options in cache-size=1M cache-size=0 l2-cache-size=128k,refcount-cache-size=256k l2-cache-entry-size=4k cache-size=2M,l2-cache-size=1M cache-clean-interval=1 cache-clean-interval=0 \
    lazy-refcounts=on lazy-refcounts=off pass-discard-request=on pass-discard-snapshot=off,pass-discard-other=on overlap-check=none overlap-check=all \
    overlap-check.template=constant,overlap-check.active-l2=on; do
    is "option $options" with "$options"
done
try() { img map --image-opts "driver=qcow2,file.filename=c.qcow2,$1"; }
refused "all three sizes" "cannot all be set" try cache-size=3M,l2-cache-size=1M,refcount-cache-size=1M
refused "a part larger than the whole" "more than cache-size" try cache-size=1M,l2-cache-size=2M
refused "an odd entry size" "power of two" try l2-cache-entry-size=1000
refused "an entry larger than a cluster" "power of two" try l2-cache-entry-size=128k
refused "an unknown template" "overlap-check" try overlap-check=some
refused "two templates" "differ" try overlap-check=none,overlap-check.template=all
img create -q -f qcow2 -o compat=0.10 old.qcow2 1M
refused "lazy refcounts of version 2" "1.1" img map --image-opts driver=qcow2,file.filename=old.qcow2,lazy-refcounts=on

discards() { # OPTIONS: blocks of the file after a discard of all data
    rm -f e.qcow2
    img create -q -f qcow2 e.qcow2 16M && io -f qcow2 -c 'write -q -P 9 0 8M' e.qcow2 && io --image-opts -c 'discard 0 8M' "driver=qcow2,file.filename=e.qcow2,$1" >out.txt && stat -c %b e.qcow2
}
passed() { [ "$(discards pass-discard-request=on)" -lt 4000 ] && [ "$(discards pass-discard-request=off)" -gt 16000 ]; }
is "pass-discard-request decides what the file gets back" passed
done_testing
