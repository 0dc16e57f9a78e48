#!/bin/bash
# LUKS disks: made by one tool and read by the other, with every cipher, mode, vector and hash that both know; key slots changed
# in turns; cryptsetup reads our headers and we read its.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/../encrypted.sh"

printf pw >pw
printf new >new
secret=(--object secret,id=s,data=pw)
both=(--object secret,id=s,data=pw --object secret,id=n,file=new)
disk() { echo "driver=luks,key-secret=${2:-s},file.filename=$1"; }
awk 'BEGIN { srand(7); for (i = 0; i < 9000; i++) printf "%d line %d of %s\n", rand() * 1e6, i, rand() < .5 ? "some" : "other" }' >data.raw
truncate -s 300k data.raw

equal() { # DISK [SECRET]
    qemu-img compare -q "${both[@]}" --image-opts "$(disk "$1" "${2:-s}")" driver=raw,file.filename=data.raw &&
        "$IMG_TOOL" compare -q "${both[@]}" --image-opts "$(disk "$1" "${2:-s}")" driver=raw,file.filename=data.raw
}
made_by_us() { # OPTIONS
    rm -f x.luks
    "$IMG_TOOL" convert "${secret[@]}" -O luks -o "key-secret=s,iter-time=10,$1" data.raw x.luks && equal x.luks && same_info x.luks
}
made_by_them() {
    theirs convert "${secret[@]}" -O luks -o "key-secret=s,iter-time=10,$1" data.raw x.luks && equal x.luks && same_info x.luks
}

for cipher in aes-128 aes-256; do
    for mode in cbc xts ecb ctr; do
        is "$cipher in mode $mode" made_by_us "cipher-alg=$cipher,cipher-mode=$mode"
    done
done
for vectors in plain plain64 essiv; do
    is "vectors by $vectors" made_by_us "ivgen-alg=$vectors,cipher-mode=cbc"
done
for hash in md5 sha1 sha224 sha384 sha512 ripemd160; do
    is "hash $hash" made_by_us "hash-alg=$hash"
done
is "essiv with md5 and xts" made_by_us ivgen-alg=essiv,ivgen-hash-alg=md5,cipher-mode=xts
is "cast5" made_by_us cipher-alg=cast5-128,cipher-mode=cbc
# Making one costs them seconds.
is "made by them" made_by_them cipher-mode=xts
is "made by them: cbc, essiv, sha1" made_by_them cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1
their_size=$(stat -c %s x.luks)

in_turns() {
    made_by_us "" && cp data.raw want.raw &&
        for at in 0 511 512 4095 70001; do
            io "${secret[@]}" --image-opts -c "write -q -P 3 $at 3000" "$(disk x.luks)" && io -f raw -c "write -q -P 3 $at 3000" want.raw &&
                qemu-io "${secret[@]}" -c "write -q -P 4 $((at + 1000)) 777" --image-opts "$(disk x.luks)" >/dev/null &&
                io -f raw -c "write -q -P 4 $((at + 1000)) 777" want.raw || return 1
        done
    cp data.raw keep.raw && cp want.raw data.raw && equal x.luks
    local status=$?
    cp keep.raw data.raw
    return $status
}
is "parts of sectors, written by both in turns" in_turns

resized() {
    made_by_us "" && "$IMG_TOOL" resize -q "${secret[@]}" --image-opts "$(disk x.luks)" 400k &&
        [ "$(qemu-img info --output=json x.luks | grep virtual-size)" = "    \"virtual-size\": 409600," ] &&
        "$IMG_TOOL" resize -q --shrink "${secret[@]}" --image-opts "$(disk x.luks)" 300k && equal x.luks
}
is "resized, data stay" resized
for mode in off falloc full; do
    "$IMG_TOOL" create -q "${secret[@]}" -f luks -o "key-secret=s,iter-time=10,cipher-alg=aes-128,cipher-mode=cbc,preallocation=$mode" x.luks 300k
    same "preallocation $mode: a file as long as theirs" "$(stat -c %s x.luks)" "$their_size"
done
same "the Formatting line" "$("$IMG_TOOL" create "${secret[@]}" -f luks -o hash-alg=sha1,iter-time=10,cipher-mode=cbc,cipher-alg=aes-128,ivgen-hash-alg=sha256,ivgen-alg=plain,key-secret=s f.luks 1M)" \
    "Formatting 'f.luks', fmt=luks size=1048576 key-secret=s cipher-alg=aes-128 cipher-mode=cbc ivgen-alg=plain ivgen-hash-alg=sha256 hash-alg=sha1 iter-time=10"

# ---- without or with a wrong secret ----
made_by_us "" >/dev/null
is "info needs no secret" "$IMG_TOOL" info x.luks
is "map needs no secret" "$IMG_TOOL" map --output=json x.luks
same "map gives no positions" "$("$IMG_TOOL" map --output=json x.luks)" "$(qemu-img map "${secret[@]}" --output=json --image-opts "$(disk x.luks)")"
refused "reading needs one" "'key-secret'" "$IMG_TOOL" convert -O raw x.luks y.raw
refused "a secret that nobody made" "there is no secret 's'" "$IMG_TOOL" convert -O raw --image-opts "$(disk x.luks)" y.raw
refused "a wrong password" "wrong password" "$IMG_TOOL" convert --object secret,id=s,data=no -O raw --image-opts "$(disk x.luks)" y.raw
refused "no secret for a new disk" "'key-secret'" "$IMG_TOOL" create -f luks y.luks 1M
is "what could not be made is not there" [ ! -e y.luks ]

# ---- passwords ----
amend() { "$1" amend "${both[@]}" --image-opts "$(disk x.luks "${3:-s}")" -o "$2"; }
amend_theirs() {
    local try
    for try in {1..40}; do
        amend qemu-img "$@" 2>theirs.err && return 0
        grep -q 'accurate CPU' theirs.err || break
    done
    cat theirs.err
    return 1
}
is "a second password by us" amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10
is "opens for both" equal x.luks n
is "header as they show it" same_info x.luks
is "erased by them" amend_theirs state=inactive,old-secret=n
refused "it is gone for us" "wrong password" io "${both[@]}" --image-opts -c "read 0 1" "$(disk x.luks n)"
is "again, by them, in slot 5" amend_theirs state=active,new-secret=n,iter-time=10,keyslot=5
is "opens for both" equal x.luks n
refused "an active slot is not overwritten" "key slot 5 is active" amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10,keyslot=5
is "the first password erased by us, slot 0" amend "$IMG_TOOL" state=inactive,keyslot=0 n
is "the other one still opens" equal x.luks n
same "the first is gone for them" "$(qemu-io "${both[@]}" -c 'read 0 1' --image-opts "$(disk x.luks s)" 2>&1 | grep -c 'Invalid password')" 1
refused "not the last one" "last password" amend "$IMG_TOOL" state=inactive,keyslot=5 n
refused "not by its password" "last password" amend "$IMG_TOOL" state=inactive,old-secret=n n
refused "an inactive slot" "key slot 3 is inactive" amend "$IMG_TOOL" state=inactive,keyslot=3 n
refused "no such slot" "'keyslot' is 8" amend "$IMG_TOOL" state=inactive,keyslot=8 n
refused "a state is needed" "'state'" amend "$IMG_TOOL" keyslot=3 n
refused "a new secret is needed" "'new-secret'" amend "$IMG_TOOL" state=active n
refused "which slot?" "'keyslot' or 'old-secret'" amend "$IMG_TOOL" state=inactive n
refused "an option that is none" "foo" amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10,foo=1 n
is "with --force the last one goes" "$IMG_TOOL" amend --force "${both[@]}" --image-opts "$(disk x.luks n)" -o state=inactive,keyslot=5
refused "nobody can read it then" "no key slot is on" io "${both[@]}" --image-opts -c "read 0 1" "$(disk x.luks n)"

full_slots() {
    made_by_us "" || return 1
    for i in 1 2 3 4 5 6 7; do
        amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10 || return 1
    done
    same_info x.luks && equal x.luks n
}
is "all eight slots in use" full_slots
refused "there is no ninth" "all key slots" amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10
is "all slots of a password at once" amend "$IMG_TOOL" state=inactive,old-secret=n
same "one is left" "$("$IMG_TOOL" info x.luks | grep -c 'active: true')" 1

# ---- the header in a file of its own ----
detached() {
    "$IMG_TOOL" create -q "${secret[@]}" -f luks -o key-secret=s,iter-time=10,detached-header=on h.luks 0 && truncate -s 300k body &&
        "$IMG_TOOL" convert -n "${secret[@]}" --target-image-opts data.raw driver=luks,key-secret=s,header.filename=h.luks,file.filename=body &&
        "$IMG_TOOL" compare -q "${secret[@]}" --image-opts driver=luks,key-secret=s,header=h.luks,file.filename=body driver=raw,file.filename=data.raw &&
        [ "$(stat -c %s body)" = 307200 ] && ! cmp -s body data.raw
}
is "a detached header" detached
refused "is not a disk by itself" "detached header" "$IMG_TOOL" info h.luks

# ---- cryptsetup ----
if command -v cryptsetup >/dev/null; then
    opens() { cryptsetup luksOpen --test-passphrase --key-file "$2" "$1"; }
    for options in "" cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1 cipher-alg=aes-128,hash-alg=sha512; do
        made_by_us "$options" >/dev/null
        is "cryptsetup opens ours ($options)" opens x.luks pw
    done
    amend "$IMG_TOOL" state=active,new-secret=n,iter-time=10 >/dev/null
    is "and with the second password" opens x.luks new
    same "luksDump" "$(cryptsetup luksDump x.luks | sed -n 's/^\(Cipher name\|Cipher mode\|Hash spec\|Payload offset\|MK bits\|UUID\):[ \t]*/\1=/p')" \
        "Cipher name=aes
Cipher mode=xts-plain64
Hash spec=sha512
Payload offset=2056
MK bits=256
UUID=$("$IMG_TOOL" info x.luks | sed -n 's/ *uuid: //p')"
    by_cryptsetup() { # CIPHER BITS HASH
        rm -f c.luks && truncate -s 4M c.luks &&
            cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --cipher "$1" -s "$2" --hash "$3" --key-file pw c.luks &&
            io "${secret[@]}" --image-opts -c "write -q -P 7 1000 3000" "$(disk c.luks)" &&
            qemu-io "${secret[@]}" -c "read -q -P 7 1000 3000" --image-opts "$(disk c.luks)" &&
            cryptsetup luksAddKey --pbkdf-force-iterations 1000 --key-file pw c.luks new &&
            io "${both[@]}" --image-opts -c "read -q -P 7 1000 3000" "$(disk c.luks n)" && opens c.luks new
    }
    is "made by cryptsetup: aes-xts-plain64" by_cryptsetup aes-xts-plain64 512 sha256
    is "made by cryptsetup: aes-cbc-essiv" by_cryptsetup aes-cbc-essiv:sha256 256 sha1
    camellia() { # their tool does not know this one
        rm -f c.luks && truncate -s 4M c.luks && cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 --cipher camellia-cbc-plain64 -s 256 --key-file pw c.luks &&
            io "${secret[@]}" --image-opts -c "write -q -P 7 1000 3000" -c "read -q -P 7 1000 3000" "$(disk c.luks)"
    }
    is "made by cryptsetup: camellia" camellia
fi
done_testing
