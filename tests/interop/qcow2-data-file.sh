#!/bin/bash
# External data files, both ways: created, written in turn by two programs, mapped alike; a raw one is the disk at
# any time. What cannot be is refused with one sentence. SEED repeats a run.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
seed=${SEED:-$(($(date +%s) % 100000))}
echo "# seed $seed"
RANDOM=$seed
io() { "$IMG_TOOL" io "$@"; }
img() { "$IMG_TOOL" "$@"; }

make_commands() { # SIZE COUNT
    local i off len
    commands=()
    for ((i = 0; i < $2; i++)); do
        off=$(((RANDOM * 32768 + RANDOM) % ($1 / 512) * 512)) len=$(((RANDOM % 300 + 1) * 512))
        [ $((off + len)) -le "$1" ] || len=$(($1 - off))
        case $((RANDOM % 6)) in
        0) commands+=(-c "write -q -z $off $len") ;;
        1) commands+=(-c "write -q -z -u $off $len") ;;
        *) commands+=(-c "write -q -P $((RANDOM % 255 + 1)) $off $len") ;;
        esac
    done
}

clean_and_equal() { # RAW?
    qemu-img check -q a.qcow2 && img check -q a.qcow2 || return 1
    qemu-img compare -f qcow2 -F raw a.qcow2 ref.raw && img compare -f qcow2 -F raw a.qcow2 ref.raw || return 1
    if [ "$1" = raw ]; then # complete tables: the peer guesses whether it should look for holes in the data file
        cmp -n "$(stat -c %s ref.raw)" d.raw ref.raw
    else
        qemu-img map --output=json a.qcow2 >peer.json && img map --output=json a.qcow2 >ours.json && diff peer.json ours.json
    fi
}

turns() { # SIZE RAW?
    local turn tool
    for ((turn = 0; turn < 4; turn++)); do
        [ $((turn % 2)) = 0 ] && tool=io || tool=qemu-io
        make_commands "$1" 12
        $tool -f qcow2 -d unmap "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw || return 1
        clean_and_equal "$2" || { echo "turn $turn of $tool: ${commands[*]}"; return 1; }
    done
}

run() { # MAKER SIZE OPTIONS RAW?
    rm -f a.qcow2 ref.raw d.raw
    truncate -s "$2" ref.raw && "$1" create -q -f qcow2 -o "data_file=d.raw$3" a.qcow2 "$2" && clean_and_equal "$4" && turns "$2" "$4"
}
is "made by us" run img 3000320 "" no
is "made by the peer" run qemu-img 3000320 "" no
is "small clusters" run img 1000448 ",cluster_size=4k" no
is "2M clusters, made by the peer" run qemu-img 9000448 ",cluster_size=2M" no
is "subclusters" run img 3000320 ",extended_l2=on,cluster_size=16k" no
is "subclusters, made by the peer" run qemu-img 3000320 ",extended_l2=on" no
is "raw" run img 3000320 ",data_file_raw=on" raw
is "raw, made by the peer" run qemu-img 3000320 ",data_file_raw=on,cluster_size=4k" raw
is "raw with subclusters" run img 3000320 ",data_file_raw=on,extended_l2=on,cluster_size=32k" raw
for mode in metadata falloc full; do
    is "preallocation=$mode" run img 1000448 ",preallocation=$mode" no
    is "preallocation=$mode with subclusters" run img 1000448 ",preallocation=$mode,extended_l2=on" no
done

allocated() { # MODE: the space is there as the peer's is
    rm -f a.qcow2 b.qcow2
    img create -q -f qcow2 -o data_file=d.raw,preallocation=$1 a.qcow2 2M && qemu-img create -q -f qcow2 -o data_file=e.raw,preallocation=$1 b.qcow2 2M &&
        [ "$(stat -c %s d.raw)" = "$(stat -c %s e.raw)" ] && [ $(($(stat -c %b e.raw) - $(stat -c %b d.raw))) -lt 16 ]
}
for mode in off metadata falloc full; do
    is "the data file has as many blocks: $mode" allocated $mode
done

infos() { # OPTIONS: alike, and without the data file
    rm -f a.qcow2
    img create -q -f qcow2 -o "data_file=d.raw$1" a.qcow2 1M && rm d.raw || return 1
    qemu-img info --output=json a.qcow2 >peer.json && img info --output=json a.qcow2 >ours.json && diff peer.json ours.json &&
        qemu-img info a.qcow2 >peer.txt && img info a.qcow2 >ours.txt && diff peer.txt ours.txt
}
is "info, which does not need the data file" infos ""
is "info, raw" infos ",data_file_raw=on"

overlays() {
    rm -f a.qcow2 ref.raw
    img create -q -f raw base.raw 1M && io -f raw -c "write -q -P 7 0 1M" base.raw && cp base.raw ref.raw &&
        img create -q -f qcow2 -o data_file=d.raw -b base.raw -F raw a.qcow2 && clean_and_equal no && turns 1048576 no && img commit -q a.qcow2 && cmp base.raw ref.raw
}
is "an overlay with a data file, committed" overlays

as_backing() { # the data file of a backing file is found from its folder
    mkdir -p sub && (cd sub && rm -f b.qcow2 && img create -q -f qcow2 -o data_file=e.raw b.qcow2 1M && io -c 'write -q -P 9 64k 128k' b.qcow2) &&
        img create -q -f qcow2 -b sub/b.qcow2 -F qcow2 o.qcow2 && io -c 'read -q -P 9 64k 128k' -c 'read -q -P 0 0 64k' o.qcow2
}
is "a backing file with a data file" as_backing

elsewhere() { # the peer takes names from the current folder: we find those, too, and it finds ours
    rm -rf sub && mkdir sub && qemu-img create -q -f qcow2 -o data_file=sub/p.raw sub/p.qcow2 1M && io -c 'write -q -P 3 0 1k' sub/p.qcow2 && qemu-io -c 'read -q -P 3 0 1k' sub/p.qcow2 &&
        img create -q -f qcow2 -o data_file=sub/o.raw sub/o.qcow2 1M && qemu-io -c 'write -q -P 4 0 1k' sub/o.qcow2 && io -c 'read -q -P 4 0 1k' sub/o.qcow2 && (cd / && io -c 'read -q -P 4 0 1k' "$OLDPWD/sub/o.qcow2")
}
is "names relative to the current folder" elsewhere

moved() { # the user says where it is
    rm -f a.qcow2 && img create -q -f qcow2 -o data_file=d.raw a.qcow2 1M && io -c 'write -q -P 5 0 64k' a.qcow2 && mv d.raw moved.raw &&
        io --image-opts -c 'read -q -P 5 0 64k' driver=qcow2,file.filename=a.qcow2,data-file.filename=moved.raw &&
        img convert -O raw 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"},"data-file":{"driver":"file","filename":"moved.raw"}}' out.raw &&
        qemu-img compare -q -f raw -F raw out.raw moved.raw
}
is "option data-file" moved

resized() { # OPTIONS RAW?
    rm -f a.qcow2 ref.raw && img create -q -f qcow2 -o "data_file=d.raw$1" a.qcow2 1M && truncate -s 1M ref.raw && make_commands 1048576 20 &&
        io -f qcow2 "${commands[@]}" a.qcow2 && io -f raw "${commands[@]}" ref.raw || return 1
    for size in 700416 2000384 100352 1500160; do
        img resize -q --shrink a.qcow2 $size && truncate -s $size ref.raw && [ "$(stat -c %s d.raw)" = $size ] && clean_and_equal "$2" || return 1
    done
    img resize -q --preallocation=full a.qcow2 3M && truncate -s 3M ref.raw && clean_and_equal "$2" && [ "$(stat -c %b d.raw)" -ge 3000 ]
}
is "resize both ways" resized "" no
is "resize both ways, raw" resized ",data_file_raw=on" raw
is "resize both ways, subclusters" resized ",extended_l2=on" no

longer() { # what lies behind the disk's end in the file does not appear when it grows
    rm -f a.qcow2 && img create -q -f qcow2 -o "data_file=d.raw,data_file_raw=on" a.qcow2 1M && head -c 100000 /dev/urandom >>d.raw &&
        img resize -q a.qcow2 2M && io -c 'read -q -P 0 0 2M' a.qcow2
}
is "rubbish behind the end is cleared" longer

converted() {
    rm -f a.qcow2 ref.raw d.raw && truncate -s 1M ref.raw && make_commands 1048576 20 && io -f raw "${commands[@]}" ref.raw &&
        img convert -O qcow2 -o data_file=d.raw ref.raw a.qcow2 && qemu-img compare -q -f qcow2 -F raw a.qcow2 ref.raw && qemu-img check -q a.qcow2 &&
        qemu-img convert -O qcow2 a.qcow2 plain.qcow2 && img compare -q plain.qcow2 a.qcow2
}
is "convert into one and out of one" converted

locked() { # a second writer is kept out of the data file, too
    rm -f a.qcow2 && img create -q -f qcow2 -o data_file=d.raw a.qcow2 1M || return 1
    io -c 'sleep 3000' a.qcow2 &
    local pid=$!
    sleep 1
    qemu-io -f raw -c 'write -q 0 1k' d.raw && { wait $pid; return 1; }
    img resize -q -f raw d.raw 2M && { wait $pid; return 1; }
    wait $pid
}
is "the data file is locked with the image" locked

rm -f a.qcow2 && img create -q -f qcow2 -o data_file=d.raw a.qcow2 1M && img create -q -f qcow2 plain.qcow2 1M
refused "version 2" "compatibility level 1.1" img create -q -f qcow2 -o data_file=x.raw,compat=0.10 bad.qcow2 1M
refused "raw without a data file" "requires data-file" img create -q -f qcow2 -o data_file_raw=on bad.qcow2 1M
refused "raw with a backing file" "cannot be used at the same time" img create -q -f qcow2 -o data_file=x.raw,data_file_raw=on -b plain.qcow2 -F qcow2 bad.qcow2
refused "the image as its own data file" "same file" img create -q -f qcow2 -o data_file=bad.qcow2 bad.qcow2 1M
refused "the backing file as data file" "same file" img create -q -f qcow2 -o data_file=plain.qcow2 -b plain.qcow2 -F qcow2 bad.qcow2
refused "internal snapshots" "data file" img snapshot -c one a.qcow2
refused "option data-file where there is none" "option 'data-file'" img map --image-opts driver=qcow2,file.filename=plain.qcow2,data-file.filename=d.raw
is "nothing is left of what was refused" eval '[ ! -e bad.qcow2 ] && [ ! -e x.raw ]'
io -c 'write -q -P 1 0 64k' plain.qcow2
refused "compressed clusters" "not supported" img convert -c -O qcow2 -o data_file=x.raw plain.qcow2 bad.qcow2
rm d.raw
refused "the data file is gone" "d.raw" img map a.qcow2
done_testing
