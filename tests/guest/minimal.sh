# The smallest guest: the sector of boot-sector.asm, which counts its own runs on the disk. Sourced after tap.sh: makes disk.img.
#
#   boot ARG...   start it and wait for its end: exit code in $status, what it said in `serial`, our messages in `err`
command -v nasm >/dev/null || skip_all "no nasm"
nasm -f bin -o disk.img "$here/boot-sector.asm"
truncate -s 1M disk.img

boot() {
    timeout $((120 * ${PATIENCE:-1})) "$EMULATOR" -m 32 -display none -serial file:serial -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=1 "$@" </dev/null 2>err
    status=$?
    sed 's/^/# /' err
}
