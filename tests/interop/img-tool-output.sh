#!/bin/bash
# The same command line for both tools, each in its own folder that starts with the same files: exit codes and standard
# output must be equal, and afterwards the images hold the same.
HERE=$(cd "$(dirname "$0")/.." && pwd)
. "$HERE/tap.sh"
. "$HERE/alike.sh"

# --- create, info -------------------------------------------------------------------------------------------------
alike create -f raw a.raw 3M
alike create -f qcow2 a.qcow2 64M
alike create -f qcow2 -o cluster_size=4k,refcount_bits=8,compat=1.1,lazy_refcounts=on b.qcow2 10M
alike create -f qcow2 -o compat=0.10 old.qcow2 1M
alike create -f qcow2 -o preallocation=metadata pre.qcow2 2M
alike create -f qcow2 -o compression_type=zstd z.qcow2 1M
alike create -f qcow2 -b a.qcow2 -F qcow2 over.qcow2
alike create -q -f qcow2 quiet.qcow2 1M
for f in a.raw a.qcow2 b.qcow2 old.qcow2 pre.qcow2 z.qcow2 over.qcow2; do
    alike info $f
    alike info --output=json $f
done
alike info --backing-chain over.qcow2
alike info --backing-chain --output=json over.qcow2
cp theirs/* ours # the same layout from here on
both qemu-io -c "write -q -P 1 0 1M" -c "write -q -P 2 2M 128k" -c "write -q -z 3M 1M" a.qcow2
both qemu-io -f raw -c "write -q -P 1 0 64k" a.raw
both qemu-io -c "write -q -P 3 1M 64k" -c "write -q -P 4 40M 1M" over.qcow2

# --- map, check, compare ----------------------------------------------------------------------------------------------
for f in a.raw a.qcow2 over.qcow2 pre.qcow2; do
    alike map $f
    alike map --output=json $f
    alike check $f
    alike check --output=json $f
done
alike map --start-offset=1M --max-length=2M --output=json over.qcow2
alike compare a.qcow2 over.qcow2
alike compare a.qcow2 a.qcow2
alike compare -s a.qcow2 over.qcow2
alike compare a.qcow2 missing.qcow2
alike compare a.raw old.qcow2
alike compare -s a.raw old.qcow2
alike compare -q a.qcow2 over.qcow2

# --- snapshot, resize -------------------------------------------------------------------------------------------------
alike snapshot -l a.qcow2
alike snapshot -c one a.qcow2
both qemu-io -c "write -q -P 9 0 64k" a.qcow2
alike snapshot -c two a.qcow2
alike snapshot -l a.qcow2
alike check a.qcow2
alike snapshot -a one a.qcow2
same_content a.qcow2
alike snapshot -d one a.qcow2
alike snapshot -d none a.qcow2
alike snapshot -l a.qcow2
alike convert -l two -O raw a.qcow2 two.raw
same_content two.raw raw
alike convert -l snapshot.name=two -O raw a.qcow2 two.raw
alike snapshot -d two a.qcow2
alike resize a.qcow2 +1M
alike resize --shrink a.qcow2 60M
alike resize a.raw 5M
alike resize --preallocation=metadata b.qcow2 +1M
same_content a.qcow2

# --- convert ----------------------------------------------------------------------------------------------------------
for options in "-O raw" "-O qcow2" "-O qcow2 -c" "-O qcow2 -W -m 8" "-O raw -S 0" "-O raw -S 64k" "-O qcow2 -o cluster_size=2M" \
    "-O qcow2 -c -o compression_type=zstd" "-O qcow2 -o compat=0.10" "-O qcow2 -B a.qcow2 -F qcow2" "-O raw -C"; do
    # shellcheck disable=SC2086
    alike convert $options over.qcow2 new.img
    format=$(set -- $options && echo "$2")
    same_content new.img "$format"
    [ "$format" = raw ] || alike check new.img
done
alike convert -O raw a.raw over.qcow2 b.qcow2 all.raw
same_content all.raw raw
alike convert -n -O raw over.qcow2 all.raw
same_content all.raw raw
both truncate -s 64M zero.raw
alike convert -n --target-is-zero -O raw over.qcow2 zero.raw
alike convert --salvage -O raw over.qcow2 salvaged.raw
same_content salvaged.raw raw
alike convert --target-is-zero -O raw over.qcow2 new.img
alike convert -O qcow2 over.qcow2 a.raw missing.raw new.img

# --- commit, rebase ---------------------------------------------------------------------------------------------------
both cp over.qcow2 keep.qcow2
alike commit -d over.qcow2
alike commit over.qcow2
same_content a.qcow2
both cp keep.qcow2 over.qcow2
alike create -f qcow2 -b over.qcow2 -F qcow2 top.qcow2
both qemu-io -c "write -q -P 5 7M 1M" top.qcow2
alike commit -b a.qcow2 top.qcow2
same_content a.qcow2
alike rebase -b a.qcow2 -F qcow2 top.qcow2
alike rebase -u -b over.qcow2 -F qcow2 top.qcow2
alike rebase -b '' top.qcow2
alike info top.qcow2
same_content top.qcow2

# --- damage -----------------------------------------------------------------------------------------------------------
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET BYTES
"$IMG_TOOL" create -q -f qcow2 leak.qcow2 1M && "$IMG_TOOL" io -c "write -q 0 128k" leak.qcow2
cp leak.qcow2 bad.qcow2
truncate -s 512k leak.qcow2
poke leak.qcow2 $((0x20000 + 2 * 7)) '\0\1' # a count, but no reference
poke bad.qcow2 $((0x20000 + 2 * 5)) '\0\0'  # the other way round
cp leak.qcow2 bad.qcow2 ours; cp leak.qcow2 bad.qcow2 theirs
alike check leak.qcow2
alike check --output=json leak.qcow2
alike check -q leak.qcow2
alike check -r leaks leak.qcow2
alike check leak.qcow2
code() { local status; "$@" >/dev/null 2>&1; status=$?; echo "exit code $status"; }
same "check bad.qcow2" "$(code "$IMG_TOOL" check ours/bad.qcow2)" "$(code qemu-img check theirs/bad.qcow2)"
both sh -c '"$IMG_TOOL" check -q -r all bad.qcow2 2>err.txt'
alike check bad.qcow2
alike check -f raw a.raw
alike check missing.qcow2
done_testing
