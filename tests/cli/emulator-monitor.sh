#!/bin/sh
# The human monitor on standard input and output, with a machine that never starts.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0
head -c 1048576 /dev/zero >disk.img

monitor() {
    printf '%s\n' "$@" quit |
        timeout 30 "$EMULATOR" -S -m 16 -display none -monitor stdio -name "machine one" \
            -drive file=disk.img,format=raw 2>err | tr -d '\r' >out
}

# expect PATTERN COMMAND...
expect() {
    pattern=$1
    shift
    n=$((n + 1))
    monitor "$@"
    if grep -q -e "$pattern" out; then
        echo "ok $n - $*"
    else
        echo "not ok $n - $*"
        sed 's/^/# /' out err
    fi
}

expect '^VM status: paused$' 'info status'
expect '^VM status: running$' cont 'info status'
expect '^VM status: paused$' cont stop 'info status'
expect '^0x2a$' 'p 6*7'
expect '^-1$' 'p /d 0-1'
expect '^0xfff0$' 'p $pc'
expect '^00000000fffffff0: 0xea' 'xp /4bx 0xfffffff0'
expect '^machine one$' 'info name'
expect 'ide0-hd0: disk.img (raw)' 'info block'
expect 'ide1-cd0: \[not inserted\]' 'info block'
expect '(ram): ' 'info mtree'
expect '8086:7010' 'info pci'
expect 'CS.*f000' 'info registers'
expect "^Error: unknown command: 'frobnicate'" frobnicate
expect "^Error: unknown item: 'info frobnicate'" 'info frobnicate'
expect "^Error: unknown key 'hyper'" 'sendkey hyper'
expect '^Error: division by zero' 'p 1/0'
expect '^Error: .*not supported' 'savevm x'
expect "^Error: there is no drive 'nothing'" 'eject nothing'
expect '^Error: paging is off' 'info tlb'
expect '^screendump FILE' help

n=$((n + 1))
monitor 'screendump a.png' 'screendump b.ppm'
if head -c 4 a.png | grep -q PNG && head -c 2 b.ppm | grep -q P6; then
    echo "ok $n - screendump writes PNG and PPM"
else
    echo "not ok $n - screendump writes PNG and PPM"
fi
echo "1..$n"
