#!/bin/bash
# -drive and -object reach the drivers of the block layer: formats, protocols and filters by their own options.
. "$(dirname "$0")/../tap.sh"
"$IMG_TOOL" create -q -f qcow2 a.qcow2 8M
"$IMG_TOOL" create -q -f qcow2 -b a.qcow2 -F qcow2 over.qcow2
"$IMG_TOOL" create -q -f raw a.raw 8M
printf 'open sesame' >key
"$IMG_TOOL" create -q --object secret,id=s0,file=key -f qcow2 \
    -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10 locked.qcow2 8M

first_disk() { # ARGS...: what the monitor says of it, or the error
    printf 'info block\nquit\n' | timeout 60 "$EMULATOR" -S -m 16 -display none -monitor stdio "$@" 2>&1 | tr -d '\r' |
        grep -a -e '^ide0-hd0' -e '^emulator:' | sed 's/overlay-[A-Za-z0-9]*/overlay-X/'
}
is_disk() { # WHAT PATTERN ARGS...
    local what=$1 pattern=$2
    shift 2
    local got
    got=$(first_disk "$@")
    [[ $got == *$pattern* ]] || echo "# $got"
    [[ $got == *$pattern* ]]
    tap_result $? "$what"
}
is_disk "-drive file=" "a.qcow2 (qcow2)" -drive file=a.qcow2
is_disk "format=" "a.qcow2 (raw)" -drive file=a.qcow2,format=raw
is_disk "driver=, file.filename=" "a.qcow2 (qcow2)" -drive driver=qcow2,file.filename=a.qcow2
is_disk "file.driver=" "a.qcow2 (qcow2)" -drive driver=qcow2,file.driver=file,file.filename=a.qcow2
is_disk "a json: name, its commas doubled" "(qcow2)" -drive 'file=json:{"driver":"qcow2",,"file":{"driver":"file",,"filename":"a.qcow2"}}'
is_disk "an overlay" "over.qcow2 (qcow2)" -drive driver=qcow2,file.filename=over.qcow2
is_disk "another backing file" "over.qcow2 (qcow2)" -drive driver=qcow2,file.filename=over.qcow2,backing.driver=raw,backing.file.filename=a.raw
is_disk "snapshot=on" "overlay-X (qcow2, snapshot)" -drive file=a.qcow2,snapshot=on
is_disk "a part of a file" "(raw)" -drive driver=raw,offset=1M,size=4M,file.filename=a.raw
is_disk "cache options of the format" "(qcow2)" -drive driver=qcow2,l2-cache-size=1M,file.filename=a.qcow2
is_disk "a filter" "(throttle)" -object throttle-group,id=g0,limits.iops-total=100 -drive driver=throttle,throttle-group=g0,file.driver=qcow2,file.file.filename=a.qcow2
is_disk "a quorum" "(quorum)" -drive driver=quorum,vote-threshold=1,children.0.driver=raw,children.0.file.filename=a.raw
is_disk "an encrypted image with its secret" "locked.qcow2 (qcow2)" -object secret,id=s0,file=key -drive driver=qcow2,encrypt.key-secret=s0,file.filename=locked.qcow2
is_disk "and without" "key-secret" -drive driver=qcow2,file.filename=locked.qcow2
is_disk "an unknown driver" "nonsense" -drive driver=nonsense,file.filename=a.qcow2
is_disk "an unknown option" "nonsense" -drive driver=qcow2,file.filename=a.qcow2,nonsense=1
is_disk "an object that is none" "nonsense" -object nonsense,id=x -drive file=a.qcow2
done_testing
