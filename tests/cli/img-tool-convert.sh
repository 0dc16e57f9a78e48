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

# --- several ways of saying what is copied and how ---------------------------------------------------------------------
size_with() { img convert -c -O qcow2 "$@" -f raw src.raw level.qcow2 && equal -f raw -F qcow2 src.raw level.qcow2 && stat -c %s level.qcow2; }
is "compression_level: 9 is not larger than 1" eval '[ "$(size_with -o compression_level=9)" -le "$(size_with -o compression_level=1)" ]'
is "... nor 19 than 1 with zstd" eval '[ "$(size_with -o compression_type=zstd,compression_level=19)" -lt "$(size_with -o compression_type=zstd,compression_level=1)" ]'
refused "a level that zlib does not have" "1 to 9" img convert -c -O qcow2 -o compression_level=10 -f raw src.raw level.qcow2
is "... leaves nothing behind" eval '[ -z "$(ls | grep part)" ] && equal -f raw -F qcow2 src.raw level.qcow2'
refused "a level without -c" "-c" img convert -O qcow2 -o compression_level=5 -f raw src.raw level.qcow2
is "-C lets the kernel copy" eval 'img convert -C -f raw -O raw src.raw offload.raw && cmp src.raw offload.raw'
is "... from qcow2, too" eval 'img convert -f raw -O qcow2 src.raw whole.qcow2 && img convert -C -O raw whole.qcow2 offload.raw && cmp src.raw offload.raw'
is "... and into it by hand" eval 'img convert -C -f raw -O qcow2 src.raw offload.qcow2 && equal -f raw -F qcow2 src.raw offload.qcow2'
refused "-C with -c" "-C" img convert -C -c -O qcow2 src.raw x.qcow2
refused "-C with -S" "-C" img convert -C -S 64k -O raw src.raw x.raw
limited() {
    local start=${EPOCHREALTIME/./}
    img convert "$@" && elapsed=$((${EPOCHREALTIME/./} - start))
}
does "-r limits the rate" limited -r 8M -O raw s0.raw slow.raw
is "... 4 MiB at 8 MiB a second take 0.4 s at least, and not much more ($elapsed us)" [ "$elapsed" -ge 300000 -a "$elapsed" -lt 5000000 ]
refused "a rate of nothing" "rate" img convert -r 0 -O raw s0.raw slow.raw
faulty() { # OFFSET-INDEPENDENT: the Nth read of SOURCE fails
    echo "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"faults\",\"fail-read\":$1,\"once\":true,\"file\":{\"driver\":\"file\",\"filename\":\"$2\"}}}"
}
refused "a source that cannot be read" "cannot read at offset" img convert -m 1 -O raw "$(faulty 2 s0.raw)" x.raw
is "... leaves no target" eval '! ls x.raw* 2>/dev/null | grep .'
is "--salvage goes on" eval 'img convert --salvage -m 1 -O raw "$(faulty 2 s0.raw)" salvaged.raw 2>err.txt && cmp s0.raw salvaged.raw'
img convert -O qcow2 -f raw src.raw bad.qcow2
forever="json:{\"driver\":\"raw\",\"file\":{\"driver\":\"faults\",\"fail-read\":1,\"file\":{\"driver\":\"file\",\"filename\":\"full.raw\"}}}"
img create -q -f raw full.raw 1M && io -f raw -c "write -q -P 9 0 1M" full.raw
is "--salvage: sectors that stay unreadable become zeros, each with a line" eval '
    img convert --salvage -m 1 -O raw "$forever" salvaged.raw 2>err.txt && [ "$(grep -c "zeros instead" err.txt)" -eq 2048 ] &&
    img io -f raw -c "read -q -P 0 0 1M" salvaged.raw'

# --- the name appears when the image is whole ----------------------------------------------------------------------------
echo "what was here" >old.raw && chmod 640 old.raw
refused "a failing copy" "cannot read" img convert -m 1 -O raw "$(faulty 2 s0.raw)" old.raw
is "... leaves what was there" eval '[ "$(cat old.raw)" = "what was here" ] && [ ! -e old.raw.part ]'
is "the new file has the rights of the old one" eval 'img convert -O raw s0.raw old.raw && [ "$(stat -c %a old.raw)" = 640 ] && cmp s0.raw old.raw'
mkdir folder && : >folder/real.raw && ln -s folder/real.raw link.raw
is "a link stays a link, its target is written" eval 'img convert -O raw s0.raw link.raw && [ -L link.raw ] && cmp s0.raw folder/real.raw'
ln -s folder/none.raw dangling.raw
is "... also if there is nothing yet" eval 'img convert -O raw s0.raw dangling.raw && [ -L dangling.raw ] && cmp s0.raw folder/none.raw'
echo "first name" >hard1 && ln hard1 hard2
is "another name of the old file keeps it" eval 'img convert -O raw s0.raw hard1 && cmp s0.raw hard1 && [ "$(cat hard2)" = "first name" ]'
is "a descriptor's name is written in place" eval 'img convert -O raw s0.raw /dev/fd/9 9<>fd.raw && cmp s0.raw fd.raw'
echo mine >busy.raw.part
refused "somebody else's .part is left alone" "in the way" img convert -O raw s0.raw busy.raw
is "... really" eval '[ "$(cat busy.raw.part)" = mine ] && [ ! -e busy.raw.part.journal ] && [ ! -e busy.raw ]'
long=$(printf 'n%.0s' {1..250})
is "a name as long as names can be" eval 'img convert -O raw s0.raw $long && cmp s0.raw $long && ! ls | grep part.journal'
exec 8> >(exec "$IMG_TOOL" io -f raw old.raw >holder 2>&1)
echo length >&8
for ((i = 0; i < 100; i++)); do [ -s holder ] && break || sleep 0.1; done
refused "a target that is in use" "lock" img convert -O raw src.raw old.raw
exec 8>&-

# --- an end in the middle ---------------------------------------------------------------------------------------------
for ((i = 0; i < 9; i++)); do dd if=src.raw of=slow.raw bs=4M seek=$((i * 12)) conv=notrunc status=none; done
for signal in INT TERM; do
    "$IMG_TOOL" convert -r 20M -O qcow2 -f raw slow.raw gone.qcow2 2>err.txt &
    pid=$!
    for ((i = 0; i < 200; i++)); do [ -s gone.qcow2.part ] && break; sleep 0.02; done
    sleep 0.1
    kill -$signal $pid
    wait $pid
    status=$?
    is "SIG$signal ends convert with an error ($status)" [ $status -ne 0 ]
    is "SIG$signal: nothing is left of the unfinished target" eval '! ls | grep gone.qcow2'
done
done_testing
