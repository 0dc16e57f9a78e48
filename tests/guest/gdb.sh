#!/bin/bash
# gdb on a guest with two CPUs: from the first instruction, breakpoints in the kernel, steps, a watched variable, threads,
# registers and memory that are changed, the monitor, Ctrl-C, detaching.
set -u
cd "$(dirname "$0")/../.."
command -v gdb >/dev/null || { echo "1..0 # SKIP gdb is not installed"; exit 0; }
. tests/guest/session.sh
guest=$PWD/o/guest
tests/guest/linux/build "$guest" >/dev/null || { echo "1..0 # SKIP the guest cannot be built here"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
GUEST_LOG=$dir/log
n=0
failed=0

report() { # WHAT, after a command
    local status=$?
    n=$((n + 1))
    [ $status = 0 ] && { echo "ok $n - $1"; return; }
    failed=1
    echo "not ok $n - $1"
    tail -n 25 "$dir/gdb.out" | sed 's/^/# /'
}
# Commands from stdin; the output goes to a file.
debug() {
    { printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' "target remote $dir/gdb.sock"; cat; } >"$dir/commands"
    timeout $((60 * PATIENCE)) gdb -q -nx -batch -x "$dir/commands" >"$dir/gdb.out" 2>&1
}
said() { grep -q -E "$1" "$dir/gdb.out"; }

guest_start "$EMULATOR" -smp 2 -m 256 -display none -serial stdio -monitor none -no-reboot -S -gdb "unix:$dir/gdb.sock" \
    -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -append "console=ttyS0 quiet root=none nokaslr"
for ((i = 0; i < 100; i++)); do [ -S "$dir/gdb.sock" ] && break; sleep 0.1; done

debug <<'GDB'
info registers rip cs
stepi
info registers rip
info threads
monitor info status
set $rbx = 0x123456789abcdef0
p/x $rbx
set {int}0x500 = 0x11223344
x/xw 0x500
set $xmm3.v2_int64[1] = 77
p $xmm3.v2_int64[1]
detach
GDB
said 'rip +0xfffffff0'
report "the CPU stands at the reset vector"
[ "$(grep -c '^rip ' "$dir/gdb.out")" = 2 ] && [ "$(grep '^rip ' "$dir/gdb.out" | sort -u | wc -l)" = 2 ]
report "a step leads on"
said 'Thread 2 \(CPU#1'
report "two CPUs are two threads"
said 'VM status: paused'
report "monitor commands"
said '0x123456789abcdef0' && said '0x500.*0x11223344' && said '= 77$'
report "registers and memory can be changed"
guest_wait ONIONSKIN-GUEST-READY 180
report "detached, the machine runs"

guest_run "grep -E ' (jiffies_64|__x64_sys_newuname|init_uts_ns)\$' /proc/kallsyms; grep -c processor /proc/cpuinfo" 60
address() { sed -n "s/^\([0-9a-f]*\) . $1.*/0x\1/p" <<<"$GUEST_OUTPUT"; }
uname=$(address __x64_sys_newuname) jiffies=$(address jiffies_64)
[ -n "$uname" ] && [ -n "$jiffies" ]
report "addresses in the kernel"
guest_send 'while :; do uname; done >/dev/null & while :; do uname; done >/dev/null &'

debug <<GDB
hbreak *$uname
break *$uname
continue
p/x \$rip
stepi
p \$rip != $uname
continue
continue
info threads
delete
detach
GDB
said "= $uname" && said '= 1$'
report "a breakpoint in the kernel, and a step from it"
[ "$(grep -c "^Thread .*hit\|hit Breakpoint\|Breakpoint [0-9]*, $uname" "$dir/gdb.out")" -ge 3 ]
report "again and again, on whichever CPU"

debug <<GDB
watch *(unsigned long *)$jiffies
continue
continue
p/x *(unsigned long *)$jiffies
delete
rwatch *(unsigned long *)$jiffies
continue
delete
detach
GDB
[ "$(grep -c '^Old value' "$dir/gdb.out")" = 2 ] && [ "$(grep -c '^New value' "$dir/gdb.out")" = 2 ]
report "a watched variable: each change, old and new"
said '^Value = '
report "and a read of it"

{ printf '%s\n' 'set pagination off' 'set confirm off' "target remote $dir/gdb.sock" "shell touch $dir/waiting" 'continue' 'p 6*7' 'detach'; } \
    >"$dir/commands"
gdb -q -nx -batch -x "$dir/commands" >"$dir/gdb.out" 2>&1 &
gdb=$!
for ((i = 0; i < 600; i++)); do [ -e "$dir/waiting" ] && break; sleep 0.1; done
sleep 2
kill -INT $gdb
wait $gdb
said 'SIGINT' && said '= 42'
report "Ctrl-C stops the machine"
guest_run 'kill %1 %2; echo alive' 60 && grep -q alive <<<"$GUEST_OUTPUT"
report "the guest goes on"
guest_send 'poweroff -f' && guest_end 60
report "and powers off"
echo "1..$n"
exit $failed
