#!/bin/bash
# Several CPUs: Linux finds them and their arrangement, and what they may and may not see of each other (smp.c), also with
# a code cache so small that it is emptied again and again; with SLOW=1 under the interpreter, too.
set -u
cd "$(dirname "$0")/../.."
guest=$PWD/o/guest
tests/guest/linux/build "$guest" >/dev/null || { echo "1..0 # SKIP the guest cannot be built here"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0
failed=0

report() { # WHAT, after a command
    local status=$?
    n=$((n + 1))
    [ $status = 0 ] && { echo "ok $n - $1"; return; }
    failed=1
    echo "not ok $n - $1"
    tail -n 15 "$dir/log" | sed 's/^/# /'
}

gcc -O2 -static -pthread -o "$dir/smp" tests/guest/smp.c || exit 1
mkdir "$dir/extra"
cp "$dir/smp" "$dir/extra/smp"
cat >"$dir/extra/bench" <<'SCRIPT'
#!/bin/sh
# The arguments for smp are behind `smp=` on the kernel's command line, with commas.
args=$(sed 's/.*smp=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
cat /proc/cpuinfo | grep -E '^(processor|physical id|core id|siblings|cpu cores)'
/smp $args
SCRIPT
chmod +x "$dir/extra/bench"
(cd "$dir/extra" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) | cat "$guest/initrd.gz" - >"$dir/initrd.gz"

run() { # SMP-ARGUMENTS THREADS,ROUNDS EMULATOR-ARGUMENT...
    local smp=$1 args=$2
    shift 2
    timeout $((240 * ${PATIENCE:-1})) "$EMULATOR" -smp "$smp" -m 256 -display none -serial file:"$dir/log" -monitor none -no-reboot \
        -kernel "$guest/vmlinuz" -initrd "$dir/initrd.gz" -append "console=ttyS0 root=none run=bench quiet smp=$args" "$@" </dev/null
    grep -q SMP-DONE "$dir/log"
}
said() { tr -d '\r' <"$dir/log" | grep -c "$1"; }

run 4 4,10000
report "four CPUs: atomics, order, changing code, changing mappings"
[ "$(said '^processor')" = 4 ] && [ "$(said '^cpu cores.*: 4$')" = 4 ] && [ "$(said '^physical id.*: 0$')" = 4 ]
report "Linux sees one package with four cores"
run 8,sockets=2 8,2000 -accel tcg,tb-size=4
report "eight CPUs and a small code cache"
[ "$(said '^processor')" = 8 ] && [ "$(said '^cpu cores.*: 4$')" = 8 ] && [ "$(said '^siblings.*: 4$')" = 8 ] &&
    [ "$(said '^physical id.*: 1$')" = 4 ]
report "Linux sees two packages of four cores"
if [ -n "${SLOW:-}" ]; then
    run 2 2,300 -accel tcg,backend=interp
    report "two CPUs under the interpreter"
fi
! grep -E -q 'BUG|rcu.*stall|soft lockup|WARNING' "$dir/log"
report "no complaint in the kernel's log"
echo "1..$n"
exit $failed
