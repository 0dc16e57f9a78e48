#!/bin/bash
# Extended L2 entries, both ways: two programs write to one image in turn, at random places, with snapshots,
# compression, zeroes and discards; after each turn it is clean and equal for both, and both map it alike.
# SEED repeats a run.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
seed=${SEED:-$(($(date +%s) % 100000))}
echo "# seed $seed"
RANDOM=$seed
io() { "$IMG_TOOL" io "$@"; }
img() { "$IMG_TOOL" "$@"; }

pick() { # LIMIT: in $n
    n=$(((RANDOM * 32768 + RANDOM) % $1))
}

# Commands of io in $commands, which both the image and its raw reference get. Sizes are whole sectors, as discards are.
make_commands() { # CLUSTER SIZE COUNT
    local i off len kind unit=$(($1 / 32))
    commands=()
    for ((i = 0; i < $3; i++)); do
        pick $(($2 / 512)) && off=$((n * 512))
        pick $((RANDOM % 4 ? 3 * unit / 512 : 3 * $1 / 512)) && len=$(((n + 1) * 512))
        [ $((off + len)) -le "$2" ] || len=$(($2 - off))
        pick 8 && kind=$n
        case $kind in
        0) commands+=(-c "write -q -z $off $len") ;;
        1) commands+=(-c "write -q -z -u $off $len") ;;
        *) commands+=(-c "write -q -P $((RANDOM % 255 + 1)) $off $len") ;;
        esac
    done
}

# One cluster, compressed: the reference gets it plainly.
make_compressed() { # CLUSTER SIZE
    local byte=$((RANDOM % 255 + 1))
    pick $(($2 / $1))
    commands=(-c "write -q -c -P $byte $((n * $1)) $1")
    plainly=(-c "write -q -P $byte $((n * $1)) $1")
}

clean_and_equal() { # no -q: what differs is said
    qemu-img check -q a.qcow2 && img check -q a.qcow2 || return 1
    qemu-img compare -f qcow2 -F raw a.qcow2 ref.raw && img compare -f qcow2 -F raw a.qcow2 ref.raw || return 1
    qemu-img map --output=json a.qcow2 >peer.json && img map --output=json a.qcow2 | sed "s/, .compressed.: true//" >ours.json && diff peer.json ours.json
}

turns() { # CLUSTER SIZE TURNS
    local turn tool
    for ((turn = 0; turn < $3; turn++)); do
        [ $((turn % 2)) = 0 ] && tool=io || tool=qemu-io
        make_commands "$1" "$2" 12
        $tool -f qcow2 -d unmap "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw || return 1
        make_compressed "$1" "$2"
        # the peer compresses only into clusters that were never written
        [ $tool = qemu-io ] || { io -f qcow2 "${commands[@]}" a.qcow2 && io -f raw "${plainly[@]}" ref.raw; } || return 1
        case $turn in
        1) img snapshot -c ours a.qcow2 && cp ref.raw ours.raw ;;
        3) qemu-img snapshot -c theirs a.qcow2 && cp ref.raw theirs.raw ;;
        5) qemu-img snapshot -a ours a.qcow2 && cp ours.raw ref.raw ;;
        6) img snapshot -a theirs a.qcow2 && cp theirs.raw ref.raw ;;
        7) img snapshot -d theirs a.qcow2 && qemu-img snapshot -d ours a.qcow2 ;;
        esac || return 1
        clean_and_equal || { echo "turn $turn of $tool: ${commands[*]}"; return 1; }
    done
}

make_base() { # SIZE
    img create -q -f raw base.raw "$1" && io -f raw -c "write -q -P 201 0 $1" base.raw
}

run() { # MAKER CLUSTER SIZE OPTIONS BACKING
    rm -f a.qcow2 ref.raw
    if [ "$5" = yes ]; then
        make_base "$3" && cp base.raw ref.raw && "$1" create -q -f qcow2 -o "extended_l2=on,cluster_size=$2$4" -b base.raw -F raw a.qcow2 "$3"
    else
        truncate -s "$3" ref.raw && "$1" create -q -f qcow2 -o "extended_l2=on,cluster_size=$2$4" a.qcow2 "$3"
    fi && turns "$2" "$3" 8
}

is "16k clusters, made by us" run img 16384 1000448 "" no
is "16k clusters, overlay, made by the peer" run qemu-img 16384 1000448 "" yes
is "32k clusters, overlay, zstd" run img 32768 2000896 ",compression_type=zstd" yes
is "64k clusters" run qemu-img 65536 3000320 "" no
is "64k clusters, overlay, preallocated" run img 65536 3000320 ",preallocation=metadata" yes
is "64k clusters, preallocated by the peer" run qemu-img 65536 3000320 ",preallocation=metadata" no
is "256k clusters, overlay, lazy refcounts" run img 262144 8000000 ",lazy_refcounts=on" yes
is "2M clusters, overlay" run img 2097152 20000256 "" yes

options_match() {
    img create -q -f qcow2 -o extended_l2=on a.qcow2 1M && qemu-img info --output=json a.qcow2 >peer.json && img info --output=json a.qcow2 >ours.json && cmp peer.json ours.json
}
is "info is the peer's" options_match

# Subclusters are what they are for: a small write into an overlay allocates and copies one unit.
small_write() {
    make_base 1M && img create -q -f qcow2 -o extended_l2=on -b base.raw -F raw a.qcow2 && io -c 'write -q -P 1 100k 1k' a.qcow2 &&
        img map --output=json a.qcow2 | tr -d '\n' >map.txt && grep -q '"start": 102400, "length": 2048, "depth": 0' map.txt
}
is "a write of 1 KiB takes a unit of 2 KiB" small_write

# commit, rebase and resize see units, too.
committed() {
    make_base 1M && cp base.raw ref.raw && img create -q -f qcow2 -o extended_l2=on -b base.raw -F raw a.qcow2 &&
        make_commands 65536 1048576 30 && io -f qcow2 "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw && img commit -q a.qcow2 &&
        cmp base.raw ref.raw
}
is "commit copies units down" committed
rebased() {
    make_base 1M && cp base.raw ref.raw && rm -f a.qcow2 && img create -q -f qcow2 -o extended_l2=on -b base.raw -F raw a.qcow2 && make_commands 65536 1048576 60 &&
        io -f qcow2 "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw && img rebase "$@" -b '' a.qcow2 && clean_and_equal
}
is "rebase makes the image stand alone" rebased
is "rebase -c, too, and leaves the overlay's units alone" rebased -c
resized() {
    img create -q -f qcow2 -o extended_l2=on a.qcow2 1M && rm -f ref.raw && truncate -s 1M ref.raw && make_commands 65536 1048576 30 &&
        io -f qcow2 "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw || return 1
    for size in 700416 2000384 100352 1500160; do
        img resize -q --shrink a.qcow2 $size && truncate -s $size ref.raw && clean_and_equal || return 1
    done
}
is "resize both ways" resized
converted() {
    make_commands 65536 1048576 40 && rm -f ref.raw && truncate -s 1M ref.raw && io -f raw "${commands[@]}" ref.raw && img convert -O qcow2 -o extended_l2=on,cluster_size=32k ref.raw a.qcow2 &&
        clean_and_equal && img convert -c -O qcow2 -o extended_l2=on ref.raw a.qcow2 && clean_and_equal && img amend -o lazy_refcounts=on a.qcow2 && clean_and_equal
}
is "convert, with and without compression" converted

refused "clusters below 16 KiB are refused" "at least 16384 bytes" img create -q -f qcow2 -o extended_l2=on,cluster_size=8k bad.qcow2 1M
refused "version 2 is refused" "compatibility level 1.1" img create -q -f qcow2 -o extended_l2=on,compat=0.10 bad.qcow2 1M
img create -q -f qcow2 a.qcow2 1M
refused "preallocation of a plain overlay is refused" extended_l2 img create -q -f qcow2 -o preallocation=metadata -b a.qcow2 -F qcow2 bad.qcow2
done_testing
