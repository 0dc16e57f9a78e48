#!/bin/bash
# Every cluster size, refcount width and version, both ways: an image made and written by one tool is clean
# and equal for the other, which then writes to it in turn.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
io() { "$IMG_TOOL" io "$@"; }

# The same writes to an image and to a raw reference: odd offsets, whole clusters, zeros, discards, a second pass over old data.
writes() { # WRITER-COMMAND SEED FILE FORMAT CLUSTER
    local seed=$2 c=$5
    "$1" -f "$4" -d unmap \
        -c "write -q -P $((seed + 1)) 0 $((3 * c))" \
        -c "write -q -P $((seed + 2)) $((5 * c + 123)) $((c + 7))" \
        -c "write -q -P $((seed + 3)) $((20 * c)) 1000" \
        -c "write -q -z -u $c $c" \
        -c "write -q -P $((seed + 4)) $((c + c / 2)) 100" \
        -c "write -q -z $((30 * c)) $((2 * c))" \
        -c "write -q -P $((seed + 5)) $((31 * c - 50)) 100" \
        "$3" >out.txt || { cat out.txt; return 1; }
}

make_image() { # TOOL FILE SIZE CLUSTER REFCOUNT-BITS COMPAT
    local options="cluster_size=$4,compat=$6"
    [ "$6" = 0.10 ] || options+=",refcount_bits=$5"
    "$1" create -q -f qcow2 -o "$options" "$2" "$3"
}

clean_for_both() { # FILE
    qemu-img check -q "$1" && "$IMG_TOOL" check -q "$1"
}

equal_for_both() { # FILE REFERENCE
    qemu-img compare -q -f qcow2 -F raw "$1" "$2" && "$IMG_TOOL" compare -q -f qcow2 -F raw "$1" "$2"
}

round_trip() { # MAKER-IMG MAKER-IO OTHER-IO SIZE CLUSTER REFCOUNT COMPAT
    rm -f a.qcow2 ref.raw
    make_image "$1" a.qcow2 "$4" "$5" "$6" "$7" && truncate -s "$4" ref.raw &&
        writes "$2" 10 a.qcow2 qcow2 "$5" && writes io 10 ref.raw raw "$5" &&
        clean_for_both a.qcow2 && equal_for_both a.qcow2 ref.raw &&
        writes "$3" 60 a.qcow2 qcow2 "$5" && writes io 60 ref.raw raw "$5" &&
        clean_for_both a.qcow2 && equal_for_both a.qcow2 ref.raw
}

for ((cluster = 512; cluster <= 2097152; cluster *= 2)); do
    size=$((cluster * 40 + 512))
    for bits in 1 2 4 8 16 32 64; do
        is "cluster $cluster, refcounts of $bits bits: ours, then theirs" \
            round_trip "$IMG_TOOL" io qemu-io "$size" "$cluster" "$bits" 1.1
        is "cluster $cluster, refcounts of $bits bits: theirs, then ours" \
            round_trip qemu-img qemu-io io "$size" "$cluster" "$bits" 1.1
    done
    is "cluster $cluster, version 2: ours, then theirs" \
        round_trip "$IMG_TOOL" io qemu-io "$size" "$cluster" 16 0.10
    is "cluster $cluster, version 2: theirs, then ours" \
        round_trip qemu-img qemu-io io "$size" "$cluster" 16 0.10
done
done_testing
