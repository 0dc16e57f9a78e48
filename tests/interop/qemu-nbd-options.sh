#!/bin/bash
# Options of qemu-nbd, given to us under that name, that tests/interop/nbd-server.sh leaves out: addresses, cache modes,
# image options, TLS with pre-shared keys; the clients are those of others and ours.
tests=$(realpath "$(dirname "$0")/..")
. "$tests/tap.sh"
. "$tests/nbd.sh"
command -v qemu-nbd >/dev/null || skip_all "qemu-nbd is not installed"
mkdir ours
ln -s "$IMG_TOOL" ours/qemu-nbd
nbd=$PWD/ours/qemu-nbd
uri="nbd+unix:///?socket=$PWD/s"
qemu-img create -q -f qcow2 disk.qcow2 4M
qemu-io -c 'write -q -P 7 1M 64k' disk.qcow2
good() { qemu-io -r -f raw -c 'read -q -P 7 1M 64k' -c 'read -q -P 0 2M 64k' "$1"; }

# --- where it listens ----
listens() { # OPTIONS...: on a TCP port
    "$nbd" "$@" >server.log 2>&1 &
    server=$!
    servers+=($server)
    for ((i = 0; i < 200; i++)); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.05
    done
    return 1
}
port=$(free_port)
does "-p and -b" listens -t -p "$port" -b 127.0.0.1 -f qcow2 disk.qcow2
is "are where clients find it" good "nbd://127.0.0.1:$port"
is "and ours" "$IMG_TOOL" compare -q -U -f raw "nbd://127.0.0.1:$port" disk.qcow2
stop
port=$(free_port)
does "--port and --bind" listens --persistent --port="$port" --bind=localhost --format=qcow2 --read-only disk.qcow2
is "too" good "nbd://127.0.0.1:$port"
stop

# --- how the image is opened ----
for options in "--cache=none" "--cache=writethrough" "--cache=unsafe" "-n" "--nocache" "--aio=threads" "--aio=io_uring" "-n --aio=native" \
    "-v" "--verbose" "--discard=unmap" "--discard=ignore" "--detect-zeroes=on" "-e 3" "--shared=0" "-D text" "--description=text"; do
    # shellcheck disable=SC2086
    does "qemu-nbd $options" serve s "$nbd" $options -t -f qcow2 -k "$PWD/s" disk.qcow2
    is "is served" good "$uri"
    stop
done
does "--image-opts" serve s "$nbd" --image-opts -t --socket="$PWD/s" driver=qcow2,file.filename=disk.qcow2
is "is served" good "$uri"
stop
does "-x" serve s "$nbd" -x name -t -f qcow2 -k "$PWD/s" disk.qcow2
is "names the export" good "nbd+unix:///name?socket=$PWD/s"
is "and no other" bash -c "! qemu-img info '$uri'"
stop
does "--export-name, --allocation-depth" serve s "$nbd" --export-name=name --allocation-depth -t -f qcow2 -k "$PWD/s" disk.qcow2
is "depth is shown" bash -c "\"\$IMG_TOOL\" serve -L -k '$PWD/s' | grep -q 'qemu:allocation-depth'"
stop
does "--offset" serve s "$nbd" --offset=1M -t -r -f qcow2 -k "$PWD/s" disk.qcow2
is "moves the start" qemu-io -r -f raw -c 'read -q -P 7 0 64k' "$uri"
stop
does "--snapshot" serve s "$nbd" --snapshot -t -f qcow2 -k "$PWD/s" disk.qcow2
is "takes writes" qemu-io -f raw -c 'write -q -P 8 1M 64k' "$uri"
stop
is "and forgets them" qemu-io -r -c 'read -q -P 7 1M 64k' disk.qcow2
qemu-img snapshot -c before disk.qcow2
does "--load-snapshot" serve s "$nbd" --load-snapshot=snapshot.name=before -t -f qcow2 -k "$PWD/s" disk.qcow2
is "is served" good "$uri"
stop

# --- TLS ----
mkdir keys
printf 'tester:%064d\n' 5 >keys/keys.psk
chmod 600 keys/keys.psk
creds=tls-creds-psk,id=t,dir=$PWD/keys
tls="driver=nbd,server.type=unix,server.path=$PWD/s,tls-creds=t"
does "--tls-creds with a pre-shared key" serve s "$nbd" --object "$creds,endpoint=server" --tls-creds=t -t -f qcow2 -k "$PWD/s" disk.qcow2
is "qemu-img comes in" qemu-img info --object "$creds,endpoint=client,username=tester" --image-opts "$tls"
is "img-tool comes in" "$IMG_TOOL" info --object "$creds,endpoint=client,username=tester" --image-opts "$tls"
is "nobody without TLS" bash -c "! qemu-img info '$uri' && ! \"\$IMG_TOOL\" info '$uri'"
is "nobody with another name" bash -c "! \"\$IMG_TOOL\" info --object '$creds,endpoint=client,username=other' --image-opts '$tls'"
stop
does "the original with a pre-shared key" serve s qemu-nbd --object "$creds,endpoint=server" --tls-creds t -t -f qcow2 -k "$PWD/s" disk.qcow2
is "img-tool comes in" "$IMG_TOOL" info --object "$creds,endpoint=client,username=tester" --image-opts "$tls"
is "qemu-nbd -L --tls-creds lists it" "$nbd" -L --object "$creds,endpoint=client,username=tester" --tls-creds=t -k "$PWD/s"
stop
refused "--tls-authz without anybody to ask" "" "$nbd" --tls-authz=nobody -f qcow2 -k "$PWD/s" disk.qcow2

# --- kernel devices ----
refused "-c with a device that is not there" "/dev/nbd77" "$nbd" -c /dev/nbd77 -f qcow2 disk.qcow2
refused "--connect, too" "/dev/nbd77" "$nbd" --connect=/dev/nbd77 -f qcow2 disk.qcow2
refused "-d with a device that is not there" "/dev/nbd77" "$nbd" -d /dev/nbd77
refused "--disconnect, too" "/dev/nbd77" "$nbd" --disconnect /dev/nbd77
done_testing
