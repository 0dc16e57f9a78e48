#!/bin/bash
# Encrypted qcow2 images (LUKS and the old AES kind): made by one tool, read and changed by the other.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/../encrypted.sh"

printf new >new
secrets=(--object secret,id=s,data=pw --object secret,id=n,file=new)
image() { echo "driver=qcow2,encrypt.key-secret=${2:-s},file.filename=$1"; }
luks=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10
aes=encrypt.format=aes,encrypt.key-secret=s
awk 'BEGIN { srand(7); for (i = 0; i < 40000; i++) printf "%d line %d of %s\n", rand() * 1e6, i, rand() < .5 ? "some" : "other" }' >data.raw
dd if=/dev/zero of=data.raw bs=64k seek=5 count=4 conv=notrunc status=none
truncate -s 3M data.raw

clean() { qemu-img check -q "${secrets[@]}" --image-opts "$(image "$1")" && "$IMG_TOOL" check -q "$1"; }
equal() { # IMAGE RAW
    qemu-img compare -q "${secrets[@]}" --image-opts "$(image "$1" "${3:-s}")" "driver=raw,file.filename=$2" &&
        "$IMG_TOOL" compare -q "${secrets[@]}" --image-opts "$(image "$1" "${3:-s}")" "driver=raw,file.filename=$2"
}
good() { clean "$1" && equal "$1" data.raw && same_info "$1"; }
write_by_us() { io "${secrets[@]}" --image-opts -c "write -q $2" "$(image "$1")" && io -f raw -c "write -q $2" want.raw; }
write_by_them() { qemu-io "${secrets[@]}" -c "write -q $2" --image-opts "$(image "$1")" && io -f raw -c "write -q $2" want.raw; }

made_by_us() { # OPTIONS
    rm -f x.qcow2 data
    "$IMG_TOOL" convert "${secrets[@]}" -O qcow2 -o "$1" data.raw x.qcow2 && good x.qcow2
}
made_by_them() {
    rm -f data
    theirs convert "${secrets[@]}" -O qcow2 -o "$1" data.raw x.qcow2 && good x.qcow2
}
for options in $luks $aes encryption=on,encrypt.key-secret=s $luks,cluster_size=512 $luks,cluster_size=2M $luks,extended_l2=on \
    $luks,compat=0.10 $aes,compat=0.10 $luks,preallocation=metadata $aes,preallocation=falloc $luks,preallocation=full,extended_l2=on \
    $luks,data_file=data $luks,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha512; do
    is "by us: $options" made_by_us "$options"
done
for options in $luks $aes,cluster_size=4k $aes,extended_l2=on; do
    is "by them: $options" made_by_them "$options"
done

reads_zero() {
    for options in $luks,preallocation=metadata $luks,preallocation=full,extended_l2=on,cluster_size=16k $aes; do
        rm -f z.qcow2
        "$IMG_TOOL" create -q "${secrets[@]}" -f qcow2 -o "$options" z.qcow2 3M &&
            io "${secrets[@]}" --image-opts -c 'read -q -P 0 0 3M' "$(image z.qcow2)" &&
            qemu-io "${secrets[@]}" -c 'read -q -P 0 0 3M' --image-opts "$(image z.qcow2)" &&
            io "${secrets[@]}" --image-opts -c 'write -q -P 1 100 1' -c 'read -q -P 0 101 3000000' "$(image z.qcow2)" || return 1
    done
}
is "what was never written reads as zeros, preallocated or not" reads_zero

in_turns() { # OPTIONS
    made_by_us "$1" >/dev/null && cp data.raw want.raw || return 1
    for at in 0 511 512 65535 65536 70001 1000001; do
        write_by_us x.qcow2 "-P 3 $at 3000" && write_by_them x.qcow2 "-P 4 $((at + 1000)) 777" &&
            write_by_us x.qcow2 "-z $((at + 131072)) 66000" && write_by_them x.qcow2 "-P 6 $((at + 140000)) 1" || return 1
    done
    clean x.qcow2 && equal x.qcow2 want.raw
}
for options in $luks $aes $luks,extended_l2=on $luks,cluster_size=512 $luks,data_file=data; do
    is "written by both in turns: $options" in_turns "$options"
done

snapshots() {
    made_by_us "$1" >/dev/null && cp data.raw want.raw && "$IMG_TOOL" snapshot -c one x.qcow2 && write_by_us x.qcow2 "-P 7 100 500k" &&
        qemu-img snapshot "${secrets[@]}" -c two --image-opts "$(image x.qcow2)" && write_by_them x.qcow2 "-P 8 300k 200k" && clean x.qcow2 && equal x.qcow2 want.raw &&
        "$IMG_TOOL" convert "${secrets[@]}" --image-opts -l one -O raw "$(image x.qcow2)" one.raw && cmp one.raw data.raw &&
        qemu-img convert "${secrets[@]}" --image-opts -l snapshot.name=one -O raw "$(image x.qcow2)" one.raw && cmp one.raw data.raw &&
        "$IMG_TOOL" snapshot -a one x.qcow2 && "$IMG_TOOL" snapshot -d two x.qcow2 && good_content x.qcow2
}
good_content() { clean "$1" && equal "$1" data.raw; }
is "snapshots in a LUKS image" snapshots $luks
is "snapshots in an AES image" snapshots $aes

resized() {
    made_by_us $luks >/dev/null && cp data.raw want.raw && "$IMG_TOOL" resize -q "${secrets[@]}" --image-opts "$(image x.qcow2)" 4000000 &&
        truncate -s 4000256 want.raw && truncate -s "$(qemu-img info --output=json x.qcow2 | sed -n 's/.*virtual-size": \([0-9]*\).*/\1/p' | head -n 1)" want.raw &&
        clean x.qcow2 && equal x.qcow2 want.raw && "$IMG_TOOL" resize -q --shrink "${secrets[@]}" --image-opts "$(image x.qcow2)" 1000448 &&
        truncate -s 1000448 want.raw && clean x.qcow2 && equal x.qcow2 want.raw &&
        "$IMG_TOOL" resize -q --preallocation=full "${secrets[@]}" --image-opts "$(image x.qcow2)" 2M && truncate -s 2M want.raw && clean x.qcow2 && equal x.qcow2 want.raw
}
is "resized both ways" resized

compressed() { # clusters that were there before are plain, whatever the image says
    made_by_us $luks >/dev/null && ! "$IMG_TOOL" convert -c -n "${secrets[@]}" --target-image-opts data.raw "$(image x.qcow2)" 2>/dev/null && good_content x.qcow2
}
is "nothing is stored compressed" compressed
refused "-c and encryption" "at the same time" "$IMG_TOOL" convert -c "${secrets[@]}" -O qcow2 -o $luks data.raw y.qcow2

# ---- chains ----
chain() {
    rm -f base.qcow2 top.qcow2
    "$IMG_TOOL" convert "${secrets[@]}" -O qcow2 -o $luks data.raw base.qcow2 &&
        "$IMG_TOOL" create -q "${secrets[@]}" -f qcow2 -o encrypt.format=luks,encrypt.key-secret=n,encrypt.iter-time=10 -b base.qcow2 -F qcow2 top.qcow2
}
top=driver=qcow2,encrypt.key-secret=n,backing.encrypt.key-secret=s,file.filename=top.qcow2
is "an overlay with a key of its own" chain
cp data.raw want.raw
is "is written, over its backing file" io "${secrets[@]}" --image-opts -c 'write -q -P 9 1000 70000' "$top"
io -f raw -c 'write -q -P 9 1000 70000' want.raw
is "we read the chain" "$IMG_TOOL" compare -q "${secrets[@]}" --image-opts "$top" driver=raw,file.filename=want.raw
is "they read the chain" qemu-img compare -q "${secrets[@]}" --image-opts "$top" driver=raw,file.filename=want.raw
json='json:{"driver":"qcow2","encrypt":{"key-secret":"n"},"file":{"filename":"top.qcow2"},"backing":{"encrypt":{"key-secret":"s"}}}'
is "as json:" "$IMG_TOOL" convert "${secrets[@]}" -O raw "$json" j.raw
is "with the same content" cmp j.raw want.raw
refused "the backing file's secret is missing" "backing file of 'top.qcow2'" "$IMG_TOOL" convert "${secrets[@]}" --image-opts -O raw "$(image top.qcow2 n)" y.raw
committed() {
    "$IMG_TOOL" create -q "${secrets[@]}" -f qcow2 -o $aes -b base.qcow2 -F qcow2 c.qcow2 &&
        io "${secrets[@]}" --image-opts -c 'write -q -P 9 1000 70000' driver=qcow2,encrypt.key-secret=s,backing.encrypt.key-secret=s,file.filename=c.qcow2 &&
        cp base.qcow2 base.keep && "$IMG_TOOL" commit -q "${secrets[@]}" --image-opts driver=qcow2,encrypt.key-secret=s,backing.encrypt.key-secret=s,file.filename=c.qcow2 &&
        equal base.qcow2 want.raw && clean base.qcow2 && "$IMG_TOOL" check -q c.qcow2 && mv base.keep base.qcow2
}
is "commit, each with its key" committed
flat() { "$IMG_TOOL" rebase -q "${secrets[@]}" --image-opts -b "" "$top" && equal top.qcow2 want.raw n && "$IMG_TOOL" check -q top.qcow2; }
is "rebase to nothing" flat
from_to() {
    rm -f y.qcow2 y.luks
    "$IMG_TOOL" convert "${secrets[@]}" --image-opts -O qcow2 -o $aes "$(image base.qcow2)" y.qcow2 && equal y.qcow2 data.raw &&
        "$IMG_TOOL" convert "${secrets[@]}" --image-opts -O luks -o key-secret=n,iter-time=10 "$(image y.qcow2)" y.luks &&
        qemu-img compare "${secrets[@]}" --image-opts driver=luks,key-secret=n,file.filename=y.luks driver=raw,file.filename=data.raw
}
is "from one kind of encryption to the next" from_to

# ---- without or with a wrong secret ----
made_by_us $luks >/dev/null
is "check needs no secret" "$IMG_TOOL" check -q x.qcow2
is "snapshots need no secret" "$IMG_TOOL" snapshot -c s x.qcow2
is "their map is ours" diff <("$IMG_TOOL" map --output=json x.qcow2) <(qemu-img map "${secrets[@]}" --output=json --image-opts "$(image x.qcow2)")
refused "the human map gives no offsets" "encrypted clusters" "$IMG_TOOL" map x.qcow2
refused "reading needs a secret" "'encrypt.key-secret'" "$IMG_TOOL" convert -O raw x.qcow2 y.raw
refused "a wrong password" "wrong password" "$IMG_TOOL" convert --object secret,id=s,data=no --image-opts -O raw "$(image x.qcow2)" y.raw
refused "the other format" "encrypted by 'luks'" io "${secrets[@]}" --image-opts -c 'read 0 1' "$(image x.qcow2),encrypt.format=aes"
"$IMG_TOOL" create -q -f qcow2 plain.qcow2 1M
refused "a secret for an image that needs none" "not encrypted" io "${secrets[@]}" --image-opts -c 'read 0 1' "$(image plain.qcow2)"
create() { "$IMG_TOOL" create -q "${secrets[@]}" -f qcow2 -o "$1" y.qcow2 1M; }
rm -f y.qcow2
refused "no format" "'encrypt.format'" create encrypt.key-secret=s
refused "no secret" "'key-secret'" create encrypt.format=luks
refused "no such secret" "no secret 'x'" create encrypt.format=luks,encrypt.key-secret=x
refused "two formats" "mutually exclusive" create encryption=on,$luks
refused "an option of luks for aes" "'cipher-alg'" create $aes,encrypt.cipher-alg=aes-256
refused "no such cipher" "no cipher 'rot13'" create $luks,encrypt.cipher-alg=rot13
refused "a raw data file" "raw data file" create $luks,data_file=data,data_file_raw=on
refused "preallocation of version 2" "Preallocation" create $luks,compat=0.10,preallocation=metadata
is "what could not be made is not there" [ ! -e y.qcow2 ]

# ---- passwords ----
amend() { "$IMG_TOOL" amend "${secrets[@]}" --image-opts "$(image x.qcow2 "${2:-s}")" -o "$1"; }
is "a second password" amend encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10
is "opens for both tools" equal x.qcow2 data.raw n
is "the first one is erased" amend encrypt.state=inactive,encrypt.old-secret=s n
refused "and is gone" "wrong password" io "${secrets[@]}" --image-opts -c 'read 0 1' "$(image x.qcow2)"
is "the image is as it was" equal x.qcow2 data.raw n
is "info as they show it" same_info x.qcow2
refused "not the last one" "last password" amend encrypt.state=inactive,encrypt.keyslot=1 n
made_by_us $aes >/dev/null
refused "no key slots in an AES image" "key slots" amend encrypt.state=active,encrypt.new-secret=n

# ---- measure ----
measure() { "$1" measure "${secrets[@]}" --output=json -O "$2" -o "$3" --size 10M | tr -d '\n '; }
theirs_measured() {
    local try
    for try in {1..40}; do
        measure qemu-img "$@" 2>measure.err
        grep -q 'accurate CPU' measure.err || break
    done
}
same "measure for qcow2" "$(measure "$IMG_TOOL" qcow2 $luks)" "$(theirs_measured qcow2 $luks)"
same "measure for luks" "$(measure "$IMG_TOOL" luks key-secret=s,iter-time=10)" "$(theirs_measured luks key-secret=s,iter-time=10)"
done_testing
