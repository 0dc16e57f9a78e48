#!/bin/bash
# Snapshots of many tables (several batches, read ahead by threads) in an order that is not the disk's, with caches that
# hold few of the counts: both tools find counts and flags right after each step, and the content is what it was.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
t=$IMG_TOOL

clean() {
    qemu-img check -q -f qcow2 a.qcow2 && "$t" check -q -f qcow2 a.qcow2
}
content() {
    qemu-img convert -f qcow2 -O raw a.qcow2 a.raw && sha256sum <a.raw
}
snapshot() { # -c|-a|-d NAME, with small caches
    "$t" snapshot "$1" "$2" --image-opts driver=qcow2,file.filename=a.qcow2,refcount-cache-size=8k
}
"$t" create -q -f qcow2 -o cluster_size=512,refcount_bits=64 a.qcow2 160M
# A cluster for each of 5120 tables, from the end to the beginning: they lie the other way round
for ((i = 5119; i >= 0; i--)); do echo "write -q -P $((i % 250 + 1)) $((i * 32))k 1k"; done | "$t" io -f qcow2 a.qcow2 >/dev/null
"$t" io -f qcow2 -c 'write -q -P 9 20M 2M' -c 'write -q -c -P 3 40M 8k' -c 'write -q -z 50M 1M' a.qcow2
before=$(content)
is "create" snapshot -c one
is "clean" clean
same "the content" "$(content)" "$before"
"$t" io -f qcow2 -c 'write -q -P 99 10M 3M' -c 'write -q -P 98 150M 1M' a.qcow2
changed=$(content)
is "create another" snapshot -c two
is "go back" snapshot -a one
is "clean after going back" clean
same "the content of then" "$(content)" "$before"
is "forward again" snapshot -a two
same "the content of later" "$(content)" "$changed"
is "delete the first" snapshot -d one
is "clean without the first" clean
is "delete the second" snapshot -d two
is "clean without snapshots" clean
same "the content at last" "$(content)" "$changed"

# A count that cannot go up: nothing changes
"$t" create -q -f qcow2 -o cluster_size=512,refcount_bits=1 b.qcow2 32M
"$t" io -f qcow2 -c 'write -q 0 20M' b.qcow2
refused "counts too narrow" "refcounts are too narrow" "$t" snapshot -c no b.qcow2
is "all as before" qemu-img check -q -f qcow2 b.qcow2
done_testing
