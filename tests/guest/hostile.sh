#!/bin/bash
# Random bytes run in ring 0 in real, protected and long mode, with every device there: the emulator
# survives whatever the guest does to itself, and then still obeys its monitor.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
command -v nasm >/dev/null || skip_all "no nasm"
resets=${HOSTILE_RESETS:-2} # a guest that loops with interrupts off gets another chance
truncate -s 1440K floppy.img
truncate -s 2M cd.iso
modes=(real protected long)

run() { # MODE SEED BACKEND
    nasm -f bin -DMODE="$1" -DSEED="$2" -o disk.img "$here/hostile.asm" || return 1
    truncate -s 1M disk.img
    { for ((i = 0; i < resets; i++)); do sleep 1; echo system_reset; done; sleep 1; echo quit; } |
        timeout -s KILL 60 "$EMULATOR" -m 16 -hda disk.img -fda floppy.img -cdrom cd.iso -snapshot -boot c \
            -accel tcg,backend="$3" -display none -serial null -monitor stdio >out 2>&1
    local status=$?
    # The guest may also power the machine off or end it by a reset.
    [ $status -eq 0 ] || { echo "exit code $status"; tail -n 20 out; return 1; }
}

for mode in 0 1 2; do
    for seed in ${HOSTILE_SEEDS:-1 77 4711 $RANDOM}; do
        is "${modes[mode]} mode, seed $seed" run $mode $seed x86_64
    done
    is "${modes[mode]} mode, interpreter" run $mode 5 interp
done
done_testing
