#!/bin/bash
# img-tool measure and dd beside qemu-img's: outputs, exit codes, and what is in the images.
HERE=$(cd "$(dirname "$0")/.." && pwd)
. "$HERE/tap.sh"
. "$HERE/alike.sh"

both qemu-img create -q -f qcow2 base.qcow2 20M
both qemu-io -c "write -q -P 1 0 1M" -c "write -q -P 2 3M 100k" -c "write -q -z 10M 1M" base.qcow2
both qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2 30M
both qemu-io -c "write -q -P 3 1M 70k" -c "write -q -P 4 29M 1M" over.qcow2
both qemu-img snapshot -c snap over.qcow2
both qemu-io -c "write -q -P 5 15M 2M" over.qcow2
both qemu-img convert -O raw over.qcow2 odd.raw
both truncate -s 3000001 odd.raw
both qemu-img create -q -f qcow2 dirty.qcow2 100M
both qemu-img bitmap --add dirty.qcow2 first
both qemu-img bitmap --add -g 4k dirty.qcow2 a-longer-name

# --- measure ------------------------------------------------------------------------------------------------------
for size in 0 1 1000 64k 1G 7T; do
    alike measure --size $size
    alike measure -O qcow2 --output=json --size $size
done
for options in cluster_size=512 cluster_size=2M refcount_bits=1 refcount_bits=64 compat=0.10 preallocation=full \
    preallocation=metadata preallocation=falloc cluster_size=1k,refcount_bits=64 extended_l2=on,cluster_size=128k size=77M \
    data_file=x.raw,data_file_raw=on lazy_refcounts=on compression_type=zstd backing_file=base.qcow2; do
    alike measure -O qcow2 -o $options --size 3G
    for f in odd.raw over.qcow2 dirty.qcow2; do
        alike measure -O qcow2 -o $options $f
    done
done
for f in odd.raw base.qcow2 over.qcow2 dirty.qcow2; do
    alike measure $f
    alike measure --output=json $f
    alike measure -O qcow2 $f
    alike measure -O qcow2 --output=json $f
    alike measure -f raw -O qcow2 $f
done
alike measure -O qcow2 -l snap over.qcow2
alike measure -O qcow2 -l snapshot.name=snap over.qcow2
alike measure -O qcow2 -l none over.qcow2
alike measure -U -O qcow2 over.qcow2
alike measure --image-opts -O qcow2 driver=qcow2,file.filename=over.qcow2
alike measure
alike measure --size 1M over.qcow2
alike measure -f qcow2 --size 1M
alike measure -l snap --size 1M
alike measure --size x
alike measure -O vmdk3 --size 1M
alike measure -O qcow2 -o cluster_size=3 --size 1M
alike measure -O qcow2 -o cluster_size=512 --size 1T
alike measure -O qcow2 -o nonsense=1 --size 1M
alike measure over.qcow2 base.qcow2
alike measure --output=xml over.qcow2

# What convert makes is never larger than what was measured.
for options in cluster_size=4k cluster_size=64k cluster_size=2M refcount_bits=64,cluster_size=512; do
    need=$("$IMG_TOOL" measure -O qcow2 -o $options ours/over.qcow2 | sed -n 's/^required size: //p')
    "$IMG_TOOL" convert -O qcow2 -o $options ours/over.qcow2 made.qcow2
    got=$(stat -c %s made.qcow2)
    is "convert with $options: $got bytes are within the $need that were measured" [ "$got" -le "$need" ]
done

# --- dd -----------------------------------------------------------------------------------------------------------
dd_alike() { # FORMAT OPERANDS...
    local format=$1
    shift
    rm -f ours/out.img theirs/out.img
    alike dd "$@" of=out.img
    [ ! -e theirs/out.img ] || same_content out.img "$format"
    same "dd $*: equal sizes" "$(qemu-img info -f "$format" ours/out.img 2>&1 | grep virtual)" \
        "$(qemu-img info -f "$format" theirs/out.img 2>&1 | grep virtual)"
}
dd_alike raw if=over.qcow2
dd_alike raw bs=1M count=4 if=over.qcow2
dd_alike raw bs=64k skip=17 if=over.qcow2
dd_alike raw bs=1M skip=30 if=over.qcow2
dd_alike raw bs=1M skip=99 if=over.qcow2
dd_alike raw bs=7777 count=3 if=odd.raw
dd_alike raw bs=1000 skip=1001 if=odd.raw
dd_alike raw count=0 if=odd.raw
dd_alike raw -f raw bs=64k if=base.qcow2
dd_alike qcow2 -O qcow2 bs=64k count=100 if=over.qcow2
dd_alike qcow2 -U -f qcow2 -O qcow2 if=over.qcow2
dd_alike raw --image-opts if=driver=qcow2,file.filename=over.qcow2
alike dd if=odd.raw
alike dd of=odd.raw
alike dd bs=0 if=odd.raw of=x.raw
alike dd bs=1x if=odd.raw of=x.raw
alike dd count=-1 if=odd.raw of=x.raw
alike dd nonsense=1 if=odd.raw of=x.raw
alike dd nonsense
alike dd if=missing.raw of=x.raw
alike dd -O nonsense if=odd.raw of=x.raw

# count counts from where skip ended, as in dd(1) (qemu-img 7.2 counts from the start).
both sh -c 'dd bs=1000 count=3 skip=2 if=odd.raw of=plain.raw status=none'
is "dd with skip and count" "$IMG_TOOL" dd bs=1000 count=3 skip=2 if=ours/odd.raw of=part.raw
is "dd with skip and count copies what dd copies" cmp -n 3000 part.raw ours/plain.raw

# seek and conv are ours: dd(1) is the model.
dd if=ours/odd.raw of=expected.raw bs=4096 skip=1 count=5 seek=3 status=none
is "dd with seek" "$IMG_TOOL" dd bs=4096 skip=1 count=5 seek=3 if=ours/odd.raw of=sought.raw
is "dd with seek writes behind zeros" cmp sought.raw expected.raw
cp ours/odd.raw kept.raw && cp ours/odd.raw expected.raw
dd if=ours/odd.raw of=expected.raw bs=512 skip=100 count=9 seek=1 conv=notrunc status=none
is "dd conv=notrunc" "$IMG_TOOL" dd bs=512 skip=100 count=9 seek=1 conv=notrunc,fsync if=ours/odd.raw of=kept.raw
is "dd conv=notrunc keeps the rest" cmp kept.raw expected.raw
"$IMG_TOOL" create -q -f qcow2 short.qcow2 1M
is "dd conv=notrunc into an image that is too short" \
    "$IMG_TOOL" dd -O qcow2 bs=1M seek=2 count=1 conv=notrunc if=ours/odd.raw of=short.qcow2
same "... makes it longer" "$("$IMG_TOOL" info --output=json short.qcow2 | grep virtual-size)" '    "virtual-size": 3145728,'
refused "an unknown conversion" "unknown conversion 'swab'" "$IMG_TOOL" dd conv=notrunc,swab if=ours/odd.raw of=x.raw
refused "an offset beyond everything" "seek=" "$IMG_TOOL" dd bs=1G seek=7E if=ours/odd.raw of=x.raw
refused "the image itself as output" "lock" "$IMG_TOOL" dd if=ours/odd.raw of=ours/odd.raw
same "the input is still there" "$(stat -c %s ours/odd.raw)" 3000001
done_testing
