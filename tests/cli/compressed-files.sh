#!/bin/bash
# Images in .gz, .xz, .zst and .bz2 files are read as if they were unpacked; damage and bombs are noticed.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
bytes() { stat -c %s "$1"; }

for tool in gzip bzip2 xz zstd; do
    command -v $tool >/dev/null || skip_all "$tool is not installed"
done
export TMPDIR=$PWD

# Odd size; text, random bytes, zeros.
{ seq 400000; head -c 3000000 /dev/urandom; head -c 5000000 /dev/zero; seq 300000; } >raw.img
truncate -s 14000640 raw.img
img convert -f raw -O qcow2 raw.img q.qcow2

pack() { # IMAGE: every kind of file there is
    gzip -1 -k "$1"
    bzip2 -1 -k "$1"
    xz -0 -c -T1 "$1" >"$1.one-block.xz"
    xz -0 -c -T2 --block-size=1MiB "$1" >"$1.blocks.xz"
    zstd -q "$1" -o "$1.sized.zst"
    zstd -q <"$1" >"$1.sizeless.zst"
    split -b 3000000 "$1" part. && for part in part.*; do zstd -q -c $part; done >"$1.frames.zst" && rm part.*
    split -b 5000000 --filter='gzip -1' "$1" >"$1.members.gz"
    split -b 5000000 --filter='bzip2 -1' "$1" >"$1.streams.bz2"
    split -b 5000000 --filter='xz -0' "$1" >"$1.streams.xz"
}
pack raw.img
pack q.qcow2
for kind in gz bz2 one-block.xz blocks.xz sized.zst sizeless.zst frames.zst members.gz streams.bz2 streams.xz; do
    is "raw.img.$kind: the content" img compare -q -F raw raw.img.$kind raw.img
    is "q.qcow2.$kind: the content" img compare -q -F raw q.qcow2.$kind raw.img
    is "q.qcow2.$kind: the same with the format stated" img compare -q -f qcow2 -F raw q.qcow2.$kind raw.img
    is "raw.img.$kind: copied by seven workers" eval "img convert -m 7 -O raw raw.img.$kind out.raw && cmp out.raw raw.img"
    is "raw.img.$kind: read backwards" img io -r -c 'read 13000000 1000' -c 'read 7000000 1000' -c 'read 0 1000' -c 'read 13999000 1640' raw.img.$kind
done
same "info says what is inside" "$(img info --output=json q.qcow2.blocks.xz | sed -n 's/^ *"format": "\(.*\)".*/\1/p' | tail -n 1)" qcow2
same "info knows the size" "$(img info --output=json raw.img.gz | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -n 1)" 14000640
same "no temporary file stays" "$(ls | grep -c onionskin-)" 0

# --- as a backing file, and by options ----------------------------------------------------------------------------------
img create -q -f qcow2 -b q.qcow2.blocks.xz -F qcow2 over.qcow2
is "a compressed backing file" eval "img io -c 'write -q -P 7 1M 64k' over.qcow2 && img io -c 'read -P 7 1M 64k' over.qcow2 && img check -q over.qcow2"
is "spelled out" img compare -q "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"gzip\",\"file\":{\"driver\":\"file\",\"filename\":\"raw.img.gz\"}}}" raw.img
same "-f raw takes the file as it is" "$(img info -f raw --output=json raw.img.gz | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -n 1)" $(($(bytes raw.img.gz) + 0))
refused "it cannot be written" "can only be read" img io -c 'write 0 512' q.qcow2.gz
refused "nor committed into" "can only be read" img commit -q over.qcow2

# --- damage -------------------------------------------------------------------------------------------------------------
for kind in gz bz2 one-block.xz blocks.xz sized.zst sizeless.zst frames.zst; do
    head -c 2000000 raw.img.$kind >cut
    is "raw.img.$kind cut off: an error and no target" eval '! img convert -O raw cut cut.raw 2>err.txt && [ -s err.txt ] && [ ! -e cut.raw ]'
    cp raw.img.$kind bad
    printf '\377\376\375\374\373\372' | dd of=bad bs=1 seek=2000000 conv=notrunc status=none
    is "raw.img.$kind damaged: an error and no target" eval '! img convert -O raw bad bad.raw 2>err.txt && grep -q damaged err.txt && [ ! -e bad.raw ]'
done
{ cat raw.img.gz; echo garbage; } >tail.gz
is "garbage behind a gzip file is an error" eval '! img convert -O raw tail.gz tail.raw 2>err.txt'
{ cat raw.img.gz; head -c 700000 /dev/zero; } >padded.gz
is "zeros behind it are padding" img compare -q padded.gz raw.img
for tool in gzip bzip2 xz zstd; do
    : | $tool -c >empty.packed
    same "nothing packed by $tool is an image of 0 bytes" \
        "$(img info --output=json empty.packed | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p' | head -n 1)" 0
done
gzip -c raw.img.gz | gzip -c | gzip -c >deep.gz
refused "packed again and again" "compressed more than" img info deep.gz
head -c 300000000 /dev/zero | bzip2 -1 | bzip2 -1 >bomb.bz2
refused "a bomb in an image that is not trusted" "more than such a file should" img info --no-external bomb.bz2
done_testing
