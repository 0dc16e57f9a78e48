#!/bin/bash
# img-tool inspect: verdicts about images from strangers, their reasons and exit codes; nothing else is touched.
. "$(dirname "$0")/../tap.sh"
img() { "$IMG_TOOL" "$@"; }
io() { img io "$@"; }
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; } # FILE OFFSET BYTES

# WHAT VERDICT TEXT FILE [OPTION...]: the verdict, the exit code that goes with it, and the text somewhere in the JSON
verdict() {
    local what=$1 expected=$2 text=$3 file=$4 out status want code
    shift 4
    out=$(timeout 60 "$IMG_TOOL" inspect --untrusted "$@" "$file" 2>&1)
    status=$?
    case $expected in ok) want=0 ;; suspicious) want=2 ;; refuse) want=3 ;; esac
    code=0
    [ $status -eq $want ] || code=1
    [[ $out == *"\"verdict\": \"$expected\""* && $out == *"$text"* ]] || code=1
    printf '%s\n' "$out" | perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)' 2>/dev/null ||
        printf '%s\n' "$out" | grep -q '^}$' || code=1
    [ $code -eq 0 ] || printf '%s\n' "exit code $status, expected $want; wanted: $text" "$out" | sed 's/^/# /'
    tap_result $code "$what"
}

img create -q -f qcow2 good.qcow2 1M
io -c 'write -q -P 1 0 300k' -c 'write -q -c 512k 64k' good.qcow2
head -c 100000 /dev/zero >zero.raw
before=$(sha256sum good.qcow2)
verdict "a plain image" ok '"format": "qcow2"' good.qcow2
verdict "sizes" ok '"virtual-size": 1048576' good.qcow2
verdict "features" ok '"compression-type": "zlib"' good.qcow2
verdict "a raw image" ok '"format": "raw"' zero.raw
verdict "a stated format" ok '"format": "raw"' zero.raw -f raw
same "the image is as before" "$(sha256sum good.qcow2)" "$before"
is "the process was confined" bash -c "'$IMG_TOOL' inspect good.qcow2 | grep -q rlimits"

# --- what it names ----------------------------------------------------------------------------------------------
names() { # NAME KIND
    img create -q -f qcow2 -u -b "$1" -F raw over.qcow2 1M
    verdict "backing file $1" refuse "\"kind\": \"$2\"" over.qcow2
}
names base.raw relative-path
names ../base.raw parent-path
names a/../../base.raw parent-path
names /etc/passwd absolute-path
names /dev/sda device
names http://example.com/x.img url
names nbd:localhost:10809 protocol
names 'json:{"driver":"file","filename":"/etc/passwd"}' json
img create -q -f qcow2 -o data_file=data.raw ext.qcow2 1M 2>/dev/null && {
    verdict "a data file" refuse data-file ext.qcow2
    rm data.raw
    verdict "a data file that is missing is not looked for" refuse data-file ext.qcow2
}

# --- what it holds ----------------------------------------------------------------------------------------------
cp good.qcow2 s.qcow2 && img snapshot -c one s.qcow2
verdict "snapshots" suspicious '"snapshots": 1' s.qcow2
img create -q -f qcow2 huge.qcow2 1P
verdict "a huge virtual size" refuse "virtual size" huge.qcow2
img create -q -f qcow2 large.qcow2 8T
verdict "a ratio" suspicious "times that of the file" large.qcow2
verdict "a ratio that is allowed" ok '"verdict": "ok"' large.qcow2 --max-ratio=1000000000
verdict "a size that is not" refuse "virtual size" large.qcow2 --max-size=1T
if img create -q --object secret,id=s,data=abc -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 enc.qcow2 1M 2>/dev/null; then
    verdict "encryption" suspicious '"encrypted": true' enc.qcow2
fi
cp good.qcow2 c.qcow2 && poke c.qcow2 79 '\2' # incompatible feature bit 1
verdict "marked as corrupt" refuse corrupt c.qcow2
cp good.qcow2 d.qcow2 && poke d.qcow2 $((0x20000)) '\0\0'
verdict "a wrong reference count" refuse "errors" d.qcow2
cp good.qcow2 l.qcow2 && truncate -s 2M l.qcow2 && poke l.qcow2 $((0x20000 + 2 * 25)) '\0\1'
verdict "a leak" suspicious "belong to nothing" l.qcow2
for field in "20 \0\0\0\077" "36 \377" "48 \377" "60 \377" "72 \377"; do
    cp good.qcow2 bad.qcow2 && poke bad.qcow2 ${field% *} "${field#* }"
    verdict "a damaged header at ${field% *}" refuse "qcow2" bad.qcow2
done
head -c 70 good.qcow2 >short.qcow2
verdict "a header that is cut" refuse "short.qcow2" short.qcow2

# --- what it looks like, too -----------------------------------------------------------------------------------------
looks() { # WHAT OFFSET BYTES
    head -c 8192 /dev/zero >poly.raw && poke poly.raw "$2" "$3"
    verdict "a raw image that looks like $1" refuse "signature of $1" poly.raw
}
looks vmdk 0 KDMV
looks vmdk 0 '# Disk DescriptorFile'
looks qed 0 'QED\0'
looks vhdx 0 vhdxfile
looks vpc 0 conectix
looks vpc 7680 conectix
looks dmg 7680 koly
looks vdi 64 '\177\020\332\276'
printf 'QFI\373\0\0\0\1' >v1.qcow && truncate -s 1M v1.qcow
verdict "the first version of qcow" refuse "qcow" v1.qcow
head -c 100000 /dev/urandom | gzip >z.gz
verdict "a compressed file" refuse gzip z.gz

# --- bounds and errors ------------------------------------------------------------------------------------------------

: >empty
verdict "an empty file" ok '"file-size": 0' empty
refused "a missing file" "No such file" img inspect nofile
refused "a folder" "neither" img inspect .
refused "a pipe" "neither" timeout 20 "$IMG_TOOL" inspect /dev/stdin < <(sleep 0)
refused "no file" "exactly one" img inspect
refused "trust is for other commands" "trusted" img inspect --trusted good.qcow2
refused "an unknown format" "nosuch" img inspect -f nosuch good.qcow2
refused "no time" "timeout" img inspect --timeout=0 good.qcow2
refused "no memory" "memory" img inspect --memory=1M good.qcow2
cp good.qcow2 file:name.qcow2
verdict "a name that looks like a protocol is a path" ok '"format": "qcow2"' ./file:name.qcow2
mkdir readable && cp good.qcow2 readable/x && ln -s readable/x link.qcow2
verdict "a symbolic link is followed: the user gave it" ok '"format": "qcow2"' link.qcow2
done_testing
