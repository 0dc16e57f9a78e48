#!/bin/bash
# gdb on a guest with two CPUs: from the first instruction, breakpoints in the kernel, steps, a watched variable, threads,
# registers and memory that are changed, the monitor, Ctrl-C, detaching.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/session.sh"
command -v gdb >/dev/null || skip_all "gdb is not installed"
[ -e "$GUEST/vmlinuz" ] || skip_all "no guest in $GUEST (tests/guest/linux/build makes it)"
GUEST_LOG=$TAP_FOLDER/guest.log
socket=$TAP_FOLDER/gdb.sock

# What every conversation begins with, and then commands from stdin; the output goes to a file.
commands() {
    printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' "target remote $socket"
    cat
}
debug() {
    commands >commands
    timeout $((60 * PATIENCE)) gdb -q -nx -batch -x commands >gdb.out 2>&1
}
said() { # PATTERN...: all of them
    local pattern
    for pattern; do
        grep -q -E "$pattern" gdb.out || { tail -n 25 gdb.out; return 1; }
    done
}
times() { grep -c "$1" gdb.out; }

guest_start "$EMULATOR" -smp 2 -m 256 -display none -serial stdio -monitor none -no-reboot -S -gdb "unix:$socket" \
    -kernel "$GUEST/vmlinuz" -initrd "$GUEST/initrd.gz" -append "console=ttyS0 quiet root=none nokaslr"
for ((i = 0; i < 100; i++)); do [ -S "$socket" ] && break; sleep 0.1; done

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
is "the CPU stands at the reset vector" said 'rip +0xfffffff0'
same "a step leads on" "$(times '^rip ') $(grep '^rip ' gdb.out | sort -u | wc -l)" "2 2"
is "two CPUs are two threads" said 'Thread 2 \(CPU#1'
is "monitor commands" said 'VM status: paused'
is "registers and memory can be changed" said 0x123456789abcdef0 '0x500.*0x11223344' '= 77$'
does "detached, the machine runs" guest_wait ONIONSKIN-GUEST-READY 180

guest_run "grep -E ' (jiffies_64|__x64_sys_newuname|init_uts_ns)\$' /proc/kallsyms; grep -c processor /proc/cpuinfo" 60
address() { sed -n "s/^\([0-9a-f]*\) . $1.*/0x\1/p" <<<"$GUEST_OUTPUT"; }
uname=$(address __x64_sys_newuname) jiffies=$(address jiffies_64)
is "addresses in the kernel" test -n "$uname" -a -n "$jiffies"
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
is "a breakpoint in the kernel, and a step from it" said "= $uname" '= 1$'
is "again and again, on whichever CPU" test "$(times "^Thread .*hit\|hit Breakpoint\|Breakpoint [0-9]*, $uname")" -ge 3

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
same "a watched variable: each change, old and new" "$(times '^Old value') $(times '^New value')" "2 2"
is "and a read of it" said '^Value = '

printf '%s\n' "shell touch $TAP_FOLDER/waiting" 'continue' 'p 6*7' 'detach' | commands >commands
gdb -q -nx -batch -x commands >gdb.out 2>&1 &
gdb=$!
for ((i = 0; i < 600; i++)); do [ -e waiting ] && break; sleep 0.1; done
sleep 2
kill -INT $gdb
wait $gdb
is "Ctrl-C stops the machine" said SIGINT '= 42'
alive() { guest_run 'kill %1 %2; echo alive' 60 && grep -q alive <<<"$GUEST_OUTPUT"; }
does "the guest goes on" alive
power_off() { guest_send 'poweroff -f' && guest_end 60; }
does "and powers off" power_off
done_testing
