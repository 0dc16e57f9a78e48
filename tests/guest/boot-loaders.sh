#!/bin/bash
# Other people's boot media: GRUB from a diskette and from a CD reaches its menu and its prompt,
# memtest86+ finds no error in 64 MiB, the SeaBIOS boot menu starts what is chosen.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tap.sh"
. "$here/session.sh"
. "$here/screen.sh"
GUEST_LOG=$TAP_FOLDER/guest.log
grub=/usr/lib/grub-rescue memtest=/boot/memtest86+x64.bin
quit() { guest_send quit && guest_end 20; }

grub_prompt() { screen_keys c && screen_wait 'grub>' 30; }
grub_lists_drives() { # NAME
    screen_keys l s ret && screen_wait "($1)" 30
}

if [ -e $grub/grub-rescue-floppy.img ]; then
    cp $grub/grub-rescue-floppy.img floppy.img
    screen_start "$EMULATOR" -m 64 -drive if=floppy,format=raw,file=floppy.img -boot a
    does "GRUB from a diskette: its menu" screen_wait 'GNU GRUB  version' 60
    does "GRUB from a diskette: its prompt" grub_prompt
    does "GRUB from a diskette: the drives" grub_lists_drives fd0
    does "quit" quit
    screen_start "$EMULATOR" -m 64 -cdrom $grub/grub-rescue-cdrom.iso -boot d
    does "GRUB from a CD: its menu" screen_wait 'GNU GRUB  version' 60
    does "GRUB from a CD: its prompt" grub_prompt
    does "GRUB from a CD: the drives" grub_lists_drives cd
    does "quit" quit
    screen_start "$EMULATOR" -m 64 -fda floppy.img -cdrom $grub/grub-rescue-cdrom.iso -boot menu=on,splash-time=5000
    menu() { screen_wait 'Press ESC for boot menu' 30 && screen_keys esc && screen_wait 'Select boot device' 20; }
    does "the SeaBIOS boot menu" menu
    choose() { # the CD-ROM's number
        screen_keys "$(sed -n 's/^\([0-9]\)\. DVD.*/\1/p' <<<"$SCREEN")" && screen_wait 'GNU GRUB  version' 60
    }
    does "the boot menu starts the CD" choose
    does "quit" quit
fi

# A whole pass but for the bit fade test, which only waits for 160 seconds.
no_fade() { screen_keys f1 f1 f2 1 0 ret f10 f10; }
if [ -e $memtest ]; then
    screen_start "$EMULATOR" -m 64 -kernel $memtest
    does "memtest86+ starts" screen_wait 'Memtest86+ v' 30
    no_fade
    does "memtest86+: the first pass" screen_wait 'Pass:  1 ' 100
    does "memtest86+: no errors" grep -q 'Errors: 0 ' <<<"$SCREEN"
    does "quit" quit
fi
done_testing
