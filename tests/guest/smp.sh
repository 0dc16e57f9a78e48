#!/bin/bash
# Several CPUs: Linux finds them and their arrangement, and what they may and may not see of each other (smp.c), also with
# a code cache so small that it is emptied again and again; with SLOW=1 under the interpreter, too.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
[ -e "$GUEST/vmlinuz" ] || skip_all "no guest in $GUEST (tests/guest/linux/build makes it)"

mkdir extra
gcc -O2 -static -pthread -o extra/smp "$here/smp.c" || exit 1
cat >extra/bench <<'SCRIPT'
#!/bin/sh
# The arguments for smp are behind `smp=` on the kernel's command line, with commas.
args=$(sed 's/.*smp=\([^ ]*\).*/\1/; s/,/ /g' /proc/cmdline)
cat /proc/cpuinfo | grep -E '^(processor|physical id|core id|siblings|cpu cores)'
/smp $args
SCRIPT
chmod +x extra/bench
(cd extra && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) | cat "$GUEST/initrd.gz" - >initrd.gz

run() { # SMP-ARGUMENTS THREADS,ROUNDS EMULATOR-ARGUMENT...
    local smp=$1 args=$2
    shift 2
    timeout $((240 * ${PATIENCE:-1})) "$EMULATOR" -smp "$smp" -m 256 -display none -serial file:log -monitor none -no-reboot \
        -kernel "$GUEST/vmlinuz" -initrd initrd.gz -append "console=ttyS0 root=none run=bench quiet smp=$args" "$@" </dev/null
    grep -q SMP-DONE log || { tail -n 15 log; return 1; }
}
said() { tr -d '\r' <log | grep -c "$1"; }

is "four CPUs: atomics, order, changing code, changing mappings" run 4 4,10000
same "Linux sees one package with four cores" \
    "$(said '^processor') $(said '^cpu cores.*: 4$') $(said '^physical id.*: 0$')" "4 4 4"
is "eight CPUs and a small code cache" run 8,sockets=2 8,2000 -accel tcg,tb-size=4
same "Linux sees two packages of four cores" \
    "$(said '^processor') $(said '^cpu cores.*: 4$') $(said '^siblings.*: 4$') $(said '^physical id.*: 1$')" "8 8 8 4"
[ -z "${SLOW:-}" ] || is "two CPUs under the interpreter" run 2 2,300 -accel tcg,backend=interp
quiet() { ! grep -E 'BUG|rcu.*stall|soft lockup|WARNING' log; }
is "no complaint in the kernel's log" quiet
done_testing
