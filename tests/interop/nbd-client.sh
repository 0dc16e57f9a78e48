#!/bin/bash
# The NBD client against other servers: names, content, holes, contexts, block sizes, old servers, faults, TLS.
tests=$(realpath "$(dirname "$0")/..")
. "$tests/tap.sh"
. "$tests/nbd.sh"
for program in qemu-nbd qemu-img qemu-io nbdkit openssl; do
    command -v $program >/dev/null || skip_all "$program is not installed"
done
io() { "$IMG_TOOL" io "$@"; }
make_image() {
    qemu-img create -q -f qcow2 base.qcow2 10M
    qemu-io -c 'write -q -P 1 0 300k' -c 'write -q -P 2 1M 1M' base.qcow2
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
    qemu-io -c 'write -q -P 3 64k 64k' -c 'write -q -z 1536k 64k' top.qcow2
    qemu-img bitmap --add top.qcow2 b0
    qemu-io -c 'write -q -P 4 5M 100k' top.qcow2
    qemu-img convert -O raw top.qcow2 reference.raw
}
does "an image with a backing file, zeros and a bitmap" make_image

# ---- qemu-nbd ----
does "qemu-nbd serves it" serve s qemu-nbd -t -e 8 -f qcow2 -x disk -A -B b0 -k "$PWD/s" top.qcow2
uri="nbd+unix:///disk?socket=$PWD/s"
named="driver=nbd,server.type=unix,server.path=$PWD/s,export=disk"
is "same content" "$IMG_TOOL" compare -f raw -F raw "$uri" reference.raw
is "convert from it" "$IMG_TOOL" convert -f raw -O qcow2 "$uri" copy.qcow2
is "and the copy is the same" qemu-img compare -q copy.qcow2 reference.raw
same "map of the export" "$("$IMG_TOOL" map -f raw --output=json "$uri")" "$(qemu-img map -f raw --output=json "$uri")"
for context in qemu:dirty-bitmap:b0 qemu:allocation-depth; do
    same "map of $context" "$("$IMG_TOOL" map --output=json --image-opts "$named,x-dirty-bitmap=$context")" \
        "$(qemu-img map --output=json --image-opts "$named,x-dirty-bitmap=$context")"
done
refused "a context that is not there" "no context 'qemu:dirty-bitmap:b1'" \
    "$IMG_TOOL" map --image-opts "$named,x-dirty-bitmap=qemu:dirty-bitmap:b1"
same "info" "$("$IMG_TOOL" info "$uri" | sed -n 1,4p)" "$(qemu-img info "$uri" | sed -n 1,4p)"
is "nbd:unix:PATH:exportname=NAME" "$IMG_TOOL" compare -f raw -F raw "nbd:unix:$PWD/s:exportname=disk" reference.raw
is "json: name" "$IMG_TOOL" compare -F raw \
    "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"$PWD/s\"},\"export\":\"disk\"}}" reference.raw
refused "another export" "no such export" "$IMG_TOOL" info "nbd+unix:///other?socket=$PWD/s"
is "an overlay over it" "$IMG_TOOL" create -q -f qcow2 -b "$uri" -F raw overlay.qcow2
is "shows its content" "$IMG_TOOL" compare -F raw overlay.qcow2 reference.raw
is "odd writes, zeros and a discard" io -f raw -c 'write -q -P 7 100 5001' -c 'write -q -z 3000001 70001' -c 'discard -q 9M 64k' \
    -c 'write -q -P 9 10485759 1' -c flush -c 'read -q -P 7 100 5001' -c 'read -q -P 0 3000001 70001' "$uri"
refused "a write beyond the end" "" io -f raw -c 'write 10485759 2' "$uri"
stop
is "they arrived" qemu-io -r -c 'read -q -P 7 100 5001' -c 'read -q -P 0 3000001 70001' -c 'read -q -P 9 10485759 1' top.qcow2
is "the image is clean" qemu-img check -q top.qcow2

qemu-img create -q -f raw target.raw 10M
does "qemu-nbd serves a raw file" serve s qemu-nbd -t -e 8 -f raw --discard=unmap -k "$PWD/s" target.raw
is "convert -n into it" "$IMG_TOOL" convert -n -f raw -O raw reference.raw "nbd+unix:///?socket=$PWD/s"
is "the same on the other side" cmp reference.raw target.raw
stop
does "qemu-nbd read-only, one client" serve s qemu-nbd -r -t -f raw -k "$PWD/s" target.raw
refused "is not opened for writing" "read-only" io -f raw -c 'write 0 1' "nbd+unix:///?socket=$PWD/s"
is "and read with one connection" "$IMG_TOOL" convert -m 8 -f raw -O raw "nbd+unix:///?socket=$PWD/s" one.raw
is "equal" cmp one.raw reference.raw
stop

port=$(free_port)
cp reference.raw copy.raw
qemu-nbd -t -f raw -b 127.0.0.1 -p "$port" copy.raw &
server=$!
echo $server >>servers
is "TCP, waiting for the server" "$IMG_TOOL" compare --image-opts \
    "driver=raw,file.driver=nbd,file.host=127.0.0.1,file.port=$port,file.open-timeout=20" "driver=raw,file=reference.raw"
is "nbd:HOST:PORT" "$IMG_TOOL" compare -f raw -F raw "nbd:127.0.0.1:$port" reference.raw
is "nbd://HOST:PORT" "$IMG_TOOL" compare -f raw -F raw "nbd://127.0.0.1:$port" reference.raw
stop
refused "nobody there" "Connection refused" "$IMG_TOOL" info "nbd://127.0.0.1:$port"

# ---- nbdkit ----
for style in -o -n; do
    does "nbdkit $style" serve k nbdkit $style -f -U k file reference.raw
    is "content" "$IMG_TOOL" compare -f raw -F raw "nbd+unix:///?socket=$PWD/k" reference.raw
    stop
done
does "nbdkit without structured replies" serve k nbdkit -f -U k --no-sr file reference.raw
is "content" "$IMG_TOOL" compare -f raw -F raw "nbd+unix:///?socket=$PWD/k" reference.raw
stop
for block in 512 4096 65536; do
    does "blocks of $block bytes" serve k nbdkit -f -U k --filter=blocksize-policy memory 10M \
        blocksize-minimum=$block blocksize-preferred=64K blocksize-maximum=1M blocksize-error-policy=error
    is "odd requests" io -f raw -c 'write -q -P 5 0 10M' -c 'write -q -P 7 100 5001' -c 'read -q -P 7 100 5001' \
        -c 'write -q -z 1000001 500001' -c 'read -q -P 0 1000001 500001' -c 'read -q -P 5 1500002 3M' \
        -c 'write -q -P 9 10485759 1' -c 'read -q -P 9 10485759 1' -c 'discard -q 5000001 400000' -c 'read -q -P 5 5101 1000' \
        "nbd+unix:///?socket=$PWD/k"
    stop
done
does "a disk that ends within a block" serve k nbdkit -f -U k data 'data=1*1000 2*1000'
is "is read to its end" io -r -f raw -c 'read -q -P 1 0 1000' -c 'read -q -P 2 1000 1000' "nbd+unix:///?socket=$PWD/k"
stop
does "a server that fails reads" serve k nbdkit -f -U k --filter=error pattern 10M error-pread=ENOSPC error-pread-rate=100%
refused "is reported" "No space left" "$IMG_TOOL" convert -f raw -O raw "nbd+unix:///?socket=$PWD/k" x.raw
stop
does "a server that does not answer" serve k nbdkit -f -U k --filter=delay pattern 10M rdelay=30
start=$SECONDS
refused "ends in an error" "" "$IMG_TOOL" convert --image-opts -O raw "driver=raw,file.driver=nbd,file.path=$PWD/k,file.timeout=1" x.raw
is "and soon" test $((SECONDS - start)) -lt 15
stop
done_testing
