#!/bin/bash
# The options that qemu-io starts with, and flags of its commands that the long list of tests/interop/qemu-io.sh leaves out.
. "$(dirname "$0")/../tap.sh"
command -v qemu-io >/dev/null || skip_all "qemu-io is not installed"
mkdir ours theirs
ln -s "$IMG_TOOL" ours/qemu-io

prepare() {
    rm -f ./*.qcow2
    qemu-img create -q -f qcow2 base.qcow2 2M
    qemu-io -c 'write -q -P 9 0 1M' base.qcow2
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
    qemu-io -c 'write -q -P 7 64k 64k' over.qcow2
    cp ./*.qcow2 ours
    cp ./*.qcow2 theirs
}
run_in() { # FOLDER PROGRAM ARGS...
    (
        cd "$1" || exit
        shift
        timeout 20 "$@" 2>stderr.txt </dev/null | sed -E 's/[0-9:.]+( sec)? \([0-9.]+ .*\)/TIME/; s/^([0-9]+,[0-9]+),.*/\1,RATE/; s/^(disk size|vm state|actual).*//'
        echo "exit code ${PIPESTATUS[0]}"
    )
}
alike() { # qemu-io ARGS...
    shift
    same "qemu-io $*" "$(run_in ours ./qemu-io "$@")" "$(run_in theirs qemu-io "$@")"
}
same_content() {
    is "$1 holds the same in both" qemu-img compare -U ours/"$1" theirs/"$1"
}

prepare
alike qemu-io -n -c 'read -P 9 0 64k' over.qcow2
alike qemu-io --nocache -c 'read -q -P 7 64k 64k' over.qcow2
alike qemu-io -t none -c 'write -q -P 1 0 4k' over.qcow2
alike qemu-io --cache=writethrough -c 'write -q -P 2 4k 4k' over.qcow2
alike qemu-io -t nonsense -c 'read 0 4k' over.qcow2
alike qemu-io -C -c 'read -q 128k 64k' over.qcow2
same_content over.qcow2
copied() { qemu-img map -U --output=json --start-offset=128k --max-length=64k "$1" | grep -c '"depth": 0'; }
same "-C copies into the image" "$(copied ours/over.qcow2)" "$(copied theirs/over.qcow2)"
alike qemu-io --copy-on-read -c 'read -q 256k 64k' over.qcow2
alike qemu-io -m -c 'read -q -P 9 512k 64k' over.qcow2
alike qemu-io --misalign -c 'write -q -P 4 512k 4k' over.qcow2
alike qemu-io -n -k -c 'read -q -P 9 768k 4k' over.qcow2
alike qemu-io -t none --native-aio -c 'read -q -P 9 768k 4k' over.qcow2
alike qemu-io -i threads -c 'read -q -P 9 768k 4k' over.qcow2
alike qemu-io --aio=io_uring -c 'read -q -P 9 768k 4k' over.qcow2
alike qemu-io -i nonsense -c 'read -q -P 9 768k 4k' over.qcow2
alike qemu-io -r -c 'read -q -P 9 900k 4k' over.qcow2
alike qemu-io --read-only -c 'read -q -P 9 900k 4k' over.qcow2
alike qemu-io -s -c 'write -q -P 8 0 64k' -c 'read -P 8 0 64k' over.qcow2
alike qemu-io --snapshot -c 'write -q -P 8 0 64k' over.qcow2
same_content over.qcow2
alike qemu-io -d unmap -c 'discard -q 64k 64k' over.qcow2
alike qemu-io --discard=ignore -c 'discard -q 128k 64k' over.qcow2
alike qemu-io -d nonsense -c 'read 0 4k' over.qcow2
alike qemu-io -U -c 'read -q -P 9 900k 4k' over.qcow2
alike qemu-io -U -r -c 'read -q -P 9 900k 4k' over.qcow2
alike qemu-io --force-share --read-only -c 'read -q -P 9 900k 4k' over.qcow2
alike qemu-io -f qcow2 -c length over.qcow2
alike qemu-io --format=raw -c 'read -q 0 512' over.qcow2
alike qemu-io -T 'nothing*' -c length over.qcow2
alike qemu-io --trace='nothing*' -c length over.qcow2
alike qemu-io --object secret,id=s0,data=x -c length over.qcow2
alike qemu-io --image-opts -c length driver=qcow2,file.filename=over.qcow2
alike qemu-io --cmd length over.qcow2
exit_code() { timeout 20 "$@" >/dev/null 2>&1 </dev/null; echo $?; }
for line in "-x over.qcow2" "-c length over.qcow2 base.qcow2" "--nonsense"; do
    # shellcheck disable=SC2086
    same "exit code of $line" "$(exit_code ours/qemu-io $line)" "$(exit_code qemu-io $line)"
done
is "qemu-io -V" sh -c 'ours/qemu-io -V | grep -q "^qemu-io version 7"'
is "qemu-io --version" sh -c 'ours/qemu-io --version | grep -q "^qemu-io version 7"'
is "qemu-io -h and qemu-io --help" cmp <(ours/qemu-io -h) <(ours/qemu-io --help)

# --- flags of commands --------------------------------------------------------------------------------------------
prepare
alike qemu-io -c 'aio_write -C 0 4k' -c aio_flush over.qcow2
alike qemu-io -c 'aio_write -f -q 0 4k' -c aio_flush over.qcow2
alike qemu-io -c 'readv -q -P 9 0 4k' over.qcow2
alike qemu-io -c 'writev -C -P 3 0 4k 8k' over.qcow2
alike qemu-io -c 'writev -q -P 5 16k 4k 8k' over.qcow2
alike qemu-io -c 'open -U -r over.qcow2' -c 'read -q -P 9 900k 4k' -c close
alike qemu-io -c 'open -n -k over.qcow2' -c 'read -q -P 9 900k 4k'
alike qemu-io -c 'open -o driver=qcow2,file.filename=over.qcow2' -c length
same_content over.qcow2
done_testing
