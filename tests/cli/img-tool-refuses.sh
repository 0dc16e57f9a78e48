#!/bin/bash
# Bad input of every kind: exit code 1, one line that names the file and what is wrong, nothing changed on disk.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
io() { img io "$@"; }
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET BYTES

img create -q -f qcow2 good.qcow2 1M
sum() { sha256sum "$@" | sha256sum; }

refused "no arguments" "not enough arguments" img
refused "unknown command" "'frobnicate'" img frobnicate
refused "unknown option" "invalid option" img info -Z good.qcow2
refused "missing file" "missing.qcow2" img info missing.qcow2
refused "a folder is no image" "$TAP_FOLDER" img info "$TAP_FOLDER"
refused "unknown format" "'nosuch'" img info -f nosuch good.qcow2
refused "unknown creation format" "nosuch" img create -f nosuch new.img 1M
refused "unknown creation option" "'frob'" img create -f qcow2 -o frob=1 new.qcow2 1M
refused "no size" "size" img create -f qcow2 new.qcow2
refused "size with a comma" "1,5G" img create -f qcow2 new.qcow2 1,5G
refused "negative size" "-5" img create -f qcow2 -- new.qcow2 -5
refused "size beyond 2^63" "9E" img create -f qcow2 new.qcow2 9E
refused "cluster size that is no power of two" "luster size" img create -f qcow2 -o cluster_size=3000 new.qcow2 1M
refused "refcount width 3" "efcount" img create -f qcow2 -o refcount_bits=3 new.qcow2 1M
refused "compat of the future" "compat" img create -f qcow2 -o compat=9.9 new.qcow2 1M
refused "backing file that is missing" "missing.qcow2" img create -f qcow2 -b missing.qcow2 -F qcow2 new.qcow2 1M
refused "backing file without its format" "backing format" img create -f qcow2 -b good.qcow2 new.qcow2
refused "raw has no backing file" "Backing file not supported" img create -f raw -b good.qcow2 -F qcow2 new.raw 1M
same "none of them made a file" "$(ls)" "good.qcow2"

refused "folder that is missing" "nowhere/new.qcow2" img create -f qcow2 nowhere/new.qcow2 1M
refused "convert to a folder that is missing" "nowhere/new.raw" img convert good.qcow2 nowhere/new.raw
refused "convert from a missing file" "missing" img convert missing new.raw
refused "convert to an unknown format" "nosuch" img convert -O nosuch good.qcow2 new
refused "compressed raw" "raw" img convert -c -O raw good.qcow2 new.raw
refused "resize without --shrink" "--shrink" img resize good.qcow2 512k
refused "resize to nonsense" "abc" img resize good.qcow2 abc
refused "snapshot that is not there" "nothere" img snapshot -a nothere good.qcow2
refused "two actions at once" "only one" img snapshot -c a -d b good.qcow2
refused "commit without backing file" "no backing file" img commit good.qcow2
refused "rebase without -b" "-b" img rebase good.qcow2
refused "image cannot be its own backing file" "good.qcow2" img rebase -b good.qcow2 -F qcow2 good.qcow2
refused "cache mode of nobody" "sometimes" img convert -t sometimes good.qcow2 new.raw
refused "unknown key in --image-opts" "frob" img info --image-opts driver=qcow2,file.driver=file,file.filename=good.qcow2,frob=1
refused "json: that is not JSON" "json:" img info 'json:{nonsense'
same "still only one file" "$(ls)" "good.qcow2"

# --- chains ---------------------------------------------------------------------------------------------------
img create -q -f qcow2 a.qcow2 1M
img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
img rebase -q -u -b b.qcow2 -F qcow2 a.qcow2
before=$(sum a.qcow2 b.qcow2)
for command in "info --backing-chain" map "convert -O raw" "commit"; do
    target=; [ "$command" = "convert -O raw" ] && target=new.raw
    # shellcheck disable=SC2086
    refused "a loop in the chain: $command" "a.qcow2" timeout 20 "$IMG_TOOL" $command b.qcow2 $target
done
img create -q -u -f qcow2 -b gone.qcow2 -F qcow2 orphan.qcow2 1M
refused "backing file that is gone" "gone.qcow2" img map orphan.qcow2
is "but info shows the orphan" img info orphan.qcow2
same "a refused chain is not touched" "$(sum a.qcow2 b.qcow2)" "$before"
rm -f a.qcow2 b.qcow2 orphan.qcow2

# --- damaged headers and tables: one field a row -----------------------------------------------------------------
damaged() { # WHAT OFFSET BYTES TEXT
    cp good.qcow2 bad.qcow2
    poke bad.qcow2 "$2" "$3"
    local before
    before=$(sum bad.qcow2)
    refused "$1" "$4" img info -f qcow2 bad.qcow2
    refused "$1: for writing" "$4" io -f qcow2 -c 'write -q 0 64k' bad.qcow2
    same "$1: not touched" "$(sum bad.qcow2)" "$before"
}
damaged "magic" 0 'XFI\373' bad.qcow2
damaged "version 9" 4 '\0\0\0\011' 9
damaged "cluster_bits 8" 20 '\0\0\0\010' luster
damaged "cluster_bits 60" 20 '\0\0\0\074' luster
damaged "size of 2^63" 24 '\200\0\0\0\0\0\0\0' bad.qcow2
damaged "L1 table larger than any" 36 '\177\377\377\377' l1_size
damaged "L1 table not aligned" 40 '\0\0\0\0\0\3\0\1' l1_table_offset
damaged "refcount table not aligned" 48 '\0\0\0\0\0\1\0\1' efcount
damaged "refcount table larger than any" 56 '\177\377\377\377' efcount
damaged "snapshot count" 60 '\377\377\377\377' napshot
damaged "unknown incompatible feature" 72 '\200\0\0\0\0\0\0\0' bad.qcow2
damaged "refcount_order 9" 96 '\0\0\0\011' efcount
damaged "header length 7" 100 '\0\0\0\7' header
for n in 0 3 20 71 103; do
    head -c "$n" good.qcow2 >short.qcow2
    refused "an image of $n bytes" "short.qcow2" img info -f qcow2 short.qcow2
done
rm -f bad.qcow2 short.qcow2

# --- somebody else has it -------------------------------------------------------------------------------------------
io -c 'sleep 2000' good.qcow2 &
sleep 0.5
refused "an image in use" "lock" img resize good.qcow2 2M
is "-U looks at it all the same" img info -U good.qcow2
wait
is "afterwards it is free" img resize -q good.qcow2 2M

# --- a full disk -------------------------------------------------------------------------------------------------------
mkdir full
if mount -t tmpfs -o size=1m none full 2>/dev/null; then
    truncate -s 4M data.raw && io -f raw -c 'write -q -P 1 0 4M' data.raw
    refused "convert onto a full disk" "No space left" img convert -O qcow2 data.raw full/new.qcow2
    same "and no half image is left" "$(ls full)" ""
    img create -q -f qcow2 full/x.qcow2 4M
    is "writing until it is full fails" bash -c '! "$IMG_TOOL" io -c "write -q 0 4M" full/x.qcow2 >/dev/null 2>&1'
    "$IMG_TOOL" check -q full/x.qcow2 2>/dev/null
    case $? in 0 | 3) ok=0 ;; *) ok=1 ;; esac
    tap_result $ok "and leaves no corruption"
    umount full
else
    tap_result 0 "a full disk # SKIP cannot mount a small file system here"
fi
done_testing
