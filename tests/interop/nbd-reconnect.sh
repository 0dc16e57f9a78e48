#!/bin/bash
# A server that is killed and comes back while it is read and written: with reconnect-delay nothing is lost, not even
# what it had acknowledged and forgotten; without, everybody is told.
tests=$(realpath "$(dirname "$0")/..")
. "$tests/tap.sh"
. "$tests/nbd.sh"
for program in qemu-nbd qemu-img nbdkit; do
    command -v $program >/dev/null || skip_all "$program is not installed"
done
mkdir ours
ln -s "$IMG_TOOL" ours/qemu-nbd
nbd=$PWD/ours/qemu-nbd
export="driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=$PWD/s"

# Servers are started and killed in subshells, too: their process id is in a file.
start() { serve s "$@" -t -e 8 -k "$PWD/s" && disown "$server" && echo "$server" >pid; }
gone() { while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.02; done; }
murder() { kill -9 "$(cat pid)" && gone; }
finish() { kill "$(cat pid)" && gone; }

# As much as does not fit into any buffer, and copied slowly enough to kill servers meanwhile.
head -c 16M /dev/urandom >source.raw
truncate -s 40M source.raw
head -c 3M /dev/urandom | dd of=source.raw bs=1M seek=30 conv=notrunc 2>/dev/null

write_through() { # SERVER...: convert into it while it is killed and started again, twice
    qemu-img create -q -f qcow2 target.qcow2 40M
    start "$@" -f qcow2 target.qcow2
    "$IMG_TOOL" convert -n -t writeback -r 12M -f raw --target-image-opts source.raw "$export,file.reconnect-delay=60" >convert.log 2>&1 &
    local convert=$! i
    for i in 1 2; do
        sleep 0.6
        murder
        sleep 0.3
        start "$@" -f qcow2 target.qcow2
    done
    wait $convert || { cat convert.log; return 1; }
    grep -q 'connected again' convert.log || { echo "it did not lose the connection"; return 1; }
    finish
    qemu-img compare -q -f raw -F qcow2 source.raw target.qcow2
}
is "writing, our server killed" write_through "$nbd"
is "writing, the original killed" write_through qemu-nbd

read_through() {
    start "$nbd" -r -f raw source.raw
    "$IMG_TOOL" convert -r 12M -O raw --image-opts "$export,file.reconnect-delay=60" copy.raw >convert.log 2>&1 &
    local convert=$!
    sleep 0.8
    murder
    sleep 0.3
    start "$nbd" -r -f raw source.raw
    wait $convert || { cat convert.log; return 1; }
    grep -q 'connected again' convert.log && cmp source.raw copy.raw
}
is "reading, the server killed" read_through
murder

gone_for_good() { # DELAY
    rm -f copy.raw
    start "$nbd" -r -f raw source.raw
    "$IMG_TOOL" convert -r 12M -O raw --image-opts "$export,file.reconnect-delay=$1" copy.raw >convert.log 2>&1 &
    local convert=$! begin=$SECONDS
    sleep 0.5
    murder
    wait $convert
    [ $? -eq 1 ] && [ $((SECONDS - begin)) -lt 20 ] && [ ! -e copy.raw ]
}
is "a server that does not come back, with a delay" gone_for_good 1
is "and without" gone_for_good 0

another_size() {
    start "$nbd" -f raw source.raw
    {
        echo 'read -q 0 64k'
        sleep 0.3
        murder
        truncate -s 50M other.raw
        start "$nbd" -f raw other.raw
        echo 'read -q 0 64k'
    } | "$IMG_TOOL" io -r --image-opts "$export,file.reconnect-delay=2" >io.log 2>&1
    grep 'read failed' io.log
}
is "a server that comes back with another disk is not read" another_size
murder

forgotten() { # DELAY: write, kill, start again, flush
    qemu-img create -q -f qcow2 target.qcow2 4M
    start "$nbd" -f qcow2 target.qcow2
    {
        echo 'write -q -P 5 0 64k'
        sleep 0.3
        murder
        start "$nbd" -f qcow2 target.qcow2
        sleep 1
        echo 'read -q 1M 64k'
        sleep 0.3
        echo 'read -q 1M 64k'
        echo 'flush'
    } | "$IMG_TOOL" io --image-opts "$export${1:+,file.reconnect-delay=$1}" >io.log 2>&1
}
forgotten
is "acknowledged writes that were not flushed, without a delay: the flush fails" grep 'flush failed' io.log
murder
does "the same with a delay" forgotten 20
is "the flush succeeds" bash -c '! grep "flush failed" io.log'
murder
is "and the data is there" "$IMG_TOOL" io -r -c 'read -q -P 5 0 64k' target.qcow2
done_testing
