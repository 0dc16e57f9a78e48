#!/bin/bash
# The command line of img-tool serve and of its other name, qemu-nbd, where nothing is served.
. "$(dirname "$0")/../tap.sh"
ln -s "$IMG_TOOL" qemu-nbd
"$IMG_TOOL" create -q -f raw a.raw 1M

is "qemu-nbd -V" sh -c './qemu-nbd -V | grep -Eq "^qemu-nbd [0-9]+\.[0-9]+\.[0-9]+ "'
same "qemu-nbd --version is the same" "$(./qemu-nbd --version)" "$(./qemu-nbd -V)"
is "qemu-nbd -h" sh -c './qemu-nbd -h | grep -q "^usage: qemu-nbd "'
same "qemu-nbd --help is the same" "$(./qemu-nbd --help)" "$(./qemu-nbd -h)"
is "img-tool serve --help" sh -c '"$IMG_TOOL" serve --help | grep -q "^usage: img-tool serve "'
is "-T is accepted" ./qemu-nbd -T 'nothing*' -V
is "--trace is accepted" ./qemu-nbd --trace=events=x -V
refused "--selinux-label" "SELinux" ./qemu-nbd --selinux-label=x a.raw
refused "--object that is not one" "needs the option 'id'" ./qemu-nbd --object secret a.raw
is "--object" ./qemu-nbd --object secret,id=s0,data=x -V
refused "no image" "arguments" ./qemu-nbd
refused "an image that is not there" "missing.raw" ./qemu-nbd -f raw missing.raw
refused "an unknown option" "invalid option" ./qemu-nbd -y a.raw
done_testing
