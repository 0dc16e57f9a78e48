#!/bin/bash
# Reset, power and end of the machine: by the guest, by the monitor, by the terminal.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/session.sh"
[ -e "$GUEST/vmlinuz" ] || skip_all "no guest in $GUEST (tests/guest/linux/build makes it)"
GUEST_LOG=$TAP_FOLDER/guest.log
linux=(-m 256 -kernel "$GUEST/vmlinuz" -initrd "$GUEST/initrd.gz" -append 'console=ttyS0,115200 quiet root=none')
ready() { guest_wait ONIONSKIN-GUEST-READY 90; }
monitor() { # COMMAND: through the multiplexed terminal
    printf '\001c%s\n\001c' "$1" >&"$GUEST_IN"
}
ends() { guest_end 60; }

guest_start "$EMULATOR" "${linux[@]}" -nographic -no-reboot
does "boots" ready
guest_send 'reboot -f'
does "-no-reboot: the guest's reboot ends the emulator" ends

guest_start "$EMULATOR" "${linux[@]}" -nographic
does "boots again" ready
guest_send 'reboot -f'
does "the guest reboots" ready
monitor system_reset
does "system_reset of the monitor" ready
monitor stop
monitor 'info status'
does "stop" guest_wait 'VM status: paused' 20
monitor cont
monitor 'info status'
does "cont" guest_wait 'VM status: running' 20
does "the guest goes on" guest_run 'test 1 = 1' 30
monitor quit
does "quit of the monitor" ends

guest_start "$EMULATOR" "${linux[@]}" -nographic
does "boots once more" ready
printf '\001x' >&"$GUEST_IN"
does "Ctrl-A x" ends
guest_start "$EMULATOR" -m 256 -hda "$GUEST/disk.raw" -snapshot -nographic
does "boots from disk" ready
# The ACPI daemon goes to the background before it listens.
does "somebody listens to the power button" \
    guest_run 'until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q input/event; do sleep 0.2; done' 30
monitor system_powerdown
does "the power button makes the guest power off" ends
done_testing
