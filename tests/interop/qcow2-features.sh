#!/bin/bash
# Compression, backing chains, snapshots, lazy refcounts, preallocation, resizing: made by one tool, read by the other.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
io() { "$IMG_TOOL" io "$@"; }

# 8 MiB of text-like data with runs of zeros, from a fixed seed.
awk 'BEGIN { srand(7); for (i = 0; i < 60000; i++) printf "%d line %d of %s\n", rand() * 1e6, i, rand() < .5 ? "some" : "other" }' >data.raw
dd if=/dev/zero of=data.raw bs=64k seek=40 count=20 conv=notrunc status=none
truncate -s 8M data.raw

clean_for_both() { qemu-img check -q "$1" && "$IMG_TOOL" check -q "$1"; }
equal_for_both() { qemu-img compare -q "$1" "$2" && "$IMG_TOOL" compare -q "$1" "$2"; }
good() { clean_for_both "$1" && equal_for_both "$1" data.raw; }

for type in zlib zstd; do
    for cluster in 4096 65536 2097152; do
        convert() { rm -f z.qcow2 && "$1" convert -c -O qcow2 -o "compression_type=$type,cluster_size=$cluster" data.raw z.qcow2 && good z.qcow2; }
        is "$type clusters of $cluster bytes, written by us" convert "$IMG_TOOL"
        is "$type clusters of $cluster bytes, written by them" convert qemu-img
    done
done

overwrite_compressed() {
    qemu-img convert -c -O qcow2 data.raw z.qcow2 && cp data.raw want.raw &&
        io -c 'write -q -P 9 100000 300000' z.qcow2 && io -f raw -c 'write -q -P 9 100000 300000' want.raw &&
        clean_for_both z.qcow2 && equal_for_both z.qcow2 want.raw
}
is "their compressed clusters, overwritten by us" overwrite_compressed

chain() { # MAKER OTHER-IO
    rm -f base.qcow2 mid.qcow2 top.qcow2
    "$1" convert -O qcow2 data.raw base.qcow2 && "$1" create -q -f qcow2 -b base.qcow2 -F qcow2 mid.qcow2 &&
        "$1" create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 12M &&
        $2 -c 'write -q -P 1 1M 100k' mid.qcow2 && $2 -c 'write -q -P 2 1100k 10' -c 'write -q -P 3 9M 1k' top.qcow2 &&
        clean_for_both top.qcow2 && clean_for_both mid.qcow2 &&
        qemu-img convert -O raw top.qcow2 theirs.raw && "$IMG_TOOL" convert -O raw top.qcow2 ours.raw && cmp theirs.raw ours.raw
}
is "a chain of three made by us, written by them" chain "$IMG_TOOL" qemu-io
is "a chain of three made by them, written by us" chain qemu-img io

same "map shows a chain as they do" "$("$IMG_TOOL" map --output=json top.qcow2)" "$(qemu-img map --output=json top.qcow2)"
same "human map, too" "$("$IMG_TOOL" map top.qcow2)" "$(qemu-img map top.qcow2)"

snapshots() { # TOOL-A TOOL-B
    rm -f s.qcow2
    qemu-img convert -O qcow2 data.raw s.qcow2 && "$1" snapshot -c first s.qcow2 &&
        io -c 'write -q -P 7 0 3M' s.qcow2 && "$2" snapshot -c second s.qcow2 &&
        qemu-io -c 'write -q -P 8 1M 3M' s.qcow2 && clean_for_both s.qcow2 &&
        "$1" convert -l first -O raw s.qcow2 first.raw && cmp first.raw data.raw &&
        "$2" snapshot -a first s.qcow2 && clean_for_both s.qcow2 && equal_for_both s.qcow2 data.raw &&
        "$1" snapshot -d first s.qcow2 && "$2" snapshot -d second s.qcow2 && clean_for_both s.qcow2 && equal_for_both s.qcow2 data.raw
}
is "snapshots: ours and theirs on one image" snapshots "$IMG_TOOL" qemu-img
is "snapshots: theirs and ours on one image" snapshots qemu-img "$IMG_TOOL"

for mode in off metadata falloc full; do
    prealloc() { rm -f p.qcow2 && "$1" create -q -f qcow2 -o "preallocation=$mode" p.qcow2 8M && clean_for_both p.qcow2 &&
        "$2" -c 'write -q -P 5 3M 1M' p.qcow2 && clean_for_both p.qcow2; }
    is "preallocation $mode by us" prealloc "$IMG_TOOL" qemu-io
    is "preallocation $mode by them" prealloc qemu-img io
done

resize() { # TOOL
    cp data.raw want.raw && qemu-img convert -O qcow2 data.raw r.qcow2 &&
        "$1" resize -q r.qcow2 +3M && truncate -s 11M want.raw && clean_for_both r.qcow2 && equal_for_both r.qcow2 want.raw &&
        "$1" resize -q --shrink r.qcow2 5000k && truncate -s 5000k want.raw && clean_for_both r.qcow2 && equal_for_both r.qcow2 want.raw &&
        "$1" resize -q r.qcow2 20G && truncate -s 20G want.raw && clean_for_both r.qcow2 && equal_for_both r.qcow2 want.raw
}
is "resize by us" resize "$IMG_TOOL"
is "resize by them" resize qemu-img

lazy() { # TOOL IO
    rm -f l.qcow2
    "$1" create -q -f qcow2 -o lazy_refcounts=on l.qcow2 8M && $2 -c 'write -q -P 4 0 2M' l.qcow2 && clean_for_both l.qcow2
}
is "lazy refcounts by us, written by them" lazy "$IMG_TOOL" qemu-io
is "lazy refcounts by them, written by us" lazy qemu-img io

commit_rebase() {
    chain "$IMG_TOOL" qemu-io && qemu-img convert -O raw top.qcow2 want.raw &&
        "$IMG_TOOL" rebase -q -b base.qcow2 -F qcow2 top.qcow2 && clean_for_both top.qcow2 && equal_for_both top.qcow2 want.raw &&
        "$IMG_TOOL" commit -q top.qcow2 && clean_for_both base.qcow2 && clean_for_both top.qcow2 &&
        equal_for_both base.qcow2 want.raw && equal_for_both top.qcow2 want.raw &&
        "$IMG_TOOL" rebase -q -b "" top.qcow2 && equal_for_both top.qcow2 want.raw &&
        [ "$("$IMG_TOOL" info --output=json top.qcow2 | grep -c backing)" = 0 ]
}
is "rebase, commit, and rebase to nothing keep the content" commit_rebase

big() { # TOOL
    rm -f big.qcow2
    "$1" create -q -f qcow2 big.qcow2 8T && io -c 'write -q -P 6 8796093021184 1k' big.qcow2 && qemu-io -c 'write -q -P 7 4T 1k' big.qcow2 &&
        clean_for_both big.qcow2 && qemu-io -c 'read -q -P 6 8796093021184 1k' big.qcow2 && io -c 'read -q -P 7 4T 1k' big.qcow2
}
is "8 TiB by us" big "$IMG_TOOL"
is "8 TiB by them" big qemu-img

locked() { # HOLDER-IO OTHER
    $1 -c 'sleep 1500' s.qcow2 &
    local pid=$!
    sleep 0.5
    "$2" check s.qcow2 -r all >/dev/null 2>lock.txt
    local status=$?
    wait $pid
    [ $status -ne 0 ] && grep -q -i 'lock' lock.txt
}
is "an image in use by them is locked for us" locked qemu-io "$IMG_TOOL"
is "an image in use by us is locked for them" locked "$IMG_TOOL io" qemu-img
done_testing
