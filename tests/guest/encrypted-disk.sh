#!/bin/bash
# SeaBIOS boots from encrypted disks, given their secret on the command line.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/minimal.sh"
printf password >password
"$IMG_TOOL" convert --object secret,id=s,file=password -O qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 disk.img disk.qcow2
"$IMG_TOOL" convert --object secret,id=s,file=password -O luks -o key-secret=s,iter-time=10 disk.img disk.luks

boot -object secret,id=s,file=password -drive file=disk.qcow2,format=qcow2,encrypt.key-secret=s
same "an encrypted qcow2 image: the guest saw its own write" "$status $(tail -c 1 serial)" "33 B"
boot -object secret,id=s,file=password -drive file=disk.luks,format=luks,key-secret=s
same "a LUKS disk" "$status $(tail -c 1 serial)" "33 B"
boot -object secret,id=s,data=password -drive driver=luks,key-secret=s,file.filename=disk.luks -snapshot
same "named by options alone, with -snapshot: what was written before is there" "$status $(tail -c 1 serial)" "33 C"

boot -object secret,id=s,data=wrong -drive file=disk.luks,format=luks,key-secret=s
same "a wrong password" "$status $(grep -c 'wrong password' err)" "1 1"
boot -drive file=disk.qcow2
same "no password" "$status $(grep -c "'encrypt.key-secret'" err)" "1 1"
boot -object secret,id=s,file=missing -hda disk.img
same "a secret's file that is not there" "$status $(grep -c "'missing'" err)" "1 1"
boot -object frob,id=s -hda disk.img
same "an object that is none" "$status $(grep -c "no object type 'frob'" err)" "1 1"
done_testing
