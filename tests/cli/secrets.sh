#!/bin/bash
# --object secret: passwords as text, from files, in base64, encrypted by another secret. A LUKS disk tells whether they are right.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }

printf 'pass\0word' >raw
printf 'pass' >text
base64 raw >raw.b64
img create -q --object secret,id=s,file=raw -f luks -o key-secret=s,iter-time=1 binary.luks 1k
img create -q --object secret,id=s,data=pass -f luks -o key-secret=s,iter-time=1 text.luks 1k
opens() { # DISK SECRET...
    local disk=$1 objects=()
    shift
    for secret in "$@"; do objects+=(--object "$secret"); done
    img io "${objects[@]}" --image-opts -c 'read -q 0 512' "driver=luks,key-secret=s,file.filename=$disk"
}

is "text" opens text.luks secret,id=s,data=pass
is "text in a file" opens text.luks secret,id=s,file=text
is "base64 text" opens text.luks secret,id=s,format=base64,data=cGFzcw==
is "as JSON" opens text.luks '{"qom-type":"secret","id":"s","data":"pass"}'
is "any bytes in a file" opens binary.luks secret,id=s,file=raw
is "any bytes as base64 in a file, with its line's end" opens binary.luks secret,id=s,format=base64,file=raw.b64
refused "a 0 byte does not end a password" "wrong password" opens binary.luks secret,id=s,data=pass
printf 'pass\n' >line
refused "a line's end is part of a password" "wrong password" opens text.luks secret,id=s,file=line

head -c 32 /dev/urandom >key
head -c 16 /dev/urandom >iv
encrypted() { openssl enc -aes-256-cbc -K "$(od -An -tx1 key | tr -d ' \n')" -iv "$(od -An -tx1 iv | tr -d ' \n')"; }
if command -v openssl >/dev/null; then
    cipher=$(printf pass | encrypted | base64 -w 0)
    key="secret,id=k,format=base64,data=$(base64 -w 0 key)"
    iv=$(base64 -w 0 iv)
    is "encrypted by another secret" opens text.luks "$key" "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher"
    is "the key in a file" opens text.luks secret,id=k,file=key "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher"
    if command -v qemu-io >/dev/null; then
        is "as they understand it" qemu-io --object "$key" --object "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher" \
            -c 'read -q 0 512' --image-opts driver=luks,key-secret=s,file.filename=text.luks
    fi
    refused "another key" "cannot be decrypted" opens text.luks "secret,id=k,format=base64,data=$(head -c 32 /dev/zero | base64 -w 0)" "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher"
    refused "a key that is too short" "not 32 and 16" opens text.luks secret,id=k,data=short "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher"
    refused "no such key" "no secret 'k'" opens text.luks "secret,id=s,keyid=k,iv=$iv,format=base64,data=$cipher"
    refused "a key without a vector" "'keyid' and 'iv'" opens text.luks "$key" "secret,id=s,keyid=k,format=base64,data=$cipher"
fi

refused "neither text nor file" "'data' or 'file'" opens text.luks secret,id=s
refused "text and file" "'data' or 'file'" opens text.luks secret,id=s,data=pass,file=text
refused "no such file" "'missing'" opens text.luks secret,id=s,file=missing
refused "no base64" "not base64" opens text.luks secret,id=s,format=base64,data=cGFzcw=
refused "no base64, either" "not base64" opens text.luks 'secret,id=s,format=base64,data=c?Fz'
refused "no such format" "'hex'" opens text.luks secret,id=s,format=hex,data=00
refused "an option that is none" "'frob'" opens text.luks secret,id=s,data=pass,frob=1
refused "no name" "'id'" opens text.luks secret,data=pass
refused "one name twice" "there is an object 's' already" opens text.luks secret,id=s,data=pass secret,id=s,data=pass
refused "no such object" "no object type 'frob'" opens text.luks frob,id=s
refused "another kind of object" "is a throttle-group" opens text.luks throttle-group,id=s
done_testing
