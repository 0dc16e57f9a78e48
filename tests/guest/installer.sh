#!/bin/bash
# Debian's amd64 text installer reaches its first menu on the serial line.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/session.sh"
files=/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64
[ -e $files/linux ] || skip_all "no debian-installer-12-netboot-amd64 here"

# Its screens are drawn by cursor movements, without line ends: look at what came, not at lines.
"$EMULATOR" -m 1024 -display none -monitor none -no-reboot -serial file:serial.log -kernel $files/linux -initrd $files/initrd.gz \
    -append 'console=ttyS0,115200 quiet' </dev/null &
emulator=$!
trap 'kill $emulator 2>/dev/null; rm -rf "$TAP_FOLDER"' EXIT
menu() {
    local try
    for try in {1..110}; do
        grep -aq 'Select a language' serial.log 2>/dev/null && return 0
        kill -0 $emulator || break
        sleep 1
    done
    tail -c 1500 serial.log
    return 1
}
does "the menu 'Select a language'" menu
kill $emulator
does "SIGTERM ends the emulator" wait $emulator
done_testing
