#!/bin/bash
# convert: the same bytes whatever the number of workers, options that say what is copied, and what is left after an end
# in the middle.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
io() { img io "$@" >out.txt; }
equal() { img compare -q "$@"; }

# Text, random bytes and zeros in pieces that fit no cluster.
make_source() {
    truncate -s 48M src.raw
    for ((at = 1; at < 48; at += 6)); do
        seq $((at * 1000)) $((at * 1000 + 150000)) | dd of=src.raw bs=1000 seek=$((at * 1000)) conv=notrunc status=none
        head -c 1500000 /dev/urandom | dd of=src.raw bs=1000 seek=$((at * 1000 + 2000)) conv=notrunc status=none
    done
}
make_source

# --- the layout does not depend on chance ---------------------------------------------------------------------------
for options in "-O qcow2" "-c -O qcow2" "-c -O qcow2 -o compression_type=zstd" "-c -O qcow2 -o cluster_size=4k"; do
    # shellcheck disable=SC2086
    img convert $options -m 1 -f raw src.raw one.img
    for workers in 2 7 16; do
        # shellcheck disable=SC2086
        img convert $options -m $workers -f raw src.raw many.img
        is "$options: $workers workers write the same bytes as one" cmp one.img many.img
    done
    is "$options: the image is clean" img check -q one.img
    is "$options: the content is the source's" equal -f raw -F qcow2 src.raw one.img
done
is "-W leaves the order to chance, not the content" eval "img convert -W -c -O qcow2 -f raw src.raw w.qcow2 && img check -q w.qcow2 && equal -f raw -F qcow2 src.raw w.qcow2"
is "compressed is smaller" eval '[ "$(stat -c %s w.qcow2)" -lt "$(($(stat -c %b src.raw) * 512))" ]'

# --- what is copied ---------------------------------------------------------------------------------------------------
img create -q -f qcow2 base.qcow2 4M && io -c "write -q -P 1 0 2M" base.qcow2
img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2 && io -c "write -q -P 2 1M 1M" -c "write -q -z 0 512k" over.qcow2
img convert -O qcow2 -B base.qcow2 -F qcow2 over.qcow2 thin.qcow2
is "-B keeps the backing file" equal over.qcow2 thin.qcow2
is "-B copies only what is above it" eval '[ "$(stat -c %b thin.qcow2)" -lt 3000 ]'
img snapshot -c before over.qcow2 && io -c "write -q -P 3 0 4M" over.qcow2
img convert -l before -O raw over.qcow2 before.raw
is "-l takes a snapshot's content" equal -F raw thin.qcow2 before.raw
img convert -O raw thin.qcow2 base.qcow2 two.raw
is "several sources lie one behind the other" eval 'img convert -O raw thin.qcow2 a.raw && img convert -O raw base.qcow2 b.raw && cat a.raw b.raw | cmp - two.raw'
img create -q -f raw full.raw 4M && io -f raw -c "write -q -P 9 0 4M" full.raw
is "-n writes zeros over what was there" eval 'img convert -n -O raw thin.qcow2 full.raw && equal -F raw thin.qcow2 full.raw'
is "-S 0 allocates everything" eval 'img convert -S 0 -O raw thin.qcow2 s0.raw && [ "$(stat -c %b s0.raw)" -ge 8192 ]'
is "by default zeros become holes" eval 'img convert -O raw s0.raw holes.raw && [ "$(stat -c %b holes.raw)" -lt 4000 ] && cmp s0.raw holes.raw'
truncate -s 4M zero.raw
is "--target-is-zero leaves holes alone" eval 'img convert -n --target-is-zero -O raw thin.qcow2 zero.raw && [ "$(stat -c %b zero.raw)" -lt 4000 ] && cmp s0.raw zero.raw'
refused "a target that is too small" "few" img convert -n -O raw src.raw zero.raw

# --- an end in the middle ---------------------------------------------------------------------------------------------
for ((i = 0; i < 9; i++)); do dd if=src.raw of=slow.raw bs=4M seek=$((i * 12)) conv=notrunc status=none; done
for signal in INT TERM; do
    "$IMG_TOOL" convert -c -O qcow2 -f raw slow.raw gone.qcow2 2>err.txt &
    pid=$!
    for ((i = 0; i < 200; i++)); do [ -s gone.qcow2 ] && break; sleep 0.02; done
    sleep 0.1
    kill -$signal $pid
    wait $pid
    status=$?
    is "SIG$signal ends convert with an error ($status)" [ $status -ne 0 ]
    is "SIG$signal: the unfinished target is gone" [ ! -e gone.qcow2 ]
done
done_testing
