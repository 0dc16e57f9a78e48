#!/bin/sh
# SeaBIOS boots from encrypted disks, given their secret on the command line.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0

report() {
    n=$((n + 1))
    if [ "$1" = "$2" ]; then
        echo "ok $n - $3"
    else
        echo "not ok $n - $3"
        echo "# got '$1', expected '$2'"
    fi
}

boot() {
    timeout $((120 * ${PATIENCE:-1})) "$EMULATOR" -m 32 -display none -serial file:serial -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=1 "$@" </dev/null 2>err
    status=$?
    sed 's/^/# /' err
}

nasm -f bin -o disk.img "$here/boot-sector.asm" || { echo "1..0 # SKIP no nasm"; exit 0; }
truncate -s 1M disk.img
printf password >password
"$IMG_TOOL" convert --object secret,id=s,file=password -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 disk.img disk.qcow2
"$IMG_TOOL" convert --object secret,id=s,file=password -O luks -o key-secret=s,iter-time=10 disk.img disk.luks

boot -object secret,id=s,file=password -drive file=disk.qcow2,format=qcow2,encrypt.key-secret=s
report "$status $(tail -c 1 serial)" "33 B" "an encrypted qcow2 image: the guest saw its own write"
boot -object secret,id=s,file=password -drive file=disk.luks,format=luks,key-secret=s
report "$status $(tail -c 1 serial)" "33 B" "a LUKS disk"
boot -object secret,id=s,data=password -drive driver=luks,key-secret=s,file.filename=disk.luks -snapshot
report "$status $(tail -c 1 serial)" "33 C" "named by options alone, with -snapshot: what was written before is there"

boot -object secret,id=s,data=wrong -drive file=disk.luks,format=luks,key-secret=s
report "$status $(grep -c 'wrong password' err)" "1 1" "a wrong password"
boot -drive file=disk.qcow2
report "$status $(grep -c "'encrypt.key-secret'" err)" "1 1" "no password"
boot -object secret,id=s,file=missing -hda disk.img
report "$status $(grep -c "'missing'" err)" "1 1" "a secret's file that is not there"
boot -object frob,id=s -hda disk.img
report "$status $(grep -c "no object type 'frob'" err)" "1 1" "an object that is none"
echo "1..$n"
