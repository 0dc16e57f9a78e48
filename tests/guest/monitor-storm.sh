#!/bin/bash
# Monitor commands at random moments, first while a guest boots from disk (with resets), then while it writes to its
# disk; in the end `quit` with requests in flight. SEED=n and STORM=seconds repeat or lengthen a run.
set -u
cd "$(dirname "$0")/../.."
. tests/guest/session.sh
guest=$PWD/o/guest
tests/guest/linux/build "$guest" >/dev/null || { echo "1..0 # SKIP the guest cannot be built here"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
GUEST_LOG=$dir/log
RANDOM=${SEED:-1}
n=0

report() { # WHAT
    local status=$?
    n=$((n + 1))
    [ $status = 0 ] && echo "ok $n - $1" || { echo "not ok $n - $1"; tail -n 5 "$dir/log" "$dir/monitor" | sed 's/^/# /'; }
}

# The machine's serial line is ours as session.sh has it; its monitor is on descriptor $MON.
start() { # OPTION...
    guest_start timeout 600 "$EMULATOR" -m 192 -display none -serial stdio -monitor "unix:$dir/socket,server=on,wait=off" "$@"
    exec {MON}> >(exec perl -MIO::Socket::UNIX -e '
        for (1 .. 100) { last if $s = IO::Socket::UNIX->new($ARGV[0]); select undef, undef, undef, 0.1 }
        $s or die "no monitor"; $s->autoflush(1);
        if (!fork) { $| = 1; print $buf while sysread $s, $buf, 4096; exit }
        print $s $_ while <STDIN>; wait' "$dir/socket" >"$dir/monitor" 2>&1 {GUEST_IN}>&- {GUEST_FROM}<&-)
}
say() { echo "$*" >&"$MON"; }
# Drain the guest's text meanwhile: an emulator must not wait for a reader, but the log is welcome.
nap() {
    while read -r -t 0.05 -u "$GUEST_FROM" GUEST_LINE; do printf '%s\n' "$GUEST_LINE" >>"$GUEST_LOG"; done
}

safe=(stop cont 'info status' 'info registers' 'info block' 'info mem' 'info tlb' 'info mtree' 'info pci' 'info pic'
    "x /4i \$pc" "x /8gx \$sp" 'xp /64bx 0x7c00' "p \$rip" 'sendkey a 1' "screendump $dir/a.ppm" "screendump $dir/a.png"
    'eject ide1-cd0' "change ide1-cd0 $guest/cd.iso" cont)
rude=("${safe[@]}" system_reset system_powerdown)

storm() { # SECONDS COMMAND...
    local until=$((SECONDS + $1)) mark=$RANDOM
    shift
    while [ "$SECONDS" -lt "$until" ] && kill -0 "$GUEST_JOB" 2>/dev/null; do
        say "${@:RANDOM % $# + 1:1}"
        [ $((RANDOM % 4)) = 0 ] || nap
    done
    say cont
    say "p /d $mark+1000000" # its answer means that everything before it was served
    for _ in {1..1200}; do
        grep -q "^$((mark + 1000000))" "$dir/monitor" && return 0
        nap
    done
    return 1
}

finish() { # the emulator's exit status after `quit`
    say quit
    guest_end 60
    local status=$?
    exec {MON}>&-
    return $status
}

"$IMG_TOOL" create -q -f qcow2 -b "$guest/disk.raw" -F raw "$dir/disk.qcow2"
start -hda "$dir/disk.qcow2" -no-shutdown
storm "${STORM:-8}" "${rude[@]}"
report "a booting guest: the monitor still answers"
finish
report "quit"
"$IMG_TOOL" check -q "$dir/disk.qcow2"
report "the disk's image is clean"

"$IMG_TOOL" create -q -f qcow2 "$dir/data.qcow2" 64M
start -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -append "console=ttyS0 quiet root=none" -hda "$dir/data.qcow2"
guest_wait ONIONSKIN-GUEST-READY 300
report "a guest with a data disk"
guest_send 'while :; do dd if=/dev/urandom of=/dev/sda bs=32k count=64 conv=fsync 2>/dev/null; echo RO""UND; done'
guest_wait ROUND 120
report "it writes"
storm "${STORM:-8}" "${safe[@]}"
report "the monitor still answers"
guest_wait ROUND 120
report "the guest still writes"
finish
report "quit with requests in flight"
"$IMG_TOOL" check -q "$dir/data.qcow2"
report "the data disk's image is clean"
echo "1..$n"
