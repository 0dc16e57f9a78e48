#!/bin/bash
# Random bytes of random tables are changed. After our repair both tools must call the image clean, and only
# clusters that a damaged entry maps may read differently. DAMAGE_SEED chooses other bytes.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
rounds=${ROUNDS:-12} cluster=4096 disk=$((3 * 1024 * 1024)) seed=${DAMAGE_SEED:-2}
RANDOM=$seed
echo "# seed $seed"

field() { # FILE OFFSET BYTES: a big-endian number
    echo $((0x$(od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n')))
}
random() { # LIMIT
    echo $(((RANDOM * 32768 + RANDOM) % $1))
}
flip() { # FILE OFFSET
    local old
    old=$(field "$1" "$2" 1)
    printf "\\x$(printf %x $((old ^ (1 + RANDOM % 255))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
make_image() { # OPTIONS SNAPSHOT
    rm -f good.qcow2 d.raw
    qemu-img create -q -f qcow2 -o "cluster_size=$cluster,$1" good.qcow2 $disk &&
        qemu-io -f qcow2 -c 'write -q -P 17 0 400k' -c 'write -q -P 0 1M 8k' -c 'write -q -P 99 2200k 300k' good.qcow2 || return 1
    [[ $1 == *data_file* ]] || qemu-io -f qcow2 -c "write -q -c -P 5 2M $cluster" -c "write -q -c -P 6 $((2064 * 1024)) $cluster" good.qcow2 || return 1
    if [ "$2" = yes ]; then
        "$IMG_TOOL" snapshot -c one good.qcow2 && qemu-io -f qcow2 -c 'write -q -P 44 100k 300k' good.qcow2 || return 1
    fi
    if [ "$2" = bitmaps ]; then
        "$IMG_TOOL" snapshot -c one good.qcow2 && "$IMG_TOOL" bitmap --add -g 512 good.qcow2 b0 &&
            "$IMG_TOOL" bitmap --add good.qcow2 bitmap1 && qemu-io -f qcow2 -c 'write -q -P 44 100k 300k' good.qcow2 || return 1
    fi
    [ ! -e d.raw ] || cp d.raw good-d.raw
    qemu-img convert -O raw good.qcow2 good.raw
}
bitmaps_at() { # FILE: where the header has the extension's data
    local at
    at=$(LC_ALL=C grep -obUaP -m1 '\x23\x85\x28\x75\x00\x00\x00\x18' "$1" | head -n 1 | cut -d: -f1)
    echo $((at + 8))
}
# Where an entry of table KIND is: 8 bytes from there on are fair game. Prints the offset, and how many clusters one may cost.
target() { # FILE
    local l1 reftable l2 index
    l1=$(field "$1" 40 8) reftable=$(field "$1" 48 8)
    case $(random "$kinds") in
    0) echo $((l1 + 8 * $(random "$(field "$1" 36 4)"))) 512 ;;
    1)
        index=$(random 2)
        l2=$(($(field "$1" $((l1 + 8 * index)) 8) & 0xfffffffffff000))
        [ $l2 -eq 0 ] && l2=$l1
        echo $((l2 + 8 * $(random $((cluster == 16384 ? 400 : 512))))) 1
        ;;
    2) echo $((reftable + 8 * $(random 2))) 0 ;;
    3) echo $(($(field "$1" "$reftable" 8) + $(random 1000))) 0 ;;
    4) echo 48 0 ;; # where the refcount table is
    5) echo $((52 + $(random 4))) 0 ;;
    6) # the snapshot table: what is before the names
        echo $(($(field "$1" 64 8) + $(random 40))) 512
        ;;
    7) # the first L1 table of a snapshot
        echo $(($(field "$1" "$(field "$1" 64 8)" 8) + 8 * $(random 2))) 512
        ;;
    8) # the bitmaps' extension, their directory, their tables
        index=$(bitmaps_at "$1")
        echo $((index + $(random 16))) 0
        ;;
    9)
        index=$(field "$1" $(($(bitmaps_at "$1") + 16)) 8)
        echo $((index + $(random 56))) 0
        ;;
    10)
        index=$(field "$1" $(($(bitmaps_at "$1") + 16)) 8)
        echo $(field "$1" "$index" 8) 0
        ;;
    esac
}
lost_clusters() {
    cmp -l good.raw repaired.raw 2>/dev/null | awk -v c=$cluster '{ k = int(($1 - 1) / c); if (!(k in seen)) { seen[k]; n++ } } END { print n + 0 }'
}
repaired() { # ROUND
    local at cost allowed=0 i lost code
    cp good.qcow2 bad.qcow2
    [ ! -e d.raw ] || cp good-d.raw d.raw
    for ((i = 0; i <= $1 % 4; i++)); do
        read -r at cost < <(target good.qcow2)
        flip bad.qcow2 $((at + $(random 8)))
        allowed=$((allowed + 2 * cost)) # an entry that now points to another's cluster may share it
    done
    cp bad.qcow2 before.qcow2
    "$IMG_TOOL" check -f qcow2 bad.qcow2 >before.txt 2>&1
    code=$?
    [ $code -le 3 ] || return 1
    "$IMG_TOOL" check -f qcow2 -r all bad.qcow2 || return 1
    "$IMG_TOOL" check -f qcow2 bad.qcow2 && qemu-img check -f qcow2 bad.qcow2 || return 1
    "$IMG_TOOL" convert -f qcow2 -O raw bad.qcow2 repaired.raw && qemu-img compare -q -f qcow2 -F raw bad.qcow2 repaired.raw || return 1
    lost=$(lost_clusters)
    [ "$lost" -le $allowed ] || { echo "$lost clusters changed, at most $allowed may"; return 1; }
    qemu-io -f qcow2 -c 'write -q -P 1 0 600k' bad.qcow2 && "$IMG_TOOL" io -f qcow2 -c 'write -q -P 2 1M 600k' bad.qcow2 &&
        qemu-img check -q -f qcow2 bad.qcow2
}

for kind in ${KINDS:-compat=1.1 refcount_bits=1 refcount_bits=64 compat=0.10 snapshot bitmaps extended_l2=on data_file=d.raw data_file=d.raw,data_file_raw=on}; do
    options=$kind snap=no kinds=6
    case $kind in
    snapshot) options=compat=1.1 snap=yes kinds=8 ;;
    bitmaps) options=compat=1.1 snap=bitmaps kinds=11 ;;
    esac
    [ $kind = extended_l2=on ] && cluster=16384 || cluster=4096
    is "$kind: an image" make_image "$options" "$snap"
    for ((round = 0; round < rounds; round++)); do
        out=$(repaired $round 2>&1) && continue
        echo "# $kind, round $round:"
        tail -n 30 <<<"$out" | sed 's/^/# /'
        cp before.qcow2 "${KEEP:-/dev/null}" 2>/dev/null
        break
    done
    same "$kind: $rounds damaged images are repaired" $round "$rounds"
done
done_testing
