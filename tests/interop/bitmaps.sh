#!/bin/bash
# Dirty bitmaps: what we write qemu-img, qemu-io and qemu-nbd read, and the other way round.
. "$(dirname "$0")/../tap.sh"
command -v qemu-img >/dev/null || skip_all "qemu-img is not installed"
t=$IMG_TOOL

clean() { # FILE: both tools call it so
    qemu-img check -q "$1" && "$t" check -q "$1"
}
list() { # FILE: "name granularity flags dirty" a line
    "$t" bitmap --list --output=json "$1" | tr -d ' \n' | sed 's/},{/}\n{/g' |
        sed 's/^\[//; s/\]$//' | sed -E 's/.*"name":"([^"]*)","granularity":([0-9]+),"flags":\[([^]]*)\](,"dirty-bytes":([0-9]+))?.*/\1 \2 [\3] \5/; s/"//g'
    echo
}
specific() { # the bitmaps in `info`
    "$1" info --output=json "$2" | sed -n '/"bitmaps"/,/^            \]/p'
}
# The map of a bitmap as an NBD client sees it: offset length dirty?
exported() { # FILE BITMAP
    nbdinfo --map="qemu:dirty-bitmap:$2" --json -- [ qemu-nbd -r -f qcow2 -B "$2" "$1" ] | tr -d ' \n' | sed 's/},{/}\n{/g' |
        sed -E 's/.*"offset":([0-9]+),"length":([0-9]+),"type":([0-9]+).*/\1 \2 \3/'
    echo
}

for options in cluster_size=64k cluster_size=4k,refcount_bits=8 cluster_size=512 extended_l2=on,cluster_size=128k; do
    case $options in extended_l2*) "$t" create -q -f qcow2 -o $options probe.qcow2 1M 2>/dev/null || continue ;; esac
    qemu-img create -q -f qcow2 -o $options a.qcow2 64M
    is "$options: add" "$t" bitmap --add -g 64k a.qcow2 ours
    is "$options: they can open it" qemu-img bitmap --add -g 128k a.qcow2 theirs
    same "$options: info" "$(specific "$t" a.qcow2)" "$(specific qemu-img a.qcow2)"
    qemu-io -f qcow2 -c 'write -q 1M 64k' a.qcow2
    "$t" io -f qcow2 -c 'write -q 33M 300k' -c 'write -q -z 5M 64k' -c 'discard -q 10M 1M' a.qcow2
    is "$options: clean after writes of both" clean a.qcow2
    same "$options: recorded" "$(list a.qcow2)" "ours 65536 [auto] 1507328
theirs 131072 [auto] 1703936"
    if command -v nbdinfo >/dev/null; then
        same "$options: what their server says of it" "$(exported a.qcow2 ours)" "0 1048576 0
1048576 65536 1
1114112 4128768 0
5242880 65536 1
5308416 5177344 0
10485760 1048576 1
11534336 23068672 0
34603008 327680 1
34930688 32178176 0"
    fi
    is "$options: their merge of ours" qemu-img bitmap --add -g 64k --disable --merge ours a.qcow2 merged
    is "$options: our merge of theirs" "$t" bitmap --merge theirs a.qcow2 merged
    is "$options: disabled by us" "$t" bitmap --disable a.qcow2 ours
    is "$options: cleared by us" "$t" bitmap --clear a.qcow2 theirs
    qemu-io -f qcow2 -c 'write -q 63M 1k' a.qcow2
    same "$options: after merge, disable, clear" "$(list a.qcow2)" "ours 65536 [] 1507328
theirs 131072 [auto] 131072
merged 65536 [] 1703936"
    is "$options: removed by us" "$t" bitmap --remove a.qcow2 ours
    is "$options: removed by them" qemu-img bitmap --remove a.qcow2 merged
    is "$options: clean at last" clean a.qcow2
    is "$options: the last one removed" "$t" bitmap --remove a.qcow2 theirs
    is "$options: clean without bitmaps" clean a.qcow2
    same "$options: info without bitmaps" "$(specific "$t" a.qcow2)$(specific qemu-img a.qcow2)" ""
done

# ---- merging from another file, several actions, convert
qemu-img create -q -f qcow2 src.qcow2 32M
qemu-img bitmap --add -g 4k src.qcow2 inc
qemu-img bitmap --add --disable src.qcow2 off
qemu-io -f qcow2 -c 'write -q 100k 5k' src.qcow2
qemu-img create -q -f qcow2 dst.qcow2 32M
is "add, merge from another file and disable in one call" "$t" bitmap --add --merge=inc --disable -b src.qcow2 -F qcow2 dst.qcow2 copy
same "the merged bits" "$(list dst.qcow2)" "copy 65536 [] 65536"
is "convert --bitmaps" "$t" convert -O qcow2 --bitmaps src.qcow2 conv.qcow2
qemu-img convert -O qcow2 --bitmaps src.qcow2 theirs.qcow2
same "as theirs" "$(list conv.qcow2)" "$(list theirs.qcow2)"
same "info of the copy" "$(specific qemu-img conv.qcow2)" "$(specific qemu-img theirs.qcow2)"
is "the copy is clean" clean conv.qcow2
refused "convert --bitmaps to raw" "does not support bitmaps" "$t" convert -O raw --bitmaps src.qcow2 conv.raw
"$t" bitmap --add a.qcow2 x
refused "merge of different sizes" "different sizes" "$t" bitmap --merge inc -b src.qcow2 a.qcow2 x

# ---- inconsistent: a writer of theirs that was killed
(
    (
        echo 'write -q 0 64k'
        sleep 5
    ) | qemu-io -f qcow2 src.qcow2 >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        qemu-img info -U src.qcow2 2>/dev/null | grep -q in-use && break
        sleep 0.1
    done
    kill -9 $pid
    wait $pid 2>/dev/null
) 2>/dev/null
same "info shows in-use" "$(specific "$t" src.qcow2)" "$(specific qemu-img src.qcow2)"
same "listed as inconsistent" "$(list src.qcow2)" "inc 4096 [in-use,auto] 
off 65536 [in-use] "
is "a new one beside them" "$t" bitmap --add src.qcow2 good
refused "clear" "is inconsistent" "$t" bitmap --clear src.qcow2 inc
refused "convert" "Cannot copy inconsistent bitmap 'inc'" "$t" convert -O qcow2 --bitmaps src.qcow2 c2.qcow2
is "convert --skip-broken-bitmaps" "$t" convert -O qcow2 --bitmaps --skip-broken-bitmaps src.qcow2 c3.qcow2
same "the good one is there" "$(list c3.qcow2)" "good 65536 [auto] 0"
is "remove one" "$t" bitmap --remove src.qcow2 inc
is "they remove the other" qemu-img bitmap --remove src.qcow2 off
"$t" check -q -r all src.qcow2 2>/dev/null
is "clean without it" clean src.qcow2

# ---- resize and snapshots
qemu-img create -q -f qcow2 r.qcow2 1G
"$t" bitmap --add -g 512 r.qcow2 fine
"$t" io -f qcow2 -c 'write -q 1023M 1M' r.qcow2
is "grow" "$t" resize -q r.qcow2 5G
is "clean after growing" clean r.qcow2
qemu-io -f qcow2 -c 'write -q 4G 1M' r.qcow2
same "bits in old and new parts" "$(list r.qcow2)" "fine 512 [auto] 2097152"
is "shrink" "$t" resize -q --shrink r.qcow2 1023M
is "clean after shrinking" clean r.qcow2
is "they can use it" qemu-img bitmap --clear r.qcow2 fine
"$t" snapshot -c one r.qcow2
is "apply a snapshot" "$t" snapshot -a one r.qcow2
same "all is dirty then" "$(list r.qcow2)" "fine 512 [auto] 1072693248"
is "clean with snapshots" clean r.qcow2

# ---- a program that does not know bitmaps was here: the autoclear bit is gone
printf '\0\0\0\0\0\0\0\0' | dd of=r.qcow2 bs=1 seek=88 conv=notrunc status=none
same "nothing is listed" "$(list r.qcow2)" ""
"$t" check -q -r leaks r.qcow2 2>/dev/null
is "clean" clean r.qcow2
is "a new one can be made" "$t" bitmap --add r.qcow2 again
is "clean again" clean r.qcow2

# ---- refusals
qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 1M
qemu-img create -q -f raw raw.img 1M
refused "version 2" "Cannot store dirty bitmaps in qcow2 v2 files" "$t" bitmap --add v2.qcow2 b
refused "raw" "keeps no dirty bitmaps" "$t" bitmap --add -f raw raw.img b
refused "twice" "Bitmap already exists: x" "$t" bitmap --add a.qcow2 x
refused "unknown" "Dirty bitmap 'y' not found" "$t" bitmap --clear a.qcow2 y
refused "granularity 100" "Granularity must be power of 2" "$t" bitmap --add -g 100 a.qcow2 y
refused "granularity without --add" "granularity only supported with --add" "$t" bitmap --clear -g 64k a.qcow2 x
refused "no action" "Need at least one of" "$t" bitmap a.qcow2 x
refused "no name" "Expecting filename and bitmap name" "$t" bitmap --add a.qcow2
refused "-F without -b" "-F only supported with -b" "$t" bitmap --add -F qcow2 a.qcow2 x
refused "-b without --merge" "only supported with --merge" "$t" bitmap --clear -b a.qcow2 a.qcow2 x
is "--image-opts" "$t" bitmap --clear --image-opts driver=qcow2,file.filename=a.qcow2 x
done_testing
