#!/bin/sh
# A command line that cannot be: exit 1, nothing on standard output, one line that names what is wrong.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0

# refused WHAT-THE-LINE-SAYS ARGUMENT...
refused() {
    say=$1
    shift
    n=$((n + 1))
    timeout 20 "$EMULATOR" -display none "$@" </dev/null >out 2>err
    status=$?
    if [ $status = 1 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -qF -e "$say" err; then
        echo "ok $n - $*"
    else
        echo "not ok $n - $* (exit $status)"
        sed 's/^/# /' err
    fi
}

: >empty
head -c 65536 /dev/zero >zeros
printf 'QFI\373\0\0\0\11' >broken.qcow2
head -c 65536 /dev/zero >>broken.qcow2

refused "unknown option '-frobnicate'" -frobnicate
refused "option '-m' needs a value" -m
refused "'12Q'" -m 12Q
refused "machine 'sun4m'" -M sun4m
refused "accelerator 'kvm'" -accel kvm
refused "missing.img" -hda missing.img
refused "missing.qcow2" -drive file=missing.qcow2,format=qcow2
refused "frob" -drive file=zeros,format=raw,frob=1
refused "broken.qcow2" -drive file=broken.qcow2
refused "'nosuchformat'" -drive file=zeros,format=nosuchformat
refused "two drives at IDE bus 0, unit 0" -hda zeros -hda zeros
refused "'tape' is not a character device" -serial tape
refused "no/such/folder/log" -serial file:no/such/folder/log
refused "no/such/socket" -serial unix:no/such/socket
refused "no/such/kernel" -kernel no/such/kernel
refused "-kernel is not a Linux kernel" -kernel zeros
refused "cannot find firmware" -bios no-such-bios.bin
refused "'./empty'" -bios ./empty
refused "'e1000'" -device e1000
refused "log item 'frob'" -d frob
refused "no/such/folder/x" -d int -D no/such/folder/x
refused "two images" a b
refused "no/such/pid/file" -S -pidfile no/such/pid/file
echo "1..$n"
