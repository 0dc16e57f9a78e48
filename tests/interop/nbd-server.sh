#!/bin/bash
# The NBD server (img-tool serve, and the same called as qemu-nbd) under the clients of others: content, holes,
# contexts, what clients may do, names, snapshots, the end.
tests=$(realpath "$(dirname "$0")/..")
. "$tests/tap.sh"
. "$tests/nbd.sh"
for program in qemu-nbd qemu-img qemu-io nbdcopy nbdinfo; do
    command -v $program >/dev/null || skip_all "$program is not installed"
done
mkdir ours
ln -s "$IMG_TOOL" ours/qemu-nbd
nbd=$PWD/ours/qemu-nbd
uri="nbd+unix:///?socket=$PWD/s"
disk="nbd+unix:///disk?socket=$PWD/s"

make_image() {
    qemu-img create -q -f qcow2 base.qcow2 20M
    qemu-io -c 'write -q -P 1 0 300k' -c 'write -q -P 2 1M 1M' base.qcow2
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
    qemu-io -c 'write -q -P 3 64k 64k' -c 'write -q -z 1536k 64k' top.qcow2
    qemu-img bitmap --add top.qcow2 b0
    qemu-img bitmap --add -g 4096 top.qcow2 b1
    qemu-io -c 'write -q -P 4 5M 100k' -c 'write -q -P 5 19M 1M' top.qcow2
    qemu-img snapshot -c before top.qcow2
    qemu-img convert -U -O raw top.qcow2 reference.raw
    qemu-img convert -c -O qcow2 top.qcow2 packed.qcow2
}
does "an image with a backing file, zeros, bitmaps and a snapshot" make_image

# ---- the same as the original says ----
maps() { # URI...: what both kinds of client see
    nbdinfo --map "$1" && nbdinfo --map=qemu:allocation-depth "$1" &&
        nbdinfo --map=qemu:dirty-bitmap:b0 "$1" && nbdinfo --map=qemu:dirty-bitmap:b1 "$1" &&
        nbdinfo "$1" && nbdinfo --list --json "$1" && qemu-nbd -L -k "$PWD/s" && "$nbd" -L -k "$PWD/s" &&
        qemu-img map --output=json -f raw "$1" && "$IMG_TOOL" map --output=json -f raw "$1"
}
options=(-t -e 4 -f qcow2 -x disk -D 'a disk' -A -B b0 -k "$PWD/s")
does "the original serves" serve s qemu-nbd "${options[@]}" -B b1 top.qcow2
maps "$disk" >theirs.txt 2>&1
does "both programs list the same" cmp <("$nbd" -L -k "$PWD/s") <(qemu-nbd -L -k "$PWD/s")
stop
does "we serve" serve s "$nbd" "${options[@]}" -B b1 top.qcow2
maps "$disk" >ours.txt 2>&1
same "names, sizes, flags, contexts, extents" "$(tr -d , <ours.txt | sort)" "$(tr -d , <theirs.txt | sort)"

# ---- reading ----
is "nbdcopy" nbdcopy "$disk" copy.raw
is "is whole" cmp copy.raw reference.raw
is "qemu-img convert" qemu-img convert -f raw -O raw "$disk" copy.raw
is "is whole" cmp copy.raw reference.raw
is "our convert" "$IMG_TOOL" convert -f raw -O raw "$disk" copy.raw
is "is whole" cmp copy.raw reference.raw
refused "another name" "no such export" "$IMG_TOOL" info "$uri"

# ---- writing ----
is "odd writes, zeros, trims" qemu-io -f raw -c 'write -q -P 7 100 5001' -c 'write -q -z 3000001 70001' -c 'write -q -z -u 4M 1M' \
    -c 'discard -q 9M 64k' -c 'write -q -f -P 8 12345678 1234' -c 'write -q -P 9 20971519 1' -c flush \
    -c 'read -q -P 7 100 5001' -c 'read -q -P 0 3000001 70001' -c 'read -q -P 0 4M 1M' -c 'read -q -P 8 12345678 1234' "$disk"
stop
same "ends well" $code 0
is "no socket is left" test ! -e s
is "the writes are there" qemu-io -r -c 'read -q -P 7 100 5001' -c 'read -q -P 0 3000001 70001' -c 'read -q -P 9 20971519 1' top.qcow2
is "the image is clean" qemu-img check -q top.qcow2
does "compressed clusters" serve s "$nbd" -t -f qcow2 -r -k "$PWD/s" packed.qcow2
is "are read" qemu-img compare -q -f raw -F raw "$uri" reference.raw
refused_write() { ! qemu-io -f raw -c 'write 0 512' "$uri"; }
is "read-only is read-only" refused_write
stop
truncate -s 20M target.raw
does "an empty file" serve s "$nbd" -t -f raw --discard=unmap -e 0 -k "$PWD/s" target.raw
is "nbdcopy to it" nbdcopy reference.raw "$uri"
is "several connections at once" bash -c "nbdcopy --connections=8 --requests=32 '$uri' copy.raw && cmp copy.raw reference.raw"
is "large requests" nbdcopy --request-size=33554432 --connections=1 "$uri" copy.raw
is "give the same" cmp copy.raw reference.raw
stop
is "the file is the same" cmp reference.raw target.raw

# ---- parts, snapshots, overlays ----
does "an offset" serve s "$nbd" -t -f raw -o 1M -r -k "$PWD/s" reference.raw
is "shows the rest" bash -c "nbdcopy '$uri' part.raw && cmp part.raw <(tail -c +1048577 reference.raw)"
stop
does "a snapshot" serve s "$nbd" -t -f qcow2 -l before -k "$PWD/s" top.qcow2
is "shows what it holds" qemu-img compare -q -f raw -F raw "$uri" reference.raw
same "read-only" "$(nbdinfo "$uri" | grep -c 'is_read_only: true')" 1
stop
before=$(sha256sum <reference.raw)
does "-s: an overlay" serve s "$nbd" -s -f raw -k "$PWD/s" reference.raw
is "takes writes" qemu-io -f raw -c 'write -q -P 77 0 1M' -c 'read -q -P 77 0 1M' "$uri"
wait "$server"
same "without -t it ends after its client" $? 0
same "and the image is as before" "$(sha256sum <reference.raw)" "$before"
qemu-img create -q -f qcow2 zeroes.qcow2 1M
does "--detect-zeroes" serve s "$nbd" --detect-zeroes=unmap --discard=unmap -f qcow2 -k "$PWD/s" zeroes.qcow2
is "zeros that are written" qemu-io -f raw -c 'write -q -P 0 0 1M' "$uri"
wait "$server"
same "take no space" "$(qemu-img map --output=json zeroes.qcow2 | grep -c '"data": true')" 0

# ---- img-tool serve: its own defaults ----
does "img-tool serve with several images" serve s "$IMG_TOOL" serve -k "$PWD/s" reference.raw packed.qcow2
is "the first" qemu-img compare -q -f raw -F raw "nbd+unix:///reference.raw?socket=$PWD/s" copy.raw
is "the second" qemu-img compare -q -f raw -F raw "nbd+unix:///packed.qcow2?socket=$PWD/s" copy.raw
same "tells where" "$(sed -n 1p server.log)" "reference.raw: nbd+unix:///reference.raw?socket=$PWD/s (read-only)"
stop
does "img-tool serve -w" serve s "$IMG_TOOL" serve -w --once -f raw -k "$PWD/s" target.raw
is "takes writes" qemu-io -f raw -c 'write -q -P 55 1M 1M' "$uri"
wait "$server"
same "--once" $? 0
is "they are there" qemu-io -r -f raw -c 'read -q -P 55 1M 1M' target.raw

# ---- the process ----
is "--fork" "$nbd" --fork --pid-file="$PWD/pid" -t -f raw -k "$PWD/s" target.raw
cat pid >>servers
is "serves" qemu-io -r -f raw -c 'read -q -P 55 1M 1M' "$uri"
kill "$(cat pid)"
gone() { for ((i = 0; i < 200; i++)); do [ -e pid ] || return 0; sleep 0.05; done; return 1; }
is "removes its files" gone
refused "--fork tells of a mistake" "No such file" "$nbd" --fork -k "$PWD/s" missing.raw
refused "a bitmap that is not there" "nope" "$nbd" -f qcow2 -B nope -k "$PWD/s" top.qcow2
refused "a device that is not there" "/dev/nbd77" "$nbd" -c /dev/nbd77 -f raw target.raw
refused "an offset beyond the end" "beyond the end" "$nbd" -f raw -o 1G -k "$PWD/s" target.raw
for wrong in '-e -1' '-p 0' '-p x' '--discard=maybe' '--cache=maybe' '--aio=maybe' '--detect-zeroes=maybe' '-n --cache=none' \
    '-L target.raw' '--tls-hostname=x' '--tls-authz=x' '--tls-creds=x' 'a b'; do
    refused "refuses $wrong" "" "$nbd" $wrong
done
passed_socket() { # the service manager's way: a listening socket as file 3
    perl -MSocket -MPOSIX -e '
        socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; unlink $ARGV[0];
        bind($s, sockaddr_un($ARGV[0])) or die; listen($s, 5) or die;
        POSIX::dup2(fileno($s), 3); $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; shift;
        $^F = 10; open(my $keep, "<&=", 3); exec @ARGV' "$PWD/s" "$nbd" -f raw -r "$PWD/reference.raw"
}
does "a socket from the service manager" serve s passed_socket
is "is served" qemu-img compare -q -f raw -F raw "$uri" copy.raw
stop
refused "but not with -k" "service manager" env bash -c 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -k s -f raw target.raw' "$nbd"

# ---- errors of the disk ----
faulty="driver=faults,file.driver=file,file.filename=$PWD/target.raw"
does "a disk that fails to write" serve s "$nbd" -t --image-opts -k "$PWD/s" "$faulty,fail-write=2,errno=28,once=on"
fails() { ! "$@" >fails.txt 2>&1 && grep "$text" fails.txt; }
text='No space left on device'
is "tells so" fails qemu-io -f raw -c 'write 0 512' -c 'write 1M 1M' "$uri"
is "and goes on" qemu-io -f raw -c 'write -q -P 1 2M 1M' -c 'read -q -P 1 2M 1M' "$uri"
stop
same "to a good end" $code 0
does "a disk that fails to read" serve s "$nbd" -t -r --image-opts -k "$PWD/s" "$faulty,fail-read=2,once=on"
text='Input/output error'
is "tells so" fails qemu-io -r -f raw -c 'read 0 512' -c 'read 0 4M' -c 'read 0 512' "$uri"
is "in the midst of a copy, too" bash -c "! nbdcopy '$uri' x.raw || cmp x.raw target.raw"
stop
does "a disk that fails to flush" serve s "$nbd" -t --image-opts -k "$PWD/s" "$faulty,fail-flush=1"
is "tells so" fails qemu-io -f raw -c 'write 0 512' -c flush "$uri"
stop
same "and the server's end is a failure" $code 1

# ---- what was flushed survives a kill ----
qemu-img create -q -f qcow2 killed.qcow2 100M
does "a server" serve s "$nbd" -t -f qcow2 -k "$PWD/s" killed.qcow2
is "gets data and a flush" qemu-io -f raw -c 'write -q -P 11 0 8M' -c 'write -q -P 12 50M 1M' -c flush "$uri"
disown "$server"
kill -9 "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.05; done
is "after kill -9 it is there" qemu-io -r -c 'read -q -P 11 0 8M' -c 'read -q -P 12 50M 1M' killed.qcow2
is "and the image is clean but for leaks" bash -c 'qemu-img check -q killed.qcow2 || [ $? -eq 3 ]'
done_testing
